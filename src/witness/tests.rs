use super::told::{self, Found};
use super::*;
use crate::clock::Clock;
use crate::key;
use crate::metrics::Metrics;
use crate::rules::check::compile;
use crate::secret::Secret;
use crate::store::{Opening, Root, Store};
use crate::suspects::{Cause, Mark, Possible};
use std::path::Path;
use std::time::Duration;

const RULES: &str = r#"
    namespace = "n"
    [proxy]
    listen = "127.0.0.1:0"
    origin = "http://127.0.0.1:1"
    [store]
    url = "memory:"
    [audit]
    verify = 0.5
    [[cache]]
    name = "list"
    match = "GET /list"
    key = "list:{query}"
    query = ["page"]
    ttl = "1m"
    public = true
"#;

const SET: &str = r#"
    [[invalidate]]
    name = "changed"
    on = ["POST /list"]
    drop = ["list:*"]
"#;

fn table(text: &str) -> Table {
    let checked = compile(text.as_bytes(), &|_| None, Path::new("."));
    checked.table.expect("rules that can be used")
}

fn store(table: &Table) -> Store {
    let opened = Store::open(Opening {
        settings: &table.store,
        local: &table.local,
        node_ttl: Duration::from_secs(60),
        namespace: &table.namespace,
        root: Root::new(key::root_node(&table.namespace), table.layout),
        channel: key::drops_channel(&table.namespace),
        clock: Clock::default(),
        metrics: Arc::new(Metrics::new()),
    });
    opened.expect("a store in memory")
}

fn write(at_ms: u64, route: &str, parts: &[(&str, Mark)]) -> Write {
    let parts = parts.iter().map(|(name, mark)| ((*name).to_owned(), *mark));
    Write {
        at_ms,
        took_ms: 77,
        route: route.to_owned(),
        parts: parts.collect(),
        drops: vec![at_ms],
    }
}

fn sighting(id: u64, (asked_at_ms, at_ms): (u64, u64), differs: bool) -> Sighting {
    let (table, segments) = (table(RULES), ["list", "page=1"].map(str::to_owned));
    Sighting {
        rule: "list".to_owned(),
        key: Marked::of(&table, &table.rules[0], &segments, &segments),
        at_ms,
        asked_at_ms,
        id: (Digest([0; 16]), id),
        differs,
        is_hit: true,
        places: vec!["/data".to_owned()],
        is_own: None,
    }
}

fn stale() -> Outcome {
    Outcome::Stale {
        at: vec!["/data".to_owned()],
        restless: Vec::new(),
        age_ms: 5,
    }
}

#[test]
fn writes_are_heard_as_they_were_told_the_latest_first_as_far_as_there_is_room() {
    let parts = [("{id}", u64::MAX), ("{body.a}", 7)];
    let few: Vec<(u64, Arc<Write>)> = [(2, "POST /b"), (1, "PATCH /a/{id}")]
        .map(|(number, route)| (number, Arc::new(write(number * 10, route, &parts))))
        .into();
    let (at, heard) = told::writes(&told::of_writes(99, &few)).expect("as it was told");
    let expected: Vec<(u64, Write)> = few.iter().map(|(n, one)| (*n, (**one).clone())).collect();
    assert_eq!((at, heard), (99, expected));
    let names: Vec<String> = (0..64).map(|n| format!("{{body.field{n}}}")).collect();
    let all: Vec<(&str, Mark)> = names.iter().map(|name| (name.as_str(), 1)).collect();
    let many = (0..500).map(|n| (500 - n, Arc::new(write(n, "POST /a", &all))));
    let value = told::of_writes(99, &many.collect::<Vec<_>>());
    let (_, heard) = told::writes(&value).expect("as it was told");
    assert!(value.len() <= 30 << 10, "{}", value.len());
    assert!(heard.len() > 20 && heard[0].0 == 500, "{}", heard.len());
}

#[test]
fn what_no_sidecar_told_is_no_writes_of_any() {
    let value = told::of_writes(9, &[(1, Arc::new(write(1, "POST /a", &[("{id}", 3)])))]);
    for length in 0..value.len() {
        let cut = told::writes(&value[..length]);
        // Cut off before a write begins it is a shorter list of writes.
        assert!(cut.is_none_or(|(_, writes)| writes.is_empty()), "{length}");
    }
    for at in 0..value.len() {
        let mut damaged = value.to_vec();
        damaged[at] ^= 0x55;
        let _ = told::writes(&damaged); // it ends, whatever it says
    }
    assert!(told::writes(b"{}").is_none() && Found::read(b"\x01").is_none());
}

#[test]
fn cases_are_heard_as_they_were_told() {
    let possible = |at_ms, route: &str, parts: &[&str], is_there| Possible {
        cause: Arc::new(Cause {
            parts: parts.iter().map(|part| (*part).to_owned()).collect(),
            route: route.to_owned(),
            is_there,
        }),
        at_ms,
        values: parts.len() as u16 * 511,
    };
    let case = |at_ms, places: &[&str], causes: &[Possible]| Case {
        rule: "list".to_owned(),
        at_ms,
        age_ms: 70,
        differs: !places.is_empty(),
        is_hit: at_ms != 998,
        places: places.iter().map(|place| (*place).into()).collect(),
        count: 200,
        causes: causes.to_vec(),
    };
    let login = |at_ms| possible(at_ms, "POST /login", &[], false);
    let named = possible(990, "POST /a", &["{id}", "{body.b}"], false);
    let cases = [
        case(999, &["/a", "/b"], &[named, login(99)]),
        case(
            998,
            &[],
            &[login(999), possible(1, "POST /login", &[], true)],
        ),
    ];
    let mut tallies = Tallies::default();
    tallies.note("list", &stale());
    let found = Found::of(1_000, &Digest([3; 16]), tallies.all(), cases.iter());
    let value = found.bytes();
    let heard = Found::read(&value).expect("as it was told");
    assert_eq!(heard.cases, cases);
    for at in 0..value.len() {
        let mut damaged = value.to_vec();
        damaged[at] ^= 0x55;
        let _ = Found::read(&damaged); // it ends, whatever it says
        let cut = Found::read(&value[..at]);
        assert!(cut.is_none_or(|found| found.cases.len() < 2), "{at}");
    }
    assert_eq!(heard.tallies, *tallies.all());
    assert_eq!(heard.layout, Digest([3; 16]).to_string());
}

#[test]
fn the_newest_of_many_cases_are_told() {
    let mut cases = Vec::new();
    for at_ms in (0..5_000).rev() {
        let cause = Cause {
            parts: vec!["{id}".to_owned()],
            route: format!("POST /{}", at_ms % 40),
            is_there: false,
        };
        cases.push(Case {
            rule: "list".to_owned(),
            at_ms,
            age_ms: 1_000,
            differs: false,
            is_hit: true,
            places: Vec::new(),
            count: 1,
            causes: vec![Possible {
                cause: Arc::new(cause),
                at_ms,
                values: 3,
            }],
        });
    }
    let found = Found::of(5_000, &Digest([3; 16]), &BTreeMap::new(), cases.iter());
    assert!(found.bytes().len() <= 32 << 10, "{}", found.bytes().len());
    let told = Found::read(&found.bytes()).expect("as it was told").cases;
    assert!(told.len() > 2_000 && told[..] == cases[..told.len()]);
}

#[test]
fn other_rules_begin_anew_and_rules_that_drop_the_same_do_not() {
    let (one, other) = (table(RULES), table(&format!("{RULES}{SET}")));
    let witness = Witness::default();
    witness.begin(&one);
    witness.saw(&one, "list", &stale(), None);
    let seen = || {
        witness
            .books()
            .tallies
            .all()
            .get("list")
            .map(|tally| tally.stale)
    };
    assert_eq!(seen(), Some(1));
    witness.begin(&table(RULES));
    assert_eq!(seen(), Some(1));
    witness.begin(&other);
    assert_eq!(seen(), None);
    witness.saw(&one, "list", &stale(), None);
    assert_eq!(seen(), None, "a request of the rules from before");
}

#[tokio::test]
async fn a_window_begins_where_the_answer_was_seen_fresh_last() {
    let (witness, table) = (Witness::default(), &table(RULES));
    let store = store(table);
    witness.begin(table);
    witness.wrote(write(10, "POST /early", &[]));
    witness.saw(
        table,
        "list",
        &Outcome::Same,
        Some(sighting(1, (5, 20), false)),
    );
    witness.wrote(write(30, "POST /late", &[]));
    witness.saw(table, "list", &stale(), Some(sighting(1, (5, 40), true)));
    witness.saw(table, "list", &stale(), Some(sighting(2, (5, 40), true)));
    let gathered = witness.gather(&store, table, 50).await;
    let routes = |case: &Case| {
        let routes = case.causes.iter().map(|one| one.cause.route.clone());
        routes.collect::<Vec<_>>()
    };
    let all: Vec<Vec<String>> = gathered.cases.iter().map(routes).collect();
    let (early, late) = ("POST /early".to_owned(), "POST /late".to_owned());
    assert_eq!(
        all,
        [vec![early.clone()], vec![late.clone()], vec![early, late]]
    );
    assert!(!gathered.is_alone);
}

#[test]
fn marks_are_of_a_namespace_and_of_its_seal() {
    let seal = |byte| SealSettings {
        current: Secret::new([byte; 32]),
        previous: Vec::new(),
    };
    let secrets = [
        secret("a", None),
        secret("b", None),
        secret("a", Some(&seal(1))),
        secret("a", Some(&seal(2))),
    ];
    let marks = secrets.map(|secret| crate::parts::mark("42", &secret));
    let different: std::collections::BTreeSet<Mark> = marks.into();
    assert_eq!(different.len(), 4);
    let again = crate::parts::mark("42", &secret("a", Some(&seal(1))));
    assert_eq!(marks[2], again);
}

#[test]
fn a_write_under_way_counts_until_it_is_over_and_two_count_twice() {
    let witness = Witness::default();
    let (node, other) = (vec!["n:list:*".to_owned()], vec!["n:other:*".to_owned()]);
    let (one, two) = (witness.sets_out(&node), witness.sets_out(&node));
    assert!(witness.is_under_way(&node) && !witness.is_under_way(&other));
    drop(one);
    assert!(witness.is_under_way(&node));
    drop(two);
    assert!(!witness.is_under_way(&node));
}

#[tokio::test]
async fn a_clock_that_is_set_back_by_hours_keeps_nothing_waiting_for_hours() {
    let (witness, table) = (Witness::default(), &table(RULES));
    let store = store(table);
    witness.begin(table);
    let (now, before) = (90_000_000, 90_000_000 - 3 * 60 * 60 * 1000);
    witness.step(&store, table, now).await;
    witness.wrote(write(now + 10, "POST /then", &[]));
    let seen = |id, (asked, at)| {
        let sighting = sighting(id, (asked, at), true);
        witness.saw(table, "list", &stale(), Some(sighting));
    };
    seen(1, (now, now + 20));
    witness.step(&store, table, before).await;
    assert!(witness.books().cases.first_waiting().is_none());
    witness.wrote(write(before + 10, "POST /now", &[]));
    seen(2, (before, before + 20));
    seen(3, (now + 5, before + 20)); // kept by the clock of before
    let gathered = witness.gather(&store, table, before + 30).await;
    let causes = gathered.cases.iter().flat_map(|case| &case.causes);
    let routes: Vec<&str> = causes.map(|one| one.cause.route.as_str()).collect();
    assert_eq!((gathered.cases.len(), routes), (1, vec!["POST /now"]));
    witness.step(&store, table, before - 1_000).await;
    assert_eq!(
        witness.books().cases.all().count(),
        1,
        "a second is no jump"
    );
}

#[test]
fn a_write_is_told_as_long_as_an_answer_may_hang_on_it_and_somebody_has_not_heard_it() {
    let (now, minute) = (90_000_000, 60_000); // the rule's `ttl`
    let since = fleet::told_since_ms(&table(RULES), now);
    assert!(
        (now - 15 * minute..now - 11 * minute).contains(&since),
        "{since}"
    );
    let long = table(&RULES.replace("\"1m\"", "\"3d\""));
    assert_eq!(fleet::told_since_ms(&long, now), 0);
}

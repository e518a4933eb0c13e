use super::*;
use crate::parts;
use crate::rules::check::compile;
use crate::witness::writes::Writes;
use std::path::Path;
use std::time::Duration;

const RULES: &str = r#"
    namespace = "n"
    [proxy]
    listen = "127.0.0.1:0"
    origin = "http://127.0.0.1:1"
    [store]
    url = "memory:"
    [[cache]]
    name = "item"
    match = "GET /item/{id}"
    key = "items:{id}"
    query = []
    ttl = "30s"
    public = true
    [[invalidate]]
    name = "changed"
    on = ["PATCH /item/{id}"]
    drop = ["items:{id}"]
    [[invalidate]]
    name = "touched"
    on = ["POST /touch"]
    drop = ["items:*", "items:{body.id}"]
"#;

const TTL: Ttl = Ttl::Fixed(Duration::from_secs(30));

fn fetched(said: u64, versions: u64, at_ms: u64) -> Fetched {
    Fetched {
        binding: Digest([1; 16]),
        said,
        restless: 0,
        versions,
        asked_at_ms: at_ms,
        kept_at_ms: at_ms + 5,
        ttl_ms: 30_000,
        by: None,
    }
}

fn answer(length: usize) -> Answer {
    Answer {
        status: StatusCode::OK,
        body: vec![b'x'; length].into(),
    }
}

fn table() -> Table {
    let checked = compile(RULES.as_bytes(), &|_| None, Path::new("."));
    checked.table.expect("rules that can be used")
}

fn mark(value: &str) -> Mark {
    parts::mark(value, &[3; 32])
}

/// The lines that are made out for a drop of item 7, after these writes.
fn lines(all: &[(&str, &[(&str, &str)])]) -> Vec<String> {
    let (table, mut ends, mut writes) = (table(), Ends::default(), Writes::default());
    for (route, parts) in all {
        let parts = parts
            .iter()
            .map(|(name, value)| ((*name).to_owned(), mark(value)));
        writes.add(Write {
            at_ms: 15,
            took_ms: 0,
            route: (*route).to_owned(),
            parts: parts.collect(),
            drops: Vec::new(),
        });
    }
    let segments = vec![mark("items"), mark("7")];
    ends.wait(Ended::new(
        table.rules[0].clone(),
        segments,
        (10, 20),
        false,
    ));
    assert!(ends.due(19).is_empty(), "too early");
    let due = ends.due(20);
    assert!(ends.due(30).is_empty(), "it is done once");
    let attributed = attributed(due, &table, &writes.known());
    attributed.into_iter().flat_map(|one| one.lines).collect()
}

#[test]
fn how_an_answer_ended_is_told_by_its_versions_and_its_age() {
    let next = |now: Fetched| {
        let mut ends = Ends::default();
        assert!(
            ends.before(fetched(1, 1, 100), &answer(3), TTL).is_none(),
            "the first of all"
        );
        ends.before(now, &answer(3), TTL)
    };
    for (now, has_changed) in [
        (fetched(1, 2, 900), false),
        (fetched(2, 2, 900), true),
        (fetched(2, 2, 30_104), true),
    ] {
        let again = next(now).expect("both can be compared");
        assert!(matches!(again.end, Some(End::Dropped)), "{now:?}");
        assert_eq!((again.after_ms, again.has_changed), (100, has_changed));
    }
    let expired = |now: Fetched| match next(now).and_then(|again| again.end) {
        Some(End::Expired(one)) => (one.changed, one.soon),
        _ => panic!("it has expired: {now:?}"),
    };
    assert_eq!(expired(fetched(1, 1, 30_105)), (0, 1));
    assert_eq!(expired(fetched(2, 1, 30_105)), (1, 0));
    assert_eq!(expired(fetched(1, 1, 60_105)), (0, 0));
    let mut other = fetched(1, 2, 900);
    other.restless = 1;
    for unclear in [
        fetched(1, 1, 900),
        fetched(1, 2, 30_105),
        fetched(2, 2, 50),
        other,
    ] {
        let end = next(unclear).and_then(|again| again.end);
        assert!(end.is_none(), "{unclear:?}");
    }
}

#[test]
fn a_line_drops_what_it_names_and_what_cannot_be_told_is_nobodys() {
    let exact = "changed: items:{id}";
    assert_eq!(lines(&[("PATCH /item/{id}", &[("{id}", "7")])]), [exact]);
    assert!(lines(&[("PATCH /item/{id}", &[("{id}", "8")])]).is_empty());
    assert!(lines(&[("POST /other", &[("{id}", "7")])]).is_empty());
    let wide = "touched: items:*";
    assert_eq!(lines(&[("POST /touch", &[])]), [wide], "it was widened");
    assert_eq!(
        lines(&[
            ("POST /touch", &[("{body.id}", "7")]),
            ("POST /touch", &[("{body.id}", "8")]),
            ("PATCH /item/{id}", &[("{id}", "7")]),
        ]),
        [exact, wide, "touched: items:{body.id}"]
    );
}

#[test]
fn what_has_changed_counts_for_those_that_are_known_to_drop_what_changes() {
    let mut counts = BTreeMap::new();
    let mut note = |lines: &[&str], has_changed| {
        let one = Attributed {
            rule: "item".to_owned(),
            lines: lines.iter().map(|line| (*line).to_owned()).collect(),
            has_changed,
        };
        count(&mut counts, &one, 2);
        counts.clone()
    };
    note(&["needed"], true);
    note(&["needed", "useless"], true);
    let counts = note(&["needed", "useless", "without room"], false);
    let of = |line: &str| counts.get(line).map(|count| (count.dropped, count.changed));
    assert_eq!(of("needed"), Some((3, 2)));
    assert_eq!(of("useless"), Some((1, 0)));
    assert_eq!(of("without room"), None);
}

#[test]
fn what_was_seen_under_another_ttl_is_forgotten() {
    let of = |ttl_ms, expired| Expired {
        ttl_ms,
        expired,
        changed: 0,
        soon: 1,
    };
    let mut all = of(10, 4);
    all.note(of(10, 1));
    assert_eq!((all.expired, all.soon), (5, 2));
    all.note(of(20, 1));
    assert_eq!((all.ttl_ms, all.expired), (20, 1));
    all.add(&of(10, 3));
    assert_eq!(all, of(10, 3), "others know more of that one");
}

#[test]
fn no_more_answers_are_remembered_than_there_is_room_for() {
    let mut ends = Ends::default();
    for key in 0..3 * MAX_KEPT as u128 {
        let mut one = fetched(1, 1, 100);
        one.binding = Digest(key.to_le_bytes());
        assert!(ends.before(one, &answer(0), TTL).is_none());
    }
    assert_eq!((ends.kept.len(), ends.older.len()), (MAX_KEPT, MAX_KEPT));
}

#[test]
fn answers_are_remembered_as_far_as_there_is_room_and_others_by_what_tells_them_apart() {
    let mut ends = Ends::default();
    let mut fetch = |key: u128, said, length: usize, at_ms| {
        let mut one = fetched(said, said, at_ms);
        one.binding = Digest(key.to_le_bytes());
        let again = ends.before(one, &answer(length), TTL);
        let bytes = |all: &HashMap<Digest, Remembered>| {
            let answers = all.values().filter_map(|one| one.answer.as_ref());
            answers.map(|answer| answer.body.len()).sum::<usize>()
        };
        assert_eq!(ends.bytes, bytes(&ends.kept));
        assert!(ends.bytes <= MAX_BYTES + MAX_ONE && bytes(&ends.older) <= MAX_BYTES + MAX_ONE);
        again
    };
    let long = |again: Option<Again>| Some(again?.before?.body.len());
    assert_eq!(long(fetch(1, 1, 7, 0)), None);
    assert_eq!(long(fetch(1, 1, 7, 1_000)), None, "it says the same");
    assert_eq!(long(fetch(1, 2, 8, 2_000)), Some(7));
    assert_eq!(long(fetch(1, 3, MAX_ONE + 1, 3_000)), Some(8));
    let large = fetch(1, 4, 7, 4_000).expect("it was fetched before");
    assert!(large.has_changed && large.before.is_none());
    for key in 2..200 {
        fetch(key, 1, MAX_ONE, 5_000);
    }
    assert!(fetch(1, 5, 7, 6_000).is_none(), "it is forgotten by now");
    let in_time = (150..200).filter(|key| long(fetch(*key, 2, 1, 7_000)).is_some());
    assert_eq!(in_time.count(), COMPARED_A_SECOND as usize);
}

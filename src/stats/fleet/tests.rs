use super::told::{Counts, Sum};
use super::*;
use crate::metrics::{Metrics, RuleMetrics};
use crate::outcome::Outcome;
use bytes::Bytes;
use hyper::StatusCode;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

const NOW: u64 = 1_800_000_000_000;
const STEP: Duration = Duration::from_secs(10);
const HOUR: u64 = 60 * 60 * 1000;

/// What is counted, and the rules that hold their counters, as those in force do.
struct Counters(Metrics, Vec<Arc<RuleMetrics>>);

/// What `rules` rules were asked, the last of them most.
fn counted_of(rules: u64) -> Counters {
    let (metrics, mut held) = (Metrics::new(), Vec::new());
    for number in 0..rules {
        let rule = metrics.rule(&format!("clinic-rule-number-{number}"));
        for took in [3, 30, 300] {
            let took = Duration::from_millis(took + number % 7);
            (0..=number / 100).for_each(|_| rule.request(Outcome::Hit, took / 10));
            rule.request(Outcome::Miss, took);
            rule.request(Outcome::Collapsed, took);
            rule.origin_answered(StatusCode::OK, took);
        }
        held.push(rule);
    }
    Counters(metrics, held)
}

fn tallies(counters: &Counters) -> Tallies {
    assert!(counters.1.len() <= counters.0.tallies().len());
    counters.0.tallies().into_iter().collect()
}

/// The fleet's hash.
#[derive(Default)]
struct Hash(BTreeMap<String, Bytes>);

impl Hash {
    /// What a teller does with the store, if there is something to be told.
    fn told_by(&mut self, teller: &mut Teller, tallies: &Tallies, now: u64, is_last: bool) -> bool {
        let news = News {
            tallies,
            day: Day::default(),
            now,
            is_last,
            every: STEP,
        };
        if !teller.is_due(&news) {
            return false;
        }
        loop {
            let value = teller.draft(&news).expect("there is randomness");
            let is_new = self.0.insert(teller.own(now).field, value).is_none();
            if !teller.wrote(is_new) {
                break;
            }
        }
        teller.told(&news);
        true
    }

    fn fields(&self) -> Vec<Field> {
        let fields = self.0.iter();
        fields.map(|(name, value)| Field::of(name, value)).collect()
    }

    /// What is heard by who asks.
    fn heard_by(&self, teller: &mut Teller, tallies: &Tallies, now: u64) -> Fleet {
        let own = teller.own(now);
        let is_there = self.0.contains_key(&own.field);
        let others = Fleet::of_others(&self.fields(), &own.field, (now, STEP));
        teller.saw_own(is_there, now);
        others.with(&teller.own(now), tallies, (Day::default(), now))
    }

    /// What somebody hears who has done nothing himself.
    fn heard(&self, now: u64) -> Fleet {
        self.heard_by(&mut Teller::default(), &Tallies::new(), now)
    }

    fn tidy(&mut self, now: u64) {
        let fields = self.fields();
        if let Some((into, value, read)) = tidy::folded(&fields, "", now) {
            read.iter()
                .for_each(|field| drop(self.0.remove(&field.name)));
            self.0.insert(into.to_owned(), value);
        }
    }
}

fn total(fleet: &Fleet, what: &str) -> u64 {
    let shown = fleet.shown(false);
    shown["total"][what].as_u64().expect("a number")
}

fn all_of(tallies: &Tallies) -> u64 {
    let of = |tally: &Tally| tally.requests.iter().map(Times::count).sum::<u64>();
    tallies.values().map(of).sum()
}

#[test]
fn a_field_tells_the_rules_asked_most_and_of_all_others_the_sum() {
    let tallies = tallies(&counted_of(1000));
    let (mut hash, mut teller) = (Hash::default(), Teller::default());
    assert!(hash.told_by(&mut teller, &tallies, NOW, false));
    let longest = hash.0.values().map(Bytes::len).max();
    assert!(longest <= Some(32 << 10), "{longest:?} bytes");
    let fleet = hash.heard(NOW);
    assert_eq!(total(&fleet, "requests"), all_of(&tallies));
    let shown = fleet.shown(false);
    let rules = shown["rules"].as_object().expect("rules");
    assert!(rules.contains_key("clinic-rule-number-999") && rules.len() > 100);
    assert_eq!(shown["rules_not_told"], 1000 - rules.len());
    // By what is told of each, not by how many buckets there could be.
    let few = Counts::of(&Sum {
        rules: tallies.into_iter().take(100).collect(),
        ..Sum::default()
    });
    let length = serde_json::to_vec(&few).expect("JSON").len();
    assert!(length < 100 * 200, "{length} bytes of 100 rules");
}

#[test]
fn who_is_asked_has_all_that_he_counted_however_little_room_there_was() {
    let (one, two) = (tallies(&counted_of(1000)), tallies(&counted_of(1000)));
    let (mut hash, mut teller) = (Hash::default(), Teller::default());
    hash.told_by(&mut teller, &one, NOW, false);
    hash.told_by(&mut Teller::default(), &two, NOW, false);
    let fleet = hash.heard_by(&mut teller, &one, NOW);
    assert_eq!(total(&fleet, "requests"), all_of(&one) + all_of(&two));
    let shown = fleet.shown(false);
    assert_eq!(shown["rules"].as_object().map(Map::len), Some(1000));
}

#[test]
fn a_hash_that_is_lost_is_told_anew_from_the_beginning() {
    let metrics = counted_of(1);
    let (mut hash, mut teller) = (Hash::default(), Teller::default());
    hash.told_by(&mut teller, &tallies(&metrics), NOW, false);
    // After a long silence in a new field, without what the old one tells.
    let later = NOW + HOUR;
    let rule = metrics.0.rule("new");
    rule.request(Outcome::Hit, Duration::ZERO);
    let counted = tallies(&metrics);
    hash.told_by(&mut teller, &counted, later, false);
    assert_eq!(hash.0.len(), 2);
    assert_eq!(total(&hash.heard(later), "requests"), all_of(&counted));
    // Read: nothing counts as told, at once.
    hash.0.clear();
    let fleet = hash.heard_by(&mut teller, &counted, later);
    assert_eq!(total(&fleet, "requests"), all_of(&counted));
    assert!(
        hash.told_by(&mut teller, &counted, later + 1, false),
        "at the next step"
    );
    assert_eq!(total(&hash.heard(later), "requests"), all_of(&counted));
    // Not read by anybody: seen when the field is written.
    hash.0.clear();
    hash.told_by(&mut teller, &counted, later + HEARTBEAT_MS + 1, false);
    assert_eq!(total(&hash.heard(later), "requests"), all_of(&counted));
}

#[test]
fn a_process_runs_while_it_has_word_of_itself_and_until_it_says_that_it_ends() {
    let (mut hash, mut idle, mut ending) = (Hash::default(), Teller::default(), Teller::default());
    let nothing = Tallies::new();
    hash.told_by(&mut idle, &nothing, NOW, false);
    hash.told_by(&mut ending, &nothing, NOW, false);
    assert_eq!(hash.heard_by(&mut ending, &nothing, NOW).processes, 2);
    let mut told = 0;
    for step in 1..=HOUR / 10_000 {
        let now = NOW + step * 10_000;
        told += usize::from(hash.told_by(&mut idle, &nothing, now, false));
        let running = Fleet::of_others(&hash.fields(), &ending.own(now).field, (now, STEP));
        assert_eq!(running.processes, 1, "after {} minutes", step / 6);
    }
    assert_eq!(told, 20, "in an hour without news");
    let late = NOW + HOUR;
    hash.told_by(&mut ending, &nothing, late, true);
    assert_eq!(hash.heard_by(&mut idle, &nothing, late).processes, 1);
    assert_eq!(
        hash.heard(late + HOUR / 2).processes,
        1,
        "who asks is all there is"
    );
}

#[test]
fn only_what_a_sidecar_could_have_written_is_believed() {
    let hit = format!("[1,0,{}]", u64::MAX);
    let field = |rule: &str, at: u64| {
        let rule = serde_json::to_string(rule).expect("JSON");
        let text = format!(r#"{{"at":{at},"counts":{{"rules":{{{rule}:{{"hit":{hit}}}}}}}}}"#);
        Field::of(&format!("{at}-{rule}"), text.as_bytes())
    };
    let long = "a".repeat(5000);
    let fields = [
        field("list", NOW),
        field("list", NOW - 1),
        field(&long, NOW),
        field("\u{202e}tsil", NOW),
        field("a\nb", NOW),
        field("ahead", NOW + 24 * HOUR),
    ];
    let shown = Fleet::of_others(&fields, "", (NOW, STEP)).shown(false);
    let rules: Vec<&String> = shown["rules"].as_object().expect("rules").keys().collect();
    assert_eq!(rules, ["list"]);
    assert_eq!(shown["rules"]["list"]["hits"], u64::MAX, "and no less");
    assert_eq!(shown["unread"], 1);
    let many = (0..10_000).map(|number| format!(r#""r{number}":{{"hit":[1,0,1]}}"#));
    let many: Vec<String> = many.collect();
    let text = format!(
        r#"{{"at":{NOW},"counts":{{"rules":{{{}}}}}}}"#,
        many.join(",")
    );
    let shown =
        Fleet::of_others(&[Field::of("many", text.as_bytes())], "", (NOW, STEP)).shown(false);
    assert_eq!(shown["rules"].as_object().map(Map::len), Some(4000));
    assert_eq!(shown["total"]["hits"], 10_000);
}

#[test]
fn what_cannot_be_read_is_left_to_those_who_can_and_does_not_stay_for_ever() {
    let counted = tallies(&counted_of(3));
    let mut hash = Hash::default();
    hash.0
        .insert("past".to_owned(), Bytes::from_static(b"sealed"));
    hash.0
        .insert("odd".to_owned(), Bytes::from_static(b"of another release"));
    hash.told_by(&mut Teller::default(), &counted, NOW, true);
    let later = NOW + 2 * HOUR;
    hash.tidy(later);
    let names: Vec<&str> = hash.0.keys().map(String::as_str).collect();
    assert_eq!(names, ["odd", "past", "past-2"], "folded into a second one");
    assert_eq!(total(&hash.heard(later), "requests"), all_of(&counted));
    assert_eq!(hash.heard(later).unread, 2);
    assert!(
        tidy::folded(&hash.fields(), "", later).is_none(),
        "nothing is left to do"
    );
    hash.tidy(later + 29 * 24 * HOUR);
    assert_eq!(hash.0.len(), 3);
    let last = later + 31 * 24 * HOUR;
    hash.tidy(last);
    let names: Vec<&str> = hash.0.keys().map(String::as_str).collect();
    assert_eq!(names, ["past-2"]);
    assert_eq!(total(&hash.heard(last), "requests"), all_of(&counted));
}

#[test]
fn what_is_folded_within_the_day_still_counts_for_it() {
    let text = |at: u64| format!(r#"{{"at":{at},"day":{},"commands":7}}"#, NOW / DAY_MS);
    let mut hash = Hash::default();
    for name in ["1-a", "2-b"] {
        hash.0.insert(name.to_owned(), text(NOW - 2 * HOUR).into());
    }
    hash.tidy(NOW);
    assert_eq!(hash.0.len(), 1);
    assert_eq!(hash.heard(NOW).commands, 14);
    assert_eq!(hash.heard(NOW + DAY_MS).commands, 0);
}

#[test]
fn a_clock_that_is_set_back_by_hours_silences_nobody() {
    let counted = tallies(&counted_of(1));
    let (mut hash, mut teller) = (Hash::default(), Teller::default());
    hash.told_by(&mut teller, &counted, NOW, false);
    let news = |now| News {
        tallies: &counted,
        day: Day::default(),
        now,
        is_last: false,
        every: Duration::from_secs(20 * 60),
    };
    assert!(!teller.is_due(&news(NOW + 1)));
    assert!(teller.is_due(&news(NOW - 3 * HOUR)));
    assert!(hash.told_by(&mut teller, &counted, NOW - 3 * HOUR, false));
    assert!(!teller.is_due(&news(NOW - 3 * HOUR + 1)));
}

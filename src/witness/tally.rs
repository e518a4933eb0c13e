//! What verifying came to, by rule.

use super::ends::{self, Attributed, Dropped, Expired};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Places of an answer that are remembered of a rule.
const MAX_PLACES: usize = 64;

/// Rules of which something is remembered: more than any file has.
const MAX_RULES: usize = 1024;

/// A place is known to be restless if it was so in as many of the answers that were asked for twice, and in this
/// share of them: a write between two answers makes something look restless once.
const LEAST_RESTLESS: u32 = 3;
const RESTLESS_SHARE: f64 = 0.2;

/// A place at which what the origin says is another a moment later so often is a clock, and says nothing; until it was
/// looked at some times, it is taken for one.
const LEAST_MOVED: u32 = 3;
const CLOCK_SHARE: f64 = 0.9;

/// Bounds between which the ages of stale answers are counted, in seconds. What is older than a day is in the last.
const AGES_S: [u64; 7] = [1, 10, 60, 600, 3_600, 86_400, OLDER_S];
const OLDER_S: u64 = 100 * 86_400;

/// How often a rule's stale answers are said in the log, at most.
const SAID_EVERY_MS: u64 = 60_000;

/// What verifying a hit came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The origin says the same.
    Same,
    /// It says something else at these places, as it does whenever it is asked.
    Restless(Vec<String>),
    /// It says something else at these places, and nothing has dropped what is kept for so many milliseconds.
    Stale {
        /// Where.
        at: Vec<String>,
        /// Where it says something else whenever it is asked.
        restless: Vec<String>,
        /// How long it had been kept.
        age_ms: u64,
    },
    /// It says something else, and a write that drops what is kept was on its way.
    Overtaken,
    /// It did not answer, or not to the end, or something that is of the moment.
    Unclear,
}

impl Outcome {
    /// The `result` in metrics.
    pub fn word(&self) -> &'static str {
        match self {
            Outcome::Same => "same",
            Outcome::Restless(_) => "restless",
            Outcome::Stale { .. } => "stale",
            Outcome::Overtaken => "overtaken",
            Outcome::Unclear => "unclear",
        }
    }

    /// All the words.
    pub const WORDS: [&'static str; 5] = ["same", "restless", "stale", "overtaken", "unclear"];
}

/// What verifying the hits of one rule came to, and how its answers ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tally {
    /// Hits that the origin says the same of, or differs from only as it does whenever it is asked.
    pub fresh: u64,
    /// Those of them that differ so.
    pub restless: u64,
    /// Hits that were stale.
    pub stale: u64,
    /// The age of the oldest and of the youngest of them, in milliseconds.
    pub oldest_ms: u64,
    /// See `oldest_ms`.
    pub youngest_ms: Option<u64>,
    /// How many of them were no older than this, in seconds, and older than the one before it.
    pub ages: BTreeMap<u64, u64>,
    /// Where stale answers differed, and how often. JSON pointers, as [`crate::likeness`] writes them.
    pub differing: BTreeMap<String, u32>,
    /// Where answers differ whenever they are asked for, and how often that was seen.
    pub restless_at: BTreeMap<String, u32>,
    /// Answers that were asked for twice.
    pub pairs: u32,
    /// What the lines of sets ended, by [`line`](ends::line).
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub drops: BTreeMap<String, Dropped>,
    /// What ended by itself.
    #[serde(skip_serializing_if = "Expired::is_none")]
    pub expired: Expired,
    /// Places at which hits seemed to be stale: how often, and how often they were different again a moment later.
    #[serde(skip)]
    moved_at: BTreeMap<String, (u32, u32)>,
}

impl Tally {
    /// Hits of which it is known whether they were stale.
    pub fn of(&self) -> u64 {
        self.fresh.saturating_add(self.stale)
    }

    /// Adds what others saw.
    pub fn add(&mut self, other: &Tally) {
        let sum = |one: &mut u64, other: u64| *one = one.saturating_add(other);
        sum(&mut self.fresh, other.fresh);
        sum(&mut self.restless, other.restless);
        sum(&mut self.stale, other.stale);
        self.oldest_ms = self.oldest_ms.max(other.oldest_ms);
        let youngest = [self.youngest_ms, other.youngest_ms];
        self.youngest_ms = youngest.into_iter().flatten().min();
        self.pairs = self.pairs.saturating_add(other.pairs);
        for (bound, count) in other
            .ages
            .iter()
            .filter(|(bound, _)| AGES_S.contains(bound))
        {
            sum(self.ages.entry(*bound).or_default(), *count);
        }
        for (place, count) in &other.differing {
            count_at(&mut self.differing, place, *count);
        }
        for (place, count) in &other.restless_at {
            count_at(&mut self.restless_at, place, *count);
        }
        for (line, count) in &other.drops {
            if self.drops.len() < MAX_PLACES || self.drops.contains_key(line) {
                self.drops.entry(line.clone()).or_default().add(count);
            }
        }
        self.expired.add(&other.expired);
    }

    /// The places that are known to be restless.
    pub fn known_restless(&self) -> Vec<String> {
        let is_known = |count: u32| {
            count >= LEAST_RESTLESS && f64::from(count) >= RESTLESS_SHARE * f64::from(self.pairs)
        };
        let places = self.restless_at.iter();
        let known = places.filter(|(_, count)| is_known(**count));
        known.map(|(place, _)| place.clone()).collect()
    }

    fn note(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Same => self.fresh += 1,
            Outcome::Restless(places) => {
                self.fresh += 1;
                self.restless += 1;
                self.restless_in(places);
            }
            Outcome::Stale {
                at,
                restless,
                age_ms,
            } => {
                self.stale += 1;
                self.oldest_ms = self.oldest_ms.max(*age_ms);
                let youngest = self.youngest_ms.map_or(*age_ms, |age| age.min(*age_ms));
                self.youngest_ms = Some(youngest);
                let bound = AGES_S.iter().find(|bound| *age_ms <= **bound * 1000);
                *self.ages.entry(*bound.unwrap_or(&OLDER_S)).or_default() += 1;
                at.iter()
                    .for_each(|at| count_at(&mut self.differing, at, 1));
                self.restless_in(restless);
            }
            Outcome::Overtaken | Outcome::Unclear => {}
        }
    }

    /// Of the places at which a hit seems to be stale, `moved` those that were different again a moment later: those
    /// that are left.
    fn without_clocks(&mut self, at: Vec<String>, moved: &[String]) -> Vec<String> {
        let mut is_left = |place: &String| {
            let has_room = self.moved_at.len() < MAX_PLACES || self.moved_at.contains_key(place);
            if !has_room {
                return !moved.contains(place);
            }
            let (seen, again) = self.moved_at.entry(place.clone()).or_default();
            let has_moved = moved.contains(place);
            (*seen, *again) = (*seen + 1, *again + u32::from(has_moved));
            let is_clock =
                *seen <= LEAST_MOVED || f64::from(*again) >= CLOCK_SHARE * f64::from(*seen);
            !(has_moved && is_clock)
        };
        at.into_iter().filter(|place| is_left(place)).collect()
    }

    fn restless_in(&mut self, places: &[String]) {
        self.pairs = self.pairs.saturating_add(1);
        for place in places {
            count_at(&mut self.restless_at, place, 1);
        }
    }
}

fn count_at(places: &mut BTreeMap<String, u32>, place: &str, more: u32) {
    if let Some(count) = places.get_mut(place) {
        *count = count.saturating_add(more);
    } else if places.len() < MAX_PLACES {
        places.insert(place.to_owned(), more);
    }
}

/// By rule.
#[derive(Default)]
pub(super) struct Tallies {
    by_rule: BTreeMap<String, Tally>,
    said_at: BTreeMap<String, u64>,
    /// Whether anything came since it was asked.
    is_news: bool,
}

impl Tallies {
    pub(super) fn note(&mut self, rule: &str, outcome: &Outcome) {
        self.is_news = true;
        if let Some(tally) = self.of(rule) {
            tally.note(outcome);
        }
    }

    /// A dropped answer was fetched anew. It is told with what is news next, and is none itself: it is worth no command.
    pub(super) fn note_dropped(&mut self, one: &Attributed) {
        if let Some(tally) = self.of(&one.rule) {
            ends::count(&mut tally.drops, one, MAX_PLACES);
        }
    }

    /// An answer that had expired was. It is told likewise.
    pub(super) fn note_expired(&mut self, rule: &str, one: Expired) {
        if let Some(tally) = self.of(rule) {
            tally.expired.note(one);
        }
    }

    fn of(&mut self, rule: &str) -> Option<&mut Tally> {
        let has_room = self.by_rule.len() < MAX_RULES;
        if has_room && !self.by_rule.contains_key(rule) {
            self.by_rule.insert(rule.to_owned(), Tally::default());
        }
        self.by_rule.get_mut(rule)
    }

    pub(super) fn all(&self) -> &BTreeMap<String, Tally> {
        &self.by_rule
    }

    /// Whether anything came since this was asked.
    pub(super) fn take_news(&mut self) -> bool {
        std::mem::take(&mut self.is_news)
    }

    pub(super) fn restless(&self, rule: &str) -> Vec<String> {
        let tally = self.by_rule.get(rule);
        tally.map(Tally::known_restless).unwrap_or_default()
    }

    /// See [`Tally::without_clocks`].
    pub(super) fn without_clocks(
        &mut self,
        rule: &str,
        at: Vec<String>,
        moved: &[String],
    ) -> Vec<String> {
        match self.of(rule) {
            Some(tally) => tally.without_clocks(at, moved),
            None => Vec::new(),
        }
    }

    pub(super) fn may_say(&mut self, rule: &str, now_ms: u64) -> bool {
        let said = self.said_at.get(rule).copied();
        let may = said.is_none_or(|said| now_ms.saturating_sub(said) >= SAID_EVERY_MS);
        if may && (said.is_some() || self.said_at.len() < MAX_RULES) {
            self.said_at.insert(rule.to_owned(), now_ms);
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn restless(place: &str) -> Outcome {
        Outcome::Restless(vec![place.to_owned()])
    }

    #[test]
    fn what_differs_again_and_again_is_known_and_what_did_once_is_not() {
        let mut tallies = Tallies::default();
        tallies.note("list", &restless("/data"));
        (0..LEAST_RESTLESS).for_each(|_| tallies.note("list", &restless("/at")));
        assert_eq!(tallies.restless("list"), ["/at"]);
        assert_eq!(tallies.restless("other"), Vec::<String>::new());
        (0..3 * LEAST_RESTLESS).for_each(|_| tallies.note("list", &restless("/more")));
        assert_eq!(tallies.restless("list"), ["/at", "/more"]);
        (0..9 * LEAST_RESTLESS).for_each(|_| tallies.note("list", &restless("/more")));
        assert_eq!(tallies.restless("list"), ["/more"], "it has become rare");
    }

    #[test]
    fn sums_of_two_are_what_one_would_have_seen() {
        let outcomes = [
            Outcome::Same,
            restless("/at"),
            Outcome::Overtaken,
            Outcome::Stale {
                at: vec!["/name".to_owned()],
                restless: Vec::new(),
                age_ms: 7,
            },
            Outcome::Stale {
                at: vec!["/name".to_owned()],
                restless: vec!["/at".to_owned()],
                age_ms: 3,
            },
        ];
        let seen = |outcomes: &[Outcome]| {
            let mut tally = Tally::default();
            outcomes.iter().for_each(|outcome| tally.note(outcome));
            tally
        };
        let (mut sum, all) = (seen(&outcomes[..4]), seen(&outcomes));
        sum.add(&seen(&outcomes[4..]));
        assert_eq!(sum, all);
        assert_eq!((all.of(), all.stale, all.restless), (4, 2, 1));
        assert_eq!((all.oldest_ms, all.youngest_ms), (7, Some(3)));
    }

    #[test]
    fn a_place_that_moves_nearly_always_is_a_clock_and_one_that_does_now_and_then_is_not() {
        let mut tally = Tally::default();
        let mut left = |at: &[&str], moved: &[&str]| {
            let texts = |places: &[&str]| {
                places
                    .iter()
                    .map(|one| (*one).to_owned())
                    .collect::<Vec<_>>()
            };
            tally.without_clocks(texts(at), &texts(moved))
        };
        for _ in 0..2 * LEAST_MOVED {
            assert_eq!(left(&["/at", "/name"], &["/at"]), ["/name"]);
        }
        assert_eq!(left(&["/at", "/name"], &["/at", "/name"]), ["/name"]);
        assert_eq!(left(&["/new"], &["/new"]), Vec::<String>::new());
    }

    #[test]
    fn a_rule_is_said_once_a_minute() {
        let mut tallies = Tallies::default();
        assert!(tallies.may_say("list", 1_000) && !tallies.may_say("list", 60_999));
        assert!(tallies.may_say("other", 1_001) && tallies.may_say("list", 61_000));
    }
}

//! What one field of the fleet's hash says. It is written with nothing in it that is zero, and within bounds: a
//! store is not to spend its time on statistics. What is read may be anybody's: only what a sidecar could have
//! written is believed.

use super::super::Tallies;
use crate::metrics::{Tally, Times, UNRULED};
use crate::outcome::Outcome;
use crate::rules::file::is_name;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Bytes of what is said of single rules: about 150 with some traffic, of which those asked most are told one by one. Of all
/// others the sum is, which takes 5 KiB at most; so no field has more than 32 KiB.
const MAX_RULES_BYTES: usize = 24 * 1024;

/// Rules of a fleet that are told apart.
const MAX_RULES: usize = 4000;

/// A field from further ahead than this was written by no clock that anybody should go by.
const MAX_AHEAD_MS: u64 = 60 * 60 * 1000;

/// Requests to the origin, beside the words of outcomes.
const ORIGIN: &str = "origin";

/// Those of them that it gave no answer to.
const UNANSWERED: &str = "unanswered";

/// What one field says.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Told {
    /// When it was said.
    pub(super) at: u64,
    /// Whether its process said it as its last.
    pub(super) ended: bool,
    /// A day of UTC, and the commands of its process on that day.
    pub(super) day: u64,
    pub(super) commands: u64,
    pub(super) forecast: u64,
    pub(super) counts: Counts,
    /// Fields that could not be read when this was said, and since when.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) unreadable: BTreeMap<String, u64>,
}

/// By rule, what was counted; and of those that there is no room for, all together.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Counts {
    rules: BTreeMap<String, Numbers>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    others: Numbers,
    /// How many those are at least.
    others_count: u64,
}

/// A tally by words: of an outcome, or [`ORIGIN`] and [`UNANSWERED`]. A word that is not known here is left out.
type Numbers = BTreeMap<String, Vec<u64>>;

fn numbers(tally: &Tally) -> Numbers {
    let outcomes = Outcome::ALL.map(Outcome::word).into_iter();
    let times = outcomes.zip(&tally.requests);
    let origin = [(ORIGIN, &tally.origin), (UNANSWERED, &tally.unanswered)];
    let some = times.chain(origin).filter(|(_, times)| times.count() > 0);
    some.map(|(word, times)| (word.to_owned(), times.to_numbers()))
        .collect()
}

fn tally(numbers: &Numbers) -> Tally {
    let of = |word: &str| {
        let numbers = numbers.get(word).map(Vec::as_slice);
        Times::of_numbers(numbers.unwrap_or_default())
    };
    let requests = Outcome::ALL.map(|outcome| of(outcome.word()));
    Tally::of_times(requests, of(ORIGIN), of(UNANSWERED))
}

impl Told {
    /// What a field says; nothing where a sidecar would not have said that at this time.
    pub(super) fn read(value: &[u8], now: u64) -> Option<Told> {
        let mut told: Told = serde_json::from_slice(value).ok()?;
        let rules = &mut told.counts.rules;
        rules.retain(|name, _| name == UNRULED || is_name(name));
        (told.at <= now.saturating_add(MAX_AHEAD_MS)).then_some(told)
    }

    /// As it stands in a field.
    pub(super) fn bytes(&self) -> Bytes {
        Bytes::from(serde_json::to_vec(self).expect("numbers by names are JSON"))
    }
}

impl Counts {
    /// Within bounds: the rules asked most one by one, the others as one.
    pub(super) fn of(sum: &Sum) -> Counts {
        let mut by_traffic: Vec<(&String, &Tally)> = sum.rules.iter().collect();
        by_traffic.sort_by_cached_key(|(_, tally)| std::cmp::Reverse(super::requests(tally)));
        let (mut counts, mut used) = (Counts::default(), 0);
        let (mut others, mut left_out) = (sum.others.clone(), 0);
        for (rule, tally) in by_traffic {
            let numbers = numbers(tally);
            used += length(&numbers) + rule.len() + "\"\":,".len();
            if used <= MAX_RULES_BYTES {
                counts.rules.insert(rule.clone(), numbers);
            } else {
                others = others.plus(tally);
                left_out += 1;
            }
        }
        counts.others = numbers(&others);
        counts.others_count = sum.others_count.max(left_out);
        counts
    }
}

fn length(numbers: &Numbers) -> usize {
    serde_json::to_vec(numbers).map_or(usize::MAX / 2, |bytes| bytes.len())
}

/// What several fields say together.
#[derive(Clone, Debug, Default)]
pub(super) struct Sum {
    /// By rule.
    pub(super) rules: Tallies,
    /// Rules that are not told apart, as one.
    pub(super) others: Tally,
    /// How many those are at least: which they are, nobody says.
    pub(super) others_count: u64,
}

impl Sum {
    /// Adds what a field says.
    pub(super) fn add(&mut self, counts: &Counts) {
        for (rule, numbers) in &counts.rules {
            self.add_rule(rule, &tally(numbers));
        }
        self.others = self.others.plus(&tally(&counts.others));
        self.others_count = self.others_count.max(counts.others_count);
    }

    /// Adds what was counted of a rule.
    pub(super) fn add_rule(&mut self, rule: &str, tally: &Tally) {
        if let Some(sum) = self.rules.get_mut(rule) {
            *sum = sum.plus(tally);
        } else if self.rules.len() < MAX_RULES {
            self.rules.insert(rule.to_owned(), tally.clone());
        } else {
            self.others = self.others.plus(tally);
            self.others_count = self.others_count.saturating_add(1);
        }
    }
}

//! Whether what several people share because they have the same role is the same for each of them.
//!
//! What was fetched for one and is held against what the origin tells another a moment later differs because the data has
//! changed, or because the answer is not everybody's. How often data changes so soon shows what was fetched for one and is
//! held against what he himself is told.

use crate::suspects::confidence;
use std::collections::BTreeMap;

/// What is kept no longer than this, in milliseconds, is held against what people are told.
pub(super) const YOUNG_MS: u64 = 3_000;

/// Rules of which something is remembered: more than any file has.
const MAX_RULES: usize = 1024;

/// Pairs of both kinds that are needed. It is looked at after each pair, so that chance has many turns: a dozen that all
/// say one thing leave it none worth the name.
const LEAST_PAIRS: u64 = 12;

/// Pairs of answers, and those of them that differ.
#[derive(Clone, Copy, Debug, Default)]
struct Pairs {
    all: u64,
    differ: u64,
}

impl Pairs {
    fn note(&mut self, differ: bool) {
        self.all += 1;
        self.differ += u64::from(differ);
    }
}

/// Of one rule.
#[derive(Clone, Copy, Debug, Default)]
struct Held {
    /// Fetched for one, and told another.
    others: Pairs,
    /// Fetched for one, and told him.
    own: Pairs,
    has_owners: bool,
}

impl Held {
    /// Whether others are told something else more often than one and the same is.
    fn differs_by_person(&self) -> bool {
        let (least, _) = confidence(self.others.differ, self.others.all);
        let (_, most) = confidence(self.own.differ, self.own.all);
        self.others.all >= LEAST_PAIRS && self.own.all >= LEAST_PAIRS && least > most
    }
}

/// What was fetched for one, and what he or another was told a moment later.
pub(super) struct Pair {
    pub(super) rule: String,
    pub(super) is_own: bool,
    pub(super) differs: bool,
}

/// By rule.
#[derive(Default)]
pub(super) struct Persons(BTreeMap<String, Held>);

impl Persons {
    fn of(&mut self, rule: &str) -> Option<&mut Held> {
        if self.0.len() < MAX_RULES && !self.0.contains_key(rule) {
            self.0.insert(rule.to_owned(), Held::default());
        }
        self.0.get_mut(rule)
    }

    /// Somebody was told something else than what is kept since a moment ago and was not written to meanwhile, or the
    /// same: he for whom it was fetched, or another.
    pub(super) fn note(&mut self, pair: &Pair) {
        let Some(held) = self.of(&pair.rule) else {
            return;
        };
        match pair.is_own {
            true => held.own.note(pair.differs),
            false => held.others.note(pair.differs),
        }
        held.has_owners |= pair.differs && !pair.is_own && held.differs_by_person();
    }

    /// Whether it follows that the answers of a rule have owners. It begins anew then.
    pub(super) fn take_found(&mut self, rule: &str) -> bool {
        let is_found = self.0.get(rule).is_some_and(|held| held.has_owners);
        if is_found {
            self.0.remove(rule);
        }
        is_found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether it is said after one more pair.
    fn said(persons: &mut Persons, is_own: bool, differs: bool) -> bool {
        persons.note(&Pair {
            rule: "dashboard".to_owned(),
            is_own,
            differs,
        });
        persons.take_found("dashboard")
    }

    /// After how many pairs of each kind it is said that answers have owners.
    fn after(others: impl Fn(u32) -> bool, own: impl Fn(u32) -> bool) -> Option<u32> {
        let mut persons = Persons::default();
        (1..500).find(|n| {
            said(&mut persons, true, own(*n));
            said(&mut persons, false, others(*n))
        })
    }

    #[test]
    fn what_differs_for_others_and_never_for_the_same_has_owners() {
        assert_eq!(after(|_| true, |_| false), Some(12));
        assert!(after(|n| n % 8 > 0, |_| false).is_some());
        assert!(after(|_| true, |n| n % 3 == 0).is_some(), "it changes, too");
    }

    #[test]
    fn what_changes_for_everybody_has_none() {
        assert_eq!(after(|_| true, |_| true), None);
        assert_eq!(after(|n| n % 5 == 0, |n| n % 5 == 1), None);
        assert_eq!(after(|n| n % 2 == 0, |n| n % 2 == 1), None);
        assert_eq!(after(|_| false, |_| false), None);
    }

    #[test]
    fn it_is_said_once_and_found_out_anew() {
        let mut persons = Persons::default();
        let mut times = Vec::new();
        for n in 1..=30 {
            said(&mut persons, true, false);
            if said(&mut persons, false, true) {
                times.push(n);
            }
        }
        assert_eq!(times, [12, 24]);
    }

    #[test]
    fn where_nobody_is_told_what_was_fetched_for_him_nothing_follows() {
        let mut persons = Persons::default();
        assert!((0..200).all(|_| !said(&mut persons, false, true)));
    }
}

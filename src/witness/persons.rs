//! Whether what several people share because they have the same role is the same for each of them.
//!
//! What was fetched for one and is held against what the origin tells another a moment later differs because the data has
//! changed, or because the answer is not everybody's. How often data changes so soon is known from what the origin tells
//! one and the same.

use crate::suspects::confidence;
use std::collections::BTreeMap;

/// What is kept no longer than this, in milliseconds, is held against what others are told.
pub(super) const YOUNG_MS: u64 = 3_000;

/// Between what one and the same is told first and what he is told next there is no less, in milliseconds.
pub(super) const APART_MS: u64 = 1_000;

/// Rules of which something is remembered: more than any file has.
const MAX_RULES: usize = 1024;

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
    /// Told one and the same.
    own: Pairs,
}

impl Held {
    /// Whether others are told something else more often than the data can have changed by then: in three seconds at most
    /// three times as often as in one.
    fn differs_by_person(&self) -> bool {
        let (least, _) = confidence(self.others.differ, self.others.all);
        let (_, most) = confidence(self.own.differ, self.own.all);
        let times = YOUNG_MS as f64 / APART_MS as f64;
        least > times * most
    }
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

    /// One and the same was told something else a second later, or the same.
    pub(super) fn own(&mut self, rule: &str, differs: bool) {
        if let Some(held) = self.of(rule) {
            held.own.note(differs);
        }
    }

    /// Another was told something else than what is kept, or the same. Says whether it follows that the answers have
    /// owners, once: it begins anew then.
    pub(super) fn others(&mut self, rule: &str, differs: bool) -> bool {
        let Some(held) = self.of(rule) else {
            return false;
        };
        held.others.note(differs);
        let has_owners = differs && held.differs_by_person();
        if has_owners {
            *held = Held::default();
        }
        has_owners
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// After how many hits it is said that answers have owners.
    fn after(others: impl Fn(u32) -> bool, own: impl Fn(u32) -> bool) -> Option<u32> {
        let mut persons = Persons::default();
        (1..500).find(|n| {
            persons.own("dashboard", own(*n));
            persons.others("dashboard", others(*n))
        })
    }

    #[test]
    fn what_differs_for_others_and_never_for_the_same_has_owners() {
        assert_eq!(after(|_| true, |_| false), Some(12));
        assert!(after(|n| n % 8 > 0, |_| false).is_some());
    }

    #[test]
    fn what_changes_all_the_time_has_none() {
        assert_eq!(after(|n| n % 8 > 0, |n| n % 2 == 0), None);
        assert_eq!(after(|_| true, |n| n % 5 < 2), None);
        assert_eq!(after(|n| n % 3 > 0, |n| n % 4 == 0), None);
        assert_eq!(after(|_| false, |_| false), None);
    }

    #[test]
    fn it_is_said_once_and_found_out_anew() {
        let mut persons = Persons::default();
        let mut said = Vec::new();
        for n in 1..=30 {
            persons.own("dashboard", false);
            if persons.others("dashboard", true) {
                said.push(n);
            }
        }
        assert_eq!(said, [12, 24]);
    }
}

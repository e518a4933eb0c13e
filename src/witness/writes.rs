//! The writes that a process saw, and those that it heard of.

use crate::suspects::Write;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Own ones that are remembered, to be told.
const MAX_OWN: usize = 1024;

/// All that are remembered: what is kept longer than it takes for so many hangs on none of them that could be named.
const MAX_KNOWN: usize = 4096;

/// A write that takes longer is not among those that may have been seen before they were answered.
pub(super) const LONGEST_MS: u64 = 60_000;

/// Processes of which it is remembered how much was heard.
const MAX_HEARD: usize = 2048;

#[derive(Default)]
pub(super) struct Writes {
    /// Each with its number, from 1 on.
    own: VecDeque<(u64, Arc<Write>)>,
    count: u64,
    known: Known,
    /// By field, the number of the last that was heard.
    heard: BTreeMap<String, u64>,
}

/// All that are known, its own and others'. Its clones cost little: they are of the moment, for who takes his time.
#[derive(Clone, Default)]
pub(super) struct Known {
    /// By time.
    all: VecDeque<Arc<Write>>,
    /// From when on all writes of all processes are known, as far as can be told, in milliseconds of Unix time.
    whole_since_ms: u64,
}

impl Writes {
    /// One of this process's.
    pub(super) fn add(&mut self, write: Write) {
        let write = Arc::new(write);
        self.count += 1;
        self.own.push_back((self.count, write.clone()));
        if self.own.len() > MAX_OWN {
            self.own.pop_front();
        }
        self.known.add(write);
    }

    /// All that are known now.
    pub(super) fn known(&self) -> Known {
        self.known.clone()
    }

    /// How many there were.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// Its own, the latest first, each with its number.
    pub(super) fn own(&self) -> Vec<(u64, Arc<Write>)> {
        self.own.iter().rev().cloned().collect()
    }

    /// What another process told in its field, each with its number, by this moment. Of those between the last that was
    /// heard and the first that it tells nothing is known: it had no room for them.
    pub(super) fn hear(&mut self, field: &str, told: Vec<(u64, Write)>, now_ms: u64) {
        let last = self.heard.get(field).copied().unwrap_or_default();
        let first = told.iter().min_by_key(|(number, _)| *number);
        if let Some((_, write)) = first.filter(|(number, _)| *number > last.saturating_add(1)) {
            self.known.is_whole_from(write.at_ms.min(now_ms));
        }
        let mut news: Vec<(u64, Write)> = told.into_iter().filter(|(at, _)| *at > last).collect();
        news.sort_by_key(|(at, _)| *at);
        if let Some((latest, _)) = news.last() {
            if self.heard.len() >= MAX_HEARD && !self.heard.contains_key(field) {
                self.heard.pop_first(); // they are named after when they began
            }
            self.heard.insert(field.to_owned(), *latest);
        }
        for (_, mut write) in news {
            write.at_ms = write.at_ms.min(now_ms); // by a clock that is ahead of ours
            self.known.add(Arc::new(write));
        }
    }
}

impl Known {
    fn add(&mut self, write: Arc<Write>) {
        let at = self.all.partition_point(|known| known.at_ms <= write.at_ms);
        self.all.insert(at, write);
        if self.all.len() > MAX_KNOWN
            && let Some(gone) = self.all.pop_front()
        {
            self.is_whole_from(gone.at_ms);
        }
    }

    /// What was before this moment is not all known, in milliseconds of Unix time.
    fn is_whole_from(&mut self, moment_ms: u64) {
        self.whole_since_ms = self.whole_since_ms.max(moment_ms);
    }

    /// Whether none is missing of those since a moment, in milliseconds of Unix time.
    pub(super) fn is_whole_since(&self, moment_ms: u64) -> bool {
        moment_ms >= self.whole_since_ms
    }

    /// Those that were answered after one moment and had set out by another, in milliseconds of Unix time.
    pub(super) fn begun(&self, after_ms: u64, until_ms: u64) -> Vec<Arc<Write>> {
        let latest = until_ms.saturating_add(LONGEST_MS);
        let writes = self.between(after_ms, latest).into_iter();
        writes
            .filter(|write| write.begun_ms() <= until_ms)
            .collect()
    }

    /// Those after one moment and not after another, in milliseconds of Unix time.
    pub(super) fn between(&self, after_ms: u64, until_ms: u64) -> Vec<Arc<Write>> {
        let from = self.all.partition_point(|known| known.at_ms <= after_ms);
        let to = self.all.partition_point(|known| known.at_ms <= until_ms);
        self.all.range(from..to.max(from)).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(at_ms: u64, route: &str) -> Write {
        Write {
            at_ms,
            took_ms: 0,
            route: route.to_owned(),
            parts: Vec::new(),
            drops: Vec::new(),
        }
    }

    #[test]
    fn what_is_heard_twice_is_remembered_once_and_in_the_order_of_time() {
        let mut writes = Writes::default();
        writes.add(write(30, "POST /own"));
        writes.hear(
            "a",
            vec![(1, write(10, "POST /a")), (2, write(40, "POST /b"))],
            99,
        );
        writes.hear(
            "a",
            vec![(2, write(40, "POST /b")), (3, write(35, "POST /c"))],
            99,
        );
        let routes = |writes: Vec<Arc<Write>>| {
            let routes = writes.iter().map(|write| write.route.clone());
            routes.collect::<Vec<_>>()
        };
        assert_eq!(
            routes(writes.known.between(10, 39)),
            ["POST /own", "POST /c"]
        );
        assert_eq!(routes(writes.known.between(0, 99)).len(), 4);
        assert_eq!(routes(writes.known.between(50, 20)), Vec::<String>::new());
        assert_eq!(writes.own().len(), 1);
    }

    #[test]
    fn what_has_set_out_counts_before_it_is_answered() {
        let mut writes = Writes::default();
        let mut slow = write(900, "POST /slow");
        slow.took_ms = 850;
        writes.add(slow);
        writes.add(write(40, "POST /before"));
        writes.add(write(70, "POST /after"));
        let routes = |after, until| {
            let begun = writes.known().begun(after, until).into_iter();
            begun.map(|write| write.route.clone()).collect::<Vec<_>>()
        };
        assert_eq!(routes(30, 60), ["POST /before", "POST /slow"]);
        assert_eq!(routes(40, 45), Vec::<String>::new());
    }

    #[test]
    fn what_a_process_had_no_room_to_tell_is_known_to_be_missing() {
        let mut writes = Writes::default();
        writes.hear("a", vec![(1, write(10, "POST /a"))], 99);
        assert!(writes.known.is_whole_since(0));
        writes.hear(
            "a",
            vec![(4, write(40, "POST /a")), (5, write(500, "POST /a"))],
            99,
        );
        assert!(!writes.known.is_whole_since(39) && writes.known.is_whole_since(40));
        assert_eq!(
            writes.known.between(40, 99).len(),
            1,
            "nothing is of the future"
        );
    }

    #[test]
    fn the_greatest_of_numbers_is_followed_by_none() {
        let mut writes = Writes::default();
        for _ in 0..2 {
            writes.hear("a", vec![(u64::MAX, write(10, "POST /a"))], 99);
        }
        assert_eq!(writes.known.all.len(), 1);
        assert!(!writes.known.is_whole_since(9) && writes.known.is_whole_since(10));
    }

    #[test]
    fn no_more_are_remembered_than_there_is_room_for() {
        let mut writes = Writes::default();
        (0..2 * MAX_KNOWN as u64).for_each(|at| writes.add(write(at, "POST /a")));
        assert_eq!(
            (writes.known.all.len(), writes.own.len()),
            (MAX_KNOWN, MAX_OWN)
        );
        assert_eq!(writes.count(), 2 * MAX_KNOWN as u64);
    }
}

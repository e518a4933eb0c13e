//! What was counted of a rule, summed up.

use super::rules::{CLASS, Counted};
use super::timings::Times;
use crate::outcome::Outcome;
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

/// What all threads counted of a rule.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// By outcome, in the order of [`Outcome::ALL`].
    pub requests: [Times; Outcome::ALL.len()],
    /// Requests to the origin, those too that it gave no answer to.
    pub origin: Times,
    /// Those that it gave no answer to: as long as it took until that was known.
    pub unanswered: Times,
    /// What the origin answered, by status; in sums and differences of tallies left out.
    pub statuses: BTreeMap<usize, u64>,
    /// Requests to the origin that it gave no answer to.
    pub failed: u64,
    /// Requests that shared a fill.
    pub collapsed: u64,
}

impl Tally {
    /// Of times by outcome, of all requests to the origin, and of those that it gave no answer to.
    pub fn of_times(
        requests: [Times; Outcome::ALL.len()],
        origin: Times,
        unanswered: Times,
    ) -> Tally {
        Tally {
            requests,
            origin,
            unanswered,
            failed: unanswered.count(),
            ..Tally::default()
        }
    }

    pub(super) fn add(&mut self, counted: &Counted) {
        for (sum, timings) in self.requests.iter_mut().zip(&counted.requests) {
            timings.get().into_iter().for_each(|one| sum.add(one));
        }
        self.origin.add(&counted.origin);
        for (class, statuses) in counted.statuses.iter().enumerate() {
            for (rest, count) in statuses
                .get()
                .into_iter()
                .flat_map(|all| all.iter().enumerate())
            {
                let status = (class + 1) * CLASS + rest;
                match count.load(Ordering::Relaxed) {
                    0 => {}
                    count => *self.statuses.entry(status).or_default() += count,
                }
            }
        }
        if let Some(timings) = counted.unanswered.get() {
            self.unanswered.add(timings);
        }
        self.failed = self.unanswered.count();
        self.collapsed += counted.collapsed.load(Ordering::Relaxed);
    }

    pub(super) fn outcomes(&self) -> impl Iterator<Item = (&'static str, &Times)> {
        let outcomes = Outcome::ALL.into_iter().map(Outcome::word);
        outcomes
            .zip(&self.requests)
            .filter(|(_, times)| times.count() > 0)
    }

    pub(super) fn origin_answers(&self) -> impl Iterator<Item = (String, u64)> {
        let failed = (self.failed > 0).then(|| ("error".to_owned(), self.failed));
        let statuses = self.statuses.iter();
        statuses
            .map(|(status, count)| (status.to_string(), *count))
            .chain(failed)
    }

    /// Requests that ended so.
    pub fn of(&self, outcome: Outcome) -> &Times {
        &self.requests[outcome as usize]
    }

    /// Answered from what was kept, fresh or stale.
    pub fn hits(&self) -> Times {
        self.of(Outcome::Hit).plus(self.of(Outcome::Stale))
    }

    /// Answered by a rule, from what was kept or not: what a hit rate is a share of. Requests that may not use
    /// the rule, that it only observes, or that were answered an error count for nothing.
    pub fn served(&self) -> u64 {
        let fetched = [Outcome::Revalidated, Outcome::Miss, Outcome::Collapsed];
        let fetched = fetched.iter().map(|outcome| self.of(*outcome).count());
        fetched.fold(self.hits().count(), u64::saturating_add)
    }

    /// Requests that the origin answered, and how long that took.
    pub fn answered(&self) -> Times {
        self.origin.since(&self.unanswered)
    }

    /// These and those.
    pub fn plus(&self, other: &Tally) -> Tally {
        let mut tally = self.clone();
        for (one, other) in tally.requests.iter_mut().zip(&other.requests) {
            *one = one.plus(other);
        }
        tally.origin = tally.origin.plus(&other.origin);
        tally.unanswered = tally.unanswered.plus(&other.unanswered);
        tally.failed = tally.unanswered.count();
        tally.collapsed = tally.collapsed.saturating_add(other.collapsed);
        tally
    }

    /// What came since `earlier`. Statuses are left out.
    pub fn since(&self, earlier: &Tally) -> Tally {
        let mut tally = Tally::default();
        for (at, times) in tally.requests.iter_mut().enumerate() {
            *times = self.requests[at].since(&earlier.requests[at]);
        }
        tally.origin = self.origin.since(&earlier.origin);
        tally.unanswered = self.unanswered.since(&earlier.unanswered);
        tally.failed = tally.unanswered.count();
        tally.collapsed = self.collapsed.saturating_sub(earlier.collapsed);
        tally
    }

    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        let requests = self.requests.iter().chain([&self.origin]);
        requests.map(Times::count).all(|count| count == 0)
    }
}

//! What came of a rule within the window: the counters now, held against what they were then.

use crate::metrics::{Tally, Times};
use crate::rules::file::alerts::WINDOW_STEP;
use crate::stats::STEP;
use std::collections::VecDeque;
use std::time::Duration;

// Grammar and evaluation count alike.
const _: () = assert!(WINDOW_STEP.as_millis() == STEP.as_millis());

/// Marks that are kept of a rule, at most: 10 KB. A window of an hour begins at a whole minute then.
const MARKS: usize = 60;

/// What was counted of a rule so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counted {
    served: u64,
    hits: Times,
}

impl Counted {
    pub(super) fn of(tally: &Tally) -> Counted {
        Counted {
            served: tally.served(),
            hits: tally.hits(),
        }
    }

    fn since(&self, earlier: &Counted) -> Counted {
        Counted {
            served: self.served.saturating_sub(earlier.served),
            hits: self.hits.since(&earlier.hits),
        }
    }

    /// The share of hits, of so many answers at least.
    pub(super) fn hit_rate(&self, least: u64) -> Option<f64> {
        let is_enough = self.served >= least.max(1);
        is_enough.then(|| self.hits.count() as f64 / self.served as f64)
    }

    /// What the 99th percentile of hits took, of so many at least, in milliseconds.
    pub(super) fn p99(&self, least: u64) -> Option<f64> {
        let is_enough = self.hits.count() >= least;
        is_enough.then(|| Some(self.hits.quantile(0.99)? * 1000.0))?
    }
}

/// How a window is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    /// A mark is made every so many steps.
    every: usize,
    /// So many marks ago it began.
    marks: usize,
}

impl Span {
    pub(super) fn of(window: Duration) -> Span {
        let steps = window.as_millis().div_ceil(STEP.as_millis()) as usize;
        let every = steps.div_ceil(MARKS).max(1);
        let marks = steps.div_ceil(every).max(1);
        Span { every, marks }
    }
}

/// What a rule's counters were, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Window {
    marks: VecDeque<Counted>,
    steps: usize,
}

impl Window {
    /// Takes over what was counted so far, once each step, and says what of it came within the window; nothing
    /// before the rule was seen for a whole one: what a cold cache does is no news.
    pub(super) fn step(&mut self, span: Span, now: Counted) -> Option<Counted> {
        if self.steps.is_multiple_of(span.every) {
            self.marks.push_back(now);
            if self.marks.len() > span.marks + 1 {
                self.marks.pop_front();
            }
        }
        self.steps += 1;
        let is_whole = self.marks.len() > span.marks;
        is_whole.then(|| Some(now.since(self.marks.front()?)))?
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;
    use crate::outcome::Outcome;

    fn counted(hits: u64, misses: u64, took_ms: u64) -> Counted {
        let metrics = Metrics::new();
        let rule = metrics.rule("list");
        let took = Duration::from_millis(took_ms);
        (0..hits).for_each(|_| rule.request(Outcome::Hit, took));
        (0..misses).for_each(|_| rule.request(Outcome::Miss, took));
        Counted::of(&rule.sum())
    }

    #[test]
    fn a_window_holds_what_came_within_it_and_is_judged_when_it_is_whole() {
        let span = Span::of(Duration::from_secs(30));
        let mut window = Window::default();
        for (step, hits) in [4, 5, 6].into_iter().enumerate() {
            assert!(window.step(span, counted(hits, 2, 1)).is_none(), "{step}");
        }
        let came = window.step(span, counted(7, 3, 1)).expect("a whole window");
        assert_eq!((came.hits.count(), came.served), (3, 4));
        let came = window.step(span, counted(7, 3, 1)).expect("the next");
        assert_eq!((came.hits.count(), came.served), (2, 3));
    }

    #[test]
    fn a_long_window_is_kept_in_few_marks_and_is_never_too_short() {
        for steps in 1..=360_usize {
            let span = Span::of(STEP * steps as u32);
            assert!(
                span.marks <= MARKS && span.every * span.marks >= steps,
                "{span:?}"
            );
            let mut window = Window::default();
            let first = (0..).find(|_| window.step(span, Counted::default()).is_some());
            assert_eq!(first, Some(span.every * span.marks), "{steps} steps");
            assert!(window.marks.len() <= MARKS + 1);
        }
    }

    #[test]
    fn of_too_few_nothing_is_said() {
        let some = counted(9, 1, 2);
        assert_eq!(some.hit_rate(10), Some(0.9));
        assert_eq!(some.hit_rate(11), None);
        assert_eq!(Counted::default().hit_rate(0), None);
        let p99 = some.p99(9).expect("enough hits");
        assert!((1.0..=2.5).contains(&p99), "{p99}");
        assert_eq!(some.p99(10), None, "ten answers, of which nine are hits");
    }

    #[test]
    fn a_rule_that_began_anew_is_not_judged_by_what_was_before() {
        let span = Span::of(STEP);
        let mut window = Window::default();
        window.step(span, counted(100, 100, 1));
        let came = window.step(span, counted(1, 1, 1)).expect("whole");
        assert_eq!((came.hits.count(), came.served), (0, 0));
    }
}

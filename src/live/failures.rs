//! Failures of the origin, said in the log as they come, but never so many that the log is what fails next.

use crate::origin::{Failure, FailureKind};
use crate::rules::table::Rule;
use crate::trace::Trace;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// How many are said in a second: enough to see that they differ. Each request's own line, at `debug`, says
/// what it came to in any case.
const MOST: u64 = 10;

/// What was said in this second.
#[derive(Default)]
pub struct Failures {
    /// Of Unix time.
    second: AtomicU64,
    /// How many there were in it.
    count: AtomicU64,
    /// How many were not said since one was.
    unsaid: AtomicU64,
}

impl Failures {
    /// Says one, at this time in milliseconds of Unix time. A client that breaks off its own request is no
    /// failure of the origin.
    pub fn say(&self, trace: &Trace, rule: Option<&Rule>, failure: &Failure, now_ms: u64) {
        if failure.kind == FailureKind::RequestBody || !self.may_say(now_ms / 1000) {
            return;
        }
        tracing::warn!(
            trace_id = %trace,
            rule = rule.map_or("-", |rule| &rule.name),
            detail = failure.detail().word(),
            may_have_acted = failure.may_have_acted,
            unsaid = self.unsaid.swap(0, Relaxed),
            "the origin failed"
        );
    }

    /// Whether one more is said. Those of two threads that see a second begin at once count as one, which says
    /// one more.
    fn may_say(&self, second: u64) -> bool {
        if self.second.swap(second, Relaxed) != second {
            self.count.store(0, Relaxed);
        }
        let may = self.count.fetch_add(1, Relaxed) < MOST;
        if !may {
            self.unsaid.fetch_add(1, Relaxed);
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_failures_a_few_are_said_in_each_second_and_the_others_counted() {
        let failures = Failures::default();
        let said = |second| (0..100).filter(|_| failures.may_say(second)).count() as u64;
        assert_eq!(said(7), MOST);
        assert_eq!(failures.unsaid.load(Relaxed), 100 - MOST);
        assert_eq!(said(8), MOST);
    }
}

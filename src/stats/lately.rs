//! What happened lately: writes that dropped something, and what went wrong. Seen by how counters grew, so
//! many of one kind within a step are one line, and nothing personal stands in it but what an operator typed.

use super::Tallies;
use crate::metrics::{Metrics, PURGE, Tally};
use crate::outcome::Outcome;
use crate::rules::table::{Table, WITHOUT_SET};
use crate::store::Kind;
use serde::Serialize;
use std::collections::{BTreeMap, VecDeque};

/// Lines of each list that are kept: what a person reads.
const LINES: usize = 100;

/// What fails again within this many milliseconds goes on failing, and is told in the same line: a store that is down
/// fails at every step.
const SAME_MS: u64 = 60_000;

/// A line of a list.
trait Line {
    /// What it is a line of, apart from when and how often.
    fn kind(&self) -> (&str, &str, Option<usize>);
}

/// Patterns of a purge that are kept, of those that it named first.
const PATTERNS: usize = 20;

/// Writes of one set within a step.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Wrote {
    at: u64,
    set: String,
    count: u64,
    drops: Vec<String>,
}

/// Failures of one kind, without a pause between them.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Failed {
    /// The first of them.
    from: u64,
    /// The last of them.
    at: u64,
    /// `store`, `origin`, `answer`, `status` or `rules`.
    what: &'static str,
    /// The kind of a store's error, or the rule.
    of: String,
    /// With which the origin answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<usize>,
    count: u64,
}

impl Line for Wrote {
    fn kind(&self) -> (&str, &str, Option<usize>) {
        ("set", &self.set, None)
    }
}

impl Line for Failed {
    fn kind(&self) -> (&str, &str, Option<usize>) {
        (self.what, &self.of, self.status)
    }
}

/// What happened, the latest last.
#[derive(Default)]
pub(super) struct Lately {
    writes: VecDeque<Wrote>,
    errors: VecDeque<Failed>,
    counted: BTreeMap<String, u64>,
}

impl Lately {
    /// Takes over what was counted so far.
    pub(super) fn sample(&mut self, at: u64, tallies: &Tallies, metrics: &Metrics, table: &Table) {
        let named = table.sets.iter().map(|set| (set.name.as_str(), Some(set)));
        for (name, set) in named.chain(WITHOUT_SET.map(|label| (label, None))) {
            let count = self.came(format!("set {name}"), metrics.invalidations(name));
            if count > 0 {
                let drops = set.into_iter().flat_map(|set| &set.drops);
                let drops = drops.map(|drop| drop.template.to_string()).collect();
                let set = name.to_owned();
                push(
                    &mut self.writes,
                    Wrote {
                        at,
                        set,
                        count,
                        drops,
                    },
                );
            }
        }
        for kind in Kind::ALL.map(Kind::word) {
            self.failed(at, ("store", kind, None), metrics.failures(kind));
        }
        let refused = metrics.reload_failures();
        self.failed(at, ("rules", "reload", None), refused);
        for (rule, tally) in tallies {
            self.failed(at, ("origin", rule, None), tally.failed);
            self.failed(at, ("answer", rule, None), errors(tally));
            for (status, counted) in tally.statuses.range(500..600) {
                self.failed(at, ("status", rule, Some(*status)), *counted);
            }
        }
    }

    /// Takes over what was dropped by hand, in the words of whoever did it.
    pub(super) fn purged(&mut self, at: u64, patterns: &[String]) {
        let drops = patterns.iter().take(PATTERNS).cloned().collect();
        let (set, count) = (PURGE.to_owned(), 1);
        push(
            &mut self.writes,
            Wrote {
                at,
                set,
                count,
                drops,
            },
        );
    }

    fn failed(&mut self, at: u64, kind: (&'static str, &str, Option<usize>), counted: u64) {
        let (what, of, status) = kind;
        let count = self.came(
            format!("{what} {of} {}", status.unwrap_or_default()),
            counted,
        );
        if count == 0 {
            return;
        }
        let place = self.errors.iter().rposition(|line| line.kind() == kind);
        let known = place
            .filter(|place| at.saturating_sub(self.errors[*place].at) <= SAME_MS)
            .and_then(|place| self.errors.remove(place));
        let line = Failed {
            from: known.as_ref().map_or(at, |known| known.from),
            at,
            what,
            of: of.to_owned(),
            status,
            count: known.map_or(0, |known| known.count) + count,
        };
        push(&mut self.errors, line);
    }

    /// How many came since a counter was last seen.
    fn came(&mut self, counter: String, counted: u64) -> u64 {
        let before = self.counted.insert(counter, counted).unwrap_or(0);
        counted.saturating_sub(before)
    }

    /// The writes, the latest first.
    pub(super) fn writes(&self) -> Vec<Wrote> {
        self.writes.iter().rev().cloned().collect()
    }

    /// What went wrong, the latest first.
    pub(super) fn errors(&self) -> Vec<Failed> {
        self.errors.iter().rev().cloned().collect()
    }
}

fn errors(tally: &Tally) -> u64 {
    tally.of(Outcome::Error).count()
}

/// Adds a line. Where there are too many the oldest goes of what has the most: what is frequent does not push out
/// what is seldom.
fn push<T: Line>(lines: &mut VecDeque<T>, line: T) {
    lines.push_back(line);
    if lines.len() > LINES {
        lines.remove(dispensable(lines));
    }
}

fn dispensable<T: Line>(lines: &VecDeque<T>) -> usize {
    let mut counts = BTreeMap::<_, usize>::new();
    for line in lines {
        *counts.entry(line.kind()).or_default() += 1;
    }
    let most = counts.into_iter().max_by_key(|(_, count)| *count);
    let is_of_it = |line: &T| most.is_some_and(|(kind, _)| line.kind() == kind);
    lines.iter().position(is_of_it).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten seconds.
    const STEP: u64 = 10_000;

    #[test]
    fn what_goes_on_failing_is_one_line_until_it_pauses() {
        let mut lately = Lately::default();
        let io = ("store", "io", None);
        for step in 1..=500 {
            lately.failed(step * STEP, io, 18 * step);
            if step == 7 {
                lately.failed(step * STEP, ("origin", "list", None), 1);
            }
        }
        lately.failed(510 * STEP, io, 18 * 500 + 1);
        let told = lately.errors().into_iter();
        let told: Vec<_> = told
            .map(|line| (line.what, line.from / STEP, line.at / STEP, line.count))
            .collect();
        let wanted = [
            ("store", 510, 510, 1),
            ("store", 1, 500, 9000),
            ("origin", 7, 7, 1),
        ];
        assert_eq!(told, wanted);
    }

    #[test]
    fn what_is_frequent_does_not_push_out_what_is_seldom() {
        let mut lately = Lately::default();
        lately.failed(1, ("origin", "list", None), 1);
        lately.failed(1, ("status", "list", Some(500)), 1);
        lately.failed(1, ("status", "list", Some(503)), 1);
        for time in 1..=3 * LINES as u64 {
            lately.failed(time * 2 * SAME_MS, ("store", "io", None), time);
        }
        let told = lately.errors();
        assert_eq!(told.len(), LINES);
        assert_eq!(told[0].at, 6 * LINES as u64 * SAME_MS, "the latest first");
        let seldom: Vec<_> = told.iter().filter(|line| line.what != "store").collect();
        assert_eq!(seldom.len(), 3, "{seldom:?}");
    }
}

//! What happened lately: writes that dropped something, and what went wrong. Seen by how counters grew, so
//! many of one kind within a step are one line, and nothing personal stands in it but what an operator typed.

use super::Tallies;
use crate::metrics::{Metrics, PURGE, Tally};
use crate::outcome::Outcome;
use crate::rules::table::Table;
use crate::store::Kind;
use serde::Serialize;
use std::collections::{BTreeMap, VecDeque};

/// Lines of each list that are kept: what a person reads.
const LINES: usize = 100;

/// Drops that no set names, by the labels that they are counted under.
const WITHOUT_SET: [&str; 3] = ["auto", "groups", "rollout"];

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

/// Failures of one kind within a step.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Failed {
    at: u64,
    /// `store`, `origin`, `answer` or `rules`.
    what: &'static str,
    /// The kind of a store's error, or the rule.
    of: String,
    count: u64,
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
            self.failed(at, "store", kind, metrics.failures(kind));
        }
        self.failed(at, "rules", "reload", metrics.reload_failures());
        for (rule, tally) in tallies {
            self.failed(at, "origin", rule, tally.failed);
            self.failed(at, "answer", rule, errors(tally));
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

    fn failed(&mut self, at: u64, what: &'static str, of: &str, counted: u64) {
        let count = self.came(format!("{what} {of}"), counted);
        if count > 0 {
            let of = of.to_owned();
            push(
                &mut self.errors,
                Failed {
                    at,
                    what,
                    of,
                    count,
                },
            );
        }
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

fn push<T>(lines: &mut VecDeque<T>, line: T) {
    if lines.len() == LINES {
        lines.pop_front();
    }
    lines.push_back(line);
}

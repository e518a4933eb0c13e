//! Which reads were too old: from the moment on at which a write is [`due`], no read may return what the
//! register held before it. A read that may be answered from memory has `local_ttl` more, but where the
//! write was forwarded and answered.
//!
//! A read from before that which returns an older value is no error, but it is counted and the longest
//! time is told, so that the bounds are seen and not only asserted.

use super::due::{Due, Terms, deafened_by, due};
use super::history::{Fault, Read, Records, Write};
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// A read that returned less than a write that was due.
#[derive(Clone, Debug)]
pub struct Stale {
    pub read: Read,
    pub write: Write,
    pub terms: Terms,
    pub cause: Option<Fault>,
}

/// Reads that did not see a write before it was due.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Older {
    /// From the write's answer, or its commit, to the beginning of each; where memory was older than
    /// Redis, from the moment at which Redis showed the write.
    ages: Vec<Duration>,
}

impl Older {
    pub fn reads(&self) -> usize {
        self.ages.len()
    }

    pub fn longest(&self) -> Duration {
        self.ages.iter().max().copied().unwrap_or_default()
    }

    /// What 99 of 100 stay below.
    pub fn p99(&self) -> Duration {
        let mut ages = self.ages.clone();
        ages.sort();
        let last = ages.len() * 99 / 100;
        ages.get(last).copied().unwrap_or_default()
    }
}

/// What the checker found.
#[derive(Debug, Default)]
pub struct Verdict {
    pub stale: Vec<Stale>,
    pub older: BTreeMap<(Terms, Option<Fault>), Older>,
    /// Committed writes by what they were due by.
    pub writes: BTreeMap<Terms, u64>,
}

/// Holds every read against every write of its register.
pub fn check(records: &Records) -> Verdict {
    let mut verdict = Verdict::default();
    let mut registers: BTreeMap<usize, Vec<(&Write, u64, Due)>> = BTreeMap::new();
    for write in &records.writes {
        let Some(commit) = write.commit else { continue };
        let due = due(records, write);
        *verdict.writes.entry(due.terms).or_default() += 1;
        let writes = registers.entry(write.register).or_default();
        writes.push((write, commit.value, due));
    }
    for read in &records.reads {
        let writes = registers.get(&read.register).into_iter().flatten();
        let unseen = writes.filter(|(_, value, _)| *value > read.value);
        for (write, _, due) in unseen {
            verdict.judge(records, read, write, due);
        }
    }
    verdict
}

impl Verdict {
    /// Adds another's findings.
    pub fn add(&mut self, other: Verdict) {
        self.stale.extend(other.stale);
        for (class, found) in other.older {
            self.older.entry(class).or_default().ages.extend(found.ages);
        }
        for (terms, count) in other.writes {
            *self.writes.entry(terms).or_default() += count;
        }
    }

    fn judge(&mut self, records: &Records, read: &Read, write: &Write, due: &Due) {
        let Some(shown) = due.shown(write, read) else {
            return;
        };
        if shown + due.lag(write, read) <= read.begun {
            let stale = Stale {
                read: *read,
                write: write.clone(),
                terms: due.terms,
                cause: due.cause,
            };
            self.stale.push(stale);
        } else if shown <= read.begun {
            let cause = deafened_by(records, read, shown);
            self.count((Terms::Memory, cause), read.begun - shown);
        } else if due.since <= read.begun {
            self.count((due.terms, due.cause), read.begun - due.since);
        }
    }

    fn count(&mut self, class: (Terms, Option<Fault>), age: Duration) {
        self.older.entry(class).or_default().ages.push(age);
    }
}

impl fmt::Display for Stale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "after {:?}, due by {:?}: {:?} did not see {:?}",
            self.cause, self.terms, self.read, self.write
        )
    }
}

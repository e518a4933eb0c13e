//! Which reads were too old.
//!
//! From a write's *due* on, no read may return what the register held before it. Due is:
//!
//! - for a write whose answer its client has: that moment, through every sidecar;
//! - the same, where the sidecar that forwarded it lost Redis meanwhile: that moment through this
//!   sidecar, and through the others when it had Redis again and owed nothing;
//! - for a write that nobody was told of (its sidecar was killed, its client left, it was committed
//!   after the 504): the deadline of its lease;
//! - where it can have had no lease, because Redis was away or was emptied: when whatever was kept
//!   before has expired.
//!
//! A read from before a write's due that returns an older value is no error, but it is counted and the
//! longest time is told, so that the bounds are seen and not only asserted.

use super::history::{At, Fault, Injected, Poll, Read, Records, Write};
use super::{LEASE, LONGEST_FILL, STORE_TIMEOUT, TTL};
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// What Redis's millisecond clock and its expiry may lag behind ours.
const CLOCKS: Duration = Duration::from_millis(20);

/// How long after a broken connection a sidecar may not have noticed yet.
const NOTICED: Duration = Duration::from_millis(100);

/// By what a write is bound to be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Terms {
    /// By its answer.
    Answer,
    /// Through other sidecars, by the payment of what is owed.
    Payment,
    /// By the deadline of its lease.
    Lease,
    /// By the lifetime of what was kept before.
    Lifetime,
}

/// When a write must be seen.
#[derive(Clone, Copy, Debug)]
struct Due {
    /// Through the sidecar that forwarded it.
    own: At,
    /// Through the others.
    others: At,
    /// Since when a read that does not see it is counted.
    since: At,
    terms: Terms,
    cause: Option<Fault>,
}

/// A read that returned less than a write that was due.
#[derive(Clone, Debug)]
pub struct Stale {
    pub read: Read,
    pub write: Write,
    pub terms: Terms,
    pub cause: Option<Fault>,
}

/// Reads that did not see a write before it was due.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Older {
    pub reads: u64,
    /// From the write's answer, or its commit, to the beginning of the last of them.
    pub longest: Duration,
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
            verdict.judge(read, write, due);
        }
    }
    verdict
}

impl Verdict {
    /// Adds another's findings.
    pub fn add(&mut self, other: Verdict) {
        self.stale.extend(other.stale);
        for (class, found) in other.older {
            let older = self.older.entry(class).or_default();
            older.reads += found.reads;
            older.longest = older.longest.max(found.longest);
        }
        for (terms, count) in other.writes {
            *self.writes.entry(terms).or_default() += count;
        }
    }

    fn judge(&mut self, read: &Read, write: &Write, due: &Due) {
        let at = match read.through == write.through {
            true => due.own,
            false => due.others,
        };
        if at <= read.begun {
            let stale = Stale {
                read: *read,
                write: write.clone(),
                terms: due.terms,
                cause: due.cause,
            };
            self.stale.push(stale);
        } else if due.since <= read.begun {
            let older = self.older.entry((due.terms, due.cause)).or_default();
            older.reads += 1;
            older.longest = older.longest.max(read.begun - due.since);
        }
    }
}

fn due(records: &Records, write: &Write) -> Due {
    let commit = write.commit.expect("only committed writes are due");
    let expired = commit.committed + LONGEST_FILL + TTL + CLOCKS;
    let told = write
        .answered
        .filter(|(at, status)| *status != 504 && *at >= commit.committed);
    let polls = &records.polls[write.through];
    let Some((told, _)) = told else {
        let deadline = commit.committed.max(commit.arrived + LEASE) + CLOCKS;
        let (at, terms) = match leased(records, write) {
            true => (deadline.min(expired), Terms::Lease),
            false => (expired, Terms::Lifetime),
        };
        return Due {
            own: at,
            others: at,
            since: commit.committed,
            terms,
            cause: Some(untold_by(write)),
        };
    };
    let answer = Due {
        own: told,
        others: told,
        since: told,
        terms: Terms::Answer,
        cause: write.fault,
    };
    if stayed_connected(polls, write.begun, told) || bumped_before_death(records, write, told) {
        return answer;
    }
    Due {
        others: paid(polls, told).map_or(expired, |paid| paid.min(expired)),
        terms: Terms::Payment,
        cause: last_fault(records, write, told),
        ..answer
    }
}

/// Whether a sidecar had one connection to Redis all the time. It owes nothing before it takes its
/// connection away, so what was acknowledged meanwhile was not owed.
fn stayed_connected(polls: &[Poll], from: At, to: At) -> bool {
    let before = polls.iter().rposition(|poll| poll.ended <= from);
    let after = polls.iter().position(|poll| poll.begun >= to);
    let (Some(before), Some(after)) = (before, after) else {
        return false;
    };
    let first = polls[before].connected;
    let mut between = polls[before..=after].iter();
    between.all(|poll| poll.is_calm() && poll.connected == first)
}

/// The same of a sidecar that was killed before it was asked again: nothing had parted it from Redis,
/// and neither lease nor bump took a timeout.
fn bumped_before_death(records: &Records, write: &Write, told: At) -> bool {
    let Some((commit, before)) = write.commit.zip(calm_before(records, write)) else {
        return false;
    };
    let next = records.polls[write.through]
        .iter()
        .find(|poll| poll.begun >= told);
    let until = next.map_or(At::MAX, |poll| poll.ended);
    let killed = records.injected.iter().any(|injected| {
        let ours = injected.fault == Fault::SidecarKilled && injected.whom == Some(write.through);
        ours && injected.from >= told && injected.from <= until
    });
    killed
        && !parted(records, write.through, before.begun, told)
        && commit.arrived - write.begun < STORE_TIMEOUT
        && told - commit.committed < STORE_TIMEOUT
}

/// The last poll before a write, if all was well.
fn calm_before<'r>(records: &'r Records, write: &Write) -> Option<&'r Poll> {
    let mut polls = records.polls[write.through].iter();
    let before = polls.rfind(|poll| poll.ended <= write.begun);
    before.filter(|poll| poll.is_calm())
}

/// Whether a fault between these moments can have parted a sidecar from Redis.
fn parted(records: &Records, whom: usize, from: At, to: At) -> bool {
    let mut faults = records.injected.iter();
    faults.any(|fault| {
        let concerns = fault.whom.is_none_or(|one| one == whom);
        fault.fault.parts_from_redis() && concerns && overlaps(fault, from, to)
    })
}

fn overlaps(fault: &Injected, from: At, to: At) -> bool {
    fault.from <= to && fault.to + NOTICED >= from
}

/// When nothing from before `told` was owed any more.
fn paid(polls: &[Poll], told: At) -> Option<At> {
    let poll = polls
        .iter()
        .find(|poll| poll.begun >= told && poll.is_calm());
    poll.map(|poll| poll.ended)
}

/// Whether the write's lease was certainly granted, and was still there when it was committed.
fn leased(records: &Records, write: &Write) -> bool {
    let commit = write.commit.expect("only committed writes are asked about");
    let Some(before) = calm_before(records, write) else {
        return false;
    };
    let mut faults = records.injected.iter();
    let emptied = faults
        .any(|fault| fault.fault.empties_redis() && overlaps(fault, write.begun, commit.committed));
    let lost = emptied || parted(records, write.through, before.begun, commit.arrived);
    // A lease that was not answered took the whole timeout.
    !lost && commit.arrived - write.begun < STORE_TIMEOUT
}

/// Why its client was told of a write too early or not at all.
fn untold_by(write: &Write) -> Fault {
    match (write.answered, write.fault) {
        (Some(_), _) => Fault::CommittedLate,
        (None, Some(Fault::ClientLeft)) => Fault::ClientLeft,
        (None, _) => Fault::SidecarKilled, // nothing else breaks a client's connection
    }
}

/// The last thing, before `at`, that can have parted the write's sidecar from Redis or ended it.
fn last_fault(records: &Records, write: &Write, at: At) -> Option<Fault> {
    let may = |fault: Fault| fault.parts_from_redis() || fault == Fault::SidecarKilled;
    let suspects = records.injected.iter().filter(|injected| {
        may(injected.fault)
            && injected.from <= at
            && injected.whom.is_none_or(|whom| whom == write.through)
    });
    suspects
        .max_by_key(|injected| injected.from)
        .map(|injected| injected.fault)
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

//! From when on a write must be seen.
//!
//! - A write whose answer its client has: from that moment, through every sidecar;
//! - the same, where the sidecar that forwarded it lost Redis meanwhile: from that moment through this
//!   sidecar, and through the others when it had Redis again and owed nothing;
//! - a write that nobody was told of (its sidecar was killed, its client left, it was committed
//!   after the 504): from the deadline of its lease, through sidecars with the same rules; those with
//!   others may have begun to keep answers only when the lease was registered already;
//! - where it can have had no lease, because Redis was away or was emptied: when whatever was kept
//!   before has expired.
//!
//! A write that the rules of its sidecar do not name has no lease and is not owed. It is due like any
//! other where it was answered and Redis was there, through sidecars whose rules name it.

use super::history::{At, Fault, Injected, Poll, Read, Records, Write};
use super::rules::Edition;
use super::{LEASE, LOCAL_TTL, LONGEST_FILL, STORE_TIMEOUT, TTL};
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
    /// Elsewhere, or where Redis itself dropped the versions: that long after the moment at which
    /// Redis knew.
    Memory,
}

/// When a write must be seen.
#[derive(Clone, Copy, Debug)]
pub struct Due {
    /// Through the sidecar that forwarded it.
    own: At,
    /// Through the others.
    others: At,
    /// Through any that goes by other rules.
    differing: At,
    /// Since when a read that does not see it is counted.
    pub since: At,
    pub terms: Terms,
    pub cause: Option<Fault>,
}

impl Due {
    /// From when on Redis lets a read see the write; `None` where no rule of the reader's makes it.
    pub fn shown(&self, write: &Write, read: &Read) -> Option<At> {
        let is_unnamed = write.lifts && write.edition != Some(Edition::New);
        if is_unnamed && read.edition != Some(Edition::New) {
            return None;
        }
        let at = match read.through == write.through {
            true => self.own,
            false => self.others,
        };
        let is_same = write.edition.is_some() && write.edition == read.edition;
        Some(if is_same { at } else { at.max(self.differing) })
    }

    /// How much later the reader's sidecar may see it: the one that forwarded a write and told of it
    /// has forgotten what it knew.
    pub fn lag(&self, write: &Write, read: &Read) -> Duration {
        let is_told = matches!(self.terms, Terms::Answer | Terms::Payment);
        match read.is_near && !(is_told && read.through == write.through) {
            true => LOCAL_TTL,
            false => Duration::ZERO,
        }
    }
}

/// When a committed write must be seen.
pub fn due(records: &Records, write: &Write) -> Due {
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
            differing: expired,
            since: commit.committed,
            terms,
            cause: Some(untold_by(records, write)),
        };
    };
    let answer = Due {
        own: told,
        others: told,
        differing: told,
        since: told,
        terms: Terms::Answer,
        cause: write.fault,
    };
    if stayed_connected(polls, write.begun, told) || bumped_before_death(records, write, told) {
        return answer;
    }
    let cause = last_fault(records, write, told);
    if write.lifts && write.edition != Some(Edition::New) {
        return Due {
            own: expired,
            others: expired,
            terms: Terms::Lifetime,
            cause,
            ..answer
        };
    }
    Due {
        others: paid(polls, told).map_or(expired, |paid| paid.min(expired)),
        terms: Terms::Payment,
        cause,
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
        let ours = injected.fault.kills() && injected.whom == Some(write.through);
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
    let is_unnamed = write.lifts && write.edition != Some(Edition::New);
    if is_unnamed || !kept_its_rules(records, write) || commit.committed - write.begun >= LEASE {
        return false;
    }
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

/// Whether the rules that its sidecar had when it was sent were those that it was forwarded by.
fn kept_its_rules(records: &Records, write: &Write) -> bool {
    let commit = write.commit.expect("only committed writes are asked about");
    let mut faults = records.injected.iter();
    write.edition.is_some()
        && !faults.any(|fault| {
            fault.fault.changes_rules()
                && fault.whom == Some(write.through)
                && overlaps(fault, write.begun, commit.arrived)
        })
}

/// Why its client was told of a write too early or not at all.
fn untold_by(records: &Records, write: &Write) -> Fault {
    match (write.answered, write.fault) {
        (Some(_), _) => Fault::CommittedLate,
        (None, Some(Fault::ClientLeft)) => Fault::ClientLeft,
        (None, _) => killed_by(records, write),
    }
}

/// How the write's sidecar ended: nothing else breaks a client's connection.
fn killed_by(records: &Records, write: &Write) -> Fault {
    let mut faults = records.injected.iter();
    let struck = faults.find(|injected| {
        let ours = injected.fault.kills() && injected.whom == Some(write.through);
        ours && injected.to >= write.begun
    });
    struck.map_or(Fault::SidecarKilled, |injected| injected.fault)
}

/// The last thing, before `at`, that can have parted the write's sidecar from Redis or ended it.
fn last_fault(records: &Records, write: &Write, at: At) -> Option<Fault> {
    let may = |fault: Fault| fault.parts_from_redis() || fault.kills();
    let suspects = records.injected.iter().filter(|injected| {
        may(injected.fault)
            && injected.from <= at
            && injected.whom.is_none_or(|whom| whom == write.through)
    });
    suspects
        .max_by_key(|injected| injected.from)
        .map(|injected| injected.fault)
}

/// The last thing that can have kept a reader's sidecar from hearing of a write before it was read.
pub fn deafened_by(records: &Records, read: &Read, shown: At) -> Option<Fault> {
    let suspects = records.injected.iter().filter(|injected| {
        let concerns = injected.whom.is_none_or(|whom| whom == read.through);
        injected.fault.deafens() && concerns && overlaps(injected, shown, read.begun)
    });
    suspects
        .max_by_key(|injected| injected.from)
        .map(|injected| injected.fault)
}

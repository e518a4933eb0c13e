//! What a read may return. From a write's *due* on it may not return what the register held before:
//!
//! - a write whose answer its client has is due at that moment, through every sidecar;
//! - the same, where its sidecar owed deletions to Redis then: at once through this sidecar, and
//!   through the others when it owed nothing any more;
//! - a write that nobody was told of (its sidecar was killed, its client left, it was answered 502 or
//!   504): at the deadline of its lease;
//! - a write that drops softly, where the rule has a window for that: as long after it was told as the
//!   window lasts;
//! - through other sidecars so much later as the rule allows to answer from memory unasked;
//! - where it has no lease, because Redis was away or lost it, or because what it drops stands in the
//!   origin's answer (groups): when what was kept before has expired.

use super::history::{At, History};
use super::{LONGEST_FILL, LONGEST_WRITE, REGISTERS};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

/// By what Redis's clock, in whole milliseconds, and its expiry may lag.
const ROUNDING: Duration = Duration::from_millis(2);

/// A write as far as it got.
#[derive(Clone, Debug)]
struct Write {
    register: usize,
    through: usize,
    commit: Option<(At, u64)>,
    told: Option<At>,
    lease: Option<Lease>,
    /// It softly drops what may be softly dropped.
    is_soft: bool,
    /// Its sidecar owed something when it was told.
    owed: bool,
    /// No other write of its register goes through its sidecar before.
    busy_until: At,
}

#[derive(Clone, Copy, Debug)]
struct Lease {
    deadline: At,
    lost: bool,
}

/// What is promised of some answers.
#[derive(Clone, Copy, Debug)]
pub struct Promise {
    /// For how long they are kept.
    pub ttl: Duration,
    /// For how long they may be answered from memory.
    pub local_ttl: Duration,
    /// For how long they may be served after a soft drop.
    pub window: Duration,
    /// Whether what drops them is known before the origin answers.
    pub is_leased: bool,
}

/// What every read is held against.
pub struct Checker {
    history: Arc<History>,
    writes: Mutex<BTreeMap<u64, Write>>,
}

impl Checker {
    pub fn new(history: Arc<History>) -> Checker {
        Checker {
            history,
            writes: Mutex::default(),
        }
    }

    fn writes(&self) -> MutexGuard<'_, BTreeMap<u64, Write>> {
        self.writes.lock().expect("nothing panics that holds it")
    }

    fn change(&self, id: u64, change: impl FnOnce(&mut Write)) {
        change(self.writes().get_mut(&id).expect("a write that was begun"));
    }

    /// A write is sent through a sidecar; its number. None while another one of this register may be
    /// under way there: which of them a lease is for could not be told.
    pub fn begun(&self, register: usize, through: usize, is_soft: bool) -> Option<u64> {
        let now = self.history.now();
        let mut writes = self.writes();
        let is_busy = writes.values().any(|write| {
            write.register == register && write.through == through && now < write.busy_until
        });
        let id = writes.len() as u64;
        let write = Write {
            register,
            through,
            commit: None,
            told: None,
            lease: None,
            is_soft,
            owed: false,
            busy_until: At::MAX,
        };
        (!is_busy).then(|| {
            writes.insert(id, write);
            id
        })
    }

    /// Redis holds an intent of a write of this register by this sidecar.
    pub fn leased(&self, register: usize, through: usize, lasting: Duration) {
        let deadline = self.history.now() + lasting;
        let mut writes = self.writes();
        let ours = writes.values_mut().rev().find(|write| {
            write.register == register && write.through == through && write.told.is_none()
        });
        if let Some(write) = ours {
            write.lease.get_or_insert(Lease {
                deadline,
                lost: false,
            });
        }
    }

    /// Redis forgot all intents, or some.
    pub fn leases_lost(&self) {
        for write in self.writes().values_mut() {
            write.lease.iter_mut().for_each(|lease| lease.lost = true);
        }
    }

    /// The origin has it.
    pub fn committed(&self, id: u64, value: u64) {
        let now = self.history.now();
        self.change(id, |write| write.commit = Some((now, value)));
        let register = self.writes()[&id].register;
        self.history
            .tell(format!("origin: write {id} commits {register}={value}"));
    }

    /// Its client has the origin's answer. `owed` says whether its sidecar owes something to Redis.
    pub fn told(&self, id: u64, owed: bool) {
        let now = self.history.now();
        self.change(id, |write| {
            write.told = Some(now);
            write.owed = owed;
            write.busy_until = now;
        });
    }

    /// Its client will never have one.
    pub fn untold(&self, id: u64) {
        let until = self.history.now() + LONGEST_WRITE;
        self.change(id, |write| write.busy_until = until);
    }

    /// Whether a write through this sidecar is committed and its client waits for the answer.
    pub fn is_unacknowledged(&self, through: usize) -> bool {
        let writes = self.writes();
        let mut ours = writes.values().filter(|write| write.through == through);
        ours.any(|write| write.commit.is_some() && write.busy_until == At::MAX)
    }

    /// A sidecar owes nothing.
    pub fn paid(&self, through: usize) {
        let mut writes = self.writes();
        let ours = writes.values_mut().filter(|write| write.through == through);
        ours.for_each(|write| write.owed = false);
    }

    /// The least that a read may return which begins now, for each register.
    pub fn floor(&self, through: usize, promise: Promise) -> [u64; REGISTERS] {
        let now = self.history.now();
        let mut floor = [0; REGISTERS];
        for write in self.writes().values() {
            if let Some((_, value)) = write.commit
                && write.due(through, promise).is_some_and(|due| due <= now)
            {
                floor[write.register] = value.max(floor[write.register]);
            }
        }
        floor
    }

    /// The most that has been committed.
    pub fn ceiling(&self) -> [u64; REGISTERS] {
        let mut ceiling = [0; REGISTERS];
        for write in self.writes().values() {
            let (_, value) = write.commit.unwrap_or_default();
            ceiling[write.register] = value.max(ceiling[write.register]);
        }
        ceiling
    }

    /// How many writes there were.
    pub fn count(&self) -> usize {
        self.writes().len()
    }
}

impl Write {
    fn due(&self, through: usize, promise: Promise) -> Option<At> {
        let Promise {
            ttl,
            local_ttl,
            is_leased,
            ..
        } = promise;
        let (committed, _) = self.commit?;
        let window = match self.is_soft && !promise.window.is_zero() {
            true => promise.window + ROUNDING,
            false => Duration::ZERO,
        };
        let expired = committed + ttl + LONGEST_FILL;
        let is_own = through == self.through;
        match (self.told, self.lease.filter(|_| is_leased)) {
            (Some(told), _) if told >= committed && is_own => Some(told + window),
            (Some(told), _) if told >= committed && !self.owed => Some(told + local_ttl + window),
            (_, Some(lease)) if !lease.lost && lease.deadline >= committed => {
                Some((lease.deadline + ROUNDING + local_ttl).min(expired))
            }
            _ => Some(expired),
        }
    }
}

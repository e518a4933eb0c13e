//! What happened in a run, by one clock: the test's own process, in which the clients and the origin
//! live.

use super::dice::Dice;
use super::rules::Edition;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Since the run began.
pub type At = Duration;

/// What is done to a sidecar, to Redis, to the origin or to one write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    SidecarKilled,
    /// Killed while the origin keeps it waiting for the answer to a write that is committed.
    WriterKilled,
    /// Killed while it fetches for the fleet.
    HolderKilled,
    /// Stopped for longer than it may answer from memory.
    SidecarPaused,
    /// SIGHUP, with the other rules.
    RulesReloaded,
    /// Ended and started with the other rules.
    RulesReplaced,
    RedisHung,
    RedisFlushed,
    RedisRestarted,
    NodesEvicted,
    ConnectionsDropped,
    /// `CLIENT KILL TYPE pubsub`.
    SubscribersDropped,
    OriginSlow,
    /// The origin commits and answers 500.
    FailedAfterCommit,
    /// The origin commits and closes the connection.
    LostAfterCommit,
    /// The origin commits after `origin_timeout`: the client has a 504 by then.
    CommittedLate,
    /// The client sends the whole write, or half of its body, and leaves.
    ClientLeft,
}

impl Fault {
    /// Whether a sidecar may lose Redis by it.
    pub fn parts_from_redis(self) -> bool {
        use Fault::*;
        matches!(
            self,
            RedisHung | RedisRestarted | ConnectionsDropped | SidecarPaused
        )
    }

    /// Whether a sidecar may hear of other's writes late, or not at all.
    pub fn deafens(self) -> bool {
        self.parts_from_redis() || self == Fault::SubscribersDropped
    }

    /// Whether a sidecar is killed.
    pub fn kills(self) -> bool {
        use Fault::*;
        matches!(self, SidecarKilled | WriterKilled | HolderKilled)
    }

    /// Whether a sidecar goes by other rules from then on.
    pub fn changes_rules(self) -> bool {
        matches!(self, Fault::RulesReloaded | Fault::RulesReplaced)
    }

    /// Whether intents are lost by it.
    pub fn empties_redis(self) -> bool {
        matches!(self, Fault::RedisFlushed | Fault::RedisRestarted)
    }
}

/// A fault that was injected, to one sidecar or to what all share.
#[derive(Clone, Copy, Debug)]
pub struct Injected {
    pub fault: Fault,
    pub whom: Option<usize>,
    pub from: At,
    pub to: At,
}

/// What the origin did for a write.
#[derive(Clone, Copy, Debug)]
pub struct Commit {
    /// When its head was there: a lease was registered before.
    pub arrived: At,
    pub committed: At,
    /// What the register held from then on; it only grows.
    pub value: u64,
}

/// A write as its client saw it, and what came of it.
#[derive(Clone, Debug)]
pub struct Write {
    pub id: u64,
    pub register: usize,
    pub through: usize,
    /// The rules of the sidecar that forwarded it, unless they were changing.
    pub edition: Option<Edition>,
    /// Only the new rules have a set for it.
    pub lifts: bool,
    pub begun: At,
    /// When the whole answer was there, and its status.
    pub answered: Option<(At, u16)>,
    /// Filled in when the run is over.
    pub commit: Option<Commit>,
    pub fault: Option<Fault>,
}

/// A read that was answered.
#[derive(Clone, Copy, Debug)]
pub struct Read {
    pub register: usize,
    pub through: usize,
    /// The rules of the sidecar that answered it, unless they were changing.
    pub edition: Option<Edition>,
    /// Whether it may be answered from memory.
    pub is_near: bool,
    pub begun: At,
    pub ended: At,
    pub value: u64,
    pub hit: bool,
}

/// What a sidecar said of itself, some time between `begun` and `ended`.
#[derive(Clone, Copy, Debug)]
pub struct Poll {
    pub begun: At,
    pub ended: At,
    /// `None` where it did not answer or had no connection to Redis.
    pub connected: Option<Connected>,
}

/// Which connection to Redis a sidecar had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connected {
    /// Which process it was.
    pub incarnation: u64,
    /// How often that process had connected; each connection begins with one PING.
    pub pings: u64,
    /// How many nodes it owed.
    pub owed: u64,
}

impl Poll {
    /// Nothing that was acknowledged before this poll began is owed when it has ended.
    pub fn is_calm(&self) -> bool {
        self.connected.is_some_and(|connected| connected.owed == 0)
    }
}

/// All of it.
#[derive(Debug, Default)]
pub struct Records {
    pub reads: Vec<Read>,
    pub writes: Vec<Write>,
    /// By sidecar.
    pub polls: Vec<Vec<Poll>>,
    pub injected: Vec<Injected>,
    /// Reads that got no answer, or none of the origin's.
    pub unanswered: u64,
    /// How long readers took that found a fetch's holder alive or just killed.
    pub orphaned: Vec<Duration>,
}

/// Records under way.
pub struct History {
    begun: Instant,
    seed: u64,
    records: Mutex<Records>,
}

impl History {
    /// An empty one that begins now.
    pub fn new(seed: u64, sidecars: usize) -> History {
        let records = Records {
            polls: vec![Vec::new(); sidecars],
            ..Records::default()
        };
        History {
            begun: Instant::now(),
            seed,
            records: Mutex::new(records),
        }
    }

    /// The present moment.
    pub fn now(&self) -> At {
        self.begun.elapsed()
    }

    /// The chance of one actor.
    pub fn dice(&self, actor: u64) -> Dice {
        Dice::new(self.seed, actor)
    }

    /// Notes something.
    pub fn note(&self, note: impl FnOnce(&mut Records)) {
        note(&mut self.records.lock().expect("not poisoned"));
    }

    /// Notes a fault that began at `from` and has just ended.
    pub fn injected(&self, fault: Fault, whom: Option<usize>, from: At) {
        let to = self.now();
        let injected = Injected {
            fault,
            whom,
            from,
            to,
        };
        self.note(|records| records.injected.push(injected));
    }

    /// What was noted.
    pub fn take(&self) -> Records {
        std::mem::take(&mut self.records.lock().expect("not poisoned"))
    }
}

//! What happens in a run, by its own clock: told line by line, counted, and summed up in a digest.

use super::dice::Dice;
use crate::store::simulated::{self, Reply};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};
use tokio::time::{Duration, Instant};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Since the run began.
pub type At = Duration;

/// What goes wrong, one word for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    // on a line to Redis
    SlowThere,
    SlowBack,
    BrokenBefore,
    BrokenAfter,
    BrokenSilently,
    // of Redis
    Evicted,
    Flushed,
    ScriptsFlushed,
    Hung,
    Full,
    Killed,
    Restored,
    // of sidecars
    Crashed,
    ClockSet,
    // of the origin
    Unreachable,
    LostBeforeCommit,
    LostAfterCommit,
    FailedAfterCommit,
    Refused,
    CommittedLate,
    Failed,
    Slow,
    BodyBroken,
    BodyStalled,
    // of clients
    Left,
    UploadBroken,
    ReadSlowly,
}

impl Fault {
    /// What may befall a command on its way.
    pub const ON_LINES: [Fault; 5] = [
        Fault::SlowThere,
        Fault::SlowBack,
        Fault::BrokenBefore,
        Fault::BrokenAfter,
        Fault::BrokenSilently,
    ];
    /// What may befall a read at the origin.
    pub const OF_READS: [Fault; 6] = [
        Fault::Unreachable,
        Fault::Failed,
        Fault::LostAfterCommit,
        Fault::Slow,
        Fault::BodyBroken,
        Fault::BodyStalled,
    ];
    /// What may befall a write there.
    pub const OF_WRITES: [Fault; 8] = [
        Fault::Unreachable,
        Fault::LostBeforeCommit,
        Fault::LostAfterCommit,
        Fault::FailedAfterCommit,
        Fault::Refused,
        Fault::CommittedLate,
        Fault::Slow,
        Fault::BodyBroken,
    ];
    /// What befalls Redis and the sidecars.
    pub const OF_PROCESSES: [Fault; 9] = [
        Fault::Evicted,
        Fault::Flushed,
        Fault::ScriptsFlushed,
        Fault::Hung,
        Fault::Full,
        Fault::Killed,
        Fault::Restored,
        Fault::Crashed,
        Fault::ClockSet,
    ];
    /// What clients do.
    pub const OF_CLIENTS: [Fault; 3] = [Fault::Left, Fault::UploadBroken, Fault::ReadSlowly];

    /// All of them.
    pub fn all() -> impl Iterator<Item = Fault> {
        let kinds: [&[Fault]; 5] = [
            &Fault::ON_LINES,
            &Fault::OF_READS,
            &Fault::OF_WRITES,
            &Fault::OF_PROCESSES,
            &Fault::OF_CLIENTS,
        ];
        kinds.concat().into_iter()
    }
}

/// How often, of a thousand times, each sort of fault is drawn. A run has its own mixture: where
/// everything fails all the time, little is ever kept, and little can be stale.
#[derive(Clone, Copy, Debug, Default)]
pub struct Likely {
    pub line: usize,
    pub origin: usize,
    pub client: usize,
    /// Of processes, each time one might.
    pub process: usize,
    /// Whether clocks jump.
    pub clocks: bool,
    /// How many writes each writer makes at most: what a later write drops shows no lease.
    pub writes: usize,
}

impl Likely {
    pub fn drawn(dice: &mut Dice) -> Likely {
        Likely {
            line: dice.one_of(&[0, 0, 5, 20, 80]),
            origin: dice.one_of(&[0, 50, 150, 300]),
            client: dice.one_of(&[0, 50, 200]),
            process: dice.one_of(&[0, 500, 1000]),
            clocks: dice.in_thousand(300),
            writes: dice.one_of(&[1, 2, 4, usize::MAX]),
        }
    }
}

/// What happened so far.
pub struct History {
    began: Instant,
    inner: Mutex<Inner>,
}

struct Inner {
    likely: Likely,
    digest: u64,
    told: Vec<String>,
    faults: BTreeMap<Fault, u64>,
}

/// A key without what is random about it: a claim has a digest of versions behind its mark.
pub fn plain(key: &str) -> &str {
    match key.split_once('!') {
        Some((entry, digest)) if digest.len() == 32 => &key[..entry.len() + 1],
        _ => key,
    }
}

impl History {
    pub fn new(likely: Likely) -> History {
        let inner = Inner {
            likely,
            digest: 0,
            told: Vec::new(),
            faults: BTreeMap::new(),
        };
        History {
            began: Instant::now(),
            inner: Mutex::new(inner),
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("nothing panics that holds it")
    }

    pub fn now(&self) -> At {
        self.began.elapsed()
    }

    pub fn likely(&self) -> Likely {
        self.inner().likely
    }

    /// Nothing goes wrong any more.
    pub fn calm_down(&self) {
        self.tell("from here on nothing goes wrong".into());
        self.inner().likely = Likely::default();
    }

    /// Notes what happens now.
    pub fn tell(&self, what: String) {
        let line = format!("{:>6} ms  {what}", self.now().as_millis());
        let mut inner = self.inner();
        inner.digest = xxh3_64_with_seed(line.as_bytes(), inner.digest);
        inner.told.push(line);
    }

    pub fn injected(&self, fault: Fault) {
        *self.inner().faults.entry(fault).or_default() += 1;
        self.tell(format!("* {fault:?}"));
    }

    /// A command took effect in Redis.
    pub fn commanded(&self, through: usize, words: &[Bytes], reply: &Reply) {
        let name = simulated::name(words);
        // A message says what the command before it said.
        let keys = words.iter().filter(|word| word.starts_with(b"sim:"));
        let keys = keys.filter(|_| name != "PUBLISH");
        let mut keys: Vec<_> = keys
            .filter(|key| !key.ends_with(b"!!") && !key.ends_with(b"*!"))
            .map(|key| plain(&String::from_utf8_lossy(&key[4..])).to_owned())
            .collect();
        keys.sort(); // what is owed is deleted in any order
        let said = match reply {
            Reply::Refused(said) => said.split(' ').next().unwrap_or_default(),
            Reply::Nil => "nothing",
            _ => "done",
        };
        self.tell(format!(
            "sidecar {through} > {name} {}: {said}",
            keys.join(" ")
        ));
    }

    /// All that was told, in order, and what it comes to.
    pub fn told(&self) -> (Vec<String>, u64) {
        let inner = self.inner();
        (inner.told.clone(), inner.digest)
    }

    pub fn faults(&self) -> BTreeMap<Fault, u64> {
        self.inner().faults.clone()
    }
}

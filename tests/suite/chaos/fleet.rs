//! What all actors of a round share.

use super::history::History;
use super::link::Link;
use super::origin::Origin;
use super::rules::{self, Edition, Flaw};
use super::{FIRST_COLD, SIDECARS};
use crate::process::Process;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use tempfile::TempDir;

/// Where a sidecar is to be found now.
#[derive(Clone, Copy)]
pub struct Doors {
    /// Counts the processes at this place.
    pub incarnation: u64,
    pub proxy: SocketAddr,
    pub admin: SocketAddr,
    pub rules: InForce,
}

/// Which rules a sidecar goes by.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct InForce {
    /// `None` while they change.
    pub edition: Option<Edition>,
    /// How often they have changed at this place.
    changes: u64,
}

impl InForce {
    /// The only edition from a moment when `self` was in force to one when `later` was.
    pub fn until(self, later: InForce) -> Option<Edition> {
        self.edition.filter(|_| self == later)
    }
}

/// One round's.
pub struct Fleet {
    pub history: Arc<History>,
    pub origin: Origin,
    doors: [Mutex<Option<Doors>>; SIDECARS],
    writes: AtomicU64,
    cold: AtomicUsize,
    /// No more faults, no more writes.
    pub quiet: AtomicBool,
    pub over: AtomicBool,
    /// From each sidecar to Redis.
    pub links: Vec<Link>,
    flaw: Option<Flaw>,
    home: TempDir,
}

impl Fleet {
    /// One whose sidecars are yet to be started, each with its link to Redis.
    pub fn new(
        history: Arc<History>,
        origin: Origin,
        links: Vec<Link>,
        flaw: Option<Flaw>,
    ) -> Fleet {
        Fleet {
            history,
            origin,
            doors: Default::default(),
            writes: AtomicU64::new(0),
            cold: AtomicUsize::new(FIRST_COLD),
            quiet: AtomicBool::new(false),
            over: AtomicBool::new(false),
            links,
            flaw,
            home: tempfile::tempdir().expect("a directory"),
        }
    }

    /// Where a sidecar is.
    pub fn doors(&self, of: usize) -> Doors {
        let doors = self.doors[of].lock().expect("not poisoned");
        doors.expect("it was started before the actors")
    }

    /// Whether all is over.
    pub fn is_over(&self) -> bool {
        self.over.load(SeqCst)
    }

    /// Whether faults and writes have ended.
    pub fn is_quiet(&self) -> bool {
        self.quiet.load(SeqCst)
    }

    /// The number of the next write.
    pub fn next_write(&self) -> u64 {
        self.writes.fetch_add(1, SeqCst)
    }

    /// A register that nobody has read and nobody will write.
    pub fn next_cold(&self) -> usize {
        self.cold.fetch_add(1, SeqCst)
    }

    /// The rules file of a place; one that was killed finds its journal there.
    pub fn file(&self, whom: usize, edition: Edition) -> String {
        let journal = self.home.path().join(format!("owed-{whom}"));
        let store = format!("redis://{}", self.links[whom].address);
        rules::file(self.origin.address, &store, &journal, edition, self.flaw)
    }

    /// Starts a sidecar at its place.
    pub fn start(&self, whom: usize, edition: Edition) -> Process {
        Process::start(&self.file(whom, edition))
    }

    /// Sends clients to one that was started.
    pub fn admit(&self, whom: usize, process: &Process, edition: Edition) {
        let mut doors = self.doors[whom].lock().expect("not poisoned");
        let before = doors.map(|doors| (doors.incarnation + 1, doors.rules.changes));
        let (incarnation, changes) = before.unwrap_or_default();
        let edition = Some(edition);
        *doors = Some(Doors {
            incarnation,
            proxy: process.proxy(),
            admin: process.door(),
            rules: InForce { edition, changes },
        });
    }

    /// The rules of a sidecar; for the one who changes them.
    pub fn edition(&self, of: usize) -> Edition {
        let edition = self.doors(of).rules.edition;
        edition.expect("nobody else changes them")
    }

    /// Notes which rules a sidecar goes by from now on; `None` before they change.
    pub fn go_by(&self, whom: usize, edition: Option<Edition>) {
        let mut doors = self.doors[whom].lock().expect("not poisoned");
        let doors = doors.as_mut().expect("it was started before");
        doors.rules.edition = edition;
        doors.rules.changes += 1;
    }
}

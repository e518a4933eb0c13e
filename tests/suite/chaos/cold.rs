//! What a fleet asks the origin for that all readers want at once.

use super::actors::read_once;
use super::client::Client;
use super::fleet::Fleet;
use super::{FETCH, SIDECARS};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use tokio::task::JoinSet;

/// Registers that nobody has read.
const COLD: usize = 8;

/// Readers of each, through each sidecar.
const AT_ONCE: usize = 2;

/// Reads of cold registers, and what the origin was asked for them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cold {
    pub registers: u64,
    pub reads: u64,
    pub fetches: u64,
}

impl Cold {
    /// Adds another round's.
    pub fn add(&mut self, other: Cold) {
        self.registers += other.registers;
        self.reads += other.reads;
        self.fetches += other.fetches;
    }
}

/// Reads one cold register after another, through all sidecars at once, while nothing else happens.
pub async fn read(fleet: &Arc<Fleet>) -> Cold {
    let origin = &fleet.origin.registers;
    origin.slow.store(FETCH.as_millis() as u64, SeqCst);
    let mut cold = Cold::default();
    let registers: Vec<usize> = (0..COLD).map(|_| fleet.next_cold()).collect();
    for &register in &registers {
        let mut readers = JoinSet::new();
        for through in (0..SIDECARS).flat_map(|one| [one; AT_ONCE]) {
            let fleet = fleet.clone();
            readers.spawn(async move {
                read_once(&fleet, &mut Client::default(), "one", register, through).await
            });
        }
        cold.reads += readers.join_all().await.into_iter().flatten().count() as u64;
    }
    origin.slow.store(0, SeqCst);
    cold.registers = COLD as u64;
    let paths = registers.iter().map(|register| format!("/one/{register}"));
    cold.fetches = paths.map(|path| origin.fetches(&path)).sum();
    cold
}

impl fmt::Display for Cold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (registers, reads, fetches) = (self.registers, self.reads, self.fetches);
        write!(
            f,
            "{registers} cold keys, {reads} reads through {SIDECARS} sidecars at once: {fetches} fetches"
        )
    }
}

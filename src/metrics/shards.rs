//! Counters that threads need not share: each thread adds to its own, and who asks is told the sum.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Threads beyond these share a shard with another, which costs time and no count. More than the
/// workers of most sidecars; a shard that no thread counts in takes a pointer's place.
const SHARDS: usize = 16;

static THREADS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// In the order in which threads count for the first time, so that neighbours differ.
    static OWN: usize = THREADS.fetch_add(1, Ordering::Relaxed) % SHARDS;
}

/// One `T` for each thread that counts, made when it first does.
#[derive(Debug, Default)]
pub(super) struct Sharded<T>([OnceLock<Box<T>>; SHARDS]);

impl<T: Default> Sharded<T> {
    /// The calling thread's.
    pub(super) fn own(&self) -> &T {
        self.0[OWN.with(|own| *own)].get_or_init(Box::default)
    }

    /// All that were ever counted in.
    pub(super) fn all(&self) -> impl Iterator<Item = &T> {
        self.0.iter().filter_map(|shard| Some(&**shard.get()?))
    }
}

//! How long nodes and markers live.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

/// How long they live from when they are made; a reload may change it.
pub struct NodeTtl(AtomicU64);

impl NodeTtl {
    /// So long, in whole milliseconds.
    pub fn new(ttl: Duration) -> NodeTtl {
        let node_ttl = NodeTtl(AtomicU64::new(0));
        node_ttl.set(ttl);
        node_ttl
    }

    /// So long from now on.
    pub fn set(&self, ttl: Duration) {
        self.0.store(ttl.as_millis() as u64, SeqCst); // configured durations fit
    }

    /// How long.
    pub fn get(&self) -> Duration {
        Duration::from_millis(self.0.load(SeqCst))
    }
}

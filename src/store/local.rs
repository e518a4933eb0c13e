//! The local tier: decoded bodies in this process's memory, before Redis. It never says that an
//! entry is usable: the versions are asked of Redis each time.

use super::tier::{Tier, Weighs};
use crate::entry::{Entry, Version};
use crate::metrics::Metrics;
use std::sync::Arc;

/// Entries by store key.
pub struct Local(Tier<Arc<Entry>>);

impl Weighs for Arc<Entry> {
    fn weight(&self) -> usize {
        Entry::weight(self)
    }
}

impl Local {
    /// An empty tier of at most `max` bytes.
    pub fn new(max: usize, metrics: Arc<Metrics>) -> Local {
        Local(Tier::new(max, metrics))
    }

    /// The entry kept under `key`, unless its lifetime is over at `now`: then a sidecar elsewhere
    /// may have kept a newer one in Redis.
    pub fn get(&self, key: &str, now: u64) -> Option<Arc<Entry>> {
        let entry = self.0.get(key)?;
        if entry.expired(now) {
            self.0.remove(key);
            return None;
        }
        Some(entry)
    }

    /// Keeps an entry.
    pub fn put(&self, key: &str, entry: Arc<Entry>) {
        self.0.put(key, entry);
    }

    /// Forgets an entry.
    pub fn remove(&self, key: &str) {
        self.0.remove(key);
    }
}

/// Whether the entry was kept under exactly these versions, all present.
pub fn matches(entry: &Entry, versions: &[Option<Version>]) -> bool {
    entry.versions.len() == versions.len()
        && entry
            .versions
            .iter()
            .zip(versions)
            .all(|(kept, now)| Some(*kept) == *now)
}

//! The local tier: decoded bodies in this process's memory, before Redis. It never says that an
//! entry is usable: its versions are asked of Redis, or [`known`](super::known).

use super::tier::{Tier, Weighs};
use crate::clock::Reading;
use crate::entry::{Entry, Version};
use crate::metrics::Metrics;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Entries by store key.
pub struct Local(Tier<Kept>);

/// An entry, and when it ends whatever becomes of the clock of Unix time.
#[derive(Clone)]
struct Kept {
    entry: Arc<Entry>,
    ends: Instant,
}

impl Weighs for Kept {
    fn weight(&self) -> usize {
        self.entry.weight()
    }
}

impl Local {
    /// An empty tier of at most `max` bytes.
    pub fn new(max: usize, metrics: Arc<Metrics>) -> Local {
        Local(Tier::new(max, metrics))
    }

    /// The entry kept under `key`, unless its freshness is over at `now` on either clock: then a sidecar
    /// elsewhere may have kept a newer one in Redis. Setting the clock of Unix time back lengthens no
    /// lifetime, and a suspension, in which the other clock stands still, counts.
    pub fn get(&self, key: &str, now: &Reading) -> Option<Arc<Entry>> {
        let Kept { entry, ends } = self.0.get(key)?;
        if entry.expired(now.unix_ms()) || now.monotonic() >= ends {
            self.0.remove(key);
            return None;
        }
        Some(entry)
    }

    /// Keeps an entry that came at `now`. One that ends later than a clock can show is not kept, nor a
    /// part: in Redis another sidecar may have put the whole in its place.
    pub fn put(&self, key: &str, entry: Arc<Entry>, now: &Reading) {
        let left = entry
            .kept_at
            .saturating_add(entry.ttl)
            .saturating_sub(now.unix_ms());
        let left = Duration::from_millis(left.min(entry.ttl));
        match now.monotonic().checked_add(left) {
            Some(ends) if !entry.is_part() => self.0.put(key, Kept { entry, ends }),
            _ => self.0.remove(key),
        }
    }

    /// Forgets an entry.
    pub fn remove(&self, key: &str) {
        self.0.remove(key);
    }
}

/// Whether the entry was kept under exactly these versions, all present.
pub fn matches(entry: &Entry, versions: &[Option<Version>]) -> bool {
    entry.versions.len() == versions.len() && begins_with(entry, versions)
}

/// Whether these versions, all present, are the first of those that the entry was kept under.
pub fn begins_with(entry: &Entry, versions: &[Option<Version>]) -> bool {
    entry.versions.len() >= versions.len()
        && entry
            .versions
            .iter()
            .zip(versions)
            .all(|(kept, now)| Some(*kept) == *now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, simulated};
    use crate::digest::Digest;
    use bytes::Bytes;
    use hyper::{HeaderMap, StatusCode};

    fn entry(kept_at: u64, ttl: u64) -> Arc<Entry> {
        Arc::new(Entry {
            binding: Digest([7; 16]),
            versions: Vec::new(),
            groups: Vec::new(),
            kept_at,
            ttl,
            stale: Default::default(),
            initial_age: 0,
            took: 0,
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            body: Bytes::new(),
        })
    }

    fn tier() -> (Local, simulated::Clock, Clock) {
        let local = Local::new(1 << 20, Arc::new(Metrics::new()));
        let machine = simulated::Clock::right();
        (local, machine.clone(), machine.into())
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_is_set_back_lengthens_no_lifetime() {
        let (local, machine, clock) = tier();
        let now = clock.reading();
        local.put("key", entry(now.unix_ms() - 2000, 5000), &now);
        machine.set_ahead_ms(-30_000);
        tokio::time::advance(Duration::from_millis(2999)).await;
        assert!(local.get("key", &clock.reading()).is_some());
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(local.get("key", &clock.reading()).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn an_entry_that_claims_to_come_from_the_future_lives_for_its_ttl_at_most() {
        let (local, _, clock) = tier();
        let now = clock.reading();
        local.put("key", entry(now.unix_ms() + 30_000, 5000), &now);
        tokio::time::advance(Duration::from_millis(5000)).await;
        assert!(local.get("key", &clock.reading()).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_suspension_counts_although_the_monotonic_clock_stood_still() {
        let (local, machine, clock) = tier();
        let now = clock.reading();
        local.put("key", entry(now.unix_ms(), 5000), &now);
        machine.set_ahead_ms(5000);
        assert!(local.get("key", &clock.reading()).is_none());
        machine.set_ahead_ms(0);
        assert!(local.get("key", &clock.reading()).is_none(), "for good");
    }
}

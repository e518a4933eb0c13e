//! A memory bounded by bytes, for both places that need one: the local tier before Redis, and the
//! store that is memory alone.

use crate::metrics::Metrics;
use quick_cache::sync::Cache;
use quick_cache::{DefaultHashBuilder, Lifecycle, OptionsBuilder, Weighter};
use std::sync::Arc;

/// A shard takes no item heavier than itself, so shards are kept at least this large: a multiple
/// of the default `[store] max_entry` (1 MiB).
const SHARD_BYTES: usize = 8 << 20;

/// More shards than this gain nothing on the machines a sidecar runs on.
const MAX_SHARDS: usize = 32;

/// What an item is taken to weigh when the table is first sized; it only sets how much is
/// reserved beforehand.
const USUAL_ITEM_BYTES: usize = 4096;

/// Says what it costs to keep.
pub trait Weighs {
    /// Bytes, overhead included.
    fn weight(&self) -> usize;
}

/// Values by key, at most so many bytes of them. Which are evicted first is S3-FIFO's choice.
pub struct Tier<Value> {
    cache: Cache<String, Value, ByBytes, DefaultHashBuilder, Evictions>,
    metrics: Arc<Metrics>,
}

impl<Value: Weighs + Clone> Tier<Value> {
    /// An empty tier that will hold at most `max` bytes.
    pub fn new(max: usize, metrics: Arc<Metrics>) -> Tier<Value> {
        let shards = (max / SHARD_BYTES).clamp(1, MAX_SHARDS);
        let options = OptionsBuilder::new()
            .estimated_items_capacity(max / USUAL_ITEM_BYTES)
            .weight_capacity(max as u64)
            .shards(1 << shards.ilog2())
            .build()
            .expect("both capacities are given");
        let evictions = Evictions(metrics.clone());
        let cache = Cache::with_options(options, ByBytes, DefaultHashBuilder::default(), evictions);
        Tier { cache, metrics }
    }

    /// The value kept under `key`.
    pub fn get(&self, key: &str) -> Option<Value> {
        self.cache.get(key)
    }

    /// Keeps a value in place of what was there. A value heavier than the tier is not kept, nor is
    /// what it was to replace.
    pub fn put(&self, key: &str, value: Value) {
        self.cache.insert(key.to_owned(), value);
        self.measure();
    }

    /// Forgets what was kept under `key`.
    pub fn remove(&self, key: &str) {
        if self.cache.remove(key).is_some() {
            self.measure();
        }
    }

    fn measure(&self) {
        self.metrics.local(self.cache.weight(), self.cache.len());
    }
}

#[derive(Clone)]
struct ByBytes;

impl<Value: Weighs> Weighter<String, Value> for ByBytes {
    fn weight(&self, key: &String, value: &Value) -> u64 {
        (key.len() + value.weight()) as u64
    }
}

#[derive(Clone)]
struct Evictions(Arc<Metrics>);

impl<Value> Lifecycle<String, Value> for Evictions {
    type RequestState = ();

    fn on_evict(&self, _: &mut (), _: String, _: Value) {
        self.0.local_evicted();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Debug, PartialEq)]
    struct Heavy(usize);

    impl Weighs for Heavy {
        fn weight(&self) -> usize {
            self.0
        }
    }

    #[test]
    fn the_tier_never_outgrows_its_bytes_and_counts_what_it_evicts() {
        let metrics = Arc::new(Metrics::new());
        let tier = Tier::new(1 << 20, metrics.clone());
        for number in 0..1000 {
            tier.put(&number.to_string(), Heavy(10_000));
        }
        assert!(tier.cache.weight() <= 1 << 20);
        let text = metrics.encode();
        assert!(text.contains(&format!("sidecache_local_entries {}\n", tier.cache.len())));
        let evicted = 1000 - tier.cache.len();
        assert!(text.contains(&format!("sidecache_local_evictions_total {evicted}\n")));
    }

    #[test]
    fn a_tier_takes_an_item_of_half_its_size_and_none_above_it() {
        let tier = Tier::new(64 << 20, Arc::new(Metrics::new()));
        tier.put("fits", Heavy(7 << 20));
        assert!(tier.get("fits").is_some());
        tier.put("fits", Heavy(65 << 20));
        assert_eq!(tier.get("fits"), None);
        tier.put("gone", Heavy(1));
        tier.remove("gone");
        assert_eq!(tier.get("gone"), None);
    }

    #[test]
    fn a_tier_of_no_bytes_keeps_nothing() {
        let tier = Tier::new(0, Arc::new(Metrics::new()));
        tier.put("key", Heavy(1));
        assert_eq!(tier.get("key"), None);
    }
}

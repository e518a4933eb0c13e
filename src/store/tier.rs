//! A memory bounded by bytes, for both places that need one: the local tier before Redis, and the
//! store that is memory alone.
//!
//! What it holds gives its memory back in four ways: it is evicted to make room, replaced, removed by
//! who finds that it is of no more use, or swept away some time after its end, though nobody asks.
//! No lock is held while anything is read, judged or freed: what leaves is freed by whoever made it
//! leave, behind the lock.

mod sweep; // what has ended goes, though nobody asks for it

use crate::clock::{Clock, Reading};
use crate::metrics::Metrics;
use quick_cache::sync::Cache;
use quick_cache::{DefaultHashBuilder, Lifecycle, OptionsBuilder, Weighter};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

/// A shard takes no item heavier than itself, so shards are kept at least this large: a multiple
/// of the default `[store] max_entry` (1 MiB).
const SHARD_BYTES: usize = 8 << 20;

/// More shards than this gain nothing on the machines a sidecar runs on.
const MAX_SHARDS: usize = 32;

/// What an item is taken to weigh where it matters how many there will be: half as many keys as fit
/// then are remembered after they were evicted, so that one that comes back soon is taken to be
/// wanted.
const USUAL_ITEM_BYTES: usize = 4096;

/// What an item costs beside its key and value: the counters of the key, a slot of some 72 bytes in a
/// slab and 4 in a hash table, both of which grow by doubling.
const SLOT_BYTES: usize = 160;

/// Items of so many bytes are one body, but for little, and the allocator has four sizes to each doubling.
/// Smaller ones are many pieces, larger ones a number of pages.
const ROUNDED: RangeInclusive<usize> = 16 << 10..=512 << 10;

/// Of each item an eighth more is counted for what the allocator cannot use: gaps that pieces of other
/// sizes leave, the rounding of small ones, what each thread has in hand. Measured with tiers full of
/// answers of 200 bytes to 1 MiB that give way to others all the time.
const SLACK: usize = 8;

/// No item leaves larger gaps than this.
const MAX_SLACK: usize = 512 << 10;

/// For how long what was found dropped stays for those who ask for it while another is fetched: they
/// need not have it from Redis then, nor fetch all of it if no more than its versions have changed.
/// Most origins answer within it.
pub const LINGER: Duration = Duration::from_secs(5);

/// What is kept in a tier.
pub trait Held: Clone + Send + Sync + 'static {
    /// Bytes that it holds of this process's memory, but for its key and its place in the tier.
    fn weight(&self) -> usize;

    /// Whether it is of no more use at `now`, and never will be again.
    fn has_ended(&self, now: &Reading) -> bool;
}

type Items<Value> = Cache<Arc<str>, Value, ByBytes, DefaultHashBuilder, Evictions>;

/// Values by key, at most so many bytes of them. Which are evicted first is CLOCK-Pro's choice: what
/// was asked for more than once stays before what was not, however much of that there is.
pub struct Tier<Value>(Arc<Items<Value>>);

impl<Value: Held> Tier<Value> {
    /// An empty tier that will hold at most `max` bytes, and tells `metrics` what it holds whenever they
    /// are asked for.
    pub fn new(max: usize, metrics: Arc<Metrics>) -> Tier<Value> {
        let shards = (max / SHARD_BYTES).clamp(1, MAX_SHARDS);
        let options = OptionsBuilder::new()
            .estimated_items_capacity(max / USUAL_ITEM_BYTES)
            .weight_capacity(max as u64)
            .shards(1 << shards.ilog2())
            .build()
            .expect("both capacities are given");
        let evictions = Evictions(metrics.clone());
        let items = Cache::with_options(options, ByBytes, DefaultHashBuilder::default(), evictions);
        let items = Arc::new(items);
        let held = Arc::downgrade(&items);
        metrics.local(move || {
            let held = held.upgrade();
            held.map_or((0, 0), |items| (items.weight(), items.len()))
        });
        Tier(items)
    }

    /// The value kept under `key`, be it ended.
    pub fn get(&self, key: &str) -> Option<Value> {
        self.0.get(key)
    }

    /// Keeps a value in place of what was there. A value heavier than the tier is not kept, nor is
    /// what it was to replace.
    pub fn put(&self, key: &str, value: Value) {
        self.0.insert(Arc::from(key), value);
    }

    /// Keeps a value in place of what is there, if anything is. It is no more wanted for that.
    pub fn replace(&self, key: &str, value: Value) {
        let _ = self.0.replace(Arc::from(key), value, true); // there was nothing
    }

    /// Forgets what was kept under `key`.
    pub fn remove(&self, key: &str) {
        self.0.remove(key);
    }

    /// Forgets what was kept under `key`, unless something else is kept there by now.
    pub fn remove_if(&self, key: &str, is_meant: impl FnOnce(&Value) -> bool) {
        self.0.remove_if(key, is_meant);
    }

    /// Bytes that it says it holds.
    #[cfg(test)]
    pub fn weight(&self) -> u64 {
        self.0.weight()
    }

    /// Forgets what has ended, for as long as this is polled: see [`sweep::run`].
    pub fn sweep(&self, clock: Clock) -> impl Future<Output = ()> + Send + use<Value> {
        sweep::run(self.0.clone(), clock)
    }
}

#[derive(Clone)]
struct ByBytes;

impl<Value: Held> Weighter<Arc<str>, Value> for ByBytes {
    fn weight(&self, key: &Arc<str>, value: &Value) -> u64 {
        taken(SLOT_BYTES + key.len() + value.weight()) as u64
    }
}

/// Bytes that the allocator takes for an item of so many.
fn taken(bytes: usize) -> usize {
    let rounded = match ROUNDED.contains(&bytes) {
        true => bytes.next_multiple_of(bytes.next_power_of_two() / 8),
        false => bytes,
    };
    rounded.saturating_add((rounded / SLACK).min(MAX_SLACK))
}

#[derive(Clone)]
struct Evictions(Arc<Metrics>);

impl<Value> Lifecycle<Arc<str>, Value> for Evictions {
    /// Dropped when the lock is not held any more.
    type RequestState = Vec<(Arc<str>, Value)>;

    fn on_evict(&self, evicted: &mut Self::RequestState, key: Arc<str>, value: Value) {
        self.0.local_evicted();
        evicted.push((key, value));
    }
}

#[cfg(test)]
mod tests;

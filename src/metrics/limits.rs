//! What is counted by limit.

use super::family::{count, family};
use super::shards::Sharded;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

/// The `result` label, each at the place where it is counted.
const RESULTS: [&str; 3] = ["allowed", "limited", "unenforced"];

/// The counters of one limit, in all its versions: a reload that keeps the name keeps them.
#[derive(Debug, Default)]
pub struct LimitMetrics(Sharded<[AtomicU64; RESULTS.len()]>);

impl LimitMetrics {
    /// A request was counted by it and goes on.
    pub fn allowed(&self) {
        self.add(0);
    }

    /// A request was one too many.
    pub fn limited(&self) {
        self.add(1);
    }

    /// A request goes on uncounted, because the store could not be asked.
    pub fn unenforced(&self) {
        self.add(2);
    }

    fn add(&self, result: usize) {
        self.0.own()[result].fetch_add(1, Relaxed);
    }

    fn sums(&self) -> [(&'static str, u64); RESULTS.len()] {
        let sum = |at: usize| self.0.all().map(|own| own[at].load(Relaxed)).sum();
        std::array::from_fn(|at| (RESULTS[at], sum(at)))
    }
}

/// The counters of all limits there were, by name.
#[derive(Debug, Default)]
pub(super) struct Limits(Mutex<BTreeMap<String, Arc<LimitMetrics>>>);

impl Limits {
    /// The counters of a name, the same for all who ask.
    pub(super) fn named(&self, name: &str) -> Arc<LimitMetrics> {
        let mut limits = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        limits.entry(name.to_owned()).or_default().clone()
    }

    pub(super) fn sums(&self) -> Vec<(String, [(&'static str, u64); RESULTS.len()])> {
        let limits = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let sums = limits
            .iter()
            .map(|(name, limit)| (name.clone(), limit.sums()));
        sums.collect()
    }
}

impl Collector for Limits {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let sums = self.sums();
        let samples = sums.iter().flat_map(|(name, sums)| {
            let labels = |result| [("limit", name.as_str()), ("result", result)];
            sums.map(|(result, sum)| (labels(result), sum))
        });
        let what = ("limit", "Requests, by limit.", MetricType::Counter);
        family(&mut encoder, what, samples, count)
    }
}

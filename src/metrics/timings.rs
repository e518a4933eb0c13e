//! How long things took: a histogram that is counted with two additions.

use prometheus_client::encoding::{MetricEncoder, NoLabelSet};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds in seconds. They reach from a hit in local memory (about 100 µs) to the default
/// origin timeout (30 s), 2–2.5 apart, so that a quantile read from them is off by at most that.
pub(super) const SECONDS: [f64; 17] = [
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0, 30.0,
];

/// One for each bound and one for what took longer.
const BUCKETS: usize = SECONDS.len() + 1;

const NANOS_PER_SECOND: f64 = 1e9;

/// [`SECONDS`], to be compared with without a conversion.
const NANOS: [u64; SECONDS.len()] = {
    let mut nanos = [0; SECONDS.len()];
    let mut at = 0;
    while at < nanos.len() {
        nanos[at] = (SECONDS[at] * NANOS_PER_SECOND + 0.5) as u64;
        at += 1;
    }
    nanos
};

/// Written by one thread, as a rule. It begins on a cache line of its own, which is 64 bytes on all
/// machines that we are built for, so that no other thread's counters are slowed by it.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(super) struct Timings {
    nanos: AtomicU64,
    buckets: [AtomicU64; BUCKETS],
}

impl Timings {
    /// Counts one that took so long.
    pub(super) fn observe(&self, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let bucket = NANOS.partition_point(|bound| *bound < nanos);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.nanos.fetch_add(nanos, Ordering::Relaxed);
    }
}

/// The sum of some [`Timings`], as they were when each was added.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Times {
    nanos: u64,
    buckets: [u64; BUCKETS],
}

impl Times {
    /// Adds what one thread counted.
    pub(super) fn add(&mut self, timings: &Timings) {
        self.nanos += timings.nanos.load(Ordering::Relaxed);
        for (sum, bucket) in self.buckets.iter_mut().zip(&timings.buckets) {
            *sum += bucket.load(Ordering::Relaxed);
        }
    }

    /// How many there were.
    pub(super) fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// As a histogram in seconds.
    pub(super) fn encode(&self, encoder: &mut MetricEncoder<'_>) -> fmt::Result {
        let mut buckets = [(f64::INFINITY, 0); BUCKETS];
        for (at, bucket) in buckets.iter_mut().enumerate() {
            let bound = SECONDS.get(at).copied().unwrap_or(f64::INFINITY);
            *bucket = (bound, self.buckets[at]);
        }
        let seconds = self.nanos as f64 / NANOS_PER_SECOND;
        encoder.encode_histogram::<NoLabelSet>(seconds, self.count(), &buckets, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(took: Duration) -> usize {
        let timings = Timings::default();
        timings.observe(took);
        let mut times = Times::default();
        times.add(&timings);
        assert_eq!(times.count(), 1);
        let found = times.buckets.iter().position(|count| *count == 1);
        found.expect("counted somewhere")
    }

    #[test]
    fn a_bucket_holds_what_took_as_long_as_its_bound_and_nothing_longer() {
        for (at, seconds) in SECONDS.iter().enumerate() {
            let bound = Duration::from_secs_f64(*seconds);
            assert_eq!(bucket(bound), at, "{seconds}");
            assert_eq!(bucket(bound + Duration::from_nanos(1)), at + 1, "{seconds}");
        }
        assert_eq!(bucket(Duration::ZERO), 0);
        assert_eq!(bucket(Duration::MAX), BUCKETS - 1);
    }
}

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

/// The sum of what some threads timed, as it was when each was added.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
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
    pub fn count(&self) -> u64 {
        self.buckets.iter().copied().fold(0, u64::saturating_add)
    }

    /// How long they took in all.
    pub fn seconds(&self) -> f64 {
        self.nanos as f64 / NANOS_PER_SECOND
    }

    /// The time in seconds that this share of them did not exceed, from 0 to 1, as near as buckets tell;
    /// what took longer than the last bound counts as that. `None` where there were none.
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let rank = share * self.count() as f64;
        let mut below = 0.0;
        for (at, bucket) in self.buckets.iter().enumerate() {
            let within = *bucket as f64;
            if within > 0.0 && below + within >= rank {
                let lower = at.checked_sub(1).map_or(0.0, |before| SECONDS[before]);
                let upper = SECONDS.get(at).copied().unwrap_or(lower);
                return Some(lower + (upper - lower) * ((rank - below) / within).max(0.0));
            }
            below += within;
        }
        None
    }

    /// These and those.
    pub fn plus(&self, other: &Times) -> Times {
        self.with(other, u64::saturating_add)
    }

    /// What came since `earlier`.
    pub fn since(&self, earlier: &Times) -> Times {
        self.with(earlier, u64::saturating_sub)
    }

    fn with(&self, other: &Times, of: impl Fn(u64, u64) -> u64) -> Times {
        let mut times = *self;
        times.nanos = of(self.nanos, other.nanos);
        for (one, other) in times.buckets.iter_mut().zip(&other.buckets) {
            *one = of(*one, *other);
        }
        times
    }

    /// As numbers, to be kept: nanoseconds, then each bucket that is not empty, its place before its count.
    /// Nothing where there were none.
    pub fn to_numbers(&self) -> Vec<u64> {
        let places = (0..).zip(self.buckets).filter(|(_, count)| *count > 0);
        match self.count() {
            0 => Vec::new(),
            _ => [self.nanos]
                .into_iter()
                .chain(places.flat_map(|(place, count)| [place, count]))
                .collect(),
        }
    }

    /// What [`Times::to_numbers`] made; nothing of anything else.
    pub fn of_numbers(numbers: &[u64]) -> Times {
        let [nanos, places @ ..] = numbers else {
            return Times::default();
        };
        let mut times = Times {
            nanos: *nanos,
            ..Times::default()
        };
        for pair in places.chunks(2) {
            let bucket = pair.first().and_then(|place| usize::try_from(*place).ok());
            let bucket = bucket.and_then(|place| times.buckets.get_mut(place));
            match (bucket, pair) {
                (Some(bucket), [_, count]) => *bucket = *count,
                _ => return Times::default(),
            }
        }
        times
    }

    /// As a histogram in seconds.
    pub(super) fn encode(&self, encoder: &mut MetricEncoder<'_>) -> fmt::Result {
        let mut buckets = [(f64::INFINITY, 0); BUCKETS];
        for (at, bucket) in buckets.iter_mut().enumerate() {
            let bound = SECONDS.get(at).copied().unwrap_or(f64::INFINITY);
            *bucket = (bound, self.buckets[at]);
        }
        encoder.encode_histogram::<NoLabelSet>(self.seconds(), self.count(), &buckets, None)
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

    fn times(took: &[u64]) -> Times {
        let timings = Timings::default();
        took.iter()
            .for_each(|millis| timings.observe(Duration::from_millis(*millis)));
        let mut times = Times::default();
        times.add(&timings);
        times
    }

    #[test]
    fn a_quantile_lies_in_the_bucket_of_its_rank() {
        assert_eq!(Times::default().quantile(0.5), None);
        let mixed = times(&[2, 2, 2, 2, 2, 2, 2, 2, 2, 400]);
        let median = mixed.quantile(0.5).expect("some");
        assert!((0.001..=0.0025).contains(&median), "{median}");
        let last = mixed.quantile(0.99).expect("some");
        assert!((0.25..=0.5).contains(&last), "{last}");
        assert_eq!(
            times(&[3_600_000]).quantile(0.5),
            Some(30.0),
            "the last bound"
        );
    }

    #[test]
    fn times_can_be_added_taken_away_and_written_down() {
        let (early, late) = (times(&[1, 5]), times(&[40]));
        let both = early.plus(&late);
        assert_eq!(both.count(), 3);
        assert_eq!(both.since(&late), early);
        assert_eq!(Times::of_numbers(&both.to_numbers()), both);
        assert!(both.to_numbers().len() <= 7, "what is empty is left out");
        for other in [&[1, 2][..], &[1, 99, 3], &[1, 2, 3, 4]] {
            assert_eq!(Times::of_numbers(other), Times::default(), "{other:?}");
        }
        let most = Times::of_numbers(&[u64::MAX, 2, u64::MAX]);
        assert_eq!(
            most.plus(&most).plus(&both).count(),
            u64::MAX,
            "and no less"
        );
        assert!(Times::default().to_numbers().is_empty());
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

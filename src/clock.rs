//! The clock. Judgement takes time as an argument; only the edges read it here.

use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::Instant;

/// Milliseconds of Unix time. A clock set before 1970 reads as zero: everything kept is then
/// younger than it looks, and the store's own expiry still ends it.
pub fn now_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| {
            u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
        })
}

/// What a sidecar takes the time to be. Clones are the same clock.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    #[cfg(test)]
    simulated: Option<simulated::Clock>,
}

impl Clock {
    /// Milliseconds of Unix time.
    pub fn now_ms(&self) -> u64 {
        #[cfg(test)]
        if let Some(simulated) = &self.simulated {
            return simulated.now_ms();
        }
        now_ms()
    }

    /// Both clocks of the machine at once.
    pub fn reading(&self) -> Reading {
        Reading {
            monotonic: Instant::now(),
            unix_ms: self.now_ms(),
        }
    }
}

/// One moment on both clocks of the machine. The one of Unix time jumps when it is set; the
/// monotonic one never does, but may stand still while the machine is suspended. What may not be
/// older than so and so much is held against both.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    monotonic: Instant,
    unix_ms: u64,
}

impl Reading {
    /// On the monotonic clock.
    pub fn monotonic(&self) -> Instant {
        self.monotonic
    }

    /// Milliseconds of Unix time.
    pub fn unix_ms(&self) -> u64 {
        self.unix_ms
    }

    /// How long ago `earlier` was: what the clock says by which it is longer.
    pub fn since(&self, earlier: &Reading) -> Duration {
        let unix = self.unix_ms.saturating_sub(earlier.unix_ms);
        let monotonic = self.monotonic.saturating_duration_since(earlier.monotonic);
        monotonic.max(Duration::from_millis(unix))
    }

    /// Whether, on both clocks, `earlier` is less than `span` ago and not ahead.
    pub fn is_within(&self, span: Duration, earlier: &Reading) -> bool {
        let unix = self.unix_ms.checked_sub(earlier.unix_ms);
        let is_less = |passed: Option<Duration>| passed.is_some_and(|passed| passed < span);
        is_less(self.monotonic.checked_duration_since(earlier.monotonic))
            && is_less(unix.map(Duration::from_millis))
    }
}

#[cfg(test)]
pub mod simulated {
    //! Unix time by Tokio's clock, which tests may pause, and set as a test likes.

    use std::sync::Arc;
    use std::sync::atomic::{AtomicI64, Ordering::SeqCst};
    use tokio::time::Instant;

    /// Some day in 2026, so that a clock may be set back by years.
    const BEGAN_MS: i64 = 1_790_000_000_000;

    /// A machine's clock.
    #[derive(Clone, Debug)]
    pub struct Clock {
        began: Instant,
        ahead_ms: Arc<AtomicI64>,
    }

    impl Clock {
        /// One that shows the right time. Those of one simulation are made in the same instant.
        pub fn right() -> Clock {
            Clock {
                began: Instant::now(),
                ahead_ms: Arc::default(),
            }
        }

        /// Sets it so much ahead of the right time, or behind.
        pub fn set_ahead_ms(&self, ahead: i64) {
            self.ahead_ms.store(ahead, SeqCst);
        }

        pub(super) fn now_ms(&self) -> u64 {
            let passed = self.began.elapsed().as_millis() as i64;
            u64::try_from(BEGAN_MS + passed + self.ahead_ms.load(SeqCst)).unwrap_or_default()
        }
    }

    impl From<Clock> for super::Clock {
        fn from(clock: Clock) -> super::Clock {
            super::Clock {
                simulated: Some(clock),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_counts_milliseconds_since_1970() {
        let in_2020 = 1_577_836_800_000;
        let in_3000 = 32_503_680_000_000;
        assert!((in_2020..in_3000).contains(&Clock::default().now_ms()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_moment_is_recent_only_if_both_clocks_say_so() {
        let machine = simulated::Clock::right();
        let clock = Clock::from(machine.clone());
        let span = Duration::from_secs(2);
        let before = clock.reading();
        assert!(clock.reading().is_within(span, &before));
        machine.set_ahead_ms(3000); // resumed after a suspension: only Unix time moved
        assert!(!clock.reading().is_within(span, &before));
        assert_eq!(clock.reading().since(&before), Duration::from_secs(3));
        machine.set_ahead_ms(-1000); // set back
        assert!(!clock.reading().is_within(span, &before));
        tokio::time::advance(Duration::from_millis(1500)).await;
        assert!(clock.reading().is_within(span, &before));
        assert_eq!(clock.reading().since(&before), Duration::from_millis(1500));
        tokio::time::advance(Duration::from_millis(500)).await; // by Unix time a second has passed
        assert!(!clock.reading().is_within(span, &before));
    }
}

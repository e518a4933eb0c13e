//! How often the origin is asked whether it still says the same, and whether it may be now.

use crate::digest::Digest;
use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Hits that are being verified at a time, without those that wait to be looked at again. Each asks the origin one
/// request after the other.
const AT_A_TIME: usize = 4;

/// Hits that are verified in a second. Whoever verifies all hits of a busy rule wants to know, not to do without
/// a cache.
const A_SECOND: u64 = 20;

/// Answers that differ and wait to be looked at again.
const WAITING: usize = 64;

/// An origin that takes longer than this, and so many times as long as usual, is spared.
const SLOW: Duration = Duration::from_secs(1);
const SLOWER: u32 = 4;

/// For how long an origin that was slow, or did not answer, is not asked anything that no client wants.
const SPARED_MS: u64 = 10_000;

/// What bounds it.
pub struct Pace {
    at_a_time: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    /// Of Unix time, and how many were verified in it.
    second: AtomicU64,
    count: AtomicU64,
    /// Milliseconds of Unix time.
    troubled_at: AtomicU64,
    /// What is being verified: no use in doing so twice at a time.
    under: Arc<Mutex<HashSet<Id>>>,
}

/// What tells one kept answer from all others: what it is bound to, and when it was kept.
pub type Id = (Digest, u64);

/// Nobody else verifies the same, until this is dropped.
#[must_use = "it ends when this is dropped"]
pub struct Alone {
    under: Arc<Mutex<HashSet<Id>>>,
    id: Id,
}

impl Drop for Alone {
    fn drop(&mut self) {
        let mut under = self.under.lock().unwrap_or_else(PoisonError::into_inner);
        under.remove(&self.id);
    }
}

/// Leave to ask the origin, until this is dropped.
#[must_use = "it ends when this is dropped"]
pub struct Leave(
    #[expect(dead_code, reason = "what counts is how long it lives")] OwnedSemaphorePermit,
);

impl Default for Pace {
    fn default() -> Pace {
        Pace {
            at_a_time: Arc::new(Semaphore::new(AT_A_TIME)),
            waiting: Arc::new(Semaphore::new(WAITING)),
            second: AtomicU64::default(),
            count: AtomicU64::default(),
            troubled_at: AtomicU64::default(),
            under: Arc::default(),
        }
    }
}

impl Pace {
    /// Leave to verify a hit at this Unix time in milliseconds; none while enough are, or the origin is in trouble.
    pub fn verify(&self, now_ms: u64) -> Option<Leave> {
        if self.is_troubled(now_ms) {
            return None;
        }
        let leave = self.at_a_time.clone().try_acquire_owned().ok()?;
        self.within_second(now_ms / 1000).then_some(Leave(leave))
    }

    /// Sees to it that a kept answer is verified by one at a time; `None` where somebody does already.
    pub fn alone(&self, id: Id) -> Option<Alone> {
        let mut under = self.under.lock().unwrap_or_else(PoisonError::into_inner);
        let under_id = under.insert(id);
        under_id.then(|| Alone {
            under: self.under.clone(),
            id,
        })
    }

    /// The same for one that is looked at again, as soon as there is room for it.
    pub async fn verify_again(&self) -> Option<Leave> {
        let leave = self.at_a_time.clone().acquire_owned().await;
        leave.ok().map(Leave)
    }

    /// Leave to wait before an answer is looked at again; none while many do.
    pub fn wait(&self) -> Option<Leave> {
        self.waiting.clone().try_acquire_owned().ok().map(Leave)
    }

    /// The origin was slow, or did not answer.
    pub fn trouble(&self, now_ms: u64) {
        self.troubled_at.store(now_ms, Relaxed);
    }

    /// The origin took so long where it usually takes as long as that.
    pub fn took(&self, took: Duration, usual: Duration, now_ms: u64) {
        if took > (usual * SLOWER).max(SLOW) {
            self.trouble(now_ms);
        }
    }

    /// Whether it was a moment ago. A moment that is yet to come was before the clock was set back: nobody knows how long
    /// ago, and an origin that is still in trouble shows it with the next answer.
    pub fn is_troubled(&self, now_ms: u64) -> bool {
        let at = self.troubled_at.load(Relaxed);
        at > 0
            && now_ms
                .checked_sub(at)
                .is_some_and(|since| since < SPARED_MS)
    }

    /// Whether there is room for one more in this second; one that comes again, by a clock that was set back, is another.
    /// Two threads that see a second begin at once let one more through.
    fn within_second(&self, second: u64) -> bool {
        if self.second.swap(second, Relaxed) != second {
            self.count.store(0, Relaxed);
        }
        self.count.fetch_add(1, Relaxed) < A_SECOND
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_at_a_time_and_not_many_a_second() {
        let pace = Pace::default();
        let all: Vec<_> = (0..2 * AT_A_TIME)
            .filter_map(|_| pace.verify(5_000))
            .collect();
        assert_eq!(all.len(), AT_A_TIME);
        drop(all);
        let more = (0..100).filter(|_| pace.verify(5_999).is_some()).count() as u64;
        assert_eq!(more + AT_A_TIME as u64, A_SECOND);
        assert!(pace.verify(6_000).is_some());
    }

    #[test]
    fn one_answer_is_verified_by_one_at_a_time() {
        let pace = Pace::default();
        let (one, other) = ((Digest([1; 16]), 5), (Digest([1; 16]), 6));
        let alone = pace.alone(one);
        assert!(alone.is_some() && pace.alone(one).is_none() && pace.alone(other).is_some());
        drop(alone);
        assert!(pace.alone(one).is_some());
    }

    #[test]
    fn an_origin_is_slow_by_what_is_usual_of_it() {
        let seconds = Duration::from_secs;
        for (took, usual, is_slow) in [(1, 0, false), (2, 0, true), (4, 1, false), (5, 1, true)] {
            let pace = Pace::default();
            pace.took(seconds(took), seconds(usual), 50_000);
            assert_eq!(
                pace.is_troubled(50_001),
                is_slow,
                "{took} s, usually {usual} s"
            );
        }
    }

    #[test]
    fn an_origin_in_trouble_is_spared_for_a_while() {
        let pace = Pace::default();
        pace.trouble(50_000);
        assert!(pace.verify(50_001).is_none() && pace.verify(50_000 + SPARED_MS - 1).is_none());
        assert!(pace.verify(50_000 + SPARED_MS).is_some());
    }

    #[test]
    fn a_clock_that_is_set_back_by_hours_silences_nobody() {
        let (pace, now) = (Pace::default(), 90_000_000);
        pace.trouble(now);
        (0..2 * A_SECOND).for_each(|_| drop(pace.verify(now + SPARED_MS)));
        assert!(
            pace.verify(now + SPARED_MS).is_none(),
            "enough in this second"
        );
        let before = now - 3 * 60 * 60 * 1000;
        assert!(pace.verify(before).is_some());
        pace.trouble(before);
        assert!(pace.verify(before + 1).is_none());
    }
}

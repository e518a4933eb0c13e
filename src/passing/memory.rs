//! What is remembered of what passed, within bounds: the oldest is forgotten first.

use crate::propose::{Place, Seen, Sight, Written};
use std::collections::VecDeque;
use std::sync::Arc;

/// Reads that are remembered: some minutes of a busy service, which is enough to see what repeats; and bytes that they
/// take, about.
pub(super) const MAX_READS: usize = 16_384;
pub(super) const MAX_WEIGHT: usize = 8 << 20;

/// The same of those that failed. They have room of their own: whoever tries what there may be pushes out nothing else.
pub(super) const MAX_FAILED: usize = 2_048;
const MAX_WEIGHT_FAILED: usize = 1 << 20;

/// Writes that are remembered, and bytes that they take, about. What was read before the oldest of them is of no use: nobody knows what changed it.
pub(super) const MAX_WRITES: usize = 8_192;
pub(super) const MAX_WEIGHT_WRITES: usize = 1 << 20;

/// What is remembered.
#[derive(Default)]
pub(super) struct Memory {
    /// Of the paths that are looked at; 0 where none is.
    pub(super) share: f64,
    /// From when on all is remembered that was to be.
    since_ms: u64,
    reads: Ring,
    failed: Ring,
    writes: VecDeque<Written>,
    weight_of_writes: usize,
    left_out: usize,
}

/// Reads, and the bytes that they take.
#[derive(Default)]
struct Ring {
    sights: VecDeque<Arc<Sight>>,
    weight: usize,
}

impl Ring {
    /// Adds one, and says when the last was asked that had to make room.
    fn add(&mut self, sight: Sight, most: usize, most_weight: usize) -> Option<u64> {
        self.weight += sight.weight();
        self.sights.push_back(Arc::new(sight));
        let mut gone = None;
        while self.sights.len() > most || self.weight > most_weight {
            let Some(oldest) = self.sights.pop_front() else {
                break;
            };
            self.weight -= oldest.weight();
            gone = gone.max(Some(oldest.at_ms));
        }
        gone
    }
}

impl Memory {
    /// Empty, from now on.
    pub(super) fn of(share: f64, now_ms: u64) -> Memory {
        Memory {
            share,
            since_ms: now_ms,
            ..Memory::default()
        }
    }

    pub(super) fn add(&mut self, sight: Sight) {
        if sight.has_failed() {
            self.failed.add(sight, MAX_FAILED, MAX_WEIGHT_FAILED);
            return;
        }
        let gone = self.reads.add(sight, MAX_READS, MAX_WEIGHT);
        self.since_ms = self.since_ms.max(gone.unwrap_or(0));
    }

    pub(super) fn wrote(&mut self, written: Written) {
        if self.share == 0.0 {
            return;
        }
        self.weight_of_writes += written.weight();
        self.writes.push_back(written);
        while self.writes.len() > MAX_WRITES || self.weight_of_writes > MAX_WEIGHT_WRITES {
            let Some(oldest) = self.writes.pop_front() else {
                break;
            };
            self.weight_of_writes -= oldest.weight();
            self.since_ms = self.since_ms.max(oldest.until_ms);
        }
    }

    /// One more that would have been looked at, but for its looks.
    pub(super) fn leave_out(&mut self) {
        self.left_out += 1;
    }

    /// All of it; `None` where nothing is looked at. Nobody waits for what is made of it.
    pub(super) fn shown(&self) -> Option<Shown> {
        let reads = self.reads.sights.iter().chain(&self.failed.sights);
        (self.share > 0.0).then(|| Shown {
            share: self.share,
            since_ms: self.since_ms,
            reads: reads.cloned().collect(),
            writes: self.writes.iter().cloned().collect(),
            left_out: self.left_out,
        })
    }
}

/// What was remembered at a moment.
pub(super) struct Shown {
    share: f64,
    since_ms: u64,
    reads: Vec<Arc<Sight>>,
    writes: Vec<Written>,
    left_out: usize,
}

impl Shown {
    /// All of it in its order, which is not that in which it ended.
    pub(super) fn seen(mut self, now_ms: u64) -> Seen {
        self.reads.retain(|sight| sight.at_ms >= self.since_ms);
        self.reads.sort_by_key(|sight| sight.at_ms);
        self.writes.sort_by_key(|write| write.at_ms);
        Seen {
            place: Place::Sidecar { share: self.share },
            ruled: 0,
            left_out: self.left_out,
            count: self.reads.len(),
            span_ms: now_ms.saturating_sub(self.since_ms),
            reads: self.reads.into_iter().map(Arc::unwrap_or_clone).collect(),
            writes: self.writes,
        }
    }
}

//! What is remembered of what passed, within bounds: the oldest is forgotten first.

use crate::propose::{Place, Seen, Sight, Written};
use std::collections::VecDeque;

/// Reads that are remembered: some minutes of a busy service, which is enough to see what repeats.
pub(super) const MAX_READS: usize = 16_384;

/// Bytes that they take, about.
pub(super) const MAX_WEIGHT: usize = 8 << 20;

/// Writes that are remembered. What was read before the oldest of them is of no use: nobody knows what changed it.
pub(super) const MAX_WRITES: usize = 8_192;

/// What is remembered.
#[derive(Default)]
pub(super) struct Memory {
    /// Of the paths that are looked at; 0 where none is.
    pub(super) share: f64,
    /// From when on all is remembered that was to be.
    since_ms: u64,
    reads: VecDeque<Sight>,
    weight: usize,
    writes: VecDeque<Written>,
    left_out: usize,
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
        self.weight += sight.weight();
        self.reads.push_back(sight);
        while self.reads.len() > MAX_READS || self.weight > MAX_WEIGHT {
            let Some(oldest) = self.reads.pop_front() else {
                return;
            };
            self.weight -= oldest.weight();
            self.since_ms = self.since_ms.max(oldest.at_ms);
        }
    }

    pub(super) fn wrote(&mut self, written: Written) {
        if self.share == 0.0 {
            return;
        }
        self.writes.push_back(written);
        if self.writes.len() > MAX_WRITES
            && let Some(oldest) = self.writes.pop_front()
        {
            self.since_ms = self.since_ms.max(oldest.until_ms);
        }
    }

    /// One more that would have been looked at, but for its looks.
    pub(super) fn leave_out(&mut self) {
        self.left_out += 1;
    }

    /// All of it, in its order; `None` where nothing is looked at.
    pub(super) fn seen(&self, now_ms: u64) -> Option<Seen> {
        if self.share == 0.0 {
            return None;
        }
        let mut reads: Vec<Sight> = self.reads.iter().cloned().collect();
        reads.retain(|sight| sight.at_ms >= self.since_ms);
        reads.sort_by_key(|sight| sight.at_ms); // they came in the order in which they ended
        let mut writes: Vec<Written> = self.writes.iter().cloned().collect();
        writes.sort_by_key(|write| write.at_ms);
        Some(Seen {
            place: Place::Sidecar { share: self.share },
            ruled: 0,
            left_out: self.left_out,
            count: reads.len(),
            span_ms: now_ms.saturating_sub(self.since_ms),
            reads,
            writes,
        })
    }
}

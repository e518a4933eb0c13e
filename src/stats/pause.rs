//! How long one does without what was refused.

/// After a failure it is tried again so much later, twice as long after each: what a store does not do it is not
/// asked for ten thousand times a day.
const FIRST_MS: u64 = 20_000;
const LONGEST_MS: u64 = 60 * 60 * 1000;

/// Until when nothing is tried.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pause {
    until: u64,
    length: u64,
}

impl Pause {
    /// Whether it lasts, at this Unix time in milliseconds. A clock that is set back lengthens it no further than
    /// to its length from then.
    pub(super) fn holds(&self, now: u64) -> bool {
        now < self.until && self.until - now <= self.length
    }

    /// What was tried came to this.
    pub(super) fn note(&mut self, now: u64, is_done: bool) {
        let length = match is_done {
            true => 0,
            false => (2 * self.length).clamp(FIRST_MS, LONGEST_MS),
        };
        let until = now + length;
        *self = Pause { until, length };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_again_and_again_is_tried_ever_less() {
        let (mut pause, mut now, mut tried) = (Pause::default(), 1_000, 0);
        while now < 24 * LONGEST_MS {
            if !pause.holds(now) {
                tried += 1;
                pause.note(now, false);
            }
            now += 1_000;
        }
        assert!((24..40).contains(&tried), "{tried}");
        assert!(!pause.holds(now - 2 * LONGEST_MS), "the clock was set back");
        pause.note(now, true);
        assert!(!pause.holds(now));
    }
}

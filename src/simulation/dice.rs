//! Chance that can be had again: all draws of a run follow from its seed.

use std::time::Duration;

/// A generator (SplitMix64). Each actor has one of its own, so that what one draws does not depend on
/// what the others do.
pub struct Dice(u64);

impl Dice {
    /// The generator of `actor` in the run of `seed`.
    pub fn new(seed: u64, actor: u64) -> Dice {
        let mut dice = Dice(seed ^ actor.wrapping_mul(0xA076_1D64_78BD_642F));
        dice.draw(); // seeds that differ by little begin alike
        dice
    }

    fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        (self.draw() % end as u64) as usize
    }

    /// One of these.
    pub fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    /// Whole milliseconds from `from` to just below `to`: paused time moves by no less.
    pub fn ms(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(from + self.draw() % (to - from))
    }

    /// True so often in a thousand times.
    pub fn in_thousand(&mut self, times: usize) -> bool {
        self.below(1000) < times
    }
}

//! Chance that can be had again: all draws of a run follow from its seed.

use std::time::Duration;

/// A generator (SplitMix64). Each actor has one of its own, so that what one draws does not depend on
/// how fast the others are.
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

    /// A generator that does not disturb this one.
    pub fn another(&mut self) -> Dice {
        Dice(self.draw())
    }

    /// A number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        (self.draw() % end as u64) as usize
    }

    /// A number below `end`; the small ones are drawn far more often.
    pub fn mostly_small(&mut self, end: usize) -> usize {
        let drawn = self.below(end) * self.below(end) * self.below(end);
        drawn / (end * end)
    }

    /// Milliseconds from `from` to just below `to`.
    pub fn ms(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(from + self.draw() % (to - from))
    }

    /// True once in `times`.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// Takes one of the cards away, and deals all anew when none is left: so every card comes soon.
    pub fn card<Card: Copy>(&mut self, deck: &mut Vec<Card>, all: &[Card]) -> Card {
        if deck.is_empty() {
            deck.extend_from_slice(all);
        }
        let drawn = self.below(deck.len());
        deck.swap_remove(drawn)
    }
}

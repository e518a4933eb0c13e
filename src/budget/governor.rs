//! How far the store may be asked, by what was spent and what is left: pure judgement, with time as an argument.
//!
//! By each moment of a period an even share of the budget may be spent, and a little more. What was not, as at
//! night, may be later. From that is set aside what writes are likely to cost until the end of the period, as
//! they are never held back. Three things are given up, one after the other, as spending comes near to what it
//! may be, or goes on so that the period's end would be beyond it; and taken back later than they were given up,
//! so that nothing flaps.

use super::Level;

/// Of the budget, what may be spent beyond the even share at any moment.
const SLACK: f64 = 0.04;

/// How much busier it may yet become: what a quiet hour spends is held against what a busy one would by the same
/// rules, or the night would use up what the day needs.
const BUSIER: f64 = 2.0;

/// Of the budget, what is left over for what nobody could foresee.
const SPARE: f64 = 0.02;

/// How long a level lasts before a less strict one takes its place. The strictest need not: what was learnt of
/// versions a moment before carries over minutes without it, so that to come and go is how little is used best.
const DWELL_MS: u64 = 5 * 60 * 1000;

/// Parts of a period over which the present rate is reckoned: of a day, a quarter of an hour.
const PARTS: f64 = 96.0;

/// A shorter time is not extrapolated: what a process does first after its start foretells nothing.
const SHORTEST_S: f64 = 15.0 * 60.0;

/// Of the budget, the most that is set aside for writes: a burst of them early in a day would take all of it.
const MOST_DUE: f64 = 0.5;

/// Rounds go on while no more than this is spent too early, in parts of [`SLACK`]: they are what little is used best for.
const ROUNDS: f64 = 1.0;

/// By its rate alone spending is not held back while so much may be spent, in parts of [`SLACK`].
const AMPLE: f64 = 3.0;

/// What is to be judged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts {
    pub(super) now_ms: u64,
    /// What may be spent in the period.
    pub(super) commands: f64,
    /// How much of the period has passed.
    pub(super) passed: f64,
    /// What is left of it, in seconds.
    pub(super) left_s: f64,
    /// What the fleet has spent in it.
    pub(super) used: f64,
    /// What the fleet spends in a second, and what of it whatever happens.
    pub(super) rate: f64,
    pub(super) due_rate: f64,
    /// The provider says that there is none left.
    pub(super) is_spent: bool,
}

/// What comes of it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Judged {
    pub(super) level: Level,
    /// How far `local_ttl` goes from itself, 0, to `local_ttl_max`, 1.
    pub(super) stretch: f64,
    pub(super) forecast: u64,
    /// Whether versions may still be asked for in rounds.
    pub(super) may_round: bool,
}

/// Remembers what it judged.
#[derive(Debug, Default)]
pub(super) struct Governor {
    judged: Judged,
    since_ms: u64,
}

impl Governor {
    /// Judges anew.
    pub(super) fn judge(&mut self, facts: &Facts) -> Judged {
        let forecast = facts.used + facts.rate * facts.left_s;
        let slack = SLACK * facts.commands;
        let headroom = headroom(facts) / slack;
        let ahead = (facts.used + BUSIER * facts.rate * facts.left_s) / facts.commands;
        let is_in = |level| self.judged.level >= level;
        let beyond = |level, enters: bool, stays: bool| enters || (is_in(level) && stays);
        let by_rate = (ahead - 0.9) / 0.3;
        let by_headroom = (0.75 - headroom) / 0.25;
        let stretch = by_rate.max(by_headroom).clamp(0.0, 1.0);
        let wished = match () {
            () if facts.is_spent || beyond(Level::Memory, headroom < 0.25, headroom < 0.3) => {
                Level::Memory
            }
            () if beyond(
                Level::Sparing,
                headroom < 0.5 || (ahead > 1.3 && headroom < AMPLE),
                headroom < 0.6 || (ahead > 1.1 && headroom < AMPLE),
            ) =>
            {
                Level::Sparing
            }
            () if stretch > 0.0 => Level::Longer,
            () => Level::Within,
        };
        let is_settled = self.judged.level == Level::Memory
            || facts.now_ms.saturating_sub(self.since_ms) >= DWELL_MS;
        if wished > self.judged.level || (wished < self.judged.level && is_settled) {
            (self.judged.level, self.since_ms) = (wished, facts.now_ms);
        }
        // Whoever keeps less for others may well believe for longer what he knows.
        self.judged.stretch = match self.judged.level {
            Level::Within => 0.0,
            Level::Longer => stretch,
            Level::Sparing | Level::Memory => 1.0,
        };
        self.judged.forecast = forecast as u64;
        self.judged.may_round = !facts.is_spent && may_round(facts);
        self.judged
    }
}

/// What reads may still spend now.
fn headroom(facts: &Facts) -> f64 {
    let (so_far, in_all) = bounds(facts);
    so_far.min(in_all) - facts.used
}

/// Rounds may run ahead of the time, but take nothing of what is set aside.
fn may_round(facts: &Facts) -> bool {
    let (so_far, in_all) = bounds(facts);
    let ahead = facts.used - so_far;
    ahead < ROUNDS * SLACK * facts.commands && facts.used < in_all
}

/// What may have been spent by now, and what but for writes may be at all.
fn bounds(facts: &Facts) -> (f64, f64) {
    let may = facts.commands * (1.0 - SPARE);
    let so_far = may * facts.passed + SLACK * facts.commands;
    let due = (facts.due_rate * facts.left_s).min(MOST_DUE * facts.commands);
    (so_far, may - due)
}

/// A rate that forgets, of what a counter shows.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rate {
    /// Of a second.
    rate: f64,
    /// How much of the time over which it is reckoned has been seen.
    weight: f64,
    last: Option<(u64, u64)>,
}

impl Rate {
    /// The counter shows this.
    pub(super) fn note(&mut self, count: u64, now_ms: u64, whole_s: f64) {
        if let Some((before, at_ms)) = self.last {
            let passed = now_ms.saturating_sub(at_ms) as f64 / 1000.0;
            if passed <= 0.0 {
                return;
            }
            let kept = (-passed * PARTS / whole_s).exp();
            let now = count.saturating_sub(before) as f64 / passed;
            self.rate = self.rate * kept + now * (1.0 - kept);
            self.weight = self.weight * kept + 1.0 - kept;
        }
        self.last = Some((count, now_ms));
    }

    /// A second's worth. What was seen for too short a time counts as if nothing had been before.
    pub(super) fn per_s(&self, whole_s: f64) -> f64 {
        let least = (SHORTEST_S * PARTS / whole_s).min(1.0);
        self.rate / self.weight.max(least)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_S: f64 = 86_400.0;

    fn facts(hour: f64, used: f64, an_hour: f64) -> Facts {
        Facts {
            now_ms: (hour * 3_600_000.0) as u64,
            commands: 10_000.0,
            passed: hour / 24.0,
            left_s: (24.0 - hour) * 3600.0,
            used,
            rate: an_hour / 3600.0,
            due_rate: 0.0,
            is_spent: false,
        }
    }

    fn judged(facts: Facts) -> Judged {
        Governor::default().judge(&facts)
    }

    #[test]
    fn what_a_night_saves_a_day_may_spend() {
        let morning = judged(facts(9.0, 500.0, 200.0));
        assert_eq!((morning.level, morning.forecast), (Level::Within, 3_500));
        assert_eq!(judged(facts(9.0, 3_400.0, 100.0)).level, Level::Within);
        assert_eq!(
            judged(facts(0.01, 100.0, 0.0)).level,
            Level::Within,
            "a little more"
        );
    }

    #[test]
    fn the_more_it_runs_ahead_the_more_is_given_up() {
        let at = |an_hour| judged(facts(9.0, 1_000.0, an_hour));
        let half = at(316.0);
        assert_eq!(half.level, Level::Longer);
        assert!((0.4..0.6).contains(&half.stretch), "{half:?}");
        let early = at(1_000.0);
        assert_eq!(
            (early.level, early.stretch),
            (Level::Longer, 1.0),
            "there is ample left of what may be spent by then"
        );
        let hot = judged(facts(9.0, 3_300.0, 1_000.0));
        assert_eq!((hot.level, hot.stretch), (Level::Sparing, 1.0));
        let used = |used| judged(facts(12.0, used, 0.0)).level;
        assert_eq!(used(4_950.0), Level::Within);
        assert_eq!(used(5_050.0), Level::Longer);
        assert_eq!(used(5_150.0), Level::Sparing);
        assert_eq!(used(5_250.0), Level::Memory);
    }

    #[test]
    fn what_writes_will_cost_is_set_aside_before_reads_have_it() {
        let mut evening = facts(18.0, 6_000.0, 0.0);
        assert_eq!(judged(evening).level, Level::Within);
        evening.due_rate = 600.0 / 3600.0;
        evening.used = 6_050.0;
        assert_eq!(judged(evening).level, Level::Sparing);
        evening.used = 6_150.0;
        assert_eq!(judged(evening).level, Level::Memory);
    }

    #[test]
    fn a_level_is_given_up_at_once_and_taken_back_later() {
        let mut governor = Governor::default();
        let mut level = |hour, used| governor.judge(&facts(hour, used, 0.0)).level;
        assert_eq!(level(12.0, 5_250.0), Level::Memory);
        assert_eq!(
            level(12.0, 5_190.0),
            Level::Memory,
            "not by a hair's breadth"
        );
        assert_eq!(level(12.01, 5_150.0), Level::Sparing);
        assert_eq!(level(12.02, 4_500.0), Level::Sparing, "a moment ago");
        assert_eq!(
            level(12.2, 5_300.0),
            Level::Memory,
            "not by a hair's breadth"
        );
        assert_eq!(level(12.4, 5_000.0), Level::Within);
        let rounds = |hour, used, due| {
            let due_rate = due / 3600.0;
            judged(Facts {
                due_rate,
                ..facts(hour, used, 0.0)
            })
            .may_round
        };
        assert!(rounds(12.0, 5_500.0, 0.0) && !rounds(12.0, 5_800.0, 0.0));
        assert!(rounds(23.9, 9_700.0, 0.0) && !rounds(23.9, 9_900.0, 0.0));
        assert!(!rounds(18.0, 6_300.0, 600.0), "what writes will cost stays");
        let mut spent = facts(13.0, 100.0, 0.0);
        spent.is_spent = true;
        assert_eq!(governor.judge(&spent).level, Level::Memory);
    }

    #[test]
    fn a_rate_is_that_of_lately() {
        let (mut rate, mut count) = (Rate::default(), 0);
        for second in 0..7_200_u64 {
            count += u64::from(second >= 3_600);
            rate.note(count, second * 1000, DAY_S);
            if second == 3_599 {
                assert_eq!(rate.per_s(DAY_S), 0.0);
            }
        }
        assert!((0.97..=1.0).contains(&rate.per_s(DAY_S)), "{rate:?}");
        let mut begun = Rate::default();
        begun.note(0, 0, DAY_S);
        begun.note(30, 1000, DAY_S);
        assert!(begun.per_s(DAY_S) < 0.6, "a start foretells nothing");
    }
}

//! Commands of a day, which is how providers count and what they bill.

pub(super) const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// Of a shorter time nothing is foretold as if the day went on like that.
const SHORTEST_MS: u64 = 60_000;

/// The commands of one day of UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Day {
    /// Days since 1970.
    number: u64,
    /// From when on they are counted.
    from_ms: u64,
    /// Commands there were by then.
    before: u64,
    /// Commands since.
    pub(super) commands: u64,
}

impl Day {
    /// Takes over the number of commands since the process began.
    pub(super) fn sample(&mut self, now_ms: u64, since_ms: u64, commands: u64) {
        let number = now_ms / DAY_MS;
        // A clock that is set back over midnight begins no day anew.
        if self.number < number {
            let is_first = self.number == 0;
            *self = Day {
                number,
                from_ms: if is_first { since_ms } else { number * DAY_MS },
                before: if is_first {
                    0
                } else {
                    self.before + self.commands
                },
                commands: 0,
            };
        }
        self.commands = commands.saturating_sub(self.before);
    }

    /// The day since 1970.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// How many it will have been at its end, if it goes on like this.
    pub(super) fn forecast(&self, now_ms: u64) -> u64 {
        let passed = now_ms.saturating_sub(self.from_ms).max(SHORTEST_MS);
        let left = ((self.number + 1) * DAY_MS).saturating_sub(now_ms);
        let rest = self.commands as f64 * left as f64 / passed as f64;
        self.commands + rest as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_begins_anew_at_midnight_and_is_foretold_from_what_has_passed() {
        let noon = 10 * DAY_MS + DAY_MS / 2;
        let mut day = Day::default();
        day.sample(noon, noon - DAY_MS / 4, 100);
        assert_eq!((day.number(), day.commands), (10, 100));
        assert_eq!(
            day.forecast(noon),
            300,
            "a quarter of a day had 100, and half a day is left"
        );
        day.sample(11 * DAY_MS + 1000, noon - DAY_MS / 4, 130);
        assert_eq!((day.number(), day.commands), (11, 30));
        day.sample(11 * DAY_MS + DAY_MS / 2, noon - DAY_MS / 4, 200);
        assert_eq!(day.commands, 100);
        assert_eq!(day.forecast(11 * DAY_MS + DAY_MS / 2), 200);
        day.sample(11 * DAY_MS - 1, noon - DAY_MS / 4, 210);
        assert_eq!(
            (day.number(), day.commands),
            (11, 110),
            "set back over midnight"
        );
    }

    #[test]
    fn a_moment_after_midnight_foretells_no_day_of_such_moments() {
        let mut day = Day::default();
        day.sample(10 * DAY_MS, 10 * DAY_MS - 1000, 5);
        day.sample(11 * DAY_MS + 10, 10 * DAY_MS - 1000, 35);
        let foretold = day.forecast(11 * DAY_MS + 10);
        assert!(foretold < 30 * DAY_MS / SHORTEST_MS + 31, "{foretold}");
    }
}

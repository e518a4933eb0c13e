//! Days and months of UTC, which is how providers reckon.

use crate::rules::settings::Per;

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// One day or month.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Period {
    /// `2026-11-23`, or `2026-11`.
    pub(super) name: String,
    /// Milliseconds of Unix time.
    pub(super) begins_ms: u64,
    pub(super) ends_ms: u64,
}

impl Period {
    /// The one that holds this moment.
    pub(super) fn of(per: Per, now_ms: u64) -> Period {
        let day = now_ms / DAY_MS;
        let (year, month, of_month) = date(day);
        let (name, from, days) = match per {
            Per::Day => (format!("{year:04}-{month:02}-{of_month:02}"), day, 1),
            Per::Month => {
                let first = day + 1 - of_month;
                (format!("{year:04}-{month:02}"), first, length(year, month))
            }
        };
        Period {
            name,
            begins_ms: from * DAY_MS,
            ends_ms: (from + days) * DAY_MS,
        }
    }

    /// How much of it has passed, from 0 to 1.
    pub(super) fn passed(&self, now_ms: u64) -> f64 {
        let passed = now_ms.clamp(self.begins_ms, self.ends_ms) - self.begins_ms;
        passed as f64 / (self.ends_ms - self.begins_ms) as f64
    }

    /// Seconds to its end.
    pub(super) fn left_s(&self, now_ms: u64) -> f64 {
        self.ends_ms.saturating_sub(now_ms) as f64 / 1000.0
    }

    /// Seconds from its beginning to its end.
    pub(super) fn whole_s(&self) -> f64 {
        (self.ends_ms - self.begins_ms) as f64 / 1000.0
    }
}

fn is_leap(year: u64) -> bool {
    (year.is_multiple_of(4) && !year.is_multiple_of(100)) || year.is_multiple_of(400)
}

fn length(year: u64, month: u64) -> u64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Year, month and day of month, each counted as people do, of a day counted from 1970.
fn date(day: u64) -> (u64, u64, u64) {
    let (mut year, mut left) = (1970, day);
    while left >= 365 + u64::from(is_leap(year)) {
        left -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let mut month = 1;
    while left >= length(year, month) {
        left -= length(year, month);
        month += 1;
    }
    (year, month, left + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_lies_in_its_day_and_in_its_month() {
        let noon = 1_795_348_800_000; // 2026-11-22
        let day = Period::of(Per::Day, noon);
        assert_eq!((&*day.name, day.passed(noon)), ("2026-11-22", 0.5));
        let month = Period::of(Per::Month, noon);
        assert_eq!(month.name, "2026-11");
        assert_eq!(month.whole_s(), 30.0 * 86_400.0);
        assert_eq!(Period::of(Per::Month, month.ends_ms - 1), month);
        assert_eq!(Period::of(Per::Month, month.ends_ms).name, "2026-12");
        assert_eq!(Period::of(Per::Day, 0).name, "1970-01-01");
        let leap = 1_709_164_800_000; // 2024-02-29
        assert_eq!(Period::of(Per::Day, leap).name, "2024-02-29");
        assert_eq!(Period::of(Per::Month, leap).whole_s(), 29.0 * 86_400.0);
    }
}

//! Durations and sizes as people write them, and numbers of things as people read them.

use super::problem::Fault;
use std::time::Duration;

/// Longest duration: ten years. Far above any use, far below what overflows a clock.
const MAX_DURATION: Duration = Duration::from_secs(10 * 366 * 24 * 60 * 60);

/// Largest size: 1 TiB, above any machine's use and below overflow.
const MAX_SIZE: u64 = 1 << 40;

const DURATION_HELP: &str =
    "write a whole number and ms, s, m, h or d: \"250ms\" \"5s\" \"5m\" \"24h\"";
const SIZE_HELP: &str = "write a whole number and B, KiB, MiB or GiB: \"64KiB\" \"1MiB\"";

/// `"250ms" "5s" "5m" "24h" "7d"`.
pub fn duration(text: &str) -> Result<Duration, Fault> {
    let units = [
        ("ms", 1),
        ("s", 1_000),
        ("m", 60_000),
        ("h", 3_600_000),
        ("d", 86_400_000),
    ];
    let whole = 0..text.len();
    let Some(millis) = number_with_unit(text, &units) else {
        return Err(Fault::new(
            whole,
            "this is not a duration",
            "here",
            DURATION_HELP,
        ));
    };
    let duration = Duration::from_millis(millis);
    if duration > MAX_DURATION {
        return Err(Fault::new(
            whole,
            "no duration may exceed ten years",
            "too long",
            "",
        ));
    }
    Ok(duration)
}

/// `"64KiB" "1MiB" "64KB"`, in bytes.
pub fn size(text: &str) -> Result<usize, Fault> {
    let units = [
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("KB", 1_000),
        ("kB", 1_000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("B", 1),
    ];
    let whole = 0..text.len();
    let Some(bytes) = number_with_unit(text, &units) else {
        return Err(Fault::new(whole, "this is not a size", "here", SIZE_HELP));
    };
    usize::try_from(bytes)
        .ok()
        .filter(|_| bytes <= MAX_SIZE)
        .ok_or_else(|| Fault::new(whole, "no size may exceed 1 TiB", "too large", ""))
}

/// The product, saturating, so that what overflows is too large and not malformed.
fn number_with_unit(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit.trim_start())?;
    if digits == 0 {
        return None;
    }
    Some(
        number
            .parse::<u64>()
            .unwrap_or(u64::MAX)
            .saturating_mul(*factor),
    )
}

/// A duration as rules files have it, in the largest unit of which it is a whole number.
pub fn written(time: Duration) -> String {
    const UNITS: [(u128, &str); 4] = [
        (86_400_000, "d"),
        (3_600_000, "h"),
        (60_000, "m"),
        (1000, "s"),
    ];
    let milliseconds = time.as_millis();
    if milliseconds == 0 {
        return "0s".to_owned();
    }
    let whole = UNITS
        .iter()
        .find(|(size, _)| milliseconds.is_multiple_of(*size));
    match whole {
        Some((size, unit)) => format!("{}{unit}", milliseconds / size),
        None => format!("{milliseconds}ms"),
    }
}

/// `1 rule`, `2 rules`.
pub fn counted(count: usize, thing: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {thing}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thing_is_not_told_as_many() {
        assert_eq!(counted(0, "set"), "0 sets");
        assert_eq!(counted(1, "rule"), "1 rule");
        assert_eq!(counted(22, "line"), "22 lines");
    }

    #[test]
    fn durations_are_written_in_their_largest_whole_unit() {
        let cases = [
            (0, "0s"),
            (1, "1ms"),
            (1500, "1500ms"),
            (90_000, "90s"),
            (300_000, "5m"),
            (86_400_000, "1d"),
        ];
        for (milliseconds, text) in cases {
            assert_eq!(written(Duration::from_millis(milliseconds)), text);
        }
    }

    #[test]
    fn durations_are_read_up_to_ten_years() {
        let read = |text| duration(text).ok().map(|duration| duration.as_millis());
        assert_eq!(read("250ms"), Some(250));
        assert_eq!(read("5 s"), Some(5_000));
        assert_eq!(read("5m"), Some(300_000));
        assert_eq!(read("24h"), Some(86_400_000));
        assert_eq!(read("7d"), Some(604_800_000));
        for bad in [
            "",
            "5",
            "s",
            "-1s",
            "1.5h",
            "5 minutes",
            "4000d",
            "99999999999999999999s",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn sizes_are_read_up_to_a_bound() {
        let read = |text| size(text).ok();
        assert_eq!(read("64KiB"), Some(65_536));
        assert_eq!(read("1MiB"), Some(1_048_576));
        assert_eq!(read("64KB"), Some(64_000));
        assert_eq!(read("0B"), Some(0));
        for bad in [
            "",
            "64",
            "KiB",
            "64kib",
            "-1B",
            "99999999GiB",
            "99999999999999999999B",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}

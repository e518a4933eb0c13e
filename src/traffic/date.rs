//! Dates as exports and logs have them, in milliseconds of Unix time.

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// `2026-03-01T12:30:05.123+01:00` (RFC 3339).
pub(super) fn rfc3339(text: &str) -> Option<u64> {
    let (day, rest) = text.split_once(['T', 't', ' '])?;
    let mut day = day.splitn(3, '-').map(number);
    let (year, month, day) = (day.next()??, day.next()??, day.next()??);
    let zone = rest.find(['Z', 'z', '+', '-'])?;
    let (time, zone) = rest.split_at(zone);
    let (time, fraction) = time.split_once('.').unwrap_or((time, ""));
    let digits: String = fraction.chars().chain("000".chars()).take(3).collect();
    moment(year, month, day, time, zone)?.checked_add(number(&digits)?.unsigned_abs())
}

/// `10/Oct/2000:13:55:36 -0700`, as Apache and nginx write it.
pub(super) fn common_log(text: &str) -> Option<u64> {
    let (date, zone) = text.split_once(' ')?;
    let (day, time) = date.split_once(':')?;
    let mut day = day.splitn(3, '/');
    let (date, month, year) = (day.next()?, day.next()?, day.next()?);
    let month = MONTHS.iter().position(|name| *name == month)?;
    let month = i64::try_from(month).ok()? + 1;
    moment(number(year)?, month, number(date)?, time, zone)
}

fn moment(year: i64, month: i64, day: i64, time: &str, zone: &str) -> Option<u64> {
    let mut time = time.splitn(3, ':').map(number);
    let (hour, minute, second) = (time.next()??, time.next()??, time.next()??);
    let is_one = (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && (hour < 24 && minute < 60 && second <= 60);
    let since = days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - east(zone)?;
    let millis = u64::try_from(since).ok()?.checked_mul(1000);
    millis.filter(|_| is_one)
}

/// Seconds by which a zone is before UTC: `Z`, `+01:00`, `-0700`.
fn east(zone: &str) -> Option<i64> {
    if zone.eq_ignore_ascii_case("z") {
        return Some(0);
    }
    let (sign, rest) = zone.split_at_checked(1)?;
    let digits = rest.replace(':', "");
    let (hours, minutes) = digits.split_at_checked(2)?;
    let seconds = number(hours)? * 3600 + number(minutes)? * 60;
    match sign {
        "+" => Some(seconds),
        "-" => Some(-seconds),
        _ => None,
    }
}

/// Days since 1970 in the Gregorian calendar, reckoned from March so that leap days come last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = match month {
        1 | 2 => (year - 1, month + 9),
        _ => (year, month - 3),
    };
    let of_year = (153 * month + 2) / 5 + day - 1;
    year * 365 + year / 4 - year / 100 + year / 400 + of_year - 719_468
}

/// Digits and nothing else, few enough for no product of them to overflow.
fn number(text: &str) -> Option<i64> {
    let is_one = (1..=4).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    is_one.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_with_their_zones() {
        assert_eq!(rfc3339("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(rfc3339("2000-02-29T23:59:59.5Z"), Some(951_868_799_500));
        assert_eq!(
            rfc3339("2026-03-01T12:30:05.123456+01:00"),
            rfc3339("2026-03-01T11:30:05.123Z")
        );
        assert_eq!(
            common_log("10/Oct/2000:13:55:36 -0700"),
            Some(971_211_336_000)
        );
        assert_eq!(
            common_log("10/Oct/2000:20:55:36 +0000"),
            Some(971_211_336_000)
        );
    }

    #[test]
    fn what_is_no_date_is_none() {
        for wrong in [
            "",
            "2026-03-01",
            "2026-13-01T00:00:00Z",
            "2026-03-01T24:00:00Z",
            "2026-03-01T00:00:00",
            "99999-03-01T00:00:00Z",
            "1960-01-01T00:00:00Z",
            "2026-03-01T00:00:00+é0:00",
            "-1-2-3T0:0:0Z",
        ] {
            assert_eq!(rfc3339(wrong), None, "{wrong}");
        }
        assert_eq!(common_log("10/Okt/2000:13:55:36 -0700"), None);
        assert_eq!(common_log("10/Oct/2000:13:55:36"), None);
    }
}

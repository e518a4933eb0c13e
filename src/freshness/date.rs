//! Dates as HTTP writes them (RFC 9110 §5.6.7), read a little more leniently than they are written.

use hyper::HeaderMap;
use hyper::header::HeaderName;
use std::time::{SystemTime, UNIX_EPOCH};

const WEEKDAYS: [&str; 7] = [
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
];

/// Letters of a weekday where it is cut short.
const SHORT: usize = 3;

/// Seconds of Unix time. A field that stands twice says two things, and so nothing.
pub(super) fn dated(headers: &HeaderMap, name: &HeaderName) -> Option<u64> {
    let mut lines = headers.get_all(name).iter();
    let (Some(line), None) = (lines.next(), lines.next()) else {
        return None;
    };
    let date = date(line.to_str().ok()?)?;
    let since = date.duration_since(UNIX_EPOCH).ok()?;
    Some(since.as_secs())
}

/// Any of the three forms. Words in other letters, and a weekday that is not that of the date, are
/// common mistakes in which nothing else could be meant. Another zone or another shape could.
fn date(text: &str) -> Option<SystemTime> {
    if let Ok(date) = httpdate::parse_http_date(text) {
        return Some(date);
    }
    let end = text.find([',', ' '])?;
    let (weekday, rest) = text.split_at(end);
    let known = WEEKDAYS.iter().find(|known| {
        weekday.eq_ignore_ascii_case(known) || weekday.eq_ignore_ascii_case(&known[..SHORT])
    })?;
    let is_short = weekday.len() < known.len();
    let rest = spelt(rest);
    WEEKDAYS.iter().find_map(|other| {
        let other = if is_short { &other[..SHORT] } else { other };
        httpdate::parse_http_date(&format!("{other}{rest}")).ok()
    })
}

/// Words with a capital first, as months are written; `GMT` alone is all capitals.
fn spelt(text: &str) -> String {
    let mut spelt = String::with_capacity(text.len());
    for word in text.split_inclusive(|letter: char| !letter.is_ascii_alphabetic()) {
        match word.split_at_checked(1) {
            _ if word.eq_ignore_ascii_case("GMT") => spelt.push_str("GMT"),
            Some((first, others)) => {
                spelt.push_str(&first.to_ascii_uppercase());
                spelt.push_str(&others.to_ascii_lowercase());
            }
            None => spelt.push_str(word),
        }
    }
    spelt
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sun, 06 Nov 1994 08:49:37 GMT: the RFC's example.
    const THEN: u64 = 784_111_777;

    fn seconds(text: &str) -> Option<u64> {
        let since = date(text)?.duration_since(UNIX_EPOCH).ok()?;
        Some(since.as_secs())
    }

    #[test]
    fn the_three_forms_are_read_in_any_letters_and_with_any_weekday() {
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            "SUN, 06 Nov 1994 08:49:37 GMT",
            "Sun, 06 nOV 1994 08:49:37 gmt",
            "sunday, 06-NOV-94 08:49:37 gMT",
            "Thu Nov  6 08:49:37 1994",
            "Monday, 06-Nov-94 08:49:37 GMT",
        ] {
            assert_eq!(seconds(text), Some(THEN), "{text}");
        }
    }

    #[test]
    fn what_could_mean_something_else_is_no_date() {
        for text in [
            "",
            "0",
            "Sun",
            "Sun, ",
            "Son, 06 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37 UTC",
            "Sun, 06 Nov 1994 08:49:37 AEST",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 06 Nov 94 08:49:37 GMT",
            "Sun 06 Nov 1994 08:49:37 GMT",
            "Sun, 06  Nov  1994 08:49:37 GMT",
            "Sun, 06-Nov-1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08.49.37 GMT",
            "Sun, 06 Nov 1994 8:49:37 GMT",
            "Sun, 31 Feb 1994 08:49:37 GMT",
            "1994-11-06T08:49:37Z",
        ] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }
}

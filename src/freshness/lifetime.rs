//! How long an answer is fresh by its own account, and how old it is on arrival: RFC 9111 §4.2, as
//! a shared cache.

use super::cache_control::CacheControl;
use super::date::dated;
use crate::headers;
use hyper::header::{DATE, EXPIRES, LAST_MODIFIED};
use hyper::{HeaderMap, StatusCode};

/// The tenth part of how long an answer had not changed is taken for how long it will not (§4.2.2).
const HEURISTIC_PART: u64 = 10;

/// Longest freshness by heuristic: what is older than this without anybody having said that it may
/// be deserves a look.
const MAX_HEURISTIC_S: u64 = 24 * 60 * 60;

/// Status codes that may be kept without explicit freshness (RFC 9110 §15.1), 206 apart.
const HEURISTICALLY_CACHEABLE: [u16; 11] = [200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501];

/// Status codes whose meaning for a cache is known here: those that RFC 9110 defines, 206 and 304
/// apart, which are never kept as they are.
fn is_understood(status: StatusCode) -> bool {
    let known = [421, 422, 426].contains(&status.as_u16())
        || matches!(status.as_u16(), 200..=205 | 300..=303 | 305 | 307 | 308 | 400..=417 | 500..=505);
    known && status != StatusCode::PAYMENT_REQUIRED
}

/// What is known of an answer when it has arrived.
#[derive(Clone, Copy, Debug)]
pub struct Arrived<'h> {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: &'h HeaderMap,
    /// When it was asked for, seconds of Unix time.
    pub asked_at_s: u64,
    /// When its head was there.
    pub arrived_at_s: u64,
}

/// Whether anything of an answer allows a shared cache to keep it (§3), `no-store`, `private` and
/// what its request was apart.
pub fn may_be_kept(said: &CacheControl, arrived: &Arrived) -> bool {
    is_explicit(said, arrived) || said.public || is_heuristic(arrived.status)
}

/// Whether an answer says itself how long it is fresh.
pub fn is_explicit(said: &CacheControl, arrived: &Arrived) -> bool {
    said.max_age.is_some()
        || said.s_maxage.is_some()
        || (!said.is_targeted && arrived.headers.contains_key(EXPIRES))
}

/// Whether `no-store` is to be obeyed: beside `must-understand` it is for those who do not know the
/// status (§5.2.2.3).
pub fn forbids_keeping(said: &CacheControl, status: StatusCode) -> bool {
    if said.must_understand {
        !is_understood(status)
    } else {
        said.no_store
    }
}

/// Seconds from its making for which an answer is fresh (§4.2.1).
pub fn freshness_s(said: &CacheControl, arrived: &Arrived) -> u64 {
    if let Some(seconds) = said.s_maxage.or(said.max_age) {
        return seconds;
    }
    let made_at = dated(arrived.headers, &DATE).unwrap_or(arrived.arrived_at_s);
    if !said.is_targeted && arrived.headers.contains_key(EXPIRES) {
        // What is no date is in the past (§5.3).
        let expires = dated(arrived.headers, &EXPIRES).unwrap_or_default();
        return expires.saturating_sub(made_at);
    }
    if !said.public && !is_heuristic(arrived.status) {
        return 0;
    }
    let unchanged_since = dated(arrived.headers, &LAST_MODIFIED).unwrap_or(made_at);
    (made_at.saturating_sub(unchanged_since) / HEURISTIC_PART).min(MAX_HEURISTIC_S)
}

/// Seconds since its making, on arrival (§4.2.3).
pub fn initial_age_s(arrived: &Arrived) -> u64 {
    let now = arrived.arrived_at_s;
    let apparent = dated(arrived.headers, &DATE).map_or(0, |made_at| now.saturating_sub(made_at));
    let delay = now.saturating_sub(arrived.asked_at_s);
    apparent.max(u64::from(headers::age(arrived.headers)) + delay)
}

fn is_heuristic(status: StatusCode) -> bool {
    HEURISTICALLY_CACHEABLE.contains(&status.as_u16())
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::{AGE, CACHE_CONTROL, HeaderName, HeaderValue};
    use std::time::{Duration, UNIX_EPOCH};

    /// Sun, 06 Nov 1994 08:49:37 GMT: the RFC's example.
    const THEN: u64 = 784_111_777;

    fn date(at: u64) -> String {
        httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(at))
    }

    fn headers(lines: &[(HeaderName, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, line) in lines {
            let value = HeaderValue::from_str(line).expect("a valid value");
            headers.append(name.clone(), value);
        }
        headers
    }

    fn arrived(headers: &HeaderMap, status: u16) -> Arrived<'_> {
        Arrived {
            status: StatusCode::from_u16(status).expect("a status"),
            headers,
            asked_at_s: THEN + 3,
            arrived_at_s: THEN + 5,
        }
    }

    fn fresh(lines: &[(HeaderName, &str)], status: u16) -> u64 {
        let headers = headers(lines);
        freshness_s(&CacheControl::read(&headers), &arrived(&headers, status))
    }

    #[test]
    fn explicit_freshness_is_taken_in_the_order_of_the_rfc() {
        let later = date(THEN + 100);
        let rows: &[(&[(HeaderName, &str)], u64)] = &[
            (&[(CACHE_CONTROL, "max-age=10, s-maxage=20")], 20),
            (&[(CACHE_CONTROL, "s-maxage=1, max-age=3600")], 1),
            (&[(CACHE_CONTROL, "max-age=10"), (EXPIRES, "0")], 10),
            (&[(CACHE_CONTROL, "max-age=0"), (EXPIRES, &later)], 0),
            (&[(DATE, &date(THEN)), (EXPIRES, &later)], 100),
            (&[(EXPIRES, &later)], 95), // counted from its arrival
            (&[(DATE, "yesterday"), (EXPIRES, &later)], 95),
        ];
        for (lines, expected) in rows {
            assert_eq!(fresh(lines, 200), *expected, "{lines:?}");
        }
    }

    #[test]
    fn dates_are_read_in_all_three_forms_and_in_no_other() {
        let made = date(THEN - 10);
        for then in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            assert_eq!(fresh(&[(DATE, &made), (EXPIRES, then)], 200), 10, "{then}");
        }
        for invalid in [
            "0",
            "-1",
            "",
            "Sun, 06 Nov 1994 08:49:37",
            "1994-11-06T08:49:37Z",
        ] {
            assert_eq!(
                fresh(&[(DATE, &made), (EXPIRES, invalid)], 200),
                0,
                "{invalid}"
            );
        }
        let (past, future) = (date(THEN - 20), date(THEN + 20));
        let twice = [(DATE, &*made), (EXPIRES, &future), (EXPIRES, &past)];
        assert_eq!(fresh(&twice, 200), 0);
    }

    #[test]
    fn without_a_word_freshness_is_a_tenth_of_the_time_unchanged() {
        let (made, changed) = (date(THEN), date(THEN - 1000));
        let unchanged = [(DATE, &*made), (LAST_MODIFIED, &*changed)];
        for status in HEURISTICALLY_CACHEABLE {
            assert_eq!(fresh(&unchanged, status), 100, "{status}");
        }
        for status in [201, 202, 302, 403, 500, 502, 503, 504, 599] {
            assert_eq!(fresh(&unchanged, status), 0, "{status}");
        }
        let public = [
            unchanged[0].clone(),
            unchanged[1].clone(),
            (CACHE_CONTROL, "public"),
        ];
        assert_eq!(fresh(&public, 599), 100);
        assert_eq!(
            fresh(&[(DATE, &made), (LAST_MODIFIED, &date(0))], 200),
            MAX_HEURISTIC_S
        );
        assert_eq!(fresh(&[(DATE, &made)], 200), 0);
    }

    #[test]
    fn what_may_be_kept_says_so_or_has_a_status_that_does() {
        let kept = |lines: &[(HeaderName, &str)], status| {
            let headers = headers(lines);
            may_be_kept(&CacheControl::read(&headers), &arrived(&headers, status))
        };
        assert!(kept(&[], 200));
        assert!(!kept(&[], 302) && !kept(&[], 599));
        for line in ["max-age=1", "s-maxage=1", "public"] {
            assert!(kept(&[(CACHE_CONTROL, line)], 599), "{line}");
        }
        assert!(kept(&[(EXPIRES, "0")], 302));
        assert!(!kept(&[(CACHE_CONTROL, "must-revalidate")], 302));
    }

    #[test]
    fn must_understand_stands_above_no_store_for_a_status_that_is_known() {
        let forbids = |line: &str, status| {
            let said = CacheControl::read(&headers(&[(CACHE_CONTROL, line)]));
            let status = StatusCode::from_u16(status).expect("a status");
            forbids_keeping(&said, status)
        };
        assert!(!forbids("must-understand, no-store, max-age=5", 200));
        assert!(forbids("must-understand, no-store, max-age=5", 299));
        assert!(forbids("must-understand, max-age=5", 599));
        assert!(forbids("no-store", 200) && !forbids("max-age=5", 299));
    }

    #[test]
    fn age_is_the_larger_of_what_the_date_and_what_the_age_say() {
        let age = |lines: &[(HeaderName, &str)]| {
            let headers = headers(lines);
            initial_age_s(&arrived(&headers, 200))
        };
        assert_eq!(age(&[]), 2, "the time that it took to come");
        assert_eq!(age(&[(AGE, "30")]), 32);
        assert_eq!(age(&[(AGE, "30"), (DATE, &date(THEN - 95))]), 100);
        assert_eq!(age(&[(DATE, &date(THEN + 95))]), 2, "a clock ahead of ours");
    }
}

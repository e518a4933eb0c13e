//! May an answer be kept, as far as its head says?

use super::cache_control::CacheControl;
use super::lifetime::forbids_keeping;
use crate::outcome::Detail;
use crate::rules::table::Ttl;
use hyper::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderName,
    SET_COOKIE, TRAILER, VARY,
};
use hyper::{HeaderMap, StatusCode};
use std::time::Duration;

/// What a rule, and the settings around it, say about keeping.
#[derive(Clone, Copy, Debug)]
pub struct KeepRules<'r> {
    /// How long an answer of this status is fresh.
    pub ttl: Ttl,
    /// Status codes that are kept; `None`: those that RFC 9111 allows.
    pub statuses: Option<&'r [u16]>,
    /// The entry is shared among people: `private` then forbids it.
    pub shared: bool,
    /// How long past its freshness it may be served while it is fetched anew; `None` is the origin's
    /// to say with [`Ttl::Origin`], else not at all.
    pub stale_while_revalidate: Option<Duration>,
    /// The same where fetching it fails.
    pub stale_if_error: Option<Duration>,
    /// Fields by which the origin speaks to us (RFC 9213).
    pub targets: &'r [HeaderName],
    /// Disregard `no-store`, `no-cache`, `private`, `Set-Cookie`, `Vary: *` and what forbids stale
    /// use. The `Set-Cookie` header itself is stripped from the entry in any case, by those who write it.
    pub ignore_origin_cache_control: bool,
    /// Bytes of a body that is kept.
    pub max_entry: usize,
    /// `Accept-Encoding` takes part in the key or its variant.
    pub accept_encoding_keyed: bool,
}

/// Judges status and headers of the origin's answer. The first reason found is told; a body may
/// still turn out to be too large, truncated, or refused by [`super::judge_body`].
///
/// How long it is fresh is not asked here: see [`super::terms()`].
pub fn judge_head(
    rules: &KeepRules<'_>,
    said: &CacheControl,
    status: StatusCode,
    headers: &HeaderMap,
) -> Result<(), Detail> {
    judge_status(rules, status)?;
    judge_length(rules, headers)?;
    if !rules.ignore_origin_cache_control {
        judge_wishes(rules, said, status, headers)?;
    }
    judge_shape(rules, headers)
}

fn judge_status(rules: &KeepRules<'_>, status: StatusCode) -> Result<(), Detail> {
    if status == StatusCode::PARTIAL_CONTENT {
        return Err(Detail::Range); // a part is never kept as the whole, whatever is listed
    }
    let is_kept = match rules.statuses {
        Some(statuses) => statuses.contains(&status.as_u16()),
        // Above 599 a status is none (RFC 9110 §15).
        None => (200..600).contains(&status.as_u16()) && status != StatusCode::NOT_MODIFIED,
    };
    is_kept.then_some(()).ok_or(Detail::Status)
}

fn judge_length(rules: &KeepRules<'_>, headers: &HeaderMap) -> Result<(), Detail> {
    let Some(value) = headers.get(CONTENT_LENGTH) else {
        return Ok(());
    };
    let length: Option<u64> = value.to_str().ok().and_then(|text| text.parse().ok());
    match length {
        None => Err(Detail::NotKeepable),
        Some(length) if length > rules.max_entry as u64 => Err(Detail::TooLarge),
        Some(_) => Ok(()),
    }
}

/// What the origin asks of caches.
fn judge_wishes(
    rules: &KeepRules<'_>,
    said: &CacheControl,
    status: StatusCode,
    headers: &HeaderMap,
) -> Result<(), Detail> {
    let is_fixed = rules.ttl != Ttl::Origin;
    let refusals = [
        (forbids_keeping(said, status), Detail::OriginNoStore),
        (said.private && rules.shared, Detail::OriginPrivate),
        // To be validated before every use (RFC 9111 §5.2.2.4), which a time of ours cannot replace.
        (said.no_cache && is_fixed, Detail::NotKeepable),
        (headers.contains_key(SET_COOKIE), Detail::SetCookie),
        (lists(headers, &VARY, "*"), Detail::VaryStar),
    ];
    match refusals.into_iter().find(|(refused, _)| *refused) {
        Some((_, reason)) => Err(reason),
        None => Ok(()),
    }
}

/// What no copy can repeat, whatever the rule says.
fn judge_shape(rules: &KeepRules<'_>, headers: &HeaderMap) -> Result<(), Detail> {
    // Beside a status that is no 206 the field means nothing (RFC 9110 §14.4), but was hardly sent for
    // nothing.
    if headers.contains_key(CONTENT_RANGE) && rules.ttl != Ttl::Origin {
        return Err(Detail::Range);
    }
    // An origin whose own words are obeyed is believed to say by what its answers vary.
    let by_encoding = rules.ttl == Ttl::Origin
        || rules.accept_encoding_keyed
        || lists(headers, &VARY, ACCEPT_ENCODING.as_str());
    if headers.contains_key(TRAILER)
        || is_event_stream(headers)
        || (is_coded(headers) && !by_encoding)
    {
        return Err(Detail::NotKeepable);
    }
    Ok(())
}

/// Whether a comma-separated header has this member, in any case. Neither `Vary` nor
/// `Content-Encoding` has quoted members.
fn lists(headers: &HeaderMap, name: &HeaderName, member: &str) -> bool {
    members(headers, name).any(|found| found.eq_ignore_ascii_case(member.as_bytes()))
}

fn members<'h>(headers: &'h HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'h [u8]> {
    let lines = headers.get_all(name).into_iter();
    let members = lines.flat_map(|line| line.as_bytes().split(|&byte| byte == b','));
    members
        .map(<[u8]>::trim_ascii)
        .filter(|member| !member.is_empty())
}

fn is_coded(headers: &HeaderMap) -> bool {
    members(headers, &CONTENT_ENCODING).any(|coding| !coding.eq_ignore_ascii_case(b"identity"))
}

fn is_event_stream(headers: &HeaderMap) -> bool {
    headers.get_all(CONTENT_TYPE).iter().any(|value| {
        let media_type = value
            .as_bytes()
            .split(|&byte| byte == b';')
            .next()
            .unwrap_or_default();
        media_type
            .trim_ascii()
            .eq_ignore_ascii_case(b"text/event-stream")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    const RULES: KeepRules<'static> = KeepRules {
        ttl: Ttl::Fixed(Duration::from_secs(60)),
        statuses: Some(&[200, 404]),
        shared: true,
        stale_while_revalidate: None,
        stale_if_error: None,
        targets: &[],
        ignore_origin_cache_control: false,
        max_entry: 1000,
        accept_encoding_keyed: false,
    };
    const PERSONAL: KeepRules<'static> = KeepRules {
        shared: false,
        ..RULES
    };
    const IGNORING: KeepRules<'static> = KeepRules {
        ignore_origin_cache_control: true,
        ..RULES
    };

    type Lines<'a> = &'a [(&'static str, &'a str)];

    fn judge_as(rules: &KeepRules<'_>, status: u16, lines: Lines<'_>) -> Result<(), Detail> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            let value = HeaderValue::from_str(value).expect("a valid value");
            headers.append(HeaderName::from_static(name), value);
        }
        let status = StatusCode::from_u16(status).expect("a status");
        judge_head(rules, &CacheControl::read(&headers), status, &headers)
    }

    fn judge(lines: Lines<'_>) -> Result<(), Detail> {
        judge_as(&RULES, 200, lines)
    }

    #[test]
    fn only_listed_statuses_are_kept_and_a_part_never() {
        assert_eq!(judge_as(&RULES, 200, &[]), Ok(()));
        assert_eq!(judge_as(&RULES, 404, &[]), Ok(()));
        for status in [201, 304, 429, 500] {
            assert_eq!(
                judge_as(&RULES, status, &[]),
                Err(Detail::Status),
                "{status}"
            );
        }
        let careless = KeepRules {
            statuses: Some(&[200, 206]),
            ..RULES
        };
        assert_eq!(judge_as(&careless, 206, &[]), Err(Detail::Range));
        assert_eq!(
            judge(&[("content-range", "bytes 0-1/2")]),
            Err(Detail::Range)
        );
        let any = KeepRules {
            statuses: None,
            ..RULES
        };
        for status in [200, 299, 302, 404, 500, 599] {
            assert_eq!(judge_as(&any, status, &[]), Ok(()), "{status}");
        }
        for status in [304, 600, 999] {
            assert_eq!(judge_as(&any, status, &[]), Err(Detail::Status), "{status}");
        }
        assert_eq!(judge_as(&any, 206, &[]), Err(Detail::Range));
    }

    #[test]
    fn a_declared_length_above_the_bound_is_too_large() {
        assert_eq!(judge(&[("content-length", "1000")]), Ok(()));
        assert_eq!(judge(&[("content-length", "1001")]), Err(Detail::TooLarge));
        let huge = "99999999999999999999";
        assert_eq!(judge(&[("content-length", huge)]), Err(Detail::NotKeepable));
    }

    #[test]
    fn the_origins_wishes_are_obeyed() {
        let rows: &[(&'static str, &str, Detail)] = &[
            ("cache-control", "no-store", Detail::OriginNoStore),
            (
                "cache-control",
                "private, max-age=60",
                Detail::OriginPrivate,
            ),
            ("cache-control", "no-cache", Detail::NotKeepable),
            ("cache-control", "max-age=60; public", Detail::OriginNoStore),
            ("set-cookie", "a=1", Detail::SetCookie),
            ("vary", "*", Detail::VaryStar),
            ("vary", "Origin, *", Detail::VaryStar),
        ];
        for &(name, value, reason) in rows {
            assert_eq!(judge(&[(name, value)]), Err(reason), "{name}: {value}");
            assert_eq!(
                judge_as(&IGNORING, 200, &[(name, value)]),
                Ok(()),
                "{name}: {value}"
            );
        }
        assert_eq!(
            judge(&[("cache-control", "max-age=0"), ("vary", "Origin")]),
            Ok(())
        );
    }

    #[test]
    fn private_forbids_only_what_is_shared_among_people() {
        let private = [("cache-control", "private")];
        assert_eq!(judge_as(&PERSONAL, 200, &private), Ok(()));
        let both = [("cache-control", "private, no-store")];
        assert_eq!(judge_as(&PERSONAL, 200, &both), Err(Detail::OriginNoStore));
    }

    #[test]
    fn a_coding_is_kept_only_where_accept_encoding_tells_variants_apart() {
        let gzip = [("content-encoding", "gzip")];
        assert_eq!(judge(&gzip), Err(Detail::NotKeepable));
        let keyed = KeepRules {
            accept_encoding_keyed: true,
            ..RULES
        };
        assert_eq!(judge_as(&keyed, 200, &gzip), Ok(()));
        let varied = [
            ("content-encoding", "br"),
            ("vary", "Origin, accept-Encoding"),
        ];
        assert_eq!(judge(&varied), Ok(()));
        assert_eq!(judge(&[("content-encoding", "Identity")]), Ok(()));
        assert_eq!(
            judge(&[("content-encoding", "identity, gzip")]),
            Err(Detail::NotKeepable)
        );
    }

    #[test]
    fn streams_and_trailers_are_not_keepable_even_where_wishes_are_ignored() {
        let rows = [
            ("content-type", "text/event-stream"),
            ("content-type", "Text/Event-Stream ; charset=utf-8"),
            ("trailer", "x-checksum"),
            ("content-encoding", "gzip"),
        ];
        for (name, value) in rows {
            let judged = judge_as(&IGNORING, 200, &[(name, value)]);
            assert_eq!(judged, Err(Detail::NotKeepable), "{name}: {value}");
        }
        assert_eq!(
            judge(&[("content-type", "application/json; charset=utf-8")]),
            Ok(())
        );
    }

    #[test]
    fn the_first_reason_in_order_is_told() {
        let lines = [
            ("content-length", "5000"),
            ("cache-control", "no-store"),
            ("set-cookie", "a=1"),
            ("vary", "*"),
        ];
        assert_eq!(judge_as(&RULES, 500, &lines), Err(Detail::Status));
        assert_eq!(judge(&lines), Err(Detail::TooLarge));
        assert_eq!(judge(&lines[1..]), Err(Detail::OriginNoStore));
        assert_eq!(judge(&lines[2..]), Err(Detail::SetCookie));
    }
}

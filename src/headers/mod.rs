//! Which headers are hop-by-hop, kept, forwarded, sent.
//!
//! Call [`remove_hop_by_hop`] on a request before anything is decided from its headers: what a
//! `Connection` header takes away must not have shaped a key either.

mod address; // where a client is
mod forwarded; // X-Forwarded-*, Forwarded, Via
mod hops; // Upgrade, Max-Forwards
mod seen; // which of those that matter a request has
mod negotiation; // Vary, Accept-Encoding
mod peer; // at the other end of a connection

pub use address::{client_address, network};
pub use forwarded::{
    Arrival, Forwarding, append_via, is_trusted, take_claims, tells_of_the_way, write_forwarded,
};
pub use hops::{answers_switch, count_hop, offer_switch, switch_offered};
pub use negotiation::{Vary, normal_accept_encoding, normal_list, offers};
pub use peer::Peer;
pub use seen::Seen;

use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{HeaderMap, Method};
use std::borrow::Cow;
use std::time::{Duration, UNIX_EPOCH};

/// Fields that say nothing of who asks, though answers vary by them.
pub const TELLS_NOBODY: [HeaderName; 4] = [
    header::ACCEPT,
    header::ACCEPT_ENCODING,
    header::ACCEPT_LANGUAGE,
    header::ORIGIN,
];

/// Fields that concern one connection only, whether `Connection` names them or not (RFC 9110
/// §7.6.1). `Trailer` is not among them: it describes the message, and trailers pass through.
static HOP_BY_HOP: [HeaderName; 7] = [
    header::CONNECTION,
    HeaderName::from_static("http2-settings"),
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Fields that `Connection` may not name (RFC 9110 §7.6.1: those intended for all recipients). To
/// obey it would let a sender take away what decides framing, identity or whether an answer is kept.
static ALWAYS_END_TO_END: [HeaderName; 17] = [
    header::AGE,
    header::AUTHORIZATION,
    header::CACHE_CONTROL,
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::CONTENT_RANGE,
    header::CONTENT_TYPE,
    header::COOKIE,
    header::DATE,
    header::ETAG,
    header::EXPIRES,
    header::HOST,
    header::LAST_MODIFIED,
    header::PRAGMA,
    header::RANGE,
    header::SET_COOKIE,
    header::VARY,
];

/// Fields that a shared cache does not keep although they are end-to-end: those of one person, those
/// of a proxy before us (RFC 9111 §3.1), those that describe trailers, which are not kept, and those that name the
/// one request that was answered: others would be shown an id that leads to somebody else's, and that he may have
/// chosen. `Age` is kept apart, as a number.
static NOT_KEPT: [HeaderName; 10] = [
    header::AGE,
    header::PROXY_AUTHENTICATE,
    HeaderName::from_static("proxy-authentication-info"),
    header::PROXY_AUTHORIZATION,
    header::SET_COOKIE,
    HeaderName::from_static("set-cookie2"),
    header::TRAILER,
    HeaderName::from_static("x-request-id"),
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("traceresponse"),
];

/// What describes a kept body as it came, and what a 304 says of them is of another message.
static OF_THE_BODY: [HeaderName; 3] = [
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::CONTENT_RANGE,
];

/// What describes the content of one message, and so neither the whole's nor another part's.
static OF_THE_CONTENT: [HeaderName; 4] = [
    header::CONTENT_LENGTH,
    header::CONTENT_RANGE,
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("content-md5"),
];

/// Names the trace that a request is part of (W3C Trace Context).
pub static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// What others say of that trace.
pub static TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Request headers by which some origins replace the method: such a request is not what it seems.
pub static METHOD_OVERRIDES: [HeaderName; 3] = [
    HeaderName::from_static("x-http-method"),
    HeaderName::from_static("x-http-method-override"),
    HeaderName::from_static("x-method-override"),
];

/// Request headers by which some origins replace the path.
pub static TARGET_OVERRIDES: [HeaderName; 2] = [
    HeaderName::from_static("x-original-url"),
    HeaderName::from_static("x-rewrite-url"),
];

/// The methods that an origin may take a request for: its own, and one that a header puts in its
/// place.
pub fn methods(own: &Method, headers: &HeaderMap) -> Vec<Method> {
    let mut methods = vec![own.clone()];
    // Origins take the first of a list, or refuse it; any of them may be meant.
    for name in METHOD_OVERRIDES
        .iter()
        .flat_map(|name| members(headers, name))
    {
        let named = Method::from_bytes(name.to_ascii_uppercase().as_bytes());
        methods.extend(named.ok().filter(|method| method != own));
    }
    methods
}

/// The largest `Age`, seconds; larger ones count as this (RFC 9111 §1.2.2).
const MAX_AGE: u32 = 1 << 31;

/// The members of a comma-separated field, over all its lines, trimmed, without empty ones (RFC
/// 9110 §5.6.1). A line that is not visible ASCII is left out.
fn members<'h>(headers: &'h HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'h str> {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|line| line.split(','))
        .map(str::trim)
        .filter(|member| !member.is_empty())
}

/// The names that `Connection` declares hop-by-hop for this message, as far as it may.
fn named_by_connection(headers: &HeaderMap) -> Vec<HeaderName> {
    let mut lines = headers.get_all(header::CONNECTION).iter();
    if lines.all(|line| line.as_bytes().eq_ignore_ascii_case(b"keep-alive")) {
        return Vec::new(); // the usual one names nothing that is not dropped anyway
    }
    let is_hop_by_hop = |name: &str| {
        let mut known = HOP_BY_HOP.iter();
        known.any(|known| name.eq_ignore_ascii_case(known.as_str()))
    };
    members(headers, &header::CONNECTION)
        .filter(|name| !is_hop_by_hop(name) && headers.contains_key(*name))
        .filter_map(|name| HeaderName::from_bytes(name.as_bytes()).ok())
        .filter(|name| !ALWAYS_END_TO_END.contains(name))
        .collect()
}

/// The headers that `keep` says, in their order. (`HeaderMap::remove` would move the last one into
/// the gap.)
fn filtered(headers: &HeaderMap, keep: impl Fn(&HeaderName) -> bool) -> HeaderMap {
    let mut filtered = HeaderMap::with_capacity(headers.keys_len());
    for (name, value) in headers.iter().filter(|(name, _)| keep(name)) {
        filtered.append(name.clone(), value.clone());
    }
    filtered
}

/// Removes what is meant for one connection only: the fields that RFC 9110 §7.6.1 lists, and those
/// that `Connection` names. The others stay in their order.
pub fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let named = named_by_connection(headers);
    let drops = |name: &HeaderName| HOP_BY_HOP.contains(name) || named.contains(name);
    // Servers say them last, and what is last leaves no gap.
    while let Some(last) = headers.keys().last().filter(|last| drops(last)).cloned() {
        headers.remove(last);
    }
    if headers.keys().any(drops) {
        *headers = filtered(headers, |name| !drops(name));
    }
}

/// The headers of an answer that are kept: end-to-end, in the order in which they came, less those
/// that belong to one person, those that age, and those that `stripped` says (it is given names in
/// lower case). Values are copied: each is a slice of what the connection read at once otherwise, all
/// of which a kept one would hold on to.
pub fn kept(headers: &HeaderMap, stripped: impl Fn(&str) -> bool) -> HeaderMap {
    let named = named_by_connection(headers);
    let mut kept = filtered(headers, |name| {
        !(HOP_BY_HOP.contains(name)
            || NOT_KEPT.contains(name)
            || named.contains(name)
            || stripped(name.as_str()))
    });
    kept.values_mut().for_each(detach);
    kept
}

/// Bytes of its own for a value, whatever they were a slice of.
fn detach(value: &mut HeaderValue) {
    let is_sensitive = value.is_sensitive();
    *value = HeaderValue::from_bytes(value.as_bytes()).expect("it was a value before");
    value.set_sensitive(is_sensitive);
}

/// Headers with a `Date`: that of their coming, milliseconds of Unix time, where the origin said none
/// (RFC 9110 §6.6.1).
pub fn dated(headers: &HeaderMap, arrived_ms: u64) -> Cow<'_, HeaderMap> {
    if headers.contains_key(header::DATE) {
        return Cow::Borrowed(headers);
    }
    let mut dated = headers.clone();
    let arrived = UNIX_EPOCH + Duration::from_millis(arrived_ms);
    let date = HeaderValue::try_from(httpdate::fmt_http_date(arrived));
    dated.extend(date.ok().map(|date| (header::DATE, date)));
    Cow::Owned(dated)
}

/// The headers of a kept answer after the origin said that it still holds: each field of the 304
/// stands in the place of the kept one, but for those that describe the body as it came (RFC 9111
/// §3.2).
pub fn updated(kept: &HeaderMap, not_modified: &HeaderMap) -> HeaderMap {
    let newer = filtered(not_modified, |name| !OF_THE_BODY.contains(name));
    let mut updated = filtered(kept, |name| !newer.contains_key(name));
    for (name, value) in &newer {
        updated.append(name.clone(), value.clone());
    }
    updated
}

/// The headers of an answer without what describes the content of the one message that they came with:
/// to be said anew of another part of the same answer.
pub fn without_content(headers: &HeaderMap) -> HeaderMap {
    filtered(headers, |name| !OF_THE_CONTENT.contains(name))
}

/// The `Age` that an answer carries, seconds: the first where several are given, 0 where it is
/// absent or not a number (RFC 9111 §5.1).
pub fn age(headers: &HeaderMap) -> u32 {
    let Some(digits) = members(headers, &header::AGE).next() else {
        return 0;
    };
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return 0;
    }
    // All digits: the only way to fail is to be too large.
    digits.parse().unwrap_or(MAX_AGE).min(MAX_AGE)
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        lines
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .collect()
    }

    fn names(headers: &HeaderMap) -> Vec<&str> {
        headers.keys().map(HeaderName::as_str).collect()
    }

    #[test]
    fn what_is_kept_holds_on_to_nothing_of_the_connection_that_it_came_by() {
        let read = bytes::Bytes::from(vec![b'x'; 8192]);
        let mut came = HeaderMap::new();
        let value = HeaderValue::from_maybe_shared(read.slice(..10)).expect("a value");
        came.insert(header::ETAG, value);
        let kept = kept(&came, |_| false);
        drop(came);
        assert_eq!(kept[header::ETAG], "xxxxxxxxxx");
        assert!(read.is_unique());
    }

    #[test]
    fn headers_of_one_connection_do_not_travel() {
        let mut all = headers(&[
            ("connection", "close, X-Secret-Hop"),
            ("connection", "keep-alive"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "keep-alive"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("http2-settings", "AAMAAABk"),
            ("x-secret-hop", "1"),
            ("trailer", "x-checksum"),
            ("x-stays", "1"),
            ("x-too", "1"),
        ]);
        remove_hop_by_hop(&mut all);
        assert_eq!(names(&all), ["trailer", "x-stays", "x-too"]);
    }

    #[test]
    fn connection_cannot_take_away_what_decides_identity_or_keeping() {
        let mut all = headers(&[
            (
                "connection",
                "authorization, cookie, host, cache-control, vary, set-cookie",
            ),
            ("authorization", "Bearer t"),
            ("cookie", "a=b"),
            ("host", "a"),
            ("cache-control", "no-store"),
            ("vary", "cookie"),
            ("set-cookie", "a=b"),
        ]);
        remove_hop_by_hop(&mut all);
        assert_eq!(all.len(), 6);
        assert!(!all.contains_key("connection"));
    }

    #[test]
    fn an_entry_keeps_end_to_end_headers_in_their_order() {
        let answer = headers(&[
            ("x-first", "1"),
            ("connection", "x-hop"),
            ("x-hop", "1"),
            ("set-cookie", "session=1"),
            ("age", "7"),
            ("ratelimit-limit", "10"),
            ("cache-status", "upstream; hit"),
            ("link", "<a>"),
            ("link", "<b>"),
        ]);
        let kept = kept(&answer, |name| name.starts_with("ratelimit"));
        assert_eq!(names(&kept), ["x-first", "cache-status", "link"]);
        assert_eq!(kept.get_all("link").iter().count(), 2);
    }

    #[test]
    fn a_304_replaces_what_is_kept_but_for_what_describes_the_body() {
        let kept = headers(&[
            ("content-type", "text/plain"),
            ("content-length", "5"),
            ("link", "<a>"),
            ("link", "<b>"),
            ("etag", "\"a\""),
        ]);
        let newer = headers(&[
            ("content-length", "0"),
            ("content-type", "text/html"),
            ("link", "<c>"),
            ("expires", "0"),
        ]);
        let updated = updated(&kept, &newer);
        assert_eq!(updated["content-type"], "text/html");
        assert_eq!(updated["content-length"], "5");
        assert_eq!(updated["expires"], "0");
        assert_eq!(updated["etag"], "\"a\"");
        let links: Vec<_> = updated.get_all("link").iter().collect();
        assert_eq!(links, ["<c>"]);
    }

    #[test]
    fn an_age_that_is_no_number_is_zero_and_a_huge_one_is_clamped() {
        assert_eq!(age(&headers(&[("age", "60")])), 60);
        assert_eq!(age(&headers(&[("age", "60, 70")])), 60);
        assert_eq!(age(&headers(&[("age", "+60")])), 0);
        assert_eq!(age(&headers(&[("age", "soon")])), 0);
        assert_eq!(age(&headers(&[("age", "99999999999999999999")])), 1 << 31);
        assert_eq!(age(&headers(&[])), 0);
    }
}

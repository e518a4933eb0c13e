//! What one connection asks of the next: to change its protocol, or to go no further.

use super::members;
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method, Version};

static UPGRADE: HeaderName = header::UPGRADE;

/// The protocols that a request offers to change to, as it names them. `None` where it offers none,
/// or one that is ours to speak: HTTP/2 is spoken without asking, and never through us to the origin.
pub fn switch_offered(request: &Parts) -> Option<HeaderValue> {
    let headers = &request.headers;
    let is_asked = request.version == Version::HTTP_11
        && members(headers, &header::CONNECTION).any(|name| name.eq_ignore_ascii_case("upgrade"));
    let mut protocols = members(headers, &UPGRADE).peekable();
    if !is_asked || protocols.peek().is_none() || protocols.any(is_http) {
        return None;
    }
    let names: Vec<&str> = members(headers, &UPGRADE).collect();
    HeaderValue::from_str(&names.join(", ")).ok()
}

fn is_http(protocol: &str) -> bool {
    let name = protocol.split('/').next().unwrap_or_default();
    ["h2", "h2c", "http"]
        .iter()
        .any(|known| name.eq_ignore_ascii_case(known))
}

/// Offers, or agrees, to change to these protocols.
pub fn offer_switch(headers: &mut HeaderMap, protocols: HeaderValue) {
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, protocols);
}

/// Whether an answer that changes the protocol changes to one that was offered.
pub fn answers_switch(answer: &HeaderMap, offered: Option<&HeaderValue>) -> bool {
    let offered = offered
        .and_then(|names| names.to_str().ok())
        .unwrap_or_default();
    let is_offered = |chosen: &str| {
        let mut names = offered.split(',').map(str::trim);
        names.any(|name| name.eq_ignore_ascii_case(chosen))
    };
    let mut chosen = members(answer, &UPGRADE).peekable();
    chosen.peek().is_some() && chosen.all(is_offered)
}

/// Counts this hop where the request wants its hops counted (RFC 9110 §7.6.2). True where it may go
/// no further.
pub fn count_hop(method: &Method, headers: &mut HeaderMap) -> bool {
    if ![Method::OPTIONS, Method::TRACE].contains(method) {
        return false;
    }
    let left = headers.get(header::MAX_FORWARDS);
    let left = left.and_then(|left| left.to_str().ok()?.parse::<u64>().ok());
    match left {
        None => false, // not a number of hops: the next may know what it means
        Some(0) => true,
        Some(left) => {
            headers.insert(header::MAX_FORWARDS, HeaderValue::from(left - 1));
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::headers;
    use super::*;
    use hyper::Request;

    fn offered(version: Version, lines: &[(&'static str, &'static str)]) -> Option<HeaderValue> {
        let (mut parts, ()) = Request::new(()).into_parts();
        parts.version = version;
        parts.headers = headers(lines);
        switch_offered(&parts)
    }

    #[test]
    fn a_change_of_protocol_is_offered_on_this_connection_and_never_to_http() {
        let asked = ("connection", "keep-alive, Upgrade");
        let both = [asked, ("upgrade", "a/1"), ("upgrade", "b")];
        assert_eq!(
            offered(Version::HTTP_11, &both),
            Some(HeaderValue::from_static("a/1, b"))
        );
        assert_eq!(offered(Version::HTTP_10, &both), None);
        assert_eq!(offered(Version::HTTP_11, &[("upgrade", "a")]), None);
        assert_eq!(offered(Version::HTTP_11, &[asked]), None);
        for http in ["h2c", "H2C, websocket", "HTTP/2.0", "websocket, h2"] {
            assert_eq!(
                offered(Version::HTTP_11, &[asked, ("upgrade", http)]),
                None,
                "{http}"
            );
        }
    }

    #[test]
    fn an_answer_may_choose_among_what_was_offered() {
        let offered = HeaderValue::from_static("websocket, foo/2");
        for (chosen, fits) in [
            ("WebSocket", true),
            ("foo/2", true),
            ("foo", false),
            ("", false),
        ] {
            assert_eq!(
                answers_switch(&headers(&[("upgrade", chosen)]), Some(&offered)),
                fits,
                "{chosen}"
            );
        }
        assert!(!answers_switch(&headers(&[]), Some(&offered)));
    }

    #[test]
    fn hops_are_counted_where_a_method_asks_for_it() {
        let counted = |method: Method, left: &'static str| {
            let mut headers = headers(&[("max-forwards", left)]);
            let ends = count_hop(&method, &mut headers);
            (
                ends,
                headers["max-forwards"]
                    .to_str()
                    .unwrap_or_default()
                    .to_owned(),
            )
        };
        assert_eq!(counted(Method::OPTIONS, "0"), (true, "0".to_owned()));
        assert_eq!(counted(Method::TRACE, "10"), (false, "9".to_owned()));
        assert_eq!(counted(Method::GET, "0"), (false, "0".to_owned()));
        assert_eq!(counted(Method::TRACE, "few"), (false, "few".to_owned()));
    }
}

//! What is ambiguous is refused: a request that two servers on the way could take for two different
//! ones gets 400 and a closed connection.

mod heads; // what a parsed request no longer shows

pub use heads::{Heads, Oversized, Place};

use crate::headers::Seen;
use hyper::body::Body as HttpBody;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::http::uri::PathAndQuery;
use hyper::{Method, Request, StatusCode, Uri, Version};
use std::borrow::Cow;
use std::net::Ipv6Addr;

/// Bytes of a method: the longest registered one, `UPDATEREDIRECTREF`, has 17.
const MAX_METHOD: usize = 24;

/// Digits of a port, with as many zeros before it as nobody needs.
const MAX_PORT_DIGITS: usize = 8;

/// The one expectation that there is (RFC 9110 §10.1.1).
const CONTINUE: &[u8] = b"100-continue";

/// What a connection says of a request of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Standing {
    /// Nothing.
    #[default]
    Plain,
    /// Others may read it differently: see [`Heads::doubtful`].
    Doubtful,
    /// More of its requests are being carried out than may be: nothing of this one is begun.
    Crowded,
}

/// Why a request goes no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// 400 for what is ambiguous, 501 for methods that nobody here has, 413 and 417 for what is too
    /// much, 503 for who asks too much at a time.
    pub status: StatusCode,
    /// For a person.
    pub why: &'static str,
}

const fn ambiguous(why: &'static str) -> Refusal {
    Refusal {
        status: StatusCode::BAD_REQUEST,
        why,
    }
}

const fn refusal(status: StatusCode, why: &'static str) -> Refusal {
    Refusal { status, why }
}

const fn unknown(why: &'static str) -> Refusal {
    Refusal {
        status: StatusCode::NOT_IMPLEMENTED,
        why,
    }
}

/// Lets a request in, its target in origin-form and with exactly one `Host` (RFC 9112 §3.2), its body
/// not declared to be longer than `max_body`. `seen` are the headers that it has.
///
/// # Errors
/// Why it is refused.
pub fn admit<B: HttpBody>(
    mut request: Request<B>,
    seen: Seen,
    standing: Standing,
    max_body: Option<u64>,
) -> Result<Request<B>, Refusal> {
    match standing {
        Standing::Plain => {}
        Standing::Doubtful => return Err(ambiguous("where the request ends is in doubt")),
        Standing::Crowded => {
            let why = "what this connection has asked for before is still being carried out";
            return Err(refusal(StatusCode::SERVICE_UNAVAILABLE, why));
        }
    }
    if request.method() == Method::CONNECT {
        return Err(unknown("CONNECT is not supported"));
    }
    if request.method().as_str().len() > MAX_METHOD {
        return Err(unknown("the method is longer than any"));
    }
    if seen.has(Seen::FRAMING) && !is_plainly_framed(&request) {
        return Err(ambiguous("Transfer-Encoding is not chunked alone"));
    }
    if max_body.is_some_and(|most| request.body().size_hint().lower() > most) {
        let status = StatusCode::PAYLOAD_TOO_LARGE;
        return Err(refusal(status, "the request's body is too large"));
    }
    if seen.has(Seen::EXPECT) && !is_expectation_known(&request) {
        let status = StatusCode::EXPECTATION_FAILED;
        return Err(refusal(status, "only 100-continue may be expected"));
    }
    let host = host(&request)?;
    if request.version() == Version::HTTP_2 {
        join_cookies(request.headers_mut());
    }
    if let Some(target) = origin_form(&request)? {
        *request.uri_mut() = target;
    }
    if let Some(host) = host {
        request.headers_mut().insert(header::HOST, host);
    }
    Ok(request)
}

/// Whether the body is sent as it is or in chunks. Under another coding its bytes would reach the
/// origin without anybody saying so, and a coding that is named twice is read differently by many.
fn is_plainly_framed<B>(request: &Request<B>) -> bool {
    let mut codings = request.headers().get_all(header::TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => true,
        (Some(coding), None) => coding.as_bytes().eq_ignore_ascii_case(b"chunked"),
        (Some(_), Some(_)) => false,
    }
}

/// Whether it expects nothing that nobody here knows of (RFC 9110 §10.1.1). HTTP/1.0 has no such
/// thing as an expectation.
fn is_expectation_known<B>(request: &Request<B>) -> bool {
    let is_known = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(CONTINUE);
    request.version() < Version::HTTP_11
        || request
            .headers()
            .get_all(header::EXPECT)
            .iter()
            .all(is_known)
}

/// One `Cookie` of those into which HTTP/2 may split it (RFC 9113 §8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let crumbs: Vec<&[u8]> = headers
        .get_all(header::COOKIE)
        .iter()
        .map(HeaderValue::as_bytes)
        .collect();
    if crumbs.len() > 1
        && let Ok(joined) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..]))
    {
        headers.insert(header::COOKIE, joined);
    }
}

/// The one host that the request names, where it is not its `Host`: that of an absolute target.
fn host<B>(request: &Request<B>) -> Result<Option<HeaderValue>, Refusal> {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let is_http2 = request.version() == Version::HTTP_2;
    let authority = request.uri().authority();
    let host = match (hosts.next(), hosts.next()) {
        (Some(host), None) => Some(host),
        (None, _) if request.version() <= Version::HTTP_10 => None,
        (None, _) if is_http2 && authority.is_some() => None,
        (None, _) => return Err(ambiguous("Host is missing")),
        (Some(_), Some(_)) => return Err(ambiguous("Host is repeated")),
    };
    if host.is_some_and(|host| !is_host(host.as_bytes())) {
        return Err(ambiguous("Host is not a host"));
    }
    let Some(authority) = authority else {
        return Ok(None);
    };
    let differs = |host: &HeaderValue| {
        !authority
            .as_str()
            .as_bytes()
            .eq_ignore_ascii_case(host.as_bytes())
    };
    // RFC 9113 §8.3.1: in HTTP/2 both say the same.
    if is_http2 && host.is_some_and(differs) {
        return Err(ambiguous("Host and :authority differ"));
    }
    if !is_host(authority.as_str().as_bytes()) {
        return Err(ambiguous("the target's host is not a host"));
    }
    // RFC 9112 §3.2.2: the target's host counts, whatever Host says.
    HeaderValue::from_str(authority.as_str())
        .map(Some)
        .map_err(|_| ambiguous("the target's host is not a host"))
}

/// `host[:port]` and nothing else: no user information, path, list or white space.
fn is_host(bytes: &[u8]) -> bool {
    if bytes.starts_with(b"[") {
        return is_bracketed_host(bytes);
    }
    let is_part = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'A'..=b'Z' | b'-' | b'.' | b'_' | b'~');
    let end = bytes.iter().position(|byte| !is_part(*byte));
    let (name, after) = bytes.split_at(end.unwrap_or(bytes.len()));
    !name.is_empty() && is_port(after)
}

/// The same with an IPv6 address.
fn is_bracketed_host(bytes: &[u8]) -> bool {
    let text = std::str::from_utf8(bytes).ok();
    let rest = text.and_then(|text| text.strip_prefix('[')?.split_once(']'));
    rest.is_some_and(|(address, after)| {
        address.parse::<Ipv6Addr>().is_ok() && is_port(after.as_bytes())
    })
}

/// Nothing, or a colon and a port, which may be empty (RFC 3986 §3.2.3).
fn is_port(bytes: &[u8]) -> bool {
    let value = |number: u32, digit: &u8| 10 * number + u32::from(digit - b'0');
    match bytes {
        [] => true,
        [b':', digits @ ..] => {
            let is_number =
                digits.len() <= MAX_PORT_DIGITS && digits.iter().all(u8::is_ascii_digit);
            is_number && digits.iter().fold(0, value) <= u32::from(u16::MAX)
        }
        _ => false,
    }
}

/// The target in origin-form, where it is not in that form as it is.
fn origin_form<B>(request: &Request<B>) -> Result<Option<Uri>, Refusal> {
    let uri = request.uri();
    match uri.scheme_str() {
        None if uri.authority().is_some() => return Err(ambiguous("the target is not a path")),
        None | Some("http" | "https") => {}
        Some(_) => return Err(ambiguous("the target's scheme is not http")),
    }
    let target = uri.path_and_query().map_or("/", PathAndQuery::as_str);
    // `http://host?query` has an empty path, which is `/` (RFC 9112 §3.2.1).
    let target = match target.starts_with('?') {
        true => Cow::Owned(format!("/{target}")),
        false => Cow::Borrowed(target),
    };
    if target == "*" && request.method() != Method::OPTIONS {
        return Err(ambiguous("the target * is for OPTIONS only"));
    }
    // A path is ASCII (RFC 3986 §2): what else is in it, each server decodes in its own way.
    if !target.starts_with(['/', '*']) || !target.is_ascii() {
        return Err(ambiguous("the target is not a path"));
    }
    if uri.scheme().is_none() && target == uri.path_and_query().map_or("", PathAndQuery::as_str) {
        return Ok(None);
    }
    let target = target.parse().map(Some);
    target.map_err(|_| ambiguous("the target is not a path"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn let_in<B: HttpBody>(
        request: Request<B>,
        standing: Standing,
        max_body: Option<u64>,
    ) -> Result<Request<B>, Refusal> {
        let seen = Seen::of(request.headers());
        admit(request, seen, standing, max_body)
    }

    fn refusal(request: hyper::http::request::Builder) -> Option<&'static str> {
        let request = request.body(String::new()).expect("a request");
        let_in(request, Standing::Plain, Some(3))
            .err()
            .map(|refusal| refusal.why)
    }

    #[test]
    fn a_request_that_names_no_host_or_more_than_one_is_refused() {
        assert_eq!(refusal(Request::get("/")), Some("Host is missing"));
        assert_eq!(
            refusal(Request::get("/").header("host", "a").header("host", "a")),
            Some("Host is repeated")
        );
        for bad in [
            "", "a b", "a/b", "u@a", "a,b", "a\\b", ":80", "a:b", "a:1:2", "a:65536", "a:+1",
            "[::1", "[a]", "[::1]a",
        ] {
            assert_eq!(
                refusal(Request::get("/").header("host", bad)),
                Some("Host is not a host"),
                "{bad}"
            );
        }
        for good in ["a", "a:", "a:80", "127.0.0.1:80", "[::1]", "[::1]:80"] {
            assert_eq!(
                refusal(Request::get("/").header("host", good)),
                None,
                "{good}"
            );
        }
        assert_eq!(refusal(Request::get("/").version(Version::HTTP_10)), None);
    }

    #[test]
    fn an_absolute_target_counts_before_host() {
        let request = Request::get("http://a.example:81/x?y=1")
            .header("host", "b.example")
            .body(String::new())
            .expect("a request");
        let admitted = let_in(request, Standing::Plain, None).expect("admitted");
        assert_eq!(admitted.uri(), "/x?y=1");
        let bare = Request::get("http://a.example?y=1")
            .header("host", "a")
            .body(String::new())
            .expect("a request");
        let bare = let_in(bare, Standing::Plain, None).expect("admitted");
        assert_eq!(bare.uri(), "/?y=1");
        assert_eq!(admitted.headers()["host"], "a.example:81");
    }

    #[test]
    fn connect_and_a_star_for_get_are_refused() {
        assert_eq!(
            refusal(Request::connect("a:443").header("host", "a")),
            Some("CONNECT is not supported")
        );
        assert_eq!(
            refusal(Request::get("*").header("host", "a")),
            Some("the target * is for OPTIONS only")
        );
        assert_eq!(refusal(Request::options("*").header("host", "a")), None);
    }

    #[test]
    fn http2_names_its_host_once() {
        let named = |host: Option<&str>| {
            let mut request = Request::get("http://a.example/").version(Version::HTTP_2);
            if let Some(host) = host {
                request = request.header("host", host);
            }
            refusal(request)
        };
        assert_eq!(named(None), None);
        assert_eq!(named(Some("A.example")), None);
        assert_eq!(named(Some("b.example")), Some("Host and :authority differ"));
        let neither = Request::get("/").version(Version::HTTP_2);
        assert_eq!(refusal(neither), Some("Host is missing"));
    }

    #[test]
    fn a_cookie_in_crumbs_is_one_cookie_again() {
        let request = Request::get("http://a.example/")
            .version(Version::HTTP_2)
            .header("cookie", "a=1")
            .header("cookie", "b=2; c=3")
            .body(String::new())
            .expect("a request");
        let admitted = let_in(request, Standing::Plain, None).expect("admitted");
        let cookies: Vec<_> = admitted.headers().get_all("cookie").iter().collect();
        assert_eq!(cookies, ["a=1; b=2; c=3"]);
    }

    #[test]
    fn a_body_may_be_so_long_and_not_longer() {
        let admitted = |body: &str| {
            let request = Request::post("/").header("host", "a");
            let request = request.body(body.to_owned()).expect("a request");
            let_in(request, Standing::Plain, Some(3))
                .map(drop)
                .map_err(|refusal| refusal.status.as_u16())
        };
        assert_eq!((admitted("abc"), admitted("abcd")), (Ok(()), Err(413)));
    }

    #[test]
    fn only_to_continue_may_be_expected() {
        let expects = |value| {
            refusal(
                Request::post("/")
                    .header("host", "a")
                    .header("expect", value),
            )
        };
        assert_eq!(expects("100-Continue"), None);
        for unknown in ["the-unexpected", "100-continue, x", ""] {
            assert_eq!(expects(unknown), Some("only 100-continue may be expected"));
        }
    }
}

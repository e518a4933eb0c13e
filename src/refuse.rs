//! What is ambiguous is refused: a request that two servers on the way could take for two different
//! ones gets 400 and a closed connection.

mod heads; // what a parsed request no longer shows

pub use heads::Heads;

use hyper::header::{self, HeaderValue};
use hyper::http::uri::PathAndQuery;
use hyper::{Method, Request, StatusCode, Uri, Version};
use std::net::Ipv6Addr;

/// Bytes of a method: the longest registered one, `UPDATEREDIRECTREF`, has 17.
const MAX_METHOD: usize = 24;

/// Rides on a request whose connection is in doubt: see [`Heads::doubtful`].
#[derive(Clone, Copy)]
pub struct Doubtful;

/// Why a request goes no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// 400 for what is ambiguous, 501 for methods that nobody here has.
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

const fn unknown(why: &'static str) -> Refusal {
    Refusal {
        status: StatusCode::NOT_IMPLEMENTED,
        why,
    }
}

/// Lets a request in, its target in origin-form and with exactly one `Host` (RFC 9112 §3.2).
///
/// # Errors
/// Why it is refused.
pub fn admit<B>(mut request: Request<B>) -> Result<Request<B>, Refusal> {
    if request.extensions().get::<Doubtful>().is_some() {
        return Err(ambiguous("where the request ends is in doubt"));
    }
    if request.method() == Method::CONNECT {
        return Err(unknown("CONNECT is not supported"));
    }
    if request.method().as_str().len() > MAX_METHOD {
        return Err(unknown("the method is longer than any"));
    }
    if !is_plainly_framed(&request) {
        return Err(ambiguous("Transfer-Encoding is not chunked alone"));
    }
    let host = host(&request)?;
    *request.uri_mut() = origin_form(&request)?;
    match host {
        Some(host) => request.headers_mut().insert(header::HOST, host),
        None => request.headers_mut().remove(header::HOST),
    };
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

/// The one host that the request names: that of an absolute target, else its `Host`.
fn host<B>(request: &Request<B>) -> Result<Option<HeaderValue>, Refusal> {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (Some(host), None) => Some(host.clone()),
        (None, _) if request.version() <= Version::HTTP_10 => None,
        (None, _) => return Err(ambiguous("Host is missing")),
        (Some(_), Some(_)) => return Err(ambiguous("Host is repeated")),
    };
    if host.as_ref().is_some_and(|host| !is_host(host.as_bytes())) {
        return Err(ambiguous("Host is not a host"));
    }
    let Some(authority) = request.uri().authority() else {
        return Ok(host);
    };
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
    let Ok(text) = std::str::from_utf8(bytes) else {
        return false;
    };
    let (name, after) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, after)) if address.parse::<Ipv6Addr>().is_ok() => (address, after),
        Some(_) => return false,
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    let is_bracketed = text.starts_with('[');
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    !name.is_empty() && (is_bracketed || name.bytes().all(is_part)) && is_port(after)
}

/// Nothing, or a colon and a port, which may be empty (RFC 3986 §3.2.3).
fn is_port(text: &str) -> bool {
    match text.strip_prefix(':') {
        None => text.is_empty(),
        Some(digits) => {
            digits.bytes().all(|byte| byte.is_ascii_digit())
                && (digits.is_empty() || digits.parse::<u16>().is_ok())
        }
    }
}

fn origin_form<B>(request: &Request<B>) -> Result<Uri, Refusal> {
    let uri = request.uri();
    match uri.scheme_str() {
        None if uri.authority().is_some() => return Err(ambiguous("the target is not a path")),
        None | Some("http" | "https") => {}
        Some(_) => return Err(ambiguous("the target's scheme is not http")),
    }
    let target = uri.path_and_query().map_or("/", PathAndQuery::as_str);
    let rooted = format!("/{target}");
    // `http://host?query` has an empty path, which is `/` (RFC 9112 §3.2.1).
    let target = if target.starts_with('?') {
        &rooted
    } else {
        target
    };
    if target == "*" && request.method() != Method::OPTIONS {
        return Err(ambiguous("the target * is for OPTIONS only"));
    }
    // A path is ASCII (RFC 3986 §2): what else is in it, each server decodes in its own way.
    if !target.starts_with(['/', '*']) || !target.is_ascii() {
        return Err(ambiguous("the target is not a path"));
    }
    target
        .parse()
        .map_err(|_| ambiguous("the target is not a path"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(request: hyper::http::request::Builder) -> Option<&'static str> {
        admit(request.body(()).expect("a request"))
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
            .body(())
            .expect("a request");
        let admitted = admit(request).expect("admitted");
        assert_eq!(admitted.uri(), "/x?y=1");
        let bare = Request::get("http://a.example?y=1")
            .header("host", "a")
            .body(())
            .expect("a request");
        assert_eq!(admit(bare).expect("admitted").uri(), "/?y=1");
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
}

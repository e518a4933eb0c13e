//! What is ambiguous is refused: a request that two servers on the way could take for two different
//! ones gets 400 and a closed connection.

use hyper::header::{self, HeaderValue};
use hyper::http::uri::PathAndQuery;
use hyper::{Method, Request, StatusCode, Uri, Version};

/// Why a request goes no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// 400 for what is ambiguous, 501 for CONNECT.
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

/// Lets a request in, its target in origin-form and with exactly one `Host` (RFC 9112 §3.2).
///
/// # Errors
/// Why it is refused.
pub fn admit<B>(mut request: Request<B>) -> Result<Request<B>, Refusal> {
    if request.method() == Method::CONNECT {
        return Err(Refusal {
            status: StatusCode::NOT_IMPLEMENTED,
            why: "CONNECT is not supported",
        });
    }
    let host = host(&request)?;
    *request.uri_mut() = origin_form(&request)?;
    match host {
        Some(host) => request.headers_mut().insert(header::HOST, host),
        None => request.headers_mut().remove(header::HOST),
    };
    Ok(request)
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
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~:[]".contains(byte);
    !bytes.is_empty() && bytes.iter().all(is_part)
}

fn origin_form<B>(request: &Request<B>) -> Result<Uri, Refusal> {
    let target = request
        .uri()
        .path_and_query()
        .map_or("/", PathAndQuery::as_str);
    if target == "*" && request.method() != Method::OPTIONS {
        return Err(ambiguous("the target * is for OPTIONS only"));
    }
    if !target.starts_with(['/', '*']) {
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
        for bad in ["", "a b", "a/b", "u@a", "a,b", "a\\b"] {
            assert_eq!(
                refusal(Request::get("/").header("host", bad)),
                Some("Host is not a host"),
                "{bad}"
            );
        }
        assert_eq!(refusal(Request::get("/").header("host", "[::1]:80")), None);
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

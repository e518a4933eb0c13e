//! Who may come in by the door: whoever has its token, and where none is set, whoever calls from
//! this machine and is not a web page.
//!
//! A page that a person looks at may have the browser send requests here, and may have its own name
//! resolve to this machine. What it cannot do is name our token, hide where it comes from, or send a
//! `Host` that is not its own. Where no token is set each of the last two alone keeps it out. The type of
//! a body tells nothing that these do not, and would only turn tools away.

use super::Denied;
use super::failures::Failures;
use crate::digest::{DIGEST_BYTES, Digester};
use crate::secret::Secret;
use hyper::StatusCode;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use subtle::ConstantTimeEq;

/// What browsers say of where a request comes from (W3C Fetch Metadata).
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Lets callers in.
pub(super) struct Porter {
    /// All of the token that is kept here.
    token: Option<[u8; DIGEST_BYTES]>,
    failures: Mutex<Failures>,
}

impl Porter {
    pub(super) fn new(token: Option<&Secret<String>>) -> Porter {
        Porter {
            token: token.map(|token| digest(token.reveal().as_bytes())),
            failures: Mutex::default(),
        }
    }

    /// Whether all who come in have shown a token.
    pub(super) fn wants_token(&self) -> bool {
        self.token.is_some()
    }

    /// Whether a request of this caller's may go on, at `now` in milliseconds of Unix time.
    ///
    /// # Errors
    /// Why not.
    pub(super) fn admit(
        &self,
        peer: Option<IpAddr>,
        headers: &HeaderMap,
        now: u64,
    ) -> Result<(), Denied> {
        if !is_of_this_site(headers) {
            let why = "pages of other sites are kept out";
            return Err(Denied::new(StatusCode::FORBIDDEN, why));
        }
        match &self.token {
            None => admit_local(headers),
            Some(token) => self.judge(token, peer, headers, now),
        }
    }

    /// The right token is let in whoever else fails from its caller's address: before a token is looked
    /// at nobody can tell the operator from who guesses beside him, so to refuse it unseen would be a way
    /// to lock him out. What is limited is what a wrong one gets; that guessing leads nowhere is the
    /// work of the token's length, which off loopback must be enough.
    fn judge(
        &self,
        token: &[u8; DIGEST_BYTES],
        peer: Option<IpAddr>,
        headers: &HeaderMap,
        now: u64,
    ) -> Result<(), Denied> {
        let mut lines = headers.get_all(header::AUTHORIZATION).iter();
        let unknown = || Denied::new(StatusCode::UNAUTHORIZED, WANTED);
        let given = lines.next().ok_or_else(unknown)?;
        let is_right = bearer(given).is_some_and(|given| digest(given).ct_eq(token).into());
        if is_right && lines.next().is_none() {
            return Ok(());
        }
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        match failures.another(peer, now) {
            None => Err(unknown()),
            Some(wait) => Err(Denied::for_now(
                wait,
                "too many wrong tokens came from here",
            )),
        }
    }
}

const WANTED: &str = "Authorization: Bearer TOKEN is wanted, the one of [admin] token";

/// Tokens are compared by their digests: these have one length, and how much of a wrong one is right
/// does not show in them.
fn digest(token: &[u8]) -> [u8; DIGEST_BYTES] {
    Digester::new("admin token").part(token).finish().0
}

/// What stands behind `Bearer`, whose case does not count (RFC 9110 §11.1).
fn bearer(value: &HeaderValue) -> Option<&[u8]> {
    let (scheme, token) = value.as_bytes().split_first_chunk::<7>()?;
    scheme.eq_ignore_ascii_case(b"bearer ").then_some(token)
}

/// Whether a request comes from no page, or from one of our own. Tools say neither; browsers say
/// `Origin` with every POST, and where it is from with all that they send to this machine.
fn is_of_this_site(headers: &HeaderMap) -> bool {
    let host = one(headers, &header::HOST).unwrap_or_default();
    let origins = headers.get_all(header::ORIGIN);
    let is_ours = |origin: &HeaderValue| {
        let origin = origin.as_bytes();
        [&b"http://"[..], b"https://"].iter().any(|scheme| {
            let authority = origin.strip_prefix(*scheme);
            authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host))
        })
    };
    let sites = headers.get_all(SEC_FETCH_SITE);
    origins.iter().all(is_ours)
        && sites
            .iter()
            .all(|site| [&b"same-origin"[..], b"none"].contains(&site.as_bytes()))
}

/// Without a token the listener is on loopback or a socket; the rest is to tell tools from pages.
fn admit_local(headers: &HeaderMap) -> Result<(), Denied> {
    if !one(headers, &header::HOST).is_some_and(is_this_machine) {
        let why = "only callers on this machine come in without a token: set [admin] token";
        return Err(Denied::new(StatusCode::FORBIDDEN, why));
    }
    Ok(())
}

/// The value of a header that stands once.
fn one<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h [u8]> {
    let mut lines = headers.get_all(name).iter();
    let value = lines.next()?.as_bytes();
    lines.next().is_none().then_some(value)
}

/// `localhost` or an address of loopback, perhaps with a port. Neither is a name that a page could have
/// and make resolve to this machine; `localhost.` and names below it are nobody's habit.
fn is_this_machine(host: &[u8]) -> bool {
    let Ok(host) = std::str::from_utf8(host) else {
        return false;
    };
    if let Some((address, after)) = host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        let is_ours = address.parse().is_ok_and(|ip: Ipv6Addr| ip.is_loopback());
        return is_ours && (after.is_empty() || after.starts_with(':'));
    }
    let name = host.split_once(':').map_or(host, |(name, _)| name);
    name.eq_ignore_ascii_case("localhost")
        || name.parse().is_ok_and(|ip: Ipv4Addr| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_loopback_names() {
        let ours = [
            "localhost",
            "LOCALHOST:9090",
            "127.0.0.1:9090",
            "[::1]:9090",
            "[::1]",
            "127.1.2.3",
        ];
        for ours in ours {
            assert!(is_this_machine(ours.as_bytes()), "{ours}");
        }
        let theirs = [
            "",
            "evil.example",
            "localhost.",
            "localhost.:9090",
            "evil.localhost",
            "localhost.evil.example:9090",
            "10.0.0.1",
            "0.0.0.0:9090",
            "[::]:9090",
            "::1",
            "[::1",
            "[::1]evil.example",
            "[::ffff:127.0.0.1]:9090",
            "127.1",
            "2130706433",
            "0x7f000001",
            "0177.0.0.1",
            "127.0.0.1.evil.example",
        ];
        for theirs in theirs {
            assert!(!is_this_machine(theirs.as_bytes()), "{theirs}");
        }
    }

    #[test]
    fn a_page_of_ours_is_one_at_the_very_host_and_port() {
        let from = |origin: &'static str| {
            HeaderMap::from_iter([
                (header::HOST, HeaderValue::from_static("localhost:9090")),
                (header::ORIGIN, HeaderValue::from_static(origin)),
            ])
        };
        for ours in ["http://localhost:9090", "https://LOCALHOST:9090"] {
            assert!(is_of_this_site(&from(ours)), "{ours}");
        }
        let theirs = [
            "null",
            "",
            "http://localhost",
            "http://localhost:3000",
            "http://localhost:9090.evil.example",
            "http://evil.example",
            "file://",
            "localhost:9090",
        ];
        for theirs in theirs {
            assert!(!is_of_this_site(&from(theirs)), "{theirs}");
        }
    }

    #[test]
    fn the_scheme_is_bearer_in_any_case_and_the_token_is_all_behind_it() {
        let read = |text: &'static str| bearer(&HeaderValue::from_static(text)).map(<[u8]>::to_vec);
        assert_eq!(read("Bearer a b"), Some(b"a b".to_vec()));
        assert_eq!(read("bearer x"), Some(b"x".to_vec()));
        assert_eq!(read("Bearer "), Some(Vec::new()));
        for other in ["Bearer", "Basic eDp5", "Bearer\tx", "x", ""] {
            assert_eq!(read(other), None, "{other}");
        }
    }
}

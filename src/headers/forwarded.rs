//! What the origin is told about the way a request came: `X-Forwarded-*`, `Forwarded`, `X-Real-IP`
//! and `Via`.

use super::{Peer, members};
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{HeaderMap, Version};
use ipnet::IpNet;
use std::net::IpAddr;

pub(super) static FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
static FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
static FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
static REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// Clients come without TLS: whoever ends it before us tells of it.
const SCHEME: &str = "http";

/// Headers that tell of a way that began with us.
const FIRST_HOP: usize = 4;

/// Headers that go to the origin beside them: a trace, its id and `Via`.
const SENT_WITH_THEM: usize = 3;

/// Every header that begins so tells of the way a request came.
pub(super) const FORWARDED_PREFIX: &str = "x-forwarded-";

/// How a request reached us, as we know it ourselves.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    /// The address at the other end; `None` on a Unix socket, whose peers are not trusted.
    pub peer: Option<IpAddr>,
    /// `http` or `https`.
    pub scheme: &'a str,
    /// The `Host` the client named.
    pub host: &'a str,
}

/// Writes the forwarding headers. From a peer in `trusted`, `X-Forwarded-For` and `Forwarded` are
/// extended, and the others believed where they make sense; from any other peer all of them are
/// removed, and written from what we saw.
pub fn write_forwarded(headers: &mut HeaderMap, arrival: Arrival<'_>, trusted: &[IpNet]) {
    write(headers, arrival, is_trusted(arrival.peer, trusted));
}

/// Whether a peer is believed what it says of the way.
pub fn is_trusted(peer: Option<IpAddr>, trusted: &[IpNet]) -> bool {
    let peer = peer.map(|address| address.to_canonical());
    peer.is_some_and(|peer| trusted.iter().any(|net| net.contains(&peer)))
}

fn write(headers: &mut HeaderMap, arrival: Arrival<'_>, is_trusted: bool) {
    if !is_trusted {
        remove_claims(headers);
    }
    extend(headers, arrival.peer.map(|address| address.to_canonical()));
    let proto = headers.get(&FORWARDED_PROTO).map(HeaderValue::as_bytes);
    if !matches!(proto, Some(b"http" | b"https")) {
        set(headers, &FORWARDED_PROTO, arrival.scheme);
    }
    let host = headers.get(&FORWARDED_HOST);
    if host.is_none_or(HeaderValue::is_empty) {
        set(headers, &FORWARDED_HOST, arrival.host);
    }
}

/// Removes what a stranger says about the way.
fn remove_claims(headers: &mut HeaderMap) {
    let claims: Vec<HeaderName> = headers
        .keys()
        .filter(|name| name.as_str().starts_with(FORWARDED_PREFIX))
        .cloned()
        .collect();
    for name in claims {
        headers.remove(name);
    }
    headers.remove(header::FORWARDED);
    headers.remove(&REAL_IP);
}

/// Adds the peer to the ways that are already told.
fn extend(headers: &mut HeaderMap, peer: Option<IpAddr>) {
    let Some(peer) = peer else { return };
    let way: Vec<&str> = members(headers, &FORWARDED_FOR).collect();
    let way = match way.as_slice() {
        [] => peer.to_string(),
        before => format!("{}, {peer}", before.join(", ")),
    };
    set(headers, &FORWARDED_FOR, &way);
    if !headers.contains_key(&REAL_IP) {
        set(headers, &REAL_IP, &peer.to_string());
    }
    if headers.contains_key(header::FORWARDED) {
        let node = match peer {
            IpAddr::V4(address) => format!("for={address}"),
            IpAddr::V6(address) => format!("for=\"[{address}]\""), // RFC 7239 §6
        };
        if let Ok(node) = HeaderValue::from_str(&node) {
            headers.append(header::FORWARDED, node);
        }
    }
}

/// Writes one value in place of all others; a value that no header can hold is left out.
fn set(headers: &mut HeaderMap, name: &HeaderName, value: &str) {
    match HeaderValue::from_str(value) {
        Ok(value) => drop(headers.insert(name, value)),
        Err(_) => drop(headers.remove(name)),
    }
}

/// How a request came to us, written once and put on every request to the origin that it causes.
#[derive(Clone, Debug)]
pub struct Forwarding {
    written: Vec<(HeaderName, HeaderValue)>,
    received: Version,
}

impl Forwarding {
    /// What is told of a request to this host, from what it claims of its way, if its peer is believed.
    pub fn of(
        claims: &HeaderMap,
        host: Option<&HeaderValue>,
        received: Version,
        peer: Option<&Peer>,
        is_trusted: bool,
    ) -> Forwarding {
        let written = match claims.is_empty() {
            true => first_hop(host, peer),
            false => corrected(claims, host, peer.map(Peer::address), is_trusted),
        };
        Forwarding { written, received }
    }

    /// What is told, but for this hop.
    pub fn told(&self) -> HeaderMap {
        self.written.iter().cloned().collect()
    }

    /// Whether the client came over TLS.
    pub fn is_secure(&self) -> bool {
        // Of several the first counts: it is the one that a fill is sent with.
        let mut schemes = self
            .written
            .iter()
            .filter(|(name, _)| *name == FORWARDED_PROTO);
        schemes
            .next()
            .is_some_and(|(_, scheme)| scheme.as_bytes() == b"https")
    }

    /// Puts them in place of what the client said: what a key or a variant is made from is then what
    /// the origin is told.
    pub fn correct(&self, headers: &mut HeaderMap) {
        while let Some(theirs) = headers.keys().find(|name| tells_of_the_way(name)) {
            let theirs = theirs.clone();
            headers.remove(theirs);
        }
        headers.reserve(self.written.len() + SENT_WITH_THEM);
        for (name, value) in &self.written {
            headers.append(name, value.clone());
        }
    }

    /// Completes the client's own request, whose headers were put [`correct`](Self::correct).
    pub fn onto(&self, headers: &mut HeaderMap) {
        append_via(headers, self.received);
    }

    /// Puts them on a request that fills an entry: of the way only the addresses and the scheme. The
    /// host is that of the key, unless the key or its variant holds another; prefixes and ports that a
    /// proxy tells shape answers and are no part of it.
    pub fn onto_fill(&self, headers: &mut HeaderMap) {
        let of_the_way = [&FORWARDED_FOR, &FORWARDED_PROTO, &REAL_IP];
        let told = |name: &&HeaderName| self.written.iter().find(|(told, _)| told == *name);
        for (name, value) in of_the_way.iter().filter_map(told) {
            headers.insert(name, value.clone());
        }
        if let Some(host) = headers.get(header::HOST).cloned()
            && !headers.contains_key(&FORWARDED_HOST)
        {
            headers.insert(FORWARDED_HOST.clone(), host);
        }
        append_via(headers, self.received);
    }
}

/// Takes out of a request's headers what they say of its way.
pub fn take_claims(headers: &mut HeaderMap) -> HeaderMap {
    let claims = super::filtered(headers, tells_of_the_way);
    *headers = super::filtered(headers, |name| !tells_of_the_way(name));
    claims
}

/// What is to be said of a client that says something itself.
fn corrected(
    claims: &HeaderMap,
    host: Option<&HeaderValue>,
    peer: Option<IpAddr>,
    is_trusted: bool,
) -> Vec<(HeaderName, HeaderValue)> {
    let mut written = claims.clone();
    let arrival = Arrival {
        peer,
        scheme: SCHEME,
        host: host.and_then(|host| host.to_str().ok()).unwrap_or_default(),
    };
    write(&mut written, arrival, is_trusted);
    let lines = written.iter();
    lines
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// What is to be said of a client that says nothing: the usual case, without a map in between.
fn first_hop(host: Option<&HeaderValue>, peer: Option<&Peer>) -> Vec<(HeaderName, HeaderValue)> {
    let host = host.filter(|host| host.to_str().is_ok()).cloned();
    let host = host.unwrap_or(HeaderValue::from_static(""));
    let mut written = Vec::with_capacity(FIRST_HOP);
    if let Some(peer) = peer {
        written.push((FORWARDED_FOR.clone(), peer.text().clone()));
        written.push((REAL_IP.clone(), peer.text().clone()));
    }
    written.push((FORWARDED_PROTO.clone(), HeaderValue::from_static(SCHEME)));
    written.push((FORWARDED_HOST.clone(), host));
    written
}

/// Whether a header tells of the way of a request, or of the trace that it is part of.
pub fn tells_of_the_way(name: &HeaderName) -> bool {
    name.as_str().starts_with(FORWARDED_PREFIX)
        || *name == header::FORWARDED
        || *name == REAL_IP
        || *name == super::TRACEPARENT
}

/// Appends this hop to `Via`, with the protocol version in which the message was received (RFC 9110
/// §7.6.3).
pub fn append_via(headers: &mut HeaderMap, received: Version) {
    let hop = match received {
        Version::HTTP_10 => "1.0 sidecache",
        Version::HTTP_2 => "2.0 sidecache",
        _ => "1.1 sidecache",
    };
    headers.append(header::VIA, HeaderValue::from_static(hop));
}

#[cfg(test)]
mod tests {
    use super::super::tests::headers;
    use super::*;

    fn arrival(peer: &str) -> Arrival<'static> {
        Arrival {
            peer: peer.parse().ok(),
            scheme: "http",
            host: "api.clinic.example",
        }
    }

    fn claims() -> HeaderMap {
        headers(&[
            ("x-forwarded-for", "203.0.113.9"),
            ("x-forwarded-for", "198.51.100.2,"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "shop.example"),
            ("x-forwarded-prefix", "/shop"),
            ("forwarded", "for=203.0.113.9"),
            ("x-real-ip", "203.0.113.9"),
        ])
    }

    #[test]
    fn a_stranger_is_not_believed() {
        let mut request = claims();
        let trusted = ["10.0.0.0/8".parse().expect("a network")];
        write_forwarded(&mut request, arrival("192.0.2.7"), &trusted);
        assert_eq!(request["x-forwarded-for"], "192.0.2.7");
        assert_eq!(request["x-forwarded-proto"], "http");
        assert_eq!(request["x-forwarded-host"], "api.clinic.example");
        assert_eq!(request["x-real-ip"], "192.0.2.7");
        assert_eq!(request.len(), 4);
    }

    #[test]
    fn a_trusted_proxy_is_believed_and_its_way_extended() {
        let mut request = claims();
        let trusted = ["10.0.0.0/8".parse().expect("a network")];
        // A dual-stack listener shows IPv4 peers mapped into IPv6.
        write_forwarded(&mut request, arrival("::ffff:10.1.2.3"), &trusted);
        let way = "203.0.113.9, 198.51.100.2, 10.1.2.3";
        assert_eq!(request["x-forwarded-for"], way);
        assert_eq!(request.get_all("x-forwarded-for").iter().count(), 1);
        assert_eq!(request["x-forwarded-proto"], "https");
        assert_eq!(request["x-forwarded-host"], "shop.example");
        assert_eq!(request["x-forwarded-prefix"], "/shop");
        assert_eq!(request["x-real-ip"], "203.0.113.9");
        let ways: Vec<_> = request.get_all("forwarded").iter().collect();
        assert_eq!(ways, ["for=203.0.113.9", "for=10.1.2.3"]);
    }

    #[test]
    fn a_trusted_proxy_that_says_nonsense_is_corrected() {
        let mut request = headers(&[("x-forwarded-proto", "gopher"), ("x-forwarded-host", "")]);
        let trusted = ["::1/128".parse().expect("a network")];
        write_forwarded(&mut request, arrival("::1"), &trusted);
        assert_eq!(request["x-forwarded-proto"], "http");
        assert_eq!(request["x-forwarded-host"], "api.clinic.example");
        assert_eq!(request["x-forwarded-for"], "::1");
    }

    #[test]
    fn a_unix_socket_has_no_address_to_tell() {
        let mut request = claims();
        let everyone = ["0.0.0.0/0".parse().expect("a network")];
        write_forwarded(&mut request, arrival("no address"), &everyone);
        assert!(!request.contains_key("x-forwarded-for"));
        assert_eq!(request["x-forwarded-proto"], "http");
    }

    #[test]
    fn via_grows_at_its_end() {
        let mut request = headers(&[("via", "1.0 fred")]);
        append_via(&mut request, Version::HTTP_11);
        let hops: Vec<_> = request.get_all("via").iter().collect();
        assert_eq!(hops, ["1.0 fred", "1.1 sidecache"]);
    }

    /// The headers that the origin gets to see of these.
    fn told(client: &HeaderMap, peer: &str) -> HeaderMap {
        let peer = peer.parse().ok().map(Peer::at);
        let mut told = client.clone();
        let claims = take_claims(&mut client.clone());
        let host = client.get(header::HOST);
        let forwarding = Forwarding::of(&claims, host, Version::HTTP_11, peer.as_deref(), false);
        forwarding.correct(&mut told);
        told
    }

    #[test]
    fn of_two_schemes_the_one_that_a_fill_is_sent_with_counts() {
        for (lines, is_secure) in [(["http", "https"], false), (["https", "http"], true)] {
            let lines = lines.map(|scheme| ("x-forwarded-proto", scheme));
            let peer = Peer::at("192.0.2.7".parse().expect("an address"));
            let (claims, version) = (headers(&lines), Version::HTTP_11);
            let forwarding = Forwarding::of(&claims, None, version, Some(&peer), true);
            assert_eq!(forwarding.is_secure(), is_secure);
            let mut fill = HeaderMap::new();
            forwarding.onto_fill(&mut fill);
            assert_eq!(fill["x-forwarded-proto"] == "https", is_secure);
        }
    }

    #[test]
    fn who_says_nothing_is_told_of_as_who_is_not_believed() {
        for host in ["api.clinic.example", "", "a, b"] {
            for peer in ["192.0.2.7", "::ffff:192.0.2.7", "2001:db8::1", "no address"] {
                let silent = headers(&[("host", host), ("accept", "*/*")]);
                let claiming = headers(&[
                    ("x-real-ip", "203.0.113.9"),
                    ("host", host),
                    ("x-forwarded-port", "1"),
                    ("accept", "*/*"),
                ]);
                assert_eq!(told(&silent, peer), told(&claiming, peer), "{host} {peer}");
                let mut written = silent.clone();
                let arrival = Arrival {
                    host,
                    ..arrival(peer)
                };
                write_forwarded(&mut written, arrival, &[]);
                assert_eq!(told(&silent, peer), written, "{host} {peer}");
            }
        }
    }
}

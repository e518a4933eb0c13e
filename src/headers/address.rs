//! Where a client is, as far as that can be believed.

use super::forwarded::FORWARDED_FOR;
use hyper::HeaderMap;
use hyper::header::{self, HeaderName};
use ipnet::IpNet;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

static FORWARDED: HeaderName = header::FORWARDED;

/// Bits of an IPv6 address that tell one client from another: a subscriber has all of a /64 and takes what
/// addresses of it he likes (RFC 6177, RFC 8981).
const IPV6_NETWORK: u32 = 64;

/// The address of a client: his connection's, or, where trusted proxies tell of it, the nearest one on the
/// way that is not one of them. `claims` are the headers by which they do. Where they tell nonsense, the last
/// one that did not is the client.
pub fn client_address(
    claims: &HeaderMap,
    peer: Option<IpAddr>,
    trusted: &[IpNet],
) -> Option<IpAddr> {
    let mut client = peer?.to_canonical();
    let is_trusted = |address: &IpAddr| trusted.iter().any(|network| network.contains(address));
    // A proxy writes one of the two and may leave the other as its client sent it; nearly all write this.
    let mut hops = match claims.contains_key(&FORWARDED_FOR) {
        true => hops(claims, &FORWARDED_FOR, address),
        false => hops(claims, &FORWARDED, forwarded_for),
    };
    while is_trusted(&client)
        && let Some(Some(before)) = hops.next()
    {
        client = before.to_canonical();
    }
    Some(client)
}

/// An address as far as it tells clients apart.
pub fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => {
            let host = u128::MAX >> IPV6_NETWORK;
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !host))
        }
    }
}

/// The members of a header, the last first. It is read as bytes: a line that is not text is not to hide what
/// a proxy added to it; and no further than somebody asks, for it may be long.
fn hops<'c>(
    claims: &'c HeaderMap,
    name: &HeaderName,
    read: fn(&str) -> Option<IpAddr>,
) -> impl Iterator<Item = Option<IpAddr>> + use<'c> {
    let lines = claims.get_all(name).iter().rev();
    let members = lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
    let members = members.map(<[u8]>::trim_ascii);
    let named = members.filter(|member| !member.is_empty());
    named.map(move |member| std::str::from_utf8(member).ok().and_then(read))
}

/// An address as proxies write it: bare, or with a port, in brackets or without.
fn address(text: &str) -> Option<IpAddr> {
    let bare = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    let socket = || text.parse::<SocketAddr>().ok().map(|socket| socket.ip());
    text.parse().ok().or_else(bare).or_else(socket)
}

/// `for` of one member of `Forwarded` (RFC 7239 §4).
fn forwarded_for(member: &str) -> Option<IpAddr> {
    let pairs = member.split(';').filter_map(|pair| pair.split_once('='));
    let mut named = pairs.filter(|(name, _)| name.trim().eq_ignore_ascii_case("for"));
    let (_, value) = named.next()?;
    address(value.trim().trim_matches('"'))
}

#[cfg(test)]
mod tests {
    use super::super::tests::headers;
    use super::*;

    /// The client behind a peer, where 10.0.0.0/8 and fd00::/8 are trusted.
    fn client(peer: &str, claims: &[(&'static str, &'static str)]) -> String {
        let trusted = ["10.0.0.0/8", "fd00::/8"].map(|net| net.parse().expect("a network"));
        let peer = peer.parse().ok();
        let client = client_address(&headers(claims), peer, &trusted);
        client.map_or("nobody".to_owned(), |client| client.to_string())
    }

    #[test]
    fn a_stranger_is_where_his_connection_is() {
        let forged = [
            ("x-forwarded-for", "203.0.113.9"),
            ("forwarded", "for=203.0.113.9"),
            ("x-real-ip", "203.0.113.9"),
        ];
        assert_eq!(client("192.0.2.7", &forged), "192.0.2.7");
        assert_eq!(client("::ffff:192.0.2.7", &forged), "192.0.2.7");
        assert_eq!(client("no address", &forged), "nobody");
    }

    #[test]
    fn behind_trusted_proxies_the_nearest_stranger_is_the_client() {
        for (way, expected) in [
            ("203.0.113.9", "203.0.113.9"),
            ("198.51.100.1, 203.0.113.9", "203.0.113.9"),
            ("198.51.100.1, 203.0.113.9, 10.9.9.9", "203.0.113.9"),
            ("203.0.113.9:4711, fd00::1", "203.0.113.9"),
            ("[2001:db8::1]:4711, [fd00::1], ", "2001:db8::1"),
            ("::ffff:203.0.113.9", "203.0.113.9"),
            ("10.0.0.3, 10.0.0.2", "10.0.0.3"),
            ("", "10.0.0.1"),
        ] {
            let claims = [("x-forwarded-for", way)];
            assert_eq!(client("10.0.0.1", &claims), expected, "{way}");
        }
        let lines = [
            ("x-forwarded-for", "198.51.100.1"),
            ("x-forwarded-for", "203.0.113.9"),
        ];
        assert_eq!(client("10.0.0.1", &lines), "203.0.113.9");
    }

    #[test]
    fn what_no_proxy_writes_ends_the_way_where_it_stands() {
        for way in ["203.0.113.9, unknown", "203.0.113.9, _hidden, 10.0.0.2"] {
            let found = client("10.0.0.1", &[("x-forwarded-for", way)]);
            assert!(found.starts_with("10."), "{way}: {found}");
        }
        let mut claims = headers(&[]);
        let line = b"\xff, 203.0.113.9".as_slice();
        let line = hyper::header::HeaderValue::from_bytes(line).expect("a value");
        claims.append("x-forwarded-for", line);
        let trusted = ["10.0.0.0/8".parse().expect("a network")];
        let found = client_address(&claims, "10.0.0.1".parse().ok(), &trusted);
        assert_eq!(found, "203.0.113.9".parse().ok());
    }

    #[test]
    fn forwarded_is_read_where_it_is_all_that_there_is() {
        let way = "for=198.51.100.1;proto=http, For=\"[2001:db8::7]:80\";by=10.0.0.2, for=10.0.0.2";
        assert_eq!(client("10.0.0.1", &[("forwarded", way)]), "2001:db8::7");
        let both = [("forwarded", way), ("x-forwarded-for", "203.0.113.9")];
        assert_eq!(client("10.0.0.1", &both), "203.0.113.9");
    }

    #[test]
    fn clients_of_one_ipv6_network_are_one() {
        let network = |text: &str| network(text.parse().expect("an address")).to_string();
        assert_eq!(network("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(network("2001:db8:1:2:ffff::1"), "2001:db8:1:2::");
        assert_ne!(network("2001:db8:1:3::1"), network("2001:db8:1:2::1"));
        assert_eq!(network("192.0.2.7"), "192.0.2.7");
    }
}

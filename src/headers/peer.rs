//! Who is at the other end of a connection.

use hyper::header::HeaderValue;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

/// An address at the other end of a connection. What the origin is told of it is written when the first
/// request goes there, and once for all of them.
#[derive(Debug)]
pub struct Peer {
    address: IpAddr,
    text: OnceLock<HeaderValue>,
}

impl Peer {
    /// Whoever comes from this address.
    pub fn at(address: IpAddr) -> Arc<Peer> {
        Arc::new(Peer {
            address,
            text: OnceLock::new(),
        })
    }

    /// The address, as the connection has it.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// The address as text. A dual-stack listener shows IPv4 peers mapped into IPv6: it is the IPv4 one.
    pub fn text(&self) -> &HeaderValue {
        self.text.get_or_init(|| {
            let text = self.address.to_canonical().to_string();
            HeaderValue::try_from(text).expect("digits, letters, dots and colons")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapped_address_is_told_as_what_it_is() {
        for (address, told) in [
            ("192.0.2.7", "192.0.2.7"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("2001:db8::1", "2001:db8::1"),
        ] {
            let address: IpAddr = address.parse().expect("an address");
            let peer = Peer::at(address);
            assert_eq!(peer.text(), told);
            assert_eq!(peer.address(), address);
        }
    }
}

//! Which of the headers that matter here a request has, found in one pass: most have few of them, and
//! would be asked for each by name many times over.

use hyper::HeaderMap;
use std::ops::BitOr;

/// Kinds of headers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen(u16);

impl Seen {
    /// `Connection`, which may name others.
    pub const CONNECTION: Seen = Seen(1);
    /// Those of one connection beside it, but for `Upgrade`.
    pub const HOPS: Seen = Seen(1 << 1);
    /// `Upgrade`.
    pub const UPGRADE: Seen = Seen(1 << 2);
    /// By which some origins replace the method.
    pub const METHOD_OVERRIDE: Seen = Seen(1 << 3);
    /// By which some origins replace the path.
    pub const TARGET_OVERRIDE: Seen = Seen(1 << 4);
    /// What tells of the way of a request, or of the trace that it is part of.
    pub const WAY: Seen = Seen(1 << 5);
    /// `Authorization` and `Cookie`.
    pub const CREDENTIAL: Seen = Seen(1 << 6);
    /// Conditions that only the origin can judge: `If-Match`, `If-Unmodified-Since`.
    pub const PRECONDITION: Seen = Seen(1 << 7);
    /// Conditions on a client's own copy: `If-None-Match`, `If-Modified-Since`.
    pub const CONDITION: Seen = Seen(1 << 8);
    /// `Range`.
    pub const RANGE: Seen = Seen(1 << 9);
    /// What is asked of caches: `Cache-Control`, `Pragma`.
    pub const DEMAND: Seen = Seen(1 << 10);
    /// `Expect`.
    pub const EXPECT: Seen = Seen(1 << 11);
    /// `Transfer-Encoding`.
    pub const FRAMING: Seen = Seen(1 << 12);

    /// Looks through the headers of a request.
    pub fn of(headers: &HeaderMap) -> Seen {
        let kinds = headers.keys().map(|name| kind(name.as_str()));
        kinds.fold(Seen::default(), BitOr::bitor)
    }

    /// Whether it has any of these.
    pub fn has(self, any: Seen) -> bool {
        self.0 & any.0 != 0
    }
}

impl BitOr for Seen {
    type Output = Seen;

    fn bitor(self, other: Seen) -> Seen {
        Seen(self.0 | other.0)
    }
}

fn kind(name: &str) -> Seen {
    match name {
        "connection" => Seen::CONNECTION,
        "upgrade" => Seen::UPGRADE,
        "transfer-encoding" => Seen::HOPS | Seen::FRAMING,
        "te" | "keep-alive" | "proxy-connection" | "http2-settings" => Seen::HOPS,
        "x-http-method" | "x-http-method-override" | "x-method-override" => Seen::METHOD_OVERRIDE,
        "x-original-url" | "x-rewrite-url" => Seen::TARGET_OVERRIDE,
        "forwarded" | "x-real-ip" | "traceparent" => Seen::WAY,
        "authorization" | "cookie" => Seen::CREDENTIAL,
        "if-match" | "if-unmodified-since" => Seen::PRECONDITION,
        "if-none-match" | "if-modified-since" => Seen::CONDITION,
        "range" => Seen::RANGE,
        "cache-control" | "pragma" => Seen::DEMAND,
        "expect" => Seen::EXPECT,
        name if name.starts_with(super::forwarded::FORWARDED_PREFIX) => Seen::WAY,
        _ => Seen::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{HOP_BY_HOP, METHOD_OVERRIDES, TARGET_OVERRIDES, forwarded};
    use super::*;
    use hyper::header::{HeaderName, HeaderValue};

    fn seen(name: &HeaderName) -> Seen {
        let value = HeaderValue::from_static("x");
        Seen::of(&HeaderMap::from_iter([(name.clone(), value)]))
    }

    #[test]
    fn every_header_of_a_list_is_seen_as_what_the_list_is_of() {
        let hops = Seen::CONNECTION | Seen::HOPS | Seen::UPGRADE;
        assert!(HOP_BY_HOP.iter().all(|name| seen(name).has(hops)));
        let overrides = METHOD_OVERRIDES.iter();
        assert!(
            overrides
                .into_iter()
                .all(|name| seen(name).has(Seen::METHOD_OVERRIDE))
        );
        let overrides = TARGET_OVERRIDES.iter();
        assert!(
            overrides
                .into_iter()
                .all(|name| seen(name).has(Seen::TARGET_OVERRIDE))
        );
        for way in ["forwarded", "x-real-ip", "x-forwarded-port", "traceparent"] {
            let name = HeaderName::from_static(way);
            assert!(
                forwarded::tells_of_the_way(&name) && seen(&name) == Seen::WAY,
                "{way}"
            );
        }
    }

    #[test]
    fn kinds_do_not_hide_each_other() {
        let all = HeaderMap::from_iter(
            ["accept", "cookie", "range", "host", "if-none-match"]
                .map(|name| (HeaderName::from_static(name), HeaderValue::from_static("x"))),
        );
        let wanted = Seen::CREDENTIAL | Seen::RANGE | Seen::CONDITION;
        assert_eq!(Seen::of(&all), wanted);
        assert!(!Seen::of(&all).has(Seen::DEMAND | Seen::WAY));
    }
}

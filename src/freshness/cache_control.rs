//! What the origin asks of shared caches: `Cache-Control` (RFC 9111 §5.2.2), or the first field
//! targeted at us in its stead (RFC 9213).

use super::directives::{MAX_SECONDS, directives};
use hyper::HeaderMap;
use hyper::header::{CACHE_CONTROL, HeaderName};
use sfv::{BareItem, Dictionary, ListEntry, Parser};

/// An answer's directives. Where one stands repeatedly, the more cautious counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CacheControl {
    /// Not to be kept. Also set where a line cannot be read: it may have said so, and obeying costs
    /// no more than hits.
    pub no_store: bool,
    /// To be validated before every use.
    pub no_cache: bool,
    /// Fields that a kept answer may not be served with unless it was validated
    /// (`no-cache="set-cookie"`).
    pub no_cache_fields: Vec<HeaderName>,
    /// For one person. The qualified form counts as this too, which §5.2.2.7 allows.
    pub private: bool,
    /// For everybody.
    pub public: bool,
    /// Not to be served stale: `must-revalidate`, or for shared caches `proxy-revalidate`.
    pub must_revalidate: bool,
    /// `proxy-revalidate`; it does not allow what `must-revalidate` allows to answers to requests
    /// with credentials.
    pub proxy_revalidate: bool,
    /// To be kept only by those who know the status.
    pub must_understand: bool,
    /// Seconds of freshness.
    pub max_age: Option<u64>,
    /// The same for shared caches; it also forbids serving stale (§5.2.2.10).
    pub s_maxage: Option<u64>,
    /// Seconds behind its freshness in which it may be served while it is fetched anew (RFC 5861 §3).
    pub stale_while_revalidate: Option<u64>,
    /// The same where fetching it fails (RFC 5861 §4).
    pub stale_if_error: Option<u64>,
    /// It is from a targeted field: `Expires` does not count then (RFC 9213 §2.2).
    pub is_targeted: bool,
}

impl CacheControl {
    /// The first of `targets` that is a valid Structured Field and says something; else
    /// `Cache-Control`.
    pub fn of(headers: &HeaderMap, targets: &[HeaderName]) -> CacheControl {
        let targeted = targets
            .iter()
            .find_map(|name| CacheControl::targeted(headers, name));
        targeted.unwrap_or_else(|| CacheControl::read(headers))
    }

    /// `Cache-Control`, all lines together; without any, nothing is said.
    pub fn read(headers: &HeaderMap) -> CacheControl {
        let mut said = CacheControl::default();
        for directive in directives(headers, &CACHE_CONTROL) {
            match directive {
                Err(_) => said.no_store = true,
                Ok(directive) if directive.name == "no-cache" && directive.value.is_some() => {
                    said.no_cache_fields.extend(directive.fields());
                }
                Ok(directive) => said.hear(&directive.name, Some(directive.seconds())),
            }
        }
        said
    }

    /// A Dictionary (RFC 9213 §2.1), whose keys are in lower case. `None` where there is none, or
    /// none that can be read.
    fn targeted(headers: &HeaderMap, name: &HeaderName) -> Option<CacheControl> {
        let lines: Vec<&[u8]> = headers
            .get_all(name)
            .iter()
            .map(|line| line.as_bytes())
            .collect();
        let dictionary: Dictionary = Parser::new(&lines.join(&b", "[..])).parse().ok()?;
        if dictionary.is_empty() {
            return None;
        }
        let mut said = CacheControl {
            is_targeted: true,
            ..CacheControl::default()
        };
        for (key, member) in &dictionary {
            match member {
                ListEntry::Item(item) => match &item.bare_item {
                    BareItem::Boolean(true) => said.hear(key.as_str(), None),
                    BareItem::Integer(number) => {
                        let number = u64::try_from(i64::from(*number)).unwrap_or_default();
                        said.hear(key.as_str(), Some(number.min(MAX_SECONDS)));
                    }
                    _ => {} // a value of another type is as if it were not there
                },
                ListEntry::InnerList(_) => {}
            }
        }
        Some(said)
    }

    fn hear(&mut self, name: &str, seconds: Option<u64>) {
        match name {
            "no-store" => self.no_store = true,
            "no-cache" => self.no_cache = true,
            "private" => self.private = true,
            "public" => self.public = true,
            "must-revalidate" => self.must_revalidate = true,
            "proxy-revalidate" => self.proxy_revalidate = true,
            "must-understand" => self.must_understand = true,
            "max-age" => lower(&mut self.max_age, seconds),
            "s-maxage" => lower(&mut self.s_maxage, seconds),
            "stale-while-revalidate" => lower(&mut self.stale_while_revalidate, seconds),
            "stale-if-error" => lower(&mut self.stale_if_error, seconds),
            _ => {} // an extension (§5.2.3), or one for private caches
        }
    }

    /// Whether the answer may be served when it is no longer fresh, if something else allows it.
    pub fn allows_stale(&self) -> bool {
        !(self.must_revalidate || self.proxy_revalidate || self.no_cache || self.s_maxage.is_some())
    }

    /// Whether an answer to a request with `Authorization` may be shared (§3.5).
    pub fn allows_authorized(&self) -> bool {
        self.public || self.must_revalidate || self.s_maxage.is_some()
    }
}

/// Several numbers for one thing: the lower is the more cautious. A directive that should have one
/// and has none says 0.
fn lower(known: &mut Option<u64>, heard: Option<u64>) {
    let heard = heard.unwrap_or_default();
    *known = Some(known.map_or(heard, |known| known.min(heard)));
}

#[cfg(test)]
mod tests;

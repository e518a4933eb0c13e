//! Keys: where an answer is kept, and the nodes by whose versions it lives.
//!
//! A store key is `namespace:segment:segment…`. Four characters never come from a rendered value
//! and may not be written in a template, so they set our own marks apart from every key that a
//! request can bring about: `:` joins segments, `*` ends the name of a node below which everything
//! falls, `!` that of an exact node, or begins what stands beside a key, `#` begins the digest of a variant.

mod drops; // which nodes a drop names
mod value; // how a value stands in a key

pub use drops::{Pattern, dropped_nodes, is_safe_integer, nodes_of_rule, pattern_nodes, resolve};
pub use value::{MAX_RENDERED_VALUE, plain};

use crate::digest::{DIGEST_BYTES, Digest, Digester};
use crate::inputs::{Inputs, Query};
use crate::rules::table::{COUNTERS, Limit, NodeAt, Rule, Shaping, Table, Ttl};
use crate::rules::template::{Part, Segment, Source};
use hyper::header::HeaderName;
use value::rendered;

/// Where one answer is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheKey {
    /// The store key of the entry.
    pub entry: String,
    /// The store keys of its nodes, in the rule's order.
    pub nodes: Vec<String>,
    /// What an entry must say of itself to be served here.
    pub binding: Digest,
}

/// The rendered segments of a rule's key: all of [`CacheKey`] but the variant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    segments: Vec<String>,
}

/// What sets answers apart that have one key.
pub struct Variant<'r> {
    /// Position of the route that matched.
    pub route: usize,
    /// The host, where `[proxy] hosts` does not say that all answer alike.
    pub host: Option<&'r str>,
    /// Whether a trusted proxy says that it was asked over TLS: the scheme is part of what is asked
    /// for (RFC 9111 §2), and the origin is told.
    pub is_secure: bool,
    /// The role of whoever asks, where the rule admits several and its key does not say which.
    pub role: Option<&'r str>,
    /// The names by which answers vary, sorted.
    pub vary: &'r [HeaderName],
    /// A field of the request in its one normal spelling, `None` where it is absent.
    pub value: &'r dyn Fn(&HeaderName) -> Option<Vec<u8>>,
}

/// Renders a rule's key for a request that was found fit for it.
pub fn render(rule: &Rule, inputs: &Inputs) -> Rendered {
    let segments = rule
        .key
        .segments
        .iter()
        .map(|segment| key_segment(segment, rule, inputs));
    Rendered {
        segments: segments.collect(),
    }
}

impl Rendered {
    /// The segments.
    pub fn segments(&self) -> &[String] {
        &self.segments
    }

    /// The key of one variant.
    pub fn key(&self, namespace: &str, rule: &Rule, variant: &Variant) -> CacheKey {
        let mut entry = joined(namespace, &self.segments, MARKED);
        if let Some(digest) = variant.digest(rule) {
            entry.push('#');
            entry.push_str(digest.hex().as_str());
        }
        let nodes: Vec<String> = rule
            .nodes
            .iter()
            .map(|at| node_name(namespace, &self.segments, *at))
            .collect();
        let binding = binding(&entry, &nodes, rule, variant.vary);
        CacheKey {
            entry,
            nodes,
            binding,
        }
    }
}

/// The store key of a node: `ns:doctors:list:*`, `ns:doctors:details:42!`, `ns:*`.
pub fn node_name(namespace: &str, segments: &[String], at: NodeAt) -> String {
    let (above, mark) = match at {
        NodeAt::Below(depth) => (&segments[..depth], ":*"),
        NodeAt::Exact => (segments, "!"),
    };
    let mut name = joined(namespace, above, mark.len());
    name.push_str(mark);
    name
}

/// Room for a `#` and a digest behind a key.
const MARKED: usize = 1 + 2 * DIGEST_BYTES;

/// The namespace and segments, with room for what follows them.
fn joined(namespace: &str, segments: &[String], room: usize) -> String {
    let length: usize = segments.iter().map(|segment| 1 + segment.len()).sum();
    let mut text = String::with_capacity(namespace.len() + length + room);
    text.push_str(namespace);
    for segment in segments {
        text.push(':');
        text.push_str(segment);
    }
    text
}

/// The store key of the node that every entry has: dropping it drops everything.
pub fn root_node(namespace: &str) -> String {
    node_name(namespace, &[], NodeAt::Below(0))
}

/// The store key that remembers by which headers a rule's answers vary.
pub fn vary_marker(namespace: &str, rule: &Rule) -> String {
    format!("{namespace}:!vary:{}:{}", rule.name, rule.fingerprint)
}

/// The store key that says that a rule is in quarantine. By its name alone: what of a rule is changed
/// afterwards does not by itself make its answers everybody's.
pub fn quarantine_flag(namespace: &str, rule: &Rule) -> String {
    format!("{namespace}:!quarantine:{}", rule.name)
}

/// The store key of a group's node (RFC 9875).
pub fn group_node(namespace: &str, group: &Digest) -> String {
    format!("{}:{group}", any_group_node(namespace))
}

/// The store key of the node that is dropped along with whichever group is.
pub fn any_group_node(namespace: &str) -> String {
    format!("{namespace}:!group")
}

/// The same, unless these rules know of no groups.
pub fn any_group_node_of(table: &Table) -> Option<String> {
    let is_on = table.proxy.auto_invalidate;
    is_on.then(|| any_group_node(&table.namespace))
}

/// The store key of a limit's counter.
pub fn counter(namespace: &str, limit: &Limit, identifier: &Digest) -> String {
    format!("{namespace}:{COUNTERS}:{}:{identifier}", limit.name)
}

/// The store key of what the sidecars of a namespace have spent in a period.
pub fn budget(namespace: &str, period: &str) -> String {
    format!("{namespace}:!budget:{period}")
}

/// The store key under which the sidecars of a namespace say what they did, in words of their second version:
/// releases that say it in others have a key of their own.
pub fn stats(namespace: &str) -> String {
    format!("{namespace}:!stats2")
}

/// The store key under which the sidecars of a namespace say which writes they saw.
pub fn writes(namespace: &str) -> String {
    format!("{namespace}:!writes")
}

/// The store key under which they say what came of holding hits against the origin.
pub fn verified(namespace: &str) -> String {
    format!("{namespace}:!verified")
}

/// Where the sidecars of a namespace tell each other which nodes they deleted.
pub fn drops_channel(namespace: &str) -> String {
    format!("{namespace}:!drops")
}

/// The same for one place: a key without what answers vary by. Digests of variants have no `v`.
pub fn vary_marker_of(place: &str) -> String {
    format!("{place}#vary")
}

/// A key or node as a pattern that a person writes: without the namespace, an exact node without its mark.
pub fn as_pattern<'n>(namespace: &str, name: &'n str) -> &'n str {
    let rest = name.strip_prefix(namespace);
    let rest = rest.and_then(|rest| rest.strip_prefix(':'));
    rest.unwrap_or(name).trim_end_matches('!')
}

/// `rule#digest`: names a key in logs without showing what is in it.
pub fn for_logs(rule: &Rule, entry: &str) -> String {
    let digest = Digester::new("log").part(entry.as_bytes()).finish();
    format!("{}#{}", rule.name, &digest.to_string()[..8])
}

impl Variant<'_> {
    /// Writes what sets the variant apart from others of its target. No two write the same.
    ///
    /// # Errors
    /// Those of `write`.
    pub fn spell<E>(&self, mut write: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        let mut part = |bytes: &[u8]| {
            write(&(bytes.len() as u64).to_le_bytes())?;
            write(bytes)
        };
        let mut optional = |bytes: Option<&[u8]>| match bytes {
            Some(bytes) => part(&[1]).and_then(|()| part(bytes)),
            None => part(&[0]),
        };
        optional(self.host.map(str::as_bytes))?;
        optional(self.is_secure.then_some(&[]))?;
        optional(self.role.map(str::as_bytes))?;
        for name in self.vary {
            optional(Some(name.as_str().as_bytes()))?;
            optional((self.value)(name).as_deref())?;
        }
        Ok(())
    }

    /// `None` for the plain variant: the first route, no host to tell apart, no TLS, none of the
    /// varying headers present. Its key is the one that a person would guess.
    fn digest(&self, rule: &Rule) -> Option<Digest> {
        let values = self.vary.iter().map(|name| (name, (self.value)(name)));
        let present: Vec<(&HeaderName, Vec<u8>)> = values
            .filter_map(|(name, value)| Some((name, value?)))
            .collect();
        let is_plain = self.route == 0 && self.host.is_none() && !self.is_secure;
        if is_plain && self.role.is_none() && present.is_empty() {
            return None;
        }
        let route = &rule.routes[self.route];
        let mut digester = Digester::new("variant");
        digester.part(route.method.as_str().as_bytes());
        digester.part(route.pattern.to_string().as_bytes());
        digester.part(self.host.map_or("-", |_| "host").as_bytes());
        digester.part(self.host.unwrap_or_default().as_bytes());
        digester.part(if self.is_secure {
            &b"https"[..]
        } else {
            b"http"
        });
        if let Some(role) = self.role {
            digester.part(b"*role").part(role.as_bytes()); // no header's name
        }
        for (name, value) in present {
            digester.part(name.as_str().as_bytes()).part(&value);
        }
        Some(digester.finish())
    }
}

/// What an entry under this key, with these nodes, is bound to, where answers vary by these headers.
pub fn binding(entry: &str, nodes: &[String], rule: &Rule, vary: &[HeaderName]) -> Digest {
    let mut digester = Digester::new("binding");
    digester.part(&rule.fingerprint.0).part(entry.as_bytes());
    digester.part(&(nodes.len() as u64).to_le_bytes());
    nodes.iter().for_each(|node| {
        digester.part(node.as_bytes());
    });
    vary.iter().for_each(|name| {
        digester.part(name.as_str().as_bytes());
    });
    digester.finish()
}

fn key_segment(segment: &Segment, rule: &Rule, inputs: &Inputs) -> String {
    let strict = segment.placeholders().count() > 1;
    let mut text = String::new();
    for part in &segment.parts {
        match part {
            Part::Literal(literal) => text.push_str(literal),
            Part::Value(placeholder) if placeholder.source == Source::Query => {
                text.push_str(query_digest(inputs.query, rule).hex().as_str());
            }
            Part::Value(placeholder) => {
                text.push_str(&rendered(
                    inputs.value(&placeholder.source),
                    placeholder,
                    strict,
                ));
            }
        }
    }
    text
}

/// The digest of all keyed parameters: by name, repeated names in order. Where a rule leaves it to the
/// origin what answers mean and does not say which parameters shape them, two queries are only one if
/// they are spelt alike.
fn query_digest(query: Option<&Query>, rule: &Rule) -> Digest {
    if rule.ttl == Ttl::Origin && rule.query == Shaping::Undeclared {
        let mut digester = Digester::new("raw query");
        for pair in query.iter().flat_map(|query| query.raw()) {
            digester.part(pair.as_bytes());
        }
        return digester.finish();
    }
    let mut digester = Digester::new("query");
    let keyed = |name: &str| match &rule.query {
        Shaping::Undeclared => true,
        Shaping::Only(names) => names.iter().any(|listed| listed == name),
    };
    for (name, value) in query.map(|query| query.sorted(keyed)).unwrap_or_default() {
        digester.part(name.as_bytes()).part(value.as_bytes());
    }
    digester.finish()
}

#[cfg(test)]
mod tests;

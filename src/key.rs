//! Keys: where an answer is kept, and the nodes by whose versions it lives.
//!
//! A store key is `namespace:segment:segment…`. Four characters never come from a rendered value
//! and may not be written in a template, so they set our own marks apart from every key that a
//! request can bring about: `:` joins segments, `*` ends the name of a node below which everything
//! falls, `!` that of an exact node, `#` begins the digest of a variant.

use crate::digest::{Digest, Digester};
use crate::inputs::{Inputs, Query, Value};
use crate::rules::table::{Drop, NodeAt, Rule, Shaping, Table};
use crate::rules::template::{Filter, Part, Placeholder, Segment, Source, Template};
use hyper::HeaderMap;
use hyper::header::HeaderName;
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// Longest rendered value in bytes; a longer one becomes its digest, so that no request makes keys
/// that a store refuses (some take no more than 32 KiB).
pub const MAX_RENDERED_VALUE: usize = 128;

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
#[derive(Clone, Copy)]
pub struct Variant<'r> {
    /// Position of the route that matched.
    pub route: usize,
    /// The host, where `[proxy] hosts` does not say that all answer alike.
    pub host: Option<&'r str>,
    /// Whether a trusted proxy says that it was asked over TLS: the scheme is part of what is asked
    /// for (RFC 9111 §2), and the origin is told.
    pub is_secure: bool,
    /// The names by which answers vary, sorted.
    pub vary: &'r [HeaderName],
    /// The request's headers, `Accept-Encoding` normalised.
    pub headers: &'r HeaderMap,
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
    /// The key of one variant.
    pub fn key(&self, namespace: &str, rule: &Rule, variant: Variant) -> CacheKey {
        let mut entry = format!("{namespace}:{}", self.segments.join(":"));
        if let Some(digest) = variant.digest(rule) {
            let _ = write!(entry, "#{digest}");
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
    match at {
        NodeAt::Below(0) => format!("{namespace}:*"),
        NodeAt::Below(depth) => format!("{namespace}:{}:*", segments[..depth].join(":")),
        NodeAt::Exact => format!("{namespace}:{}!", segments.join(":")),
    }
}

/// The store key that remembers by which headers a rule's answers vary.
pub fn vary_marker(namespace: &str, rule: &Rule) -> String {
    format!("{namespace}:!vary:{}:{}", rule.name, rule.fingerprint)
}

/// `rule#digest`: names a key in logs without showing what is in it.
pub fn for_logs(rule: &Rule, entry: &str) -> String {
    let digest = Digester::new("log").part(entry.as_bytes()).finish();
    format!("{}#{}", rule.name, &digest.to_string()[..8])
}

impl Variant<'_> {
    /// `None` for the plain variant: the first route, no host to tell apart, no TLS, none of the
    /// varying headers present. Its key is the one that a person would guess.
    fn digest(&self, rule: &Rule) -> Option<Digest> {
        let present: Vec<&HeaderName> = self
            .vary
            .iter()
            .filter(|name| self.headers.contains_key(*name))
            .collect();
        if self.route == 0 && self.host.is_none() && !self.is_secure && present.is_empty() {
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
        for name in present {
            digester.part(name.as_str().as_bytes());
            for value in self.headers.get_all(name) {
                digester.part(b"=").part(value.as_bytes());
            }
        }
        Some(digester.finish())
    }
}

fn binding(entry: &str, nodes: &[String], rule: &Rule, vary: &[HeaderName]) -> Digest {
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
                let _ = write!(text, "{}", query_digest(inputs.query, &rule.query));
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

/// The digest of all keyed parameters: by name, repeated names in order.
fn query_digest(query: Option<&Query>, shaping: &Shaping) -> Digest {
    let mut digester = Digester::new("query");
    let keyed = |name: &str| match shaping {
        Shaping::Undeclared => true,
        Shaping::Only(names) => names.iter().any(|listed| listed == name),
    };
    for (name, value) in query.map(|query| query.sorted(keyed)).unwrap_or_default() {
        digester.part(name.as_bytes()).part(value.as_bytes());
    }
    digester.finish()
}

/// A value with its filters applied, escaped so that it stays within its segment. Different values
/// never render alike: a `%` followed by a lower-case letter, a comma or a dash never comes from
/// escaping, and marks what is not plain text.
fn rendered(value: Value, placeholder: &Placeholder, strict: bool) -> String {
    let filtered = filter(value, &placeholder.filters);
    let digested = placeholder.filters.contains(&Filter::Hash)
        || matches!(placeholder.source, Source::Token | Source::Body);
    if digested {
        return digest_of(&filtered).to_string();
    }
    let text = marked(&filtered, strict);
    if text.len() > MAX_RENDERED_VALUE {
        format!("%h{}", digest_of(&filtered))
    } else {
        text
    }
}

fn marked(value: &Value, strict: bool) -> String {
    match value {
        Value::Absent => "%-".to_owned(),
        Value::Null => "%z".to_owned(),
        Value::Bool(true) => "%t".to_owned(),
        Value::Bool(false) => "%f".to_owned(),
        Value::Number(number) => format!("%n{}", escaped(number, strict)),
        Value::Text(text) => escaped(text, strict),
        Value::List(items) => {
            let items: Vec<String> = items.iter().map(|item| escaped(item, strict)).collect();
            items.join("%,")
        }
        Value::Structure(_) => format!("%j{}", digest_of(value)),
    }
}

fn digest_of(value: &Value) -> Digest {
    let (kind, parts): (&str, Vec<&str>) = match value {
        Value::Absent => ("absent", vec![]),
        Value::Null => ("null", vec![]),
        Value::Bool(true) => ("true", vec![]),
        Value::Bool(false) => ("false", vec![]),
        Value::Number(number) => ("number", vec![number]),
        Value::Text(text) => ("text", vec![text]),
        Value::List(items) => ("list", items.iter().map(String::as_str).collect()),
        Value::Structure(text) => ("structure", vec![text]),
    };
    let mut digester = Digester::new(kind);
    parts.iter().for_each(|part| {
        digester.part(part.as_bytes());
    });
    digester.finish()
}

fn filter(value: Value, filters: &[Filter]) -> Value {
    let apply = |text: String| filters.iter().fold(text, filtered_text);
    match value {
        Value::Text(text) => Value::Text(apply(text)),
        Value::List(items) => Value::List(items.into_iter().map(apply).collect()),
        other => other,
    }
}

fn filtered_text(text: String, filter: &Filter) -> String {
    match filter {
        Filter::Lower => text.to_lowercase(),
        Filter::Trim => text.trim().to_owned(),
        Filter::Squeeze => squeezed(&text),
        Filter::Hash => text, // the digest is taken of the whole value, kind included
    }
}

fn squeezed(text: &str) -> String {
    let mut squeezed = String::with_capacity(text.len());
    let mut in_space = false;
    for character in text.chars() {
        if !character.is_whitespace() {
            squeezed.push(character);
        } else if !in_space {
            squeezed.push(' ');
        }
        in_space = character.is_whitespace();
    }
    squeezed
}

/// Percent-encodes all but unreserved characters (`strict`: all but letters and digits, for
/// segments in which other placeholders follow). Hexadecimal digits are upper case.
fn escaped(text: &str, strict: bool) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || (!strict && b"-_.~@+=".contains(&byte)) {
            escaped.push(byte as char);
        } else {
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

/// A drop with its placeholders resolved: rendered segments, and whether everything below falls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// Rendered segments.
    pub segments: Vec<String>,
    /// True where the pattern ends in `*`.
    pub wildcard: bool,
}

/// Resolves a drop for a write. What cannot be resolved widens to the enclosing `*`. One drop may
/// give several patterns: text that reads like a number names the keys of both.
pub fn resolve(drop: &Template, inputs: &Inputs) -> Vec<Pattern> {
    let mut patterns = vec![Pattern {
        segments: Vec::new(),
        wildcard: drop.wildcard,
    }];
    for segment in &drop.segments {
        let Some(renderings) = drop_segment(segment, inputs) else {
            patterns
                .iter_mut()
                .for_each(|pattern| pattern.wildcard = true);
            return patterns;
        };
        patterns = patterns
            .iter()
            .flat_map(|pattern| renderings.iter().map(move |text| pattern.followed_by(text)))
            .collect();
    }
    patterns
}

impl Pattern {
    fn followed_by(&self, segment: &str) -> Pattern {
        let segments = self
            .segments
            .iter()
            .cloned()
            .chain([segment.to_owned()])
            .collect();
        Pattern {
            segments,
            wildcard: self.wildcard,
        }
    }
}

/// Every way in which a segment of a drop may stand in a key; `None` if it cannot be resolved.
fn drop_segment(segment: &Segment, inputs: &Inputs) -> Option<Vec<String>> {
    let strict = segment.placeholders().count() > 1;
    let mut texts = vec![String::new()];
    for part in &segment.parts {
        let renderings = match part {
            Part::Literal(literal) => vec![literal.clone()],
            Part::Value(placeholder) => drop_value(placeholder, inputs, strict)?,
        };
        texts = texts
            .iter()
            .flat_map(|text| {
                renderings
                    .iter()
                    .map(move |rendering| format!("{text}{rendering}"))
            })
            .collect();
    }
    Some(texts)
}

fn drop_value(placeholder: &Placeholder, inputs: &Inputs, strict: bool) -> Option<Vec<String>> {
    let alternatives = match inputs.value(&placeholder.source) {
        Value::Absent | Value::Null => return None,
        Value::Number(number) if !is_safe_integer(&number) => return None,
        Value::Number(number) => vec![Value::Text(number.clone()), Value::Number(number)],
        Value::Bool(truth) => vec![Value::Text(truth.to_string()), Value::Bool(truth)],
        Value::Text(text) => match typed(&text) {
            Some(typed) => vec![Value::Text(text), typed],
            None => vec![Value::Text(text)],
        },
        Value::List(_) => return None,
        structure @ Value::Structure(_) => vec![structure],
    };
    Some(
        alternatives
            .into_iter()
            .map(|value| rendered(value, placeholder, strict))
            .collect(),
    )
}

/// Whether every parser reads and prints a number alike: an integer that JavaScript holds exactly.
fn is_safe_integer(number: &str) -> bool {
    const MAX_SAFE_INTEGER: u64 = (1 << 53) - 1;
    let integer = number.parse::<i64>();
    integer.is_ok_and(|integer| integer.unsigned_abs() <= MAX_SAFE_INTEGER)
}

/// The JSON scalar that a text reads like, as a key made from a body would hold it.
fn typed(text: &str) -> Option<Value> {
    match text {
        "true" => Some(Value::Bool(true)),
        "false" => Some(Value::Bool(false)),
        _ => {
            let number: serde_json::Number = text.parse().ok()?;
            (number.to_string() == text).then(|| Value::Number(text.to_owned()))
        }
    }
}

/// The store keys of all nodes that a drop of a write names.
pub fn dropped_nodes(table: &Table, drop: &Drop, inputs: &Inputs) -> BTreeSet<String> {
    let of_rule = |rule: &usize| {
        let template = drop.template.as_rendered_by(&table.rules[*rule].key);
        let patterns = resolve(&template, inputs);
        let nodes = patterns
            .iter()
            .flat_map(|pattern| pattern_nodes(table, pattern, Some(&[*rule])));
        nodes.collect::<Vec<String>>()
    };
    drop.rules.iter().flat_map(of_rule).collect()
}

/// The store keys of all nodes that a resolved pattern names: for each rule whose keys it can name,
/// the nearest node at it or above it.
pub fn pattern_nodes(
    table: &Table,
    pattern: &Pattern,
    rules: Option<&[usize]>,
) -> BTreeSet<String> {
    let named = table.named(&pattern.segments, pattern.wildcard, rules);
    let node = |(rule, at): &(usize, NodeAt)| {
        let depth = if let NodeAt::Below(depth) = at {
            *depth
        } else {
            0
        };
        if depth <= pattern.segments.len() && !pattern.segments.is_empty() {
            return node_name(&table.namespace, &pattern.segments, *at);
        }
        shallowest_node(table, &table.rules[*rule]) // the pattern lies above all that is tracked
    };
    named.iter().map(node).collect()
}

/// The node under which every key of a rule lies. It is made of literals alone, by which it can be
/// named without any request.
fn shallowest_node(table: &Table, rule: &Rule) -> String {
    let literals: Vec<String> = rule
        .key
        .segments
        .iter()
        .map_while(|segment| segment.literal().map(str::to_owned))
        .collect();
    let at = rule.nodes.first().copied().unwrap_or(NodeAt::Below(0));
    node_name(&table.namespace, &literals, at)
}

/// Nodes that between them stand above every key of the table: bumping them drops everything.
pub fn shallow_nodes(table: &Table) -> Vec<String> {
    let nodes: BTreeSet<String> = table
        .rules
        .iter()
        .map(|rule| shallowest_node(table, rule))
        .collect();
    nodes.into_iter().collect()
}

#[cfg(test)]
mod tests;

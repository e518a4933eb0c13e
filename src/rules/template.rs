//! Key templates: `:`-separated segments of literals and placeholders.
//!
//! A template is only parsed here; `key.rs` renders it.

mod beginning;
mod display;
mod parse;
mod unify;

pub use beginning::Beginning;
pub use parse::{LITERAL_SIGNS, Use, is_literal_char};

use hyper::header::HeaderName;
use std::collections::BTreeSet;

/// A parsed template. `wildcard` is the trailing `*` of a drop ("everything below"); the `*` is not
/// one of the `segments`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    /// The segments, at least one unless `wildcard`.
    pub segments: Vec<Segment>,
    /// True for `doctors:list:*`.
    pub wildcard: bool,
}

/// One segment: what stands between two `:`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Literals and placeholders in order; never two literals in a row, never empty.
    pub parts: Vec<Part>,
}

/// A piece of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Stands in every key as it is. Only `A-Z a-z 0-9 - _ . ~ @ + =` may be written.
    Literal(String),
    /// Is rendered, escaped, from the request.
    Value(Placeholder),
}

/// `{source | filter | filter}`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placeholder {
    /// Where the value comes from.
    pub source: Source,
    /// Applied left to right.
    pub filters: Vec<Filter>,
}

/// Where a placeholder takes its value from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// `{doctorId}`: a path parameter of the pattern.
    Path(String),
    /// `{query}`: the digest of all keyed query parameters.
    Query,
    /// `{query.page}`: one query parameter.
    QueryName(String),
    /// `{claims.email}`: a claim of the verified token.
    Claim(String),
    /// `{token}`: the digest of the credential.
    Token,
    /// `{body}`: the digest of the canonical JSON body.
    Body,
    /// `{body.a.b}`: one field of the JSON body.
    BodyField(Vec<String>),
    /// `{header.accept-language}`: a request header.
    Header(HeaderName),
    /// `{cookie.lang}`: a cookie.
    Cookie(String),
    /// `{method}`
    Method,
    /// `{client_ip}`: where the client is; in limits only.
    ClientIp,
    /// `{response.data.id}`: a field of the JSON answer; in drops only.
    Response(Vec<String>),
}

/// Changes a text value before it is escaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// Unicode lower case.
    Lower,
    /// White space at both ends removed.
    Trim,
    /// Each run of white space becomes one space.
    Squeeze,
    /// The value becomes its digest; must stand last.
    Hash,
}

impl Placeholder {
    /// Whether no two of these texts are alike once they are filtered.
    fn keeps_apart(&self, texts: &[String]) -> bool {
        let filtered = |text: &String| self.filters.iter().fold(text.clone(), Filter::apply);
        let different: BTreeSet<&String> = texts.iter().collect();
        let remain: BTreeSet<String> = texts.iter().map(filtered).collect();
        remain.len() == different.len()
    }
}

impl Filter {
    /// The text with this filter applied. That of `hash` is left as it is: the digest is taken of the
    /// whole value, its kind included.
    pub fn apply(text: String, filter: &Filter) -> String {
        match filter {
            Filter::Lower => text.to_lowercase(),
            Filter::Trim => text.trim().to_owned(),
            Filter::Squeeze => squeezed(&text),
            Filter::Hash => text,
        }
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

impl Segment {
    /// The text of a segment that is one literal.
    pub fn literal(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [Part::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// The placeholders of this segment.
    pub fn placeholders(&self) -> impl Iterator<Item = &Placeholder> {
        self.parts.iter().filter_map(|part| match part {
            Part::Value(placeholder) => Some(placeholder),
            Part::Literal(_) => None,
        })
    }
}

/// Claims that many tokens share, or that say nothing of whose a token is (RFC 7519 §4.1, RFC 8693
/// §4.2, OpenID Connect Core §5.1, and habit), without case and signs.
const OF_MANY: [&str; 32] = [
    "iss",
    "aud",
    "exp",
    "nbf",
    "iat",
    "typ",
    "azp",
    "acr",
    "amr",
    "scope",
    "scp",
    "clientid",
    "role",
    "roles",
    "permissions",
    "group",
    "groups",
    "team",
    "teamid",
    "tenant",
    "tenantid",
    "tid",
    "org",
    "orgid",
    "organization",
    "organizationid",
    "company",
    "companyid",
    "name",
    "givenname",
    "familyname",
    "locale",
];

fn is_of_many(claim: &str) -> bool {
    let signless = || claim.bytes().filter(u8::is_ascii_alphanumeric);
    let letters = || signless().map(|byte| byte.to_ascii_lowercase());
    OF_MANY.iter().any(|many| letters().eq(many.bytes()))
}

impl Template {
    /// Whether keys made of it are different for different people, as far as their claims can tell:
    /// `role` names the claim that many have in common.
    pub fn tells_people_apart(&self, role: &str) -> bool {
        self.placeholders()
            .any(|placeholder| match &placeholder.source {
                Source::Token => true,
                Source::Claim(name) => name != role && !is_of_many(name),
                _ => false,
            })
    }

    /// Whether keys made of it are different for each of these `roles`, which the claim `role` tells.
    pub fn tells_roles_apart(&self, role: &str, roles: &[String]) -> bool {
        self.placeholders()
            .any(|placeholder| match &placeholder.source {
                Source::Token => true,
                Source::Claim(name) => name == role && placeholder.keeps_apart(roles),
                _ => false,
            })
    }

    /// All placeholders, left to right.
    pub fn placeholders(&self) -> impl Iterator<Item = &Placeholder> {
        self.segments.iter().flat_map(Segment::placeholders)
    }
}

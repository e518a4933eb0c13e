//! What the origin is asked in a client's stead: what is keyed, and nothing else.

use super::who::Who;
use crate::head::Head;
use crate::headers;
use crate::identity::{any_credential, carrier_names, cookie};
use crate::inputs::{Query, canonical};
use crate::rules::settings::IdentitySettings;
use crate::rules::table::{Forward, Rule, Shaping, Ttl};
use crate::rules::template::Source;
use bytes::Bytes;
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{HeaderMap, Method, Uri};
use serde_json::Value as Json;

/// What the origin is asked in a client's stead.
#[derive(Clone)]
pub(super) struct Errand {
    pub(super) method: Method,
    pub(super) uri: Uri,
    /// But for those that answers vary by.
    pub(super) headers: HeaderMap,
    pub(super) body: Option<Bytes>,
    /// The client's headers as variants see them.
    pub(super) offers: HeaderMap,
    /// What of its own conditions the origin is sent where nothing is kept.
    pub(super) conditions: HeaderMap,
    /// Among what is sent is a credential that `[identity]` names. `Authorization` is one in any case.
    pub(super) sends_credential: bool,
}

/// HEAD is answered from what GET would get.
pub(super) fn read_method(method: &Method) -> &Method {
    if method == Method::HEAD {
        &Method::GET
    } else {
        method
    }
}

/// Whether a rule's key holds what the origin is told of the way.
pub(super) fn keys_the_way(rule: &Rule) -> bool {
    let mut placeholders = rule.key.placeholders();
    placeholders.any(|placeholder| match &placeholder.source {
        Source::Header(name) => headers::tells_of_the_way(name),
        _ => false,
    })
}

impl Errand {
    /// Method, path, the keyed part of query and body, the keyed headers and cookies, and the credential
    /// where the rule knows who asks. `forward = "all"` adds the client's other headers, but no credential
    /// of one person to an answer that is kept for everybody.
    pub(super) fn of(
        rule: &Rule,
        head: &Head,
        body: Option<&Json>,
        who: &Who,
        identity: Option<&IdentitySettings>,
    ) -> Errand {
        let corrected = head.corrected();
        let keyed = keyed_headers(rule, &corrected);
        let offers = headers::offers(corrected);
        let mut sent = sent_headers(rule, keyed, &offers, who, identity);
        let body = body.map(|document| Bytes::from(canonical(document)));
        if body.is_some() {
            let json = HeaderValue::from_static("application/json");
            sent.insert(header::CONTENT_TYPE, json);
            sent.remove(header::CONTENT_LENGTH);
        }
        Errand {
            method: read_method(&head.parts.method).clone(),
            uri: keyed_target(rule, &head.parts.uri),
            sends_credential: identity.is_some() && any_credential(identity, &sent),
            headers: sent,
            body,
            conditions: conditions(rule, &offers),
            offers,
        }
    }
}

fn sent_headers(
    rule: &Rule,
    keyed: HeaderMap,
    offers: &HeaderMap,
    who: &Who,
    identity: Option<&IdentitySettings>,
) -> HeaderMap {
    let mut sent = match rule.forward {
        Forward::Keyed => keyed.clone(),
        Forward::All => everything_forwardable(offers),
    };
    if is_for_everybody_whatever_the_origin_says(rule) {
        for name in carrier_names(identity) {
            sent.remove(&name);
            let lines = keyed.get_all(&name).iter().cloned();
            sent.extend(lines.map(|line| (name.clone(), line)));
        }
    }
    if rule.forward == Forward::Keyed {
        for (name, value) in who
            .credential
            .iter()
            .flat_map(|credential| &credential.carriers)
        {
            sent.append(name.clone(), value.clone());
        }
    }
    join_cookies(&mut sent);
    sent
}

/// With `ttl = "origin"` the origin says of each answer whether it may be shared (RFC 9111 §3.5).
fn is_for_everybody_whatever_the_origin_says(rule: &Rule) -> bool {
    rule.public && rule.ttl != Ttl::Origin
}

fn keyed_headers(rule: &Rule, client: &HeaderMap) -> HeaderMap {
    let mut sent = HeaderMap::new();
    for placeholder in rule.key.placeholders() {
        match &placeholder.source {
            Source::Header(name) if !sent.contains_key(name) => {
                client.get_all(name).iter().for_each(|value| {
                    sent.append(name.clone(), value.clone());
                });
            }
            Source::Cookie(name) => {
                let pair = cookie::find(client, name)
                    .and_then(|pair| HeaderValue::from_bytes(pair.raw).ok());
                sent.extend(pair.map(|mut pair| {
                    pair.set_sensitive(true);
                    (header::COOKIE, pair)
                }));
            }
            _ => {}
        }
    }
    sent
}

/// Conditions are the client's own: the answer to them is not one that others can be given.
fn everything_forwardable(client: &HeaderMap) -> HeaderMap {
    let mut sent = client.clone();
    headers::remove_hop_by_hop(&mut sent);
    let of_its_own = [header::IF_RANGE, header::RANGE, header::EXPECT];
    for name in CONDITIONS.iter().chain(&of_its_own) {
        sent.remove(name);
    }
    sent
}

/// What a client's own copy is held against (RFC 9110 §13.1).
const CONDITIONS: [HeaderName; 2] = [header::IF_NONE_MATCH, header::IF_MODIFIED_SINCE];

/// The conditions that go along where all of a client's headers do. With `ttl = "origin"` only: a rule
/// that fixes a time is there to have answers kept, and a 304 cannot be.
fn conditions(rule: &Rule, client: &HeaderMap) -> HeaderMap {
    let mut conditions = HeaderMap::new();
    if rule.ttl == Ttl::Origin && rule.forward == Forward::All {
        for name in &CONDITIONS {
            let lines = client.get_all(name).iter().cloned();
            conditions.extend(lines.map(|line| (name.clone(), line)));
        }
    }
    conditions
}

/// HTTP/1.1 has one Cookie line (RFC 6265 §5.4).
fn join_cookies(sent: &mut HeaderMap) {
    let mut pairs: Vec<&[u8]> = Vec::new();
    for pair in sent.get_all(header::COOKIE) {
        if !pairs.contains(&pair.as_bytes()) {
            pairs.push(pair.as_bytes());
        }
    }
    if sent.get_all(header::COOKIE).iter().count() > 1 {
        let mut joined = HeaderValue::from_bytes(&pairs.join(&b"; "[..]))
            .expect("every byte stood in a header value, or is a semicolon or a space");
        joined.set_sensitive(true);
        sent.insert(header::COOKIE, joined);
    }
}

fn keyed_target(rule: &Rule, uri: &Uri) -> Uri {
    let asked = uri.query().unwrap_or_default();
    let restricted = match &rule.query {
        Shaping::Undeclared => asked.to_owned(),
        Shaping::Only(names) => Query::parse(Some(asked))
            .expect("it was parsed before it was found to fit its rule")
            .restricted(|name| names.iter().any(|listed| listed == name)),
    };
    let target = if restricted.is_empty() {
        uri.path().to_owned()
    } else {
        format!("{}?{restricted}", uri.path())
    };
    let target = target.parse();
    target.expect("a path and a part of the query that stood in a target are a target")
}

//! What a request asks of the rule that it matched: whether it may use the rule, under which key,
//! and what the origin is to be asked in its stead.
//!
//! The second principle lives here: a fill is asked with what is keyed. The request that fills an
//! entry is made anew, and holds nothing of the client's that the key does not hold too.

use crate::body::Body;
use crate::headers;
use crate::identity::{self, Claims, Credential, Presented, Verifier, cookie};
use crate::inputs::{Inputs, Query, canonical};
use crate::key::{self, CacheKey, Rendered, Variant};
use crate::outcome::Detail;
use crate::rules::settings::IdentitySettings;
use crate::rules::table::{Forward, Matched, Rule, Shaping, Table};
use crate::rules::template::{Source, Template};
use bytes::Bytes;
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method, Request, Uri};
use serde_json::Value as Json;
use std::sync::Arc;

/// Who may be asking, and how that is found out.
#[derive(Clone, Copy)]
pub struct Identities<'l> {
    /// `[identity]`
    pub settings: Option<&'l IdentitySettings>,
    /// Made of `verify`.
    pub verifier: Option<&'l Verifier>,
}

/// A request that may use its rule. Holding one proves that everything which can shape the answer
/// is in the key, declared irrelevant, or left out of what the origin is asked.
pub struct Asked {
    /// The rule.
    pub rule: Arc<Rule>,
    route: usize,
    rendered: Rendered,
    host: HeaderValue,
    host_is_variant: bool,
    /// The client's headers with `Accept-Encoding` normalised: what variants are made from.
    offered: HeaderMap,
    /// What the origin is asked, but for the headers that answers vary by.
    plain: Plain,
}

struct Plain {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Option<Bytes>,
}

/// Who asks, as far as the rule cares.
#[derive(Default)]
struct Who {
    claims: Option<Claims>,
    credential: Option<Credential>,
}

impl Asked {
    /// Holds the request against its rule.
    ///
    /// # Errors
    /// Why the request may not use the rule; it passes then.
    pub fn of(
        table: &Table,
        matched: &Matched<Rule>,
        parts: &Parts,
        body: Option<&Bytes>,
        identities: Identities,
        now: u64,
    ) -> Result<Asked, Detail> {
        let rule = matched.what;
        let host = fit_host(table, &parts.headers)?;
        refuse_what_no_key_can_carry(&parts.headers)?;
        if matched
            .captures
            .iter()
            .any(|(name, _)| matched.captures.get(name).is_none())
        {
            return Err(Detail::UnkeyedPath);
        }
        let query = Query::parse(parts.uri.query()).map_err(|_| Detail::UnkeyedQuery)?;
        fit_query(rule, &query)?;
        let document = fit_body(rule, &parts.headers, body)?;
        let who = identify(rule, identities, &parts.headers, now)?;
        let inputs = Inputs {
            method: read_method(&parts.method),
            captures: &matched.captures,
            headers: &parts.headers,
            query: Some(&query),
            body: document.as_ref(),
            claims: who.claims.as_ref(),
            token: who
                .credential
                .as_ref()
                .map(|credential| credential.token.reveal().as_str()),
            response: None,
        };
        Ok(Asked {
            rendered: key::render(rule, &inputs),
            route: matched.route,
            host_is_variant: table.proxy.hosts.is_none(),
            offered: offered(&parts.headers),
            plain: plain(rule, parts, &query, document.as_ref(), &who)?,
            host,
            rule: rule.clone(),
        })
    }

    /// The key, given the names by which the rule's answers are known to vary.
    pub fn key(&self, namespace: &str, vary: &[HeaderName]) -> CacheKey {
        let host = self
            .host_is_variant
            .then(|| self.host.to_str().unwrap_or_default());
        let variant = Variant {
            route: self.route,
            host,
            is_secure: headers::is_secure(&self.offered),
            vary,
            headers: &self.offered,
        };
        self.rendered.key(namespace, &self.rule, variant)
    }

    /// Whether the client sent a header that answers turn out to vary by and that a fill withheld.
    pub fn withheld(&self, known: &[HeaderName], now_known: &[HeaderName]) -> bool {
        self.rule.forward == Forward::Keyed
            && now_known
                .iter()
                .any(|name| !known.contains(name) && self.offered.contains_key(name))
    }

    /// The request that fills the entry, without forwarding headers.
    pub fn fill(&self, vary: &[HeaderName]) -> Request<Body> {
        let mut request = Request::new(self.plain.body.clone().map_or(Body::empty(), Body::full));
        *request.method_mut() = self.plain.method.clone();
        *request.uri_mut() = self.plain.uri.clone();
        let sent = request.headers_mut();
        *sent = self.plain.headers.clone();
        sent.insert(header::HOST, self.host.clone());
        // These are ours to say: the host is in the key, the type is that of the body made anew.
        let ours = |name: &HeaderName| *name == header::HOST || *name == header::CONTENT_TYPE;
        for name in vary.iter().filter(|name| !ours(name)) {
            sent.remove(name); // a credential alone, where the whole of its header is the variant's
            for value in self.offered.get_all(name) {
                sent.append(name.clone(), value.clone());
            }
        }
        request
    }
}

/// HEAD is answered from what GET would get.
fn read_method(method: &Method) -> &Method {
    if method == Method::HEAD {
        &Method::GET
    } else {
        method
    }
}

fn fit_host(table: &Table, headers: &HeaderMap) -> Result<HeaderValue, Detail> {
    let host = headers.get(header::HOST).ok_or(Detail::Host)?;
    let text = host
        .to_str()
        .map_err(|_| Detail::Host)?
        .to_ascii_lowercase();
    match &table.proxy.hosts {
        Some(hosts) if !hosts.contains(&text) => Err(Detail::Host),
        _ => HeaderValue::from_str(&text).map_err(|_| Detail::Host),
    }
}

/// Headers that change which handler the origin runs, or ask for a part or a condition.
fn refuse_what_no_key_can_carry(headers: &HeaderMap) -> Result<(), Detail> {
    let present = |names: &[HeaderName]| names.iter().any(|name| headers.contains_key(name));
    if present(&headers::TARGET_OVERRIDES)
        || present(&headers::METHOD_OVERRIDES)
        || headers.contains_key(header::UPGRADE)
    {
        return Err(Detail::UnkeyedHeader);
    }
    if present(&[header::RANGE]) {
        return Err(Detail::Range);
    }
    if present(&[header::IF_MATCH, header::IF_UNMODIFIED_SINCE]) {
        return Err(Detail::UnkeyedHeader);
    }
    Ok(())
}

fn fit_query(rule: &Rule, query: &Query) -> Result<(), Detail> {
    let Shaping::Undeclared = rule.query else {
        return Ok(());
    };
    let all_are_keyed = rule
        .key
        .placeholders()
        .any(|placeholder| placeholder.source == Source::Query);
    let keyed = |name: &str| all_are_keyed || names_query(&rule.key, name);
    if query.names().all(keyed) {
        Ok(())
    } else {
        Err(Detail::UnkeyedQuery)
    }
}

fn names_query(template: &Template, name: &str) -> bool {
    template
        .placeholders()
        .any(|placeholder| matches!(&placeholder.source, Source::QueryName(keyed) if keyed == name))
}

/// The JSON body restricted to what shapes the answer; `None` where there is no body.
fn fit_body(
    rule: &Rule,
    headers: &HeaderMap,
    body: Option<&Bytes>,
) -> Result<Option<Json>, Detail> {
    let keyed = keyed_fields(&rule.key);
    let whole_is_keyed = keyed.iter().any(|path| path.is_empty());
    // No body and one without any of the fields are two requests, which fields cannot tell apart.
    let Some(bytes) = body.filter(|bytes| !bytes.is_empty()) else {
        return match keyed.is_empty() || whole_is_keyed {
            true => Ok(None),
            false => Err(Detail::UnkeyedBody),
        };
    };
    let is_irrelevant = rule.body != Shaping::Undeclared;
    if !is_plain_json(headers) || (keyed.is_empty() && !is_irrelevant) {
        return Err(Detail::UnkeyedBody);
    }
    let mut document: Json = serde_json::from_slice(bytes).map_err(|_| Detail::UnkeyedBody)?;
    if let (Shaping::Only(names), Json::Object(members)) = (&rule.body, &mut document) {
        members.retain(|name, _| names.contains(name));
    }
    if covered(&document, &keyed) {
        Ok(Some(document))
    } else {
        Err(Detail::UnkeyedBody)
    }
}

/// JSON as every parser reads it: declared as such, UTF-8, not encoded.
fn is_plain_json(headers: &HeaderMap) -> bool {
    let Some(content_type) = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
    else {
        return false;
    };
    let mut pieces = content_type
        .split(';')
        .map(|piece| piece.trim().to_ascii_lowercase());
    pieces.next().as_deref() == Some("application/json")
        && pieces.all(|parameter| {
            matches!(
                parameter.as_str(),
                "charset=utf-8" | "charset=\"utf-8\"" | ""
            )
        })
        && !headers.contains_key(header::CONTENT_ENCODING)
}

/// The body fields that a template holds, as paths; `{body}` is the empty path.
fn keyed_fields(template: &Template) -> Vec<&[String]> {
    let path = |source| match source {
        &Source::Body => Some(&[] as &[String]),
        Source::BodyField(path) => Some(path.as_slice()),
        _ => None,
    };
    template
        .placeholders()
        .filter_map(|placeholder| path(&placeholder.source))
        .collect()
}

/// Whether every field of a document is in the key.
fn covered(document: &Json, keyed: &[&[String]]) -> bool {
    if keyed.iter().any(|path| path.is_empty()) {
        return true;
    }
    let Json::Object(members) = document else {
        return false;
    };
    members.iter().all(|(name, value)| {
        let below: Vec<&[String]> = keyed
            .iter()
            .filter_map(|path| path.split_first())
            .filter(|(first, _)| *first == name)
            .map(|(_, rest)| rest)
            .collect();
        !below.is_empty() && covered(value, &below)
    })
}

fn identify(
    rule: &Rule,
    identities: Identities,
    headers: &HeaderMap,
    now: u64,
) -> Result<Who, Detail> {
    if rule.public {
        return Ok(Who::default());
    }
    let settings = identities.settings;
    let claims_keyed: Vec<&str> = claims_keyed(&rule.key).collect();
    let token_keyed = rule
        .key
        .placeholders()
        .any(|placeholder| placeholder.source == Source::Token);
    let needs_identity = token_keyed || !claims_keyed.is_empty() || !rule.roles.is_empty();
    let (Some(settings), true) = (settings, needs_identity) else {
        return if identity::any_credential(settings, headers) {
            Err(Detail::Credential)
        } else {
            Ok(Who::default())
        };
    };
    let credential = match identity::presented(settings, headers) {
        Presented::One(credential) => credential,
        Presented::Nothing => return Err(Detail::NoIdentity),
        Presented::Foreign => return Err(Detail::BadToken),
        Presented::Ambiguous => return Err(Detail::Credential),
    };
    let verify = |verifier: &Verifier| verifier.verify(credential.token.reveal(), now / 1000);
    let claims = identities
        .verifier
        .map(verify)
        .transpose()
        .map_err(|_| Detail::BadToken)?;
    let claim = |name: &str| claims.as_ref().and_then(|claims| claims.text(name));
    if !rule.roles.is_empty()
        && !claim(&settings.role).is_some_and(|role| rule.roles.contains(&role))
    {
        return Err(Detail::Role);
    }
    if claims_keyed.iter().any(|name| claim(name).is_none()) {
        return Err(Detail::NoIdentity);
    }
    Ok(Who {
        claims,
        credential: Some(credential),
    })
}

fn claims_keyed(template: &Template) -> impl Iterator<Item = &str> {
    template
        .placeholders()
        .filter_map(|placeholder| match &placeholder.source {
            Source::Claim(name) => Some(name.as_str()),
            _ => None,
        })
}

/// The client's headers as variants see them.
fn offered(headers: &HeaderMap) -> HeaderMap {
    let mut offered = headers.clone();
    offered.remove(header::ACCEPT_ENCODING);
    if let Some(codings) = headers::normal_accept_encoding(headers) {
        offered.insert(header::ACCEPT_ENCODING, codings);
    }
    offered
}

/// What the origin is asked: method, path, the keyed part of query and body, the keyed headers and
/// cookies, and the credential where the rule knows who asks.
fn plain(
    rule: &Rule,
    parts: &Parts,
    query: &Query,
    body: Option<&Json>,
    who: &Who,
) -> Result<Plain, Detail> {
    let mut sent = match rule.forward {
        Forward::Keyed => keyed_headers(rule, &parts.headers),
        Forward::All => everything_forwardable(&offered(&parts.headers)),
    };
    if rule.forward == Forward::Keyed {
        for (name, value) in who
            .credential
            .iter()
            .flat_map(|credential| &credential.carriers)
        {
            sent.append(name.clone(), value.clone());
        }
    }
    join_cookies(&mut sent)?;
    let body = body.map(|document| Bytes::from(canonical(document)));
    if body.is_some() {
        sent.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        sent.remove(header::CONTENT_LENGTH);
    }
    let uri = keyed_target(rule, &parts.uri, query).ok_or(Detail::UnkeyedQuery)?;
    Ok(Plain {
        method: read_method(&parts.method).clone(),
        uri,
        headers: sent,
        body,
    })
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
                sent.extend(pair.map(|pair| (header::COOKIE, pair)));
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
    for name in [
        header::IF_NONE_MATCH,
        header::IF_MODIFIED_SINCE,
        header::IF_RANGE,
        header::EXPECT,
    ] {
        sent.remove(name);
    }
    sent
}

/// HTTP/1.1 has one Cookie line (RFC 6265 §5.4).
fn join_cookies(sent: &mut HeaderMap) -> Result<(), Detail> {
    let mut pairs: Vec<&[u8]> = Vec::new();
    for pair in sent.get_all(header::COOKIE) {
        if !pairs.contains(&pair.as_bytes()) {
            pairs.push(pair.as_bytes());
        }
    }
    if sent.get_all(header::COOKIE).iter().count() > 1 {
        let joined =
            HeaderValue::from_bytes(&pairs.join(&b"; "[..])).map_err(|_| Detail::UnkeyedHeader)?;
        sent.insert(header::COOKIE, joined);
    }
    Ok(())
}

fn keyed_target(rule: &Rule, uri: &Uri, query: &Query) -> Option<Uri> {
    let restricted = match &rule.query {
        Shaping::Undeclared => uri.query().unwrap_or_default().to_owned(),
        Shaping::Only(names) => query.restricted(|name| names.iter().any(|listed| listed == name)),
    };
    let target = if restricted.is_empty() {
        uri.path().to_owned()
    } else {
        format!("{}?{restricted}", uri.path())
    };
    target.parse().ok()
}

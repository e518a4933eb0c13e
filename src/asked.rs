//! What a request asks of the rule that it matched: whether it may use the rule, under which key,
//! and what the origin is to be asked in its stead.
//!
//! The second principle lives here: a fill is asked with what is keyed. The request that fills an
//! entry is made anew, and holds nothing of the client's that the key does not hold too.

mod fill; // what the origin is asked
mod fit; // whether the key holds all that shapes the answer
mod who; // who asks

pub use who::Identities;

use crate::body::Body;
use crate::entry::Entry;
use crate::freshness::{self, Demand, Whose};
use crate::headers;
use crate::identity::any_credential;
use crate::inputs::{Inputs, Query};
use crate::key::{self, CacheKey, Rendered, Variant};
use crate::outcome::Detail;
use crate::rules::table::{Forward, Matched, Rule, Table, Ttl};
use bytes::Bytes;
use fill::{Plain, conditions, offered, plain, read_method};
use fit::{fit_body, fit_host, fit_query, refuse_what_no_key_can_carry};
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method, Request};
use std::sync::Arc;
use who::{identify, keys_authorization};

/// A request that may use its rule. Holding one proves that everything which can shape the answer
/// is in the key, declared irrelevant, or left out of what the origin is asked.
pub struct Asked {
    /// The rule.
    pub rule: Arc<Rule>,
    route: usize,
    rendered: Rendered,
    host: HeaderValue,
    host_is_variant: bool,
    /// Where it sets answers apart that have one key.
    role: Option<String>,
    /// The client's headers with `Accept-Encoding` normalised: what variants are made from.
    offered: HeaderMap,
    /// What the origin is asked, but for the headers that answers vary by.
    plain: Plain,
    /// The key without what answers vary by, where that is learnt by key.
    pub place: String,
    /// What it asks of caches. Nothing where the rule fixes how long answers are served: a client
    /// cannot make it ask the origin then.
    pub demand: Demand,
    /// It asks for a part of the answer.
    pub wants_part: bool,
    /// Nothing is known against serving it stale: it needs no identity, or that is verified.
    pub may_be_stale: bool,
    /// Among what is sent is a credential that `[identity]` names. `Authorization` is one in any case.
    sends_credential: bool,
    /// The origin is sent a credential, and the key says whose.
    is_personal: bool,
    /// The origin is sent a credential, and the key says only of what role.
    is_of_a_role: bool,
    /// What of its own conditions the origin is sent where nothing is kept.
    conditions: HeaderMap,
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
        let role = identities
            .settings
            .map_or("role", |settings| &settings.role);
        let has_owner = rule.key.tells_people_apart(role);
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
        let plain = plain(
            rule,
            parts,
            &query,
            document.as_ref(),
            &who,
            identities.settings,
        )?;
        let mut asked = Asked {
            sends_credential: identities
                .settings
                .is_some_and(|settings| any_credential(Some(settings), &plain.headers)),
            rendered: key::render(rule, &inputs),
            route: matched.route,
            host_is_variant: table.proxy.hosts.is_none(),
            offered: offered(&parts.headers),
            plain,
            host,
            rule: rule.clone(),
            place: String::new(),
            demand: match rule.ttl {
                Ttl::Origin => Demand::of(&parts.headers),
                Ttl::Fixed(_) => Demand::default(),
            },
            wants_part: parts.method == Method::GET && parts.headers.contains_key(header::RANGE),
            may_be_stale: who.credential.is_none() || who.claims.is_some(),
            is_personal: (who.credential.is_some() && has_owner) || keys_authorization(rule),
            is_of_a_role: who.credential.is_some() && !has_owner,
            role: who.role_to_tell(rule, role),
            conditions: conditions(rule, &parts.headers),
        };
        if rule.ttl == Ttl::Origin {
            asked.place = asked.key(&table.namespace, &[]).entry;
        }
        Ok(asked)
    }

    /// The store key that remembers by which headers answers vary.
    pub fn vary_marker(&self, namespace: &str) -> String {
        match self.rule.ttl {
            Ttl::Origin => key::vary_marker_of(&self.place),
            Ttl::Fixed(_) => key::vary_marker(namespace, &self.rule),
        }
    }

    /// What of the request decides whether the answer to what the origin was sent may be kept.
    pub fn whose(&self, sent: &HeaderMap) -> Whose {
        Whose {
            is_get: self.is_get(),
            is_authorized: (sent.contains_key(header::AUTHORIZATION) || self.sends_credential)
                && !self.is_personal,
            no_store: self.demand.no_store,
        }
    }

    /// Whether the origin is asked by GET.
    pub fn is_get(&self) -> bool {
        self.plain.method == Method::GET
    }

    /// Whether all of the client's headers go along with a fill.
    pub fn sends_everything(&self) -> bool {
        self.rule.forward == Forward::All
    }

    /// Whether the entry is for more people than the one who asks.
    pub fn is_shared(&self) -> bool {
        match self.rule.ttl {
            Ttl::Origin => !self.is_personal,
            Ttl::Fixed(_) => self.rule.public || self.is_of_a_role,
        }
    }

    /// Whether the origin is asked on conditions of this client's, if nothing is kept that it could be
    /// asked for: then the answer is for nobody else.
    pub fn is_conditional(&self) -> bool {
        !self.conditions.is_empty()
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
            role: self.role.as_deref(),
            vary,
            headers: &self.offered,
        };
        self.rendered.key(namespace, &self.rule, variant)
    }

    /// Whether the client sent a header that answers turn out to vary by and that a fill withheld.
    pub fn withheld(&self, known: &[HeaderName], now_known: &[HeaderName]) -> bool {
        let left_out = |name: &HeaderName| {
            self.rule.forward == Forward::Keyed || !self.plain.headers.contains_key(name)
        };
        now_known
            .iter()
            .any(|name| !known.contains(name) && self.offered.contains_key(name) && left_out(name))
    }

    /// The request that fills the entry, without forwarding headers: on the condition that what is
    /// `kept` does not hold any more, if it can be asked so. True if it is.
    pub fn fill(&self, vary: &[HeaderName], kept: Option<&Entry>) -> (Request<Body>, bool) {
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
        // To another method a condition that does not hold is an error (RFC 9110 §13.1.2).
        let kept = kept.filter(|_| self.plain.method == Method::GET);
        let validates = kept.is_some_and(|kept| freshness::condition(&kept.headers, sent));
        if !validates {
            sent.extend(self.conditions.clone());
        }
        (request, validates)
    }
}

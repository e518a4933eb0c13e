//! What a request asks of the rule that it matched: whether it may use the rule, under which key,
//! and what the origin is to be asked in its stead.
//!
//! The second principle lives here: a fill is asked with what is keyed. The request that fills an
//! entry is made anew, and holds nothing of the client's that the key does not hold too.

mod errand; // what the origin is asked
mod fit; // whether the key holds all that shapes the answer
mod who; // who asks

use crate::body::Body;
use crate::entry::Entry;
use crate::freshness::{self, Demand, Whose};
use crate::head::Head;
use crate::headers::Seen;
use crate::inputs::{Inputs, Query};
use crate::key::{self, CacheKey, Variant};
use crate::limits;
use crate::live::Live;
use crate::outcome::Detail;
use crate::part::Single;
use crate::parts::OF_THE_TOKEN;
use crate::rules::table::{Forward, Matched, Rule, Ttl};
use crate::targets::Target;
use crate::trace::{Span, Trace, Work};
use crate::witness;
use bytes::Bytes;
use errand::{Errand, keys_the_way, read_method};
use fit::{fit_body, fit_host, fit_query, refuse_what_no_key_can_carry};
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{HeaderMap, Method, Request};
use std::sync::{Arc, OnceLock};
use who::{Who, identify, keys_authorization};

/// A request that may use its rule. Holding one proves that everything which can shape the answer
/// is in the key, declared irrelevant, or left out of what the origin is asked.
#[derive(Clone)]
pub struct Asked {
    /// The rule.
    pub rule: Arc<Rule>,
    head: Arc<Head>,
    live: Arc<Live>,
    target: Arc<Target>,
    /// Whether the target was worked out before.
    is_recalled: bool,
    host: HeaderValue,
    /// Where it sets answers apart that have one key.
    role: Option<String>,
    who: Who,
    /// What of its body shapes the answer.
    document: Option<serde_json::Value>,
    /// What the origin is asked. Most requests are answered from what is kept, and never make it.
    errand: OnceLock<Errand>,
    /// The key without what answers vary by, where that is learnt by key.
    place: Option<Arc<CacheKey>>,
    /// What it asks of caches. Nothing where the rule fixes how long answers are served: a client
    /// cannot make it ask the origin then.
    pub demand: Demand,
    /// It asks for a part of the answer.
    pub wants_part: bool,
    /// Nothing is known against serving it stale: it needs no identity, or that is verified.
    pub may_be_stale: bool,
    /// The origin is sent a credential, and the key says whose.
    is_personal: bool,
    /// The origin is sent a credential, and the key says only of what role.
    is_of_a_role: bool,
}

impl Asked {
    /// Holds the request against its rule.
    ///
    /// # Errors
    /// Why the request may not use the rule; it passes then.
    pub fn of(
        live: &Arc<Live>,
        matched: &Matched<Rule>,
        head: &Arc<Head>,
        body: Option<&Bytes>,
    ) -> Result<Asked, Detail> {
        let (parts, rule) = (&head.parts, matched.what);
        let host = fit_host(&live.table, &parts.headers)?;
        refuse_what_no_key_can_carry(head.seen)?;
        if !matched.captures.are_readable() {
            return Err(Detail::UnkeyedPath);
        }
        let query = Query::parse(parts.uri.query()).map_err(|_| Detail::UnkeyedQuery)?;
        fit_query(rule, &query)?;
        let document = fit_body(rule, &parts.headers, body)?;
        let who = identify(rule, live, head)?;
        let corrected;
        let headers = match keys_the_way(rule) {
            true => {
                corrected = head.corrected();
                &corrected
            }
            false => &parts.headers,
        };
        let credential = who.credential.as_ref();
        let inputs = Inputs {
            method: read_method(&parts.method),
            captures: &matched.captures,
            headers,
            query: Some(&query),
            body: document.as_ref(),
            claims: who.claims.as_ref(),
            token: credential.map(|credential| credential.token.reveal().as_str()),
            response: None,
        };
        let rendered = key::render(rule, &inputs);
        let mut target = Target::new(rule.clone(), matched.route, rendered);
        target.is_limited = limits::concern(&live.table, head);
        let mut asked = Asked::by(live, Arc::new(target), head, host, who);
        asked.document = document;
        Ok(asked)
    }

    /// Everything that keeps a request from using its rule. None: it may. `body` is what could be read of its
    /// body, or why it was not; where it was, the first is the one that [`Asked::of`] comes upon.
    pub fn obstacles(
        live: &Live,
        matched: &Matched<Rule>,
        head: &Head,
        body: Result<Option<&Bytes>, Detail>,
    ) -> Vec<Detail> {
        let (parts, rule) = (&head.parts, matched.what);
        let query = Query::parse(parts.uri.query()).map_err(|_| Detail::UnkeyedQuery);
        let is_readable = matched.captures.are_readable();
        let held = [
            fit_host(&live.table, &parts.headers).map(drop),
            refuse_what_no_key_can_carry(head.seen),
            is_readable.then_some(()).ok_or(Detail::UnkeyedPath),
            query.and_then(|query| fit_query(rule, &query)),
            body.and_then(|body| fit_body(rule, &parts.headers, body).map(drop)),
            identify(rule, live, head).map(drop),
        ];
        held.into_iter().filter_map(Result::err).collect()
    }

    /// The key's segments, in the order of the rule's template.
    pub fn segments(&self) -> &[String] {
        self.target.segments()
    }

    /// Holds a request without a body against the rule of its target, which another of the same method had.
    ///
    /// # Errors
    /// As for [`Asked::of`].
    pub fn again(live: &Arc<Live>, target: Arc<Target>, head: &Arc<Head>) -> Result<Asked, Detail> {
        let host = fit_host(&live.table, &head.parts.headers)?;
        refuse_what_no_key_can_carry(head.seen)?;
        let who = identify(&target.rule, live, head)?;
        let mut asked = Asked::by(live, target, head, host, who);
        asked.is_recalled = true;
        Ok(asked)
    }

    fn by(
        live: &Arc<Live>,
        target: Arc<Target>,
        head: &Arc<Head>,
        host: HeaderValue,
        who: Who,
    ) -> Asked {
        let (parts, rule) = (&head.parts, target.rule.clone());
        let settings = live.table.identity.as_ref();
        let role = settings.map_or("role", |settings| &settings.role);
        let credential = who.credential.as_ref();
        let is_somebodys = credential.map(|_| rule.key.tells_people_apart(role));
        let mut asked = Asked {
            target,
            is_recalled: false,
            host,
            place: None,
            demand: match rule.ttl {
                Ttl::Origin if head.seen.has(Seen::DEMAND) => Demand::of(&parts.headers),
                _ => Demand::default(),
            },
            wants_part: head.seen.has(Seen::RANGE) && parts.method == Method::GET,
            may_be_stale: credential.is_none() || who.claims.is_some(),
            is_personal: is_somebodys == Some(true) || keys_authorization(&rule),
            is_of_a_role: is_somebodys == Some(false),
            role: who.role_to_tell(&rule, role),
            who,
            document: None,
            errand: OnceLock::new(),
            head: head.clone(),
            live: live.clone(),
            rule,
        };
        if asked.rule.ttl == Ttl::Origin {
            asked.place = Some(asked.key(&[]));
        }
        asked
    }

    /// The trace that it is part of.
    pub fn trace(&self) -> &Trace {
        self.head.trace()
    }

    /// Something that is done for it, told of where it is.
    pub fn span(&self, work: Work) -> Span {
        let tracer = &self.live.ground.tracer;
        tracer.part(self.head.known_trace(), work)
    }

    /// Something was kept for its target: others will ask for it.
    pub fn remember_target(&self) {
        let parts = &self.head.parts;
        if let Some(target) = parts.uri.path_and_query()
            && !self.is_recalled
            && parts.method == Method::GET
        {
            self.live.targets.remember(target.as_str(), &self.target);
        }
    }

    /// The key without what answers vary by, where that is learnt by key; else nothing.
    pub fn place(&self) -> &str {
        self.place.as_ref().map_or("", |key| &key.entry)
    }

    /// What the origin is asked.
    fn errand(&self) -> &Errand {
        self.errand.get_or_init(|| {
            let identity = self.live.table.identity.as_ref();
            Errand::of(
                &self.rule,
                &self.head,
                self.document.as_ref(),
                &self.who,
                identity,
            )
        })
    }

    /// The store key that remembers by which headers answers vary.
    pub fn vary_marker(&self) -> String {
        match self.rule.ttl {
            Ttl::Origin => key::vary_marker_of(self.place()),
            Ttl::Fixed(_) => key::vary_marker(&self.live.table.namespace, &self.rule),
        }
    }

    /// What of the request decides whether the answer to what the origin was sent may be kept.
    pub fn whose(&self, sent: &HeaderMap) -> Whose {
        let sends_credential = self.errand().sends_credential;
        Whose {
            is_get: self.is_get(),
            is_authorized: (sent.contains_key(header::AUTHORIZATION) || sends_credential)
                && !self.is_personal,
            no_store: self.demand.no_store,
        }
    }

    /// Whether the origin is asked by GET.
    pub fn is_get(&self) -> bool {
        *read_method(&self.head.parts.method) == Method::GET
    }

    /// The range that it asks for, if the answer to that alone may be kept. What `store_if` asks for only a
    /// whole can show.
    pub fn keepable_part(&self) -> Option<Single> {
        let may_be = self.wants_part
            && self.rule.ttl == Ttl::Origin
            && self.rule.store_if.is_empty()
            && !self.demand.no_store;
        may_be.then(|| Single::of(&self.head.parts.headers))?
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

    /// Who asks, as far as the token says it, to be compared: the same for each of his tokens. `None` where nobody
    /// is known to ask.
    pub fn person(&self) -> Option<u64> {
        let claims = self.who.claims.as_ref()?;
        let named = claims.names().filter(|name| !OF_THE_TOKEN.contains(name));
        let said = named.flat_map(|name| {
            let text = claims.text(name).unwrap_or_default();
            [name.as_bytes().to_vec(), text.into_bytes()]
        });
        let said: Vec<Vec<u8>> = said.collect();
        Some(witness::short(said.iter().map(Vec::as_slice)))
    }

    /// Whether the origin is asked on conditions of this client's, if nothing is kept that it could be
    /// asked for: then the answer is for nobody else.
    pub fn is_conditional(&self) -> bool {
        self.head.seen.has(Seen::CONDITION) && !self.errand().conditions.is_empty()
    }

    /// The key, given the names by which the rule's answers are known to vary.
    pub fn key(&self, vary: &[HeaderName]) -> Arc<CacheKey> {
        let table = &self.live.table;
        let host_is_variant = table.proxy.hosts.is_none();
        let host = host_is_variant.then(|| self.host.to_str().unwrap_or_default());
        let variant = Variant {
            route: self.target.route,
            host,
            is_secure: self.head.is_secure(),
            role: self.role.as_deref(),
            vary,
            value: &|name| self.head.varying(name),
        };
        self.target.key(&table.namespace, &variant)
    }

    /// Whether the client sent a header that answers turn out to vary by and that a fill withheld.
    pub fn withheld(&self, known: &[HeaderName], now_known: &[HeaderName]) -> bool {
        let errand = self.errand();
        let left_out = |name: &HeaderName| {
            self.rule.forward == Forward::Keyed || !errand.headers.contains_key(name)
        };
        let is_news = |name: &&HeaderName| !known.contains(name);
        let mut news = now_known.iter().filter(is_news);
        news.any(|name| errand.offers.contains_key(name) && left_out(name))
    }

    /// The request that fills the entry, without forwarding headers: on the condition that what is
    /// `kept` does not hold any more, if it can be asked so. True if it is.
    pub fn fill(&self, vary: &[HeaderName], kept: Option<&Entry>) -> (Request<Body>, bool) {
        let errand = self.errand();
        let mut request = Request::new(errand.body.clone().map_or(Body::empty(), Body::full));
        *request.method_mut() = errand.method.clone();
        *request.uri_mut() = errand.uri.clone();
        let sent = request.headers_mut();
        *sent = errand.headers.clone();
        sent.insert(header::HOST, self.host.clone());
        // These are ours to say: the host is in the key, the type is that of the body made anew.
        let ours = |name: &HeaderName| *name == header::HOST || *name == header::CONTENT_TYPE;
        for name in vary.iter().filter(|name| !ours(name)) {
            sent.remove(name); // a credential alone, where the whole of its header is the variant's
            for value in errand.offers.get_all(name) {
                sent.append(name.clone(), value.clone());
            }
        }
        // To another method a condition that does not hold is an error (RFC 9110 §13.1.2).
        let kept = kept.filter(|_| errand.method == Method::GET);
        let validates = kept.is_some_and(|kept| freshness::condition(&kept.headers, sent));
        if !validates {
            sent.extend(errand.conditions.clone());
        }
        (request, validates)
    }
}

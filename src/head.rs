//! The head of a request as everything here sees it: end to end, without what its client may not say
//! of its way.

use crate::headers::{self, Forwarding, Peer, Seen};
use crate::identity;
use crate::rules::settings::{IdentitySettings, ProxySettings};
use crate::trace::Trace;
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method, Request, Uri};
use ipnet::IpNet;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

/// Says whether a page asks its own site (Fetch Metadata).
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The head of a request that was let in.
#[derive(Clone)]
pub struct Head {
    /// Without hop-by-hop headers and without those that tell of its way: see [`Head::corrected`].
    pub parts: Parts,
    /// Which headers it came with.
    pub seen: Seen,
    /// Its own method and those that headers put in its place; none where there are none of these.
    overridden: Vec<Method>,
    /// The protocols that it offers to change to.
    pub offered: Option<HeaderValue>,
    /// It may go no further than here.
    pub ends_here: bool,
    /// What it says of its way, whether or not it is believed.
    claims: HeaderMap,
    peer: Option<Arc<Peer>>,
    is_trusted: bool,
    /// Told to the origin alone, so most requests have no use for it.
    forwarding: OnceLock<Forwarding>,
    /// The same: only what goes to the origin, or to the log, bears it.
    trace: OnceLock<Trace>,
}

impl Head {
    /// Takes from a head what is of one connection only, and what tells of its way. `seen` are the headers
    /// that it came with.
    pub fn of(
        mut parts: Parts,
        seen: Seen,
        peer: Option<Arc<Peer>>,
        proxy: &ProxySettings,
        identity: Option<&IdentitySettings>,
    ) -> Head {
        let overridden = match seen.has(Seen::METHOD_OVERRIDE) {
            true => headers::methods(&parts.method, &parts.headers),
            false => Vec::new(),
        };
        let offered = match seen.has(Seen::UPGRADE) {
            true => headers::switch_offered(&parts),
            false => None,
        };
        let ends_here = headers::count_hop(&parts.method, &mut parts.headers);
        // Before `Connection` is heeded: what proxies say of the way is not its client's to take away.
        let mut claims = match seen.has(Seen::WAY) {
            true => headers::take_claims(&mut parts.headers),
            false => HeaderMap::new(),
        };
        identity::mark_sensitive(identity, seen, &mut claims);
        if seen.has(Seen::CONNECTION | Seen::HOPS | Seen::UPGRADE) {
            headers::remove_hop_by_hop(&mut parts.headers);
        }
        if !parts.headers.contains_key(header::HOST) {
            // HTTP/1.0 needs none; what we send on is HTTP/1.1, which does.
            parts.headers.insert(header::HOST, proxy.origin.host());
        }
        identity::mark_sensitive(identity, seen, &mut parts.headers);
        let address = peer.as_deref().map(Peer::address);
        let mut head = Head {
            parts,
            seen,
            overridden,
            offered,
            ends_here,
            claims,
            peer,
            is_trusted: headers::is_trusted(address, &proxy.trusted_proxies),
            forwarding: OnceLock::new(),
            trace: OnceLock::new(),
        };
        head.show_credentials(identity);
        head
    }

    /// The head of a GET that is made because of this request: as its client would ask, by all that answers may vary
    /// by, and without what tells who he is. `host` stands in for the one that this request names.
    pub fn reading(&self, target: Uri, host: Option<HeaderValue>, trace: Trace) -> Head {
        let own = &self.parts.headers;
        // A page asks its own site without it, and only writes to it with it (Fetch §3.2).
        let is_same_site = own
            .get(FETCH_SITE)
            .is_some_and(|site| site == "same-origin");
        let names = headers::TELLS_NOBODY.into_iter();
        let names = names.filter(|name| !(is_same_site && *name == header::ORIGIN));
        let mut sent = HeaderMap::new();
        for name in names {
            let values = own.get_all(&name).iter().cloned();
            sent.extend(values.map(|value| (name.clone(), value)));
        }
        sent.extend(
            host.or_else(|| own.get(header::HOST).cloned())
                .map(|host| (header::HOST, host)),
        );
        let (mut parts, ()) = Request::new(()).into_parts();
        parts.uri = target;
        parts.version = self.parts.version;
        let way = self.seen.has(Seen::WAY).then_some(Seen::WAY);
        let seen = Seen::of(&sent) | way.unwrap_or_default();
        parts.headers = sent;
        Head {
            seen,
            parts,
            overridden: Vec::new(),
            offered: None,
            ends_here: false,
            claims: self.claims.clone(),
            peer: self.peer.clone(),
            is_trusted: self.is_trusted,
            forwarding: OnceLock::new(),
            trace: OnceLock::from(trace),
        }
    }

    /// Leaves among the headers those that tell of the way and are a credential too: what is taken for one
    /// is what the origin is told.
    fn show_credentials(&mut self, identity: Option<&IdentitySettings>) {
        let mut names = identity::named_headers(identity);
        if !names.any(headers::tells_of_the_way) {
            return;
        }
        let told = self.forwarding().told();
        let names = identity::named_headers(identity);
        for name in names.filter(|name| headers::tells_of_the_way(name)) {
            for value in told.get_all(name) {
                self.parts.headers.append(name, value.clone());
            }
        }
    }

    /// The methods that it may be taken for, its own first.
    pub fn methods(&self) -> &[Method] {
        match self.overridden.as_slice() {
            [] => std::slice::from_ref(&self.parts.method),
            overridden => overridden,
        }
    }

    /// Where its client is, as far as `trusted` proxies may say: see [`headers::client_address`].
    pub fn client_address(&self, trusted: &[IpNet]) -> Option<IpAddr> {
        let peer = self.peer.as_deref().map(Peer::address);
        headers::client_address(&self.claims, peer, trusted)
    }

    /// What the origin is told of its way.
    pub fn forwarding(&self) -> &Forwarding {
        self.forwarding.get_or_init(|| {
            let host = self.parts.headers.get(header::HOST);
            let (peer, version) = (self.peer.as_deref(), self.parts.version);
            Forwarding::of(&self.claims, host, version, peer, self.is_trusted)
        })
    }

    /// The trace that it is part of, as its client says it, or begun here.
    pub fn trace(&self) -> &Trace {
        self.trace.get_or_init(|| Trace::of(&self.claims))
    }

    /// The trace, where it is known already: one that is recorded is from the beginning.
    pub fn known_trace(&self) -> Option<&Trace> {
        self.trace.get()
    }

    /// What is done for it is part of this piece of work. To be said before anybody asks.
    pub fn join(&mut self, trace: Option<Trace>) {
        if let Some(trace) = trace {
            self.trace = OnceLock::from(trace);
        }
    }

    /// All headers, handed over where nobody else asks for them any more, with what the origin is told of
    /// the way among them.
    pub fn take_corrected(head: &mut Arc<Head>) -> HeaderMap {
        head.forwarding(); // made of what is handed over
        let Some(own) = Arc::get_mut(head) else {
            return head.corrected();
        };
        let mut headers = std::mem::take(&mut own.parts.headers);
        own.forwarding().correct(&mut headers);
        headers
    }

    /// All headers, with what the origin is told of the way among them.
    pub fn corrected(&self) -> HeaderMap {
        let mut headers = self.parts.headers.clone();
        self.forwarding().correct(&mut headers);
        headers
    }

    /// Whether a trusted proxy says that the client came over TLS.
    pub fn is_secure(&self) -> bool {
        self.seen.has(Seen::WAY) && self.forwarding().is_secure()
    }

    /// A field by which answers may vary, in its one normal spelling; `None` where it is absent.
    pub fn varying(&self, name: &HeaderName) -> Option<Vec<u8>> {
        let told;
        let headers = match headers::tells_of_the_way(name) {
            true => {
                told = self.forwarding().told();
                &told
            }
            false => &self.parts.headers,
        };
        if *name == header::ACCEPT_ENCODING {
            let codings = headers::normal_accept_encoding(headers)?;
            return Some(codings.as_bytes().to_vec());
        }
        let is_there = headers.contains_key(name);
        is_there.then(|| headers::normal_list(headers, name))
    }
}

//! A write: lease, forward, bump, only then answer.
//!
//! The client learns that its write happened after every node that the write's sets name has been
//! dropped, so no read that begins later, through any sidecar, finds an answer from before it. The
//! whole of it is carried out also if its client leaves: that does not cancel the bump.

mod drops; // which nodes it drops
mod foretold; // which it would drop
mod warmed; // what is asked for afterwards

use crate::begun::Begun;
use crate::body::{self, Body, Read};
use crate::client::OnBehalf;
use crate::headers::Forwarding;
use crate::identity::{self, Claims, Presented};
use crate::inputs::plain_json;
use crate::interim::Interim;
use crate::key;
use crate::live::Live;
use crate::origin::Failure;
use crate::outcome::Detail;
use crate::rules::pattern::Captures;
use crate::rules::settings::OnDown;
use crate::rules::table::{Commits, ROLLOUT, Set, Table};
use crate::rules::template::{Placeholder, Source};
use crate::store::{Bump, Bumped, Leased};
use crate::trace::{Trace, Work};
use crate::verify::{self, Done};
use crate::warming::Then;
use crate::witness::UnderWay;
use bytes::Bytes;
use drops::{Drops, Named, Settled, names_a_place};
pub use foretold::{Asks, Cause, Foretold};
use hyper::body::Body as _;
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method, Request, Response, StatusCode, header};
use serde_json::Value as Json;
use std::sync::Arc;

/// Bytes of an answer that are read for `{response.…}`; a longer one widens the drop. The answer
/// waits for the bump in any case, so this bounds memory, not time.
pub const MAX_KEYED_ANSWER: usize = 1024 * 1024;

/// A request that changes something, and what it is known to touch before it is sent.
pub struct Write {
    /// The rules in force when it came.
    pub live: Arc<Live>,
    /// Its head, end to end.
    pub parts: Parts,
    /// Its body.
    pub body: Body,
    /// Whose request it is, for the forwarding headers.
    pub forwarding: Forwarding,
    /// What it is part of.
    pub trace: Trace,
    /// The methods that it may be taken for: its own, and one that a header puts in its place.
    pub methods: Vec<Method>,
    /// Who hears what the origin says before it answers.
    pub interim: Option<Interim>,
    /// Whose client counts as there while it is under way.
    pub on_behalf: Option<OnBehalf>,
    /// Asks for what its sets warm, once what they drop is dropped.
    pub then: Option<Then>,
    /// When the origin was asked, in milliseconds of Unix time; 0 before.
    pub begun_ms: u64,
}

/// Why a write has no answer of the origin's.
pub enum NoAnswer {
    /// The origin gave none.
    Failed(Failure),
    /// It was not sent: the store is down and `on_down = "refuse"`.
    StoreDown,
}

impl From<Failure> for NoAnswer {
    fn from(failure: Failure) -> NoAnswer {
        NoAnswer::Failed(failure)
    }
}

/// Methods that by RFC 9110 §9.2.1 promise not to change anything.
pub fn is_safe(method: &Method) -> bool {
    matches!(
        *method,
        Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE
    )
}

/// Whether anything that is kept hangs on this request.
pub fn concerns(table: &Table, methods: &[Method], path: &str) -> bool {
    methods
        .iter()
        .any(|method| !table.writes(method, path).is_empty())
        || (is_automatic(table, methods) && !table.kept_at(path).is_empty())
}

/// Whether a request may change something, for all that its methods say.
pub fn may_change(methods: &[Method]) -> bool {
    methods.iter().any(|method| !is_safe(method))
}

/// Sees to it that a request which drops nothing here leaves no answer alive that another's rules make
/// it drop: before its client hears of it, everything is dropped where entries of other rules live.
/// Where the store cannot be asked this is left out: see [`crate::store::Store::bump_others`].
pub async fn heed_others(live: &Live, answer: &Result<Response<Body>, Failure>) {
    let may_have_changed = match answer {
        Ok(response) => Commits::default().counts(response.status().as_u16()),
        Err(failure) => failure.may_have_acted,
    };
    if may_have_changed {
        // In a box: requests that change nothing need no room for it.
        let bumped = Box::pin(live.ground.store.bump_others()).await;
        count_rollout(live, bumped);
    }
}

fn count_rollout(live: &Live, bumped: Bumped) {
    if bumped == Bumped::Everything {
        live.ground.metrics.invalidated(ROLLOUT);
    }
}

/// Whether a successful answer makes stale what is kept for the paths that it concerns.
pub fn is_automatic(table: &Table, methods: &[Method]) -> bool {
    table.proxy.auto_invalidate && may_change(methods)
}

impl Write {
    /// Sets out when it is first waited for; the answer comes back once the bump is done.
    pub fn begin(self) -> Begun<Result<Response<Body>, NoAnswer>> {
        let tasks = self.live.ground.tasks.clone();
        Begun::new(&tasks, |answer| async move {
            let settled = self.carry_out_told().await;
            let _ = answer.send(settled); // its client may have left; the bump is done
        })
    }

    /// What becomes of it is told when it is done, also where its client has left.
    async fn carry_out_told(mut self) -> Result<Response<Body>, NoAnswer> {
        let mut span = self.live.ground.tracer.part(Some(&self.trace), Work::Write);
        self.trace = span.trace().unwrap_or(self.trace);
        let settled = self.carry_out().await;
        span.note(|facts| match &settled {
            Ok(response) => facts.answered(response.status()),
            Err(NoAnswer::Failed(failure)) => facts.failed(failure.detail()),
            Err(NoAnswer::StoreDown) => facts.failed(Detail::StoreDown),
        });
        settled
    }

    async fn carry_out(mut self) -> Result<Response<Body>, NoAnswer> {
        let path = self.parts.uri.path();
        if !concerns(&self.live.table, &self.methods, path) {
            return Ok(self.pass().await?);
        }
        let document = self.read_body().await?;
        let claims = self.claims();
        let (leased, _under_way) = self.lease(document.as_ref(), claims.as_ref()).await?;
        let answer = self.forward().await;
        let drops = Drops {
            write: &self,
            document: document.as_ref(),
            claims: claims.as_ref(),
        };
        let mut warm = Vec::new();
        let (answer, bump, unknown) = match answer {
            Ok(response) => {
                let status = response.status().as_u16();
                let (response, answered) = self.read_answer(response).await;
                let mut named = drops.named(Settled::Answered(status), answered.as_ref());
                let headers = response.headers();
                named.automatic.extend(drops.located(status, headers));
                named.hard.extend(drops.grouped(status, headers));
                warm = std::mem::take(&mut named.warm);
                let (bump, read) = (named.bump(), (document.as_ref(), answered.as_ref()));
                self.note(Some(response.status()), read, claims.as_ref(), &bump);
                (Ok(response), bump, false)
            }
            Err(failure) if failure.may_have_acted => {
                let bump = drops.named(Settled::Unknown, None).bump();
                self.note(None, (document.as_ref(), None), claims.as_ref(), &bump);
                (Err(failure), bump, true)
            }
            Err(failure) => (Err(failure), Bump::default(), false),
        };
        if bump.is_empty() {
            heed_others(&self.live, &answer).await;
        }
        let is_dropped = self.settle(leased, bump, unknown).await;
        if let Some(then) = self.then.take().filter(|_| is_dropped && !warm.is_empty()) {
            then(warm);
        }
        Ok(answer?)
    }

    /// Carries out a write that nothing kept hangs on, unless its answer says so: there is nothing to
    /// read or to lease for it.
    async fn pass(mut self) -> Result<Response<Body>, Failure> {
        let (answer, read) = match self.live.verifies() {
            true => Box::pin(self.forward_reading()).await,
            false => (self.forward().await, None),
        };
        let mut named = Named::default();
        if let Ok(response) = &answer {
            let (status, headers) = (response.status().as_u16(), response.headers());
            let claims = match names_a_place(headers) {
                true => self.claims(),
                false => None,
            };
            let drops = Drops {
                write: &self,
                document: None,
                claims: claims.as_ref(),
            };
            named.automatic = drops.located(status, headers);
            named.hard = drops.grouped(status, headers);
        }
        let bump = named.bump();
        if let Some((document, answered)) = read {
            let status = answer.as_ref().ok().map(Response::status);
            let read = (document.as_ref(), answered.as_ref());
            self.note(status, read, self.claims().as_ref(), &bump);
        }
        if bump.is_empty() {
            heed_others(&self.live, &answer).await;
        }
        self.settle(Leased::Needless, bump, false).await;
        answer
    }

    /// Forwards a write that no set names, and reads what of it is to be remembered: it may be the one that a set should
    /// name. `None` of one that was not carried out.
    async fn forward_reading(
        &mut self,
    ) -> (
        Result<Response<Body>, Failure>,
        Option<(Option<Json>, Option<Json>)>,
    ) {
        let document = match self.read_body().await {
            Ok(document) => document,
            Err(failure) => return (Err(failure), None),
        };
        match self.forward().await {
            Ok(response) => {
                let (response, answered) = self.read_answer(response).await;
                (Ok(response), Some((document, answered)))
            }
            Err(failure) => {
                let read = failure.may_have_acted.then_some((document, None));
                (Err(failure), read)
            }
        }
    }

    /// Remembers it, with what of it was read and what it drops, where hits are verified.
    fn note(
        &self,
        status: Option<StatusCode>,
        (document, answered): (Option<&Json>, Option<&Json>),
        claims: Option<&Claims>,
        bump: &Bump,
    ) {
        if self.live.verifies() {
            let done = Done {
                method: self.methods.last().unwrap_or(&self.parts.method),
                parts: &self.parts,
                document,
                answered,
                claims,
                begun_ms: self.begun_ms,
                dropped: &[bump.hard.as_slice(), &bump.soft].concat(),
            };
            verify::wrote(&self.live, status, &done);
        }
    }

    /// Registers the write on every node that it may come to drop, before the origin hears of it. A
    /// drop that needs the answer leases the nearest node that is known without it. A write that the
    /// store cannot be told of goes on, and its drops will be owed, unless `on_down` refuses it.
    async fn lease(
        &self,
        document: Option<&Json>,
        claims: Option<&Claims>,
    ) -> Result<(Leased, Option<UnderWay>), NoAnswer> {
        let drops = Drops {
            write: self,
            document,
            claims,
        };
        let mut nodes: Vec<String> = drops.possible().into_iter().collect();
        if nodes.is_empty() {
            return Ok((Leased::Needless, None));
        }
        let witness = &self.live.ground.witness;
        let under_way = self.live.verifies().then(|| witness.sets_out(&nodes));
        let store = &self.live.table.store;
        if store.budget.is_some() {
            // Everything lives under it: who dies now drops everything, for a quarter of the commands.
            nodes = vec![key::root_node(&self.live.table.namespace)];
        }
        // In a box, as below: writes that drop nothing need no room for it.
        let lease = self.live.ground.store.lease(&nodes, store.write_lease);
        match Box::pin(lease).await {
            Leased::Down | Leased::Away if store.on_down == OnDown::Refuse => {
                Err(NoAnswer::StoreDown)
            }
            leased => Ok((leased, under_way)),
        }
    }

    /// Whether it is dropped now; else it is owed.
    async fn settle(&self, leased: Leased, bump: Bump, unknown: bool) -> bool {
        if bump.is_empty() && !matches!(leased, Leased::Granted(_)) {
            return true;
        }
        let (hard, soft) = (bump.hard.len(), bump.soft.len());
        let mut span = self.live.ground.tracer.part(Some(&self.trace), Work::Bump);
        span.note(|facts| facts.dropped = Some(hard + soft));
        // Owed where the store cannot be told: nothing of it is trusted until it is.
        let store = &self.live.ground.store;
        let bumped = Box::pin(store.settle(leased, bump, unknown)).await;
        let is_owed = bumped == Bumped::Owed;
        span.note(|facts| facts.is_failure = is_owed);
        tracing::debug!(trace_id = %self.trace, hard, soft, is_owed, unknown, "dropped");
        count_rollout(&self.live, bumped);
        !is_owed
    }

    async fn forward(&mut self) -> Result<Response<Body>, Failure> {
        self.begun_ms = self.live.ground.clock.now_ms();
        let mut request = Request::new(std::mem::replace(&mut self.body, Body::empty()));
        *request.method_mut() = self.parts.method.clone();
        *request.uri_mut() = self.parts.uri.clone();
        *request.headers_mut() = self.parts.headers.clone();
        self.forwarding.onto(request.headers_mut());
        let interim = self.interim.take();
        interim.and_then(|interim| request.extensions_mut().insert(interim));
        self.live.ask(request, None, self.trace).await
    }

    /// Reads the request's body where a set asks for it, or a drop could; it is sent on byte for byte either way. Where no
    /// drop asks, as much as is there.
    async fn read_body(&mut self) -> Result<Option<Json>, Failure> {
        let limit = self.live.table.proxy.max_keyed_body;
        let of_body = |source: &Source| matches!(source, Source::Body | Source::BodyField(_));
        let is_asked = self.any_drop_asks(of_body);
        // Who asks whether he may send it is told by the origin.
        let expects = self.parts.headers.contains_key(header::EXPECT);
        let may_note = || self.may_note(&self.parts.headers, &self.body, limit);
        let is_of_use = !expects && (self.any_warm_asks(of_body) || may_note());
        if !is_asked && !is_of_use {
            return Ok(None);
        }
        let body = std::mem::take(&mut self.body);
        let read = match is_asked {
            true => body::read_up_to(body, limit).await,
            false => body::read_now(body, limit), // nobody waits for what no drop hangs on
        };
        let (document, body) = match read {
            Read::Whole(bytes) => (plain_json(&self.parts.headers, &bytes), Body::full(bytes)),
            Read::Longer(body) => (None, body),
            Read::Broken(error) => return Err(Failure::client_gone(error)),
        };
        self.body = body;
        Ok(document)
    }

    /// Reads the answer's body where a set asks for it, or a drop could, no longer than a head may take. Where no drop asks,
    /// as much as is there.
    async fn read_answer(&self, response: Response<Body>) -> (Response<Body>, Option<Json>) {
        let of_answer = |source: &Source| matches!(source, Source::Response(_));
        let is_asked = self.any_drop_asks(of_answer);
        let (headers, body) = (response.headers(), response.body());
        let may_note = || self.may_note(headers, body, MAX_KEYED_ANSWER);
        if !is_asked && !self.any_warm_asks(of_answer) && !may_note() {
            return (response, None);
        }
        let (head, body) = response.into_parts();
        let length = body.size_hint().exact();
        let patience = self.live.table.proxy.origin_timeout;
        let read = match is_asked {
            true => body::read_in_time(body, MAX_KEYED_ANSWER, patience).await,
            false => body::read_now(body, MAX_KEYED_ANSWER),
        };
        let (document, body) = match read {
            Read::Whole(bytes) => (parsed(&bytes, &head.headers), Body::full(bytes)),
            Read::Longer(body) => (None, body),
            Read::Broken(_) => (None, Body::broken(length)),
        };
        (Response::from_parts(head, body), document)
    }

    fn may_note(&self, headers: &HeaderMap, body: &Body, limit: usize) -> bool {
        self.live.verifies() && verify::may_read(headers, body, limit)
    }

    fn any_drop_asks(&self, of: impl Fn(&Source) -> bool) -> bool {
        let asks = |placeholder: &Placeholder| of(&placeholder.source);
        self.sets().iter().any(|(set, _)| {
            let mut drops = set.drops.iter().map(|drop| &drop.template);
            drops.any(|drop| drop.placeholders().any(asks))
        })
    }

    fn any_warm_asks(&self, of: impl Fn(&Source) -> bool) -> bool {
        let asks = |placeholder: &Placeholder| of(&placeholder.source);
        self.sets().iter().any(|(set, _)| {
            let mut warm = set.warm.iter();
            warm.any(|path| path.placeholders().any(asks))
        })
    }

    fn sets(&self) -> Vec<(&Arc<Set>, Captures<'_, '_>)> {
        let path = self.parts.uri.path();
        let matched = self
            .methods
            .iter()
            .flat_map(|method| self.live.table.writes(method, path));
        matched
            .map(|matched| (matched.what, matched.captures))
            .collect()
    }

    /// The verified claims of the caller, for drops that name him.
    fn claims(&self) -> Option<Claims> {
        let settings = self.live.table.identity.as_ref()?;
        let Presented::One(credential) = identity::presented(settings, &self.parts.headers) else {
            return None;
        };
        let now = self.live.ground.clock.now_ms() / 1000;
        self.live
            .verifier
            .as_ref()?
            .verify(credential.token.reveal(), now)
            .ok()
    }
}

/// An answer's body as JSON, if it is JSON as it stands, whatever the origin calls it.
fn parsed(bytes: &Bytes, headers: &HeaderMap) -> Option<Json> {
    let is_encoded = headers.contains_key(header::CONTENT_ENCODING);
    serde_json::from_slice(bytes).ok().filter(|_| !is_encoded)
}

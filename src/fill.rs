//! A fill: one fetch from the origin, streamed to whoever began it while a copy is taken, kept
//! under the snapshot from before the origin was asked.
//!
//! It runs in its own task: the client that began it may leave, others wait for it. A fill that
//! raced a write is kept under a dead snapshot, so it is dead on arrival; no lock is needed for that.

use crate::asked::Asked;
use crate::body::{Body, BodySender};
use crate::claim::Claim;
use crate::entry::Entry;
use crate::flights::{Landing, Lead, Snapshot};
use crate::freshness::{self, KeepRules};
use crate::headers::{self, Forwarding};
use crate::key::{self, CacheKey};
use crate::live::Live;
use crate::origin::{Failure, UntilClose};
use crate::outcome::Detail;
use crate::rules::table::Rule;
use crate::vary::Vary;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body as _, Frame};
use hyper::header;
use hyper::http::response::Parts;
use hyper::{Request, Response};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// How often one fill asks the origin because an answer taught a new `Vary` name. Each time must
/// have taught something new; an origin that goes on does not mean it.
const MAX_VARY_ROUNDS: usize = 3;

/// What a fill needs to know.
pub struct Fill {
    /// The rules in force when it began.
    pub live: Arc<Live>,
    /// The request that it answers.
    pub asked: Arc<Asked>,
    /// What answers were known to vary by.
    pub vary: Arc<Vary>,
    /// Under which versions the answer may be kept.
    pub snapshot: Snapshot,
    /// Whose request it is, for the forwarding headers.
    pub forwarding: Forwarding,
    /// The client's own request, where the rule is only observed; else the request is made anew.
    pub own: Option<Request<Body>>,
    /// That this process fetches for the fleet.
    pub claim: Option<Claim>,
}

/// The answer of a fill as its beginner gets it.
pub struct Filled {
    /// Head and streaming body, end-to-end headers as the origin sent them.
    pub response: Response<Body>,
    /// Why it is not kept, as far as the head tells.
    pub not_kept: Option<Detail>,
    /// Whether it is certain already that it will be kept.
    pub stored: bool,
}

type Answer = oneshot::Sender<Result<Filled, Failure>>;

/// An answer from the origin and the key that it belongs under.
struct Fetched {
    response: Response<Body>,
    key: CacheKey,
    keepable: Result<(), Detail>,
}

impl Fill {
    /// Sets out in a task of its own; the head comes back as soon as it is there.
    pub fn begin(self, lead: Option<Lead>) -> oneshot::Receiver<Result<Filled, Failure>> {
        let (answer, head) = oneshot::channel();
        let tasks = self.live.ground.tasks.clone();
        tasks.spawn(self.fly(lead, answer));
        head
    }

    async fn fly(mut self, lead: Option<Lead>, answer: Answer) {
        let _in_flight = self.live.ground.metrics.fill();
        let fetched = match self.fetch().await {
            Ok(fetched) => fetched,
            Err(failure) => {
                land(&lead, Landing::Failed(failure.detail()));
                let _ = answer.send(Err(failure)); // its client may have left
                return;
            }
        };
        match fetched.keepable {
            Ok(()) => self.stream_and_keep(fetched, lead, answer).await,
            Err(detail) => {
                self.not_kept(&fetched.key, &lead, detail);
                let response = fetched.response;
                let _ = answer.send(Ok(Filled {
                    response,
                    not_kept: Some(detail),
                    stored: false,
                }));
            }
        }
    }

    /// Asks the origin; again, if its answer varies by a header that was withheld.
    async fn fetch(&mut self) -> Result<Fetched, Failure> {
        let mut keepable = Ok(());
        let mut response = self.ask().await?;
        for round in 0.. {
            let before = self.vary.clone();
            if let Err(detail) = self.learn(&response).await {
                keepable = Err(detail);
                break;
            }
            if self.own.is_some() || !self.asked.withheld(&before.names, &self.vary.names) {
                break;
            }
            if round == MAX_VARY_ROUNDS {
                keepable = Err(Detail::VaryStar);
                break;
            }
            response = self.ask().await?;
        }
        let key = self.asked.key(&self.live.table.namespace, &self.vary.names);
        let keepable = keepable.and_then(|()| {
            if response.extensions().get::<UntilClose>().is_some() {
                return Err(Detail::NotKeepable);
            }
            freshness::judge_head(&self.keep_rules(), response.status(), response.headers())
        });
        Ok(Fetched {
            response,
            key,
            keepable,
        })
    }

    async fn ask(&mut self) -> Result<Response<Body>, Failure> {
        let request = match self.own.take() {
            Some(mut own) => {
                self.forwarding.onto(own.headers_mut());
                own
            }
            None => {
                let mut fill = self.asked.fill(&self.vary.names);
                self.forwarding.onto_fill(fill.headers_mut());
                fill
            }
        };
        self.live.ask(request, &self.rule().name).await
    }

    async fn learn(&mut self, response: &Response<Body>) -> Result<(), Detail> {
        let names = match headers::Vary::of(response.headers()) {
            headers::Vary::Names(names) => names,
            headers::Vary::Star if self.rule().ignore_origin_cache_control => Vec::new(),
            headers::Vary::Star => return Err(Detail::VaryStar),
        };
        let learnt = &self.live.vary[self.rule().index];
        let (vary, grew) = learnt.learn(&names).map_err(|_| Detail::VaryStar)?;
        self.vary = vary;
        if grew && matches!(self.snapshot, Snapshot::Known(_)) {
            let marker = key::vary_marker(&self.live.table.namespace, self.rule());
            // Losing it costs other sidecars one miss.
            let _ = self
                .live
                .ground
                .store
                .put_marker(&marker, self.vary.to_marker())
                .await;
        }
        Ok(())
    }

    fn rule(&self) -> &Arc<Rule> {
        &self.asked.rule
    }

    fn keep_rules(&self) -> KeepRules<'_> {
        let rule = self.rule();
        KeepRules {
            statuses: &rule.statuses,
            public: rule.public,
            ignore_origin_cache_control: rule.ignore_origin_cache_control,
            max_entry: self.live.table.store.max_entry,
            accept_encoding_keyed: self.vary.names.contains(&header::ACCEPT_ENCODING),
        }
    }

    fn not_kept(&mut self, key: &CacheKey, lead: &Option<Lead>, detail: Detail) {
        tracing::debug!(
            key = key::for_logs(self.rule(), &key.entry),
            detail = detail.word(),
            "not kept"
        );
        self.live
            .fills
            .restless(&key.entry, self.live.ground.clock.now_ms());
        if let Some(claim) = self.claim.take() {
            claim.restless();
        }
        land(lead, Landing::NotKept);
    }

    /// Streams to the client while copying. The last bytes leave when the store has the entry, so
    /// whoever has read an answer to its end finds it kept, through any sidecar.
    async fn stream_and_keep(mut self, fetched: Fetched, lead: Option<Lead>, answer: Answer) {
        let Fetched { response, key, .. } = fetched;
        let (head, mut body) = response.into_parts();
        let length = body.size_hint().exact();
        let (sender, copy) = Body::channel(length);
        let known = length.is_some() && self.rule().store_if.is_empty();
        let stored = known && matches!(self.snapshot, Snapshot::Known(_));
        let response = Response::from_parts(head.clone(), copy);
        let _ = answer.send(Ok(Filled {
            response,
            not_kept: None,
            stored,
        }));

        match take_copy(
            &mut body,
            &sender,
            self.live.table.store.max_entry,
            self.live.table.proxy.origin_timeout,
        )
        .await
        {
            Copied::Whole { bytes, last } => {
                match freshness::judge_body(&self.rule().store_if, &bytes) {
                    Ok(()) => self.keep(&key, &head, bytes, &lead).await,
                    Err(detail) => self.not_kept(&key, &lead, detail),
                }
                let _ = last.map(|chunk| sender.send_now(Frame::data(chunk)));
                sender.finish();
            }
            Copied::Passing { detail, next } => {
                self.not_kept(&key, &lead, detail);
                drop(lead);
                relay(next, body, sender).await;
            }
            Copied::Broken => {
                self.not_kept(&key, &lead, Detail::Truncated);
                sender.abort();
            }
        }
    }

    async fn keep(&mut self, key: &CacheKey, head: &Parts, body: Bytes, lead: &Option<Lead>) {
        let rule = self.rule();
        let stripped = |name: &str| rule.strip.iter().any(|strip| strip.matches(name));
        let ttl = if matches!(head.status.as_u16(), 404 | 410) {
            rule.negative_ttl
        } else {
            rule.ttl
        };
        let entry = Arc::new(Entry {
            binding: key.binding,
            versions: match &self.snapshot {
                Snapshot::Known(versions) => versions.clone(),
                Snapshot::Unknown(_) => Vec::new(),
            },
            kept_at: self.live.ground.clock.now_ms(),
            ttl: ttl.as_millis() as u64,
            initial_age: headers::age(&head.headers),
            status: head.status,
            headers: headers::kept(&head.headers, stripped),
            body,
        });
        land(lead, Landing::Kept(entry.clone()));
        self.live.fills.calm(&key.entry);
        if let Snapshot::Known(_) = self.snapshot {
            // A store that refuses is counted there; the next reader fetches again.
            let kept = self.live.ground.store.keep(&key.entry, entry.clone()).await;
            if let Some(claim) = self.claim.take() {
                match kept {
                    Ok(()) => claim.kept(&key.entry, &entry).await,
                    Err(_) => claim.restless(),
                }
            }
        }
    }
}

fn land(lead: &Option<Lead>, landing: Landing) {
    if let Some(lead) = lead {
        lead.land(landing);
    }
}

/// What became of the copy.
enum Copied {
    /// All of it; `last` is the chunk that the client has not got yet.
    Whole { bytes: Bytes, last: Option<Bytes> },
    /// It is not to be kept after all; `next` and what follows goes to the client.
    Passing {
        detail: Detail,
        next: Option<Frame<Bytes>>,
    },
    /// The origin broke off.
    Broken,
}

/// Copies a body, passing on each chunk when the next one is there. A client that reads slowly does
/// not slow the fill, one that left does not end it: the bytes are held for the copy in any case. An
/// origin that stops in the middle for `stall` is not waited for by others: the copy is given up, and
/// the client gets the rest when it comes.
async fn take_copy(body: &mut Body, client: &BodySender, max: usize, stall: Duration) -> Copied {
    let mut chunks: Vec<Bytes> = Vec::new();
    let mut size = 0;
    let mut last: Option<Bytes> = None;
    loop {
        let frame = match tokio::time::timeout(stall, body.frame()).await {
            Ok(Some(Ok(frame))) => frame,
            Ok(None) => break,
            Ok(Some(Err(_))) => return Copied::Broken,
            Err(_) => {
                let _ = last.map(|chunk| client.send_now(Frame::data(chunk)));
                return Copied::Passing {
                    detail: Detail::NotKeepable,
                    next: None,
                };
            }
        };
        let held = last.take().map(|chunk| client.send_now(Frame::data(chunk)));
        let _ = held; // a client that left does not end the fill
        match frame.into_data() {
            Ok(chunk) if size + chunk.len() <= max => {
                size += chunk.len();
                chunks.push(chunk.clone());
                last = Some(chunk);
            }
            Ok(chunk) => {
                return Copied::Passing {
                    detail: Detail::TooLarge,
                    next: Some(Frame::data(chunk)),
                };
            }
            Err(trailers) => {
                return Copied::Passing {
                    detail: Detail::NotKeepable,
                    next: Some(trailers),
                };
            }
        }
    }
    let mut bytes = BytesMut::with_capacity(size);
    chunks
        .iter()
        .for_each(|chunk| bytes.extend_from_slice(chunk));
    Copied::Whole {
        bytes: bytes.freeze(),
        last,
    }
}

/// Passes on the rest at the client's pace; a client that left ends it.
async fn relay(first: Option<Frame<Bytes>>, mut body: Body, client: BodySender) {
    if let Some(first) = first
        && client.send(first).await.is_err()
    {
        return;
    }
    loop {
        let next = tokio::select! {
            biased; // what is there is passed on, also to one who leaves at the same moment
            next = body.frame() => next,
            () = client.closed() => return, // an origin that says nothing more would hold us here
        };
        match next {
            None => return client.finish(),
            Some(Err(_)) => return client.abort(),
            Some(Ok(frame)) => {
                if client.send(frame).await.is_err() {
                    return;
                }
            }
        }
    }
}

//! A fill: one fetch from the origin, streamed to whoever began it while a copy is taken, kept
//! under the snapshot from before the origin was asked.
//!
//! It goes on when the client that began it leaves: others wait for it. A fill that
//! raced a write is kept under a dead snapshot, so it is dead on arrival; no lock is needed for that.
//!
//! Where something is kept that can be validated, the origin is only asked whether it still holds. Only
//! what nothing had dropped when it was looked up is, and it is kept anew under the versions from
//! that look: a write in between kills it as it kills any fill.

mod copy; // a body, while it streams
mod ends; // what is kept, held against what was before it
mod fetch; // asks the origin, and judges what it says
mod parts; // parts of an answer, and what completes them

use crate::asked::Asked;
use crate::begun::Begun;
use crate::body::{self, Body, BodySender, Read};
use crate::claim::Claim;
use crate::client::OnBehalf;
use crate::entry::Entry;
use crate::flights::{Landing, Lead, Snapshot};
use crate::freshness::{self, Terms};
use crate::groups::Groups;
use crate::headers::{self, Forwarding};
use crate::interim::Interim;
use crate::key::{self, CacheKey};
use crate::live::Live;
use crate::look::Reach;
use crate::origin::Failure;
use crate::outcome::Detail;
use crate::part::{self, Part, Single};
use crate::rules::table::Rule;
use crate::trace::{Trace, Work};
use crate::vary::Vary;
use bytes::Bytes;
use copy::{Copied, take_copy};
use fetch::{Fetched, Times};
use hyper::body::{Body as _, Frame};
use hyper::http::response::Parts;
use hyper::{Request, Response, StatusCode};
use std::sync::Arc;
use tokio::sync::oneshot;

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
    /// For whom it may be kept.
    pub reach: Reach,
    /// What was kept under those versions when they were looked up: it is validated, if it can be.
    pub kept: Option<Arc<Entry>>,
    /// What of it was: it is completed, if it can be.
    pub part: Option<Part>,
    /// The one range that is asked for, where not all is.
    pub range: Option<Single>,
    /// The statuses for which, as for no answer at all, what is kept stands in; none where it may not.
    pub stands_in_for: &'static [u16],
    /// Whose request it is, for the forwarding headers.
    pub forwarding: Forwarding,
    /// What it is part of. Others may come to wait for it: it stays its beginner's.
    pub trace: Trace,
    /// The client's own request, where the rule is only observed; else the request is made anew.
    pub own: Option<Box<Request<Body>>>,
    /// That this process fetches for the fleet.
    pub claim: Option<Claim>,
    /// Whose client counts as there while it is under way.
    pub on_behalf: Option<OnBehalf>,
    /// Who hears what the origin says before it answers.
    pub interim: Option<Interim>,
}

/// What a fill came to, as its beginner gets it.
#[expect(
    clippy::large_enum_variant,
    reason = "one a request, and the large one is the usual"
)]
pub enum Filled {
    /// The origin answered.
    Answered {
        /// Head and streaming body, end-to-end headers as the origin sent them.
        response: Response<Body>,
        /// Why it is not kept, as far as the head tells.
        not_kept: Option<Detail>,
        /// Whether it is certain already that it will be kept.
        stored: bool,
    },
    /// The origin says that what is kept still holds; this is it, as it is kept now.
    Revalidated(Arc<Entry>),
    /// The origin failed, and what is kept stands in for its answer.
    StoodIn,
}

/// Bytes of a body that are waited for before the head goes to the client, if they are there already: one
/// write then takes both. It is no more than one read of the origin's connection.
const MAX_AT_ONCE: usize = 32 * 1024;

/// An answer that may be kept, but for its body.
struct Arrived {
    key: Arc<CacheKey>,
    head: Parts,
    groups: Groups,
    terms: Terms,
    times: Times,
}

/// What its beginner waits for: the origin's answer, or its failure.
type Outcome = Result<Filled, Failure>;

type Answer = oneshot::Sender<Outcome>;

impl Fill {
    /// Sets out when it is first waited for; the head comes back as soon as it is there.
    pub fn begin(self, lead: Option<Lead>) -> Begun<Outcome> {
        let tasks = self.live.ground.tasks.clone();
        let fill = Box::new(self); // moved once, not once for each future that it passes through
        Begun::new(&tasks, |answer| fill.fly(lead, answer))
    }

    async fn fly(mut self: Box<Fill>, lead: Option<Lead>, answer: Answer) {
        let _in_flight = self.live.ground.metrics.fill();
        let mut span = self.live.ground.tracer.part(Some(&self.trace), Work::Fill);
        span.note(|facts| facts.rule = Some(self.rule().name.clone()));
        self.trace = span.trace().unwrap_or(self.trace);
        let fetched = self.fetch().await;
        span.note(|facts| match &fetched {
            Ok(fetched) => {
                facts.answered(fetched.response.status());
                facts.detail = fetched.terms.as_ref().err().map(|detail| detail.word());
            }
            Err(failure) => facts.failed(failure.detail()),
        });
        // Where a client has left, there is nobody to answer.
        match fetched {
            Err(_) if !self.stands_in_for.is_empty() => {
                land(&lead, Landing::StoodIn);
                let _ = answer.send(Ok(Filled::StoodIn));
            }
            Err(failure) => {
                land(&lead, Landing::Failed(failure.detail(), self.trace));
                let _ = answer.send(Err(failure));
            }
            Ok(fetched) if self.is_stood_in_for(&fetched) => {
                land(&lead, Landing::StoodIn);
                let _ = answer.send(Ok(Filled::StoodIn));
            }
            Ok(fetched) => match fetched.terms.clone() {
                Ok(terms) if fetched.validated.is_some() => {
                    let entry = self.keep_anew(fetched, terms, &lead).await;
                    let _ = answer.send(Ok(Filled::Revalidated(entry)));
                }
                Ok(terms) => self.stream_and_keep(fetched, terms, lead, answer).await,
                Err(detail) => {
                    self.not_kept(&fetched.key, &lead, detail);
                    let _ = answer.send(Ok(Filled::Answered {
                        response: fetched.response,
                        not_kept: Some(detail),
                        stored: false,
                    }));
                }
            },
        }
    }

    fn is_stood_in_for(&self, fetched: &Fetched) -> bool {
        let status = fetched.response.status().as_u16();
        self.stands_in_for.contains(&status)
    }

    fn rule(&self) -> &Arc<Rule> {
        &self.asked.rule
    }

    fn not_kept(&mut self, key: &CacheKey, lead: &Option<Lead>, detail: Detail) {
        tracing::debug!(
            trace_id = %self.trace,
            key = key::for_logs(self.rule(), &key.entry),
            detail = detail.word(),
            "not kept"
        );
        self.each_for_himself(key);
        land(lead, Landing::NotKept);
    }

    /// Says that nobody need wait for the next answer to this key, in this process or in others. What
    /// an answer to one client's conditions, or a range, came to says nothing of the next.
    fn each_for_himself(&mut self, key: &CacheKey) {
        let now = self.live.ground.clock.now_ms();
        if !self.asked.is_conditional() && self.range.is_none() {
            self.live.fills.restless(&key.entry, now);
        }
        if let Some(claim) = self.claim.take() {
            claim.restless();
        }
    }

    /// Keeps an answer while it goes to the client. The last bytes leave when the store has the entry, so
    /// whoever has read an answer to its end finds it kept, through any sidecar.
    async fn stream_and_keep(
        &mut self,
        fetched: Fetched,
        terms: Terms,
        lead: Option<Lead>,
        answer: Answer,
    ) {
        let (head, body) = fetched.response.into_parts();
        let length = body.size_hint().exact();
        let arrived = Arrived {
            key: fetched.key,
            head,
            groups: fetched.groups,
            terms,
            times: fetched.times,
        };
        let known = length.is_some() && self.rule().store_if.is_empty();
        let is_kept = !matches!(self.reach, Reach::Nobody(_));
        let stored = known && is_kept && matches!(self.snapshot, Snapshot::Known(_));
        let answered = |body| Filled::Answered {
            response: Response::from_parts(arrived.head.clone(), body),
            not_kept: None,
            stored,
        };
        let at_once = self.live.table.store.max_entry.min(MAX_AT_ONCE);
        match body::read_now(body, at_once) {
            Read::Whole(bytes) => {
                let filled = answered(Body::full(bytes.clone()));
                self.keep_whole(arrived, bytes, &lead).await;
                let _ = answer.send(Ok(filled));
            }
            Read::Longer(body) => {
                let (sender, copy) = Body::channel(length);
                let _ = answer.send(Ok(answered(copy)));
                // Apart: most bodies are there at once, and need no room for what others need.
                Box::pin(self.copy_and_keep(arrived, body, sender, lead)).await;
            }
            Read::Broken(_) => {
                let filled = answered(Body::broken(length));
                self.not_kept(&arrived.key, &lead, Detail::Truncated);
                let _ = answer.send(Ok(filled));
            }
        }
    }

    /// Streams to the client while copying.
    async fn copy_and_keep(
        &mut self,
        arrived: Arrived,
        mut body: Body,
        client: BodySender,
        lead: Option<Lead>,
    ) {
        let table = &self.live.table;
        let (max, stall) = (table.store.max_entry, table.proxy.origin_timeout);
        match take_copy(&mut body, &client, max, stall).await {
            Copied::Whole { bytes, last } => {
                self.keep_whole(arrived, bytes, &lead).await;
                let _ = last.map(|chunk| client.send_now(Frame::data(chunk)));
                client.finish();
            }
            Copied::Passing { detail, next } => {
                self.not_kept(&arrived.key, &lead, detail);
                let _ = next.map(|frame| client.send_now(frame));
                client.hand_over(body);
            }
            Copied::Broken => {
                self.not_kept(&arrived.key, &lead, Detail::Truncated);
                client.abort();
            }
        }
    }

    /// Keeps an answer of which all is there, if its body may be kept.
    async fn keep_whole(&mut self, arrived: Arrived, bytes: Bytes, lead: &Option<Lead>) {
        let Arrived {
            key,
            head,
            groups,
            terms,
            times,
        } = arrived;
        let judged = freshness::judge_body(&self.rule().store_if, &bytes);
        match (head.status, judged) {
            // A part is of no group: joined with others it would be of theirs too.
            (StatusCode::PARTIAL_CONTENT, _) if groups.names.is_empty() => {
                Box::pin(self.keep_part(&key, &head, bytes, &terms, times)).await;
            }
            (StatusCode::PARTIAL_CONTENT, _) => self.not_kept(&key, lead, Detail::Range),
            (_, Ok(())) => {
                let entry = self.entry(&key, &head, bytes, groups, &terms, times);
                self.keep(&key, entry, lead).await;
            }
            (_, Err(detail)) => self.not_kept(&key, lead, detail),
        }
    }

    /// Keeps what the origin says still holds, with what it says anew of it.
    async fn keep_anew(
        &mut self,
        fetched: Fetched,
        terms: Terms,
        lead: &Option<Lead>,
    ) -> Arc<Entry> {
        let body = fetched.validated.map(|entry| entry.body.clone());
        let (head, _) = fetched.response.into_parts();
        let body = body.unwrap_or_default();
        let Fetched {
            key, groups, times, ..
        } = fetched;
        let entry = self.entry(&key, &head, body, groups, &terms, times);
        self.keep(&key, entry.clone(), lead).await;
        entry
    }

    fn entry(
        &self,
        key: &CacheKey,
        head: &Parts,
        body: Bytes,
        groups: Groups,
        terms: &Terms,
        times: Times,
    ) -> Arc<Entry> {
        let strip = &self.rule().strip;
        let stripped = |name: &str| {
            strip.iter().any(|strip| strip.matches(name))
                || terms.stripped.iter().any(|field| field == name)
        };
        Arc::new(Entry {
            binding: match head.status {
                StatusCode::PARTIAL_CONTENT => part::binding(key.binding),
                _ => key.binding,
            },
            versions: match &self.snapshot {
                Snapshot::Known(versions) => {
                    let own = &versions[..key.nodes.len()];
                    [own, &groups.versions].concat()
                }
                Snapshot::Unknown(_) => Vec::new(),
            },
            groups: groups.names,
            kept_at: times.arrived_ms,
            ttl: terms.ttl,
            stale: terms.stale,
            initial_age: terms.initial_age,
            took: times.took_ms(),
            status: head.status,
            headers: headers::kept(&headers::dated(&head.headers, times.arrived_ms), stripped),
            body,
        })
    }

    /// Lands the flight and has the store keep the entry. What is kept only to be validated is nobody's
    /// but its own client's answer.
    async fn keep(&mut self, key: &CacheKey, entry: Arc<Entry>, lead: &Option<Lead>) {
        let is_fresh = entry.ttl > 0;
        if is_fresh {
            land(lead, Landing::Kept(entry.clone()));
            self.live.fills.calm(&key.entry);
        } else {
            self.each_for_himself(key);
            land(lead, Landing::NotKept);
        }
        if let Snapshot::Known(versions) = &self.snapshot {
            if is_fresh && self.live.verifies() && !matches!(self.reach, Reach::Nobody(_)) {
                ends::note(&self.live, &self.asked, key, &entry);
            }
            // A store that refuses is counted there; the next reader fetches again.
            let store = &self.live.ground.store;
            match self.reach {
                Reach::Fleet => {}
                Reach::Process => return store.keep_here(&key.entry, entry),
                Reach::Nobody(_) => return,
            }
            let keeping = store.keep(&key.entry, entry.clone());
            let kept = Box::pin(keeping).await; // what is not kept is spared the room for it
            if kept.is_err() {
                let key = key::for_logs(self.rule(), &key.entry);
                tracing::debug!(trace_id = %self.trace, key, "the store did not keep it");
            }
            if let Some(claim) = self.claim.take() {
                match kept {
                    Ok(()) => Box::pin(claim.kept(&key.entry, &entry, versions)).await,
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

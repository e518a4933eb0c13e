//! Asks the origin for what is to be kept, or whether what is kept still holds.

use super::Fill;
use crate::body::Body;
use crate::entry::Entry;
use crate::flights::Snapshot;
use crate::freshness::{self, Arrived, KeepRules, Terms, Whose};
use crate::groups::{self, Groups};
use crate::headers;
use crate::key::CacheKey;
use crate::look::Reach;
use crate::origin::{Failure, UntilClose};
use crate::outcome::Detail;
use crate::part::Single;
use hyper::header;
use hyper::{Response, StatusCode};
use std::sync::Arc;

/// How often one fill asks the origin because an answer taught a new `Vary` name. Each time must
/// have taught something new; an origin that goes on does not mean it.
const MAX_VARY_ROUNDS: usize = 3;

/// When an answer was asked for and when its head was there, milliseconds of Unix time.
#[derive(Clone, Copy)]
pub(super) struct Times {
    asked_ms: u64,
    pub(super) arrived_ms: u64,
}

impl Times {
    /// How long the origin took.
    pub(super) fn took_ms(self) -> u32 {
        let took = self.arrived_ms.saturating_sub(self.asked_ms);
        u32::try_from(took).unwrap_or(u32::MAX)
    }
}

/// An answer from the origin, the key that it belongs under, and on what terms it is kept there.
pub(super) struct Fetched {
    pub(super) response: Response<Body>,
    /// The entry that the origin says still holds. The response is made of it and of what was said.
    pub(super) validated: Option<Arc<Entry>>,
    pub(super) key: Arc<CacheKey>,
    pub(super) terms: Result<Terms, Detail>,
    pub(super) groups: Groups,
    pub(super) times: Times,
}

/// One answer.
pub(super) struct Heard {
    pub(super) response: Response<Body>,
    pub(super) validated: Option<Arc<Entry>>,
    pub(super) whose: Whose,
    pub(super) times: Times,
}

impl Fill {
    /// Asks the origin; again, if its answer varies by a header that was withheld.
    pub(super) async fn fetch(&mut self) -> Result<Fetched, Failure> {
        let mut keepable = Ok(());
        let mut heard = self.hear().await?;
        for round in 0.. {
            let before = self.vary.clone();
            if let Err(detail) = self.learn(&heard.response).await {
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
            heard = self.hear().await?;
        }
        let mut terms = keepable.and_then(|()| self.terms(&heard));
        let mut groups = Groups::default();
        if terms.is_ok() {
            match self.groups(&heard).await {
                Ok(of_answer) => groups = of_answer,
                Err(detail) => terms = Err(detail),
            }
        }
        Ok(Fetched {
            key: self.asked.key(&self.vary.names),
            response: heard.response,
            validated: heard.validated,
            terms,
            groups,
            times: heard.times,
        })
    }

    async fn groups(&mut self, heard: &Heard) -> Result<Groups, Detail> {
        let validated = heard.validated.as_deref();
        let said = heard.response.headers();
        if self.reach == Reach::Process && groups::are_named(&self.live, said) {
            self.reach = Reach::Nobody(Detail::Budget); // their versions would have to be asked for
            return Ok(Groups::default());
        }
        Box::pin(groups::of(&self.live, &self.snapshot, said, validated)).await
    }

    /// Asks whether what is kept still holds, if anything is; without a condition where the answer to
    /// that is about something else.
    async fn hear(&mut self) -> Result<Heard, Failure> {
        if self.part.is_some()
            && let Some(heard) = Box::pin(self.complete()).await?
        {
            return Ok(heard);
        }
        let heard = self.ask(None).await?;
        let Some(entry) = &heard.validated else {
            return Ok(heard);
        };
        if heard.response.status() != StatusCode::NOT_MODIFIED {
            let validated = None;
            return Ok(Heard { validated, ..heard });
        }
        if freshness::is_about(heard.response.headers(), &entry.headers) {
            return Ok(still_holding(heard));
        }
        self.kept = None;
        self.ask(None).await
    }

    /// Asks for all of it, for the range that the client wishes, or for the `rest`.
    pub(super) async fn ask(&mut self, rest: Option<&Single>) -> Result<Heard, Failure> {
        let (mut request, validates, trace) = match self.own.take() {
            Some(mut own) => {
                self.forwarding.onto(own.headers_mut());
                (*own, false, self.trace)
            }
            None => {
                let names = &self.vary.names;
                let (mut fill, validates) = self.asked.fill(names, self.kept.as_deref());
                self.forwarding.onto_fill(fill.headers_mut());
                let interim = self.interim.clone();
                interim.and_then(|interim| fill.extensions_mut().insert(interim));
                (fill, validates, self.trace.for_all())
            }
        };
        if let Some(range) = rest.or(self.range.as_ref()) {
            range.onto(request.headers_mut());
        }
        let whose = self.asked.whose(request.headers());
        let method = request.method().clone();
        let asked_ms = self.live.ground.clock.now_ms();
        let response = self.live.ask(request, Some(self.rule()), trace).await?;
        let arrived_ms = self.live.ground.clock.now_ms();
        groups::heed(&self.live, &[method], &response).await; // a POST that a rule reads by is unsafe still
        Ok(Heard {
            response,
            validated: self.kept.clone().filter(|_| validates),
            whose,
            times: Times {
                asked_ms,
                arrived_ms,
            },
        })
    }

    fn terms(&self, heard: &Heard) -> Result<Terms, Detail> {
        let response = &heard.response;
        if response.extensions().get::<UntilClose>().is_some() {
            return Err(Detail::NotKeepable);
        }
        let arrived = Arrived {
            status: response.status(),
            headers: response.headers(),
            asked_at_s: heard.times.asked_ms / 1000,
            arrived_at_s: heard.times.arrived_ms / 1000,
        };
        if response.status() == StatusCode::PARTIAL_CONTENT {
            return self.part_terms(heard, &arrived);
        }
        if !self.is_of_what_was_asked(response) {
            return Err(Detail::Range);
        }
        freshness::terms(&self.keep_rules(response.status()), heard.whose, &arrived)
    }

    async fn learn(&mut self, response: &Response<Body>) -> Result<(), Detail> {
        let names = match headers::Vary::of(response.headers()) {
            headers::Vary::Names(names) => names,
            headers::Vary::Star if self.rule().ignore_origin_cache_control => Vec::new(),
            headers::Vary::Star => return Err(Detail::VaryStar),
        };
        let learnt = &self.live.vary[self.rule().index];
        let (vary, grew) = learnt
            .learn(self.asked.place(), &names)
            .map_err(|_| Detail::VaryStar)?;
        self.vary = vary;
        if grew && matches!(self.snapshot, Snapshot::Known(_)) {
            let marker = self.asked.vary_marker();
            // Losing it costs other sidecars one miss.
            let store = &self.live.ground.store;
            let _ = Box::pin(store.put_marker(&marker, self.vary.to_marker())).await;
        }
        Ok(())
    }

    pub(super) fn keep_rules(&self, status: StatusCode) -> KeepRules<'_> {
        let rule = self.rule();
        KeepRules {
            ttl: rule.ttl_of(status.as_u16()),
            statuses: rule.statuses.as_deref(),
            shared: self.asked.is_shared(),
            stale_while_revalidate: rule.stale_while_revalidate,
            stale_if_error: rule.stale_if_error,
            targets: &self.live.table.proxy.cache_control_targets,
            ignore_origin_cache_control: rule.ignore_origin_cache_control,
            max_entry: self.live.table.store.max_entry,
            accept_encoding_keyed: self.vary.names.contains(&header::ACCEPT_ENCODING),
        }
    }
}

/// The answer that the origin says still holds, with what it says anew of it. A date that it does not
/// say anew is that of its coming: the answer is as young as the word that it holds.
fn still_holding(heard: Heard) -> Heard {
    let Some(entry) = &heard.validated else {
        return heard;
    };
    let said = headers::dated(heard.response.headers(), heard.times.arrived_ms);
    let mut response = Response::new(Body::full(entry.body.clone()));
    *response.status_mut() = entry.status;
    *response.headers_mut() = headers::updated(&entry.headers, &said);
    Heard { response, ..heard }
}

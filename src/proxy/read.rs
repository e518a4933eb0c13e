//! A request that may use its rule: answered from what is kept, or by a fill.

use super::part::completable;
use super::{Answer, Course, Exchange, behind};
use crate::asked::Asked;
use crate::audit;
use crate::claim::{self, Claimed};
use crate::entry::Entry;
use crate::fill::{Fill, Filled};
use crate::flights::{self, Arrival, Landing, Lead, Turn, Waiting};
use crate::freshness::{self, Served, Use};
use crate::look::{Aim, Found, Kept, Place, Reach, look};
use crate::outcome::{Detail, Outcome, Verdict, Why};
use crate::reply;
use crate::rules::table::{Coalesce, Rule, Ttl};
use crate::verify;
use std::sync::Arc;
use tokio::time;

/// How often a reader takes turns anew after the leader that he waited for died, or flew for another
/// variant, before he asks for himself.
const MAX_TURNS: usize = 4;

/// Statuses by which something before the origin says that it does not answer.
const GATEWAY_ERRORS: &[u16] = &[502, 503, 504];

/// The same and the origin's own: an origin that allows stale use in its stead means these (RFC 5861
/// §4).
const ERRORS: &[u16] = &[500, 502, 503, 504];

/// What waiting for another's fill came to.
enum Waited {
    Answered(Box<Answer>),
    AskYourself,
    Again,
}

/// How a reader would be served.
#[derive(Clone, Copy)]
struct Wish {
    /// With whom he shares a fetch.
    coalesce: Coalesce,
    /// When he came.
    arrival: Arrival,
    /// Until when he waits for others.
    patience: time::Instant,
}

impl Exchange {
    /// Answers from what is kept if that will do, else asks the origin, or waits for who does.
    pub(super) fn read(self, asked: Asked) -> Course {
        let arrival = self.live.fills.arrival();
        let aim = Aim::of(&self.live, &asked);
        match self.at_once(&asked, &aim) {
            Some(answer) => Course::answered(answer),
            None => Course::goes(self.ask_store(asked, aim, arrival)),
        }
    }

    /// What is kept in this process's memory, if it will do and need not be fetched anew.
    fn at_once(&self, asked: &Asked, aim: &Aim) -> Option<Answer> {
        let may_be_due = asked.rule.refresh_ahead > 0.0;
        let kept = aim.at_once(&self.live, asked).filter(|_| !may_be_due)?;
        let stale = &kept.entry.stale;
        let way = freshness::use_of(kept.served, stale, &asked.demand, asked.may_be_stale);
        (way == Use::Serve).then(|| self.hit(asked, &kept))
    }

    /// Only the first look is taken here: most that wait for no more than that end with it.
    async fn ask_store(self, asked: Asked, aim: Aim, arrival: Arrival) -> Answer {
        let found = aim.look(&self.live, &asked, None).await;
        match self.at_hand(&asked, &found) {
            Some(answer) => answer,
            None => Box::pin(self.obtain(Arc::new(asked), found, arrival)).await,
        }
    }

    /// What is kept, if it will do.
    fn at_hand(&self, asked: &Asked, found: &Found) -> Option<Answer> {
        if found.passes.is_some() {
            return None;
        }
        let whole = self.kept_answer(asked, found);
        whole.or_else(|| self.part_answer(asked, found))
    }

    /// Asks the origin, or waits for who does, until something is found that will do.
    async fn obtain(self, asked: Arc<Asked>, mut found: Found, arrival: Arrival) -> Answer {
        // No longer than the origin has time to answer, however many are waited for.
        let patience = time::Instant::now() + self.live.table.proxy.origin_timeout;
        for turn in 1..=MAX_TURNS {
            if let Some(detail) = found.passes {
                return self.bypass(asked.rule.clone(), detail).await;
            }
            found.kept = found.kept.filter(|kept| !kept.is_softened());
            if asked.demand.only_if_cached {
                return Answer::nothing_kept(asked.rule.clone());
            }
            if asked.wants_part {
                return Box::pin(self.fetch_part(&asked, found)).await;
            }
            let wish = Wish {
                coalesce: match turn == MAX_TURNS {
                    true => Coalesce::Off,
                    false => self.coalesce(&asked, &found),
                },
                arrival,
                patience,
            };
            match self.take_turn(&asked, found, wish).await {
                Waited::Answered(answer) => return *answer,
                Waited::AskYourself | Waited::Again => {}
            }
            found = look(&self.live, &asked, None).await;
            if let Some(answer) = self.at_hand(&asked, &found) {
                return answer;
            }
        }
        unreachable!("the last turn is taken alone")
    }

    /// What is kept, if it will do. It is fetched anew behind the client's back where it is stale, or
    /// will be soon.
    fn kept_answer(&self, asked: &Asked, found: &Found) -> Option<Answer> {
        let kept = found.kept.as_ref()?;
        let stale = &kept.entry.stale;
        let way = freshness::use_of(kept.served, stale, &asked.demand, asked.may_be_stale);
        if way == Use::Ask {
            return None;
        }
        if way == Use::ServeAndRefresh || self.is_due(&asked.rule, kept) {
            self.refresh(asked, &found.place, kept);
        }
        Some(self.hit(asked, kept))
    }

    async fn take_turn(&self, asked: &Arc<Asked>, found: Found, wish: Wish) -> Waited {
        let Found {
            mut place,
            kept,
            part,
            ..
        } = found;
        let taken = place.taken.take();
        let Wish {
            coalesce,
            arrival,
            patience,
        } = wish;
        let now = self.live.ground.clock.now_ms();
        let fills = &self.live.fills;
        let whose = fills.turn(&place.key.entry, &place.snapshot, coalesce, arrival, now);
        let mut fill = self.fill(asked, &place, kept.as_ref());
        fill.part = part.and_then(|part| completable(asked, part));
        let waited = match whose {
            Turn::Alone => {
                drop(taken); // others need not wait for what is nobody else's
                Waited::AskYourself
            }
            Turn::Wait(waiting) => {
                if let Some(taken) = taken {
                    fills.give(&place.key.entry, &place.snapshot, taken);
                }
                self.wait(asked, &kept, waiting, patience).await
            }
            Turn::Queue(waiting) => queue(waiting, patience).await,
            Turn::Lead(lead) => {
                let (what, who) = ((&*place.key, &place.snapshot), (&lead, taken));
                let claimed = claim::claim(&self.live, asked, what, who, patience);
                match Box::pin(claimed).await {
                    Claimed::Fetch(claim) => {
                        fill.claim = claim;
                        let answer = self.miss(fill, Some(lead), Outcome::Miss, kept).await;
                        return Waited::Answered(Box::new(answer));
                    }
                    Claimed::Landed(landing) => {
                        lead.land(landing.clone());
                        self.heed(asked, &kept, landing)
                    }
                    Claimed::Again => Waited::Again,
                }
            }
        };
        match waited {
            Waited::AskYourself => {
                let answer = self.miss(fill, None, Outcome::Miss, kept).await;
                Waited::Answered(Box::new(answer))
            }
            waited => waited,
        }
    }

    pub(super) fn fill(&self, asked: &Arc<Asked>, place: &Place, kept: Option<&Kept>) -> Fill {
        Fill {
            stands_in_for: kept.map_or(&[], |kept| stands_in_for(asked, kept)),
            on_behalf: self.client.on_behalf(),
            interim: self.client.interim(self.head.parts.version),
            ..behind::fill(&self.live, &self.head, asked, place, kept)
        }
    }

    /// Fetches anew what is kept, unless somebody does already or it was tried in vain a moment ago.
    fn refresh(&self, asked: &Asked, place: &Place, kept: &Kept) {
        let asked = &Arc::new(asked.clone());
        let now = self.live.ground.clock.now_ms();
        let fills = &self.live.fills;
        let whose = fills.turn(
            &place.key.entry,
            &place.snapshot,
            Coalesce::Local,
            fills.arrival(),
            now,
        );
        let Turn::Lead(lead) = whose else {
            return;
        };
        let fill = behind::fill(&self.live, &self.head, asked, place, Some(kept));
        let fetch = behind::fetch(fill, place.key.clone(), (lead, None));
        self.live.ground.tasks.spawn(fetch);
    }

    /// Whether this reader is the one who has a fresh answer fetched anew (`refresh_ahead`).
    fn is_due(&self, rule: &Rule, kept: &Kept) -> bool {
        if rule.refresh_ahead == 0.0 {
            return false;
        }
        let entry = &kept.entry;
        let now = self.live.ground.clock.now_ms();
        let left = entry.kept_at.saturating_add(entry.ttl).saturating_sub(now);
        let draw = getrandom::u32().unwrap_or(u32::MAX); // without randomness nobody is early
        let draw = (f64::from(draw) + 1.0) / (f64::from(u32::MAX) + 1.0);
        freshness::is_due(rule.refresh_ahead, entry.took, left, draw)
    }

    fn hit(&self, asked: &Asked, kept: &Kept) -> Answer {
        asked.remember_target();
        if self.live.verifies() {
            verify::consider(&self.live, asked, kept, self.head.forwarding());
        }
        let (verdict, age) = told(kept.served);
        Answer {
            response: reply::kept(&kept.entry, age, &self.head),
            verdict,
            rule: Some(asked.rule.clone()),
        }
    }

    pub(super) async fn miss(
        &self,
        fill: Fill,
        lead: Option<Lead>,
        outcome: Outcome,
        kept: Option<Kept>,
    ) -> Answer {
        let asked = fill.asked.clone();
        let rule = Some(asked.rule.clone());
        let unkept = match fill.reach {
            Reach::Nobody(detail) => Some(detail),
            Reach::Fleet | Reach::Process => None,
        };
        audit::consider(
            &fill.live,
            &asked,
            &self.head.parts.headers,
            &fill.forwarding,
            &fill.vary.names,
        );
        let forwarded = match fill.part {
            Some(_) => Why::Partial,
            None => why(kept.as_ref()),
        };
        match (fill.begin(lead).await, kept) {
            (
                Ok(Ok(Filled::Answered {
                    response,
                    not_kept,
                    stored,
                })),
                _,
            ) => {
                let response = match not_kept {
                    None => reply::conditional(response, &self.head),
                    Some(_) => response,
                };
                let verdict = Verdict {
                    detail: not_kept.or(unkept),
                    forwarded,
                    stored,
                    ..Verdict::plain(outcome)
                };
                Answer {
                    response,
                    verdict,
                    rule,
                }
            }
            (Ok(Ok(Filled::Revalidated(entry))), _) => {
                let response = reply::kept(&entry, entry.initial_age.into(), &self.head);
                let verdict = Verdict {
                    forwarded,
                    ..Verdict::because(Outcome::Revalidated, Detail::Revalidated)
                };
                Answer {
                    response,
                    verdict,
                    rule,
                }
            }
            (Ok(Ok(Filled::StoodIn)), Some(kept)) => self.hit(&asked, &kept),
            (Ok(Err(failure)), _) => Answer::failed(failure.detail(), rule, asked.trace()),
            (Ok(Ok(Filled::StoodIn)), None) | (Err(_), _) => {
                Answer::failed(Detail::OriginBroken, rule, asked.trace()) // it died
            }
        }
    }

    /// Waits for another request's fill.
    async fn wait(
        &self,
        asked: &Arc<Asked>,
        kept: &Option<Kept>,
        waiting: Waiting,
        patience: time::Instant,
    ) -> Waited {
        match time::timeout_at(patience, flights::landed(waiting)).await {
            Ok(landing) => self.heed(asked, kept, landing),
            Err(_) => Waited::AskYourself,
        }
    }

    fn heed(&self, asked: &Arc<Asked>, kept: &Option<Kept>, landing: Landing) -> Waited {
        let stands_in = kept
            .as_ref()
            .filter(|kept| !stands_in_for(asked, kept).is_empty());
        match (landing, stands_in) {
            (Landing::Kept(entry), _) => self.collapsed(asked, &entry),
            (Landing::StoodIn | Landing::Failed(..), Some(kept)) => {
                Waited::Answered(Box::new(self.hit(asked, kept)))
            }
            (Landing::Failed(detail, trace), None) => {
                let rule = Some(asked.rule.clone());
                Waited::Answered(Box::new(Answer::failed(detail, rule, &trace)))
            }
            (Landing::NotKept | Landing::StoodIn, _) => Waited::AskYourself,
            (Landing::Lost, _) => Waited::Again,
        }
    }

    /// Hands out another's answer, if it turned out to be for this request's variant too.
    fn collapsed(&self, asked: &Arc<Asked>, entry: &Entry) -> Waited {
        let rule = &asked.rule;
        let vary = self.live.vary[rule.index].known(asked.place());
        let key = asked.key(&vary.names);
        if key.binding != entry.binding {
            return Waited::Again;
        }
        self.live.counts(Some(rule)).collapsed();
        let response = reply::kept(entry, entry.initial_age.into(), &self.head);
        let verdict = Verdict::plain(Outcome::Collapsed);
        Waited::Answered(Box::new(Answer {
            response,
            verdict,
            rule: Some(rule.clone()),
        }))
    }

    /// Who shares the fetch. A request that is not content with something fresh wants an answer made for
    /// it, and one on conditions of its own gets one that is of use to nobody else.
    fn coalesce(&self, asked: &Asked, found: &Found) -> Coalesce {
        let is_choosy = found.kept.as_ref().and_then(Kept::fresh).is_some()
            || !asked.demand.is_content()
            || asked.demand.no_store;
        if is_choosy || asked.is_conditional() {
            return Coalesce::Off;
        }
        match asked.rule.coalesce {
            Coalesce::Fleet if !self.live.claims(&asked.rule) => Coalesce::Local,
            coalesce => coalesce,
        }
    }
}

/// How what is served is told, and its age.
pub(super) fn told(served: Served) -> (Verdict, u64) {
    match served {
        Served::Stale { by_ms, age_s } | Served::Softened { by_ms, age_s } => {
            let stale_s = i64::try_from(by_ms / 1000).unwrap_or(i64::MAX);
            let verdict = Verdict::because(Outcome::Stale, Detail::Stale);
            let ttl = Some(-stale_s);
            (Verdict { ttl, ..verdict }, age_s)
        }
        Served::Fresh { ttl_left_s, age_s } => {
            let ttl = Some(ttl_left_s);
            let verdict = Verdict::plain(Outcome::Hit);
            (Verdict { ttl, ..verdict }, age_s)
        }
        Served::Gone(_) => unreachable!("what is gone was not found: see `Kept::served`"),
    }
}

/// Waits for a flight whose answer is not for this request.
async fn queue(waiting: Waiting, patience: time::Instant) -> Waited {
    match time::timeout_at(patience, flights::landed(waiting)).await {
        Ok(_) => Waited::Again,
        Err(_) => Waited::AskYourself,
    }
}

/// Why the origin is asked.
fn why(kept: Option<&Kept>) -> Why {
    match kept.map(|kept| kept.served) {
        None | Some(Served::Softened { .. } | Served::Gone(_)) => Why::Miss,
        Some(Served::Stale { .. }) => Why::Stale,
        Some(Served::Fresh { .. }) => Why::Request,
    }
}

/// The statuses for which what is kept may stand in; none where it may not, also not for no answer.
fn stands_in_for(asked: &Asked, kept: &Kept) -> &'static [u16] {
    let may = freshness::may_stand_in(
        kept.served,
        &kept.entry.stale,
        &asked.demand,
        asked.may_be_stale,
    );
    let by_origin = asked.rule.ttl == Ttl::Origin && asked.rule.stale_if_error.is_none();
    match (may, by_origin) {
        (false, _) => &[],
        (true, true) => ERRORS,
        (true, false) => GATEWAY_ERRORS,
    }
}

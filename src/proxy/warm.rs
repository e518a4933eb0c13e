//! What a write's sets have asked for once what they drop is dropped: fetched as for a reader, by whom nothing is known
//! but how the writer came, and kept as for him.
//!
//! All that holds of fills holds of these: versions are looked up after the drop, one sidecar fetches for the fleet, and
//! a write that comes in between kills what is fetched. Nobody waits for it, and where it does not come to be, the next
//! reader fetches.

use super::behind;
use crate::asked::Asked;
use crate::budget::Level;
use crate::flights::{Landing, Turn};
use crate::head::Head;
use crate::live::Live;
use crate::look::{Aim, Kept, Reach};
use crate::rules::table::{Coalesce, Rule, Set, Stage};
use crate::trace::{Span, Trace, Work};
use crate::warming::{Charge, PAUSE, Then, Warm, Warmed};
use hyper::Method;
use hyper::header::HeaderValue;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Asks for what a write with this head warms.
pub(super) fn after(live: &Arc<Live>, head: &Arc<Head>) -> Then {
    let (live, head) = (live.clone(), head.clone());
    Box::new(move |all| {
        for warm in all {
            // Not among the tasks that the end of this process waits for: nobody misses it. A fetch that has begun is
            // waited for as every fill is: it may be another sidecar's readers who wait for it.
            tokio::spawn(told(live.clone(), head.clone(), warm));
        }
    })
}

async fn told(live: Arc<Live>, writer: Arc<Head>, warm: Warm) {
    let span = live.ground.tracer.part(Some(writer.trace()), Work::Warm);
    let trace = span.trace().unwrap_or(*writer.trace());
    let mut tell = Tell {
        live: live.clone(),
        set: warm.set,
        trace,
        span: Some(span),
    };
    let Some(target) = warm.target else {
        return tell.result(None, Warmed::Unresolved);
    };
    let host = live.table.proxy.hosts.iter().flatten().next();
    let host = host.and_then(|host| HeaderValue::from_str(host).ok());
    let reader = Arc::new(writer.reading(target, host, trace));
    match Reading::of(&live, reader) {
        Some(reading) => reading.take(tell).await,
        None => tell.result(None, Warmed::Unfit),
    }
}

/// Tells what becomes of it.
struct Tell {
    live: Arc<Live>,
    set: Arc<Set>,
    trace: Trace,
    /// Until it was asked for once. What comes after that is other writes'.
    span: Option<Span>,
}

impl Tell {
    fn result(&mut self, rule: Option<&Rule>, result: Warmed) {
        let (set, word) = (&self.set.name, result.word());
        let rule = rule.map(|rule| &rule.name);
        self.live.ground.metrics.warmed(set, word);
        tracing::debug!(trace_id = %self.trace, set, rule, result = word, "asked for after a write");
        if let Some(mut span) = self.span.take() {
            span.note(|facts| {
                facts.rule = rule.cloned();
                facts.outcome = Some(word);
                facts.is_failure = result == Warmed::Failed;
            });
        }
    }
}

/// A request that a public rule may answer everybody.
struct Reading {
    live: Arc<Live>,
    head: Arc<Head>,
    asked: Arc<Asked>,
}

impl Reading {
    fn of(live: &Arc<Live>, head: Arc<Head>) -> Option<Reading> {
        let matched = live.table.read(&Method::GET, head.parts.uri.path())?;
        let serves_all = matched.what.public && matched.what.stage == Stage::On;
        let asked = serves_all.then(|| Asked::of(live, &matched, &head, None))?;
        Some(Reading {
            live: live.clone(),
            asked: Arc::new(asked.ok()?),
            head,
        })
    }

    /// Takes charge of it, and asks when its turn comes; again as long as writes have it asked for again.
    async fn take(&self, mut tell: Tell) {
        let rule = Some(&*self.asked.rule);
        let aim = Aim::of(&self.live, &self.asked);
        let (key, warming) = (aim.key(), &self.live.ground.warming);
        let mut charge = match warming.take(&key.entry, key.binding) {
            Ok(charge) => Some(charge),
            Err(otherwise) => return tell.result(rule, otherwise),
        };
        while let Some(taken) = charge {
            tell.result(rule, self.ask(&taken).await);
            sleep(PAUSE).await; // without a turn: others have theirs meanwhile
            charge = taken.again();
        }
    }

    async fn ask(&self, charge: &Charge) -> Warmed {
        let Some(_turn) = charge.turn().await else {
            return Warmed::Spared;
        };
        let ground = &self.live.ground;
        let is_troubled = ground.witness.pace().is_troubled(ground.clock.now_ms());
        if is_troubled || ground.budget.level() > Level::Within {
            return Warmed::Spared;
        }
        let begun = Instant::now();
        let result = self.fetch().await;
        if let Warmed::Kept | Warmed::NotKept = result {
            let counted = self.live.counts(Some(&self.asked.rule)).sum();
            let usual = counted.origin.quantile(0.5).unwrap_or_default();
            let usual = Duration::from_secs_f64(usual);
            let now = ground.clock.now_ms();
            ground.witness.pace().took(begun.elapsed(), usual, now);
        }
        result
    }

    /// Fetches it, unless it is kept, or somebody does already or did in vain a moment ago.
    async fn fetch(&self) -> Warmed {
        let (live, asked) = (&self.live, &self.asked);
        let mut found = Aim::of(live, asked).look(live, asked, None).await;
        let place = &mut found.place;
        if found.passes.is_some() || place.reach != Reach::Fleet {
            return Warmed::Spared;
        }
        let kept = found.kept.as_ref();
        if kept.and_then(Kept::fresh).is_some() {
            return Warmed::Fresh;
        }
        let (fills, now) = (&live.fills, live.ground.clock.now_ms());
        let (key, coming) = (place.key.clone(), fills.arrival());
        let taken = place.taken.take();
        let turn = fills.turn(&key.entry, &place.snapshot, Coalesce::Local, coming, now);
        let lead = match turn {
            Turn::Lead(lead) => lead,
            Turn::Wait(_) | Turn::Queue(_) => {
                if let Some(taken) = taken {
                    fills.give(&key.entry, &place.snapshot, taken);
                }
                return Warmed::Fresh;
            }
            Turn::Alone => return Warmed::Spared,
        };
        let fill = behind::fill(live, &self.head, asked, place, kept);
        match behind::fetch(fill, key, (lead, taken)).await {
            Landing::Kept(_) => Warmed::Kept,
            Landing::NotKept | Landing::Lost => Warmed::NotKept,
            Landing::StoodIn | Landing::Failed(..) => Warmed::Failed,
        }
    }
}

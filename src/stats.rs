//! What a process and its fleet did: by rule, over the last hour, and what happened lately.
//!
//! Nothing of it is worked out for a request. Every [`STEP`] the counters are read and held against what
//! they were before, so a request costs what its counters cost; and each process tells the fleet of its own
//! in one command, if there is any news or was none for minutes.

mod day; // commands of a day
mod fleet; // what processes tell each other
mod lately; // what happened
mod pause; // how long one does without what was refused
mod series; // the last hour
mod shown; // as JSON

use crate::budget;
use crate::clock::Clock;
use crate::metrics::{Metrics, Tally};
use crate::rules::table::Table;
use crate::store::{Store, StoreMemory, Unsaid};
use day::Day;
use fleet::{Fleet, News, Own, Teller};
use lately::Lately;
use pause::Pause;
use serde_json::{Value as Json, json};
use series::Series;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How often the counters are read, and the fleet is told.
pub const STEP: Duration = Duration::from_secs(10);

/// For how long what the store says of its own memory is believed.
const MEMORY_LIFE: Duration = Duration::from_secs(60);

/// For how long a store that does not say is not asked again: some do not know how, some may not.
const REFUSED_LIFE: Duration = Duration::from_secs(10 * 60);

/// For how long a store that did not answer is not asked again.
const DOWN_LIFE: Duration = Duration::from_secs(5);

/// By rule, what was counted.
type Tallies = BTreeMap<String, Tally>;

/// What is remembered of a process. Clones are the same.
#[derive(Clone)]
pub struct Stats {
    since_ms: u64,
    clock: Clock,
    kept: Arc<Mutex<Kept>>,
    /// Held by who tells the fleet: two at once would tell it twice.
    teller: Arc<tokio::sync::Mutex<Teller>>,
    /// Held by who asks the store, so that many who want to know at once ask once.
    asking: Arc<tokio::sync::Mutex<()>>,
}

/// What statistics are told of.
pub struct Facts<'l> {
    /// What was counted.
    pub metrics: &'l Metrics,
    /// The store.
    pub store: &'l Store,
    /// The rules in force.
    pub table: &'l Table,
    /// By rule: when something of it was dropped last, in milliseconds of Unix time.
    pub dropped_at: Vec<Option<u64>>,
    /// By rule: whether it passes everything.
    pub is_held: Vec<bool>,
    /// What somebody should look at now.
    pub alerts: Json,
    /// How the budget stands; `null` without one.
    pub budget: Json,
}

#[derive(Default)]
struct Kept {
    series: Series,
    lately: Lately,
    day: Day,
    /// Believed until then, as the next one.
    memory: Option<(Instant, StoreMemory)>,
    /// So that a page that asks every second costs one command each [`STEP`]; what is this process's is added
    /// to it anew each time.
    fleet: Option<(Instant, (Fleet, Own))>,
    /// Kept after the fleet could not be heard.
    deaf: Pause,
}

impl Stats {
    /// Of a process that begins now.
    pub fn new(clock: &Clock) -> Stats {
        Stats {
            since_ms: clock.now_ms(),
            clock: clock.clone(),
            kept: Arc::default(),
            teller: Arc::default(),
            asking: Arc::default(),
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the counters, and tells the fleet what this process did, if there is news or it was silent for
    /// minutes: one command, and every hour two more, which tidy up what processes left that are no more.
    pub async fn note_and_tell(&self, metrics: &Metrics, store: &Store, table: &Table) {
        self.note(metrics, store, table, false).await;
    }

    /// Does it for the last time: the fleet is told that this process ends.
    pub async fn note_and_end(&self, metrics: &Metrics, store: &Store, table: &Table) {
        self.note(metrics, store, table, true).await;
    }

    async fn note(&self, metrics: &Metrics, store: &Store, table: &Table, is_last: bool) {
        let now = self.clock.now_ms();
        let tallies: Tallies = metrics.tallies().into_iter().collect();
        let day = {
            let mut kept = self.kept();
            kept.series.sample(now, &tallies);
            kept.lately.sample(now, &tallies, metrics, table);
            kept.day.sample(now, self.since_ms, metrics.commands());
            kept.day
        };
        if store.is_shared() && store.up() {
            let news = News {
                tallies: &tallies,
                day,
                now,
                is_last,
                every: pace(table),
            };
            let mut teller = self.teller.lock().await;
            teller.tell(store, &table.namespace, &news).await;
        }
    }

    /// Somebody dropped by hand what these patterns name.
    pub fn purged(&self, patterns: &[String]) {
        let at = self.clock.now_ms();
        self.kept().lately.purged(at, patterns);
    }

    /// What the store says of its memory, asked unless it was a moment ago; nothing where it does not say.
    pub async fn ask_memory(&self, store: &Store) -> StoreMemory {
        if !store.is_shared() || !store.up() {
            return StoreMemory::default();
        }
        let _alone = self.asking.lock().await;
        if let Some((until, memory)) = self.kept().memory
            && Instant::now() < until
        {
            return memory;
        }
        let said = store.memory().await;
        let memory = said.unwrap_or_default();
        self.kept().memory = Some((Instant::now() + life(said), memory));
        memory
    }

    /// What the rest of the fleet told, as it was a moment ago, and which part of this process is not in that;
    /// nothing where it cannot be heard.
    async fn fleet(&self, store: &Store, table: &Table) -> Option<(Fleet, Own)> {
        let (namespace, every) = (&table.namespace, pace(table));
        let now = self.clock.now_ms();
        let _alone = self.asking.lock().await;
        if let Some((until, fleet)) = &self.kept().fleet
            && Instant::now() < *until
        {
            return Some(fleet.clone());
        }
        if !store.is_shared() || !store.up() || self.kept().deaf.holds(now) {
            return None;
        }
        // Held meanwhile, so that this process tells nothing that is read here as another's.
        let mut teller = self.teller.lock().await;
        let own = teller.own(now);
        let heard = fleet::heard(store, namespace, &own, (now, every)).await;
        self.kept().deaf.note(now, heard.is_ok());
        let (fleet, is_there) = heard.ok()?;
        teller.saw_own(is_there, now);
        let heard = (fleet, teller.own(now));
        self.kept().fleet = Some((Instant::now() + every, heard.clone()));
        Some(heard)
    }

    /// All of it, as `GET /api/stats` answers: of this process, and of the fleet as far as it can be
    /// heard. At most two commands, and those seldom; where a fleet has much to tell, some more.
    pub async fn told(&self, facts: &Facts<'_>) -> Json {
        let Facts {
            metrics,
            store,
            table,
            ..
        } = *facts;
        let memory = self.ask_memory(store).await;
        let tallies: Tallies = metrics.tallies().into_iter().collect();
        let heard = self.fleet(store, table).await;
        let now = self.clock.now_ms();
        let kept = self.kept();
        let is_alone = heard.is_none();
        let (others, own) = heard.unwrap_or_default();
        let fleet = others.with(&own, &tallies, (kept.day, now));
        json!({
            "at": now,
            "version": env!("CARGO_PKG_VERSION"),
            "process": {
                "since": self.since_ms,
                "rules": shown::rules(&tallies, facts, &kept.series),
                "unruled": shown::unruled(&tallies),
                "total": shown::total(&tallies, &Tally::default()),
                "store": shown::store((store, metrics), memory, (kept.day, now), &facts.budget),
                "series": kept.series.shown(),
                "writes": kept.lately.writes(),
                "errors": kept.lately.errors(),
                "limits": shown::limits(metrics),
                "alerts": facts.alerts,
            },
            "fleet": fleet.shown(store.is_shared() && is_alone),
        })
    }
}

/// How often the fleet is told, and heard: where commands are scarce, more rarely.
fn pace(table: &Table) -> Duration {
    budget::pace(table.store.budget, STEP)
}

/// For how long it is believed what a store says of its memory, or why it does not.
fn life(said: Result<StoreMemory, Unsaid>) -> Duration {
    match said {
        Ok(_) => MEMORY_LIFE,
        Err(Unsaid::Refused) => REFUSED_LIFE,
        Err(Unsaid::Down) => DOWN_LIFE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_that_did_not_answer_is_asked_again_soon_and_one_that_refused_is_not() {
        assert!(life(Err(Unsaid::Down)) <= STEP);
        assert!(life(Err(Unsaid::Refused)) > life(Ok(StoreMemory::default())));
    }
}

//! What a process and its fleet did: by rule, over the last hour, and what happened lately.
//!
//! Nothing of it is worked out for a request. Every [`STEP`] the counters are read and held against what
//! they were before, so a request costs what its counters cost; and each process tells the fleet of its own
//! in one command, if there is any news.

mod day; // commands of a day
mod fleet; // what processes tell each other
mod lately; // what happened
mod series; // the last hour
mod shown; // as JSON

use crate::clock::Clock;
use crate::metrics::{Metrics, Tally};
use crate::rules::table::Table;
use crate::store::{Down, Store, StoreMemory};
use day::Day;
use fleet::{Fleet, Teller};
use lately::Lately;
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
}

#[derive(Default)]
struct Kept {
    series: Series,
    lately: Lately,
    day: Day,
    /// Believed until then, as the next one.
    memory: Option<(Instant, StoreMemory)>,
    /// So that a page that asks every second costs one command each [`STEP`].
    fleet: Option<(Instant, Option<Fleet>)>,
    /// What this process counted when it last told the fleet.
    told: Tallies,
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

    /// Reads the counters, and tells the fleet what this process did, if there is news: one command, and every
    /// hour one or two more, which tidy up what processes left that are no more.
    pub async fn note_and_tell(&self, metrics: &Metrics, store: &Store, table: &Table) {
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
            let mut teller = self.teller.lock().await;
            teller
                .tell(store, &table.namespace, &tallies, (now, day))
                .await;
            let mut kept = self.kept();
            kept.told = teller.told().clone();
            kept.fleet = None; // heard before that was told
        }
    }

    /// What the store says of its memory, asked unless it was a moment ago; nothing where it does not say.
    pub async fn ask_memory(&self, store: &Store) -> StoreMemory {
        if !store.is_shared() {
            return StoreMemory::default();
        }
        let _alone = self.asking.lock().await;
        if let Some((until, memory)) = self.kept().memory
            && Instant::now() < until
        {
            return memory;
        }
        let (life, memory) = match store.memory().await {
            Ok(memory) => (MEMORY_LIFE, memory),
            Err(Down) => (REFUSED_LIFE, StoreMemory::default()),
        };
        self.kept().memory = Some((Instant::now() + life, memory));
        memory
    }

    /// What the fleet told, as it was a moment ago; nothing where it cannot be heard.
    async fn fleet(&self, store: &Store, namespace: &str) -> Option<Fleet> {
        let _alone = self.asking.lock().await;
        if let Some((until, fleet)) = &self.kept().fleet
            && Instant::now() < *until
        {
            return fleet.clone();
        }
        let fleet = fleet::heard(store, namespace, self.clock.now_ms())
            .await
            .ok();
        self.kept().fleet = Some((Instant::now() + STEP, fleet.clone()));
        fleet
    }

    /// All of it, as `GET /api/stats` answers: of this process, and of the fleet as far as it can be
    /// heard. At most two commands, and those seldom.
    pub async fn told(&self, facts: &Facts<'_>) -> Json {
        let Facts {
            metrics,
            store,
            table,
            ..
        } = *facts;
        let memory = self.ask_memory(store).await;
        let tallies: Tallies = metrics.tallies().into_iter().collect();
        let heard = match store.is_shared() {
            true => self.fleet(store, &table.namespace).await,
            false => None,
        };
        let now = self.clock.now_ms();
        let kept = self.kept();
        let own = Fleet::of_one(&tallies, kept.day, now);
        let is_alone = heard.is_none();
        let fleet = heard.map_or(own, |fleet| fleet.with(&tallies, &kept.told));
        json!({
            "at": now,
            "version": env!("CARGO_PKG_VERSION"),
            "process": {
                "since": self.since_ms,
                "rules": shown::rules(&tallies, facts, &kept.series),
                "unruled": shown::unruled(&tallies),
                "total": shown::total(&tallies),
                "store": shown::store((store, metrics), memory, (kept.day, now)),
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

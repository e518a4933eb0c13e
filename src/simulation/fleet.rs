//! The sidecars: the real ones, on simulated ground.

use super::checker::Checker;
use super::dice::Dice;
use super::history::History;
use super::origin::Origin;
use super::redis::{Redis, Way};
use super::report::Report;
use super::{RULES, SIDECARS};
use crate::alerts::Alerts;
use crate::budget::Budget;
use crate::clock::simulated;
use crate::jwks::Issuers;
use crate::key;
use crate::live::{self, Ground, Live};
use crate::metrics::Metrics;
use crate::origin;
use crate::passing::Passing;
use crate::quarantine::Quarantine;
use crate::rules::check;
use crate::rules::table::Table;
use crate::stats::Stats;
use crate::store::{Opening, Store};
use crate::trace::Tracer;
use crate::warming::Warming;
use crate::witness::Witness;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long nodes live; longer than any entry.
const NODE_TTL: Duration = Duration::from_secs(25 * 60 * 60);

/// One process.
pub struct Sidecar {
    /// Counts all of them; a place that is taken anew has another.
    pub number: usize,
    pub live: Arc<Live>,
    /// Cancelled when it is killed.
    pub death: CancellationToken,
}

/// All that is simulated.
pub struct Fleet {
    pub seed: u64,
    pub history: Arc<History>,
    pub checker: Arc<Checker>,
    pub redis: Arc<Redis>,
    pub origin: Arc<Origin>,
    /// The clocks of the machines.
    pub clocks: Vec<simulated::Clock>,
    pub report: Mutex<Report>,
    /// Of sidecars that are started from now on.
    pub rules: String,
    places: Vec<Mutex<Option<Arc<Sidecar>>>>,
    started: AtomicUsize,
    /// Everybody ends what he began.
    pub quiet: AtomicBool,
}

fn table(rules: &str) -> Table {
    let checked = check::compile(rules.as_bytes(), &|_| None, Path::new("."));
    let shown = checked.render("rules", rules.as_bytes(), false);
    checked.table.expect(&shown)
}

impl Fleet {
    pub fn new(
        seed: u64,
        history: Arc<History>,
        checker: Arc<Checker>,
        redis: Arc<Redis>,
        origin: Arc<Origin>,
    ) -> Fleet {
        Fleet {
            seed,
            history,
            checker,
            redis,
            origin,
            clocks: (0..SIDECARS).map(|_| simulated::Clock::right()).collect(),
            report: Mutex::default(),
            rules: RULES.to_owned(),
            places: (0..SIDECARS).map(|_| Mutex::new(None)).collect(),
            started: AtomicUsize::new(0),
            quiet: AtomicBool::new(false),
        }
    }

    /// The sidecar at a place, if one runs there.
    pub fn at(&self, place: usize) -> Option<Arc<Sidecar>> {
        self.places[place].lock().expect("not poisoned").clone()
    }

    /// How many of those that run have kept something after a write without a reader.
    pub fn warmed(&self) -> u64 {
        let kept = "sidecache_warms_total{set=\"raised\",result=\"kept\"}";
        let has = |place: &usize| {
            let sidecar = self.at(*place);
            sidecar.is_some_and(|one| one.live.ground.metrics.encode().contains(kept))
        };
        (0..SIDECARS).filter(has).count() as u64
    }

    /// Starts one where none is.
    pub async fn start(&self, place: usize) {
        let number = self.started.fetch_add(1, SeqCst);
        let death = CancellationToken::new();
        let table = table(&self.rules);
        let dice = Dice::new(self.seed, 1000 + number as u64);
        let way = Way::new(self.redis.clone(), number, death.clone(), dice);
        let metrics = Arc::new(Metrics::new());
        let store = Store::simulated(
            Arc::new(way),
            Opening {
                settings: &table.store,
                local: &table.local,
                node_ttl: NODE_TTL,
                namespace: &table.namespace,
                root: live::root_of(&table),
                channel: key::drops_channel(&table.namespace),
                clock: self.clocks[place].clone().into(),
                metrics: metrics.clone(),
            },
        );
        let store = store.expect("no journal that could be locked");
        store.listen(table.answers_from_memory());
        let ground = Ground {
            store,
            alerts: Alerts::new(&metrics),
            metrics,
            clock: self.clocks[place].clone().into(),
            tasks: TaskTracker::new(),
            quarantine: Quarantine::default(),
            budget: Budget::default(),
            issuers: Issuers::default(),
            stats: Stats::new(&self.clocks[place].clone().into()),
            tracer: Tracer::default(),
            failures: Arc::default(),
            witness: Witness::default(),
            passing: Passing::default(),
            warming: Warming::default(),
        };
        let mut live = Live::new(table, ground).expect("nothing to set up");
        live.origin = self.way_to_the_origin(&live.table, &death);
        live.ground.store.connected().await;
        self.history
            .tell(format!("sidecar {number} starts at {place}"));
        let sidecar = Sidecar {
            number,
            live: Arc::new(live),
            death,
        };
        *self.places[place].lock().expect("not poisoned") = Some(Arc::new(sidecar));
    }

    fn way_to_the_origin(&self, table: &Table, death: &CancellationToken) -> origin::Origin {
        let (origin, death) = (self.origin.clone(), death.clone());
        let ask = move |request| -> origin::SimulatedAnswer {
            Box::pin(origin.clone().ask(death.clone(), request))
        };
        origin::Origin::simulated(&table.proxy, Box::new(ask)).expect("no TLS to set up")
    }

    /// Kills the one at a place, as `kill -9` does. Nobody hears anything of it any more.
    pub fn kill(&self, place: usize) {
        let killed = self.places[place].lock().expect("not poisoned").take();
        if let Some(sidecar) = killed {
            sidecar.death.cancel();
        }
    }

    /// All that run.
    pub fn all(&self) -> impl Iterator<Item = Arc<Sidecar>> {
        (0..SIDECARS).filter_map(|place| self.at(place))
    }

    /// Notes which sidecars owe nothing.
    pub fn settle_accounts(&self) {
        for sidecar in self.all() {
            if sidecar.live.ground.store.owed() == 0 {
                self.checker.paid(sidecar.number);
            }
        }
    }

    pub fn is_quiet(&self) -> bool {
        self.quiet.load(SeqCst)
    }
}

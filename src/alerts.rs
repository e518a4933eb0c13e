//! When somebody should look: a rule that answers too little from what is kept, or too slowly; one that passes
//! everything; a store that is away, or that has not been told of writes.
//!
//! Nothing of it is worked out for a request. Every [`STEP`](crate::stats::STEP) the counters that there are
//! anyway are held against what they were a window ago. An alert is a line in the log, a metric, a line on the
//! dashboard, and a POST to the webhook, which nothing waits for.

mod alert; // what is told
mod board; // what is watched
mod hysteresis; // so that it does not come and go
mod post; // one attempt to tell
mod webhook; // what waits to be told
mod window; // what came within the window

pub use alert::{Alert, Kind, State};

use crate::metrics::{AlertMetrics, Metrics, Tally};
use crate::rules::settings::Webhook;
use crate::rules::table::{Stage, Table};
use crate::store::Store;
use board::{Board, Changes, Seen, SeenRule, SeenStore};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio_util::sync::CancellationToken;
use webhook::{Posted, Queue};
use window::Counted;

/// What is watched in a process. Clones are the same. It outlives a reload, and knows nothing of the process
/// before it.
#[derive(Clone)]
pub struct Alerts {
    board: Arc<Mutex<Board>>,
    queue: Arc<Queue>,
    metrics: AlertMetrics,
}

/// By what it is judged.
pub struct Facts<'l> {
    /// Milliseconds of Unix time.
    pub at: u64,
    /// What was counted.
    pub metrics: &'l Metrics,
    /// The store.
    pub store: &'l Store,
    /// The rules in force.
    pub table: &'l Table,
    /// By rule: whether it is in quarantine, if it can be.
    pub is_held: Vec<Option<bool>>,
}

impl Alerts {
    /// Of a process that begins now.
    pub fn new(metrics: &Metrics) -> Alerts {
        Alerts {
            board: Arc::default(),
            queue: Arc::default(),
            metrics: metrics.alerts().clone(),
        }
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Judges how things are, once each step, and tells what has changed.
    pub fn judge(&self, facts: &Facts<'_>) {
        let settings = facts.table.alerts.as_ref();
        let tallies: BTreeMap<String, Tally> = match settings {
            Some(_) => facts.metrics.tallies().into_iter().collect(),
            None => BTreeMap::new(), // nobody asks
        };
        let changes = {
            let mut board = self.board();
            let changes = board.step(&Seen {
                at: facts.at,
                settings,
                rules: rules(facts, &tallies),
                store: store(facts.store),
            });
            for (rule, kind, is_firing) in board.watched() {
                self.metrics.watched(rule, kind.word(), is_firing);
            }
            changes
        };
        let has_webhook = settings.is_some_and(|settings| settings.webhook.is_some());
        self.tell(changes, has_webhook);
    }

    fn tell(&self, changes: Changes, has_webhook: bool) {
        for (rule, kind) in changes.gone {
            self.metrics.unwatched(&rule, kind.word());
        }
        for alert in changes.alerts {
            alert.log();
            if has_webhook && !self.queue.push(alert) {
                self.metrics.told("dropped");
                tracing::error!("too many alerts wait for the webhook: it is not told of another");
            }
        }
    }

    /// What is firing now, each with its latest value and when it began.
    pub fn firing(&self) -> Vec<Alert> {
        self.board().firing()
    }

    /// Tells the webhook that `current` names at the time, one alert after the other, until `closing` is
    /// cancelled and what waits has been tried once more.
    pub async fn deliver(
        &self,
        current: impl Fn() -> Option<Webhook>,
        closing: &CancellationToken,
    ) {
        let post = |alert: Alert| {
            let webhook = current();
            async move {
                match webhook {
                    Some(webhook) => post::post(&webhook, &alert).await,
                    None => Posted::Refused("[alerts] has no webhook any more".to_owned()),
                }
            }
        };
        self.queue.deliver(post, &self.metrics, closing).await;
    }

    /// What the webhook has not been told by now it never is: the process ends.
    pub fn give_up(&self) {
        self.queue.give_up(&self.metrics);
    }
}

/// The rules that answer: those that are only observed or off serve nobody.
fn rules<'f>(facts: &'f Facts<'_>, tallies: &BTreeMap<String, Tally>) -> Vec<SeenRule<'f>> {
    let rules = facts.table.rules.iter();
    let answering = rules.filter(|rule| rule.stage == Stage::On);
    let seen = answering.map(|rule| SeenRule {
        name: &rule.name,
        counted: tallies.get(&rule.name).map(Counted::of).unwrap_or_default(),
        is_held: facts.is_held[rule.index],
    });
    seen.collect()
}

fn store(store: &Store) -> Option<SeenStore> {
    store.is_shared().then(|| SeenStore {
        is_up: store.up(),
        owed: store.owed(),
    })
}

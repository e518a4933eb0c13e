//! `GET /api/stats`: what this process and the fleet did.

use crate::body::Body;
use crate::live::Live;
use crate::reply;
use crate::stats::Facts;
use bytes::Bytes;
use hyper::Response;
use serde_json::{Value as Json, json};
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// A text as long as this, of some hundred rules, costs milliseconds to write: pages that ask at once share it.
const LONG: usize = 64 * 1024;

/// For how long it is shared; less than a page waits between two questions.
const LIFE: Duration = Duration::from_secs(1);

/// What was told last, where that was long, and until when it is told again.
#[derive(Default)]
pub(super) struct Told(Mutex<Option<(Instant, Bytes)>>);

impl Told {
    /// At most two commands, and those at most every few seconds, however often it is asked.
    pub(super) async fn answer(&self, live: &Live) -> Response<Body> {
        let mut kept = self.0.lock().await;
        if let Some((until, text)) = &*kept
            && Instant::now() < *until
        {
            return reply::json_text(text.clone());
        }
        let text = Bytes::from(document(live).await.to_string());
        let is_long = text.len() >= LONG;
        *kept = is_long.then(|| (Instant::now() + LIFE, text.clone()));
        reply::json_text(text)
    }

    /// Something was changed by hand: whoever did it wants to see it.
    pub(super) async fn forget(&self) {
        *self.0.lock().await = None;
    }
}

async fn document(live: &Live) -> Json {
    let counted = live.counted.iter();
    let facts = Facts {
        metrics: &live.ground.metrics,
        store: &live.ground.store,
        table: &live.table,
        dropped_at: counted.map(|rule| rule.dropped_at_ms()).collect(),
        is_held: live
            .table
            .rules
            .iter()
            .map(|rule| live.holds(rule))
            .collect(),
        alerts: json!(live.ground.alerts.firing()),
        budget: live.ground.budget.shown(live.table.store.budget),
    };
    let mut told = live.ground.stats.told(&facts).await;
    let process = &mut told["process"];
    process["rules_loaded"] = json!(live.since_ms);
    process["rules_refused"] = json!(live.refused_at_ms());
    told
}

//! `GET /api/stats`: what this process and the fleet did.

use crate::body::Body;
use crate::live::Live;
use crate::reply;
use crate::stats::Facts;
use hyper::{Response, StatusCode};
use serde_json::json;

/// At most two commands, and those at most every few seconds, however often it is asked.
pub(super) async fn told(live: &Live) -> Response<Body> {
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
    };
    reply::json(StatusCode::OK, &live.ground.stats.told(&facts).await)
}

//! What is done every few seconds with what was counted: noted, told to the fleet, and judged.

use crate::alerts::Facts;
use crate::budget;
use crate::key;
use crate::live::{Ground, Live};
use crate::stats;
use arc_swap::ArcSwap;
use std::sync::Arc;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

/// Does it as long as the process runs.
pub(super) async fn keep(live: Arc<ArcSwap<Live>>) {
    let mut steps = tokio::time::interval(stats::STEP);
    steps.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        steps.tick().await;
        step(&live.load_full()).await;
    }
}

/// Judges how far the store may be asked, as long as the process runs.
pub(super) async fn spend(live: Arc<ArcSwap<Live>>) {
    let mut steps = tokio::time::interval(budget::STEP);
    steps.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        steps.tick().await;
        let live = live.load_full();
        let Ground {
            budget,
            metrics,
            store,
            clock,
            ..
        } = &live.ground;
        let flags = budget.step(store, metrics, &live.table, clock).await;
        let namespace = &live.table.namespace;
        for rule in live.table.rules.iter().filter(|rule| live.is_audited(rule)) {
            let own = key::quarantine_flag(namespace, rule);
            if let Some((_, is_raised)) = flags.iter().find(|(flag, _)| *flag == own) {
                live.hear_of_quarantine(&rule.name, *is_raised);
            }
        }
    }
}

/// Does it once. What is to be told to people comes first: the store, which the fleet is told through, may
/// keep one waiting.
pub(super) async fn step(live: &Live) {
    judge(live);
    note_and_tell(live).await;
    let Ground {
        witness,
        store,
        clock,
        ..
    } = &live.ground;
    witness.step(store, &live.table, clock.now_ms()).await;
}

/// Notes what was counted, and tells the fleet of it.
async fn note_and_tell(live: &Live) {
    let Ground {
        stats,
        metrics,
        store,
        ..
    } = &live.ground;
    stats.note_and_tell(metrics, store, &live.table).await;
}

/// Does it for the last time.
pub(super) async fn end(live: &Live) {
    let Ground {
        stats,
        metrics,
        store,
        ..
    } = &live.ground;
    stats.note_and_end(metrics, store, &live.table).await;
    let Ground { budget, clock, .. } = &live.ground;
    budget.end(store, metrics, &live.table, clock).await;
}

fn judge(live: &Live) {
    let rules = live.table.rules.iter();
    let is_held = rules.map(|rule| live.is_audited(rule).then(|| live.holds(rule)));
    live.ground.alerts.judge(&Facts {
        at: live.ground.clock.now_ms(),
        metrics: &live.ground.metrics,
        store: &live.ground.store,
        table: &live.table,
        is_held: is_held.collect(),
    });
}

/// Tells the webhook, which a reload may change, until it closes.
pub(super) async fn tell_of_alerts(live: Arc<ArcSwap<Live>>, closing: CancellationToken) {
    let alerts = live.load().ground.alerts.clone();
    let current = || live.load().table.alerts.as_ref()?.webhook.clone();
    alerts.deliver(current, &closing).await;
}

//! What must hold once nothing goes wrong any more.

use super::actors::{Route, read_well};
use super::fleet::{Fleet, Sidecar};
use super::{LEASE, ORIGIN_TIMEOUT, REGISTERS, SIDECARS};
use std::time::Duration;
use tokio::time::sleep;

/// Within which every sidecar must have Redis again and owe nothing: the longest that it hangs, a
/// timeout of what was sent before, and two attempts of the warden.
const PATIENCE: Duration = Duration::from_secs(5);

/// Reads until the cache answers: a line that was lost silently is given up after three, another is
/// made, then one read keeps and the next one hits.
const READS_TO_HIT: usize = 6;
/// Longer than the warden's time between two attempts.
const WARDEN: Duration = Duration::from_millis(600);

/// How often that is looked at.
const EVERY: Duration = Duration::from_millis(50);

/// Waits until all is as before, and says what is not.
pub async fn recover(fleet: &Fleet) {
    let back = tokio::time::timeout(PATIENCE, async {
        while !fleet.all().all(|sidecar| is_back(&sidecar)) {
            sleep(EVERY).await;
        }
    });
    if back.await.is_err() {
        complain(
            fleet,
            "a sidecar has no Redis again, or owes something".into(),
        );
    }
    // Every lease has ended; so has every claim.
    sleep(LEASE + 2 * ORIGIN_TIMEOUT).await;
    for (key, ..) in fleet.redis.all() {
        if key.ends_with("!!") || key.ends_with("*!") {
            complain(fleet, format!("{key} still holds a lease"));
        }
    }
    // What Redis holds is seen through any of them; each shows that it is back.
    for register in 0..REGISTERS {
        for (turn, route) in Route::ALL.into_iter().enumerate() {
            if let Some(sidecar) = fleet.at((register + turn) % SIDECARS) {
                answers_from_the_cache(fleet, &sidecar, route, register).await;
            }
        }
    }
}

fn is_back(sidecar: &Sidecar) -> bool {
    let store = &sidecar.live.ground.store;
    store.up() && store.owed() == 0
}

/// What is read again is a hit. That it is new enough is seen as always.
async fn answers_from_the_cache(fleet: &Fleet, sidecar: &Sidecar, route: Route, register: usize) {
    for _ in 0..READS_TO_HIT {
        let read = read_well(fleet, sidecar, route, register).await;
        if read.is_some_and(|read| read.is_hit) {
            return;
        }
        sleep(WARDEN).await;
    }
    let number = sidecar.number;
    complain(fleet, format!("{route:?} is not kept by sidecar {number}"));
}

fn complain(fleet: &Fleet, wrong: String) {
    fleet.history.tell(wrong.clone());
    fleet.report.lock().expect("not poisoned").complain(wrong);
}

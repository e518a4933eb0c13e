//! What befalls Redis and the sidecars.

use super::SIDECARS;
use super::dice::Dice;
use super::fleet::{Fleet, Sidecar};
use super::history::{Fault, plain};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

/// So far a machine's clock may be set, in seconds, either way.
const JUMPS_S: [i64; 5] = [1, 10, 50, 3600, 100_000];

/// Until everything is to become quiet.
pub async fn torment(fleet: Arc<Fleet>, mut dice: Dice) {
    let likely = fleet.history.likely();
    while !fleet.is_quiet() {
        sleep(dice.ms(10, 200)).await;
        if fleet.is_quiet() || !dice.in_thousand(likely.process) {
            continue;
        }
        let fault = dice.one_of(&Fault::OF_PROCESSES);
        if fault == Fault::ClockSet && !likely.clocks {
            continue;
        }
        fleet.history.injected(fault);
        befall(&fleet, &mut dice, fault).await;
    }
}

async fn befall(fleet: &Fleet, dice: &mut Dice, fault: Fault) {
    let (redis, checker) = (&fleet.redis, &fleet.checker);
    match fault {
        Fault::Evicted => evict(fleet, dice),
        Fault::Flushed => {
            redis.at_keys(|keys| keys.flush());
            checker.leases_lost();
        }
        Fault::ScriptsFlushed => redis.at_keys(|keys| keys.forget_scripts()),
        Fault::Hung => redis.hang(dice.ms(20, 400)),
        Fault::Full => {
            redis.at_keys(|keys| keys.fill_up(true));
            sleep(dice.ms(50, 300)).await;
            redis.at_keys(|keys| keys.fill_up(false));
        }
        Fault::Killed => {
            redis.kill();
            checker.leases_lost();
            sleep(dice.ms(10, 300)).await;
            redis.start();
        }
        Fault::Restored => {
            redis.kill();
            checker.leases_lost();
            sleep(dice.ms(10, 300)).await;
            redis.restore(dice);
        }
        Fault::Crashed => {
            let place = victim(fleet, dice).await;
            fleet.kill(place);
            sleep(dice.ms(10, 300)).await;
            fleet.start(place).await;
        }
        _ => {
            let seconds = dice.one_of(&JUMPS_S) * dice.one_of(&[-1, 0, 1]);
            let clock = &fleet.clocks[dice.below(SIDECARS)];
            clock.set_ahead_ms(seconds * 1000);
        }
    }
}

/// Whom to kill: where a write is committed and nobody knows yet, if one is soon.
async fn victim(fleet: &Fleet, dice: &mut Dice) -> usize {
    for _ in 0..dice.one_of(&[0, 50]) {
        let is_busy = |sidecar: &Sidecar| fleet.checker.is_unacknowledged(sidecar.number);
        let busy = |place: &usize| fleet.at(*place).is_some_and(|sidecar| is_busy(&sidecar));
        if let Some(place) = (0..SIDECARS).find(busy) {
            return place;
        }
        sleep(Duration::from_millis(1)).await;
    }
    dice.below(SIDECARS)
}

fn evict(fleet: &Fleet, dice: &mut Dice) {
    let mut all = fleet.redis.all();
    // Claims have names that no seed decides, and end by themselves.
    all.retain(|(key, ..)| plain(key) == key);
    if all.is_empty() {
        return;
    }
    let (key, ..) = &all[dice.below(all.len())];
    fleet.history.tell(format!("{key} is evicted"));
    fleet.redis.at_keys(|keys| keys.evict(key));
    let is_lease = key.ends_with("!!") || key.ends_with("*!");
    if is_lease {
        fleet.checker.leases_lost();
    }
}

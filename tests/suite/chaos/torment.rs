//! What is done to Redis and to the sidecars, one thing after another, by the draw.

use super::dice::Dice;
use super::fleet::Fleet;
use super::history::Fault;
use super::rules::Edition;
use super::{SIDECARS, strikes};
use crate::process::Process;
use crate::redis::RedisServer;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;
use tokio::task::block_in_place;
use tokio::time::sleep;

/// What is done to Redis.
const TO_REDIS: [Fault; 7] = [
    Fault::RedisHung,
    Fault::RedisFlushed,
    Fault::RedisRestarted,
    Fault::NodesEvicted,
    Fault::ConnectionsDropped,
    Fault::ConnectionsDropped,
    Fault::SubscribersDropped,
];

/// What is done to sidecars and to the origin as a whole.
pub const TO_OTHERS: [Fault; 7] = [
    Fault::SidecarKilled,
    Fault::WriterKilled,
    Fault::WriterKilled,
    Fault::HolderKilled,
    Fault::SidecarPaused,
    Fault::RulesReplaced,
    Fault::OriginSlow,
];

/// Lua: deletes about half of the nodes, and of the entries too; never an intent.
const EVICT: &str = "\
local kept = 0
for _, key in ipairs(redis.call('KEYS', '*')) do
  local intents = string.sub(key, -2) == '*!' or string.sub(key, -2) == '!!'
  if not intents and math.random(2) == 1 then redis.call('UNLINK', key) end
end
return kept";

/// Torments Redis until it is to be quiet, and leaves it well.
pub async fn redis(fleet: &Fleet, redis: &mut RedisServer, mut dice: Dice) {
    let mut deck = Vec::new();
    while !fleet.is_quiet() {
        sleep(dice.ms(200, 1200)).await;
        let fault = dice.card(&mut deck, &TO_REDIS);
        let from = fleet.history.now();
        match fault {
            Fault::RedisHung => {
                redis.stop();
                sleep(dice.ms(20, 900)).await; // the hang itself
                redis.cont();
            }
            Fault::RedisFlushed => block_in_place(|| drop(redis.say("FLUSHALL"))),
            Fault::RedisRestarted => {
                redis.kill();
                sleep(dice.ms(0, 300)).await; // the absence itself
                block_in_place(|| redis.restart());
            }
            Fault::NodesEvicted => evict(redis),
            Fault::SubscribersDropped => {
                block_in_place(|| drop(redis.say("CLIENT KILL TYPE pubsub")));
            }
            _ => {
                let whom = dice.below(SIDECARS);
                fleet.links[whom].cut();
                sleep(dice.ms(1, 1500)).await; // how long it stays cut
                fleet.links[whom].mend();
                fleet.history.injected(fault, Some(whom), from);
                continue;
            }
        }
        fleet.history.injected(fault, None, from);
    }
}

fn evict(redis: &RedisServer) {
    let reply = block_in_place(|| redis.ask(&[b"EVAL", EVICT.as_bytes(), b"0"]));
    assert_eq!(reply, "0", "the eviction was carried out");
}

/// Torments sidecars and origin until they are to be quiet, with the faults that are given, and leaves
/// them well.
pub async fn others(
    fleet: &Arc<Fleet>,
    processes: &mut [Process],
    faults: &[Fault],
    mut dice: Dice,
) {
    let mut deck = Vec::new();
    while !fleet.is_quiet() {
        sleep(dice.ms(100, 600)).await;
        match dice.card(&mut deck, faults) {
            Fault::SidecarKilled => kill(fleet, processes, &mut dice).await,
            Fault::WriterKilled => strikes::writer(fleet, processes, &mut dice).await,
            Fault::HolderKilled => strikes::holder(fleet, processes, &mut dice).await,
            Fault::SidecarPaused => strikes::pause(fleet, processes, dice.another()).await,
            Fault::RulesReplaced => rollout(fleet, processes, &mut dice).await,
            _ => slow_down(fleet, &mut dice).await,
        }
    }
}

async fn kill(fleet: &Fleet, processes: &mut [Process], dice: &mut Dice) {
    let from = fleet.history.now();
    let whom = dice.below(processes.len());
    processes[whom].signal("-KILL");
    let edition = fleet.edition(whom);
    replace(fleet, &mut processes[whom], whom, edition, dice.ms(0, 400)).await;
    let fault = Fault::SidecarKilled;
    fleet.history.injected(fault, Some(whom), from);
}

/// Starts a sidecar in the place of one that is ending, after a while.
pub async fn replace(
    fleet: &Fleet,
    process: &mut Process,
    whom: usize,
    edition: Edition,
    absence: Duration,
) {
    process.ended().await;
    sleep(absence).await; // the absence itself
    *process = block_in_place(|| fleet.start(whom, edition));
    fleet.admit(whom, process, edition);
}

/// Gives one sidecar after another the other rules, as a deploy does.
async fn rollout(fleet: &Fleet, processes: &mut [Process], dice: &mut Dice) {
    let first = dice.below(SIDECARS);
    for whom in (first..first + SIDECARS).map(|whom| whom % SIDECARS) {
        let from = fleet.history.now();
        let (process, edition) = (&mut processes[whom], fleet.edition(whom).other());
        fleet.go_by(whom, None);
        let fault = match dice.once_in(2) {
            true => {
                process.reload(&fleet.file(whom, edition)).await;
                fleet.go_by(whom, Some(edition));
                Fault::RulesReloaded
            }
            false => {
                process.signal("-TERM");
                replace(fleet, process, whom, edition, dice.ms(0, 200)).await;
                Fault::RulesReplaced
            }
        };
        fleet.history.injected(fault, Some(whom), from);
        sleep(dice.ms(50, 500)).await; // the mixed fleet itself
    }
}

async fn slow_down(fleet: &Fleet, dice: &mut Dice) {
    let from = fleet.history.now();
    let slow = &fleet.origin.registers.slow;
    slow.store(dice.ms(50, 300).as_millis() as u64, SeqCst);
    sleep(dice.ms(300, 800)).await; // the slowness itself
    slow.store(0, SeqCst);
    fleet.history.injected(Fault::OriginSlow, None, from);
}

//! What is done to Redis and to the sidecars, one thing after another, by the draw.

use super::dice::Dice;
use super::history::Fault;
use super::{Doors, Fleet, SIDECARS};
use crate::process::Process;
use crate::redis::RedisServer;
use std::sync::atomic::Ordering::SeqCst;

use tokio::task::block_in_place;
use tokio::time::sleep;

/// What is done to Redis.
const TO_REDIS: [Fault; 6] = [
    Fault::RedisHung,
    Fault::RedisFlushed,
    Fault::RedisRestarted,
    Fault::NodesEvicted,
    Fault::ConnectionsDropped,
    Fault::ConnectionsDropped,
];

/// What is done to sidecars and to the origin as a whole.
const TO_OTHERS: [Fault; 3] = [
    Fault::SidecarKilled,
    Fault::SidecarKilled,
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
    while !fleet.quiet.load(SeqCst) {
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

/// Torments sidecars and origin until they are to be quiet, and leaves them well.
pub async fn others(fleet: &Fleet, processes: &mut [Process], mut dice: Dice) {
    let mut deck = Vec::new();
    while !fleet.quiet.load(SeqCst) {
        sleep(dice.ms(300, 1300)).await;
        let from = fleet.history.now();
        match dice.card(&mut deck, &TO_OTHERS) {
            Fault::SidecarKilled => {
                let whom = dice.below(processes.len());
                processes[whom].signal("-KILL");
                processes[whom].ended().await;
                sleep(dice.ms(0, 400)).await; // the absence itself
                processes[whom] = block_in_place(|| fleet.start(whom));
                fleet.admit(whom, &processes[whom]);
                fleet
                    .history
                    .injected(Fault::SidecarKilled, Some(whom), from);
            }
            fault => {
                let slow = &fleet.origin.registers.slow;
                slow.store(dice.ms(50, 300).as_millis() as u64, SeqCst);
                sleep(dice.ms(300, 800)).await; // the slowness itself
                slow.store(0, SeqCst);
                fleet.history.injected(fault, None, from);
            }
        }
    }
}

impl Fleet {
    /// Starts a sidecar at its place; one that was killed finds its journal there.
    pub fn start(&self, whom: usize) -> Process {
        let journal = self.home.path().join(format!("owed-{whom}"));
        let store = format!("redis://{}", self.links[whom].address);
        let origin = self.origin.address;
        Process::start(&super::rules(origin, &store, &journal, self.sets))
    }

    /// Sends clients to it.
    pub fn admit(&self, whom: usize, process: &Process) {
        let mut doors = self.doors[whom].lock().expect("not poisoned");
        let incarnation = doors.as_ref().map_or(0, |doors| doors.incarnation + 1);
        *doors = Some(Doors {
            incarnation,
            proxy: process.proxy(),
            admin: process.door(),
        });
    }
}

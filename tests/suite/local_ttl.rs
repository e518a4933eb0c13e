//! Rules with a `local_ttl`: hits that ask Redis nothing, and how soon they hear of a write.

mod heard; // what other sidecars deleted
mod lost; // the subscription ends, a message is lost, Redis goes away
pub mod muffler; // a way to Redis on which messages get lost
mod quiet; // hits without a command

use crate::redis::RedisServer;
use crate::world::{self, Got, Origin, REGISTER_RULES, Sidecar, eventually};

/// Longer than any test waits: whoever relies on it being over fails.
const LONG: &str = "60s";

/// What [`REGISTER_RULES`] keep.
pub const THING: &str = "/api/thing/1";

/// One thing, which may be answered from memory for so long, and one write that changes it.
fn rules(local_ttl: &str) -> String {
    let ttl = "ttl = \"5m\"\n";
    assert!(REGISTER_RULES.contains(ttl));
    REGISTER_RULES.replace(ttl, &format!("{ttl}local_ttl = \"{local_ttl}\"\n"))
}

/// A sidecar that hears the others.
async fn sidecar(origin: &Origin, url: &str, local_ttl: &str) -> Sidecar {
    let sidecar = Sidecar::start(origin, url, &rules(local_ttl)).await;
    hears(&sidecar, true).await;
    sidecar
}

async fn metric(sidecar: &Sidecar, name: &str) -> i64 {
    let text = sidecar.door("GET", "/metrics", "").await.text();
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(&format!("sidecache_{name} ")));
    value.and_then(|value| value.parse().ok()).expect(name)
}

/// Waits until the sidecar hears the others, or does not.
pub async fn hears(sidecar: &Sidecar, heard: bool) {
    eventually("the subscription is up or down", async || {
        metric(sidecar, "subscription_up").await == i64::from(heard)
    })
    .await;
}

/// All that Redis was asked, but for what tests ask and signs of life.
fn commands(redis: &RedisServer) -> u64 {
    let stats = redis.say("INFO commandstats");
    let calls = |line: &str| -> Option<u64> {
        let (command, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
        let ours = !["info", "ping"].contains(&command);
        rest.split(',').next()?.parse().ok().filter(|_| ours)
    };
    stats.lines().filter_map(calls).sum()
}

/// Reads until the answer comes from memory alone. Redis must be asked by nobody else meanwhile.
pub async fn from_memory(sidecar: &Sidecar, redis: &RedisServer) -> Got {
    let mut got = None;
    eventually("a hit asks Redis nothing", async || {
        let before = commands(redis);
        let read = sidecar.get(THING).await;
        let is_quiet = read.outcome() == "hit" && commands(redis) == before;
        got = is_quiet.then_some(read);
        is_quiet
    })
    .await;
    got.expect("it was")
}

async fn change(sidecar: &Sidecar) -> i64 {
    let got = sidecar.ask("PATCH", "/api/change/1", &[], "").await;
    assert_eq!(got.status, 200);
    got.n()
}

/// Changes the thing behind every sidecar's back.
async fn change_unseen(origin: &Origin) -> i64 {
    world::ask(origin.address, "POST", "/", &[], "").await.n()
}

//! One sidecar fetches for the fleet: what that spares the origin, and what it never costs.

mod ends; // holders that die, clients that leave, a store that goes away
mod taken; // claims that come with a snapshot
mod unkept; // answers that nobody can be given
mod variants; // answers that turn out to vary

use crate::redis::{RedisServer, eventually};
use crate::world::{Asked, Got, Origin, Reply, Sidecar};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::SeqCst};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

const RULES: &str = r#"
[[cache]]
name = "thing"
match = "GET /thing/{id}"
key = "things:{id}"
query = []
ttl = "5m"
public = true
store_if = ["/n"]

[[cache]]
name = "brief"
match = "GET /brief/{id}"
key = "brief:{id}"
query = []
ttl = "1s"
public = true

[[invalidate]]
name = "changed"
on = "PATCH /change/{id}"
drop = ["things:{id}"]
"#;

/// An origin that says nothing before it is let.
struct Slow {
    origin: Origin,
    gate: Arc<Semaphore>,
}

impl Slow {
    /// GET tells how often it was changed before it was asked; any other method changes it at once.
    async fn start() -> Slow {
        let value = Arc::new(AtomicI64::new(0));
        Slow::answering(move |asked| {
            let changed = i64::from(asked.method != "GET");
            let n = value.fetch_add(changed, SeqCst) + changed;
            Reply::json(format!("{{\"n\": {n}}}"))
        })
        .await
    }

    async fn answering(reply: impl Fn(&Asked) -> Reply + Clone + Send + Sync + 'static) -> Slow {
        let gate = Arc::new(Semaphore::new(0));
        let held = gate.clone();
        let origin = Origin::start(move |asked: Asked| {
            let (gate, reply) = (held.clone(), reply.clone());
            async move {
                let reply = reply(&asked);
                if asked.method == "GET" {
                    let _ = gate.acquire().await; // ends when it is closed
                }
                reply
            }
        })
        .await;
        Slow { origin, gate }
    }

    fn open(&self) {
        self.gate.close();
    }

    async fn was_asked(&self, times: usize) {
        eventually("the origin is asked", async || self.origin.count() >= times).await;
    }
}

async fn fleet<const N: usize>(slow: &Slow, redis: &RedisServer) -> [Arc<Sidecar>; N] {
    fleet_by(slow, redis, RULES).await
}

async fn fleet_by<const N: usize>(
    slow: &Slow,
    redis: &RedisServer,
    rules: &str,
) -> [Arc<Sidecar>; N] {
    let mut sidecars = Vec::new();
    for _ in 0..N {
        sidecars.push(Arc::new(
            Sidecar::start(&slow.origin, &redis.url(), rules).await,
        ));
    }
    sidecars.try_into().ok().expect("as many as were pushed")
}

fn read(sidecar: &Arc<Sidecar>, target: &str) -> JoinHandle<Got> {
    read_with(sidecar, target, &[])
}

fn read_with(
    sidecar: &Arc<Sidecar>,
    target: &str,
    headers: &[(&'static str, &'static str)],
) -> JoinHandle<Got> {
    let (sidecar, target, headers) = (sidecar.clone(), target.to_owned(), headers.to_vec());
    tokio::spawn(async move { sidecar.get_with(&target, &headers).await })
}

async fn got(reader: JoinHandle<Got>) -> Got {
    let got = tokio::time::timeout(crate::redis::PATIENCE, reader).await;
    got.expect("in time").expect("no panic")
}

/// Begins `readers`, and returns once the looks of at least one of them go on and on: each looks
/// once when it comes, all further looks are at another's claim.
async fn waiting<const N: usize>(
    redis: &RedisServer,
    readers: impl FnOnce() -> [JoinHandle<Got>; N],
) -> [JoinHandle<Got>; N] {
    let before = redis.calls("mget");
    let readers = readers();
    let enough = before + N as u64 + 3;
    eventually("somebody waits", async || redis.calls("mget") >= enough).await;
    readers
}

/// Every lock in Redis with its lifetime in milliseconds.
fn locks(redis: &RedisServer) -> Vec<(String, i64)> {
    let keys = redis.say("KEYS *!????????????????????????????????");
    let names = keys.lines().filter(|name| !name.is_empty());
    names
        .map(|name| {
            let life = redis.say(&format!("PTTL {name}"));
            (name.to_owned(), life.parse().expect("a number"))
        })
        .collect()
}

#[tokio::test]
async fn parallel_cold_readers_of_three_sidecars_ask_the_origin_once() {
    let (slow, redis) = (Slow::start().await, RedisServer::start());
    let sidecars: [_; 3] = fleet(&slow, &redis).await;
    let readers = waiting(&redis, || {
        std::array::from_fn::<_, 30, _>(|reader| read(&sidecars[reader % 3], "/thing/a"))
    })
    .await;
    slow.open();
    let mut outcomes = Vec::new();
    for reader in readers {
        let got = got(reader).await;
        assert_eq!((got.status, got.n()), (200, 0), "{}", got.cache_status());
        outcomes.push(got.outcome().to_owned());
    }
    assert_eq!(slow.origin.count(), 1, "{outcomes:?}");
    let misses = outcomes.iter().filter(|outcome| *outcome == "miss");
    assert_eq!(misses.count(), 1, "{outcomes:?}");
    assert!(outcomes.iter().any(|outcome| outcome == "collapsed"));
}

#[tokio::test]
async fn a_reader_whose_look_was_before_the_answer_does_not_fetch_after_it() {
    let (slow, redis) = (Slow::start().await, RedisServer::start());
    slow.open();
    let sidecars: [_; 3] = fleet(&slow, &redis).await;
    let keys = 60;
    for key in 0..keys {
        let target = format!("/thing/{key}");
        let readers: [_; 3] = std::array::from_fn(|of| read(&sidecars[of], &target));
        for reader in readers {
            assert_eq!(got(reader).await.status, 200);
        }
    }
    assert_eq!(slow.origin.count(), keys, "one for each key");
}

#[tokio::test]
async fn a_fetch_that_outlasts_a_claims_life_is_still_the_only_one() {
    let (slow, redis) = (Slow::start().await, RedisServer::start());
    let [one, other] = fleet(&slow, &redis).await;
    let first = read(&one, "/thing/a");
    slow.was_asked(1).await;
    let [second] = waiting(&redis, || [read(&other, "/thing/a")]).await;
    // More than a life's worth of renewals.
    eventually("renewed", async || redis.calls("pexpire") >= 5).await;
    assert_eq!(slow.origin.count(), 1);
    slow.open();
    assert_eq!(got(first).await.outcome(), "miss");
    assert_eq!(got(second).await.outcome(), "collapsed");
    assert_eq!(slow.origin.count(), 1);
}

#[tokio::test]
async fn a_reader_after_a_write_does_not_wait_for_a_fetch_from_before_it() {
    let (slow, redis) = (Slow::start().await, RedisServer::start());
    let [one, other] = fleet(&slow, &redis).await;
    let early = read(&one, "/thing/a");
    slow.was_asked(1).await;
    let [waited] = waiting(&redis, || [read(&other, "/thing/a")]).await;
    let written = one.ask("PATCH", "/change/a", &[], "").await;
    assert_eq!(written.n(), 1);
    let late = read(&other, "/thing/a");
    slow.was_asked(3).await; // the first is still held at the gate
    assert_eq!(locks(&redis).len(), 2, "each fetch has a claim of its own");
    slow.open();
    assert_eq!(got(late).await.n(), 1);
    assert_eq!(got(waited).await.n(), 1, "who waited looks on");
    assert_eq!(got(early).await.n(), 0, "it came before the write");
    assert_eq!(slow.origin.count(), 3, "two for the readers, one write");
    for sidecar in [&one, &other] {
        // A miss, if the dead answer of the first replaced the newer: at once, as nobody fetches.
        assert_eq!(sidecar.get("/thing/a").await.n(), 1);
    }
}

#[tokio::test]
async fn every_claim_ends_by_itself() {
    let (slow, redis) = (Slow::start().await, RedisServer::start());
    let [one] = fleet(&slow, &redis).await;
    let first = read(&one, "/thing/a");
    slow.was_asked(1).await;
    let held = locks(&redis);
    assert!(
        matches!(held[..], [(_, 1..=2000)]),
        "held for no longer than its life: {held:?}"
    );
    slow.open();
    assert_eq!(got(first).await.outcome(), "miss");
    let left = locks(&redis);
    assert!(left.iter().all(|(_, life)| *life <= 100), "{left:?}");
    eventually("it is gone", async || locks(&redis).is_empty()).await;
    let keys = redis.say("KEYS *");
    for key in keys.lines() {
        let life = redis.say(&format!("PTTL {key}"));
        assert_ne!(life, "-1", "{key} would stay for ever");
    }
}

#[tokio::test]
async fn only_a_rule_for_the_fleet_claims() {
    let (slow, redis) = (Slow::start().await, RedisServer::start());
    slow.open();
    for (setting, lock) in [
        ("coalesce = \"fleet\"", 1),
        ("", 1),
        ("coalesce = \"local\"", 0),
        ("coalesce = \"off\"", 0),
        ("stage = \"observe\"", 0),
    ] {
        let rules = RULES.replacen("ttl = \"5m\"", &format!("ttl = \"5m\"\n{setting}"), 1);
        let [one] = fleet_by(&slow, &redis, &rules).await;
        one.get("/thing/b").await; // teaches what happens once
        redis.say("FLUSHALL");
        one.get("/thing/c").await; // the nodes above
        redis.say("CONFIG RESETSTAT");
        assert_eq!(one.get("/thing/a").await.n(), 0, "{setting}");
        eventually("it is kept", async || {
            redis.calls("set") + redis.calls("pexpire") > lock
        })
        .await;
        // The look, and the script, which makes absent nodes with a SET of its own.
        let made = 1;
        assert_eq!(redis.calls("mget"), 1 + made, "{setting}");
        assert_eq!(redis.calls("set"), made + 1 + lock, "{setting}");
        assert_eq!(redis.calls("pexpire"), lock, "{setting}");
        redis.say("FLUSHALL");
    }
}

/// How often a sidecar sent each of these commands itself.
fn sent(sidecar: &Sidecar, commands: &[&str]) -> Vec<u64> {
    let text = sidecar.server.live().ground.metrics.encode();
    let count = |command: &&str| {
        let sample = format!("sidecache_store_commands_total{{command=\"{command}\"}} ");
        let line = text.lines().find_map(|line| line.strip_prefix(&sample));
        line.map_or(0, |count| count.parse().expect("a number"))
    };
    commands.iter().map(count).collect()
}

#[tokio::test]
async fn a_miss_of_a_new_key_is_claimed_with_its_node_and_takes_four_commands() {
    let (slow, redis) = (Slow::start().await, RedisServer::start());
    let [one] = fleet(&slow, &redis).await;
    let commands = ["mget", "evalsha", "eval", "set", "pexpire", "unlink", "get"];
    let first = read(&one, "/thing/a"); // after which Redis has the script
    slow.was_asked(1).await;
    assert_eq!(locks(&redis).len(), 1);
    assert_eq!(
        sent(&one, &commands[2..4]),
        [1, 1],
        "by no SET of its own: that is the mark of the server"
    );
    slow.open();
    got(first).await;
    let before = sent(&one, &commands);
    assert_eq!(one.get("/thing/b").await.outcome(), "miss");
    let after = sent(&one, &commands);
    let cost: Vec<u64> = after.iter().zip(&before).map(|(a, b)| a - b).collect();
    assert_eq!(cost, [1, 1, 0, 1, 1, 0, 0]);
}

#[tokio::test]
async fn a_claim_goes_to_the_one_of_its_process_who_leads() {
    let (slow, redis) = (Slow::start().await, RedisServer::start());
    slow.open();
    let [one] = fleet(&slow, &redis).await;
    for round in 0..10 {
        let target = format!("/thing/{round}");
        let readers: Vec<_> = (0..20).map(|_| read(&one, &target)).collect();
        for reader in readers {
            assert_eq!(got(reader).await.status, 200);
        }
    }
    assert_eq!(slow.origin.count(), 10);
    // Who waits for another's claim looks for it again.
    let looks = sent(&one, &["mget"]);
    assert!(looks[0] <= 200, "{looks:?}");
}

#[tokio::test]
async fn a_store_that_is_memory_locks_nothing_and_shares_within_its_process() {
    let slow = Slow::start().await;
    let one = Arc::new(Sidecar::start(&slow.origin, "memory:", RULES).await);
    let readers: [_; 10] = std::array::from_fn(|_| read(&one, "/thing/a"));
    slow.was_asked(1).await;
    slow.open();
    for reader in readers {
        assert_eq!(got(reader).await.status, 200);
    }
    assert_eq!(slow.origin.count(), 1);
}

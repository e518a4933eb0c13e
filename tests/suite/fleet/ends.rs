//! Holders that die, clients that leave, a store that goes away or is full.

use super::*;
use crate::process::Process;
use crate::world;
use sidecache::claim::{LIFE, LONGEST_PAUSE};
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// What a busy machine may be late.
const SLACK: Duration = Duration::from_secs(2);

#[tokio::test]
async fn the_claim_of_a_killed_sidecar_is_taken_over_once_its_life_is_over() {
    let (slow, redis) = (Slow::start().await, RedisServer::start());
    let head = world::head(slow.origin.address, &redis.url());
    let mut doomed = Process::start(&format!("{head}{RULES}"));
    let [one, other] = fleet(&slow, &redis).await;
    let door = doomed.proxy();
    let lost = tokio::spawn(async move {
        let mut stream = TcpStream::connect(door).await.expect("it listens");
        let request = b"GET /thing/a HTTP/1.1\r\nhost: api.test\r\n\r\n";
        stream.write_all(request).await.expect("it reads");
        stream
    });
    slow.was_asked(1).await;
    let readers = waiting(&redis, || [&one, &other].map(|of| read(of, "/thing/a"))).await;
    assert_eq!(slow.origin.count(), 1, "they wait");
    let killed = Instant::now();
    doomed.signal("-KILL");
    slow.was_asked(2).await;
    let took = killed.elapsed();
    assert!(took < LIFE + LONGEST_PAUSE + SLACK, "{took:?}");
    slow.open();
    for reader in readers {
        assert_eq!(got(reader).await.n(), 0);
    }
    assert_eq!(slow.origin.count(), 2, "one of them took over");
    drop(lost.await.expect("no panic"));
    assert!(!doomed.ended().await.success());
}

#[tokio::test]
async fn a_claim_that_nobody_ends_holds_nobody_up_for_longer_than_the_origin_may_take() {
    let (slow, redis) = (Slow::start().await, RedisServer::start());
    let head = world::head(slow.origin.address, &redis.url()).replace("\"5s\"", "\"1s\"");
    let one = Sidecar::with_file(&format!("{head}{RULES}")).await;
    let one = Arc::new(one);
    let first = read(&one, "/brief/a");
    let mut lock = String::new();
    eventually("a claim", async || {
        lock = locks(&redis).pop().map_or(String::new(), |(lock, _)| lock);
        !lock.is_empty()
    })
    .await;
    slow.open();
    got(first).await;
    eventually("the answer expires", async || {
        redis.say("EXISTS test:brief:a") == "0"
    })
    .await;
    redis.say(&format!("SET {lock} + PX 60000"));
    let asked = slow.origin.count();
    let begun = Instant::now();
    let got = one.get("/brief/a").await;
    let took = begun.elapsed();
    assert_eq!((got.status, got.outcome()), (200, "miss"));
    assert_eq!(slow.origin.count(), asked + 1);
    let patience = Duration::from_secs(1);
    assert!(took >= patience && took < patience + SLACK, "{took:?}");
}

#[tokio::test]
async fn a_client_that_leaves_takes_nothing_from_those_who_wait_for_its_fetch() {
    let (slow, redis) = (Slow::start().await, RedisServer::start());
    let [one, other] = fleet(&slow, &redis).await;
    let leaving = read(&one, "/thing/a");
    slow.was_asked(1).await;
    let [stays] = waiting(&redis, || [read(&other, "/thing/a")]).await;
    leaving.abort();
    assert!(leaving.await.is_err(), "its connection is gone");
    slow.open();
    assert_eq!(got(stays).await.outcome(), "collapsed");
    assert_eq!(slow.origin.count(), 1);
}

#[tokio::test]
async fn a_waiting_client_that_leaves_hands_its_turn_to_the_next_of_its_process() {
    let (slow, redis) = (Slow::start().await, RedisServer::start());
    let [one, other] = fleet(&slow, &redis).await;
    let first = read(&one, "/thing/a");
    slow.was_asked(1).await;
    let [leaving] = waiting(&redis, || [read(&other, "/thing/a")]).await;
    let stays = read(&other, "/thing/a");
    leaving.abort();
    assert!(leaving.await.is_err(), "its connection is gone");
    slow.open();
    assert_eq!(got(first).await.outcome(), "miss");
    let answer = got(stays).await;
    assert!(
        ["collapsed", "hit"].contains(&answer.outcome()),
        "{}",
        answer.cache_status()
    );
    assert_eq!(slow.origin.count(), 1);
}

#[tokio::test]
async fn who_waits_asks_for_itself_when_the_store_hangs() {
    let (slow, redis) = (Slow::start().await, RedisServer::start());
    let impatient = async || Sidecar::impatient(&slow.origin, &redis.url(), RULES).await;
    let (one, other) = (Arc::new(impatient().await), Arc::new(impatient().await));
    let first = read(&one, "/thing/a");
    slow.was_asked(1).await;
    let [second] = waiting(&redis, || [read(&other, "/thing/a")]).await;
    redis.stop();
    slow.was_asked(2).await;
    slow.open();
    assert_eq!((got(first).await.n(), got(second).await.n()), (0, 0));
    redis.cont();
}

#[tokio::test]
async fn an_origin_that_fails_keeps_nobody_waiting() {
    let redis = RedisServer::start();
    let slow = Slow::start().await;
    let refused = crate::redis::free_port();
    let head = world::head(slow.origin.address, &redis.url());
    let broken = head.replace(
        &slow.origin.address.to_string(),
        &format!("127.0.0.1:{refused}"),
    );
    let broken = Sidecar::with_file(&format!("{broken}{RULES}")).await;
    slow.open();
    let [other] = fleet(&slow, &redis).await;
    assert_eq!(broken.get("/thing/a").await.status, 502);
    eventually("released", async || locks(&redis).is_empty()).await;
    assert_eq!(other.get("/thing/a").await.outcome(), "miss");
}

#[tokio::test]
async fn a_store_that_is_full_is_done_without() {
    let redis = RedisServer::start();
    let slow = Slow::start().await;
    slow.open();
    let rules = r#"
[[cache]]
name = "page"
match = "GET /page"
key = "pages:{query}"
query = ["p"]
ttl = "5m"
public = true
"#;
    let [one, other] = fleet_by(&slow, &redis, rules).await;
    one.get("/page?p=1").await; // makes the nodes
    redis.say("CONFIG SET maxmemory 1");
    for sidecar in [&one, &other] {
        let got = sidecar.get("/page?p=2").await;
        assert_eq!((got.status, got.outcome()), (200, "miss"));
    }
    let metrics = other.door("GET", "/metrics", "").await.text();
    // The claim; the answer is not sent any more, since the store is known to be full.
    let refused = "sidecache_store_errors_total{kind=\"capacity\"} 1\n";
    assert!(metrics.contains(refused), "{metrics}");
}

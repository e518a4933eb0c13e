//! A server that is not the one that it was: it comes back with what it held before it was told of a write.

use super::*;
use crate::redis::RedisServer;
use crate::world::{REGISTER_RULES, head};

#[tokio::test]
async fn a_redis_that_comes_back_with_what_it_held_before_a_write_serves_none_of_it() {
    let mut redis = RedisServer::start();
    let origin = Origin::register().await;
    let one = Sidecar::impatient(&origin, &redis.url(), REGISTER_RULES).await;
    let two = Sidecar::impatient(&origin, &redis.url(), REGISTER_RULES).await;
    hits(&one, THING).await;
    hits(&two, THING).await;
    redis.dump();
    let written = changed(&one).await;
    redis.restart();
    for sidecar in [&two, &one] {
        let read = sidecar.get(THING).await;
        assert_eq!(read.n(), written, "{}", read.cache_status());
        hits(sidecar, THING).await;
        assert_eq!(sidecar.get(THING).await.n(), written);
    }
}

#[tokio::test]
async fn who_trusts_his_redis_believes_what_it_brought_back() {
    let mut redis = RedisServer::start();
    let origin = Origin::register().await;
    let trusting =
        head(origin.address, &redis.url()).replace("[store]", "[store]\nfailover = \"trust\"");
    let sidecar = Sidecar::with_file(&format!("{trusting}{REGISTER_RULES}")).await;
    hits(&sidecar, THING).await;
    redis.dump();
    let written = changed(&sidecar).await;
    redis.restart();
    hits(&sidecar, THING).await;
    assert!(
        sidecar.get(THING).await.n() < written,
        "this is what is given up"
    );
}

#[tokio::test]
async fn everything_is_dropped_once_by_a_server_that_changed_and_never_by_one_that_is_new() {
    let mut redis = RedisServer::start();
    let origin = Origin::register().await;
    let sidecar = Sidecar::impatient(&origin, &redis.url(), REGISTER_RULES).await;
    hits(&sidecar, THING).await;
    let dropped = async || {
        let metrics = sidecar.door("GET", "/metrics", "").await.text();
        let line = "sidecache_invalidations_total{set=\"failover\"} ";
        metrics
            .lines()
            .find_map(|told| Some(told.strip_prefix(line)?.to_owned()))
    };
    assert_eq!(dropped().await, None, "it was empty");
    redis.say("CLIENT KILL TYPE normal SKIPME yes");
    hits(&sidecar, THING).await;
    assert_eq!(dropped().await, None, "it is the same");
    redis.dump();
    redis.restart();
    hits(&sidecar, THING).await;
    assert_eq!(dropped().await.as_deref(), Some("1"));
    redis.kill();
    redis.restart();
    hits(&sidecar, THING).await;
    assert_eq!(
        dropped().await.as_deref(),
        Some("2"),
        "the file is still there"
    );
}

#[tokio::test]
async fn a_redis_that_does_not_say_who_it_is_serves_all_the_same() {
    let redis = RedisServer::start();
    redis.say("ACL SETUSER default -info");
    let origin = Origin::register().await;
    let sidecar = Sidecar::impatient(&origin, &redis.url(), REGISTER_RULES).await;
    hits(&sidecar, THING).await;
    let written = changed(&sidecar).await;
    assert_eq!(sidecar.get(THING).await.n(), written);
}

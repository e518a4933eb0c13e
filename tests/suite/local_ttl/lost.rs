use super::muffler::Muffler;
use super::*;
use crate::redis::PATIENCE;
use std::time::{Duration, Instant};

/// Ends the subscription and keeps it from coming back.
async fn deafen(sidecar: &Sidecar, redis: &RedisServer) {
    redis.say("ACL SETUSER default -subscribe");
    redis.say("CLIENT KILL TYPE pubsub");
    hears(sidecar, false).await;
}

#[tokio::test]
async fn without_its_subscription_a_sidecar_asks_redis_for_each_hit_until_it_is_back() {
    let (origin, redis) = (Origin::register().await, RedisServer::start());
    let writer = sidecar(&origin, &redis.url(), LONG).await;
    let reader = sidecar(&origin, &redis.url(), LONG).await;
    from_memory(&reader, &redis).await;
    deafen(&reader, &redis).await;
    let before = redis.calls("mget");
    for _ in 0..5 {
        assert_eq!(reader.get(THING).await.outcome(), "hit");
    }
    assert_eq!(redis.calls("mget"), before + 5);
    for _ in 0..3 {
        assert_eq!(change(&writer).await, reader.get(THING).await.n());
    }
    redis.say("ACL SETUSER default +subscribe");
    hears(&reader, true).await;
    let n = change(&writer).await;
    eventually("the reader hears again", async || {
        reader.get(THING).await.n() == n
    })
    .await;
    from_memory(&reader, &redis).await;
}

#[tokio::test]
async fn what_was_known_before_the_subscription_was_lost_counts_no_more_when_it_is_back() {
    let (origin, redis) = (Origin::register().await, RedisServer::start());
    let writer = sidecar(&origin, &redis.url(), LONG).await;
    let reader = sidecar(&origin, &redis.url(), LONG).await;
    from_memory(&reader, &redis).await;
    deafen(&reader, &redis).await;
    let n = change(&writer).await;
    redis.say("ACL SETUSER default +subscribe");
    hears(&reader, true).await;
    assert_eq!(reader.get(THING).await.n(), n);
}

#[tokio::test]
async fn a_lost_message_is_bounded_by_local_ttl() {
    const LOCAL_TTL: Duration = Duration::from_secs(5);
    let (origin, redis) = (Origin::register().await, RedisServer::start());
    let muffler = Muffler::open(redis.port()).await;
    let writer = sidecar(&origin, &redis.url(), LONG).await;
    let reader = sidecar(&origin, &format!("redis://{}", muffler.address), "5s").await;
    muffler.muffle();
    // Now and then it is asked for anew, so that the bound is not over by the time of the write.
    let asked = redis.calls("mget");
    eventually("its versions were checked just now", async || {
        reader.get(THING).await;
        redis.calls("mget") > asked + 1
    })
    .await;
    assert_eq!(reader.get(THING).await.outcome(), "hit");
    let n = change(&writer).await;
    let told = Instant::now();
    let mut old = 0;
    loop {
        let begun = Instant::now();
        assert!(begun < told + LOCAL_TTL + PATIENCE);
        let got = reader.get(THING).await.n();
        assert!(got <= n);
        old += usize::from(got < n);
        if begun >= told + LOCAL_TTL {
            assert_eq!(got, n, "begun {:?} after the write", begun - told);
            break;
        }
    }
    assert!(old > 0, "the message was lost");
    assert_eq!(metric(&reader, "subscription_up").await, 1);
}

/// Little patience, so that an outage is noticed soon.
async fn impatient(origin: &Origin, redis: &RedisServer) -> Sidecar {
    let sidecar = Sidecar::impatient(origin, &redis.url(), &rules(LONG)).await;
    hears(&sidecar, true).await;
    sidecar
}

#[tokio::test]
async fn a_hung_redis_does_not_keep_a_sidecar_from_its_memory_until_it_owes_a_write() {
    let (origin, redis) = (Origin::register().await, RedisServer::start());
    let sidecar = impatient(&origin, &redis).await;
    let n = from_memory(&sidecar, &redis).await.n();
    redis.stop();
    for _ in 0..10 {
        let got = sidecar.get(THING).await;
        assert_eq!((got.outcome(), got.n()), ("hit", n));
    }
    let n = change(&sidecar).await;
    for _ in 0..5 {
        let got = sidecar.get(THING).await;
        assert_eq!((got.detail(), got.n()), (Some("store-down"), n));
    }
    hears(&sidecar, false).await;
    redis.cont();
    eventually("the store is up", async || {
        let got = sidecar.get(THING).await;
        assert_eq!(got.n(), n);
        got.outcome() == "hit"
    })
    .await;
    hears(&sidecar, true).await;
    assert_eq!(from_memory(&sidecar, &redis).await.n(), n);
    assert_eq!(change(&sidecar).await, sidecar.get(THING).await.n());
}

#[tokio::test]
async fn a_redis_restarted_empty_serves_nothing_old_from_memory() {
    let (origin, mut redis) = (Origin::register().await, RedisServer::start());
    let writer = impatient(&origin, &redis).await;
    let reader = impatient(&origin, &redis).await;
    from_memory(&reader, &redis).await;
    redis.kill();
    hears(&reader, false).await;
    let n = change(&writer).await;
    redis.restart();
    hears(&reader, true).await;
    assert_eq!(reader.get(THING).await.n(), n);
    assert_eq!(from_memory(&reader, &redis).await.n(), n);
    hears(&writer, true).await;
    let n = change(&writer).await;
    eventually("the reader hears again", async || {
        reader.get(THING).await.n() == n
    })
    .await;
}

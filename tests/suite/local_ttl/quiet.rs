use super::*;
use crate::world::head;
use std::time::{Duration, Instant};

#[tokio::test]
async fn a_hit_within_local_ttl_asks_redis_nothing() {
    let (origin, redis) = (Origin::register().await, RedisServer::start());
    let sidecar = sidecar(&origin, &redis.url(), LONG).await;
    from_memory(&sidecar, &redis).await;
    let (before, asked) = (commands(&redis), origin.count());
    for _ in 0..50 {
        assert_eq!(sidecar.get(THING).await.outcome(), "hit");
    }
    assert_eq!((commands(&redis), origin.count()), (before, asked));
}

#[tokio::test]
async fn a_hit_asks_again_when_local_ttl_is_over() {
    let (origin, redis) = (Origin::register().await, RedisServer::start());
    let sidecar = sidecar(&origin, &redis.url(), "1s").await;
    from_memory(&sidecar, &redis).await;
    let began = Instant::now();
    for round in 1..=3 {
        let before = commands(&redis);
        eventually("Redis is asked again", async || {
            assert_eq!(sidecar.get(THING).await.outcome(), "hit");
            commands(&redis) > before
        })
        .await;
        assert_eq!(commands(&redis), before + 1, "one MGET");
        // The first may have been due at once.
        assert!(began.elapsed() >= Duration::from_secs(round - 1), "{round}");
    }
}

#[tokio::test]
async fn each_hit_asks_redis_where_a_rule_says_nothing_of_local_ttl_and_nobody_is_told() {
    let (origin, redis) = (Origin::register().await, RedisServer::start());
    let sidecar = Sidecar::start(&origin, &redis.url(), REGISTER_RULES).await;
    change(&sidecar).await;
    sidecar.purge(&["*"]).await;
    eventually("it is kept", async || {
        sidecar.get(THING).await.outcome() == "hit"
    })
    .await;
    let before = commands(&redis);
    for _ in 0..10 {
        assert_eq!(sidecar.get(THING).await.outcome(), "hit");
    }
    assert_eq!(commands(&redis), before + 10);
    assert_eq!((redis.calls("publish"), redis.calls("subscribe")), (0, 0));
    assert_eq!(metric(&sidecar, "subscription_up").await, 0);
}

#[tokio::test]
async fn a_reload_turns_it_on_and_off() {
    let (origin, redis) = (Origin::register().await, RedisServer::start());
    let head = head(origin.address, &redis.url()).replace("[store]", "[store]\ntimeout = \"20s\"");
    let file = |local_ttl: &str| format!("{head}{}", rules(local_ttl));
    let sidecar = Sidecar::with_file(&file("0s")).await;
    eventually("it is kept", async || {
        sidecar.get(THING).await.outcome() == "hit"
    })
    .await;
    for _ in 0..2 {
        sidecar.reload(&file(LONG)).expect("good rules");
        hears(&sidecar, true).await;
        from_memory(&sidecar, &redis).await;
        let published = redis.calls("publish");
        assert_eq!(change(&sidecar).await, sidecar.get(THING).await.n());
        assert_eq!(redis.calls("publish"), published + 1);

        sidecar.reload(&file("0s")).expect("good rules");
        hears(&sidecar, false).await;
        assert_eq!(change(&sidecar).await, sidecar.get(THING).await.n());
        eventually("it is kept", async || {
            sidecar.get(THING).await.outcome() == "hit"
        })
        .await;
        let before = redis.calls("mget");
        for _ in 0..5 {
            assert_eq!(sidecar.get(THING).await.outcome(), "hit");
        }
        assert_eq!(redis.calls("mget"), before + 5);
        assert_eq!(redis.calls("publish"), published + 1);
        eventually("Redis has no subscriber", async || {
            redis.say("PUBSUB NUMSUB test:!drops") == "test:!drops\n0"
        })
        .await;
    }
}

#[tokio::test]
async fn a_store_that_is_memory_has_no_need_of_it() {
    let origin = Origin::register().await;
    let sidecar = Sidecar::start(&origin, "memory:", &rules(LONG)).await;
    for _ in 0..3 {
        sidecar.get(THING).await;
        assert_eq!(sidecar.get(THING).await.outcome(), "hit");
        assert_eq!(change(&sidecar).await, sidecar.get(THING).await.n());
    }
    assert_eq!(metric(&sidecar, "subscription_up").await, 0);
}

#[tokio::test]
async fn a_claim_that_is_released_is_told_to_nobody() {
    let redis = RedisServer::start();
    let nobody = ([127, 0, 0, 1], crate::redis::free_port()).into();
    let head = head(nobody, &redis.url()).replace("[store]", "[store]\ntimeout = \"20s\"");
    let sidecar = Sidecar::with_file(&format!("{head}{}", rules(LONG))).await;
    hears(&sidecar, true).await;
    assert_eq!(sidecar.get(THING).await.status, 502);
    eventually("it is released", async || redis.calls("unlink") == 1).await;
    assert_eq!(sidecar.get(THING).await.status, 502);
    eventually("again", async || redis.calls("unlink") == 2).await;
    assert_eq!(redis.calls("publish"), 0);
}

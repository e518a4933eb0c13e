//! Sidecars that count together, and a Redis that goes away.

use super::{counted, hello, is_limited, limit};
use crate::redis::{RedisServer, eventually};
use crate::world::{Origin, Sidecar, ask, head};

const ALL: &str = "\"GET /{rest*}\"";

/// The name of the one counter in Redis.
fn counter(redis: &RedisServer) -> String {
    let names = redis.say("KEYS test:rate-limit:*");
    assert_eq!(names.lines().count(), 1, "{names}");
    names
}

/// Waits until Redis counts, as the one who has just connected, or connected again, may not yet do.
async fn enforced(sidecar: &Sidecar) {
    eventually("it counts", async || {
        sidecar.get("/x").await.header("ratelimit").is_some()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_sidecars_let_through_exactly_what_one_would() {
    let (redis, origin) = (RedisServer::start(), hello().await);
    let rules = limit("all", ALL, "{client_ip}", 40);
    let one = Sidecar::start(&origin, &redis.url(), &rules).await;
    let other = Sidecar::start(&origin, &redis.url(), &rules).await;
    for sidecar in [&one, &other] {
        enforced(sidecar).await;
    }
    redis.say("FLUSHALL");
    let before = origin.count();
    let asked = (0..100).map(|at| {
        let to = if at % 2 == 0 { &one } else { &other };
        tokio::spawn(ask(to.address(), "GET", "/x", &[], ""))
    });
    let mut statuses = Vec::new();
    for asked in asked.collect::<Vec<_>>() {
        statuses.push(asked.await.expect("no panic").status);
    }
    let of = |status| statuses.iter().filter(|found| **found == status).count();
    assert_eq!((of(200), of(429)), (40, 60));
    assert_eq!(origin.count() - before, 40);
    assert_eq!(redis.say(&format!("GET {}", counter(&redis))), "40");
}

#[tokio::test]
async fn a_request_costs_one_command_however_many_limits_match_also_where_it_is_refused() {
    let (redis, origin) = (RedisServer::start(), hello().await);
    let rules = limit("a", ALL, "{client_ip}", 5)
        + &limit("b", ALL, "everybody", 5)
        + &limit("c", "\"GET /x\"", "{header.x}", 5);
    let sidecar = Sidecar::start(&origin, &redis.url(), &rules).await;
    enforced(&sidecar).await;
    redis.say("FLUSHALL");
    let names = ["evalsha", "eval", "mget", "set", "get", "incr"];
    let calls = || names.map(|name| redis.calls(name));
    let (before, asked) = (calls(), origin.count());
    for _ in 0..9 {
        sidecar.get("/x").await;
    }
    let after = calls();
    // What the script calls is counted too: three counters begun, read, and raised four times each.
    let spent: Vec<u64> = after.iter().zip(before).map(|(a, b)| a - b).collect();
    assert_eq!(spent, [9, 0, 0, 3, 27, 12]);
    assert_eq!(origin.count() - asked, 5);
    redis.say("SCRIPT FLUSH");
    assert!(is_limited(&sidecar.get("/x").await));
    assert_eq!(redis.calls("eval") - after[1], 1);
}

#[tokio::test]
async fn a_request_that_no_limit_matches_costs_nothing() {
    let (redis, origin) = (RedisServer::start(), hello().await);
    let rules = limit("login", "\"POST /login\"", "{client_ip}", 5);
    let sidecar = Sidecar::start(&origin, &redis.url(), &rules).await;
    let commands = || redis.calls("evalsha") + redis.calls("eval") + redis.calls("mget");
    let before = commands();
    assert_eq!(sidecar.get("/x").await.status, 200);
    assert_eq!(commands(), before);
}

#[tokio::test]
async fn a_window_ends_by_the_clock_of_redis_and_is_not_made_longer_by_who_goes_on_asking() {
    let (redis, origin) = (RedisServer::start(), hello().await);
    let rules = limit("all", ALL, "{client_ip}", 2);
    let sidecar = Sidecar::start(&origin, &redis.url(), &rules).await;
    enforced(&sidecar).await;
    let name = counter(&redis);
    redis.say(&format!("PEXPIRE {name} 3000000"));
    let left = || {
        let left = redis.say(&format!("PTTL {name}"));
        left.parse::<i64>().expect("milliseconds")
    };
    sidecar.get("/x").await;
    for _ in 0..5 {
        assert!(is_limited(&sidecar.get("/x").await));
    }
    assert!((2_900_000..=3_000_000).contains(&left()), "{}", left());
    assert_eq!(redis.say(&format!("GET {name}")), "2");
    redis.say(&format!("PEXPIRE {name} 1"));
    eventually("the window ends", async || left() == -2).await;
    let first = sidecar.get("/x").await;
    assert_eq!(
        (first.status, first.header("ratelimit")),
        (200, Some("\"all\";r=1;t=3600"))
    );
    assert!(left() > 3_500_000);
}

#[tokio::test]
async fn a_short_window_ends_in_memory_too() {
    let origin = hello().await;
    let rules = limit("all", ALL, "{client_ip}", 1).replace("1h", "1s");
    let sidecar = Sidecar::start(&origin, "memory:", &rules).await;
    assert_eq!(sidecar.get("/x").await.status, 200);
    eventually("the window ends", async || {
        sidecar.get("/x").await.status == 200
    })
    .await;
}

#[tokio::test]
async fn what_is_no_count_is_replaced_and_what_would_last_for_ever_is_given_an_end() {
    let (redis, origin) = (RedisServer::start(), hello().await);
    let rules = limit("all", ALL, "{client_ip}", 3);
    let sidecar = Sidecar::start(&origin, &redis.url(), &rules).await;
    enforced(&sidecar).await;
    let name = counter(&redis);
    for foreign in [
        "SET {} many",
        "SET {} 1e3",
        "SET {} -5",
        "SET {} 99999999999999999999",
    ] {
        redis.say(&foreign.replace("{}", &name));
        assert_eq!(sidecar.get("/x").await.status, 200, "{foreign}");
        assert_eq!(redis.say(&format!("GET {name}")), "1", "{foreign}");
    }
    redis.say(&format!("UNLINK {name}"));
    redis.say(&format!("LPUSH {name} a"));
    assert_eq!(sidecar.get("/x").await.status, 200);
    redis.say(&format!("PERSIST {name}"));
    assert_eq!(sidecar.get("/x").await.status, 200);
    let left: i64 = redis.say(&format!("PTTL {name}")).parse().expect("a time");
    assert!((1..=3_600_000).contains(&left), "{left}");
    redis.say(&format!("SET {name} 7"));
    assert!(is_limited(&sidecar.get("/x").await));
}

#[tokio::test]
async fn without_redis_nothing_is_enforced_and_nobody_waits_for_it_again_and_again() {
    let (mut redis, origin) = (RedisServer::start(), hello().await);
    let rules = limit("all", ALL, "{client_ip}", 2);
    let sidecar = Sidecar::impatient(&origin, &redis.url(), &rules).await;
    enforced(&sidecar).await;
    let unenforced = async || counted(&sidecar, "all", "unenforced").await.unwrap_or(0);
    let before = unenforced().await;
    redis.stop();
    for _ in 0..6 {
        let got = sidecar.get("/x").await;
        assert_eq!((got.status, got.header("ratelimit")), (200, None));
    }
    // Three without an answer, and Redis is left alone.
    let asked = evalsha(&sidecar).await;
    assert_eq!(sidecar.get("/x").await.status, 200);
    assert_eq!(evalsha(&sidecar).await, asked);
    assert_eq!(unenforced().await - before, 7);
    redis.cont();
    enforced(&sidecar).await;
    redis.kill();
    eventually("its end is noticed", async || {
        sidecar.get("/x").await.header("ratelimit").is_none()
    })
    .await;
    redis.restart();
    enforced(&sidecar).await;
    let left = sidecar.get("/x").await;
    assert_eq!(
        left.header("ratelimit").map(|left| &left[..9]),
        Some("\"all\";r=0")
    );
    assert!(is_limited(&sidecar.get("/x").await));
}

async fn evalsha(sidecar: &Sidecar) -> Option<String> {
    let text = sidecar.door("GET", "/metrics", "").await.text();
    let prefix = "sidecache_store_commands_total{command=\"evalsha\"}";
    let mut lines = text.lines();
    lines.find_map(|line| line.strip_prefix(prefix).map(str::to_owned))
}

#[tokio::test]
async fn a_full_redis_lets_newcomers_through_and_holds_back_who_was() {
    let (redis, origin) = (RedisServer::start(), hello().await);
    let rules = limit("all", "\"GET /{id}\"", "{id}", 2);
    let sidecar = Sidecar::start(&origin, &redis.url(), &rules).await;
    enforced(&sidecar).await;
    sidecar.get("/x").await;
    redis.say("CONFIG SET maxmemory 1");
    assert!(is_limited(&sidecar.get("/x").await));
    for _ in 0..4 {
        assert_eq!(sidecar.get("/y").await.status, 200);
    }
    redis.say("CONFIG SET maxmemory 0");
    for status in [200, 200, 429] {
        assert_eq!(sidecar.get("/y").await.status, status);
    }
}

#[tokio::test]
async fn who_is_held_back_by_one_limit_uses_up_none_of_another() {
    let (redis, origin) = (RedisServer::start(), hello().await);
    for store in ["memory:", &redis.url()] {
        let rules = limit("own", "\"GET /{id}\"", "{id}", 2) + &limit("all", ALL, "everybody", 5);
        let sidecar = Sidecar::start(&origin, store, &rules).await;
        for status in [200, 200, 429, 429, 429, 429] {
            assert_eq!(sidecar.get("/greedy").await.status, status);
        }
        for (target, status) in [("/a", 200), ("/b", 200), ("/a", 200), ("/b", 429)] {
            assert_eq!(sidecar.get(target).await.status, status, "{target}");
        }
        assert_eq!(counted(&sidecar, "own", "limited").await, Some(4));
        assert_eq!(counted(&sidecar, "all", "limited").await, Some(1));
    }
}

#[tokio::test]
async fn sealed_stores_hide_the_names_of_counters_too() {
    let (redis, origin) = (RedisServer::start(), hello().await);
    let seal =
        "[store]\nseal = \"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=\"\ntimeout = \"20s\"";
    let file = head(origin.address, &redis.url()).replace("[store]", seal);
    let file = file + &limit("all", ALL, "{client_ip}", 2);
    let (one, other) = (
        Sidecar::with_file(&file).await,
        Sidecar::with_file(&file).await,
    );
    enforced(&one).await;
    enforced(&other).await;
    assert!(is_limited(&one.get("/x").await));
    assert_eq!(redis.say("KEYS *rate-limit*"), "");
    assert_ne!(redis.say("KEYS test:*"), "");
}

#[tokio::test]
async fn limits_of_one_namespace_are_not_anothers() {
    let (redis, origin) = (RedisServer::start(), Origin::register().await);
    let file = |namespace: &str| {
        let head = head(origin.address, &redis.url()).replace("\"test\"", namespace);
        let head = head.replace("[store]", "[store]\ntimeout = \"20s\"");
        head + &limit("all", ALL, "everybody", 1)
    };
    let one = Sidecar::with_file(&file("\"one\"")).await;
    let other = Sidecar::with_file(&file("\"other\"")).await;
    enforced(&one).await;
    enforced(&other).await;
    assert!(is_limited(&one.get("/x").await) && is_limited(&other.get("/x").await));
}

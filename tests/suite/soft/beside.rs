//! What a soft drop meets: a seal, groups, parts.

use super::*;
use crate::world::{Asked, Reply, head};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::SeqCst};

const SEAL: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

async fn sealed(origin: &Origin, redis: &RedisServer) -> Sidecar {
    let store = format!("[store]\ntimeout = \"20s\"\nseal = \"{SEAL}\"");
    let head = head(origin.address, &redis.url()).replace("[store]", &store);
    Sidecar::with_file(&format!("{head}{}", rules(LONG))).await
}

/// How many digits each value ends with, as the moments of soft drops do.
fn digits(redis: &RedisServer) -> BTreeSet<usize> {
    let names = redis.say("KEYS *");
    let lengths = names.lines().map(|name| {
        let value = redis.say(&format!("GET {name}"));
        let ends = value.bytes().rev().take_while(|byte| byte.is_ascii_digit());
        ends.count()
    });
    lengths.collect()
}

#[tokio::test]
async fn a_soft_drop_finds_what_is_kept_under_hidden_names() {
    let (origin, redis) = (Origin::register().await, RedisServer::start());
    let [one, two] = [sealed(&origin, &redis).await, sealed(&origin, &redis).await];
    for sidecar in [&one, &two] {
        kept(sidecar).await;
    }
    assert!(digits(&redis).iter().all(|digits| *digits < 16));
    let n = write(&one, "count").await;
    assert!(digits(&redis).iter().any(|digits| *digits >= 16));
    let got = two.get(THING).await;
    assert_eq!((got.n(), got.outcome()), (n - 1, "stale"));
    for sidecar in [&two, &one] {
        assert_eq!(newer(sidecar, n).await.outcome(), "hit");
    }
    write(&one, "count").await;
    let n = write(&one, "change").await;
    let got = two.get(THING).await;
    assert_eq!((got.n(), got.outcome()), (n, "miss"));
    assert!(!redis.say("KEYS *").contains("thing"), "names are hidden");
}

/// A register whose answers belong to a group, which one of its writes says is to be forgotten.
async fn grouped() -> Origin {
    let value = Arc::new(AtomicI64::new(0));
    Origin::start(move |asked: Asked| {
        let is_write = i64::from(asked.method != "GET");
        let n = value.fetch_add(is_write, SeqCst) + is_write;
        async move {
            let reply = Reply::json(format!("{{\"n\": {n}}}"));
            match &*asked.target {
                THING => reply.header("cache-groups", "\"things\", \"all\""),
                "/api/group/1" => reply.header("cache-group-invalidation", "\"things\""),
                _ => reply,
            }
        }
    })
    .await
}

async fn is_soft_by_its_set_and_not_by_its_group(one: &Sidecar, two: &Sidecar) {
    kept(one).await;
    kept(two).await;
    let n = write(one, "count").await;
    let got = two.get(THING).await;
    assert_eq!((got.n(), got.outcome()), (n - 1, "stale"));
    for sidecar in [two, one] {
        assert_eq!(newer(sidecar, n).await.outcome(), "hit");
    }
    for order in [["count", "group"], ["group", "count"]] {
        write(one, order[0]).await;
        let n = write(one, order[1]).await;
        let got = two.get(THING).await;
        assert_eq!((got.n(), got.outcome()), (n, "miss"), "{order:?}");
        for sidecar in [two, one] {
            assert_eq!(kept(sidecar).await.n(), n);
        }
    }
}

#[tokio::test]
async fn what_belongs_to_a_group_is_softly_dropped_by_its_set_and_for_good_by_its_group() {
    let (origin, redis) = (grouped().await, RedisServer::start());
    let start = async || Sidecar::start(&origin, &redis.url(), &rules(LONG)).await;
    let [one, two, cold] = [start().await, start().await, start().await];
    is_soft_by_its_set_and_not_by_its_group(&one, &two).await;
    // Who has nothing in memory learns of the groups from the answer itself.
    let n = write(&one, "count").await;
    let got = cold.get(THING).await;
    assert_eq!((got.n(), got.outcome()), (n - 1, "stale"));
    let memory = Sidecar::start(&origin, "memory:", &rules(LONG)).await;
    is_soft_by_its_set_and_not_by_its_group(&memory, &memory).await;
}

#[tokio::test]
async fn a_cold_sidecar_serves_nothing_that_was_dropped_softly_and_with_its_group() {
    let (origin, redis) = (grouped().await, RedisServer::start());
    let start = async || Sidecar::start(&origin, &redis.url(), &rules(LONG)).await;
    let [one, cold] = [start().await, start().await];
    kept(&one).await;
    write(&one, "count").await;
    let n = write(&one, "group").await;
    let got = cold.get(THING).await;
    assert_eq!((got.n(), got.outcome()), (n, "miss"));
}

const TEXT: &str = "0123456789";

/// An origin that answers the one range that it is asked for, under a tag that never changes.
async fn in_parts() -> Origin {
    Origin::start(|asked: Asked| {
        let range = asked.header("range").map(str::to_owned);
        async move {
            let reply = match range.as_deref() {
                Some("bytes=0-3") => {
                    Reply::of(206, "text/plain", &TEXT[..4]).header("content-range", "bytes 0-3/10")
                }
                _ => Reply::of(200, "text/plain", TEXT),
            };
            reply
                .header("etag", "\"always\"")
                .header("cache-control", "max-age=600, stale-while-revalidate=600")
        }
    })
    .await
}

#[tokio::test]
async fn a_part_that_was_softly_dropped_is_neither_served_nor_completed() {
    let rules = rules(LONG).replace("\"5m\"", "\"origin\"");
    let (origin, redis) = (in_parts().await, RedisServer::start());
    let sidecar = Sidecar::start(&origin, &redis.url(), &rules).await;
    let first = [("range", "bytes=0-3")];
    let drop_softly = async || {
        eventually("a part is kept", async || {
            sidecar.get_with(THING, &first).await.outcome() == "hit"
        })
        .await;
        let got = sidecar.ask("PATCH", "/api/count/1", &[], "").await;
        assert_eq!(got.status, 200);
    };
    drop_softly().await;
    let got = sidecar.get_with(THING, &first).await;
    assert_eq!((got.status, got.text()), (206, TEXT[..4].to_owned()));
    assert_eq!(got.cache_status(), "sidecache; fwd=miss; stored");
    drop_softly().await;
    let got = sidecar.get(THING).await;
    assert_eq!((got.status, got.text()), (200, TEXT.to_owned()));
    assert_eq!(got.outcome(), "miss");
    assert_eq!(origin.last().header("range"), None, "it is fetched whole");
}

//! One sidecar alone cannot reach Redis: what it answers meanwhile.

use super::{RULES, SLOW, raise};
use crate::redis::{RedisServer, eventually};
use crate::world::{Asked, Origin, Reply, Sidecar};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::SeqCst};

/// One number: `POST` raises it, `GET` reads it at once and tells it later.
async fn slow_register() -> Origin {
    let value = Arc::new(AtomicI64::new(0));
    Origin::start(move |asked: Asked| {
        let value = value.clone();
        async move {
            if asked.method == "POST" {
                let n = value.fetch_add(1, SeqCst) + 1;
                return Reply::json(format!("{{\"n\": {n}}}"));
            }
            let n = value.load(SeqCst);
            tokio::time::sleep(SLOW).await;
            Reply::json(format!("{{\"n\": {n}}}"))
        }
    })
    .await
}

#[tokio::test]
async fn a_read_after_a_write_through_another_never_joins_a_fetch_from_before_it() {
    let (redis, away) = (RedisServer::start(), RedisServer::absent(&[]));
    let origin = slow_register().await;
    let cut_off = Arc::new(Sidecar::impatient(&origin, &away.url(), RULES).await);
    let other = Sidecar::start(&origin, &redis.url(), RULES).await;
    for _ in 0..5 {
        let before = origin.count();
        let early = {
            let cut_off = cut_off.clone();
            tokio::spawn(async move { cut_off.get("/value/a").await })
        };
        eventually("it is fetched", async || origin.count() > before).await;
        let written = raise(&other, "a").await.n();
        assert_eq!(cut_off.get("/value/a").await.n(), written);
        assert!(early.await.expect("answered").n() < written);
    }
}

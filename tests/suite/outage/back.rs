//! Redis comes back while writes are under way.

use super::{RULES, is_kept, metric, owed, raise};
use crate::redis::{RedisServer, eventually};
use crate::world::{Asked, Origin, Reply, Sidecar};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::SeqCst};
use tokio::sync::Semaphore;

/// One number: `POST` raises it when it is let, `GET` reads it.
async fn gated_register(gate: Arc<Semaphore>) -> Origin {
    let value = Arc::new(AtomicI64::new(0));
    Origin::start(move |asked: Asked| {
        let (value, gate) = (value.clone(), gate.clone());
        async move {
            let raised = i64::from(asked.method == "POST");
            if raised == 1 {
                gate.acquire().await.expect("it stays open").forget();
            }
            let n = value.fetch_add(raised, SeqCst) + raised;
            Reply::json(format!("{{\"n\": {n}}}"))
        }
    })
    .await
}

#[tokio::test]
async fn a_write_begun_without_redis_that_ends_with_it_drops_at_once_and_owes_nothing() {
    let mut redis = RedisServer::absent(&[]);
    let gate = Arc::new(Semaphore::new(0));
    let origin = gated_register(gate.clone()).await;
    let sidecar = Arc::new(Sidecar::impatient(&origin, &redis.url(), RULES).await);
    let write = {
        let sidecar = sidecar.clone();
        tokio::spawn(async move { raise(&sidecar, "a").await })
    };
    eventually("the origin has it", async || origin.count() == 1).await;
    redis.restart();
    eventually("Redis is used", async || {
        metric(&sidecar, "sidecache_store_up ").await == 1
    })
    .await;
    is_kept(&sidecar, "/value/a").await;
    gate.add_permits(1);
    assert_eq!(write.await.expect("answered").n(), 1);
    // Else a sidecar that is written through all the time would be parted from Redis for ever: some
    // write was always begun before the last debt was paid.
    assert_eq!(metric(&sidecar, "sidecache_store_up ").await, 1);
    assert_eq!(owed(&sidecar).await, 0);
    assert_eq!(sidecar.get("/value/a").await.n(), 1);
}

//! One sidecar alone cannot reach Redis: what it answers meanwhile.

use super::{RULES, connected, gated_register, raise};
use crate::redis::{RedisServer, eventually};
use crate::world::Sidecar;
use std::sync::Arc;

#[tokio::test]
async fn a_read_after_a_write_through_another_never_joins_a_fetch_from_before_it() {
    let (redis, away) = (RedisServer::start(), RedisServer::absent(&[]));
    let (origin, gate) = gated_register().await;
    let cut_off = Arc::new(Sidecar::impatient(&origin, &away.url(), RULES).await);
    let other = Sidecar::start(&origin, &redis.url(), RULES).await;
    let read = || {
        let cut_off = cut_off.clone();
        tokio::spawn(async move { cut_off.get("/value/a").await.n() })
    };
    for _ in 0..5 {
        connected(&cut_off, 0).await;
        let before = origin.count();
        let early = read();
        eventually("it is fetched", async || origin.count() > before).await;
        let written = raise(&other, "a").await.n();
        let late = read();
        connected(&cut_off, 2).await;
        gate.add_permits(2);
        assert_eq!(late.await.expect("answered"), written);
        assert!(early.await.expect("answered") < written);
    }
}

//! Locks: taken by one, seen by all, gone by themselves.

use super::*;
use sidecache::store::{Lock, Locked};

const LOCK: &str = "clinic:entry:doctors!0123456789abcdef0123456789abcdef";
const LIFE: Duration = Duration::from_secs(60);

async fn seen(store: &Store) -> Lock {
    let nodes = nodes();
    let sought = Sought {
        lock: Some(LOCK),
        ..sought(&nodes)
    };
    store.look(sought).await.expect("up").lock
}

#[tokio::test]
async fn a_lock_is_taken_by_one_and_seen_by_all() {
    let redis = RedisServer::start();
    let (store, other) = (connected(&redis).await, connected(&redis).await);
    assert_eq!(seen(&other).await, Lock::Free);
    assert_eq!(store.lock(LOCK, LIFE).await, Locked::Ours);
    assert_eq!(other.lock(LOCK, LIFE).await, Locked::Others);
    assert_eq!(seen(&other).await, Lock::Held);
    store.restless(LOCK, LIFE).await;
    assert_eq!(seen(&other).await, Lock::Restless);
    assert_eq!(other.lock(LOCK, LIFE).await, Locked::Others);
    store.release(LOCK).await;
    assert_eq!(seen(&other).await, Lock::Free);
    assert_eq!(other.lock(LOCK, LIFE).await, Locked::Ours);
}

#[tokio::test]
async fn a_lock_lives_as_long_as_it_was_last_told_to() {
    let redis = RedisServer::start();
    let store = connected(&redis).await;
    let life = || -> i64 {
        let left = redis.say(&format!("PTTL {LOCK}"));
        left.parse().expect("a number")
    };
    assert_eq!(store.lock(LOCK, LIFE).await, Locked::Ours);
    assert!((1..=60_000).contains(&life()));
    store.hold(LOCK, 2 * LIFE).await;
    assert!((60_001..=120_000).contains(&life()));
    store.hold(LOCK, Duration::ZERO).await;
    crate::redis::eventually("gone", async || seen(&store).await == Lock::Free).await;
    store.hold(LOCK, LIFE).await;
    assert_eq!(seen(&store).await, Lock::Free, "holding takes nothing");
}

#[tokio::test]
async fn a_lock_is_not_taken_for_the_marker_beside_it() {
    let redis = RedisServer::start();
    let (store, nodes) = (connected(&redis).await, nodes());
    let both = Sought {
        lock: Some(LOCK),
        ..with_marker(&nodes, "clinic:!vary")
    };
    assert_eq!(store.lock(LOCK, LIFE).await, Locked::Ours);
    let look = store.look(both).await.expect("up");
    assert_eq!((look.marker, look.lock), (None, Lock::Held));
    let marker = Bytes::from_static(b"accept");
    store
        .put_marker("clinic:!vary", marker.clone())
        .await
        .expect("up");
    let look = store.look(both).await.expect("up");
    assert_eq!((look.marker, look.lock), (Some(marker), Lock::Held));
    let alone = store
        .look(with_marker(&nodes, "clinic:!vary"))
        .await
        .expect("up");
    assert_eq!(alone.lock, Lock::Free, "it was not asked for");
}

#[tokio::test]
async fn a_store_that_cannot_lock_says_so() {
    let mut redis = RedisServer::start();
    let (store, holder) = (connected(&redis).await, connected(&redis).await);
    assert_eq!(holder.lock(LOCK, LIFE).await, Locked::Ours);
    redis.say("CONFIG SET maxmemory 1");
    assert_eq!(store.lock(LOCK, LIFE).await, Locked::Nobodys, "full");
    holder.restless(LOCK, LIFE).await;
    assert_eq!(seen(&store).await, Lock::Free, "released instead");
    redis.kill();
    assert_eq!(store.lock(LOCK, LIFE).await, Locked::Nobodys, "gone");
    let memory = open_with(&settings(StoreUrl::Memory), Arc::new(Metrics::new()));
    assert_eq!(memory.lock(LOCK, LIFE).await, Locked::Nobodys);
    assert_eq!(seen(&memory).await, Lock::Free);
}

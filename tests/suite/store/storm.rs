//! Readers and writers on two stores of one Redis, which hangs, is emptied and refuses drops
//! meanwhile: no reader is ever served what is older than a write acknowledged before it began.

use super::*;
use crate::redis::{PATIENCE, eventually};
use sidecache::store::Bumped;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::Instant;

/// How often something is done to Redis.
const TORMENTS: u32 = 9;

/// Hits that must follow each time, for the test to mean something.
const HITS: u64 = 300;

#[derive(Default)]
struct World {
    /// What the origin would answer.
    committed: AtomicU64,
    /// The last write whose drop reached Redis.
    acknowledged: AtomicU64,
    hits: AtomicU64,
    over: AtomicBool,
}

/// Reads as a sidecar does: serves what matches, fills what does not.
async fn read(store: &Store, world: &World) {
    let acknowledged = world.acknowledged.load(SeqCst);
    let Ok(look) = store.look(sought(&nodes())).await else {
        tokio::task::yield_now().await;
        return;
    };
    if let Some(body) = served(&look) {
        let value: u64 = String::from_utf8_lossy(&body).parse().expect("a number");
        assert!(
            value >= acknowledged,
            "{value} was served after {acknowledged}"
        );
        world.hits.fetch_add(1, SeqCst);
        return;
    }
    let Ok(versions) = store.snapshot(&nodes()).await else {
        return;
    };
    let answer = world.committed.load(SeqCst).to_string();
    tokio::task::yield_now().await;
    let _ = store.keep(KEY, entry(versions, answer)).await;
}

/// Writes as a sidecar does. A drop that is owed promises nothing to other sidecars, so this writer
/// waits until it is paid before it calls the write acknowledged. Then it lets a reader hit.
async fn write(store: &Store, world: &World) {
    let value = world.committed.fetch_add(1, SeqCst) + 1;
    let bumped = store.bump(&nodes()).await;
    let deadline = Instant::now() + PATIENCE;
    while bumped == Bumped::Owed && store.owed() > 0 {
        assert!(Instant::now() < deadline, "the debt is not paid");
        tokio::task::yield_now().await;
    }
    world.acknowledged.fetch_max(value, SeqCst);
    let hits = world.hits.load(SeqCst);
    while world.hits.load(SeqCst) == hits && store.up() && !world.over.load(SeqCst) {
        assert!(Instant::now() < deadline, "nobody reads what was written");
        tokio::task::yield_now().await;
    }
}

/// Long enough that the breakers open.
async fn hang(redis: &RedisServer) {
    redis.stop();
    tokio::time::sleep(TIMEOUT * 2).await; // the hang itself, not a wait for something
    redis.cont();
}

/// What is not dropped now must be dropped later by paying: nothing of it is under way.
async fn refuse_drops(redis: &RedisServer, writing: &Store) {
    redis.say("ACL SETUSER default -unlink");
    eventually("a drop is refused", async || writing.owed() > 0).await;
    redis.say("ACL SETUSER default +unlink");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_read_is_older_than_a_write_acknowledged_before_it() {
    let redis = RedisServer::start();
    let stores = [connected(&redis).await, connected(&redis).await];
    let world = Arc::new(World::default());
    let mut tasks = Vec::new();
    for number in 0..8 {
        let (store, world) = (stores[number % 2].clone(), world.clone());
        tasks.push(tokio::spawn(async move {
            while !world.over.load(SeqCst) {
                if number == 0 {
                    write(&store, &world).await
                } else {
                    read(&store, &world).await
                }
            }
        }));
    }
    for torment in 0..TORMENTS {
        let hits = world.hits.load(SeqCst);
        match torment % 3 {
            0 => hang(&redis).await,
            1 => drop(redis.say("FLUSHALL")),
            _ => refuse_drops(&redis, &stores[0]).await,
        }
        eventually("service resumes", async || {
            world.hits.load(SeqCst) > hits + HITS
        })
        .await;
    }
    world.over.store(true, SeqCst);
    for task in tasks {
        task.await.expect("no reader saw an old answer");
    }
}

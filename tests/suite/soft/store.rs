use crate::redis::{RedisServer, eventually};
use crate::store::{KEY, connected, look, nodes, open_with, redis_url, settings};
use sidecache::entry::{Entry, Version};
use sidecache::metrics::Metrics;
use sidecache::rules::settings::StoreUrl;
use sidecache::store::{Bump, Bumped, Leased, Store};
use std::sync::Arc;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(60);

fn softly(nodes: &[String]) -> Bump {
    Bump {
        soft: nodes.to_vec(),
        ..Bump::default()
    }
}

async fn settle(store: &Store, bump: Bump) {
    let nodes: Vec<_> = bump.nodes().cloned().collect();
    let leased = store.lease(&nodes, LONG).await;
    assert_eq!(store.settle(leased, bump, false).await, Bumped::Done);
}

async fn fill(store: &Store) -> Vec<Version> {
    let entry: Arc<Entry> = crate::store::fill(store, "old").await;
    entry.versions.clone()
}

/// Both places, each empty.
async fn places() -> (RedisServer, [Store; 2]) {
    let redis = RedisServer::start();
    let memory = open_with(&settings(StoreUrl::Memory), Arc::new(Metrics::new()));
    let stores = [connected(&redis).await, memory];
    (redis, stores)
}

#[tokio::test]
async fn a_soft_drop_ends_versions_and_tells_since_when() {
    let (_redis, stores) = places().await;
    for store in &stores {
        let before = fill(store).await;
        assert_eq!(look(store).await.softened_ms, None);
        settle(store, softly(&nodes()[1..])).await;
        let seen = look(store).await;
        assert_eq!(seen.versions[0], Some(before[0]));
        assert!(seen.versions[1].is_some_and(|version| version != before[1]));
        assert!(seen.softened_ms.is_some_and(|passed| passed < 60_000));
        eventually("time passes", async || {
            look(store).await.softened_ms > seen.softened_ms
        })
        .await;
        assert_ne!(fill(store).await, before);
        assert_eq!(look(store).await.softened_ms, None, "fresh again");
    }
}

#[tokio::test]
async fn what_was_dropped_for_good_is_not_softened_before_or_after() {
    let (_redis, stores) = places().await;
    for store in &stores {
        for order in [[true, false], [false, true]] {
            fill(store).await;
            for soft in order {
                match soft {
                    true => settle(store, softly(&nodes())).await,
                    false => settle(store, Bump::hard(&nodes()[..1])).await,
                }
            }
            let snapshot = store.snapshot(&nodes()).await.expect("the store is up");
            let seen = look(store).await;
            assert!(seen.entry.is_some() && seen.softened_ms.is_none());
            assert!(
                snapshot
                    .iter()
                    .zip(&seen.versions)
                    .all(|(a, b)| Some(*a) == *b)
            );
        }
    }
}

#[tokio::test]
async fn the_root_is_only_ever_dropped_for_good() {
    let (_redis, stores) = places().await;
    for store in &stores {
        let all = vec!["clinic:*".to_owned(), nodes()[0].clone()];
        store.snapshot(&all).await.expect("the store is up");
        settle(store, softly(&all)).await;
        let again = store.snapshot(&all[..1]).await.expect("the store is up");
        let seen = store.snapshot(&all).await.expect("the store is up");
        assert_eq!(again[0], seen[0]);
    }
}

#[tokio::test]
async fn a_softly_dropped_node_lives_as_long_as_it_would_have() {
    let redis = RedisServer::start();
    let store = connected(&redis).await;
    fill(&store).await;
    let left = |node: &str| -> i64 {
        let left = redis.say(&format!("PTTL {node}"));
        left.trim_start_matches(':').parse().expect("a number")
    };
    let other = store.lease(&nodes(), LONG).await;
    settle(&store, softly(&nodes())).await;
    assert!(
        (1..=60_000).contains(&left(&nodes()[0])),
        "another write is under way"
    );
    let node = &nodes()[..1];
    assert_eq!(store.settle(other, softly(node), false).await, Bumped::Done);
    assert!(left(&nodes()[0]) > 60_000);
    let gone = redis.say(&format!("UNLINK {}", nodes()[0]));
    assert!(gone.ends_with('1'));
    settle(&store, softly(&nodes())).await;
    assert_eq!(left(&nodes()[0]), -2, "an absent node stays absent");
}

#[tokio::test]
async fn a_soft_drop_that_cannot_be_told_or_done_is_a_drop_for_good() {
    let redis = RedisServer::start();
    let store = connected(&redis).await;
    fill(&store).await;
    let leased = store.lease(&nodes(), LONG).await;
    redis.say("CONFIG SET maxmemory 1");
    assert_eq!(
        store.settle(leased, softly(&nodes()[..1]), false).await,
        Bumped::Done
    );
    assert_eq!(look(&store).await.versions[0], None, "a full Redis deletes");
    redis.say("CONFIG SET maxmemory 0");
    fill(&store).await;
    assert_eq!(
        store.settle(Leased::Refused, softly(&nodes()), false).await,
        Bumped::Done
    );
    assert!(look(&store).await.versions.iter().all(Option::is_none));
    fill(&store).await;
    assert_eq!(
        store.settle(Leased::Down, softly(&nodes()), false).await,
        Bumped::Owed
    );
    let absent = async || match store.look(crate::store::sought(&nodes())).await {
        Ok(seen) => seen.versions.iter().all(Option::is_none),
        Err(_) => false,
    };
    eventually("what was owed is paid", absent).await;
}

#[tokio::test]
async fn hits_cost_what_they_did_and_a_softened_look_one_time_per_connection() {
    let redis = RedisServer::start();
    let store = open_with(&settings(redis_url(redis.url())), Arc::new(Metrics::new()));
    eventually("the store is up", async || store.connected().await).await;
    fill(&store).await;
    let asked = || ["mget", "get", "time"].map(|command| redis.calls(command));
    let before = asked();
    look(&store).await;
    assert_eq!(asked(), [before[0] + 1, before[1], before[2]]);
    let scripts = redis.calls("evalsha");
    settle(&store, softly(&nodes())).await;
    assert!(
        redis.calls("evalsha") - scripts <= 4,
        "lease and settle, each perhaps unknown at first"
    );
    let before = asked();
    for _ in 0..5 {
        assert!(look(&store).await.softened_ms.is_some());
    }
    // One GET, because what is in memory here may have been fetched anew elsewhere.
    assert_eq!(asked(), [before[0] + 5, before[1] + 1, before[2] + 1]);
    assert_eq!(
        redis.say(&format!("EXISTS {KEY}")).trim_start_matches(':'),
        "1"
    );
}

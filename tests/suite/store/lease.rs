//! Leases: a write that is never settled still ends what it may have changed.

use super::*;
use crate::redis::eventually;
use sidecache::store::{Bump, Bumped, Lease, Leased};

const SHORT: Duration = Duration::from_millis(400);
const LONG: Duration = Duration::from_secs(60);

async fn granted(store: &Store, nodes: &[String], duration: Duration) -> Lease {
    match store.lease(nodes, duration).await {
        Leased::Granted(lease) => lease,
        other => panic!("not granted: {other:?}"),
    }
}

/// Milliseconds that a node has left; -2 where it is absent.
fn left(redis: &RedisServer, node: &str) -> i64 {
    redis
        .say(&format!("PTTL {node}"))
        .trim()
        .trim_start_matches(':')
        .parse()
        .expect("a number")
}

async fn all_absent(store: &Store) -> bool {
    look(store).await.versions.iter().all(Option::is_none)
}

#[tokio::test]
async fn a_write_whose_sidecar_dies_ends_its_nodes_at_the_deadline() {
    let redis = RedisServer::start();
    let store = connected(&redis).await;
    fill(&store, "old").await;
    let lease = granted(&store, &nodes(), SHORT).await;
    assert!(
        served(&look(&store).await).is_some(),
        "usable while the write is in flight"
    );
    drop(lease); // killed: nobody settles
    eventually("Redis deletes the nodes by itself", async || {
        all_absent(&store).await
    })
    .await;
}

#[tokio::test]
async fn a_node_made_while_a_write_is_pending_dies_with_it_too() {
    let redis = RedisServer::start();
    let store = connected(&redis).await;
    granted(&store, &nodes(), SHORT).await;
    fill(&store, "read at the origin before the commit").await;
    assert!(
        nodes()
            .iter()
            .all(|node| left(&redis, node) <= SHORT.as_millis() as i64)
    );
    eventually("Redis deletes the nodes by itself", async || {
        all_absent(&store).await
    })
    .await;
    fill(&store, "new").await;
    assert!(
        nodes()
            .iter()
            .all(|node| left(&redis, node) > LONG.as_millis() as i64),
        "the intent is over"
    );
}

#[tokio::test]
async fn settling_one_write_does_not_lift_the_lease_of_another() {
    let redis = RedisServer::start();
    let (store, other) = (connected(&redis).await, connected(&redis).await);
    fill(&store, "old").await;
    let crashed = granted(&other, &nodes(), SHORT).await;
    let settled = granted(&store, &nodes(), LONG).await;
    assert_eq!(
        store
            .settle(Leased::Granted(settled), Bump::hard(nodes()), false)
            .await,
        Bumped::Done
    );
    drop(crashed);
    fill(&store, "read before the other commit").await;
    eventually("the other lease still ends the nodes", async || {
        all_absent(&store).await
    })
    .await;
}

#[tokio::test]
async fn a_refused_write_drops_nothing_and_gives_the_lifetime_back() {
    let redis = RedisServer::start();
    let store = connected(&redis).await;
    fill(&store, "old").await;
    let lease = granted(&store, &nodes(), LONG).await;
    assert!(
        nodes()
            .iter()
            .all(|node| left(&redis, node) <= LONG.as_millis() as i64)
    );
    assert_eq!(
        store
            .settle(Leased::Granted(lease), Bump::default(), false)
            .await,
        Bumped::Done
    );
    assert_eq!(served(&look(&store).await).as_deref(), Some(&b"old"[..]));
    assert!(
        nodes()
            .iter()
            .all(|node| left(&redis, node) > LONG.as_millis() as i64)
    );
    assert_eq!(
        redis.say("EXISTS clinic:node:doctors!").trim(),
        "0",
        "no intent is left behind"
    );
}

#[tokio::test]
async fn a_write_of_unknown_end_drops_now_and_once_more_at_the_deadline() {
    let redis = RedisServer::start();
    let store = connected(&redis).await;
    fill(&store, "old").await;
    let lease = granted(&store, &nodes(), SHORT).await;
    assert_eq!(
        store
            .settle(Leased::Granted(lease), Bump::hard(nodes()), true)
            .await,
        Bumped::Done
    );
    assert!(all_absent(&store).await, "now");
    fill(&store, "read before the late commit").await;
    eventually("and again", async || all_absent(&store).await).await;
}

#[tokio::test]
async fn a_drop_that_needed_the_answer_leases_the_node_above_and_leaves_it_alive() {
    let redis = RedisServer::start();
    let store = connected(&redis).await;
    fill(&store, "old").await;
    let [above, exact] = [nodes()[0].clone(), nodes()[1].clone()];
    let lease = granted(&store, std::slice::from_ref(&above), LONG).await;
    let bumped = store
        .settle(Leased::Granted(lease), Bump::hard([exact.clone()]), false)
        .await;
    assert_eq!(bumped, Bumped::Done);
    assert_eq!(left(&redis, &exact), -2);
    assert!(left(&redis, &above) > LONG.as_millis() as i64);
}

#[tokio::test]
async fn a_write_that_redis_refuses_to_lease_still_drops_and_is_counted() {
    let redis = RedisServer::start();
    let metrics = Arc::new(Metrics::new());
    let store = open_with(&settings(redis_url(redis.url())), metrics.clone());
    eventually("up", async || store.up()).await;
    fill(&store, "old").await;
    redis.say("ACL SETUSER default -zadd");
    let lease = store.lease(&nodes(), LONG).await;
    assert!(matches!(lease, Leased::Refused));
    assert_eq!(
        store.settle(lease, Bump::hard(nodes()), false).await,
        Bumped::Done
    );
    assert!(all_absent(&store).await);
    assert!(
        metrics
            .encode()
            .contains("sidecache_write_leases_total{result=\"refused\"} 1\n")
    );
}

#[tokio::test]
async fn a_full_redis_still_settles() {
    let redis = RedisServer::start();
    let store = connected(&redis).await;
    fill(&store, "old").await;
    let lease = granted(&store, &nodes(), LONG).await;
    redis.say("CONFIG SET maxmemory-policy noeviction");
    redis.say("CONFIG SET maxmemory 1");
    assert_eq!(
        store
            .settle(Leased::Granted(lease), Bump::hard(nodes()), false)
            .await,
        Bumped::Done
    );
    assert!(all_absent(&store).await);
}

#[tokio::test]
async fn a_write_costs_one_script_before_and_one_after() {
    let redis = RedisServer::start();
    let store = connected(&redis).await;
    let lease = granted(&store, &nodes(), LONG).await; // teaches Redis the script
    assert_eq!(
        store
            .settle(Leased::Granted(lease), Bump::hard(nodes()), false)
            .await,
        Bumped::Done
    );
    redis.say("CONFIG RESETSTAT");
    let lease = granted(&store, &nodes(), LONG).await;
    assert_eq!((redis.calls("evalsha"), redis.calls("eval")), (1, 0));
    assert_eq!(
        store
            .settle(Leased::Granted(lease), Bump::hard(nodes()), false)
            .await,
        Bumped::Done
    );
    assert_eq!((redis.calls("evalsha"), redis.calls("eval")), (2, 0));
}

#[tokio::test]
async fn a_write_of_five_nodes_costs_30_calls_where_inner_ones_are_billed() {
    let redis = RedisServer::start();
    let store = connected(&redis).await;
    let nodes: Vec<String> = (0..5).map(|nth| format!("clinic:node:{nth}")).collect();
    let write = async || {
        store.snapshot(&nodes).await.expect("up");
        redis.say("CONFIG RESETSTAT");
        let lease = granted(&store, &nodes, LONG).await;
        let settled = store
            .settle(Leased::Granted(lease), Bump::hard(nodes.clone()), false)
            .await;
        assert_eq!(settled, Bumped::Done);
    };
    write().await; // teaches Redis the scripts
    write().await;
    let inner = [
        "time",
        "zremrangebyscore",
        "zadd",
        "zrange",
        "pexpireat",
        "unlink",
        "zrem",
        "get",
    ];
    assert_eq!(redis.calls("evalsha"), 2);
    assert_eq!(inner.map(|name| redis.calls(name)).iter().sum::<u64>(), 30);
    let stats = redis.say("INFO commandstats");
    let kinds = stats
        .lines()
        .filter(|line| line.starts_with("cmdstat_"))
        .count();
    assert_eq!(kinds, inner.len() + 3, "and evalsha, config, info: {stats}");
}

#[tokio::test]
async fn a_lease_that_redis_forgot_the_scripts_of_is_granted_all_the_same() {
    let redis = RedisServer::start();
    let store = connected(&redis).await;
    redis.say("SCRIPT FLUSH");
    let lease = granted(&store, &nodes(), LONG).await;
    redis.say("SCRIPT FLUSH");
    assert_eq!(
        store
            .settle(Leased::Granted(lease), Bump::hard(nodes()), false)
            .await,
        Bumped::Done
    );
}

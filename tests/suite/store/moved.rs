//! A cluster's node that is taken for a Redis of its own: it sends clients away with `MOVED`. It is no
//! store; a deletion is not lost to it, and the log says what to write.

use super::*;
use crate::redis::{eventually, free_port};
use sidecache::store::{Bump, Bumped, Leased};

/// Two servers that hold half of the keys each and know of one another.
async fn two_halves() -> [RedisServer; 2] {
    let server = || {
        let bus = free_port().to_string();
        RedisServer::start_with(&["--cluster-enabled", "yes", "--cluster-port", &bus])
    };
    let halves = [server(), server()];
    halves[0].say("CLUSTER ADDSLOTSRANGE 0 8191");
    halves[1].say("CLUSTER ADDSLOTSRANGE 8192 16383");
    let info = halves[1].say("CLUSTER NODES");
    let bus = info
        .split(['@', ' ', ','])
        .nth(2)
        .expect("a bus port behind the @")
        .to_owned();
    let meet = format!("CLUSTER MEET 127.0.0.1 {} {bus}", halves[1].port());
    assert_eq!(halves[0].say(&meet), "OK");
    eventually("both know all keys", async || {
        halves
            .iter()
            .all(|half| half.say("CLUSTER INFO").contains("cluster_state:ok"))
    })
    .await;
    halves
}

#[tokio::test]
async fn half_a_cluster_is_no_store_and_is_owed_what_it_is_not_told() {
    let halves = two_halves().await;
    let metrics = Arc::new(Metrics::new());
    let store = open_with(&settings(redis_url(halves[0].url())), metrics.clone());
    let refused = r#"sidecache_store_errors_total{kind="other"}"#;
    eventually("refused", async || metrics.encode().contains(refused)).await;
    let leased = store.lease(&nodes(), Duration::from_secs(35)).await;
    assert!(matches!(leased, Leased::Away), "{leased:?}");
    assert_eq!(
        store.settle(leased, Bump::hard(nodes()), false).await,
        Bumped::Owed
    );
    // Whoever did not tell the store of a write reads nothing from it.
    assert_eq!((store.owed(), store.up()), (2, false));
    assert!(store.look(sought(&nodes()[..0])).await.is_err());
    store.close().await;
}

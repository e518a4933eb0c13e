//! A Redis that answers and yet does not delete, because the key is another's: it sends clients away
//! with `MOVED`. One that serves a cluster is no store of ours yet; a deletion is not lost to it.

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

/// A node that the other half holds.
fn sent_away(half: &RedisServer) -> String {
    let names = (0..100).map(|number| format!("clinic:node:{number}:*"));
    let mut moved = names.filter(|name| half.say(&format!("GET {name}")).starts_with("-MOVED"));
    moved.next().expect("half of the keys are the other's")
}

#[tokio::test]
async fn a_deletion_that_redis_sends_away_is_owed() {
    let halves = two_halves().await;
    let store = connected(&halves[0]).await;
    let node = sent_away(&halves[0]);
    let nodes = std::slice::from_ref(&node);
    let leased = store.lease(nodes, Duration::from_secs(35)).await;
    assert!(matches!(leased, Leased::Refused), "{leased:?}");
    assert_eq!(
        store.settle(leased, Bump::hard(nodes), false).await,
        Bumped::Owed
    );
    // Whoever did not tell the store of a write reads nothing from it.
    assert_eq!((store.owed(), store.up()), (1, false));
    assert!(store.look(sought(&nodes[..0])).await.is_err());
    store.close().await;
}

//! Which commands are sent, what foreign values do, and the ways to reach Redis.

use super::*;
use crate::redis::eventually;
use sidecache::store::Bumped;
use std::collections::BTreeMap;

#[tokio::test]
async fn each_call_costs_one_command() {
    let redis = RedisServer::start();
    let (store, other) = (connected(&redis).await, connected(&redis).await);
    let counted =
        || ["mget", "get", "evalsha", "eval", "set", "unlink"].map(|name| redis.calls(name));
    store.snapshot(&nodes()).await.expect("up");
    redis.say("CONFIG RESETSTAT");
    let versions = store.snapshot(&nodes()).await.expect("up");
    assert_eq!(
        counted(),
        [1, 0, 1, 0, 0, 0],
        "the script reads all nodes at once"
    );
    redis.say("CONFIG RESETSTAT");
    store.keep(KEY, entry(versions, "body")).await.expect("up");
    assert_eq!(counted(), [0, 0, 0, 0, 1, 0]);
    look(&store).await;
    assert_eq!(
        counted(),
        [1, 0, 0, 0, 1, 0],
        "nodes alone: the body is local"
    );
    look(&other).await;
    assert_eq!(counted(), [2, 0, 0, 0, 1, 0], "entry and nodes at once");
    assert_eq!(store.bump(&nodes()).await, Bumped::Done);
    assert_eq!(
        counted(),
        [3, 0, 0, 0, 1, 1],
        "two nodes at once, and whose entries live under the root"
    );
    look(&other).await;
    assert_eq!(
        counted(),
        [4, 0, 0, 0, 1, 1],
        "nothing can match an absent node"
    );
    fill(&store, "new").await;
    redis.say("CONFIG RESETSTAT");
    assert_eq!(served(&look(&other).await).as_deref(), Some(&b"new"[..]));
    assert_eq!(counted(), [1, 1, 0, 0, 0, 0], "the local body was old");
}

#[tokio::test]
async fn the_metrics_tell_commands_and_state() {
    let redis = RedisServer::start();
    let metrics = Arc::new(Metrics::new());
    let store = open_with(&settings(redis_url(redis.url())), metrics.clone());
    assert!(metrics.encode().contains("sidecache_store_up 0\n"));
    eventually("up", async || store.up()).await;
    fill(&store, "body").await;
    look(&store).await;
    let text = metrics.encode();
    for line in ["sidecache_store_up 1", "sidecache_local_entries 1"] {
        assert!(text.contains(line), "{text}");
    }
    // The connection's own: a sign of life, which server it is, and the mark that says so.
    let of_connection = [("ping", 1), ("info", 1), ("mget", 1), ("set", 1)];
    let of_calls = [("evalsha", 1), ("eval", 1), ("mget", 1), ("set", 1)];
    let sums = of_connection.iter().chain(&of_calls);
    let sums = sums.fold(BTreeMap::new(), |mut sums, (command, times)| {
        *sums.entry(command).or_insert(0) += times;
        sums
    });
    for (command, times) in sums {
        let line = format!("sidecache_store_commands_total{{command=\"{command}\"}} {times}\n");
        assert!(text.contains(&line), "{line}{text}");
    }
}

#[tokio::test]
async fn a_forgotten_script_is_sent_again() {
    let redis = RedisServer::start();
    let store = connected(&redis).await;
    let versions = store.snapshot(&nodes()).await.expect("up");
    redis.say("SCRIPT FLUSH");
    assert_eq!(store.snapshot(&nodes()).await.expect("up"), versions);
    assert!(store.up());
}

#[tokio::test]
async fn nodes_and_entries_expire_in_redis() {
    let redis = RedisServer::start();
    let store = connected(&redis).await;
    fill(&store, "body").await;
    store
        .put_marker("clinic:marker", Bytes::from_static(b"m"))
        .await
        .expect("up");
    let left = |key: &str| {
        redis
            .say(&format!("PTTL {key}"))
            .parse::<u64>()
            .expect("a number")
    };
    assert!((50_000..=60_000).contains(&left(KEY)));
    assert!((3_590_000..=3_600_000).contains(&left(&nodes()[0])));
    assert!((3_590_000..=3_600_000).contains(&left("clinic:marker")));
}

#[tokio::test]
async fn flushall_makes_misses_and_nothing_else() {
    let redis = RedisServer::start();
    let store = connected(&redis).await;
    fill(&store, "old").await;
    redis.say("FLUSHALL");
    assert_eq!(served(&look(&store).await), None);
    fill(&store, "new").await;
    assert_eq!(served(&look(&store).await).as_deref(), Some(&b"new"[..]));
}

#[tokio::test]
async fn a_node_that_is_no_version_counts_as_absent_and_is_replaced() {
    let redis = RedisServer::start();
    let store = connected(&redis).await;
    let nodes = nodes();
    redis.say(&format!("RPUSH {} a b", nodes[0]));
    redis.say(&format!("SET {} short", nodes[1]));
    assert_eq!(look(&store).await.versions, [None, None]);
    let versions = store.snapshot(&nodes).await.expect("up");
    let found = look(&store).await.versions;
    assert_eq!(found.into_iter().flatten().collect::<Vec<_>>(), versions);
    redis.say(&format!("DEL {}", nodes[0]));
    redis.say(&format!("HSET {} a b", nodes[0]));
    assert_eq!(store.bump(&nodes).await, Bumped::Done);
    assert_eq!(redis.say(&format!("EXISTS {} {}", nodes[0], nodes[1])), "0");
}

#[tokio::test]
async fn an_entry_that_is_foreign_or_of_another_type_is_a_miss_and_counted() {
    let redis = RedisServer::start();
    let metrics = Arc::new(Metrics::new());
    let store = open_with(&settings(redis_url(redis.url())), metrics.clone());
    eventually("up", async || store.up()).await;
    store.snapshot(&nodes()).await.expect("up");
    redis.say(&format!("SET {KEY} rubbish"));
    assert!(look(&store).await.entry.is_none());
    assert!(
        metrics
            .encode()
            .contains(r#"sidecache_store_errors_total{kind="protocol"} 1"#)
    );
    redis.say(&format!("DEL {KEY}"));
    redis.say(&format!("RPUSH {KEY} a"));
    assert!(look(&store).await.entry.is_none());
    redis.say(&format!("DEL {KEY}"));
    fill(&store, "local").await;
    redis.say(&format!("DEL {KEY} {}", nodes()[0]));
    redis.say(&format!("RPUSH {KEY} a"));
    store.snapshot(&nodes()).await.expect("up");
    assert!(
        look(&store).await.entry.is_none(),
        "local body dead, WRONGTYPE on GET"
    );
    assert!(
        metrics
            .encode()
            .contains(r#"sidecache_store_errors_total{kind="protocol"} 2"#)
    );
    assert!(store.up());
}

#[tokio::test]
async fn a_socket_and_its_database_are_reached() {
    let redis = RedisServer::start();
    let store = open(format!("redis+unix://{}?db=1", redis.socket().display()));
    eventually("up", async || store.up()).await;
    fill(&store, "body").await;
    assert!(served(&look(&store).await).is_some());
    assert_eq!(redis.say("DBSIZE"), "0", "all of it is in database 1");
}

#[tokio::test]
async fn a_password_is_used_and_a_wrong_one_keeps_the_store_down() {
    let redis = RedisServer::start_with(&["--requirepass", "hunter2"]);
    let address = redis.url();
    let store = open(address.replace("://", "://:hunter2@"));
    eventually("up", async || store.up()).await;
    fill(&store, "body").await;
    let metrics = Arc::new(Metrics::new());
    let url = redis_url(address.replace("://", "://:wrong@"));
    let stranger = open_with(&settings(url), metrics.clone());
    eventually("refused", async || {
        metrics.encode().contains("store_errors_total{kind=\"")
    })
    .await;
    assert!(!stranger.up());
}

#[tokio::test]
async fn rediss_trusts_the_named_authority_and_no_other() {
    let home = tempfile::tempdir().expect("a directory");
    let path = |name: &str| home.path().join(name);
    let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    std::fs::write(path("cert.pem"), pair.cert.pem()).expect("written");
    std::fs::write(path("key.pem"), pair.signing_key.serialize_pem()).expect("written");
    let port = crate::redis::free_port().to_string();
    let (cert, key) = (path("cert.pem"), path("key.pem"));
    let (cert, key) = (cert.display().to_string(), key.display().to_string());
    let tls = [
        "--tls-port",
        &port,
        "--tls-cert-file",
        &cert,
        "--tls-key-file",
        &key,
    ];
    let _redis = RedisServer::start_with(&[&tls[..], &["--tls-auth-clients", "no"]].concat());
    let mut trusting = settings(redis_url(format!("rediss://localhost:{port}")));
    let metrics = Arc::new(Metrics::new());
    let stranger = open_with(&trusting, metrics.clone());
    trusting.tls.ca = Some(path("cert.pem"));
    let store = open_with(&trusting, Arc::new(Metrics::new()));
    eventually("up", async || store.up()).await;
    fill(&store, "body").await;
    assert!(served(&look(&store).await).is_some());
    eventually("refused", async || {
        metrics.encode().contains("store_errors_total{kind=\"io\"}")
    })
    .await;
    assert!(!stranger.up());
}

//! What a process and its fleet did, as the admin door tells it.

use crate::redis::{RedisServer as Redis, eventually};
use crate::world::{Asked, Origin, Reply, Sidecar, head};
use serde_json::Value;

const RULES: &str = r#"
[[cache]]
name = "list"
match = "GET /list/{id}"
key = "list:{id}"
query = []
ttl = "5m"
public = true

[[cache]]
name = "unasked"
match = "GET /unasked"
key = "unasked"
query = []
ttl = "5m"
public = true

[[invalidate]]
name = "changed"
on = "POST /change"
drop = ["list:*"]
"#;

async fn origin() -> Origin {
    Origin::start(|asked: Asked| async move {
        match asked.target.as_str() {
            "/broken" => Reply::of(500, "text/plain", "no"),
            _ => Reply::json(r#"{"data": [1]}"#),
        }
    })
    .await
}

async fn started(origin: &Origin, store: &str) -> Sidecar {
    Sidecar::with_file(&(head(origin.address, store) + RULES)).await
}

async fn told(sidecar: &Sidecar) -> Value {
    let told = sidecar.door("GET", "/api/stats", "").await;
    assert_eq!(told.status, 200, "{}", told.text());
    serde_json::from_slice(&told.body).expect("JSON")
}

#[tokio::test]
async fn a_process_tells_what_its_rules_did_and_what_they_spared() {
    let origin = origin().await;
    let sidecar = started(&origin, "memory:").await;
    for _ in 0..4 {
        sidecar.get("/list/1").await;
    }
    sidecar.get("/elsewhere").await;
    let write = sidecar.ask("POST", "/change", &[], "").await;
    assert_eq!(write.outcome(), "write");
    let told = told(&sidecar).await;
    let list = &told["process"]["rules"]["list"];
    assert_eq!(
        (&list["hits"], &list["misses"], &list["requests"]),
        (&3.into(), &1.into(), &4.into())
    );
    assert_eq!(list["hit_rate"], 0.75);
    assert_eq!(
        (&list["origin_requests"], &list["spared"]),
        (&1.into(), &3.into())
    );
    assert!(
        list["hit_seconds"]["p99"].as_f64().expect("a time") > 0.0,
        "{list:#}"
    );
    assert!(
        list["origin_seconds"]["p50"].as_f64().expect("a time") > 0.0,
        "{list:#}"
    );
    assert!(list["last_drop"].as_u64().expect("a time") > 0, "{list:#}");
    assert_eq!(list["ttl"], "5m");
    let unasked = &told["process"]["rules"]["unasked"];
    assert_eq!(
        (&unasked["requests"], &unasked["hit_rate"]),
        (&0.into(), &Value::Null)
    );
    assert_eq!(unasked["last_drop"], Value::Null);
    let unruled = &told["process"]["unruled"];
    assert_eq!(
        (&unruled["pass"], &unruled["writes"]),
        (&1.into(), &1.into())
    );
    let store = &told["process"]["store"];
    assert_eq!(
        (&store["kind"], &store["state"], &store["owed"]),
        (&"memory".into(), &"up".into(), &0.into())
    );
    // A fleet of one is what the process is.
    assert_eq!(told["fleet"]["rules"]["list"]["hits"], 3);
    assert_eq!(told["fleet"]["processes"], 1);
}

#[tokio::test]
async fn the_counts_of_a_fleet_are_summed_and_outlive_its_processes() {
    let redis = Redis::start();
    let origin = origin().await;
    let one = started(&origin, &redis.url()).await;
    one.get("/list/1").await;
    one.get("/list/1").await;
    // At its end a process tells what it has not told yet.
    assert!(one.server.drain().await);
    let two = started(&origin, &redis.url()).await;
    two.get("/list/1").await;
    assert!(two.server.drain().await);
    let three = started(&origin, &redis.url()).await;
    let told = told(&three).await;
    assert_eq!(told["process"]["rules"]["list"]["requests"], 0);
    let list = &told["fleet"]["rules"]["list"];
    assert_eq!(
        (&list["hits"], &list["misses"]),
        (&2.into(), &1.into()),
        "{told:#}"
    );
    assert_eq!(told["fleet"]["only_this_process"], false);
    let store = &told["process"]["store"];
    assert_eq!(store["kind"], "redis");
    assert!(
        store["memory_bytes"].as_u64().expect("a number") > 100_000,
        "{store:#}"
    );
    assert!(store["commands_today"].as_u64().is_some());
}

#[tokio::test]
async fn a_fleet_is_told_by_the_clock_and_not_by_the_request() {
    let redis = Redis::start();
    let origin = origin().await;
    let sidecar = started(&origin, &redis.url()).await;
    sidecar.get("/list/1").await;
    let metrics = || async { sidecar.door("GET", "/metrics", "").await.text() };
    let tellings = "sidecache_store_commands_total{command=\"hset\"} ";
    let count = |text: String| {
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(tellings).map(str::to_owned));
        line.map_or(0, |count| count.parse::<u64>().expect("a number"))
    };
    eventually("the fleet is told", async || count(metrics().await) > 0).await;
    let before = count(metrics().await);
    for _ in 0..200 {
        assert_eq!(sidecar.get("/list/1").await.outcome(), "hit");
    }
    assert!(
        count(metrics().await) <= before + 1,
        "200 requests take less than two steps"
    );
    let text = metrics().await;
    assert!(text.contains("sidecache_store_memory_bytes "), "{text}");
}

#[tokio::test]
async fn a_fleet_that_cannot_be_heard_is_told_apart_from_a_fleet_of_one() {
    let mut redis = Redis::start();
    let origin = origin().await;
    let sidecar = started(&origin, &redis.url()).await;
    sidecar.get("/list/1").await;
    redis.kill();
    eventually("the store is down", async || {
        sidecar.get("/list/1").await;
        told(&sidecar).await["process"]["store"]["state"] == "down"
    })
    .await;
    let told = told(&sidecar).await;
    assert_eq!(told["fleet"]["only_this_process"], true, "{told:#}");
    assert!(told["process"]["rules"]["list"]["requests"].as_u64() >= Some(1));
}

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

async fn told_of(sidecar: &Sidecar) -> Value {
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
    let told = told_of(&sidecar).await;
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
async fn what_the_origin_answers_is_told_by_class_and_a_5xx_is_no_failure() {
    let origin = Origin::start(|asked: Asked| async move {
        let status = if asked.target.ends_with("/1") {
            500
        } else {
            404
        };
        Reply::of(status, "text/plain", "no")
    })
    .await;
    let sidecar = started(&origin, "memory:").await;
    for target in ["/list/1", "/list/1", "/list/2", "/elsewhere/1"] {
        sidecar.get(target).await;
    }
    let told = told_of(&sidecar).await;
    let list = &told["process"]["rules"]["list"];
    let of = |name: &str| list[name].as_u64();
    assert_eq!(
        ["origin_4xx", "origin_5xx", "origin_errors"].map(of),
        [Some(1), Some(2), Some(0)]
    );
    assert_eq!(told["process"]["unruled"]["origin_5xx"], 1);
    assert!(told["process"]["rules_loaded"].as_u64() > Some(0));
    assert_eq!(told["process"]["rules_refused"], Value::Null);
}

#[tokio::test]
async fn a_long_text_is_written_once_a_second_unless_something_was_changed_by_hand() {
    let origin = origin().await;
    let rule = |n: usize| {
        RULES
            .split_inclusive("public = true\n")
            .nth(1)
            .expect("a rule")
            .replace("unasked", &format!("unasked-{n}"))
    };
    let rules: String = (0..200).map(rule).collect();
    let file = head(origin.address, "memory:") + RULES + &rules;
    let sidecar = Sidecar::with_file(&file).await;
    let text = async || sidecar.door("GET", "/api/stats", "").await.text();
    let requests = |text: &str| {
        let told: Value = serde_json::from_str(text).expect("JSON");
        told["process"]["rules"]["list"]["requests"].as_u64()
    };
    assert!(text().await.len() > 64 * 1024);
    sidecar.get("/list/1").await;
    sidecar
        .door("POST", "/api/purge", r#"{"drop": ["list:1"]}"#)
        .await;
    let told = text().await;
    assert_eq!(requests(&told), Some(1), "a purge is seen at once");
    eventually("two who ask get one text", async || {
        text().await == text().await
    })
    .await;
    sidecar.get("/list/1").await;
    eventually("and news a moment later", async || {
        requests(&text().await) == Some(2)
    })
    .await;
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
    let told = told_of(&three).await;
    assert_eq!(told["process"]["rules"]["list"]["requests"], 0);
    let list = &told["fleet"]["rules"]["list"];
    assert_eq!(
        (&list["requests"], &list["bypass"]),
        (&3.into(), &0.into()),
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
async fn what_a_process_has_not_told_yet_counts_where_it_is_asked() {
    let redis = Redis::start();
    let origin = origin().await;
    let sidecar = started(&origin, &redis.url()).await;
    let nobody = told_of(&sidecar).await["fleet"]["total"]["seconds_saved"].to_string();
    assert_eq!(nobody, "0.0");
    for sent in 1..=3 {
        sidecar.get("/list/1").await;
        let told = told_of(&sidecar).await;
        assert_eq!(told["fleet"]["rules"]["list"]["requests"], sent, "{told:#}");
    }
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
        assert_eq!(sidecar.get("/list/1").await.status, 200);
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
        told_of(&sidecar).await["process"]["store"]["state"] == "down"
    })
    .await;
    let told = told_of(&sidecar).await;
    assert_eq!(told["fleet"]["only_this_process"], true, "{told:#}");
    assert!(told["process"]["rules"]["list"]["requests"].as_u64() >= Some(1));
}

const HASH: &[u8] = b"test:!stats2";

/// The fields of the fleet, each with what it says.
fn fields(redis: &Redis) -> Vec<(String, Value)> {
    let text = redis.ask(&[b"HGETALL", HASH]);
    let mut lines = text.lines();
    let mut fields = Vec::new();
    while let (Some(name), Some(value)) = (lines.next(), lines.next()) {
        fields.push((
            name.to_owned(),
            serde_json::from_str(value).unwrap_or(Value::Null),
        ));
    }
    fields
}

/// Asks a sidecar of its own for one answer, and lets it end.
async fn a_process_comes_and_goes(origin: &Origin, redis: &Redis) {
    let sidecar = started(origin, &redis.url()).await;
    sidecar.get("/list/1").await;
    assert!(sidecar.server.drain().await);
}

#[tokio::test]
async fn what_silent_processes_told_is_folded_and_nothing_is_lost() {
    let redis = Redis::start();
    let origin = origin().await;
    for _ in 0..3 {
        a_process_comes_and_goes(&origin, &redis).await;
    }
    let told = fields(&redis);
    assert_eq!(told.len(), 3, "{told:#?}");
    // As if the first two had fallen silent long ago.
    for (name, value) in &told[..2] {
        let mut value = value.clone();
        value["at"] = 1.into();
        redis.ask(&[b"HSET", HASH, name.as_bytes(), value.to_string().as_bytes()]);
    }
    a_process_comes_and_goes(&origin, &redis).await;
    let left = fields(&redis);
    let names: Vec<&str> = left.iter().map(|(name, _)| name.as_str()).collect();
    assert!(
        names.contains(&"past") && names.contains(&told[2].0.as_str()),
        "{names:?}"
    );
    assert_eq!(
        left.len(),
        3,
        "the past, one of before, and the last: {names:?}"
    );
    let ttl = redis.ask(&[b"PTTL", HASH]);
    assert!(!ttl.contains("-1"), "it ends some day: {ttl}");
    let sidecar = started(&origin, &redis.url()).await;
    let list = &told_of(&sidecar).await["fleet"]["rules"]["list"];
    assert_eq!(list["requests"], 4);
}

#[tokio::test]
async fn a_past_that_cannot_be_read_is_left_to_those_who_can_and_another_is_begun() {
    let redis = Redis::start();
    let origin = origin().await;
    a_process_comes_and_goes(&origin, &redis).await;
    let (name, mut value) = fields(&redis).remove(0);
    value["at"] = 1.into();
    redis.ask(&[b"HSET", HASH, name.as_bytes(), value.to_string().as_bytes()]);
    redis.ask(&[b"HSET", HASH, b"past", b"of another release"]);
    a_process_comes_and_goes(&origin, &redis).await;
    assert!(
        redis
            .ask(&[b"HGET", HASH, b"past"])
            .contains("of another release")
    );
    let names: Vec<String> = fields(&redis).into_iter().map(|(name, _)| name).collect();
    assert!(
        names.contains(&"past-2".to_owned()) && !names.contains(&name),
        "{names:?}"
    );
    let sidecar = started(&origin, &redis.url()).await;
    let fleet = &told_of(&sidecar).await["fleet"];
    assert_eq!(fleet["rules"]["list"]["requests"], 2, "{fleet:#}");
    assert_eq!(fleet["unread"], 1);
}

#[tokio::test]
async fn a_process_that_ended_is_not_counted_as_running() {
    let redis = Redis::start();
    let origin = origin().await;
    a_process_comes_and_goes(&origin, &redis).await;
    let (_, last) = fields(&redis).remove(0);
    assert_eq!(last["ended"], true);
    let sidecar = started(&origin, &redis.url()).await;
    assert_eq!(told_of(&sidecar).await["fleet"]["processes"], 1);
}

#[tokio::test]
async fn a_redis_that_was_emptied_takes_nothing_from_who_is_asked() {
    let redis = Redis::start();
    let origin = origin().await;
    let sidecar = started(&origin, &redis.url()).await;
    sidecar.get("/list/1").await;
    eventually("the fleet is told", async || !fields(&redis).is_empty()).await;
    redis.say("FLUSHALL");
    let told = told_of(&sidecar).await;
    let requests = &told["process"]["rules"]["list"]["requests"];
    assert_eq!(&told["fleet"]["rules"]["list"]["requests"], requests);
    eventually("the fleet is told again", async || {
        let told = fields(&redis);
        told.iter()
            .any(|(_, told)| told["counts"]["rules"]["list"].is_object())
    })
    .await;
}

#[tokio::test]
async fn a_purge_stands_beside_what_writes_dropped() {
    let origin = origin().await;
    let sidecar = started(&origin, "memory:").await;
    let dry = r#"{"drop": ["list:*"], "dry_run": true}"#;
    assert_eq!(sidecar.door("POST", "/api/purge", dry).await.status, 200);
    let told = told_of(&sidecar).await;
    assert_eq!(told["process"]["writes"], serde_json::json!([]));
    let purge = r#"{"drop": ["list:*"]}"#;
    assert_eq!(sidecar.door("POST", "/api/purge", purge).await.status, 200);
    let process = told_of(&sidecar).await["process"].take();
    let last = &process["writes"][0];
    assert_eq!(
        (&last["set"], &last["count"], &last["drops"][0]),
        (&"purge".into(), &1.into(), &"list:*".into())
    );
    let rules = &process["rules"];
    assert!(rules["list"]["last_drop"].as_u64() > Some(0), "{rules:#}");
    assert_eq!(rules["unasked"]["last_drop"], Value::Null);
    let metrics = sidecar.door("GET", "/metrics", "").await.text();
    let line = "sidecache_invalidations_total{set=\"purge\"} 1";
    assert!(metrics.contains(line), "{metrics}");
}

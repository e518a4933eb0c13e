//! What the processes of a large fleet tell each other of what they witnessed, and what it costs to be asked for it.

use crate::redis::{PATIENCE, RedisServer, eventually};
use crate::world::{Asked, Origin, Reply, Sidecar, head};
use serde_json::{Value as Json, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;
use tokio::time::{sleep, timeout};

const RULES: &str = r#"
[audit]
verify = 1.0

[[cache]]
name = "list"
match = "GET /list"
key = "lists:all"
query = []
ttl = "5m"
public = true
"#;

const SET: &str = r#"
[[invalidate]]
name = "changed"
on = "POST /change"
drop = ["lists:*"]
"#;

const WRITES: &[u8] = b"test:!writes";
const VERIFIED: &[u8] = b"test:!verified";

/// A list that says how often it was changed.
async fn origin() -> Origin {
    let changes = Arc::new(AtomicU64::new(0));
    Origin::start(move |asked: Asked| {
        let by = u64::from(asked.method == "POST");
        let changes = changes.fetch_add(by, SeqCst) + by;
        async move { Reply::json(json!({ "changes": changes }).to_string()) }
    })
    .await
}

async fn audit(sidecar: &Sidecar) -> Json {
    let got = sidecar.door("GET", "/api/audit", "").await;
    serde_json::from_slice(&got.body).expect("JSON")
}

/// How often verifying a hit came to this.
async fn came_to(sidecar: &Sidecar, result: &str) -> u64 {
    let metrics = sidecar.door("GET", "/metrics", "").await.text();
    let line =
        format!("sidecache_audit_total{{rule=\"list\",kind=\"verify\",result=\"{result}\"}} ");
    let count = metrics.lines().find_map(|text| text.strip_prefix(&line));
    count.map_or(0, |count| count.parse().expect("a number"))
}

/// Asks until one more hit has come to this.
async fn until_it_came_to(sidecar: &Sidecar, result: &str) {
    let before = came_to(sidecar, result).await;
    eventually(&format!("it is found {result}"), async || {
        sidecar.get("/list").await;
        came_to(sidecar, result).await > before
    })
    .await;
}

/// Writes through one sidecar make stale what another has, so many times.
async fn made_stale(one: &Sidecar, other: &Sidecar, times: u64) {
    for _ in 0..times {
        until_it_came_to(other, "same").await;
        assert_eq!(one.ask("POST", "/change", &[], "").await.status, 200);
        until_it_came_to(other, "stale").await;
    }
}

/// What is found when something is. What others tell is waited for, and is heard a part at a time.
async fn named(sidecar: &Sidecar) -> Json {
    let found = timeout(3 * PATIENCE, async {
        loop {
            let found = audit(sidecar).await;
            if found["findings"]
                .as_array()
                .is_some_and(|all| !all.is_empty())
            {
                return found;
            }
            sleep(Duration::from_millis(200)).await;
        }
    });
    found.await.expect("the missing line is named")
}

/// Fields of so many other processes, each of so many bytes that nobody can read.
fn others(redis: &RedisServer, hash: &[u8], count: usize, bytes: usize) {
    let value = vec![b'?'; bytes];
    for number in 0..count {
        let name = format!(
            "{}-{number:016x}",
            1_700_000_000_000 + 10_000 * bytes + number
        );
        redis.ask(&[b"HSET", hash, name.as_bytes(), &value]);
    }
}

#[tokio::test]
async fn the_missing_line_is_named_in_a_fleet_of_more_than_a_thousand() {
    let (origin, redis) = (origin().await, RedisServer::start());
    let one = Sidecar::start(&origin, &redis.url(), RULES).await;
    let two = Sidecar::start(&origin, &redis.url(), RULES).await;
    // More than anybody reads at once.
    others(&redis, WRITES, 80, 30_000);
    others(&redis, VERIFIED, 200, 30_000);
    others(&redis, WRITES, 1_024, 300);
    made_stale(&one, &two, 4).await;
    // What is told is waited for, and is heard a part at a time.
    let found = timeout(3 * PATIENCE, async {
        loop {
            let found = audit(&two).await;
            if found["findings"]
                .as_array()
                .is_some_and(|all| !all.is_empty())
            {
                return found;
            }
            sleep(Duration::from_millis(200)).await;
        }
    });
    let found = found.await.expect("the missing line is named");
    let finding = &found["findings"][0];
    assert_eq!(
        (&finding["write"], &finding["drop"]),
        (&json!("POST /change"), &json!("lists:all")),
        "{found:#}"
    );
    // Not all of what others found was read, and that is said.
    assert_eq!(found["only_this_process"], false);
    assert!(found["processes_not_heard"].as_u64() > Some(0), "{found:#}");
    assert!(redis.calls("hgetall") == 0, "no call reads all there is");
}

#[tokio::test]
async fn many_who_ask_at_once_cost_what_one_does_and_new_rules_show_at_once() {
    let (origin, redis) = (origin().await, RedisServer::start());
    let sidecar = Arc::new(Sidecar::start(&origin, &redis.url(), RULES).await);
    sidecar.get("/list").await;
    let before = redis.calls("hkeys");
    let asks = || {
        let sidecar = sidecar.clone();
        tokio::spawn(async move { audit(&sidecar).await })
    };
    let asked: Vec<_> = (0..40).map(|_| asks()).collect();
    let mut told = Vec::new();
    for one in asked {
        told.push(one.await.expect("an answer"));
    }
    assert!(told.iter().all(|one| *one == told[0]), "{told:#?}");
    let cost = redis.calls("hkeys") - before;
    assert!((1..=2).contains(&cost), "{cost} times for 40 who ask");
    let head = head(origin.address, &redis.url());
    let patient = head.replace("[store]", "[store]\ntimeout = \"20s\"");
    let off = RULES.replace("verify = 1.0", "verify = 0.0");
    sidecar
        .reload(&format!("{patient}{off}{SET}"))
        .expect("rules that can be used");
    let told = audit(&sidecar).await;
    assert_eq!(told, json!({ "findings": [] }), "by the rules of now");
}

#[tokio::test]
async fn where_the_store_is_sealed_a_fleet_hears_itself_and_who_has_no_key_hears_nobody() {
    let (origin, redis) = (origin().await, RedisServer::start());
    let sealed = |key: &str| {
        let store = format!("[store]\ntimeout = \"20s\"\nseal = \"{key}\"");
        let head = head(origin.address, &redis.url()).replace("[store]", &store);
        format!("{head}{RULES}")
    };
    let key = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
    let other_key = "ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA=";
    let one = Sidecar::with_file(&sealed(key)).await;
    let two = Sidecar::with_file(&sealed(key)).await;
    let stranger = Sidecar::with_file(&sealed(other_key)).await;
    made_stale(&one, &two, 4).await;
    let found = named(&two).await;
    assert_eq!(found["findings"][0]["write"], "POST /change", "{found:#}");
    assert_eq!(found["only_this_process"], false);
    assert_eq!(audit(&stranger).await["findings"], json!([]));
    one.server.step().await;
    let told = two.door("GET", "/api/stats", "").await;
    let told: Json = serde_json::from_slice(&told.body).expect("JSON");
    assert_eq!(told["fleet"]["processes"], 2, "{:#}", told["fleet"]);
}

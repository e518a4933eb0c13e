//! Sealed values and hidden names: what a reader of Redis learns, what a writer to it can bring
//! about, and how keys are changed.

use crate::redis::{RedisServer, eventually, holds};
use crate::world::{Asked, Origin, Reply, Sidecar, head};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

const KEY: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
const OTHER: &str = "ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA=";

/// What stands in names, in answers, and in what they vary by.
const PERSONAL: [&str; 5] = [
    "ann@clinic",
    "Ann Example",
    "migraine",
    "bob@clinic",
    "x-ward",
];

const RULES: &str = r#"
[[cache]]
name = "patient"
match = "GET /patients/{email}"
key = "patients:{email}"
query = []
vary = ["x-ward"]
ttl = "5m"
public = true

[[cache]]
name = "symptom"
match = "GET /symptoms/{word}"
key = "symptoms:{word}"
query = []
ttl = "5m"
public = true

[[invalidate]]
name = "changed"
on = "PATCH /patients/{email}"
drop = ["patients:{email}"]
"#;

/// Answers with how often it was asked, and with what nobody else may read.
async fn clinic() -> Origin {
    let asked = Arc::new(AtomicUsize::new(0));
    Origin::start(move |request: Asked| {
        let n = asked.fetch_add(1, SeqCst);
        let target = request.target;
        async move {
            let body = serde_json::json!({"n": n, "of": target, "name": "Ann Example", "says": "migraine ".repeat(300)});
            Reply::json(body.to_string()).header("vary", "x-ward")
        }
    })
    .await
}

/// A sidecar that seals with the first of these keys, if there is one, and knows the others.
async fn sidecar(origin: &Origin, redis: &RedisServer, keys: &[&str]) -> Sidecar {
    let seal = match keys.split_first() {
        None => String::new(),
        Some((key, [])) => format!("seal = \"{key}\""),
        Some((key, previous)) => format!("seal = \"{key}\"\nseal_previous = {previous:?}"),
    };
    let store = format!("[store]\ntimeout = \"20s\"\ncompress = \"none\"\n{seal}");
    let head = head(origin.address, &redis.url()).replace("[store]", &store);
    Sidecar::with_file(&format!("{head}{RULES}")).await
}

fn found_in(bytes: &[u8]) -> Vec<&'static str> {
    let found = PERSONAL.into_iter().filter(|word| holds(bytes, word));
    found.collect()
}

fn names(redis: &RedisServer) -> BTreeSet<String> {
    redis.say("KEYS *").lines().map(str::to_owned).collect()
}

async fn use_it(sidecar: &Sidecar) {
    for _ in 0..2 {
        for target in [
            "/patients/ann@clinic",
            "/patients/bob@clinic",
            "/symptoms/migraine",
        ] {
            sidecar.get_with(target, &[("x-ward", "3")]).await;
        }
    }
    let hit = sidecar
        .get_with("/symptoms/migraine", &[("x-ward", "3")])
        .await;
    assert_eq!(hit.outcome(), "hit");
    sidecar
        .ask("PATCH", "/patients/bob@clinic", &[], "{}")
        .await;
}

/// The name of the answer that a read of `target` keeps: of the keys that it makes, the one with the
/// longest value.
async fn kept_as(sidecar: &Sidecar, redis: &RedisServer, target: &str) -> String {
    let before = names(redis);
    assert_eq!(sidecar.get(target).await.outcome(), "miss");
    let length = |name: &String| {
        redis
            .say(&format!("STRLEN {name}"))
            .parse::<u64>()
            .unwrap_or(0)
    };
    let added = names(redis)
        .difference(&before)
        .cloned()
        .collect::<Vec<_>>();
    added
        .into_iter()
        .max_by_key(length)
        .expect("something was kept")
}

#[tokio::test]
async fn a_dump_of_redis_holds_nothing_personal_once_values_are_sealed() {
    let origin = clinic().await;
    let redis = RedisServer::start();
    use_it(&sidecar(&origin, &redis, &[]).await).await;
    assert_eq!(
        found_in(&redis.dump()),
        PERSONAL,
        "the search finds what is there"
    );
    redis.say("FLUSHALL");
    use_it(&sidecar(&origin, &redis, &[KEY]).await).await;
    assert_eq!(found_in(&redis.dump()), Vec::<&str>::new());
    assert!(names(&redis).len() >= 5, "{:?}", names(&redis));
    assert!(names(&redis).iter().all(|name| name.starts_with("test:")));
}

#[tokio::test]
async fn a_value_that_was_moved_changed_or_never_sealed_is_a_miss() {
    let origin = clinic().await;
    let redis = RedisServer::start();
    let plain = sidecar(&origin, &redis, &[]).await;
    let forged = kept_as(&plain, &redis, "/patients/ann@clinic").await;
    let sealing = sidecar(&origin, &redis, &[KEY]).await;
    let ann = kept_as(&sealing, &redis, "/patients/ann@clinic").await;
    let bob = kept_as(&sealing, &redis, "/patients/bob@clinic").await;
    let marker = names(&redis)
        .into_iter()
        .find(|name| {
            redis
                .say(&format!("STRLEN {name}"))
                .parse::<u64>()
                .is_ok_and(|n| (100..1000).contains(&n))
        })
        .expect("by what answers vary");
    let attacks = [
        format!("COPY {ann} {marker} REPLACE"),
        format!("COPY {bob} {ann} REPLACE"),
        format!("COPY {forged} {ann} REPLACE"),
        format!("SETRANGE {ann} 60 x"),
        format!("APPEND {ann} x"),
        format!("SET {ann} x"),
    ];
    for attack in attacks {
        redis.say(&attack);
        let fresh = sidecar(&origin, &redis, &[KEY]).await; // remembers nothing
        let answer = fresh.get("/patients/ann@clinic").await;
        assert!(
            attack.contains(&marker) || answer.outcome() == "miss",
            "{attack}"
        );
        assert!(answer.text().contains("/patients/ann@clinic"), "{attack}");
        let metrics = fresh.door("GET", "/metrics", "").await.text();
        let counted = r#"sidecache_store_errors_total{kind="protocol"} "#;
        assert!(metrics.contains(counted), "{attack}: {metrics}");
        assert_eq!(fresh.get("/patients/ann@clinic").await.outcome(), "hit");
    }
}

#[tokio::test]
async fn an_entry_from_before_a_write_that_is_put_back_is_a_miss() {
    let origin = clinic().await;
    let redis = RedisServer::start();
    let sealing = sidecar(&origin, &redis, &[KEY]).await;
    let ann = kept_as(&sealing, &redis, "/patients/ann@clinic").await;
    assert_eq!(redis.say(&format!("COPY {ann} stolen")), "1");
    sealing
        .ask("PATCH", "/patients/ann@clinic", &[], "{}")
        .await;
    let written = origin.count() as i64;
    assert_eq!(redis.say(&format!("COPY stolen {ann} REPLACE")), "1");
    for _ in 0..2 {
        let fresh = sidecar(&origin, &redis, &[KEY]).await;
        assert!(fresh.get("/patients/ann@clinic").await.n() >= written);
        assert_eq!(redis.say(&format!("COPY stolen {ann} REPLACE")), "1");
    }
}

#[tokio::test]
async fn keys_are_changed_without_a_cold_start_and_without_a_stale_answer() {
    let origin = clinic().await;
    let redis = RedisServer::start();
    let old = sidecar(&origin, &redis, &[KEY]).await;
    let n = old.get("/patients/ann@clinic").await.n();
    let both = sidecar(&origin, &redis, &[OTHER, KEY]).await;
    let hit = both.get("/patients/ann@clinic").await;
    assert_eq!(
        (hit.outcome(), hit.n()),
        ("hit", n),
        "sealed by the previous key"
    );
    for writer in [&old, &both] {
        writer.ask("PATCH", "/patients/ann@clinic", &[], "{}").await;
        let written = origin.count() as i64;
        for reader in [&both, &old, &both] {
            assert!(reader.get("/patients/ann@clinic").await.n() >= written);
        }
    }
    let new = sidecar(&origin, &redis, &[OTHER]).await;
    for writer in [&new, &both, &old] {
        for reader in [&old, &both, &new] {
            eventually("it is kept", async || {
                reader.get("/patients/ann@clinic").await.outcome() == "hit"
            })
            .await;
        }
        writer.ask("PATCH", "/patients/ann@clinic", &[], "{}").await;
        let written = origin.count() as i64;
        for reader in [&old, &both, &new] {
            assert!(reader.get("/patients/ann@clinic").await.n() >= written);
        }
    }
}

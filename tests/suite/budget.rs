//! A budget that is spent, before a real Redis: the store is asked in rounds alone, and what is kept in memory under what
//! they showed is as right as anything that a look found.

use crate::redis::{RedisServer, eventually};
use crate::world::{Asked, Got, Origin, REGISTER_RULES, Reply, Sidecar, head};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

/// Enough that rounds are made whenever there is reason to.
const COMMANDS: f64 = 10_000_000.0;

const THING: &str = "/api/thing/1";

fn date(of: &str) -> String {
    let told = Command::new("date").args(["-u", "-d", of, "+%F"]).output();
    let told = told.expect("date can be run").stdout;
    String::from_utf8(told).expect("text").trim().to_owned()
}

/// What has to be spent so far for no look to be paid for, but rounds: today's and tomorrow's.
fn spend(redis: &RedisServer, namespace: &str) {
    let unix = SystemTime::now().duration_since(UNIX_EPOCH);
    let passed = (unix.expect("after 1970").as_secs() % 86_400) as f64 / 86_400.0;
    for (of, passed) in [("today", passed), ("tomorrow", 0.0)] {
        let share = (0.98 * passed + 0.04).min(0.98) + 0.01;
        let spent = (COMMANDS * share) as u64;
        let account = format!("{namespace}:!budget:{}", date(of));
        assert_eq!(redis.say(&format!("SET {account} {spent}")).trim(), "OK");
    }
}

fn with_budget(origin: &Origin, url: &str, namespace: &str, rules: &str) -> String {
    let budget =
        format!("[store]\ntimeout = \"20s\"\nbudget = {{ commands = {COMMANDS}, per = \"day\" }}");
    let head = head(origin.address, url).replace("[store]", &budget);
    let head = head.replace("\"test\"", &format!("{namespace:?}"));
    let rules = rules.replace("ttl = \"5m\"\n", "ttl = \"5m\"\nlocal_ttl_max = \"5m\"\n");
    format!("{head}{rules}")
}

async fn level(sidecar: &Sidecar) -> String {
    let stats = sidecar.door("GET", "/api/stats", "").await.text();
    let stats: serde_json::Value = serde_json::from_str(&stats).expect("JSON");
    let level = &stats["process"]["store"]["budget"]["level"];
    level.as_str().unwrap_or_default().to_owned()
}

/// One that has nothing left but rounds.
async fn spent(origin: &Origin, redis: &RedisServer, rules: &str) -> Sidecar {
    let text = with_budget(origin, &redis.url(), "test", rules);
    let sidecar = Sidecar::with_file(&text).await;
    eventually("nothing is left", async || {
        level(&sidecar).await == "memory"
    })
    .await;
    sidecar
}

/// Reads until this process answers from what it kept.
async fn kept(sidecar: &Sidecar, target: &str) -> Got {
    let mut got = None;
    eventually("a round showed its versions, and it is kept", async || {
        let read = sidecar.get(target).await;
        let is_hit = read.outcome() == "hit";
        got = is_hit.then_some(read);
        is_hit
    })
    .await;
    got.expect("it was")
}

async fn change(sidecar: &Sidecar) -> i64 {
    let got = sidecar.ask("PATCH", "/api/change/1", &[], "").await;
    assert_eq!(got.status, 200);
    got.n()
}

#[tokio::test]
async fn what_is_kept_without_asking_ends_with_a_write_through_any_sidecar() {
    let (origin, redis) = (Origin::register().await, RedisServer::start());
    spend(&redis, "test");
    let [one, other] = [
        spent(&origin, &redis, REGISTER_RULES).await,
        spent(&origin, &redis, REGISTER_RULES).await,
    ];
    for _ in 0..5 {
        let before = kept(&one, THING).await.n();
        assert_eq!(one.get(THING).await.n(), before);
        let after = change(&other).await;
        assert!(after > before);
        assert_eq!(
            other.get(THING).await.n(),
            after,
            "who forwarded it knows at once"
        );
        eventually("the other hears of it", async || {
            one.get(THING).await.n() == after
        })
        .await;
        for _ in 0..5 {
            assert_eq!(
                one.get(THING).await.n(),
                after,
                "and never forgets it again"
            );
        }
        assert_eq!(kept(&one, THING).await.n(), after);
    }
}

#[tokio::test]
async fn a_sidecar_of_other_rules_ends_it_too() {
    let (origin, redis) = (Origin::register().await, RedisServer::start());
    spend(&redis, "test");
    let one = spent(&origin, &redis, REGISTER_RULES).await;
    // It drops what the first one's rules do not know, and nothing that they do.
    let others = REGISTER_RULES.replace("things:details:{id}", "others:{id}");
    let before = kept(&one, THING).await.n();
    let other = spent(&origin, &redis, &others).await;
    let after = change(&other).await;
    assert!(after > before);
    eventually("everything is dropped", async || {
        one.get(THING).await.n() == after
    })
    .await;
    assert_eq!(kept(&one, THING).await.n(), after);
}

#[tokio::test]
async fn a_quarantine_is_heard_of_by_who_only_makes_rounds() {
    let origin = Origin::start(|request: Asked| async move {
        let who = request
            .header("authorization")
            .unwrap_or("nobody")
            .to_owned();
        Reply::json(format!("{{\"data\": \"of {who}\"}}"))
    })
    .await;
    let redis = RedisServer::start();
    spend(&redis, "test");
    let rules = "[audit]\nleak = 1.0\n[[cache]]\nname = \"leaky\"\nmatch = \"GET /leaky\"\nkey = \"leaky:{query}\"\n\
                 query = [\"n\"]\nttl = \"5m\"\npublic = true\n";
    let [one, other] = [
        spent(&origin, &redis, rules).await,
        spent(&origin, &redis, rules).await,
    ];
    assert_eq!(
        kept(&one, "/leaky?n=0").await.text(),
        r#"{"data": "of nobody"}"#
    );
    let ann = [("authorization", "ann")];
    let mut asked = 0;
    eventually("an audit finds that it has owners", async || {
        asked += 1; // each is fetched
        let got = other.get_with(&format!("/leaky?n={asked}"), &ann).await;
        got.detail() == Some("quarantined")
    })
    .await;
    eventually("the other hears of it", async || {
        one.get("/leaky?n=0").await.outcome() == "bypass"
    })
    .await;
    for _ in 0..20 {
        let got = one.get_with("/leaky?n=0", &ann).await;
        assert_eq!(
            (got.outcome(), got.text().as_str()),
            ("bypass", r#"{"data": "of ann"}"#)
        );
    }
}

#[tokio::test]
async fn where_commands_are_scarce_nothing_is_asked_for_after_a_write() {
    let (origin, redis) = (Origin::register().await, RedisServer::start());
    spend(&redis, "test");
    let rules = format!("{REGISTER_RULES}warm = \"/api/thing/{{id}}\"\n");
    let sidecar = spent(&origin, &redis, &rules).await;
    change(&sidecar).await;
    let spared = "sidecache_warms_total{set=\"changed\",result=\"spared\"} 1";
    eventually("it is spared", async || {
        let metrics = sidecar.door("GET", "/metrics", "").await.text();
        metrics.contains(spared)
    })
    .await;
    assert_eq!(origin.count(), 1, "the write");
}

//! The leak guard: a public rule whose answers turn out to have owners is put in quarantine.

use crate::redis::{RedisServer, eventually};
use crate::world::{Asked, Origin, Reply, Sidecar, head};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

const ANN: &[(&str, &str)] = &[("authorization", "ann")];

/// `/leaky` tells each caller his own; `/open` everybody the same; `/guarded` refuses strangers' tokens,
/// `/polite` does so with 200, `/private` refuses strangers;
/// `/restless` never says the same twice.
async fn clinic() -> Origin {
    let asked = Arc::new(AtomicUsize::new(0));
    Origin::start(move |request: Asked| {
        let n = asked.fetch_add(1, SeqCst);
        async move {
            let who = request.header("authorization").or(request.header("cookie"));
            let who = who.unwrap_or("nobody").to_owned();
            match request.target.as_str() {
                "/leaky" => Reply::json(format!(r#"{{"data": "of {who}"}}"#)),
                "/private" if who == "nobody" => Reply::of(500, "text/plain", "who?"),
                "/polite" if who != "nobody" => Reply::json(r#"{"data": null}"#),
                "/guarded" if who != "nobody" => Reply::of(401, "text/plain", "who?"),
                "/restless" => Reply::json(format!(r#"{{"data": {n}}}"#)),
                _ => Reply::json(r#"{"data": "for all"}"#),
            }
        }
    })
    .await
}

fn rules(leak: &str) -> String {
    let rule = |name: &str| {
        format!(
            "[[cache]]\nname = \"{name}\"\nmatch = \"GET /{name}\"\nkey = \"{name}:all\"\nquery = []\nttl = \"5m\"\npublic = true\n"
        )
    };
    let all: String = ["leaky", "open", "guarded", "private", "restless", "polite"]
        .map(rule)
        .concat();
    format!("[audit]\nleak = {leak}\n{all}store_if = [\"/data\"]\n")
}

async fn audited(sidecar: &Sidecar, rule: &str, result: &str) -> bool {
    let line =
        format!("sidecache_audit_total{{rule=\"{rule}\",kind=\"leak\",result=\"{result}\"}}");
    sidecar
        .door("GET", "/metrics", "")
        .await
        .text()
        .contains(&line)
}

async fn detail(sidecar: &Sidecar, target: &str, headers: &[(&str, &str)]) -> String {
    let got = sidecar.get_with(target, headers).await;
    format!("{} {}", got.outcome(), got.detail().unwrap_or("-"))
}

#[tokio::test]
async fn a_planted_leak_is_caught_and_the_whole_fleet_passes_it() {
    let origin = clinic().await;
    let redis = RedisServer::start();
    let one = Sidecar::start(&origin, &redis.url(), &rules("1.0")).await;
    let two = Sidecar::start(&origin, &redis.url(), &rules("1.0")).await;
    two.get("/leaky").await;
    assert_eq!(
        detail(&two, "/leaky", ANN).await,
        "hit -",
        "nobody's, served to all"
    );
    one.purge(&["leaky:*"]).await;
    one.get_with("/leaky", ANN).await;
    eventually("the leak is found", async || {
        audited(&one, "leaky", "differs").await
    })
    .await;
    for sidecar in [&one, &two] {
        let own = sidecar.get_with("/leaky", ANN).await;
        assert_eq!(own.detail(), Some("quarantined"));
        assert_eq!(
            own.text(),
            r#"{"data": "of ann"}"#,
            "passed with its credential"
        );
        assert_eq!(detail(sidecar, "/open", &[]).await.split(' ').count(), 2);
    }
    assert_eq!(
        detail(&two, "/open", ANN).await,
        "hit -",
        "other rules go on"
    );
}

#[tokio::test]
async fn a_quarantine_survives_reload_and_restart_until_it_is_released() {
    let origin = clinic().await;
    let redis = RedisServer::start();
    let one = Sidecar::start(&origin, &redis.url(), &rules("1.0")).await;
    one.get_with("/leaky", ANN).await;
    eventually("the leak is found", async || {
        detail(&one, "/leaky", &[]).await == "bypass quarantined"
    })
    .await;
    let patient =
        head(origin.address, &redis.url()).replace("[store]", "[store]\ntimeout = \"20s\"");
    let renewed = rules("1.0").replace("ttl = \"5m\"", "ttl = \"6m\"");
    one.reload(&format!("{patient}{renewed}"))
        .expect("sound rules");
    assert_eq!(detail(&one, "/leaky", &[]).await, "bypass quarantined");
    let two = Sidecar::start(&origin, &redis.url(), &rules("0.5")).await;
    assert_eq!(detail(&two, "/leaky", &[]).await, "bypass quarantined");
    let findings = two.door("GET", "/api/audit", "").await.text();
    assert!(
        findings.contains(r#""kind":"leak""#) && findings.contains(r#""rule":"leaky""#),
        "{findings}"
    );
    assert!(!findings.contains("ann"), "{findings}");
    let released = two
        .door("POST", "/api/release", r#"{"rule": "leaky"}"#)
        .await;
    assert_eq!(
        (released.status, released.text()),
        (200, r#"{"released":true,"rule":"leaky"}"#.into())
    );
    for sidecar in [&two, &one] {
        assert_ne!(detail(sidecar, "/leaky", &[]).await, "bypass quarantined");
    }
    assert_eq!(detail(&one, "/leaky", &[]).await, "hit -");
    assert_eq!(
        two.door("GET", "/api/audit", "").await.text(),
        r#"{"findings":[]}"#
    );
}

#[tokio::test]
async fn what_audits_found_costs_the_store_one_command_however_many_rules_there_are() {
    let origin = clinic().await;
    let redis = RedisServer::start();
    let sidecar = Sidecar::start(&origin, &redis.url(), &rules("1.0")).await;
    sidecar.get_with("/leaky", ANN).await;
    eventually("the leak is found", async || {
        detail(&sidecar, "/leaky", &[]).await == "bypass quarantined"
    })
    .await;
    let asked = async || {
        let metrics = sidecar.door("GET", "/metrics", "").await.text();
        let prefix = "sidecache_store_commands_total{command=\"mget\"} ";
        let line = metrics.lines().find_map(|line| line.strip_prefix(prefix));
        line.map_or(0, |count| count.parse::<u64>().expect("a number"))
    };
    let before = asked().await;
    let findings = sidecar.door("GET", "/api/audit", "").await.text();
    assert_eq!(asked().await, before + 1);
    assert_eq!(findings.matches("\"rule\":").count(), 1, "{findings}");
    assert!(findings.contains(r#""status":[200,200]"#), "{findings}");
}

#[tokio::test]
async fn a_door_that_cannot_ask_for_findings_says_no_more_than_that() {
    let origin = clinic().await;
    let mut redis = RedisServer::start();
    let sidecar = Sidecar::start(&origin, &redis.url(), &rules("1.0")).await;
    redis.kill();
    let told = sidecar.door("GET", "/api/audit", "").await;
    assert_eq!(told.status, 503);
    assert!(!told.text().contains("changed"), "{}", told.text());
    let released = sidecar
        .door("POST", "/api/release", r#"{"rule": "leaky"}"#)
        .await;
    assert!(released.text().contains("nothing was changed"));
}

#[tokio::test]
async fn what_is_the_same_refused_or_restless_is_no_leak() {
    let origin = clinic().await;
    let sidecar = Sidecar::start(&origin, "memory:", &rules("1.0")).await;
    for (rule, result) in [
        ("open", "same"),
        ("guarded", "unclear"),
        ("restless", "unclear"),
        ("polite", "unclear"),
    ] {
        let target = format!("/{rule}");
        sidecar.get_with(&target, &[("cookie", "session=1")]).await;
        eventually("it is audited", async || {
            audited(&sidecar, rule, result).await
        })
        .await;
        assert_eq!(detail(&sidecar, &target, ANN).await, "hit -");
    }
}

#[tokio::test]
async fn a_route_that_serves_only_who_is_known_was_never_public() {
    let origin = clinic().await;
    let sidecar = Sidecar::start(&origin, "memory:", &rules("1.0")).await;
    let refused = sidecar.get_with("/private", ANN).await;
    assert_eq!(refused.status, 500, "the stranger's answer");
    eventually("the leak is found", async || {
        detail(&sidecar, "/private", ANN).await == "bypass quarantined"
    })
    .await;
    assert_eq!(sidecar.get_with("/private", ANN).await.status, 200);
}

#[tokio::test]
async fn without_a_credential_or_a_share_nobody_is_asked_again() {
    let origin = clinic().await;
    let off = Sidecar::start(&origin, "memory:", &rules("0")).await;
    off.get_with("/leaky", ANN).await;
    assert_eq!(origin.count(), 1);
    let on = Sidecar::start(&origin, "memory:", &rules("1.0")).await;
    on.get("/leaky").await;
    on.get_with("/leaky", ANN).await;
    assert_eq!(origin.count(), 2, "one fetch each");
    on.purge(&["*"]).await;
    on.get_with("/leaky", ANN).await;
    eventually("it is audited now", async || {
        audited(&on, "leaky", "differs").await
    })
    .await;
    assert_eq!(origin.count(), 2 + 1 + 4);
}

#[tokio::test]
async fn a_quarantine_is_remembered_while_the_store_is_away() {
    let origin = clinic().await;
    let mut redis = RedisServer::start();
    let sidecar = Sidecar::impatient(&origin, &redis.url(), &rules("1.0")).await;
    sidecar.get_with("/leaky", ANN).await;
    eventually("the leak is found", async || {
        detail(&sidecar, "/leaky", ANN).await == "bypass quarantined"
    })
    .await;
    redis.kill();
    for _ in 0..3 {
        assert_eq!(detail(&sidecar, "/leaky", ANN).await, "bypass quarantined");
    }
    let released = sidecar
        .door("POST", "/api/release", r#"{"rule": "leaky"}"#)
        .await;
    assert_eq!(released.status, 503, "{}", released.text());
    assert_eq!(detail(&sidecar, "/leaky", ANN).await, "bypass quarantined");
}

#[tokio::test]
async fn a_leak_that_is_found_while_the_store_is_away_is_told_when_it_is_back() {
    let origin = clinic().await;
    let mut redis = RedisServer::start();
    let one = Sidecar::impatient(&origin, &redis.url(), &rules("1.0")).await;
    redis.kill();
    one.get_with("/leaky", ANN).await;
    eventually("the leak is found", async || {
        audited(&one, "leaky", "differs").await
    })
    .await;
    redis.restart();
    let two = Sidecar::start(&origin, &redis.url(), &rules("0.5")).await;
    eventually("the fleet hears of it", async || {
        detail(&two, "/leaky", &[]).await == "bypass quarantined"
    })
    .await;
    assert_eq!(detail(&one, "/leaky", &[]).await, "bypass quarantined");
}

#[tokio::test]
async fn a_release_of_nothing_says_so() {
    let origin = clinic().await;
    let sidecar = Sidecar::start(&origin, "memory:", &rules("1.0")).await;
    let door = async |body: &str| {
        let got = sidecar.door("POST", "/api/release", body).await;
        (got.status, got.text())
    };
    assert_eq!(
        door(r#"{"rule": "open"}"#).await,
        (200, r#"{"released":false,"rule":"open"}"#.into())
    );
    assert_eq!(door(r#"{"rule": "no such"}"#).await.0, 404);
    assert_eq!(door(r#"{"rule": "open", "all": true}"#).await.0, 400);
    assert_eq!(door("").await.0, 400);
    assert_eq!(sidecar.door("GET", "/api/release", "").await.status, 405);
}

#[tokio::test]
async fn what_is_read_by_post_is_not_asked_again() {
    let origin = clinic().await;
    let rule = "[[cache]]\nname = \"ask\"\nmatch = \"POST /ask\"\nkey = \"ask:{body}\"\nttl = \"5m\"\npublic = true\n";
    let sidecar = Sidecar::start(&origin, "memory:", &(rules("1.0") + rule)).await;
    let headers = [ANN[0], ("content-type", "application/json")];
    let answer = sidecar
        .ask("POST", "/ask", &headers, r#"{"symptoms": 1}"#)
        .await;
    assert_eq!(answer.outcome(), "miss");
    sidecar.get_with("/open", ANN).await;
    eventually("another is audited", async || {
        audited(&sidecar, "open", "same").await
    })
    .await;
    let posts = origin
        .asked()
        .iter()
        .filter(|asked| asked.method == "POST")
        .count();
    assert_eq!(posts, 1);
}

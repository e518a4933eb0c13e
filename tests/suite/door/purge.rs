//! A purge that only says what it would drop.

use super::world;
use crate::redis::RedisServer;
use crate::world::{Got, Origin, REGISTER_RULES, Sidecar};

async fn dry(sidecar: &Sidecar, patterns: &[&str]) -> Got {
    let body = serde_json::json!({ "drop": patterns, "dry_run": true });
    sidecar.door("POST", "/api/purge", &body.to_string()).await
}

#[tokio::test]
async fn a_dry_run_names_what_would_fall_and_drops_nothing() {
    let (_origin, sidecar) = world(false).await;
    sidecar.get("/kept/a").await;
    let rows: [(&[&str], &str); 4] = [
        (&["kept:a", "kept:a"], r#"{"would_drop":["kept:a"]}"#),
        (&["kept:a:b:c"], ""),
        (&["*"], r#"{"would_drop":["*"]}"#),
        (&[], r#"{"would_drop":[]}"#),
    ];
    for (patterns, said) in rows {
        let got = dry(&sidecar, patterns).await;
        match said {
            "" => assert_eq!(
                got.status, 400,
                "it is refused as the purge itself: {patterns:?}"
            ),
            said => assert_eq!((got.status, got.text().as_str()), (200, said)),
        }
    }
    assert_eq!(sidecar.get("/kept/a").await.outcome(), "hit");
    let wet = r#"{"drop": ["kept:a"], "dry_run": false}"#;
    let got = sidecar.door("POST", "/api/purge", wet).await;
    assert_eq!(got.text(), r#"{"dropped":["kept:a"]}"#);
    assert_eq!(sidecar.get("/kept/a").await.outcome(), "miss");
}

#[tokio::test]
async fn a_dry_run_that_is_not_understood_is_refused() {
    let (_origin, sidecar) = world(false).await;
    for body in [
        r#"{"drop": ["kept:*"], "dry_run": "yes"}"#,
        r#"{"drop": ["kept:*"], "dry_run": 1}"#,
        r#"{"drop": ["kept:*"], "dryrun": true}"#,
        r#"{"drop": ["nobody:*"], "dry_run": true}"#,
        r#"{"dry_run": true}"#,
    ] {
        let got = sidecar.door("POST", "/api/purge", body).await;
        assert_eq!(got.status, 400, "{body}: {}", got.text());
    }
}

#[tokio::test]
async fn a_dry_run_knows_that_everything_falls_where_other_rules_keep_answers() {
    const THING: &str = "/api/thing/1";
    let origin = Origin::register().await;
    let redis = RedisServer::start();
    let longer = REGISTER_RULES.replace("things:details", "other:details");
    let one = Sidecar::start(&origin, &redis.url(), REGISTER_RULES).await;
    let other = Sidecar::start(&origin, &redis.url(), &longer).await;
    let alone = dry(&one, &["things:details:1"]).await;
    assert_eq!(alone.text(), r#"{"would_drop":["things:details:1"]}"#);
    crate::redis::eventually("it is kept", async || {
        other.get(THING).await.outcome() == "hit"
    })
    .await;
    let both = dry(&one, &["things:details:1"]).await;
    assert_eq!(both.text(), r#"{"would_drop":["things:details:1","*"]}"#);
    assert_eq!(other.get(THING).await.outcome(), "hit", "nothing fell");
    let purged = one.purge(&["things:details:1"]).await;
    assert_eq!(purged.text(), r#"{"dropped":["things:details:1","*"]}"#);
}

#[tokio::test]
async fn a_dry_run_without_a_store_names_what_would_be_owed() {
    let mut redis = RedisServer::start();
    let origin = Origin::register().await;
    let sidecar = Sidecar::impatient(&origin, &redis.url(), REGISTER_RULES).await;
    redis.kill();
    let got = dry(&sidecar, &["things:details:1"]).await;
    assert_eq!(got.text(), r#"{"would_drop":["things:details:1"]}"#);
    let ready = sidecar.door("GET", "/readyz", "").await.text();
    assert!(ready.contains(r#""invalidations_owed":0"#), "{ready}");
}

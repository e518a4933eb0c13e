use super::{RULES, TOKEN, world};
use crate::world::{Got, Sidecar, ask, head};

async fn told(sidecar: &Sidecar, target: &str, body: &str) -> Got {
    let bearer = format!("Bearer {TOKEN}");
    let headers = [("authorization", bearer.as_str())];
    ask(sidecar.admin(), "POST", target, &headers, body).await
}

#[tokio::test]
async fn rules_are_reloaded_and_answers_shown_for_who_has_the_token_alone() {
    let (_origin, sidecar) = world(true).await;
    for (target, body) in [
        ("/api/reload", ""),
        ("/api/inspect", r#"{"key": "kept:a"}"#),
    ] {
        assert_eq!(
            sidecar.door("POST", target, body).await.status,
            401,
            "{target}"
        );
        assert_eq!(told(&sidecar, target, body).await.status, 200, "{target}");
        assert_eq!(
            sidecar.door("GET", target, "").await.header("allow"),
            Some("POST")
        );
    }
}

#[tokio::test]
async fn what_is_not_understood_is_refused_whole() {
    let (_origin, sidecar) = world(true).await;
    let rows = [
        ("/api/reload", r#"{"rules": "other.toml"}"#),
        ("/api/reload", "[]"),
        ("/api/inspect", ""),
        ("/api/inspect", r#"{"key": 1}"#),
        ("/api/inspect", r#"{"key": "kept:a", "raw": true}"#),
        ("/api/inspect", r#"{"key": ""}"#),
        ("/api/inspect", r#"{"key": "*"}"#),
        ("/api/inspect", r#"{"key": "!vary:kept"}"#),
        ("/api/inspect", r#"{"key": "kept:a#vary"}"#),
    ];
    for (target, body) in rows {
        let got = told(&sidecar, target, body).await;
        assert_eq!(got.status, 400, "{target} {body}: {}", got.text());
    }
    assert_eq!(told(&sidecar, "/api/reload", "{}").await.status, 200);
}

#[tokio::test]
async fn a_bad_file_is_422_with_its_problems_and_shows_no_secret_of_it() {
    let (origin, sidecar) = world(false).await;
    let bad = head(origin.address, "memory:").replace("hosts", "hsots")
        + RULES
        + "[[cache]]\nsecret = \"s3cret-of-the-file\"\n";
    let refused = sidecar.reload(&bad).expect_err("it is bad");
    let got = sidecar.door("POST", "/api/reload", "").await;
    let said: serde_json::Value = serde_json::from_slice(&got.body).expect("JSON");
    assert_eq!(
        (got.status, said["error"].as_str()),
        (422, Some(refused.as_str()))
    );
    assert!(refused.contains("did you mean `hosts`?"), "{refused}");
    assert!(!refused.contains("s3cret-of-the-file"), "{refused}");
}

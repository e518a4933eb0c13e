//! What is fetched anew, held against what was kept before: drops that never change anything are named, and those that
//! do are not; so are answers that could be kept for longer.

use crate::redis::{RedisServer, eventually};
use crate::world::{Asked, Origin, Reply, Sidecar};
use serde_json::{Value as Json, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

const RULES: &str = r#"
[audit]
verify = 1.0

[[cache]]
name = "item"
match = "GET /item/{id}"
key = "items:{id}"
query = []
ttl = "5m"
public = true

[[cache]]
name = "leaf"
match = "GET /leaf/{id}"
key = "leaves:{id}"
query = []
ttl = "1s"
public = true

[[invalidate]]
name = "touched"
on = "POST /touch"
drop = ["items:*"]

[[invalidate]]
name = "changed"
on = "PATCH /item/{id}"
drop = ["items:{id}"]
"#;

/// Items that a PATCH changes and a touch does not, and leaves that nothing does.
async fn origin() -> Origin {
    let changes = Arc::new(AtomicU64::new(0));
    Origin::start(move |asked: Asked| {
        let changes = changes.clone();
        async move {
            if asked.method == "PATCH" {
                changes.fetch_add(1, SeqCst);
            }
            let changes = match asked.target.starts_with("/item/") {
                true => changes.load(SeqCst),
                false => 0,
            };
            Reply::json(json!({ "changes": changes }).to_string())
        }
    })
    .await
}

async fn audit(sidecar: &Sidecar) -> Json {
    let got = sidecar.door("GET", "/api/audit", "").await;
    serde_json::from_slice(&got.body).expect("JSON")
}

fn of_kind(audit: &Json, kind: &str) -> Vec<Json> {
    let findings = audit["findings"].as_array().expect("a list").iter();
    let found = findings.filter(|finding| finding["kind"] == kind);
    found.cloned().collect()
}

#[tokio::test]
async fn a_drop_that_never_changes_anything_is_named_though_another_sidecar_wrote() {
    let (origin, redis) = (origin().await, RedisServer::start());
    let one = Sidecar::start(&origin, &redis.url(), RULES).await;
    let two = Sidecar::start(&origin, &redis.url(), RULES).await;
    for _ in 0..40 {
        for (method, target) in [("POST", "/touch"), ("PATCH", "/item/7")] {
            two.get("/item/7").await;
            assert_eq!(one.ask(method, target, &[], "").await.status, 200);
            assert_eq!(two.get("/item/7").await.outcome(), "miss");
        }
    }
    let mut found = Vec::new();
    eventually("the drop is named", async || {
        two.get("/item/7").await; // hits are verified, and what others wrote is heard for them
        found = of_kind(&audit(&two).await, "useless-drop");
        !found.is_empty()
    })
    .await;
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!(found[0]["rule"], "item");
    assert_eq!(found[0]["write"], "POST /touch");
    assert_eq!(found[0]["drop"], "items:*");
    let evidence = &found[0]["evidence"];
    assert_eq!(
        (&evidence["set"], &evidence["changed"]),
        (&json!("touched"), &json!(0))
    );
    assert!(evidence["dropped"].as_u64() >= Some(20), "{found:#?}");
    eventually("any door tells it", async || {
        two.get("/item/7").await;
        of_kind(&audit(&one).await, "useless-drop").len() == 1
    })
    .await;
}

#[tokio::test]
async fn answers_that_are_the_same_when_they_have_expired_could_be_kept_for_longer() {
    let origin = origin().await;
    let sidecar = Sidecar::start(&origin, "memory:", RULES).await;
    let mut found = Vec::new();
    eventually("a longer ttl is advised", async || {
        for leaf in 0..60 {
            sidecar.get(&format!("/leaf/{leaf}")).await;
        }
        found = of_kind(&audit(&sidecar).await, "ttl");
        !found.is_empty()
    })
    .await;
    assert_eq!(found[0]["rule"], "leaf");
    assert_eq!(found[0]["evidence"]["changed"], 0);
    let advice = found[0]["advice"].as_str().expect("a text");
    assert!(advice.contains("`ttl = \"2s\"`"), "{advice}");
    assert_eq!(of_kind(&audit(&sidecar).await, "useless-drop").len(), 0);
}

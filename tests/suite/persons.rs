//! Answers that people share because they have the same role, and that are not the same for each of them.

use crate::redis::eventually;
use crate::world::{Asked, Origin, Reply, Sidecar, head};
use jsonwebtoken::{EncodingKey, Header};
use serde_json::{Value as Json, json};
use std::collections::HashSet;
use std::sync::{Arc, Mutex};

const SECRET: &str = "a secret of thirty-two bytes, or more";

const RULES: &str = r#"
[audit]
verify = 1.0

[identity]
token = ["header:authorization"]
scheme = "either"
role = "role"
verify = { algorithm = "HS256", secret = "a secret of thirty-two bytes, or more" }

[[cache]]
name = "figures"
match = "GET /figures"
key = "figures:{claims.role}:{query}"
query = ["page"]
ttl = "5m"
"#;

/// So many pages are looked at: each tells once that answers differ.
const PAGES: usize = 16;

fn bearer(name: &str) -> String {
    let claims = json!({ "sub": name, "role": "nurse", "exp": 4_000_000_000_u64 });
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    let token = jsonwebtoken::encode(&Header::default(), &claims, &key).expect("signs");
    format!("Bearer {token}")
}

/// One that tells each his own length of token where `is_personal`; else everybody whether the page was written to.
async fn ward(is_personal: bool) -> Origin {
    let written: Arc<Mutex<HashSet<String>>> = Arc::default();
    Origin::start(move |asked: Asked| {
        let written = written.clone();
        async move {
            let mut written = written.lock().expect("not poisoned");
            if asked.method == "POST" {
                let page = String::from_utf8_lossy(&asked.body).into_owned();
                written.insert(format!("/figures?page={page}"));
            }
            let whose = asked.header("authorization").map_or(0, str::len);
            let is_written = written.contains(&asked.target);
            let figures = if is_personal {
                whose
            } else {
                is_written.into()
            };
            Reply::json(json!({ "figures": figures, "page": asked.target }).to_string())
        }
    })
    .await
}

/// In memory, where nobody is waited for.
async fn sidecar(origin: &Origin) -> Sidecar {
    Sidecar::with_file(&(head(origin.address, "memory:") + RULES)).await
}

async fn asked(sidecar: &Sidecar, page: usize, by: &str) -> (String, String) {
    let sent = [("authorization", by)];
    let got = sidecar
        .ask("GET", &format!("/figures?page={page}"), &sent, "")
        .await;
    assert_eq!(got.status, 200);
    (got.outcome().to_owned(), got.text())
}

async fn findings(sidecar: &Sidecar) -> Vec<Json> {
    let got = sidecar.door("GET", "/api/audit", "").await;
    let found: Json = serde_json::from_slice(&got.body).expect("JSON");
    found["findings"].as_array().expect("findings").clone()
}

/// How many hits were verified with this result.
async fn verified(sidecar: &Sidecar, result: &str) -> usize {
    let metrics = sidecar.door("GET", "/metrics", "").await.text();
    let line =
        format!("sidecache_audit_total{{rule=\"figures\",kind=\"verify\",result=\"{result}\"}} ");
    let mut counts = metrics.lines().filter_map(|text| text.strip_prefix(&line));
    let count = counts.next().expect("it is counted from none on");
    count.parse().expect("a number")
}

async fn is_leak(sidecar: &Sidecar) -> bool {
    let found = findings(sidecar).await;
    found.iter().any(|one| one["kind"] == "leak")
}

#[tokio::test]
async fn what_a_role_shares_and_each_is_told_otherwise_is_put_in_quarantine() {
    let origin = ward(true).await;
    let sidecar = sidecar(&origin).await;
    let [ann, robert] = ["ann", "robert"].map(bearer);
    eventually("it is found out", async || {
        for page in 0..PAGES {
            for who in [&ann, &ann, &robert] {
                asked(&sidecar, page, who).await;
            }
        }
        is_leak(&sidecar).await
    })
    .await;
    let sent = [("authorization", ann.as_str())];
    let passed = sidecar.ask("GET", "/figures?page=0", &sent, "").await;
    assert_eq!(passed.detail(), Some("quarantined"));
    let found = findings(&sidecar).await;
    let leak = found.iter().find(|one| one["kind"] == "leak");
    let leak = leak.expect("it is said");
    assert_eq!(leak["rule"], "figures");
    let advice = leak["advice"].as_str().expect("a text");
    assert!(advice.contains("key it by its owner: people of one role"));
    for (who, length) in [(&ann, ann.len()), (&robert, robert.len())] {
        let (_, said) = asked(&sidecar, 1, who).await;
        assert!(said.contains(&format!("\"figures\":{length}")), "{said}");
    }
    let released = sidecar
        .door("POST", "/api/release", r#"{"rule": "figures"}"#)
        .await;
    assert_eq!(released.status, 200, "{}", released.text());
    // What was found stale before may be dropped still.
    eventually("it is kept again", async || {
        asked(&sidecar, 2, &ann).await.0 == "hit"
    })
    .await;
}

#[tokio::test]
async fn what_a_role_shares_and_all_are_told_alike_stays() {
    let origin = ward(false).await;
    let sidecar = sidecar(&origin).await;
    let [ann, robert] = ["ann", "robert"].map(bearer);
    let mut page = 0;
    eventually("many were held against each other", async || {
        page += 1;
        asked(&sidecar, page, &ann).await;
        asked(&sidecar, page, &robert).await;
        verified(&sidecar, "same").await > PAGES
    })
    .await;
    assert_eq!(findings(&sidecar).await, Vec::<Json>::new());
    assert_eq!(asked(&sidecar, 1, &robert).await.0, "hit");
}

#[tokio::test]
async fn what_was_written_between_two_people_is_no_leak() {
    let origin = ward(false).await;
    let sidecar = sidecar(&origin).await;
    let [ann, robert] = ["ann", "robert"].map(bearer);
    let mut page = 0;
    eventually("much was stale", async || {
        page += 1;
        asked(&sidecar, page, &ann).await;
        asked(&sidecar, page, &ann).await;
        sidecar.ask("POST", "/write", &[], &page.to_string()).await;
        asked(&sidecar, page, &robert).await;
        verified(&sidecar, "stale").await > 2 * PAGES
    })
    .await;
    assert!(!is_leak(&sidecar).await);
    assert!(!asked(&sidecar, page, &ann).await.0.contains("bypass"));
}

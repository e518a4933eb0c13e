//! Answers that people share because they have the same role, and that are not the same for each of them.

use crate::redis::{RedisServer, eventually};
use crate::world::{Asked, Origin, Reply, Sidecar, head};
use jsonwebtoken::{EncodingKey, Header};
use serde_json::{Value as Json, json};

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

/// One that tells each his own length of token where `is_personal`; else everybody the same.
async fn ward(is_personal: bool) -> Origin {
    Origin::start(move |asked: Asked| async move {
        let whose = asked.header("authorization").map_or(0, str::len);
        let whose = if is_personal { whose } else { 0 };
        Reply::json(json!({ "figures": whose, "page": asked.target }).to_string())
    })
    .await
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

/// How many hits were held against what another is told.
async fn held(sidecar: &Sidecar) -> usize {
    let metrics = sidecar.door("GET", "/metrics", "").await.text();
    let line = "sidecache_audit_total{rule=\"figures\",kind=\"leak\",result=";
    let counts = metrics.lines().filter_map(|text| text.strip_prefix(line));
    let count = |text: &str| text.rsplit(' ').next().expect("a count").parse::<usize>();
    counts.map(|text| count(text).expect("a number")).sum()
}

#[tokio::test]
async fn what_a_role_shares_and_each_is_told_otherwise_is_put_in_quarantine() {
    let (origin, redis) = (ward(true).await, RedisServer::start());
    let text = head(origin.address, &redis.url()) + RULES;
    let sidecar = Sidecar::with_file(&text).await;
    let [ann, robert] = ["ann", "robert"].map(bearer);
    eventually("the rule passes", async || {
        for page in 0..PAGES {
            asked(&sidecar, page, &ann).await;
            asked(&sidecar, page, &robert).await;
        }
        let found = findings(&sidecar).await;
        found.iter().any(|one| one["kind"] == "leak")
    })
    .await;
    assert_eq!(asked(&sidecar, 0, &ann).await.0, "bypass");
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
    asked(&sidecar, 2, &ann).await;
    assert_eq!(asked(&sidecar, 2, &ann).await.0, "hit");
}

#[tokio::test]
async fn what_a_role_shares_and_all_are_told_alike_stays() {
    let (origin, redis) = (ward(false).await, RedisServer::start());
    let text = head(origin.address, &redis.url()) + RULES;
    let sidecar = Sidecar::with_file(&text).await;
    let [ann, robert] = ["ann", "robert"].map(bearer);
    let mut page = 0;
    eventually("many were held against each other", async || {
        page += 1;
        asked(&sidecar, page, &ann).await;
        asked(&sidecar, page, &robert).await;
        held(&sidecar).await > PAGES
    })
    .await;
    assert_eq!(asked(&sidecar, 1, &robert).await.0, "hit");
    assert_eq!(findings(&sidecar).await, Vec::<Json>::new());
}

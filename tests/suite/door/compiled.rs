//! `GET /api/rules`: the rules in force as they were understood, and no secret.

use crate::redis::RedisServer;
use crate::world::{Asked, Origin, Reply, Sidecar, ask, head};
use serde_json::{Value as Json, json};

const SECRETS: [&str; 5] = [
    "jwt-secret-51ce",
    "redis-password-e07a",
    "admin-token-94b2",
    "c2VhbC1rZXktc2VhbC1rZXktc2VhbC1rZXktMDAwMDE=",
    "c2VhbC1rZXktc2VhbC1rZXktc2VhbC1rZXktMDAwMDI=",
];

const RULES: &str = r#"
[identity]
token = ["header:authorization", "cookie:accessToken"]
verify = { algorithm = "HS256", secret = "jwt-secret-51ce", issuer = "clinic" }

[[cache]]
name = "list"
match = ["GET /doctors", "GET /doctors/all"]
key = "doctors:list:{method}:{query}"
query = ["page"]
ttl = "90s"
public = true

[[cache]]
name = "mine"
match = "GET /mine/{id}"
key = "mine:{claims.email | lower}:{id}"
ttl = "origin"

[[invalidate]]
name = "changed"
on = "PATCH /mine/{id}"
drop = ["mine:{claims.email | lower}:{id}"]
commits = ["2xx", "409"]
"#;

async fn said(sidecar: &Sidecar) -> (String, Json) {
    let token = format!("Bearer {}", SECRETS[2]);
    let got = ask(
        sidecar.admin(),
        "GET",
        "/api/rules",
        &[("authorization", &token)],
        "",
    )
    .await;
    assert_eq!(got.status, 200, "{}", got.text());
    (got.text(), serde_json::from_slice(&got.body).expect("JSON"))
}

#[tokio::test]
async fn the_rules_in_force_are_shown_without_their_secrets() {
    let redis = RedisServer::start_with(&["--requirepass", SECRETS[1]]);
    let origin = Origin::start(|_: Asked| async { Reply::json("{}") }).await;
    let url = redis
        .url()
        .replace("://", &format!("://me:{}@", SECRETS[1]));
    let sealed = format!(
        "[store]\nseal = \"{}\"\nseal_previous = [\"{}\"]",
        SECRETS[3], SECRETS[4]
    );
    let file = head(origin.address, &url)
        .replacen(
            "[admin]",
            &format!("[admin]\ntoken = \"{}\"", SECRETS[2]),
            1,
        )
        .replacen("[store]", &sealed, 1);
    let sidecar = Sidecar::with_file(&(file + RULES)).await;
    let (text, rules) = said(&sidecar).await;
    for secret in SECRETS {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
    let place = format!("redis://***@127.0.0.1:{}", redis.port());
    assert_eq!(
        rules["store"],
        json!({ "url": place, "sealed": { "seal": "***", "previous": 1 } })
    );
    assert_eq!(rules["identity"]["verify"]["secret"], "***");
    assert_eq!(rules["identity"]["verify"]["issuer"], json!(["clinic"]));
    assert_eq!(rules["namespace"], "test");
    let list = &rules["rules"][0];
    assert_eq!(list["name"], "list");
    assert_eq!(list["match"], json!(["GET /doctors", "GET /doctors/all"]));
    assert_eq!(list["key"], "doctors:list:{method}:{query}");
    assert_eq!(
        (&list["ttl"], &list["query"]),
        (&json!("90s"), &json!(["page"]))
    );
    assert_eq!(list["dropped_by"], json!([]));
    let mine = &rules["rules"][1];
    assert_eq!(
        (&mine["ttl"], &mine["query"]),
        (&json!("origin"), &Json::Null)
    );
    assert_eq!(
        mine["nodes"],
        json!(["*", "mine:*", "mine:{claims.email | lower}:{id}"])
    );
    assert_eq!(mine["dropped_by"], json!(["changed"]));
    let set = json!({
        "name": "changed",
        "on": ["PATCH /mine/{id}"],
        "drop": [{ "template": "mine:{claims.email | lower}:{id}", "rules": ["mine"] }],
        "commits": ["2xx", "409"],
        "soft": false,
        "warm": [],
    });
    assert_eq!(rules["sets"], json!([set]));
    let warned = rules["warnings"].as_array().expect("a list");
    let of_list = |warning: &Json| warning.as_str().is_some_and(|text| text.contains("`list`"));
    assert!(warned.iter().any(of_list), "no set drops it: {warned:?}");
}

#[tokio::test]
async fn what_is_shown_is_what_a_reload_put_in_force() {
    let origin = Origin::start(|_: Asked| async { Reply::json("{}") }).await;
    let token = format!("[admin]\ntoken = \"{}\"", SECRETS[2]);
    let file = head(origin.address, "memory:").replacen("[admin]", &token, 1) + RULES;
    let sidecar = Sidecar::with_file(&file).await;
    sidecar
        .reload(&file.replace("90s", "2h"))
        .expect("sound rules");
    let (_, rules) = said(&sidecar).await;
    assert_eq!(rules["rules"][0]["ttl"], "2h");
    assert_eq!(rules["store"], json!({ "url": "memory:", "sealed": null }));
}

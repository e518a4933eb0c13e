//! Who asks, and who is served the same.

use super::{bearer, case, file, origin, token};
use crate::world::Sidecar;
use serde_json::{Value, json};

#[tokio::test]
async fn who_shares_an_answer_is_told() {
    let origin = origin().await;
    let more = r#"
[[cache]]
name = "meta"
match = "GET /meta"
key = "meta:{claims.role}"
query = []
ttl = "1m"

[[cache]]
name = "both"
match = "GET /both"
key = "both:{claims.role | lower}:{claims.email}"
query = []
ttl = "1m"

[[cache]]
name = "admins"
match = "GET /admins"
key = "admins"
query = []
roles = ["ADMIN"]
ttl = "1m"

[[cache]]
name = "session"
match = "GET /session"
key = "session:{token}"
query = []
ttl = "1m"
"#;
    let sidecar = Sidecar::with_file(&(file(origin.address) + more)).await;
    let boss = json!({"email": "boss@clinic.example", "role": "ADMIN", "exp": 4_000_000_000_u64});
    let cases = [
        ("/list", "everybody"),
        ("/mine", "callers whose email is boss@clinic.example"),
        (
            "/staff",
            "callers whose email is boss@clinic.example and whose role is ADMIN",
        ),
        ("/meta", "all callers whose role is ADMIN"),
        ("/admins", "all callers whose role is ADMIN"),
        (
            "/both",
            "callers whose {claims.role | lower} is admin and whose email is boss@clinic.example",
        ),
        ("/session", "callers with this very token"),
    ];
    for (target, expected) in cases {
        let asked = case("GET", target).with("authorization", bearer(&boss));
        let told = asked.told(&sidecar).await;
        assert_eq!(told["shared_by"], expected, "{told:#}");
    }
    let plain = case("GET", "/plain").told(&sidecar).await;
    assert_eq!(plain["shared_by"], "everybody who sends no credential");
}

#[tokio::test]
async fn a_scheme_before_a_raw_token_is_named_as_what_is_wrong() {
    let origin = origin().await;
    let text = file(origin.address).replace("scheme = \"either\"\n", "");
    let sidecar = Sidecar::with_file(&text).await;
    let ann = json!({"email": "ann@clinic.example", "exp": 4_000_000_000_u64});
    let mine = |value: String| case("GET", "/mine").with("authorization", value);
    let told = mine(bearer(&ann)).told(&sidecar).await;
    let reason = told["reasons"][0].to_string();
    assert!(reason.contains("begins with `Bearer `"), "{told:#}");
    assert!(reason.contains("either"), "{told:#}");
    let table = text.lines().position(|line| line == "[identity]");
    assert_eq!(
        told["reasons"][0]["line"],
        table.expect("a table") + 1,
        "{told:#}"
    );
    assert_eq!(
        mine(token(&ann)).told(&sidecar).await["verdict"],
        "cacheable"
    );
    let broken = mine("a.b.c".to_owned()).told(&sidecar).await;
    assert!(
        broken["reasons"].to_string().contains("is no JWT"),
        "{broken:#}"
    );
}

#[tokio::test]
async fn what_is_easily_overlooked_is_said() {
    let origin = origin().await;
    let sidecar = Sidecar::with_file(&file(origin.address)).await;
    let admin = json!({"email": "a@b", "role": "Admin", "exp": 4_000_000_000_u64});
    let staff = |claims: &Value| case("GET", "/staff").with("authorization", bearer(claims));
    let told = staff(&admin).told(&sidecar).await.to_string();
    assert!(told.contains("capital and small letters count"), "{told}");
    let nurse = json!({"email": "a@b", "role": "NURSE", "exp": 4_000_000_000_u64});
    let told = staff(&nurse).told(&sidecar).await.to_string();
    assert!(
        told.contains("NURSE") && !told.contains("letters count"),
        "{told}"
    );
    let note = "no body that can be read";
    for (body, is_noted) in [("", true), ("no JSON", true), (r#"{"id": 1}"#, false)] {
        let told = case("POST", "/item").json(body).told(&sidecar).await;
        assert_eq!(
            told["notes"].to_string().contains(note),
            is_noted,
            "{told:#}"
        );
    }
    let told = case("PATCH", "/item/1").told(&sidecar).await;
    assert!(!told["notes"].to_string().contains(note), "{told:#}");
}

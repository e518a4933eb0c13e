use super::*;
use crate::identity::Verifier;
use crate::inputs::Inputs;
use crate::key;
use crate::rules::check;
use crate::rules::table::Table;
use hyper::{HeaderMap, Method};
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use serde_json::json;
use std::path::Path;
use std::time::Duration;

const RULES: &str = r#"namespace = "ns"
[proxy]
listen = "127.0.0.1:0"
origin = "http://127.0.0.1:1"
[identity]
token = ["header:authorization"]
scheme = "raw"
verify = { algorithm = "HS256", secret = "a secret of the tests" }
[[cache]]
name = "one"
match = "GET /one/{oneId}"
key = "ones:{oneId}"
ttl = "1m"
public = true
"#;

fn table() -> Table {
    let checked = check::compile(RULES.as_bytes(), &|_| None, Path::new("."));
    let shown = checked.render("rules.toml", RULES.as_bytes(), false);
    checked.table.unwrap_or_else(|| panic!("{shown}"))
}

fn claims(claims: &Json) -> Claims {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let encoded = |json: &Json| URL_SAFE_NO_PAD.encode(json.to_string());
    let message = format!("{}.{}", encoded(&json!({"alg": "HS256"})), encoded(claims));
    let key = EncodingKey::from_secret(b"a secret of the tests");
    let signature = crypto::sign(message.as_bytes(), &key, Algorithm::HS256).expect("signed");
    let table = table();
    let settings = table.identity.expect("an identity").verify.expect("a key");
    let verifier = Verifier::new(&settings, Duration::ZERO, None).expect("a verifier");
    let token = format!("{message}.{signature}");
    verifier.verify(&token, 0).expect("a good token")
}

fn shown(parts: &[(String, String)]) -> Vec<(&str, &str)> {
    let parts = parts.iter();
    parts
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect()
}

#[test]
fn every_place_that_a_drop_may_name_is_there_under_its_placeholder() {
    let params = [("doctorId".to_owned(), "D 1".to_owned())];
    let query = Query::parse(Some("slot=s1&slot=s2&day=mon")).expect("a query");
    let body = json!({"a": {"b": "x"}, "list": ["y"], "none": null, "empty": "", "odd name": 1});
    let answer = json!({"success": true, "data": {"id": 42, "price": 1.5}});
    let claims = claims(&json!({"email": "ann@x", "role": "ADMIN", "iat": 1, "exp": 9}));
    let parts = of_write(
        &params,
        Some(&query),
        Some(&body),
        Some(&answer),
        Some(&claims),
    );
    assert_eq!(
        shown(&parts),
        [
            ("{doctorId}", "D%201"),
            ("{doctorId | lower}", "d%201"),
            ("{claims.email}", "ann@x"),
            ("{claims.role}", "ADMIN"),
            ("{claims.role | lower}", "admin"),
            ("{query.day}", "mon"),
            ("{body.a.b}", "x"),
            ("{response.success}", "true"),
            ("{response.data.id}", "42"),
        ]
    );
}

#[test]
fn a_part_is_what_a_key_of_the_same_value_holds() {
    let table = table();
    for (in_path, in_body) in [
        ("42", json!(42)),
        ("42", json!(42.0)),
        ("42", json!("42")),
        ("a%20b%2F", json!("a b/")),
        ("%C3%A4%3A*", json!("ä:*")),
        ("true", json!(true)),
    ] {
        let path = format!("/one/{in_path}");
        let matched = table.read(&Method::GET, &path).expect("a rule");
        let inputs = Inputs {
            method: &Method::GET,
            captures: &matched.captures,
            headers: &HeaderMap::new(),
            query: None,
            body: None,
            claims: None,
            token: None,
            response: None,
        };
        let rendered = key::render(matched.what, &inputs);
        let body = json!({ "id": in_body });
        let parts = of_write(&[], None, Some(&body), None, None);
        assert_eq!(parts[0].1, rendered.segments()[1], "{in_path} {body}");
    }
}

#[test]
fn a_large_body_leaves_room_to_the_answer_and_what_is_deep_is_left_out_first() {
    let many = |count: usize| -> Json {
        let member = |at: usize| (format!("f{at}"), json!(at));
        Json::Object((0..count).map(member).collect())
    };
    let deep = json!({"a": {"b": {"c": {"d": {"e": "too deep"}}}}});
    assert_eq!(of_write(&[], None, Some(&deep), None, None), []);
    let answer = json!({"data": many(100), "id": 7});
    let parts = of_write(&[], None, Some(&many(100)), Some(&answer), None);
    assert_eq!(parts.len(), MAX_PARTS);
    assert!(parts.iter().any(|(name, _)| name == "{response.id}"));
    assert!(parts.iter().any(|(name, _)| name == "{response.data.f0}"));
    let long = json!({"a": "x".repeat(MAX_VALUE + 1), "b": 9_007_199_254_740_993u64});
    assert_eq!(of_write(&[], None, Some(&long), None, None), []);
}

#[test]
fn marks_are_alike_where_values_are_and_under_one_secret() {
    let (secret, other) = ([1; KEY_BYTES], [2; KEY_BYTES]);
    assert_eq!(mark("a", &secret), mark("a", &secret));
    assert_ne!(mark("a", &secret), mark("b", &secret));
    assert_ne!(mark("a", &secret), mark("a", &other));
}

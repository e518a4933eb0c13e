//! Whose answer it is, where an issuer publishes the keys that tokens are signed with.

use crate::world::{Origin, Reply, Sidecar, eventually, head};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

const RSA: &[u8] = include_bytes!("../keys/test-rsa-private.pem");
const P256: &[u8] = include_bytes!("../keys/test-p256-private.pem");

fn signing_key() -> EncodingKey {
    EncodingKey::from_rsa_pem(RSA).expect("a key")
}

/// The test key, published under a name.
fn published(kid: &str) -> Value {
    let mut key = Jwk::from_encoding_key(&signing_key(), Algorithm::RS256).expect("a public part");
    key.common.key_id = Some(kid.to_owned());
    serde_json::to_value(key).expect("plain data")
}

fn token(kid: &str, claims: &Value) -> String {
    let mut header = Header::new(Algorithm::RS256);
    header.kid = Some(kid.to_owned());
    jsonwebtoken::encode(&header, claims, &signing_key()).expect("signs")
}

fn ann() -> Value {
    json!({"email": "ann@clinic.example", "iss": "https://issuer.example", "aud": ["clinic"]})
}

/// An issuer whose key set can be changed.
struct Issuer {
    server: Origin,
    keys: Arc<Mutex<Vec<Value>>>,
}

impl Issuer {
    async fn publishing(keys: &[Value]) -> Issuer {
        let keys = Arc::new(Mutex::new(keys.to_vec()));
        let shown = keys.clone();
        let server = Origin::start(move |_| {
            let keys = shown.lock().expect("not poisoned").clone();
            async move { Reply::json(json!({ "keys": keys }).to_string()) }
        })
        .await;
        Issuer { server, keys }
    }

    fn publish(&self, keys: &[Value]) {
        *self.keys.lock().expect("not poisoned") = keys.to_vec();
    }
}

#[tokio::test]
async fn a_file_of_keys_that_has_changed_is_read_again_at_a_reload() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("keys.json");
    let publish = |kid: &str| {
        let keys = json!({ "keys": [published(kid)] });
        std::fs::write(&file, keys.to_string()).expect("a file");
    };
    publish("one");
    let (origin, sidecar) = clinic(&file.display().to_string()).await;
    let (one, two) = (token("one", &ann()), token("two", &ann()));
    assert_eq!(asked_by(&sidecar, &one).await, "miss");
    publish("two");
    let text = rules(origin.address, &file.display().to_string());
    sidecar.reload(&text).expect("sound rules");
    assert_eq!(asked_by(&sidecar, &one).await, "bypass bad-token");
    assert_eq!(asked_by(&sidecar, &two).await, "hit");
}

/// Whom tokens are to be for and from.
const PARTIES: &str = r#", audience = "clinic", issuer = "https://issuer.example""#;

/// Answers keyed by verified e-mail address.
fn rules(origin: SocketAddr, jwks: &str) -> String {
    format!(
        r#"{}
[identity]
token = ["header:authorization"]
scheme = "bearer"
verify = {{ algorithm = "RS256", jwks = "{jwks}"{PARTIES} }}
[[cache]]
name = "mine"
match = "GET /api/mine"
key = "mine:{{claims.email}}"
query = []
ttl = "5m"
"#,
        head(origin, "memory:")
    )
}

/// An origin that answers with the credential that it was asked with, behind a sidecar that keys by
/// verified e-mail address.
async fn clinic(jwks: &str) -> (Origin, Sidecar) {
    let origin = Origin::start(|asked| async move {
        let whose = asked.header("authorization").unwrap_or("nobody").to_owned();
        Reply::json(json!({ "whose": whose }).to_string())
    })
    .await;
    let sidecar_rules = rules(origin.address, jwks);
    let sidecar = Sidecar::with_file(&sidecar_rules).await;
    (origin, sidecar)
}

async fn asked_by(sidecar: &Sidecar, token: &str) -> String {
    let bearer = format!("Bearer {token}");
    let got = sidecar
        .get_with("/api/mine", &[("authorization", &bearer)])
        .await;
    assert_eq!(got.status, 200);
    match got.detail() {
        Some(detail) => format!("{} {detail}", got.outcome()),
        None => got.outcome().to_owned(),
    }
}

/// Until then every token passes.
async fn keys_are_read(sidecar: &Sidecar, token: &str) {
    eventually("the keys are read", async || {
        asked_by(sidecar, token).await == "hit"
    })
    .await;
}

#[tokio::test]
async fn keys_are_read_from_their_issuer_and_change_with_him() {
    let issuer = Issuer::publishing(&[published("one")]).await;
    let jwks = format!("http://{}/keys?tenant=1", issuer.server.address);
    let (_origin, sidecar) = clinic(&jwks).await;
    let (one, two) = (token("one", &ann()), token("two", &ann()));
    keys_are_read(&sidecar, &one).await;
    assert_eq!(issuer.server.last().target, "/keys?tenant=1");
    assert_eq!(asked_by(&sidecar, &two).await, "bypass bad-token");
    issuer.publish(&[published("two")]);
    eventually("the new key is read", async || {
        asked_by(&sidecar, &two).await == "hit"
    })
    .await;
    assert_eq!(
        asked_by(&sidecar, &one).await,
        "bypass bad-token",
        "withdrawn"
    );
}

#[tokio::test]
async fn a_token_for_others_or_of_others_passes_although_its_signature_is_good() {
    let issuer = Issuer::publishing(&[published("one")]).await;
    let jwks = format!("http://{}/", issuer.server.address);
    let (_origin, sidecar) = clinic(&jwks).await;
    let good = token("one", &ann());
    keys_are_read(&sidecar, &good).await;
    for (claim, value) in [
        ("aud", json!("laboratory")),
        ("aud", json!(["laboratory"])),
        ("iss", json!("https://elsewhere.example")),
        ("iss", Value::Null),
        ("exp", json!(1)),
    ] {
        let mut claims = ann();
        claims[claim] = value;
        let token = token("one", &claims);
        assert_eq!(
            asked_by(&sidecar, &token).await,
            "bypass bad-token",
            "{claims}"
        );
    }
}

#[tokio::test]
async fn what_the_public_key_could_sign_as_a_secret_proves_nothing() {
    let issuer = Issuer::publishing(&[published("one")]).await;
    let jwks = format!("http://{}/", issuer.server.address);
    let (_origin, sidecar) = clinic(&jwks).await;
    let good = token("one", &ann());
    keys_are_read(&sidecar, &good).await;
    let modulus = published("one")["n"]
        .as_str()
        .expect("a modulus")
        .to_owned();
    let hmac = |secret: &[u8]| {
        let mut header = Header::new(Algorithm::HS256);
        header.kid = Some("one".to_owned());
        jsonwebtoken::encode(&header, &ann(), &EncodingKey::from_secret(secret)).expect("signs")
    };
    let mut other = Header::new(Algorithm::ES256);
    other.kid = Some("one".to_owned());
    let curve = EncodingKey::from_ec_pem(P256).expect("a key");
    let (_, payload_and_signature) = good.split_once('.').expect("three parts");
    let (payload, _) = payload_and_signature.split_once('.').expect("three parts");
    for forged in [
        hmac(modulus.as_bytes()),
        hmac(include_bytes!("../keys/test-rsa-public.pem")),
        jsonwebtoken::encode(&other, &ann(), &curve).expect("signs"),
        format!("eyJhbGciOiJub25lIn0.{payload}."), // {"alg":"none"}
    ] {
        assert_eq!(
            asked_by(&sidecar, &forged).await,
            "bypass bad-token",
            "{forged}"
        );
    }
    let kids = [
        "../../etc/passwd",
        "' OR 1=1 --",
        "http://127.0.0.1:1/",
        "",
        "One",
    ];
    for kid in kids {
        assert_eq!(
            asked_by(&sidecar, &token(kid, &ann())).await,
            "bypass bad-token",
            "{kid}"
        );
    }
    assert_eq!(asked_by(&sidecar, &good).await, "hit");
}

#[tokio::test]
async fn an_issuer_that_cannot_be_reached_holds_nobody_up() {
    let gone = {
        let issuer = Issuer::publishing(&[]).await;
        issuer.server.address
    };
    let (origin, sidecar) = clinic(&format!("http://{gone}/")).await;
    assert_eq!(
        asked_by(&sidecar, &token("one", &ann())).await,
        "bypass bad-token"
    );
    assert_eq!(origin.count(), 1);
    assert_eq!(sidecar.get("/api/mine").await.detail(), Some("no-identity"));
}

#[tokio::test]
async fn a_reload_does_not_begin_without_keys() {
    let issuer = Issuer::publishing(&[published("one")]).await;
    let jwks = format!("http://{}/", issuer.server.address);
    let (origin, sidecar) = clinic(&jwks).await;
    let good = token("one", &ann());
    keys_are_read(&sidecar, &good).await;
    let rules = rules(origin.address, &jwks).replace(PARTIES, "");
    sidecar.reload(&rules).expect("sound rules");
    assert_eq!(asked_by(&sidecar, &good).await, "miss", "verified at once");
    assert_eq!(issuer.server.count(), 1, "the keys were at hand");
}

#[tokio::test]
async fn several_roles_of_one_rule_never_share_an_answer() {
    // A filter that makes two roles alike tells them no better than no placeholder at all.
    for key in ["stats:all", "stats:{claims.role | lower}"] {
        no_role_is_shown_anothers(key).await;
    }
}

async fn no_role_is_shown_anothers(key: &str) {
    let origin = Origin::start(|asked| async move {
        let whose = asked.header("authorization").unwrap_or("nobody").to_owned();
        Reply::json(json!({ "whose": whose }).to_string())
    })
    .await;
    let rules = r#"
[identity]
token = ["header:authorization"]
verify = { algorithm = "HS256", secret = "test-secret" }
[[cache]]
name = "stats"
match = "GET /stats"
key = "KEY"
query = []
roles = ["ADMIN", "DOCTOR", "Admin"]
ttl = "5m"
[[invalidate]]
name = "changed"
on = "POST /change"
drop = ["stats:*"]
"#;
    let sidecar = Sidecar::start(&origin, "memory:", &rules.replace("KEY", key)).await;
    let key = EncodingKey::from_secret(b"test-secret");
    let as_role = async |role: &str| {
        let claims = json!({ "role": role });
        let token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key);
        let token = token.expect("signs");
        let got = sidecar
            .get_with("/stats", &[("authorization", &token)])
            .await;
        assert!(
            got.text().contains(&token),
            "{role} was shown {}",
            got.text()
        );
        got.outcome().to_owned()
    };
    for outcome in ["miss", "hit"] {
        assert_eq!(as_role("ADMIN").await, outcome);
        assert_eq!(as_role("DOCTOR").await, outcome);
        assert_eq!(as_role("Admin").await, outcome);
        assert_eq!(as_role("PATIENT").await, "bypass");
        assert_eq!(as_role("admin").await, "bypass");
    }
    sidecar.ask("POST", "/change", &[], "{}").await;
    assert_eq!(as_role("ADMIN").await, "miss");
    assert_eq!(as_role("DOCTOR").await, "miss");
}

/// RFC 9111 §3.5 says it of `Authorization` alone; a cookie that is said to be the credential is no less one.
#[tokio::test]
async fn what_was_asked_with_the_cookie_of_identity_is_shared_only_if_the_origin_says_so() {
    let origin = Origin::start(|asked| async move {
        let whose = asked.header("cookie").unwrap_or("nobody").to_owned();
        let said = asked.target.trim_start_matches('/').replace('_', ", ");
        Reply::json(json!({ "whose": whose }).to_string()).header("cache-control", &said)
    })
    .await;
    let rules = r#"
[identity]
token = ["cookie:sid"]
[[cache]]
name = "all"
match = "GET /{rest*}"
key = "all:{rest}"
ttl = "origin"
forward = "all"
public = true
"#;
    let sidecar = Sidecar::start(&origin, "memory:", rules).await;
    for (path, outcome) in [("/max-age=60", "miss"), ("/max-age=60_public", "hit")] {
        let by = async |cookie: &str| sidecar.get_with(path, &[("cookie", cookie)]).await;
        assert_eq!(by("sid=ann").await.outcome(), "miss", "{path}");
        assert_eq!(by("sid=bob").await.outcome(), outcome, "{path}");
        let seen = by("lang=en").await;
        let shared = outcome == "hit";
        assert_eq!(
            seen.text().contains("ann"),
            shared,
            "{path}: {}",
            seen.text()
        );
    }
}

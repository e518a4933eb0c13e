//! Tokens as the clinic signs them, and as it never would.

use crate::clinic::world::JWT_SECRET;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use serde_json::json;
use std::time::{SystemTime, UNIX_EPOCH};

const RSA: &[u8] = include_bytes!("../../../keys/test-rsa-private.pem");
const RSA_PUBLIC: &[u8] = include_bytes!("../../../keys/test-rsa-public.pem");
const HS256: &str = r#"{"alg":"HS256","typ":"JWT"}"#;
/// Far away.
const EXP: u64 = 4_000_000_000;

/// Seconds since 1970.
pub fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.expect("after 1970").as_secs()
}

fn encoded(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

fn token(header: &str, payload: &str, key: &EncodingKey, algorithm: Algorithm) -> String {
    let signed = format!("{}.{}", encoded(header), encoded(payload));
    let signature = crypto::sign(signed.as_bytes(), key, algorithm).expect("a signature");
    format!("{signed}.{signature}")
}

/// Any claims, written as they stand, signed as the clinic signs.
pub fn claiming(payload: &str) -> String {
    let key = EncodingKey::from_secret(JWT_SECRET.as_bytes());
    token(HS256, payload, &key, Algorithm::HS256)
}

fn claims(email: &str, role: &str, exp: u64) -> String {
    json!({ "email": email, "role": role, "iat": 1_700_000_000, "exp": exp }).to_string()
}

pub fn good(email: &str, role: &str) -> String {
    until(email, role, EXP)
}

pub fn until(email: &str, role: &str, exp: u64) -> String {
    claiming(&claims(email, role, exp))
}

/// Tokens that say to be this person's, and prove nothing.
pub fn forged(email: &str, role: &str) -> Vec<(&'static str, String)> {
    let payload = claims(email, role, EXP);
    let ours = EncodingKey::from_secret(JWT_SECRET.as_bytes());
    let theirs = EncodingKey::from_secret(b"another secret");
    let public = EncodingKey::from_secret(RSA_PUBLIC);
    let rsa = EncodingKey::from_rsa_pem(RSA).expect("a key");
    let unsigned = |header: &str| format!("{}.{}.", encoded(header), encoded(&payload));
    let honest = good("patient20@clinic.example", "PATIENT");
    let (_, signature) = honest.rsplit_once('.').expect("three parts");
    let traveller = format!(r#"{{"alg":"HS256","kid":"../../{}"}}"#, "../".repeat(9));
    let late = json!({ "email": email, "role": role, "nbf": EXP - 1, "exp": EXP });
    vec![
        ("alg none", unsigned(r#"{"alg":"none","typ":"JWT"}"#)),
        ("alg nOnE", unsigned(r#"{"alg":"nOnE"}"#)),
        ("no signature", unsigned(HS256)),
        ("another's signature", unsigned(HS256) + signature),
        (
            "wrong key",
            token(HS256, &payload, &theirs, Algorithm::HS256),
        ),
        (
            "public key as secret",
            token(HS256, &payload, &public, Algorithm::HS256),
        ),
        (
            "says RS256, is HS256",
            token(r#"{"alg":"RS256"}"#, &payload, &ours, Algorithm::HS256),
        ),
        (
            "RS256",
            token(r#"{"alg":"RS256"}"#, &payload, &rsa, Algorithm::RS256),
        ),
        (
            "HS512",
            token(r#"{"alg":"HS512"}"#, &payload, &ours, Algorithm::HS512),
        ),
        (
            "travelling kid",
            token(&traveller, &payload, &theirs, Algorithm::HS256),
        ),
        ("not yet valid", claiming(&late.to_string())),
        ("expired", until(email, role, now() - 5)),
    ]
}

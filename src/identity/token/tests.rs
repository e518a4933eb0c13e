//! Tokens good and bad. `tests/keys/test-tokens.txt` was signed by OpenSSL: another implementation.

use super::*;
use crate::secret::Secret;
use jsonwebtoken::{EncodingKey, crypto};

const RSA: &str = include_str!("../../../tests/keys/test-rsa-public.pem");
const RSA_PRIVATE: &str = include_str!("../../../tests/keys/test-rsa-private.pem");
const P256: &str = include_str!("../../../tests/keys/test-p256-public.pem");
const P384: &str = include_str!("../../../tests/keys/test-p384-public.pem");
const ED25519: &str = include_str!("../../../tests/keys/test-ed25519-public.pem");
const TOKENS: &str = include_str!("../../../tests/keys/test-tokens.txt");
const SECRET: &str = "test-secret";

/// The tokens of the file hold `iat` 1000 and `exp` 2000.
const VALID: u64 = 1500;

fn secret(text: &str) -> VerifyKey {
    VerifyKey::Secret(Secret::new(text.into()))
}

fn pem(text: &str) -> VerifyKey {
    VerifyKey::Pem(text.into())
}

fn all() -> [(Algorithm, &'static str, VerifyKey); 12] {
    [
        (Algorithm::Hs256, "HS256", secret(SECRET)),
        (Algorithm::Hs384, "HS384", secret(SECRET)),
        (Algorithm::Hs512, "HS512", secret(SECRET)),
        (Algorithm::Rs256, "RS256", pem(RSA)),
        (Algorithm::Rs384, "RS384", pem(RSA)),
        (Algorithm::Rs512, "RS512", pem(RSA)),
        (Algorithm::Ps256, "PS256", pem(RSA)),
        (Algorithm::Ps384, "PS384", pem(RSA)),
        (Algorithm::Ps512, "PS512", pem(RSA)),
        (Algorithm::Es256, "ES256", pem(P256)),
        (Algorithm::Es384, "ES384", pem(P384)),
        (Algorithm::EdDsa, "EdDSA", pem(ED25519)),
    ]
}

fn of(algorithm: Algorithm, key: VerifyKey) -> VerifySettings {
    VerifySettings {
        algorithm,
        key,
        audience: Vec::new(),
        issuer: Vec::new(),
    }
}

fn new(algorithm: Algorithm, key: VerifyKey) -> Result<Verifier, String> {
    Verifier::new(&of(algorithm, key), Duration::ZERO, None)
}

fn hs256() -> Verifier {
    new(Algorithm::Hs256, secret(SECRET)).expect("a secret")
}

/// The token of the file for this algorithm.
fn token(algorithm: &str) -> &'static str {
    let mut lines = TOKENS.lines().filter_map(|line| line.split_once(' '));
    lines
        .find(|(name, _)| *name == algorithm)
        .expect("a line for each algorithm")
        .1
}

fn part(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A token of these very bytes, signed by HMAC with SHA-256.
fn signed_with(key: &[u8], header: &[u8], payload: &[u8]) -> String {
    let message = format!("{}.{}", part(header), part(payload));
    let key = EncodingKey::from_secret(key);
    let signature = crypto::sign(message.as_bytes(), &key, Jwa::HS256).expect("signs");
    format!("{message}.{signature}")
}

fn signed(payload: &[u8]) -> String {
    signed_with(SECRET.as_bytes(), br#"{"alg":"HS256"}"#, payload)
}

fn refusal(verifier: &Verifier, token: &str) -> Option<BadToken> {
    verifier.verify(token, VALID).err()
}

#[test]
fn every_algorithm_accepts_what_another_implementation_signed() {
    for (algorithm, name, key) in all() {
        let verifier = new(algorithm, key).expect(name);
        let claims = verifier.verify(token(name), VALID).expect(name);
        assert_eq!(claims.text("email").as_deref(), Some("ann@clinic.example"));
        assert_eq!(claims.text("iat").as_deref(), Some("1000"));
    }
}

#[test]
fn every_algorithm_refuses_the_tokens_of_every_other() {
    for (algorithm, name, key) in all() {
        let verifier = new(algorithm, key).expect(name);
        for (_, other, _) in all().iter().filter(|(_, other, _)| *other != name) {
            assert_eq!(
                refusal(&verifier, token(other)),
                Some(BadToken::Algorithm),
                "{name} {other}"
            );
        }
    }
}

#[test]
fn every_algorithm_refuses_a_changed_message_and_a_changed_signature() {
    for (algorithm, name, key) in all() {
        let verifier = new(algorithm, key).expect(name);
        let (message, signature) = token(name).rsplit_once('.').expect("three parts");
        let (header, _) = message.split_once('.').expect("three parts");
        let bytes = URL_SAFE_NO_PAD.decode(signature).expect("base64url");
        let promoted = part(r#"{"email":"ann@clinic.example","role":"ADMIN","exp":2000}"#);
        let bad = [
            format!("{header}.{promoted}.{signature}"),
            format!("{message}."),
            format!("{message}.{}", part([0; 64])),
            format!("{message}.{}", part([0xff; 256])),
            format!("{message}.{}", part(&bytes[..bytes.len() - 1])),
        ];
        for token in bad {
            assert_eq!(
                refusal(&verifier, &token),
                Some(BadToken::Signature),
                "{name}"
            );
        }
    }
}

#[test]
fn a_token_without_an_algorithm_is_refused_however_it_is_spelt() {
    for alg in [
        r#""none""#,
        r#""None""#,
        r#""NONE""#,
        r#""""#,
        "null",
        "[\"HS256\"]",
        r#""hs256""#,
    ] {
        let header = format!(r#"{{"alg":{alg}}}"#);
        let unsigned = format!("{}.{}.", part(&header), part(r#"{"role":"ADMIN"}"#));
        assert_eq!(
            refusal(&hs256(), &unsigned),
            Some(BadToken::Algorithm),
            "{alg}"
        );
        let signed = signed_with(SECRET.as_bytes(), header.as_bytes(), b"{}");
        assert_eq!(
            refusal(&hs256(), &signed),
            Some(BadToken::Algorithm),
            "{alg}"
        );
    }
    let absent = signed_with(SECRET.as_bytes(), b"{}", b"{}");
    assert_eq!(refusal(&hs256(), &absent), Some(BadToken::Algorithm));
}

#[test]
fn the_public_key_is_never_taken_for_a_shared_secret() {
    let verifier = new(Algorithm::Rs256, pem(RSA)).expect("an RSA key");
    let forged = signed_with(
        RSA.as_bytes(),
        br#"{"alg":"HS256"}"#,
        br#"{"role":"ADMIN"}"#,
    );
    assert_eq!(refusal(&verifier, &forged), Some(BadToken::Algorithm));
    let renamed = signed_with(
        RSA.as_bytes(),
        br#"{"alg":"RS256"}"#,
        br#"{"role":"ADMIN"}"#,
    );
    assert_eq!(refusal(&verifier, &renamed), Some(BadToken::Signature));
    assert_eq!(refusal(&hs256(), token("RS256")), Some(BadToken::Algorithm));
}

#[test]
fn another_key_is_a_bad_signature() {
    let forged = signed_with(b"test-secre", br#"{"alg":"HS256"}"#, b"{}");
    assert_eq!(refusal(&hs256(), &forged), Some(BadToken::Signature));
    let other = new(Algorithm::Hs256, secret("other")).expect("a secret");
    assert_eq!(refusal(&other, token("HS256")), Some(BadToken::Signature));
}

#[test]
fn a_key_that_does_not_fit_the_algorithm_is_refused_when_it_is_read() {
    let rows = [
        (Algorithm::Hs256, secret("")),
        (Algorithm::Hs256, pem(RSA)),
        (Algorithm::Rs256, secret(SECRET)),
        (Algorithm::Rs256, pem(P256)),
        (Algorithm::Rs256, pem(RSA_PRIVATE)),
        (Algorithm::Ps512, pem(ED25519)),
        (Algorithm::Es256, pem(RSA)),
        (Algorithm::Es256, pem(P384)),
        (Algorithm::Es384, pem(P256)),
        (Algorithm::EdDsa, pem(P256)),
        (Algorithm::EdDsa, pem("")),
        (
            Algorithm::EdDsa,
            pem("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"),
        ),
    ];
    for (algorithm, key) in rows {
        assert!(
            new(algorithm, key.clone()).is_err(),
            "{algorithm:?} {key:?}"
        );
    }
}

#[test]
fn critical_extensions_are_refused_whatever_they_hold() {
    for crit in [r#"["exp"]"#, r#"["b64"],"b64":false"#, "[]", "null"] {
        let header = format!(r#"{{"alg":"HS256","crit":{crit}}}"#);
        let token = signed_with(SECRET.as_bytes(), header.as_bytes(), b"{}");
        assert_eq!(
            refusal(&hs256(), &token),
            Some(BadToken::Algorithm),
            "{crit}"
        );
    }
}

#[test]
fn every_truncation_of_a_token_is_refused() {
    let whole = token("HS256");
    for end in 0..whole.len() {
        assert!(hs256().verify(&whole[..end], VALID).is_err(), "{end}");
    }
    assert!(hs256().verify(whole, VALID).is_ok());
}

#[test]
fn what_is_not_a_token_is_malformed() {
    let nested = "[".repeat(10_000);
    let long = signed(format!(r#"{{"x":"{}"}}"#, "y".repeat(MAX_TOKEN_BYTES)).as_bytes());
    let padded = format!("{}=", token("HS256"));
    let five = format!("{}.a.b", token("HS256"));
    let deep = signed(format!(r#"{{"x":{nested}"#).as_bytes());
    let latin = signed(b"{\"x\":\"\xff\"}");
    let (array, text) = (signed(b"[]"), signed(br#""ann""#));
    let bad = [
        "",
        ".",
        "..",
        "...",
        "a.b.c",
        "\u{e9}.\u{e9}.\u{e9}",
        "e30.e30",
        "!.e30.e30",
    ];
    let made = [&padded, &five, &long, &deep, &latin, &array, &text];
    for token in bad.into_iter().chain(made.map(String::as_str)) {
        assert_eq!(
            refusal(&hs256(), token),
            Some(BadToken::Malformed),
            "{token:.60}"
        );
    }
}

#[test]
fn a_token_of_the_largest_size_is_still_read() {
    let fit = |filler: usize| signed(format!(r#"{{"x":"{}"}}"#, "y".repeat(filler)).as_bytes());
    let filler = (0..MAX_TOKEN_BYTES)
        .rev()
        .find(|&n| n * 4 / 3 + 100 < MAX_TOKEN_BYTES);
    let token = fit(filler.expect("some length fits"));
    assert!(token.len() <= MAX_TOKEN_BYTES && hs256().verify(&token, VALID).is_ok());
}

#[test]
fn a_token_is_expired_from_the_second_of_exp_on() {
    let verifier = hs256();
    let token = signed(br#"{"exp":2000}"#);
    assert!(verifier.verify(&token, 1999).is_ok());
    assert_eq!(verifier.verify(&token, 2000).err(), Some(BadToken::Expired));
    let fraction = signed(br#"{"exp":2000.5}"#);
    assert!(verifier.verify(&fraction, 2000).is_ok());
    assert_eq!(
        verifier.verify(&fraction, 2001).err(),
        Some(BadToken::Expired)
    );
}

#[test]
fn a_token_is_early_until_the_second_of_nbf() {
    let token = signed(br#"{"nbf":2000}"#);
    assert_eq!(
        hs256().verify(&token, 1999).err(),
        Some(BadToken::NotYetValid)
    );
    assert!(hs256().verify(&token, 2000).is_ok());
}

#[test]
fn leeway_widens_both_bounds_by_itself() {
    let settings = of(Algorithm::Hs256, secret(SECRET));
    let verifier = Verifier::new(&settings, Duration::from_secs(5), None).expect("a secret");
    let token = signed(br#"{"nbf":1000,"exp":2000}"#);
    assert_eq!(
        verifier.verify(&token, 994).err(),
        Some(BadToken::NotYetValid)
    );
    assert!(verifier.verify(&token, 995).is_ok());
    assert!(verifier.verify(&token, 2004).is_ok());
    assert_eq!(verifier.verify(&token, 2005).err(), Some(BadToken::Expired));
}

#[test]
fn times_that_are_not_numbers_are_bad_and_extreme_ones_are_judged() {
    for payload in [
        r#"{"exp":"2000"}"#,
        r#"{"exp":null}"#,
        r#"{"nbf":true}"#,
        r#"{"nbf":[1]}"#,
    ] {
        assert_eq!(
            refusal(&hs256(), &signed(payload.as_bytes())),
            Some(BadToken::Claims)
        );
    }
    let expired = [r#"{"exp":-1}"#, r#"{"exp":0}"#, r#"{"exp":-1e300}"#];
    for payload in expired {
        assert_eq!(
            refusal(&hs256(), &signed(payload.as_bytes())),
            Some(BadToken::Expired)
        );
    }
    assert_eq!(
        refusal(&hs256(), &signed(br#"{"nbf":1e300}"#)),
        Some(BadToken::NotYetValid)
    );
    assert_eq!(
        refusal(&hs256(), &signed(br#"{"exp":18446744073709551615}"#)),
        None
    );
    assert_eq!(refusal(&hs256(), &signed(b"{}")), None);
}

#[test]
fn claims_are_text_only_where_their_text_is_certain() {
    let payload = br#"{"s":"a:*\n","e":"","i":-7,"u":18446744073709551615,"f":1.0,"b":true,
        "n":null,"l":["x"],"o":{"s":"x"},"d":"first","d":"last","o.s":"dotted"}"#;
    let claims = hs256().verify(&signed(payload), VALID).expect("verifies");
    let text = |name: &str| claims.text(name);
    assert_eq!(text("s").as_deref(), Some("a:*\n"));
    assert_eq!(text("e").as_deref(), Some(""));
    assert_eq!(text("i").as_deref(), Some("-7"));
    assert_eq!(text("u").as_deref(), Some("18446744073709551615"));
    assert_eq!(text("d").as_deref(), Some("last"));
    assert_eq!(text("o.s").as_deref(), Some("dotted"));
    for other in ["f", "b", "n", "l", "o", "absent"] {
        assert_eq!(text(other), None, "{other}");
    }
    assert_eq!(claims.value("i"), Some(&Value::from(-7)));
    assert!(!format!("{claims:?}").contains("last"));
}

#[test]
fn a_token_is_for_the_audience_and_of_the_issuer_that_are_asked() {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let settings = VerifySettings {
        audience: names(&["clinic", "lab"]),
        issuer: names(&["https://issuer.example"]),
        ..of(Algorithm::Hs256, secret(SECRET))
    };
    let verifier = Verifier::new(&settings, Duration::ZERO, None).expect("a secret");
    let claims = |aud: &str, iss: &str| format!(r#"{{"aud":{aud},"iss":{iss}}}"#);
    let iss = r#""https://issuer.example""#;
    for good in [r#""clinic""#, r#"["other","lab"]"#] {
        let token = signed(claims(good, iss).as_bytes());
        assert_eq!(refusal(&verifier, &token), None, "{good}");
    }
    for bad in [
        r#""Clinic""#,
        "[]",
        "null",
        r#"["other"]"#,
        r#"{"clinic":1}"#,
        r#"[["clinic"]]"#,
    ] {
        let token = signed(claims(bad, iss).as_bytes());
        assert_eq!(
            refusal(&verifier, &token),
            Some(BadToken::Audience),
            "{bad}"
        );
    }
    for bad in [
        r#""https://issuer.example/""#,
        r#"["https://issuer.example"]"#,
        "null",
    ] {
        let token = signed(claims(r#""lab""#, bad).as_bytes());
        assert_eq!(refusal(&verifier, &token), Some(BadToken::Issuer), "{bad}");
    }
    let silent = signed(br#"{"email":"ann@clinic.example"}"#);
    assert_eq!(refusal(&verifier, &silent), Some(BadToken::Audience));
}

#[test]
fn what_a_token_proved_is_remembered_until_it_expires_and_nothing_else_is() {
    let verifier = hs256();
    let token = signed(br#"{"email":"ann@clinic.example","nbf":1000,"exp":2000}"#);
    let forged = format!("{}x", token.trim_end_matches('A'));
    for _ in 0..3 {
        assert!(verifier.verify(&token, VALID).is_ok());
        assert!(verifier.verify(&forged, VALID).is_err());
    }
    assert_eq!(verifier.remembered.len(), 1);
    assert_eq!(
        refusal_at(&verifier, &token, 999),
        Some(BadToken::NotYetValid)
    );
    assert_eq!(refusal_at(&verifier, &token, 2000), Some(BadToken::Expired));
    assert_eq!(verifier.remembered.len(), 0);
    assert_eq!(refusal_at(&verifier, &token, 2000), Some(BadToken::Expired));
    assert_eq!(
        verifier.remembered.len(),
        0,
        "an expired one is not remembered"
    );
}

#[test]
fn remembered_tokens_are_bounded_however_many_there_are() {
    let verifier = hs256();
    for nth in 0..40_000 {
        let token = signed(format!(r#"{{"email":"{nth}@clinic.example"}}"#).as_bytes());
        assert!(verifier.verify(&token, VALID).is_ok());
    }
    let held = verifier.remembered.len();
    assert!((1_000..30_000).contains(&held), "{held}");
}

fn refusal_at(verifier: &Verifier, token: &str, now: u64) -> Option<BadToken> {
    verifier.verify(token, now).err()
}

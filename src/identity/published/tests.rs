//! Key sets as issuers publish them: whole, mixed, broken, hostile.

use super::*;
use serde_json::json;

const P256: &[u8] = include_bytes!("../../../tests/keys/test-p256-private.pem");
const RSA: &[u8] = include_bytes!("../../../tests/keys/test-rsa-private.pem");

fn rsa(kid: &str) -> Value {
    let key = jsonwebtoken::EncodingKey::from_rsa_pem(RSA).expect("a key");
    called(
        kid,
        Jwk::from_encoding_key(&key, Jwa::RS256).expect("a public part"),
    )
}

fn p256(kid: &str) -> Value {
    let key = jsonwebtoken::EncodingKey::from_ec_pem(P256).expect("a key");
    called(
        kid,
        Jwk::from_encoding_key(&key, Jwa::ES256).expect("a public part"),
    )
}

fn called(kid: &str, mut key: Jwk) -> Value {
    key.common.key_id = Some(kid.to_owned());
    serde_json::to_value(key).expect("plain data")
}

/// The key with one member changed, or taken away.
fn but(mut key: Value, member: &str, value: Value) -> Value {
    let members = key.as_object_mut().expect("an object");
    match value {
        Value::Null => members.remove(member),
        value => members.insert(member.to_owned(), value),
    };
    key
}

fn parse(keys: &[Value], algorithm: Algorithm) -> Result<KeySet, String> {
    KeySet::parse(json!({"keys": keys}).to_string().as_bytes(), algorithm)
}

fn found(set: &KeySet, kid: Option<&str>) -> usize {
    set.called(kid).count()
}

#[test]
fn keys_for_other_uses_and_of_unknown_kinds_are_left_aside() {
    let others = [
        json!({"kty": "OKP", "crv": "X448", "x": "AAAA", "kid": "x448"}),
        json!({"kty": "something new", "kid": "new"}),
        json!({"kty": "oct", "k": "c2VjcmV0", "kid": "secret", "alg": "RS256"}),
        json!("not even an object"),
        but(rsa("encrypts"), "use", json!("enc")),
        but(rsa("wraps"), "key_ops", json!(["wrapKey"])),
        but(rsa("pss"), "alg", json!("PS256")),
        but(rsa("short"), "n", json!("AQAB")),
        p256("curve"),
    ];
    let mut keys = others.to_vec();
    let fitting = parse(&keys, Algorithm::Rs256).expect("a set");
    assert!(fitting.is_empty(), "none of them fits");
    keys.push(but(rsa("plain"), "alg", Value::Null));
    keys.push(but(rsa("for signatures"), "use", json!("sig")));
    let set = parse(&keys, Algorithm::Rs256).expect("two fit");
    assert_eq!(set.len(), 2);
    assert_eq!(found(&set, Some("plain")), 1);
    assert_eq!(found(&set, Some("for signatures")), 1);
    assert_eq!(found(&set, Some("secret")), 0);
    assert_eq!(parse(&keys, Algorithm::Es256).expect("the curve").len(), 1);
    assert!(parse(&keys, Algorithm::Es384).expect("a set").is_empty());
}

#[test]
fn a_token_without_kid_has_a_key_only_where_there_is_no_choice() {
    let one = parse(&[rsa("a")], Algorithm::Rs256).expect("fits");
    let two = parse(&[rsa("a"), rsa("b")], Algorithm::Rs256).expect("both fit");
    assert_eq!((found(&one, None), found(&two, None)), (1, 0));
    assert_eq!((found(&one, Some("b")), found(&two, Some("b"))), (0, 1));
    let nameless = parse(&[but(rsa("a"), "kid", Value::Null)], Algorithm::Rs256).expect("fits");
    assert_eq!(found(&nameless, Some("any")), 1);
}

#[test]
fn what_is_no_key_set_says_so() {
    for (json, complaint) in [
        ("", "not JSON"),
        ("<html>", "not JSON"),
        ("[]", "no JWK Set"),
        (r#"{"keys": {}}"#, "no JWK Set"),
    ] {
        let error = KeySet::parse(json.as_bytes(), Algorithm::Rs256).err();
        assert!(
            error
                .as_ref()
                .is_some_and(|error| error.contains(complaint)),
            "{json}: {error:?}"
        );
    }
}

#[test]
fn of_an_endless_set_only_the_first_keys_are_read() {
    let keys: Vec<Value> = (0..MAX_KEYS + 10)
        .map(|nth| rsa(&nth.to_string()))
        .collect();
    assert_eq!(
        parse(&keys, Algorithm::Rs256).expect("they fit").len(),
        MAX_KEYS
    );
}

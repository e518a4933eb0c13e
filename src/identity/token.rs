//! What a signed token proves: a JWT (RFC 7519) in compact form, judged by the algorithm that the
//! configuration pins, never by the one that the token names.

use crate::rules::settings::{Algorithm, VerifyKey, VerifySettings};
use crate::secret::Secret;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::crypto::rust_crypto::DEFAULT_PROVIDER;
use jsonwebtoken::{Algorithm as Jwa, AlgorithmFamily, DecodingKey};
use serde_json::{Map, Value};
use std::time::Duration;

/// Longer tokens are not looked at: Node refuses heads above 16 KiB, so no origin ever issued one,
/// and the work that a stranger can cause stays small.
pub const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// Why a token proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadToken {
    /// Not three base64url parts holding JSON objects, or too long.
    Malformed,
    /// Names another algorithm than the pinned one, or has critical extensions (RFC 7515 §4.1.11):
    /// none is understood here.
    Algorithm,
    /// Not signed with the key.
    Signature,
    /// `exp` is reached.
    Expired,
    /// `nbf` is not reached.
    NotYetValid,
    /// `exp` or `nbf` is there but is not a number.
    Claims,
}

/// Checks tokens against one key and one algorithm.
pub struct Verifier {
    algorithm: Jwa,
    key: DecodingKey,
    /// Seconds.
    leeway: f64,
}

impl Verifier {
    /// Reads the key once; the error says in words why it does not fit the algorithm.
    pub fn new(settings: &VerifySettings, leeway: Duration) -> Result<Verifier, String> {
        let algorithm = jwa(settings.algorithm);
        let key = decoding_key(algorithm, &settings.key)?;
        Ok(Verifier {
            algorithm,
            key,
            leeway: leeway.as_secs_f64(),
        })
    }

    /// The claims of a token that is signed with the key and valid at `now`, seconds of Unix time.
    /// A token without `exp` does not expire.
    pub fn verify(&self, token: &str, now: u64) -> Result<Claims, BadToken> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(BadToken::Malformed);
        }
        let (message, signature) = token.rsplit_once('.').ok_or(BadToken::Malformed)?;
        let (header, payload) = message.split_once('.').ok_or(BadToken::Malformed)?;
        self.judge_header(&object(header)?)?;
        let signed =
            jsonwebtoken::crypto::verify(signature, message.as_bytes(), &self.key, self.algorithm);
        match signed {
            Ok(true) => {}
            Ok(false) => return Err(BadToken::Signature),
            // The key was tried when it was read, so only the base64 can be at fault.
            Err(_) => return Err(BadToken::Malformed),
        }
        let claims = object(payload)?;
        self.judge_times(&claims, now)?;
        Ok(Claims(Secret::new(claims)))
    }

    fn judge_header(&self, header: &Map<String, Value>) -> Result<(), BadToken> {
        let named = header.get("alg").and_then(Value::as_str);
        let same = named.and_then(|name| name.parse().ok()) == Some(self.algorithm);
        if !same || header.contains_key("crit") {
            return Err(BadToken::Algorithm);
        }
        Ok(())
    }

    /// Both bounds as Node's `jsonwebtoken` draws them: at the very second of `exp` it is over.
    fn judge_times(&self, claims: &Map<String, Value>, now: u64) -> Result<(), BadToken> {
        let now = now as f64; // exact for the next 200 million years
        if time(claims, "exp")?.is_some_and(|exp| now >= exp + self.leeway) {
            return Err(BadToken::Expired);
        }
        if time(claims, "nbf")?.is_some_and(|nbf| now < nbf - self.leeway) {
            return Err(BadToken::NotYetValid);
        }
        Ok(())
    }
}

/// The claims of a verified token: holding one proves that signature and times were good.
#[derive(Clone, Debug)]
pub struct Claims(Secret<Map<String, Value>>);

impl Claims {
    /// A claim at the top level as text: strings as they are, also empty ones; integers in decimal.
    /// `None` for everything else, since no two readers agree on how it is written.
    pub fn text(&self, name: &str) -> Option<String> {
        match self.value(name)? {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) if !number.is_f64() => Some(number.to_string()),
            _ => None,
        }
    }

    /// A claim at the top level as it stands, for those to whom `5` and `"5"` differ.
    pub fn value(&self, name: &str) -> Option<&Value> {
        self.0.reveal().get(name)
    }
}

/// A base64url part that holds a JSON object. Of duplicate names the last wins, as in JSON.parse.
fn object(part: &str) -> Result<Map<String, Value>, BadToken> {
    let json = URL_SAFE_NO_PAD
        .decode(part)
        .map_err(|_| BadToken::Malformed)?;
    serde_json::from_slice(&json).map_err(|_| BadToken::Malformed)
}

/// A NumericDate (RFC 7519 §2): seconds, perhaps with a fraction.
fn time(claims: &Map<String, Value>, name: &str) -> Result<Option<f64>, BadToken> {
    match claims.get(name) {
        None => Ok(None),
        Some(value) => value.as_f64().map(Some).ok_or(BadToken::Claims),
    }
}

fn jwa(algorithm: Algorithm) -> Jwa {
    match algorithm {
        Algorithm::Hs256 => Jwa::HS256,
        Algorithm::Hs384 => Jwa::HS384,
        Algorithm::Hs512 => Jwa::HS512,
        Algorithm::Rs256 => Jwa::RS256,
        Algorithm::Rs384 => Jwa::RS384,
        Algorithm::Rs512 => Jwa::RS512,
        Algorithm::Ps256 => Jwa::PS256,
        Algorithm::Ps384 => Jwa::PS384,
        Algorithm::Ps512 => Jwa::PS512,
        Algorithm::Es256 => Jwa::ES256,
        Algorithm::Es384 => Jwa::ES384,
        Algorithm::EdDsa => Jwa::EdDSA,
    }
}

fn decoding_key(algorithm: Jwa, key: &VerifyKey) -> Result<DecodingKey, String> {
    let family = algorithm.family();
    let pem = match (key, family) {
        (VerifyKey::Secret(secret), AlgorithmFamily::Hmac) if secret.reveal().is_empty() => {
            return Err("the secret is empty".into());
        }
        (VerifyKey::Secret(secret), AlgorithmFamily::Hmac) => {
            return Ok(DecodingKey::from_secret(secret.reveal().as_bytes()));
        }
        (VerifyKey::Secret(_), _) => return Err(format!("{algorithm:?} needs a public key")),
        (VerifyKey::Pem(_), AlgorithmFamily::Hmac) => {
            return Err(format!("{algorithm:?} needs a secret, not a public key"));
        }
        (VerifyKey::Pem(pem), _) => pem.as_bytes(),
    };
    let key = match family {
        AlgorithmFamily::Rsa => DecodingKey::from_rsa_pem(pem),
        AlgorithmFamily::Ec => DecodingKey::from_ec_pem(pem),
        AlgorithmFamily::Ed | AlgorithmFamily::Hmac => DecodingKey::from_ed_pem(pem),
    };
    key.and_then(|key| tried(algorithm, key))
        .map_err(|_| format!("this is not a PEM public key for {algorithm:?}"))
}

/// Lets the cryptography read the key, so that a wrong one is found now and not at every token.
fn tried(algorithm: Jwa, key: DecodingKey) -> Result<DecodingKey, jsonwebtoken::errors::Error> {
    if algorithm.family() == AlgorithmFamily::Rsa {
        // Verifying would report an unreadable RSA key as a bad signature.
        let components = DEFAULT_PROVIDER
            .key_utils
            .rsa_pub_components_from_public_key;
        components(key.try_get_as_bytes()?)?;
    }
    jsonwebtoken::crypto::verify("", b"", &key, algorithm)?;
    Ok(key)
}

#[cfg(test)]
mod tests;

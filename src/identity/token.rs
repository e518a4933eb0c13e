//! What a signed token proves: a JWT (RFC 7519) in compact form, judged by the algorithm that the
//! configuration pins, never by the one that the token names.

use super::published::{KeySet, Published};
use super::remembered::Remembered;
use crate::rules::settings::{Algorithm, VerifyKey, VerifySettings};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::crypto::rust_crypto::DEFAULT_PROVIDER;
use jsonwebtoken::{Algorithm as Jwa, AlgorithmFamily, DecodingKey};
use serde_json::{Map, Value};
use std::fmt;
use std::sync::Arc;
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
    /// Signed with a key that the issuer does not publish, or has not published yet.
    UnknownKey,
    /// Meant for somebody else, or for nobody (`aud`).
    Audience,
    /// Of another issuer, or of none (`iss`).
    Issuer,
    /// `exp` is reached.
    Expired,
    /// `nbf` is not reached.
    NotYetValid,
    /// `exp` or `nbf` is there but is not a number.
    Claims,
}

/// Checks tokens against one algorithm and the keys of its one issuer.
pub struct Verifier {
    algorithm: Jwa,
    keys: Keys,
    /// Seconds.
    leeway: f64,
    /// Any of them will do. None: not asked.
    audience: Vec<String>,
    issuer: Vec<String>,
    remembered: Remembered,
}

/// Where the keys come from.
enum Keys {
    /// The configuration.
    Fixed(KeySet),
    /// The issuer.
    Published(Arc<Published>),
}

impl Verifier {
    /// Reads the key once; the error says in words why it does not fit the algorithm. `published` are
    /// the keys that the issuer publishes, where the settings say that he does.
    pub fn new(
        settings: &VerifySettings,
        leeway: Duration,
        published: Option<Arc<Published>>,
    ) -> Result<Verifier, String> {
        let algorithm = jwa(settings.algorithm);
        let keys = match published {
            Some(published) => Keys::Published(published),
            None => Keys::Fixed(KeySet::of(decoding_key(algorithm, &settings.key)?)),
        };
        Ok(Verifier {
            algorithm,
            keys,
            leeway: leeway.as_secs_f64(),
            audience: settings.audience.clone(),
            issuer: settings.issuer.clone(),
            remembered: Remembered::new(),
        })
    }

    /// The claims of a token that is signed with a key of the issuer and valid at `now`, seconds of
    /// Unix time. A token without `exp` does not expire. What one has proved is remembered as long as
    /// the same keys are in force; its times are judged anew each time.
    pub fn verify(&self, token: &str, now: u64) -> Result<Claims, BadToken> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(BadToken::Malformed);
        }
        match &self.keys {
            Keys::Fixed(keys) => self.verify_by(keys, token, now),
            Keys::Published(published) => {
                let verified = self.verify_by(&published.current(), token, now);
                if verified.as_ref().err() == Some(&BadToken::UnknownKey) {
                    published.want();
                }
                verified
            }
        }
    }

    fn verify_by(&self, keys: &KeySet, token: &str, now: u64) -> Result<Claims, BadToken> {
        let place = self.remembered.place(token, keys.generation());
        if let Some(claims) = self.remembered.get(&place) {
            let judged = self.judge_times(claims.all(), now);
            if judged == Err(BadToken::Expired) {
                self.remembered.forget(&place);
            }
            return judged.map(|()| claims);
        }
        let claims = self.prove(keys, token)?;
        self.judge_times(&claims, now)?;
        let claims = Claims(Arc::new(claims));
        self.remembered.put(place, claims.clone(), token.len());
        Ok(claims)
    }

    /// All that does not depend on the time.
    fn prove(&self, keys: &KeySet, token: &str) -> Result<Map<String, Value>, BadToken> {
        let (message, signature) = token.rsplit_once('.').ok_or(BadToken::Malformed)?;
        let (header, payload) = message.split_once('.').ok_or(BadToken::Malformed)?;
        let header = object(header)?;
        self.judge_header(&header)?;
        self.judge_signature(keys, &header, message, signature)?;
        let claims = object(payload)?;
        self.judge_parties(&claims)?;
        Ok(claims)
    }

    fn judge_signature(
        &self,
        keys: &KeySet,
        header: &Map<String, Value>,
        message: &str,
        signature: &str,
    ) -> Result<(), BadToken> {
        let kid = match header.get("kid") {
            None => None,
            Some(kid) => Some(kid.as_str().ok_or(BadToken::Malformed)?),
        };
        let kid = kid.filter(|_| matches!(self.keys, Keys::Published(_)));
        let mut refusal = BadToken::UnknownKey;
        for key in keys.called(kid) {
            let bytes = message.as_bytes();
            refusal = match jsonwebtoken::crypto::verify(signature, bytes, key, self.algorithm) {
                Ok(true) => return Ok(()),
                Ok(false) => BadToken::Signature,
                // The key was tried when it was read, so only the base64 can be at fault.
                Err(_) => BadToken::Malformed,
            };
        }
        Err(refusal)
    }

    /// Who it is for and who it is from, where that is asked (RFC 7519 §4.1.1, §4.1.3).
    fn judge_parties(&self, claims: &Map<String, Value>) -> Result<(), BadToken> {
        let is_among = |wanted: &[String], claim: &Value| {
            claim
                .as_str()
                .is_some_and(|claim| wanted.iter().any(|one| one == claim))
        };
        let meant = |claim: &Value| match claim {
            Value::Array(all) => all.iter().any(|one| is_among(&self.audience, one)),
            one => is_among(&self.audience, one),
        };
        if !self.audience.is_empty() && !claims.get("aud").is_some_and(meant) {
            return Err(BadToken::Audience);
        }
        let issued = |claim: &Value| is_among(&self.issuer, claim);
        if !self.issuer.is_empty() && !claims.get("iss").is_some_and(issued) {
            return Err(BadToken::Issuer);
        }
        Ok(())
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

/// The claims of a verified token: holding one proves that signature and times were good. They never
/// print. They are not overwritten at their end: a parsed document has left copies in many places by
/// then, as has the connection that the token came in by.
#[derive(Clone)]
pub struct Claims(Arc<Map<String, Value>>);

impl fmt::Debug for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Claims(***)")
    }
}

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
        self.all().get(name)
    }

    /// The names of all claims.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.all().keys().map(String::as_str)
    }

    fn all(&self) -> &Map<String, Value> {
        &self.0
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

pub(super) fn jwa(algorithm: Algorithm) -> Jwa {
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
        (VerifyKey::Jwks(_), _) => return Err("the keys are the issuer's to publish".into()),
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

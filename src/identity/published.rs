//! The keys that an issuer publishes: a JWK Set (RFC 7517 §5), of which those that fit the pinned
//! algorithm count.

use super::token::jwa;
use crate::rules::settings::Algorithm;
use arc_swap::{ArcSwap, Guard};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm as Jwa, AlgorithmFamily, DecodingKey};
use serde::Deserialize;
use serde_json::Value;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::Notify;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Keys of one set that are looked at. Large issuers publish about a dozen; the bound keeps what a
/// token without a key of its own can cost small.
pub const MAX_KEYS: usize = 64;

/// Bytes of an RSA modulus: at least 2048 bits (RFC 7518 §3.3), at most what checks quickly.
const RSA_BYTES: RangeInclusive<usize> = 256..=1024;

/// Keys, each under the name that tokens call it by.
pub struct KeySet {
    keys: Vec<(Option<String>, DecodingKey)>,
    /// Another one for every set that was put in force, so that what an earlier one proved is not
    /// taken for proof under a later one.
    generation: u64,
}

impl KeySet {
    /// The one key of the configuration; tokens may call it what they like.
    pub(super) fn of(key: DecodingKey) -> KeySet {
        KeySet {
            keys: vec![(None, key)],
            generation: 0,
        }
    }

    /// The keys of a JWK Set that fit the algorithm. Others in it are left aside, whatever they hold:
    /// issuers publish keys for other uses beside them (RFC 7517 §5). There may be none: an issuer who
    /// withdraws his last key says so with an empty set, and is to be believed.
    ///
    /// # Errors
    /// That this is no JWK Set, in words.
    pub fn parse(json: &[u8], algorithm: Algorithm) -> Result<KeySet, String> {
        let document: Value =
            serde_json::from_slice(json).map_err(|error| format!("this is not JSON: {error}"))?;
        let listed = document.get("keys").and_then(Value::as_array);
        let listed = listed.ok_or("this is no JWK Set: it has no list `keys`")?;
        let algorithm = jwa(algorithm);
        let read = listed.iter().take(MAX_KEYS);
        Ok(KeySet {
            keys: read.filter_map(|key| fitting(key, algorithm)).collect(),
            generation: 0,
        })
    }

    /// Nothing that a token could be checked against.
    pub fn empty() -> KeySet {
        KeySet {
            keys: Vec::new(),
            generation: 0,
        }
    }

    /// How many keys.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// The keys that a token of this `kid` may be signed with. One without `kid` has a key only where
    /// there is no choice (RFC 7515 §4.1.4 makes it a hint; guessing is not for us).
    pub(super) fn called(&self, kid: Option<&str>) -> impl Iterator<Item = &DecodingKey> {
        let only = self.keys.len() == 1;
        let fits = move |name: &Option<String>| match (name.as_deref(), kid) {
            (Some(name), Some(kid)) => name == kid,
            _ => only,
        };
        let keys = self.keys.iter().filter(move |(name, _)| fits(name));
        keys.map(|(_, key)| key)
    }
}

/// A key for this algorithm and for checking signatures, as far as it says what it is for.
fn fitting(key: &Value, algorithm: Jwa) -> Option<(Option<String>, DecodingKey)> {
    let key = Jwk::deserialize(key).ok()?;
    let common = &key.common;
    let named = common
        .key_algorithm
        .is_none_or(|named| named == algorithm.into());
    let usage = common.public_key_use.as_ref();
    let operations = common.key_operations.as_ref();
    let for_signatures = usage.is_none_or(|usage| *usage == PublicKeyUse::Signature);
    let to_verify = operations.is_none_or(|listed| listed.contains(&KeyOperations::Verify));
    let fits = named && for_signatures && to_verify && is_of_kind(&key.algorithm, algorithm);
    let decoding = fits
        .then(|| DecodingKey::from_jwk(&key))
        .transpose()
        .ok()??;
    jsonwebtoken::crypto::verify("", b"", &decoding, algorithm).ok()?; // the cryptography can read it
    Some((key.common.key_id, decoding))
}

fn is_of_kind(key: &AlgorithmParameters, algorithm: Jwa) -> bool {
    match (key, algorithm.family()) {
        (AlgorithmParameters::RSA(key), AlgorithmFamily::Rsa) => {
            let modulus = URL_SAFE_NO_PAD.decode(&key.n).unwrap_or_default();
            RSA_BYTES.contains(&modulus.len())
        }
        (AlgorithmParameters::EllipticCurve(key), AlgorithmFamily::Ec) => match algorithm {
            Jwa::ES384 => key.curve == EllipticCurve::P384,
            _ => key.curve == EllipticCurve::P256,
        },
        (AlgorithmParameters::OctetKeyPair(key), AlgorithmFamily::Ed) => {
            key.curve == EllipticCurve::Ed25519
        }
        _ => false,
    }
}

/// The set in force, and the wish for a newer one.
pub struct Published {
    set: ArcSwap<KeySet>,
    generations: AtomicU64,
    /// Whoever reads the set again waits here.
    wanted: Arc<Notify>,
    /// Ends that work with the last user of the keys.
    _ends: DropGuard,
}

impl Published {
    /// Begins with no keys. `ended` is cancelled when nobody uses them any more.
    pub fn new(ended: &CancellationToken) -> Published {
        Published {
            set: ArcSwap::from_pointee(KeySet::empty()),
            generations: AtomicU64::new(0),
            wanted: Arc::default(),
            _ends: ended.clone().drop_guard(),
        }
    }

    /// The keys in force.
    pub fn current(&self) -> Guard<Arc<KeySet>> {
        self.set.load()
    }

    /// Puts a set in force. What tokens proved under the one before must be proved again.
    pub fn put(&self, mut set: KeySet) {
        set.generation = self.generations.fetch_add(1, Ordering::Relaxed) + 1;
        self.set.store(Arc::new(set));
    }

    /// Asks for the set to be read again: a token was signed with a key that is not in it.
    pub fn want(&self) {
        self.wanted.notify_one();
    }

    /// Resolves once the set is wanted.
    pub fn wanted(&self) -> Arc<Notify> {
        self.wanted.clone()
    }
}

#[cfg(test)]
mod tests;

//! Sealed values and hidden names: whoever reads Redis learns nothing of what is kept, and whoever
//! writes to it can take answers away but never make one.
//!
//! A value is encrypted and authenticated with XChaCha20-Poly1305, whose nonces are long enough to be
//! drawn at random, and bound to the name it stands under: moved elsewhere it does not open. A name is
//! the keyed digest of what it would be, after the namespace. Lengths are hidden in the buckets of
//! Padmé (Nikitin et al., *Reducing Metadata Leakage from Encrypted Files*, 2019): at most 12 % more.
//!
//! ```text
//! format      1 byte
//! key         4 bytes   which key sealed it
//! nonce      24 bytes
//! sealed                length (4 bytes, little-endian), value, zeros; then 16 bytes of tag
//! ```
//!
//! The versions of nodes stay as they are: random, they say nothing but when a node was softly dropped,
//! and the entry that depends on them holds its own within the seal. So an old entry that is put back
//! opens, and is a miss where one of its nodes was dropped since; only who puts back the nodes too revives
//! it, until the end of its lifetime, which is sealed as well.

use crate::digest::{Digester, KEY_BYTES};
use crate::rules::settings::SealSettings;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

/// No entry in plain begins with it, so neither is ever taken for the other.
const FORMAT: u8 = 0xa1;
const ID_BYTES: usize = 4;
const NONCE_BYTES: usize = 24;
const HEAD_BYTES: usize = 1 + ID_BYTES + NONCE_BYTES;
const LENGTH_BYTES: usize = 4;

/// Shorter values are no bucket of their own: most of what says who somebody is, is short.
const LEAST_BYTES: usize = 512;

/// Seals, opens, and hides names.
pub struct Seal {
    /// Begins every name, and stays: operators and hash tags go by it.
    namespace: String,
    names: Zeroizing<[u8; KEY_BYTES]>,
    /// The first seals; all open.
    keys: Vec<Key>,
}

struct Key {
    id: [u8; ID_BYTES],
    cipher: XChaCha20Poly1305,
}

impl Seal {
    /// With the keys of these settings, for names that begin with the namespace.
    pub fn new(settings: &SealSettings, namespace: &str) -> Seal {
        let all = std::iter::once(&settings.current).chain(&settings.previous);
        Seal {
            namespace: namespace.to_owned(),
            names: Digester::keyed(settings.of_names().reveal(), "seal names").derive(),
            keys: all.map(|secret| Key::new(secret.reveal())).collect(),
        }
    }

    /// The name that stands for `name` in the store.
    pub fn name(&self, name: &str) -> String {
        let mut digester = Digester::keyed(&self.names, "name");
        let digest = digester.part(name.as_bytes()).finish();
        format!("{}:{digest}", self.namespace)
    }

    /// A value sealed for its place. `None` if it is longer than four gigabytes, or the system has
    /// no randomness: it cannot be kept then.
    pub fn seal(&self, name: &str, value: &[u8]) -> Option<Vec<u8>> {
        let key = self.keys.first()?;
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).ok()?;
        let message = Payload {
            msg: &padded(value)?,
            aad: name.as_bytes(),
        };
        let sealed = key.cipher.encrypt(&XNonce::from(nonce), message).ok()?;
        Some([&[FORMAT][..], &key.id, &nonce, &sealed].concat())
    }

    /// What was sealed for this place with one of the keys; `None` for everything else.
    pub fn open(&self, name: &str, sealed: &[u8]) -> Option<Vec<u8>> {
        let (head, sealed) = sealed.split_first_chunk::<HEAD_BYTES>()?;
        let (format, head) = head.split_first()?;
        let (id, nonce) = head.split_first_chunk::<ID_BYTES>()?;
        let nonce = <[u8; NONCE_BYTES]>::try_from(nonce).ok()?;
        let message = || Payload {
            msg: sealed,
            aad: name.as_bytes(),
        };
        let mut keys = self.keys.iter().filter(|key| key.id == *id);
        let opened = keys.find_map(|key| key.cipher.decrypt(&XNonce::from(nonce), message()).ok());
        unpadded(opened.filter(|_| *format == FORMAT)?)
    }
}

impl Key {
    fn new(secret: &[u8; KEY_BYTES]) -> Key {
        let derived = Digester::keyed(secret, "seal values").derive();
        let name = Digester::keyed(secret, "seal id").finish();
        let [a, b, c, d, ..] = name.0;
        Key {
            id: [a, b, c, d],
            cipher: XChaCha20Poly1305::new((&*derived).into()),
        }
    }
}

fn padded(value: &[u8]) -> Option<Vec<u8>> {
    let length = u32::try_from(value.len()).ok()?;
    let whole = bucket(LENGTH_BYTES + value.len());
    let mut padded = Vec::with_capacity(whole);
    padded.extend_from_slice(&length.to_le_bytes());
    padded.extend_from_slice(value);
    padded.resize(whole, 0);
    Some(padded)
}

fn unpadded(mut padded: Vec<u8>) -> Option<Vec<u8>> {
    let (length, _) = padded.split_first_chunk::<LENGTH_BYTES>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    padded.drain(..LENGTH_BYTES);
    (length <= padded.len()).then(|| padded.truncate(length))?;
    Some(padded)
}

/// Padmé: of the bits of a length only as many may differ as it takes to tell its exponent, the rest
/// is rounded up.
fn bucket(length: usize) -> usize {
    let length = length.max(LEAST_BYTES);
    let exponent = length.ilog2();
    let kept = exponent.ilog2() + 1;
    let mask = (1_usize << (exponent - kept)) - 1;
    (length + mask) & !mask
}

#[cfg(test)]
mod tests;

//! Digests: the only user of BLAKE3.
//!
//! Everything that is shortened into a key, bound to an entry or shown in a log instead of itself
//! goes through here, so the width and the framing are decided once.

use std::fmt;
use zeroize::{Zeroize, Zeroizing};

/// Bytes in a digest. 128 bits: two of 2^40 keys collide with a chance below 2^-48.
pub const DIGEST_BYTES: usize = 16;

/// A 128-bit BLAKE3 digest; prints as 32 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(pub [u8; DIGEST_BYTES]);

/// A digest in hexadecimal digits.
pub struct Hex([u8; 2 * DIGEST_BYTES]);

impl Hex {
    /// The digits, in lower case.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("digits are ASCII")
    }
}

impl Digest {
    /// Its digits.
    pub fn hex(&self) -> Hex {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = [0; 2 * DIGEST_BYTES];
        for (digits, byte) in text.chunks_exact_mut(2).zip(self.0) {
            digits[0] = DIGITS[usize::from(byte >> 4)];
            digits[1] = DIGITS[usize::from(byte & 15)];
        }
        Hex(text)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.hex().as_str())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Bytes of a secret that digests are keyed with, and of one that is derived from it.
pub const KEY_BYTES: usize = blake3::KEY_LEN;

/// Bytes that are digested in one go. Nearly all that is digested for a request is shorter, and BLAKE3's
/// own state, nearly 2 KB, costs more to set up and move about than such a text does to hash.
const SHORT: usize = 256;

/// Digests a sequence of parts. Each part is preceded by its length, so two different sequences
/// never feed the hash the same bytes.
pub struct Digester {
    secret: Option<Zeroizing<[u8; KEY_BYTES]>>,
    short: [u8; SHORT],
    length: usize,
    /// Has taken all that came before what is in `short`.
    long: Option<Box<blake3::Hasher>>,
}

impl Digester {
    /// Starts a digest of one kind. `kind` keeps digests made for different purposes apart.
    pub fn new(kind: &str) -> Digester {
        Digester::under(None, kind)
    }

    /// The same under a secret: without it nobody can tell what was digested, nor that two digests
    /// are of one thing, were they made under two secrets.
    pub fn keyed(secret: &[u8; KEY_BYTES], kind: &str) -> Digester {
        Digester::under(Some(Zeroizing::new(*secret)), kind)
    }

    fn under(secret: Option<Zeroizing<[u8; KEY_BYTES]>>, kind: &str) -> Digester {
        let mut digester = Digester {
            secret,
            short: [0; SHORT],
            length: 0,
            long: None,
        };
        digester.part(kind.as_bytes());
        digester
    }

    /// Adds one part.
    pub fn part(&mut self, bytes: &[u8]) -> &mut Digester {
        self.update(&(bytes.len() as u64).to_le_bytes());
        self.update(bytes);
        self
    }

    /// Adds to the last part, whose length is not known before its end. No part may follow.
    pub fn piece(&mut self, bytes: &[u8]) -> &mut Digester {
        self.update(bytes);
        self
    }

    fn update(&mut self, bytes: &[u8]) {
        let end = self.length + bytes.len();
        if let Some(room) = self.short.get_mut(self.length..end) {
            room.copy_from_slice(bytes);
            self.length = end;
            return;
        }
        let secret = &self.secret;
        let long = self.long.get_or_insert_with(|| {
            Box::new(match secret {
                Some(secret) => blake3::Hasher::new_keyed(secret),
                None => blake3::Hasher::new(),
            })
        });
        long.update(&self.short[..self.length]).update(bytes);
        self.length = 0;
    }

    fn hash(&self) -> blake3::Hash {
        let rest = &self.short[..self.length];
        match (&self.long, &self.secret) {
            (Some(long), _) => long.clone().update(rest).finalize(),
            (None, Some(secret)) => blake3::keyed_hash(secret, rest),
            (None, None) => blake3::hash(rest),
        }
    }

    /// The first 128 bits of the hash of all parts so far.
    pub fn finish(&self) -> Digest {
        let hash = self.hash();
        let (digest, _) = hash.as_bytes().split_at(DIGEST_BYTES);
        Digest(digest.try_into().expect("it is as long as that"))
    }

    /// The first 256 bits: wide enough for a secret, and overwritten at its end like one.
    pub fn derive(&self) -> Zeroizing<[u8; KEY_BYTES]> {
        Zeroizing::new(*self.hash().as_bytes())
    }
}

impl Drop for Digester {
    /// What was digested under a secret, or is one, does not stay behind.
    fn drop(&mut self) {
        self.short.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_has_one_digest_however_long_its_parts_are() {
        let secret = [7; KEY_BYTES];
        for pieces in [
            &[0][..],
            &[10, 20],
            &[200, 40, 100],
            &[1000, 1],
            &[1, 1000, 300, 5],
        ] {
            let mut plain = blake3::Hasher::new();
            let mut keyed = blake3::Hasher::new_keyed(&secret);
            let (mut short, mut under) = (Digester::new("kind"), Digester::keyed(&secret, "kind"));
            let parts = pieces.iter().map(|length| vec![b'x'; *length]);
            for part in [b"kind".to_vec()].into_iter().chain(parts.clone()) {
                for hasher in [&mut plain, &mut keyed] {
                    hasher
                        .update(&(part.len() as u64).to_le_bytes())
                        .update(&part);
                }
            }
            for part in parts {
                short.part(&part);
                under.part(&part);
            }
            assert_eq!(
                short.finish().0,
                plain.finalize().as_bytes()[..DIGEST_BYTES]
            );
            assert_eq!(*under.derive(), *keyed.finalize().as_bytes());
        }
    }

    #[test]
    fn parts_are_framed_so_that_a_moved_boundary_changes_the_digest() {
        let digest = |parts: &[&str]| {
            let mut digester = Digester::new("test");
            for part in parts {
                digester.part(part.as_bytes());
            }
            digester.finish()
        };
        assert_eq!(digest(&["ab", "c"]), digest(&["ab", "c"]));
        assert_ne!(digest(&["ab", "c"]), digest(&["a", "bc"]));
        assert_ne!(digest(&["ab"]), digest(&["ab", ""]));
        assert_eq!(digest(&[]).to_string().len(), 32);
    }
}

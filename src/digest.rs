//! Digests: the only user of BLAKE3.
//!
//! Everything that is shortened into a key, bound to an entry or shown in a log instead of itself
//! goes through here, so the width and the framing are decided once.

use std::fmt;
use zeroize::Zeroizing;

/// Bytes in a digest. 128 bits: two of 2^40 keys collide with a chance below 2^-48.
pub const DIGEST_BYTES: usize = 16;

/// A 128-bit BLAKE3 digest; prints as 32 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(pub [u8; DIGEST_BYTES]);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble)]);
        let digits = self
            .0
            .iter()
            .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]);
        let mut text = [0; 2 * DIGEST_BYTES];
        for (place, digit) in text.iter_mut().zip(digits) {
            *place = digit as u8;
        }
        f.write_str(std::str::from_utf8(&text).expect("digits are ASCII"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Bytes of a secret that digests are keyed with, and of one that is derived from it.
pub const KEY_BYTES: usize = blake3::KEY_LEN;

/// Digests a sequence of parts. Each part is preceded by its length, so two different sequences
/// never feed the hash the same bytes.
pub struct Digester(blake3::Hasher);

impl Digester {
    /// Starts a digest of one kind. `kind` keeps digests made for different purposes apart.
    pub fn new(kind: &str) -> Digester {
        let mut digester = Digester(blake3::Hasher::new());
        digester.part(kind.as_bytes());
        digester
    }

    /// The same under a secret: without it nobody can tell what was digested, nor that two digests
    /// are of one thing, were they made under two secrets.
    pub fn keyed(secret: &[u8; KEY_BYTES], kind: &str) -> Digester {
        let mut digester = Digester(blake3::Hasher::new_keyed(secret));
        digester.part(kind.as_bytes());
        digester
    }

    /// Adds one part.
    pub fn part(&mut self, bytes: &[u8]) -> &mut Digester {
        self.0.update(&(bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
        self
    }

    /// The first 128 bits of the hash of all parts so far.
    pub fn finish(&self) -> Digest {
        let mut digest = [0; DIGEST_BYTES];
        self.0.finalize_xof().fill(&mut digest);
        Digest(digest)
    }

    /// The first 256 bits: wide enough for a secret, and overwritten at its end like one.
    pub fn derive(&self) -> Zeroizing<[u8; KEY_BYTES]> {
        Zeroizing::new(*self.0.finalize().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

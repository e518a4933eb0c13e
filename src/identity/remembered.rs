//! What tokens have proved, so that a signature is checked once and not at each request.
//!
//! Only what was proved is remembered, so junk drives nothing out but by its place among good tokens,
//! of which it has none. Times are not part of it: whoever takes claims from here judges them anew.

use super::token::Claims;
use crate::digest::{DIGEST_BYTES, Digest, Digester};
use quick_cache::Weighter;
use quick_cache::sync::Cache;

/// Bytes of remembered tokens in all: some 10,000 people at once.
const MAX_BYTES: u64 = 16 << 20;

/// What a remembered token takes beside its claims: the place, the map, the list it stands in.
const OVERHEAD: u64 = 512;

/// Parsed claims take about so many times the bytes of their token.
const SPREAD: u64 = 3;

/// Claims by place.
pub(super) struct Remembered {
    proved: Cache<Digest, Weighed, ByBytes>,
    /// Makes places unpredictable, so that nobody can look for two tokens that share one.
    salt: [u8; DIGEST_BYTES],
}

#[derive(Clone)]
struct Weighed {
    claims: Claims,
    bytes: u64,
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<Digest, Weighed> for ByBytes {
    fn weight(&self, _: &Digest, proved: &Weighed) -> u64 {
        proved.bytes
    }
}

impl Remembered {
    pub(super) fn new() -> Remembered {
        let mut salt = [0; DIGEST_BYTES];
        // Without it places can be computed, and still not be made to meet: BLAKE3 is not broken.
        let _ = getrandom::fill(&mut salt);
        let likely = (MAX_BYTES / (2 * OVERHEAD)) as usize;
        Remembered {
            proved: Cache::with_weighter(likely, MAX_BYTES, ByBytes),
            salt,
        }
    }

    /// The place of a token, other than under any other generation of keys.
    pub(super) fn place(&self, token: &str, generation: u64) -> Digest {
        Digester::new("token proved")
            .part(&self.salt)
            .part(&generation.to_le_bytes())
            .part(token.as_bytes())
            .finish()
    }

    pub(super) fn get(&self, place: &Digest) -> Option<Claims> {
        self.proved.get(place).map(|proved| proved.claims)
    }

    pub(super) fn put(&self, place: Digest, claims: Claims, token: usize) {
        let bytes = OVERHEAD + SPREAD * token as u64;
        self.proved.insert(place, Weighed { claims, bytes });
    }

    pub(super) fn forget(&self, place: &Digest) {
        self.proved.remove(place);
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.proved.len()
    }
}

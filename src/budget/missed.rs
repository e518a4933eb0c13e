//! Which keys were missed lately: enough is remembered to tell what is asked for again from what is asked for
//! once.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use xxhash_rust::xxh3::xxh3_64;

/// How many keys can be told apart: 256 KiB. Two that share a place make each other look asked for again, which
/// costs a few commands.
const PLACES: usize = 65_536;

/// At each place the second of Unix time when a key was missed there, made when it is first needed.
#[derive(Debug, Default)]
pub(super) struct Missed(OnceLock<Box<[AtomicU32]>>);

impl Missed {
    /// Whether it was missed within `life` before; it is missed now.
    pub(super) fn again(&self, key: &str, life: std::time::Duration, now_ms: u64) -> bool {
        let places = self
            .0
            .get_or_init(|| (0..PLACES).map(|_| AtomicU32::new(0)).collect());
        let now = u32::try_from(now_ms / 1000).unwrap_or(u32::MAX);
        let place = &places[xxh3_64(key.as_bytes()) as usize % PLACES];
        let before = place.swap(now, Relaxed);
        u64::from(now.saturating_sub(before)) < life.as_secs().max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_key_is_known_for_its_life() {
        let (missed, life) = (Missed::default(), Duration::from_secs(300));
        assert!(!missed.again("a", life, 1_000_000_000));
        assert!(!missed.again("b", life, 1_000_001_000));
        assert!(missed.again("a", life, 1_000_299_000));
        assert!(!missed.again("b", life, 1_000_401_000));
    }
}

//! The clock. Judgement takes time as an argument; only the edges read it here.

use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds of Unix time. A clock set before 1970 reads as zero: everything kept is then
/// younger than it looks, and the store's own expiry still ends it.
pub fn now_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| {
            u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
        })
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_clock_counts_milliseconds_since_1970() {
        let in_2020 = 1_577_836_800_000;
        let in_3000 = 32_503_680_000_000;
        assert!((in_2020..in_3000).contains(&super::now_ms()));
    }
}

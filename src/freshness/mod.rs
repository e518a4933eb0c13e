//! May an answer be kept? May a kept one be served? May it be served as 304? Pure judgement: time
//! and versions are arguments.

pub mod head; // may it be kept, as far as its head says
pub mod store_if; // may it be kept, as far as its body says
pub mod validators; // may it be answered with 304

mod cache_control; // what the origin asks of caches
mod date; // dates as HTTP writes them
mod demand; // what a request asks of caches
mod directives; // reads Cache-Control
mod lifetime; // how long an answer is fresh by its own account
mod serving; // what a request gets of a kept answer
mod terms; // for how long and for what an answer is kept

pub use cache_control::CacheControl;
pub use demand::Demand;
pub use head::{KeepRules, judge_head};
pub use lifetime::Arrived;
pub use serving::{Use, is_due, may_stand_in, use_of};
pub use store_if::judge_body;
pub use terms::{Terms, Whose, part_terms, terms};
pub use validators::{condition, is_about, not_modified};

use crate::digest::Digest;
use crate::entry::{Entry, Version};

/// How far in the future an entry may claim to have been kept: clocks of a fleet that are kept by
/// NTP differ far less, and one kept by nothing would keep entries alive past their ttl.
pub const MAX_SKEW_MS: u64 = 60_000;

/// Whether an entry that was found may be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Served {
    /// It may.
    Fresh {
        /// Whole seconds until it may no longer.
        ttl_left_s: i64,
        /// For the `Age` header, RFC 9111 §4.2.3.
        age_s: u64,
    },
    /// It is no longer fresh, but nothing has dropped it: it can be validated, and may be served where
    /// stale use is allowed.
    Stale {
        /// Milliseconds since it was fresh.
        by_ms: u64,
        /// For the `Age` header.
        age_s: u64,
    },
    /// It was softly dropped a moment ago, and may still be served while it is fetched anew; for nothing
    /// else, and it is not validated either: what a write made old is not renewed.
    Softened {
        /// Milliseconds since it was fresh.
        by_ms: u64,
        /// For the `Age` header.
        age_s: u64,
    },
    /// It is as if nothing had been found.
    Gone(Gone),
}

/// Why an entry may not be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gone {
    /// It was kept under another key, other nodes or another definition of the rule.
    Binding,
    /// One of its nodes is absent or has another version: a write dropped it, or dropped it softly and
    /// it may not be served stale, or no longer.
    Dropped,
    /// It is no longer fresh, and kept for nothing else.
    Expired,
    /// It was kept further in the future than clocks may differ.
    Future,
}

/// Judges an entry by the versions its nodes have now, in the rule's order, at `now_ms` of Unix
/// time. `softened_ms`: so long ago it was softly dropped, where its versions are others for no worse
/// reason. Without any node it could never be dropped, so it is not served either.
pub fn judge_entry(
    entry: &Entry,
    versions: &[Option<Version>],
    softened_ms: Option<u64>,
    binding: &Digest,
    now_ms: u64,
) -> Served {
    if entry.binding != *binding || entry.versions.len() != versions.len() {
        return Served::Gone(Gone::Binding);
    }
    let same = |(kept, now): (&Version, &Option<Version>)| now.as_ref() == Some(kept);
    let is_present = entry.versions.iter().zip(versions).all(same);
    match softened_ms {
        _ if versions.is_empty() => Served::Gone(Gone::Dropped),
        _ if is_present => by_time(entry, now_ms),
        Some(softened_ms) => softened(entry, by_time(entry, now_ms), softened_ms),
        None => Served::Gone(Gone::Dropped),
    }
}

/// Judges an entry whose nodes are known to have the versions that it was kept under. Without any node it
/// could never be dropped, so it is not served either.
pub fn judge_present(entry: &Entry, binding: &Digest, now_ms: u64) -> Served {
    match () {
        () if entry.binding != *binding => Served::Gone(Gone::Binding),
        () if entry.versions.is_empty() => Served::Gone(Gone::Dropped),
        () => by_time(entry, now_ms),
    }
}

/// What is softly dropped has been stale since then, or longer if its time was over before.
fn softened(entry: &Entry, served: Served, softened_ms: u64) -> Served {
    let (by_ms, age_s) = match served {
        Served::Fresh { age_s, .. } => (softened_ms, age_s),
        Served::Stale { by_ms, age_s } => (by_ms.max(softened_ms), age_s),
        gone => return gone,
    };
    match entry.stale.allowed && by_ms < entry.stale.while_revalidate {
        true => Served::Softened { by_ms, age_s },
        false => Served::Gone(Gone::Dropped),
    }
}

fn by_time(entry: &Entry, now_ms: u64) -> Served {
    if entry.kept_at > now_ms.saturating_add(MAX_SKEW_MS) {
        return Served::Gone(Gone::Future);
    }
    let resident = now_ms.saturating_sub(entry.kept_at);
    let age_s = u64::from(entry.initial_age) + resident / 1000;
    match entry.ttl.checked_sub(resident) {
        Some(left) if left > 0 => Served::Fresh {
            ttl_left_s: (left / 1000) as i64, // below 2^54
            age_s,
        },
        _ => match resident - entry.ttl {
            passed if passed >= entry.stale.kept => Served::Gone(Gone::Expired),
            passed => Served::Stale {
                by_ms: entry.stale.since.saturating_add(passed),
                age_s,
            },
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::Stale;
    use bytes::Bytes;
    use hyper::{HeaderMap, StatusCode};

    const KEPT_AT: u64 = 1_000_000;
    const BINDING: Digest = Digest([7; 16]);
    const A: Version = [1; 16];
    const B: Version = [2; 16];

    fn entry() -> Entry {
        Entry {
            binding: BINDING,
            versions: vec![A, B],
            groups: Vec::new(),
            kept_at: KEPT_AT,
            ttl: 5_000,
            stale: Stale::default(),
            initial_age: 3,
            took: 0,
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            body: Bytes::new(),
        }
    }

    fn judge(entry: &Entry, versions: &[Option<Version>], now_ms: u64) -> Served {
        judge_entry(entry, versions, None, &BINDING, now_ms)
    }

    #[test]
    fn an_entry_is_fresh_until_the_millisecond_its_ttl_ends() {
        let at = |now| judge(&entry(), &[Some(A), Some(B)], now);
        assert_eq!(
            at(KEPT_AT),
            Served::Fresh {
                ttl_left_s: 5,
                age_s: 3
            }
        );
        assert_eq!(
            at(KEPT_AT + 1_999),
            Served::Fresh {
                ttl_left_s: 3,
                age_s: 4
            }
        );
        assert_eq!(
            at(KEPT_AT + 4_999),
            Served::Fresh {
                ttl_left_s: 0,
                age_s: 7
            }
        );
        assert_eq!(at(KEPT_AT + 5_000), Served::Gone(Gone::Expired));
        assert_eq!(at(u64::MAX), Served::Gone(Gone::Expired));
    }

    #[test]
    fn a_dropped_node_makes_the_entry_gone() {
        let dropped = Served::Gone(Gone::Dropped);
        for versions in [
            [None, Some(B)],
            [Some(A), None],
            [Some(A), Some(A)],
            [Some(B), Some(A)],
        ] {
            assert_eq!(judge(&entry(), &versions, KEPT_AT), dropped, "{versions:?}");
        }
    }

    #[test]
    fn another_number_of_nodes_makes_the_entry_gone() {
        let other = Served::Gone(Gone::Binding);
        assert_eq!(judge(&entry(), &[Some(A)], KEPT_AT), other);
        assert_eq!(
            judge(&entry(), &[Some(A), Some(B), Some(B)], KEPT_AT),
            other
        );
        assert_eq!(judge(&entry(), &[], KEPT_AT), other);
    }

    #[test]
    fn an_entry_that_nothing_can_drop_is_never_served() {
        let entry = Entry {
            versions: Vec::new(),
            groups: Vec::new(),
            ..entry()
        };
        assert_eq!(judge(&entry, &[], KEPT_AT), Served::Gone(Gone::Dropped));
    }

    #[test]
    fn what_is_kept_beyond_its_freshness_is_stale_until_that_ends_and_never_once_dropped() {
        let kept = Entry {
            stale: Stale {
                since: 2_000,
                kept: 10_000,
                ..Stale::default()
            },
            ..entry()
        };
        let at = |now| judge(&kept, &[Some(A), Some(B)], now);
        let stale = |by_ms, age_s| Served::Stale { by_ms, age_s };
        assert_eq!(at(KEPT_AT + 5_000), stale(2_000, 8));
        assert_eq!(at(KEPT_AT + 14_999), stale(11_999, 17));
        assert_eq!(at(KEPT_AT + 15_000), Served::Gone(Gone::Expired));
        let dropped = judge(&kept, &[Some(A), Some(A)], KEPT_AT + 6_000);
        assert_eq!(dropped, Served::Gone(Gone::Dropped));
    }

    #[test]
    fn an_entry_of_another_binding_is_gone() {
        let versions = [Some(A), Some(B)];
        let served = judge_entry(&entry(), &versions, None, &Digest([8; 16]), KEPT_AT);
        assert_eq!(served, Served::Gone(Gone::Binding));
    }

    #[test]
    fn what_was_softly_dropped_is_stale_since_then_and_gone_when_its_window_is_over() {
        let kept = |allowed, while_revalidate| Entry {
            stale: Stale {
                kept: 10_000,
                allowed,
                while_revalidate,
                ..Stale::default()
            },
            ..entry()
        };
        let now = [Some(A), Some(A)];
        let at = |entry: &Entry, softened, passed| {
            judge_entry(entry, &now, softened, &BINDING, KEPT_AT + passed)
        };
        let (entry, dropped) = (kept(true, 3_000), Served::Gone(Gone::Dropped));
        let softened = |by_ms, age_s| Served::Softened { by_ms, age_s };
        assert_eq!(at(&entry, Some(2_999), 4_000), softened(2_999, 7));
        assert_eq!(at(&entry, Some(3_000), 4_000), dropped);
        assert_eq!(at(&entry, None, 4_000), dropped);
        // Neither end is put off by the other.
        assert_eq!(at(&entry, Some(10), 6_000), softened(1_000, 9));
        assert_eq!(at(&entry, Some(2_000), 6_000), softened(2_000, 9));
        assert_eq!(at(&entry, Some(10), 8_000), dropped);
        assert_eq!(at(&entry, Some(10), 15_000), Served::Gone(Gone::Expired));
        for strict in [kept(false, 3_000), kept(true, 0)] {
            assert_eq!(at(&strict, Some(1), 1_000), dropped);
        }
        let binding = judge_entry(&entry, &now, Some(1), &Digest([8; 16]), KEPT_AT);
        assert_eq!(binding, Served::Gone(Gone::Binding));
    }

    #[test]
    fn an_entry_from_the_future_is_served_only_within_the_skew() {
        let at = |now| judge(&entry(), &[Some(A), Some(B)], now);
        assert_eq!(
            at(KEPT_AT - MAX_SKEW_MS),
            Served::Fresh {
                ttl_left_s: 5,
                age_s: 3
            }
        );
        assert_eq!(at(KEPT_AT - MAX_SKEW_MS - 1), Served::Gone(Gone::Future));
    }

    #[test]
    fn absurd_numbers_do_not_overflow() {
        let entry = Entry {
            ttl: u64::MAX,
            kept_at: 0,
            initial_age: u32::MAX,
            ..entry()
        };
        let Served::Fresh { ttl_left_s, age_s } = judge(&entry, &[Some(A), Some(B)], 1 << 62)
        else {
            panic!("a ttl without end does not end");
        };
        assert!(ttl_left_s > 0 && age_s > u64::from(u32::MAX));
    }
}

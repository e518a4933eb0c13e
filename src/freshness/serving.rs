//! What a request gets of a kept answer.

use super::{Demand, Served};
use crate::entry::Stale;

/// What is to be done about a request for which an answer is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// It is served.
    Serve,
    /// It is served, and fetched anew behind the client's back.
    ServeAndRefresh,
    /// The origin is asked first.
    Ask,
}

/// Holds a kept answer against what is asked. `may_be_stale`: this caller may be served stale at all.
pub fn use_of(served: Served, stale: &Stale, demand: &Demand, may_be_stale: bool) -> Use {
    match served {
        Served::Fresh { ttl_left_s, age_s } => {
            let left_s = u64::try_from(ttl_left_s).unwrap_or_default();
            if demand.takes_fresh(age_s, left_s) {
                Use::Serve
            } else {
                Use::Ask
            }
        }
        Served::Stale { by_ms, age_s } if stale.allowed && may_be_stale => {
            if by_ms < stale.while_revalidate && demand.is_content() {
                Use::ServeAndRefresh
            } else if demand.takes_stale(age_s, by_ms.div_ceil(1000)) {
                Use::Serve
            } else {
                Use::Ask
            }
        }
        Served::Softened { .. } if may_be_stale && demand.is_content() => Use::ServeAndRefresh,
        Served::Stale { .. } | Served::Softened { .. } | Served::Gone(_) => Use::Ask,
    }
}

/// Whether a kept answer may stand in for one that the origin failed to give (RFC 5861 §4).
pub fn may_stand_in(served: Served, stale: &Stale, demand: &Demand, may_be_stale: bool) -> bool {
    let Served::Stale { by_ms, .. } = served else {
        return false;
    };
    stale.allowed && may_be_stale && by_ms < stale.if_error && demand.is_content()
}

/// Whether a fresh answer is fetched anew already now, so that its readers do not meet in one fetch
/// when its freshness ends (XFetch; Vattani, Chierichetti, Lowenstein: Optimal Probabilistic Cache
/// Stampede Prevention, 2015): the slower the origin was, the sooner; each reader draws a number
/// from 0 to 1 for himself.
pub fn is_due(eagerness: f64, took_ms: u32, left_ms: u64, draw: f64) -> bool {
    let ahead_ms = -f64::from(took_ms) * eagerness * draw.max(f64::MIN_POSITIVE).ln();
    ahead_ms >= left_ms as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const STALE: Stale = Stale {
        since: 0,
        kept: 60_000,
        allowed: true,
        while_revalidate: 10_000,
        if_error: 30_000,
    };

    const ANY: Demand = Demand {
        no_store: false,
        no_cache: false,
        max_age: None,
        max_stale: None,
        min_fresh: None,
        only_if_cached: false,
    };

    fn stale_by(by_ms: u64) -> Served {
        Served::Stale { by_ms, age_s: 100 }
    }

    #[test]
    fn stale_answers_are_served_within_the_window_to_who_asks_for_nothing_better() {
        let of = |by_ms, demand| use_of(stale_by(by_ms), &STALE, &demand, true);
        assert_eq!(of(9_999, ANY), Use::ServeAndRefresh);
        assert_eq!(of(10_000, ANY), Use::Ask);
        let wants = |demand| of(5_000, demand) == Use::Ask;
        assert!(wants(Demand {
            no_cache: true,
            ..ANY
        }));
        assert!(wants(Demand {
            max_age: Some(1_000),
            ..ANY
        }));
        assert!(wants(Demand {
            min_fresh: Some(0),
            ..ANY
        }));
        let content = Demand {
            max_stale: Some(20),
            ..ANY
        };
        assert_eq!(of(20_000, content), Use::Serve);
        assert_eq!(of(20_001, content), Use::Ask);
    }

    #[test]
    fn what_was_softly_dropped_is_served_while_it_is_fetched_anew_and_for_nothing_else() {
        let softened = Served::Softened {
            by_ms: 5_000,
            age_s: 100,
        };
        let of = |demand, may| use_of(softened, &STALE, &demand, may);
        assert_eq!(of(ANY, true), Use::ServeAndRefresh);
        assert_eq!(of(ANY, false), Use::Ask);
        let content = Demand {
            max_stale: Some(1_000),
            max_age: Some(1_000),
            ..ANY
        };
        assert_eq!(of(content, true), Use::Ask);
        assert!(!may_stand_in(softened, &STALE, &ANY, true));
    }

    #[test]
    fn nothing_stale_is_served_where_that_is_forbidden_or_to_who_may_not() {
        let forbidden = Stale {
            allowed: false,
            ..STALE
        };
        let content = Demand {
            max_stale: Some(1_000),
            ..ANY
        };
        for (stale, may) in [(&forbidden, true), (&STALE, false)] {
            for demand in [ANY, content] {
                assert_eq!(use_of(stale_by(1), stale, &demand, may), Use::Ask);
                assert!(!may_stand_in(stale_by(1), stale, &demand, may));
            }
        }
    }

    #[test]
    fn a_stale_answer_stands_in_within_its_window_only() {
        let stands = |served, demand| may_stand_in(served, &STALE, &demand, true);
        assert!(stands(stale_by(29_999), ANY));
        assert!(!stands(stale_by(30_000), ANY));
        assert!(!stands(
            stale_by(1),
            Demand {
                no_cache: true,
                ..ANY
            }
        ));
        let fresh = Served::Fresh {
            ttl_left_s: 1,
            age_s: 1,
        };
        assert!(!stands(fresh, ANY));
    }

    #[test]
    fn the_closer_the_end_and_the_slower_the_origin_the_likelier_the_refresh() {
        let even = 1.0 / std::f64::consts::E; // -ln is 1
        assert!(is_due(1.0, 100, 100, even) && !is_due(1.0, 100, 101, even));
        assert!(is_due(2.0, 100, 200, even) && !is_due(2.0, 100, 201, even));
        assert!(!is_due(0.0, 100, 1, 1e-9) && !is_due(1.0, 0, 1, 1e-9));
        assert!(!is_due(1.0, 100, 1, 1.0));
        assert!(is_due(1.0, 100, 50_000, 0.0), "even zero can be drawn");
    }
}

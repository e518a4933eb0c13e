//! What a request asks of caches: its `Cache-Control` (RFC 9111 §5.2.1), or `Pragma` in its stead
//! (§5.4). Requests are only advice, so what cannot be read asks nothing.

use super::directives::{MAX_SECONDS, directives};
use hyper::HeaderMap;
use hyper::header::{CACHE_CONTROL, PRAGMA};

/// What a request wants of a kept answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Demand {
    /// Neither this request nor its answer is to be kept.
    pub no_store: bool,
    /// Only what was validated for it.
    pub no_cache: bool,
    /// No older than so many seconds.
    pub max_age: Option<u64>,
    /// Seconds by which it may be stale; 2³¹ where any number will do.
    pub max_stale: Option<u64>,
    /// Fresh for so many more seconds.
    pub min_fresh: Option<u64>,
    /// A kept answer or 504.
    pub only_if_cached: bool,
}

impl Demand {
    /// Reads a request's headers.
    pub fn of(headers: &HeaderMap) -> Demand {
        let mut demand = Demand::default();
        if !headers.contains_key(CACHE_CONTROL) {
            demand.no_cache = directives(headers, &PRAGMA)
                .flatten()
                .any(|directive| directive.name == "no-cache");
            return demand;
        }
        for directive in directives(headers, &CACHE_CONTROL).flatten() {
            let seconds = directive.seconds();
            match &*directive.name {
                "no-store" => demand.no_store = true,
                "no-cache" => demand.no_cache = true,
                "max-age" => demand.max_age = Some(seconds),
                "max-stale" if directive.value.is_none() => demand.max_stale = Some(MAX_SECONDS),
                "max-stale" => demand.max_stale = Some(seconds),
                "min-fresh" => demand.min_fresh = Some(seconds),
                "only-if-cached" => demand.only_if_cached = true,
                _ => {}
            }
        }
        demand
    }

    /// Whether a fresh answer of this age, fresh for so many more seconds, will do.
    pub fn takes_fresh(&self, age_s: u64, left_s: u64) -> bool {
        !self.no_cache
            && self.max_age.is_none_or(|most| age_s <= most)
            && self.min_fresh.is_none_or(|least| left_s >= least)
    }

    /// Whether it leaves to the origin and the rule how stale an answer may be.
    pub fn is_content(&self) -> bool {
        !self.no_cache && self.max_age.is_none() && self.min_fresh.is_none()
    }

    /// Whether an answer of this age that has been stale for so many seconds will do.
    pub fn takes_stale(&self, age_s: u64, stale_s: u64) -> bool {
        !self.no_cache
            && self.min_fresh.is_none()
            && self.max_age.is_none_or(|most| age_s <= most)
            && self.max_stale.is_some_and(|most| stale_s <= most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    fn demand(line: &'static str) -> Demand {
        let mut headers = HeaderMap::new();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static(line));
        Demand::of(&headers)
    }

    #[test]
    fn directives_are_read_and_flaws_passed_over() {
        assert_eq!(demand("max-age = 5, x"), Demand::default());
        let all = "No-Store, no-cache, max-age=1, max-stale=2, min-fresh=3, only-if-cached";
        let expected = Demand {
            no_store: true,
            no_cache: true,
            max_age: Some(1),
            max_stale: Some(2),
            min_fresh: Some(3),
            only_if_cached: true,
        };
        assert_eq!(demand(all), expected);
        assert_eq!(demand("max-stale").max_stale, Some(MAX_SECONDS));
    }

    #[test]
    fn pragma_counts_only_where_cache_control_is_silent() {
        let mut headers = HeaderMap::new();
        headers.insert(PRAGMA, HeaderValue::from_static("foo, No-Cache"));
        assert!(Demand::of(&headers).no_cache);
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("max-age=5"));
        assert!(!Demand::of(&headers).no_cache);
    }

    #[test]
    fn freshness_is_held_against_the_demand() {
        assert!(demand("max-age=10").takes_fresh(10, 0));
        assert!(!demand("max-age=9").takes_fresh(10, 0));
        assert!(demand("min-fresh=5").takes_fresh(10, 5));
        assert!(!demand("min-fresh=6").takes_fresh(10, 5));
        assert!(!demand("no-cache").takes_fresh(0, 100));
        assert!(demand("max-stale").takes_stale(1000, 500));
        assert!(demand("max-stale=5").takes_stale(10, 5));
        assert!(!demand("max-stale=5").takes_stale(10, 6));
        assert!(!demand("max-stale=5, max-age=9").takes_stale(10, 5));
        assert!(!demand("max-stale=5, min-fresh=1").takes_stale(10, 5));
        assert!(!demand("max-age=100").takes_stale(10, 5));
    }
}

//! The request headers that a rule's answers vary by, learnt from the answers (RFC 9110 §12.5.5).
//!
//! A rule's answers mostly carry one and the same `Vary`, so it is learnt for the rule: the key of a
//! variant is then known before the store is asked, and a hit costs one command. Behind a rule with
//! `ttl = "origin"`, which may stand before anything, each path has a `Vary` of its own: there it is
//! learnt by place, which is the key without what answers vary by.

use arc_swap::ArcSwap;
use bytes::Bytes;
use hyper::header::HeaderName;
use quick_cache::sync::Cache;
use std::sync::Arc;

/// Places of which a process remembers by what their answers vary. Of others the store is asked in the
/// same command as for the answer, and once more where it knows of something.
const MAX_PLACES: usize = 50_000;

/// Names learnt for one rule or place. An origin that names more than this varies by everything, as far as
/// a cache can tell.
pub const MAX_VARY_NAMES: usize = 8;

/// By what a rule's answers vary, as far as known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vary {
    /// Sorted, without repetition.
    pub names: Arc<[HeaderName]>,
    /// Whether an answer, or the store's memory of one, has been seen. Until then the store is
    /// asked for what others learnt.
    pub seen: bool,
}

/// One rule's [`Vary`], growing as answers come in.
pub struct LearntVary {
    /// For the whole rule; where it is learnt by place, what the rule declares.
    rule: ArcSwap<Vary>,
    places: Option<Cache<String, Arc<Vary>>>,
}

/// More names than [`MAX_VARY_NAMES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMany;

impl LearntVary {
    /// Begins with the names that the rule declares.
    pub fn new(declared: &[HeaderName], by_place: bool) -> LearntVary {
        LearntVary {
            rule: ArcSwap::from_pointee(Vary {
                names: union(&[], declared),
                seen: false,
            }),
            places: by_place.then(|| Cache::new(MAX_PLACES)),
        }
    }

    /// What is known now of a place.
    pub fn known(&self, place: &str) -> Arc<Vary> {
        let of_place = self.places.as_ref().and_then(|places| places.get(place));
        of_place.unwrap_or_else(|| self.rule.load_full())
    }

    /// Adds what one answer said. Returns what is known then, and whether anything of it is worth
    /// telling others.
    ///
    /// # Errors
    /// [`TooMany`], and nothing is learnt.
    pub fn learn(&self, place: &str, names: &[HeaderName]) -> Result<(Arc<Vary>, bool), TooMany> {
        let before = self.known(place);
        let grown = union(&before.names, names);
        if grown.len() > MAX_VARY_NAMES {
            return Err(TooMany);
        }
        if let Some(places) = &self.places {
            // That answers vary by nothing goes without saying, and would be said of each place.
            let grew = grown.len() > before.names.len();
            let known = Arc::new(Vary {
                names: grown,
                seen: true,
            });
            places.insert(place.to_owned(), known.clone());
            return Ok((known, grew));
        }
        if before.seen && grown.len() == before.names.len() {
            return Ok((before, false));
        }
        self.rule.rcu(|current| {
            let grown = union(&current.names, names);
            // Others may have learnt meanwhile; together it may be too much.
            let names = if grown.len() > MAX_VARY_NAMES {
                current.names.clone()
            } else {
                grown
            };
            Vary { names, seen: true }
        });
        let known = self.rule.load_full();
        let all = names.iter().all(|name| known.names.contains(name));
        if all { Ok((known, true)) } else { Err(TooMany) }
    }
}

impl Vary {
    /// The names that a request goes by which finds this marker in the store: it is asked for only while nothing
    /// was seen, and teaches nothing where that would be too much.
    pub fn with_marker(&self, marker: Option<&[u8]>) -> Arc<[HeaderName]> {
        let marked = marker.filter(|_| !self.seen).map(from_marker);
        let names = marked.map(|marked| union(&self.names, &marked));
        names
            .filter(|names| names.len() <= MAX_VARY_NAMES)
            .unwrap_or_else(|| self.names.clone())
    }

    /// As the store remembers it for other sidecars and for after a restart.
    pub fn to_marker(&self) -> Bytes {
        let names: Vec<&str> = self.names.iter().map(HeaderName::as_str).collect();
        Bytes::from(names.join(","))
    }
}

/// The names of a marker; what is not a header name is passed over, so a damaged marker can only
/// teach too little, which the next answer mends.
pub fn from_marker(marker: &[u8]) -> Vec<HeaderName> {
    marker
        .split(|byte| *byte == b',')
        .filter_map(|name| HeaderName::from_bytes(name).ok())
        .collect()
}

fn union(one: &[HeaderName], other: &[HeaderName]) -> Arc<[HeaderName]> {
    let mut names: Vec<HeaderName> = one.iter().chain(other).cloned().collect();
    names.sort_by(|a, b| a.as_str().cmp(b.as_str()));
    names.dedup();
    names.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::{ACCEPT_LANGUAGE, ORIGIN};

    #[test]
    fn names_are_learnt_once_and_survive_as_a_marker() {
        let learnt = LearntVary::new(&[ORIGIN], false);
        assert!(!learnt.known("a").seen);
        let (known, grew) = learnt
            .learn("a", &[ACCEPT_LANGUAGE, ORIGIN])
            .expect("few names");
        assert_eq!(learnt.known("b"), known);
        assert!(grew && known.seen);
        assert_eq!(&*known.names, &[ACCEPT_LANGUAGE, ORIGIN]);
        assert!(!learnt.learn("b", &[ORIGIN]).expect("few names").1);
        assert_eq!(from_marker(&known.to_marker()), known.names.to_vec());
        assert_eq!(from_marker(b""), Vec::<HeaderName>::new());
        assert_eq!(from_marker(b"\xff\x00, ,origin"), vec![ORIGIN]);
    }

    #[test]
    fn a_marker_counts_only_while_nothing_was_seen_and_never_for_too_much() {
        let unseen = Vary {
            names: [ORIGIN].into(),
            seen: false,
        };
        let with = |vary: &Vary, marker: &[u8]| vary.with_marker(Some(marker)).to_vec();
        assert_eq!(with(&unseen, b"accept-language"), [ACCEPT_LANGUAGE, ORIGIN]);
        assert_eq!(with(&unseen, b"a,b,c,d,e,f,g,h"), [ORIGIN]);
        assert_eq!(unseen.with_marker(None).to_vec(), [ORIGIN]);
        let seen = Vary {
            seen: true,
            ..unseen
        };
        assert_eq!(with(&seen, b"accept-language"), [ORIGIN]);
    }

    #[test]
    fn one_place_teaches_nothing_about_another() {
        let learnt = LearntVary::new(&[ORIGIN], true);
        let (known, grew) = learnt.learn("a", &[ACCEPT_LANGUAGE]).expect("few names");
        assert!(grew && known.seen);
        assert_eq!(&*learnt.known("a").names, &[ACCEPT_LANGUAGE, ORIGIN]);
        assert_eq!(&*learnt.known("b").names, &[ORIGIN]);
        assert!(!learnt.known("b").seen);
        assert!(!learnt.learn("b", &[]).expect("few names").1);
        assert!(learnt.known("b").seen);
    }

    #[test]
    fn an_answer_that_names_too_much_teaches_nothing() {
        let learnt = LearntVary::new(&[], false);
        let names: Vec<HeaderName> = (0..=MAX_VARY_NAMES)
            .map(|n| HeaderName::try_from(format!("x-{n}")).expect("a name"))
            .collect();
        assert_eq!(learnt.learn("a", &names), Err(TooMany));
        assert!(learnt.known("a").names.is_empty());
    }
}

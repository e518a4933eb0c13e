//! The request headers that a rule's answers vary by, learnt from the answers (RFC 9110 §12.5.5).
//!
//! A rule's answers mostly carry one and the same `Vary`, so it is learnt for the rule, not for the
//! key: the key of a variant is then known before the store is asked, and a hit costs one command.

use arc_swap::ArcSwap;
use bytes::Bytes;
use hyper::header::HeaderName;
use std::sync::Arc;

/// Names learnt for one rule. An origin that names more than this varies by everything, as far as
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
#[derive(Debug)]
pub struct LearntVary(ArcSwap<Vary>);

/// More names than [`MAX_VARY_NAMES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMany;

impl LearntVary {
    /// Begins with the names that the rule declares.
    pub fn new(declared: &[HeaderName]) -> LearntVary {
        LearntVary(ArcSwap::from_pointee(Vary {
            names: union(&[], declared),
            seen: false,
        }))
    }

    /// What is known now.
    pub fn known(&self) -> Arc<Vary> {
        self.0.load_full()
    }

    /// Adds what one answer said. Returns what is known then, and whether anything of it is new.
    ///
    /// # Errors
    /// [`TooMany`], and nothing is learnt.
    pub fn learn(&self, names: &[HeaderName]) -> Result<(Arc<Vary>, bool), TooMany> {
        let before = self.known();
        let grown = union(&before.names, names);
        if grown.len() > MAX_VARY_NAMES {
            return Err(TooMany);
        }
        if before.seen && grown.len() == before.names.len() {
            return Ok((before, false));
        }
        self.0.rcu(|current| {
            let grown = union(&current.names, names);
            // Others may have learnt meanwhile; together it may be too much.
            let names = if grown.len() > MAX_VARY_NAMES {
                current.names.clone()
            } else {
                grown
            };
            Vary { names, seen: true }
        });
        let known = self.known();
        let all = names.iter().all(|name| known.names.contains(name));
        if all { Ok((known, true)) } else { Err(TooMany) }
    }
}

impl Vary {
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
        let learnt = LearntVary::new(&[ORIGIN]);
        assert!(!learnt.known().seen);
        let (known, grew) = learnt.learn(&[ACCEPT_LANGUAGE, ORIGIN]).expect("few names");
        assert!(grew && known.seen);
        assert_eq!(&*known.names, &[ACCEPT_LANGUAGE, ORIGIN]);
        assert!(!learnt.learn(&[ORIGIN]).expect("few names").1);
        assert_eq!(from_marker(&known.to_marker()), known.names.to_vec());
        assert_eq!(from_marker(b""), Vec::<HeaderName>::new());
        assert_eq!(from_marker(b"\xff\x00, ,origin"), vec![ORIGIN]);
    }

    #[test]
    fn an_answer_that_names_too_much_teaches_nothing() {
        let learnt = LearntVary::new(&[]);
        let names: Vec<HeaderName> = (0..=MAX_VARY_NAMES)
            .map(|n| HeaderName::try_from(format!("x-{n}")).expect("a name"))
            .collect();
        assert_eq!(learnt.learn(&names), Err(TooMany));
        assert!(learnt.known().names.is_empty());
    }
}

//! What was worked out of a target, remembered: most requests ask for what others asked for a moment ago,
//! and to route a path, take a query apart and digest a key is most of what a hit would cost.
//!
//! Only what follows from the rules, the target and its variant is remembered, and only of targets for
//! which something was kept. The rules are those of one [`crate::live::Live`]: a reload begins anew.

use crate::headers::TELLS_NOBODY;
use crate::key::{CacheKey, Rendered, Variant};
use crate::rules::table::Rule;
use crate::rules::template::Source;
use arc_swap::ArcSwap;
use arrayvec::ArrayVec;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use std::sync::Arc;

/// Bytes that all of them may take: some two thousand targets of usual length. What is not remembered
/// is worked out.
const MAX_BYTES: u64 = 8 << 20;

/// How many there will be, about.
const USUAL: usize = 2048;

/// Of a longer target nothing is remembered: a few of them would displace all others.
const MAX_TARGET: usize = 1024;

/// What is counted for each text, beside its bytes.
const TEXT_OVERHEAD: usize = 64;

/// What is counted for a target, or for one of its keys, beside its texts.
const OVERHEAD: usize = 192;

/// Values are escaped in keys: few characters of few targets, so that a half more is counted.
const ESCAPED: usize = 2;

/// Keys that are remembered of one target: as many as there are usual spellings of `Accept-Encoding`.
const MAX_KEYS: usize = 6;

/// Bytes of all that sets one variant apart. The key of a longer one is worked out each time.
const MAX_VARIANT: usize = 128;

type Spelling = ArrayVec<u8, MAX_VARIANT>;

/// What a rule makes of a target.
pub struct Target {
    /// The rule.
    pub rule: Arc<Rule>,
    /// Position of the route that matched.
    pub route: usize,
    /// Limits count who asks for it.
    pub is_limited: bool,
    rendered: Rendered,
    /// Keys by what sets their variants apart, the latest last.
    keys: ArcSwap<Vec<(Spelling, Arc<CacheKey>)>>,
}

impl Target {
    /// What was worked out just now.
    pub fn new(rule: Arc<Rule>, route: usize, rendered: Rendered) -> Target {
        Target {
            rule,
            route,
            is_limited: false,
            rendered,
            keys: ArcSwap::default(),
        }
    }

    /// Whether nothing but its target made it what it is, so that it is the same whoever asks.
    pub fn is_everybodys(&self) -> bool {
        let of_target = |source: &Source| {
            matches!(
                source,
                Source::Path(_) | Source::Query | Source::QueryName(_)
            )
        };
        let mut placeholders = self.rule.key.placeholders();
        placeholders.all(|placeholder| of_target(&placeholder.source))
    }

    /// The key's segments.
    pub fn segments(&self) -> &[String] {
        self.rendered.segments()
    }

    /// The key of one variant.
    pub fn key(&self, namespace: &str, variant: &Variant) -> Arc<CacheKey> {
        let make = || Arc::new(self.rendered.key(namespace, &self.rule, variant));
        // Of a variant by others nothing is remembered as it was sent.
        if !variant.vary.iter().all(|name| TELLS_NOBODY.contains(name)) {
            return make();
        }
        let mut spelling = Spelling::new();
        let write = |piece: &[u8]| spelling.try_extend_from_slice(piece);
        if variant.spell(write).is_err() {
            return make();
        }
        let keys = self.keys.load();
        let known = keys.iter().find(|(other, _)| *other == spelling);
        if let Some((_, key)) = known {
            return key.clone();
        }
        let key = make();
        self.keys.rcu(|keys| {
            let kept = keys.len().saturating_sub(MAX_KEYS - 1);
            let mut keys = keys[kept..].to_vec();
            keys.push((spelling.clone(), key.clone()));
            keys
        });
        key
    }
}

/// Targets that were worked out before.
pub struct Targets(Cache<Box<str>, Arc<Target>, ByBytes>);

impl Default for Targets {
    fn default() -> Targets {
        Targets(Cache::with_weighter(USUAL, MAX_BYTES, ByBytes))
    }
}

impl Targets {
    /// What was made of a path and query, where that is remembered.
    pub fn recall(&self, path_and_query: &str) -> Option<Arc<Target>> {
        self.0.get(path_and_query)
    }

    /// Remembers what was made of a path and query, if it is the same whoever asks.
    pub fn remember(&self, path_and_query: &str, target: &Arc<Target>) {
        if path_and_query.len() <= MAX_TARGET && target.is_everybodys() {
            self.0.insert(path_and_query.into(), target.clone());
        }
    }
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<Box<str>, Arc<Target>> for ByBytes {
    /// As if it had all the keys that it may have: each repeats the text in its own name and in those of
    /// its nodes.
    fn weight(&self, path_and_query: &Box<str>, target: &Arc<Target>) -> u64 {
        let text = TEXT_OVERHEAD + path_and_query.len() + path_and_query.len() / ESCAPED;
        let texts = 1 + target.rule.nodes.len();
        let key = OVERHEAD + size_of::<Spelling>() + texts * text;
        (OVERHEAD + 2 * text + MAX_KEYS * key) as u64
    }
}

#[cfg(test)]
mod tests;

//! Which query parameters shape the answer: by requests that differ in one of them alone.

use super::asked::AskedFor;
use super::sight::Sight;
use std::collections::{BTreeSet, HashMap};

/// Comparisons without a difference, and values among them, before a parameter is held to be without effect: a
/// page size beyond the length of a list makes no difference either.
const IDLE_PAIRS: usize = 5;
const IDLE_VALUES: usize = 3;

/// How many of them there are at least for each difference behind a write.
const IDLE_PER_DOUBT: usize = 4;

/// What is known of a parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Param {
    pub(super) name: String,
    /// Requests that differ in it alone.
    pub(super) pairs: usize,
    /// Those of them with different answers, and no write between.
    pub(super) differ: usize,
    /// Those with different answers that a write between may have made so.
    pub(super) doubtful: usize,
    /// Different values among them.
    pub(super) values: usize,
}

impl Param {
    /// Whether it was seen often enough to make no difference.
    pub(super) fn is_idle(&self) -> bool {
        self.differ == 0
            && self.pairs >= IDLE_PAIRS
            && self.values >= IDLE_VALUES
            && self.doubtful * IDLE_PER_DOUBT <= self.pairs
    }

    /// Whether it was seen to make a difference.
    pub(super) fn shapes(&self) -> bool {
        self.differ > 0
    }
}

/// The names of all parameters that a route was asked with.
pub(super) fn names(asks: &[Sight]) -> BTreeSet<&str> {
    let names = asks.iter().flat_map(|ask| &ask.params);
    names.map(|(name, _)| &**name).collect()
}

/// How often it was asked with a parameter.
pub(super) fn asked_with(name: &str, asks: &[Sight]) -> usize {
    let with = asks
        .iter()
        .filter(|ask| ask.params.iter().any(|(own, _)| **own == *name));
    with.count()
}

/// The parameters of a route, by name.
pub(super) fn params(names: &BTreeSet<&str>, asks: &[Sight], all: &AskedFor<'_>) -> Vec<Param> {
    let params = names.iter().map(|name| param(name, asks, all));
    params.collect()
}

/// Compares each request with the one before it that is the same but for this parameter.
fn param(name: &str, asks: &[Sight], all: &AskedFor<'_>) -> Param {
    let mut before: HashMap<_, &Sight> = HashMap::new();
    let mut values = BTreeSet::new();
    let mut param = Param {
        name: name.to_owned(),
        pairs: 0,
        differ: 0,
        doubtful: 0,
        values: 0,
    };
    for ask in asks.iter().filter(|ask| ask.good.is_some()) {
        let others = ask.params.iter().filter(|(other, _)| **other != *name);
        let key = (ask.page, ask.person(), others.collect::<Vec<_>>());
        let Some(earlier) = before.insert(key, ask) else {
            continue;
        };
        let (one, other) = (earlier.values(name), ask.values(name));
        let (Some(was), Some(is)) = (earlier.good, ask.good) else {
            continue;
        };
        let is_same = was.body == is.body;
        if one == other || (is_same && is.is_hollow) {
            continue;
        }
        if !is_same && all.has_write_between(earlier, ask) {
            param.doubtful += 1;
            continue;
        }
        param.pairs += 1;
        param.differ += usize::from(!is_same);
        values.extend([one, other]);
    }
    param.values = values.len();
    param
}

//! Which query parameters shape the answer: by requests that differ in one of them alone.

use super::asked::Ask;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Comparisons without a difference, and values among them, before a parameter is held to be without effect: a
/// page size beyond the length of a list makes no difference either.
const IDLE_PAIRS: usize = 5;
const IDLE_VALUES: usize = 3;

/// What is known of a parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Param {
    pub(super) name: String,
    /// Requests that differ in it alone.
    pub(super) pairs: usize,
    /// Those of them with different answers.
    pub(super) differ: usize,
    /// Different values among them.
    pub(super) values: usize,
}

impl Param {
    /// Whether it was seen often enough to make no difference.
    pub(super) fn is_idle(&self) -> bool {
        self.differ == 0 && self.pairs >= IDLE_PAIRS && self.values >= IDLE_VALUES
    }

    /// Whether it was seen to make a difference.
    pub(super) fn shapes(&self) -> bool {
        self.differ > 0
    }
}

/// The parameters of a route, by name.
pub(super) fn params(asks: &[Ask<'_>]) -> Vec<Param> {
    let names: BTreeSet<&str> = asks
        .iter()
        .flat_map(|ask| ask.params.iter().map(|(name, _)| name.as_ref()))
        .collect();
    names.into_iter().map(|name| param(name, asks)).collect()
}

/// Compares each request with the one before it that is the same but for this parameter. An answer that changed
/// meanwhile counts as a difference too, which errs towards a longer key.
fn param(name: &str, asks: &[Ask<'_>]) -> Param {
    let mut before: HashMap<_, &Ask<'_>> = HashMap::new();
    let mut values = BTreeMap::new();
    let (mut pairs, mut differ) = (0, 0);
    for ask in asks {
        let others: Vec<_> = ask
            .params
            .iter()
            .filter(|(other, _)| other != name)
            .collect();
        let Some(earlier) = before.insert((ask.path, ask.who, others), ask) else {
            continue;
        };
        let (one, other) = (earlier.values(name), ask.values(name));
        let (Some(was), Some(is)) = (earlier.good, ask.good) else {
            continue;
        };
        let is_different = was.body != is.body;
        if one == other || (!is_different && is.is_hollow) {
            continue;
        }
        pairs += 1;
        differ += usize::from(is_different);
        values.insert(one, ());
        values.insert(other, ());
    }
    Param {
        name: name.to_owned(),
        pairs,
        differ,
        values: values.len(),
    }
}

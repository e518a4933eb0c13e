//! What a write drops: for good, or softly.

use super::names::Names;
use super::root::Root;

/// What a write drops: nodes, each in one of the two.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bump {
    /// Dropped for good: they are deleted.
    pub hard: Vec<String>,
    /// Softly dropped: no entry is fresh any more that was kept before, but until a hard drop it can be
    /// told since when ([`super::Look::softened_ms`]). Where the store cannot do that they are deleted too.
    pub soft: Vec<String>,
}

impl Bump {
    /// These for good.
    pub fn hard(nodes: impl Into<Vec<String>>) -> Bump {
        Bump {
            hard: nodes.into(),
            soft: Vec::new(),
        }
    }

    /// All of them, those that are dropped for good first.
    pub fn nodes(&self) -> impl Iterator<Item = &String> {
        self.hard.iter().chain(&self.soft)
    }

    /// Whether nothing is dropped.
    pub fn is_empty(&self) -> bool {
        self.nodes().next().is_none()
    }

    /// The same by the names that stand in Redis.
    pub(super) fn named(&self, names: &Names) -> Bump {
        Bump {
            hard: names.all(&self.hard).into_owned(),
            soft: names.all(&self.soft).into_owned(),
        }
    }

    /// The root lists layouts, no moments: it is only ever dropped for good.
    pub(super) fn under(mut self, root: &Root) -> Bump {
        let (roots, soft): (Vec<_>, Vec<_>) =
            self.soft.into_iter().partition(|node| node == root.name());
        self.hard.extend(roots);
        Bump { soft, ..self }
    }
}

//! Writes of this process that are not answered yet: what they may come to drop is nobody's oversight.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// By node, how many of them may come to drop it.
#[derive(Default)]
pub(super) struct Nodes(Mutex<HashMap<String, usize>>);

/// One write, for as long as it lives.
#[must_use = "the write counts as answered when this is dropped"]
pub struct UnderWay {
    all: Arc<Nodes>,
    nodes: Vec<String>,
}

impl Nodes {
    fn counts(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn enter(all: &Arc<Nodes>, nodes: &[String]) -> UnderWay {
        let mut counts = all.counts();
        for node in nodes {
            *counts.entry(node.clone()).or_default() += 1;
        }
        UnderWay {
            all: all.clone(),
            nodes: nodes.to_vec(),
        }
    }

    pub(super) fn any(&self, nodes: &[String]) -> bool {
        let counts = self.counts();
        nodes.iter().any(|node| counts.contains_key(node))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut counts = self.all.counts();
        for node in &self.nodes {
            if let Some(count) = counts.get_mut(node) {
                *count -= 1;
                if *count == 0 {
                    counts.remove(node);
                }
            }
        }
    }
}

//! What this process keeps for itself, without a command.

use super::{Place, Sought, Store};
use crate::clock::Reading;
use crate::entry::{Entry, Version};
use std::sync::Arc;

impl Store {
    /// Versions of an entry's own nodes, and of the one that falls with every group, under which an answer that is
    /// asked for from now on can be kept for this process: see [`Store::keep_here`]. No command. `None` where
    /// [`Sought::local_ttl`] does not allow it, or this process would not hear of what drops it.
    pub fn presume(&self, sought: Sought<'_>, now: &Reading) -> Option<Vec<Version>> {
        match &self.0.place {
            Place::Redis(shared) if sought.marker.is_none() => {
                let nodes = sought.nodes.iter().chain(sought.any_group);
                let nodes: Vec<String> = nodes.cloned().collect();
                shared.presume(&self.0.names.all(&nodes), sought.local_ttl, now)
            }
            _ => None,
        }
    }

    /// Keeps an entry for this process alone. No command.
    pub fn keep_here(&self, key: &str, entry: Arc<Entry>) {
        match &self.0.place {
            _ if entry.lifetime().is_zero() => {}
            Place::Memory(memory) => memory.keep(key, entry, &self.1),
            Place::Redis(shared) => shared.keep_here(&self.0.names.one(key), entry, &self.1),
        }
    }
}

//! Versions that this process believes without asking, and what it keeps under them for itself alone.
//!
//! A fill may begin from a version that was asked for a while ago: it is older than one that would be asked for now,
//! or the same, so what is kept under it is no fresher than it claims. What is dropped since then is dead on arrival.

use super::{Place, Store};
use crate::entry::{Entry, Version};
use std::sync::Arc;
use std::time::Duration;

impl Store {
    /// Whether the nodes are believed to have these versions, by what was asked for less than `within` ago.
    pub fn believes(&self, nodes: &[String], versions: &[Version], within: Duration) -> bool {
        match &self.0.place {
            Place::Memory(_) => false,
            Place::Redis(shared) => shared.believes(&self.0.names.all(nodes), versions, within),
        }
    }

    /// Keeps an entry in this process's memory alone. No command.
    pub fn keep_here(&self, key: &str, entry: Arc<Entry>) {
        match &self.0.place {
            _ if entry.lifetime().is_zero() => {}
            Place::Memory(memory) => memory.keep(key, entry, &self.1),
            Place::Redis(shared) => shared.keep_here(&self.0.names.entry(key), entry, &self.1),
        }
    }
}

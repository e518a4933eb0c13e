//! Belief in versions, in terms of commands.

use super::Shared;
use crate::entry::{Entry, Version};
use crate::store::root::Root;
use std::sync::Arc;
use std::time::Duration;

impl Shared {
    /// See [`crate::store::Store::believes`].
    pub fn believes(&self, nodes: &[String], versions: &[Version], within: Duration) -> bool {
        let now = self.clock.reading();
        self.breaker.connection().is_ok() && self.known.vouches(nodes, versions, within, &now)
    }

    /// See [`crate::store::Store::keep_here`].
    pub fn keep_here(&self, key: &str, entry: Arc<Entry>, root: &Root) {
        let now = self.clock.reading();
        self.local.put(key, entry, root.layout(), &now);
    }
}

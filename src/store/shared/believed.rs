//! Belief in versions, in terms of commands.

use super::Shared;
use super::look::versions_of;
use crate::entry::{Entry, Version};
use crate::store::believed::Shown;
use crate::store::fault::Down;
use crate::store::root::Root;
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;

impl Shared {
    /// See [`crate::store::Store::renew_belief`].
    pub async fn renew_belief(
        &self,
        nodes: &[String],
        flags: &[String],
        root: &Root,
    ) -> Result<Shown, Down> {
        if !self.known.hears() {
            return Err(Down);
        }
        let connection = self.breaker.connection()?;
        let sight = self.known.sight(nodes, self.clock.reading());
        let named = nodes.iter().chain(flags);
        let keys = named.map(|key| Bytes::copy_from_slice(key.as_bytes()));
        let values = connection.mget(keys.collect(), connection.deadline()).await;
        let values = self.breaker.note(&connection, values)?;
        let versions = versions_of(root, nodes, values.iter().map(Option::as_ref));
        sight.note(versions.iter().copied());
        let raised = values[nodes.len()..].iter().map(Option::is_some).collect();
        Ok(Shown { versions, raised })
    }

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

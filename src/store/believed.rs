//! Versions that this process believes without asking, and what it keeps under them for itself alone.
//!
//! A fill may begin from a version that was asked for a while ago: it is older than one that would be asked for now,
//! or the same, so what is kept under it is no fresher than it claims. What is dropped since then is dead on arrival.

use super::fault::Down;
use super::{Place, Store};
use crate::entry::{Entry, Version};
use std::sync::Arc;
use std::time::Duration;

/// What stands in the store, as one command shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// Of each node in its order; `None` where it is absent.
    pub versions: Vec<Option<Version>>,
    /// Of each flag in its order, whether it is raised.
    pub raised: Vec<bool>,
}

impl Store {
    /// The present versions of nodes, which this process believes from then on, and whether flags are raised. One
    /// command, however many there are.
    ///
    /// # Errors
    /// The store cannot be asked, or the fleet's deletions are not heard: then nothing may be believed.
    pub async fn renew_belief(&self, nodes: &[String], flags: &[String]) -> Result<Shown, Down> {
        match &self.0.place {
            Place::Memory(_) => Err(Down), // nothing is believed there: it is looked up
            Place::Redis(shared) => {
                let names = &self.0.names;
                let (nodes, flags) = (names.all(nodes), names.all(flags));
                shared.renew_belief(&nodes, &flags, &self.1).await
            }
        }
    }

    /// Of each flag in its order, whether it is raised; one of which that cannot be read is. One command, or none where
    /// there are no flags.
    ///
    /// # Errors
    /// The store cannot be asked.
    pub async fn flags_raised(&self, flags: &[String]) -> Result<Vec<bool>, Down> {
        let values = self.flags(flags).await?;
        Ok(values.iter().map(Option::is_some).collect())
    }

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

//! Writes under way, as far as their leases show them.

use super::fault::Down;
use super::{Place, Store};

impl Store {
    /// Whether a write of any sidecar may be under way, or ended without anybody knowing how, that may come to drop
    /// one of these nodes. One script. In memory nobody else writes.
    ///
    /// # Errors
    /// Redis cannot be asked, or did not say.
    pub async fn any_intent(&self, nodes: &[String]) -> Result<bool, Down> {
        match &self.0.place {
            Place::Memory(_) => Ok(false),
            Place::Redis(shared) => shared.any_intent(&self.0.names.all(nodes)).await,
        }
    }
}

//! Counters in terms of commands.

use super::Shared;
use crate::store::fault::Down;
use crate::store::{Counted, Window};

impl Shared {
    /// See [`crate::store::Store::count`]. `names` are those of the windows, as they stand in Redis.
    pub async fn count(&self, names: Vec<String>, windows: &[Window]) -> Result<Counted, Down> {
        let connection = self.breaker.connection()?;
        let counted = connection.count(names, windows).await;
        self.breaker.note(&connection, counted)
    }
}

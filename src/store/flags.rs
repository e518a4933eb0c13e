//! Flags: a few bytes that stand until somebody takes them away, read along with looks.

use super::fault::Down;
use super::{Place, Store};
use bytes::Bytes;
use std::time::Duration;

/// How long a flag stands that nobody lowers. Long enough for anybody; not for ever, so that what is
/// nobody's any more is gone some day.
pub(super) const FLAG_LIFE: Duration = Duration::from_secs(365 * 24 * 60 * 60);

impl Store {
    /// Raises a flag. One command.
    ///
    /// # Errors
    /// The store cannot be told.
    pub async fn put_flag(&self, flag: &str, value: Bytes) -> Result<(), Down> {
        match &self.0.place {
            Place::Memory(memory) => {
                memory.put_flag(flag, value);
                Ok(())
            }
            Place::Redis(shared) => shared.put_flag(&self.0.names.one(flag), value).await,
        }
    }

    /// What each flag says, in their order, if it is raised; nothing where that cannot be read. One command for all,
    /// or none where there are no flags.
    ///
    /// # Errors
    /// The store cannot be asked.
    pub async fn flags(&self, flags: &[String]) -> Result<Vec<Option<Bytes>>, Down> {
        match &self.0.place {
            _ if flags.is_empty() => Ok(Vec::new()),
            Place::Memory(memory) => Ok(flags.iter().map(|flag| memory.flag(flag)).collect()),
            Place::Redis(shared) => shared.flags(&self.0.names.all(flags)).await,
        }
    }

    /// Lowers a flag. One command.
    ///
    /// # Errors
    /// The store cannot be told.
    pub async fn lower_flag(&self, flag: &str) -> Result<(), Down> {
        match &self.0.place {
            Place::Memory(memory) => {
                memory.lower_flag(flag);
                Ok(())
            }
            Place::Redis(shared) => shared.lower_flag(&self.0.names.one(flag)).await,
        }
    }
}

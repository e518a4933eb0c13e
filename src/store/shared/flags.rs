//! Flags in terms of commands.

use super::Shared;
use crate::store::fault::Down;
use crate::store::flags::FLAG_LIFE;
use bytes::Bytes;

impl Shared {
    /// See [`crate::store::Store::put_flag`].
    pub async fn put_flag(&self, flag: &str, value: Bytes) -> Result<(), Down> {
        let connection = self.breaker.connection()?;
        let value = self.sealed(flag, value)?;
        let raised = connection.set(flag, value, FLAG_LIFE).await;
        self.breaker.note_kept(&connection, raised)
    }

    /// See [`crate::store::Store::flags`]. A flag that is no value of ours is raised all the same.
    pub async fn flags(&self, flags: &[String]) -> Result<Vec<Option<Bytes>>, Down> {
        let connection = self.breaker.connection()?;
        let key = |flag: &String| Bytes::copy_from_slice(flag.as_bytes());
        let keys = flags.iter().map(key).collect();
        let values = connection.mget(keys, connection.deadline()).await;
        let values = self.breaker.note(&connection, values)?;
        let opened = |flag: &String, value: Bytes| match self.opened(flag, &value) {
            Some(opened) => Bytes::copy_from_slice(&opened),
            None => Bytes::new(),
        };
        let both = flags.iter().zip(values);
        Ok(both
            .map(|(flag, value)| value.map(|value| opened(flag, value)))
            .collect())
    }

    /// See [`crate::store::Store::lower_flag`].
    pub async fn lower_flag(&self, flag: &str) -> Result<(), Down> {
        let connection = self.breaker.connection()?;
        let lowered = connection.delete(flag).await;
        self.breaker.note(&connection, lowered)
    }
}

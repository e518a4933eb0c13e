//! Fields in terms of commands.

use super::Shared;
use crate::store::fault::Down;
use crate::store::fields::{FIELDS_LIFE, StoreMemory};
use bytes::Bytes;

impl Shared {
    /// See [`crate::store::Store::put_field`].
    pub async fn put_field(&self, name: &str, field: &str, value: Bytes) -> Result<bool, Down> {
        let connection = self.breaker.connection()?;
        let value = self.sealed(name, value)?;
        let put = connection.put_field(name, field, value).await;
        self.breaker.note(&connection, put)
    }

    /// See [`crate::store::Store::fields`].
    pub async fn fields(&self, name: &str) -> Result<Vec<(String, Bytes)>, Down> {
        let connection = self.breaker.connection()?;
        let fields = connection.fields(name).await;
        let fields = self.breaker.note(&connection, fields)?;
        let opened = |(field, value): (String, Bytes)| {
            let value = self.opened(name, &value)?;
            Some((field, Bytes::copy_from_slice(&value)))
        };
        Ok(fields.into_iter().filter_map(opened).collect())
    }

    /// See [`crate::store::Store::fold_fields`].
    pub async fn fold_fields(
        &self,
        name: &str,
        into: &str,
        value: Bytes,
        others: &[String],
    ) -> Result<(), Down> {
        let connection = self.breaker.connection()?;
        let value = self.sealed(name, value)?;
        let folded = connection
            .fold_fields(name, into, value, others, FIELDS_LIFE)
            .await;
        self.breaker.note(&connection, folded)
    }

    /// See [`crate::store::Store::memory`].
    pub async fn memory(&self) -> Result<StoreMemory, Down> {
        let connection = self.breaker.connection()?;
        let info = connection.memory().await;
        let info = self.breaker.note(&connection, info)?;
        Ok(StoreMemory::of_info(&info))
    }
}

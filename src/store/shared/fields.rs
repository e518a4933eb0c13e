//! Fields in terms of commands.

use super::Shared;
use crate::store::fault::Down;
use crate::store::fields::{FIELDS_LIFE, Field, StoreMemory};
use bytes::Bytes;

impl Shared {
    /// See [`crate::store::Store::put_field`].
    pub async fn put_field(&self, name: &str, field: &str, value: Bytes) -> Result<(), Down> {
        let connection = self.breaker.connection()?;
        let value = self.sealed(name, value)?;
        let put = connection.put_field(name, field, value).await;
        self.breaker.note(&connection, put)
    }

    /// See [`crate::store::Store::fields`].
    pub async fn fields(&self, name: &str) -> Result<Vec<Field>, Down> {
        let connection = self.breaker.connection()?;
        let fields = connection.fields(name).await;
        let fields = self.breaker.note(&connection, fields)?;
        let opened = |(field, raw): (String, Bytes)| {
            let value = self.opened(name, &raw);
            let value = value.map(|value| Bytes::copy_from_slice(&value));
            Field {
                name: field,
                raw,
                value,
            }
        };
        Ok(fields.into_iter().map(opened).collect())
    }

    /// See [`crate::store::Store::renew_fields`].
    pub async fn renew_fields(&self, name: &str) -> Result<(), Down> {
        let connection = self.breaker.connection()?;
        let renewed = connection.expire(name, FIELDS_LIFE).await;
        self.breaker.note(&connection, renewed)
    }

    /// See [`crate::store::Store::fold_fields`].
    pub async fn fold_fields(
        &self,
        name: &str,
        into: &str,
        value: Bytes,
        read: &[Field],
    ) -> Result<(), Down> {
        let connection = self.breaker.connection()?;
        let value = self.sealed(name, value)?;
        let of = |field: &Field| (field.name.clone(), field.raw.clone());
        let (into_read, others): (Vec<_>, Vec<_>) =
            read.iter().map(of).partition(|(field, _)| field == into);
        let before = into_read.into_iter().next().map(|(_, raw)| raw);
        let into = (into, before.unwrap_or_default(), value);
        let folded = connection.fold_fields(name, into, &others, FIELDS_LIFE);
        let folded = folded.await;
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

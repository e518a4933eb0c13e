//! Fields in terms of commands. That statistics come slowly, or not at all, is no reason to go without answers:
//! the breaker hears nothing of that, but for a spent allowance. A connection that broke is seen by who watches
//! over it. What Redis refuses of them counts: where little is kept they are what shows that it is no longer
//! full, and where nothing is written, that it has become a replica.

use super::Shared;
use crate::store::fault::{Down, Fault, Kind};
use crate::store::fields::{FIELDS_LIFE, Field, Fields, MAX_FIELD, StoreMemory, Unsaid};
use crate::store::redis::Connection;
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;

impl Shared {
    /// Counts a failure.
    fn counted<T>(
        &self,
        connection: &Arc<Connection>,
        result: Result<T, Fault>,
    ) -> Result<T, Fault> {
        result.inspect_err(|fault| {
            if fault.leads_astray() {
                self.breaker.open(connection);
            }
            self.metrics.store_failed(fault.kind.word());
            self.breaker.refusals().failed(fault.kind);
            if fault.kind == Kind::Quota {
                self.breaker.open_any(); // the next command would be refused as well
            }
            tracing::debug!(%fault, "store command of statistics failed");
        })
    }

    /// See [`crate::store::Store::put_field`].
    pub async fn put_field(&self, name: &str, field: &str, value: Bytes) -> Result<bool, Down> {
        let connection = self.breaker.connection()?;
        let value = self.sealed(name, value)?;
        let put = connection.put_field(name, field, value).await;
        let put = self.counted(&connection, put).map_err(|_| Down)?;
        self.breaker.refusals().took();
        Ok(put)
    }

    /// See [`crate::store::Store::field_names`].
    pub async fn field_names(&self, name: &str) -> Result<Vec<String>, Down> {
        let connection = self.breaker.connection()?;
        let names = connection.field_names(name).await;
        let names = self.counted(&connection, names).map_err(|_| Down)?;
        let text = |name: Bytes| String::from_utf8(name.into()).ok();
        Ok(names.into_iter().filter_map(text).collect())
    }

    /// See [`crate::store::Store::fields`].
    pub async fn fields(
        &self,
        name: &str,
        mut wanted: Vec<String>,
        room: usize,
    ) -> Result<Fields, Down> {
        let connection = self.breaker.connection()?;
        let values = connection.values(name, &wanted, (room, MAX_FIELD)).await;
        let values = self.counted(&connection, values).map_err(|_| Down)?;
        let left = wanted.split_off(values.len().min(wanted.len()));
        let opened = |(field, raw): (String, Option<Bytes>)| {
            let raw = raw?;
            let is_read = !raw.is_empty();
            let value = is_read.then(|| self.opened(name, &raw)).flatten();
            let value = value.map(|value| Bytes::copy_from_slice(&value));
            Some(Field {
                name: field,
                raw,
                value,
            })
        };
        let all = wanted.into_iter().zip(values).filter_map(opened);
        Ok(Fields {
            all: all.collect(),
            left,
        })
    }

    /// See [`crate::store::Store::renew_fields`].
    pub async fn renew_fields(&self, name: &str) -> Result<(), Down> {
        let connection = self.breaker.connection()?;
        let renewed = connection.renew_fields(name, FIELDS_LIFE).await;
        self.counted(&connection, renewed).map_err(|_| Down)
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
        self.counted(&connection, folded.await).map_err(|_| Down)
    }

    /// See [`crate::store::Store::spend`].
    pub async fn spend(
        &self,
        name: &str,
        commands: u64,
        life: Option<Duration>,
    ) -> Result<u64, Down> {
        let connection = self.breaker.connection()?;
        let added = connection.spend(name, commands, life).await;
        self.counted(&connection, added).map_err(|_| Down)
    }

    /// See [`crate::store::Store::memory`].
    pub async fn memory(&self) -> Result<StoreMemory, Unsaid> {
        let connection = self.breaker.connection().map_err(|Down| Unsaid::Down)?;
        let info = connection.memory().await;
        let info = self
            .counted(&connection, info)
            .map_err(|fault| Unsaid::of(&fault))?;
        Ok(StoreMemory::of_info(&info))
    }
}

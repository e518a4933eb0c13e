//! Hashes, and what a server says of itself: asked now and then, by nobody who waits.

use super::{Connection, milliseconds, number};
use crate::metrics::Command;
use crate::store::fault::Fault;
use crate::store::scripts;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::time::Duration;

impl Connection {
    /// `HSET` of one field.
    pub async fn put_field(&self, key: &str, field: &str, value: Bytes) -> Result<(), Fault> {
        let put = self.client.hset(key, field, value);
        let _new: i64 = self.call(Command::Hset, self.deadline(), put).await?;
        Ok(())
    }

    /// `HGETALL`.
    pub async fn fields(&self, key: &str) -> Result<BTreeMap<String, Bytes>, Fault> {
        let fields = self.client.hgetall(key);
        self.call(Command::Hgetall, self.deadline(), fields).await
    }

    /// See [`crate::store::Store::fold_fields`]. `into` is the field with what it held, empty if it was not
    /// there, and is to hold; `others` what they held.
    pub async fn fold_fields(
        &self,
        key: &str,
        (into, before, value): (&str, Bytes, Bytes),
        others: &[(String, Bytes)],
        ttl: Duration,
    ) -> Result<(), Fault> {
        let ttl = number(milliseconds(ttl));
        let mut args = vec![ttl, Bytes::copy_from_slice(into.as_bytes()), before, value];
        for (field, held) in others {
            args.extend([Bytes::copy_from_slice(field.as_bytes()), held.clone()]);
        }
        let _folded: i64 = self.run(&scripts::FOLD, vec![key.to_owned()], args).await?;
        Ok(())
    }

    /// `INFO memory`.
    pub async fn memory(&self) -> Result<String, Fault> {
        self.call(Command::Info, self.deadline(), self.client.info_memory())
            .await
    }
}

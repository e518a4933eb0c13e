//! Hashes, and what a server says of itself: asked now and then, by nobody who waits.

use super::{Connection, milliseconds, number};
use crate::metrics::Command;
use crate::store::fault::Fault;
use crate::store::scripts;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::time::Duration;

impl Connection {
    /// `HSET`: whether the field is new.
    pub async fn put_field(&self, key: &str, field: &str, value: Bytes) -> Result<bool, Fault> {
        let put = self.client.hset(key, field, value);
        let new: i64 = self.call(Command::Hset, self.deadline(), put).await?;
        Ok(new > 0)
    }

    /// `HGETALL`.
    pub async fn fields(&self, key: &str) -> Result<BTreeMap<String, Bytes>, Fault> {
        let fields = self.client.hgetall(key);
        self.call(Command::Hgetall, self.deadline(), fields).await
    }

    /// See [`crate::store::Store::fold_fields`].
    pub async fn fold_fields(
        &self,
        key: &str,
        into: &str,
        value: Bytes,
        others: &[String],
        ttl: Duration,
    ) -> Result<(), Fault> {
        let mut args = vec![
            number(milliseconds(ttl)),
            Bytes::copy_from_slice(into.as_bytes()),
            value,
        ];
        args.extend(
            others
                .iter()
                .map(|field| Bytes::copy_from_slice(field.as_bytes())),
        );
        let _: i64 = self.run(&scripts::FOLD, vec![key.to_owned()], args).await?;
        Ok(())
    }

    /// `INFO memory`.
    pub async fn memory(&self) -> Result<String, Fault> {
        self.call(Command::Info, self.deadline(), self.client.info_memory())
            .await
    }
}

//! Hashes, and what a server says of itself: asked now and then, by nobody whose answer waits.

use super::{Connection, milliseconds, number};
use crate::metrics::Command;
use crate::store::fault::Fault;
use crate::store::scripts;
use bytes::Bytes;
use std::time::Duration;
use tokio::time::Instant;

/// How long any of this may take, all of its commands together. Longer than a look may: a slow line is no
/// reason to do without statistics, and nobody's answer waits for them.
const PATIENCE: Duration = Duration::from_secs(2);

/// Bytes of one reply. Looks wait behind it on the same connection: at 10 Mbit/s for 50 ms.
const PAGE: usize = 64 << 10;

/// Replies that are asked for. At 10 Mbit/s more would not come within [`PATIENCE`].
const MAX_PAGES: usize = 32;

/// A field with what it holds.
pub type Pair = (Bytes, Bytes);

impl Connection {
    fn patience() -> Instant {
        Instant::now() + PATIENCE
    }

    /// `HSET` of one field: whether it was not there.
    pub async fn put_field(&self, key: &str, field: &str, value: Bytes) -> Result<bool, Fault> {
        let put = self.client.hset(key, field, value);
        let new: i64 = self.call(Command::Hset, Self::patience(), put).await?;
        Ok(new > 0)
    }

    /// See [`crate::store::Store::fields`]: the fields, and whether there are no more.
    pub async fn fields(
        &self,
        key: &str,
        own: &str,
        longest: usize,
    ) -> Result<(Vec<Pair>, bool), Fault> {
        let by = Self::patience();
        let mut fields: Vec<Pair> = Vec::new();
        for _ in 0..MAX_PAGES {
            let after = fields.last().map(|(name, _)| name.clone());
            let args = vec![
                Bytes::copy_from_slice(own.as_bytes()),
                after.unwrap_or_default(),
                number(PAGE as i64),
                number(longest as i64),
            ];
            let keys = vec![key.to_owned()];
            let page: Vec<Bytes> = self.run_by(&scripts::FIELDS, keys, args, by).await?;
            let Some((more, page)) = page.split_first() else {
                break;
            };
            let pairs = page.chunks_exact(2);
            fields.extend(pairs.map(|pair| (pair[0].clone(), pair[1].clone())));
            if more.as_ref() == b"0" {
                return Ok((fields, true));
            }
        }
        Ok((fields, false))
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
        let (keys, by) = (vec![key.to_owned()], Self::patience());
        let _folded: i64 = self.run_by(&scripts::FOLD, keys, args, by).await?;
        Ok(())
    }

    /// `INCRBY`, and `PEXPIRE` where it is to end.
    pub async fn spend(
        &self,
        key: &str,
        commands: u64,
        life: Option<Duration>,
    ) -> Result<u64, Fault> {
        let commands = i64::try_from(commands).unwrap_or(i64::MAX);
        let added = self.client.incr_by(key, commands);
        let total: i64 = self.call(Command::Incrby, Self::patience(), added).await?;
        if let Some(life) = life {
            self.renew_fields(key, life).await?;
        }
        Ok(u64::try_from(total).unwrap_or(0))
    }

    /// `PEXPIRE`.
    pub async fn renew_fields(&self, key: &str, ttl: Duration) -> Result<(), Fault> {
        let expire = self.client.expire(key, milliseconds(ttl));
        self.call(Command::Pexpire, Self::patience(), expire).await
    }

    /// `INFO memory`.
    pub async fn memory(&self) -> Result<String, Fault> {
        let info = self.client.info_memory();
        self.call(Command::Info, Self::patience(), info).await
    }
}

//! Hashes, and what a server says of itself: asked now and then, by nobody whose answer waits.

use super::{Connection, milliseconds, number};
use crate::metrics::Command;
use crate::store::fault::{Fault, Kind};
use crate::store::scripts;
use bytes::Bytes;
use std::time::Duration;
use tokio::time::Instant;

/// How long any of this may take, all of its commands together. Longer than a look may: a slow line is no
/// reason to do without statistics, and nobody's answer waits for them.
const PATIENCE: Duration = Duration::from_secs(2);

/// What is asked for in many replies is not asked on for after so long. The last of them has the rest of the time.
const READS_FOR: Duration = Duration::from_secs(1);

/// Bytes of one reply. Looks wait behind it on the same connection: at 10 Mbit/s for 50 ms.
const PAGE: usize = 64 << 10;

/// Fields that are asked for at first, and then at least and at most. Redis reads all of them, and sends those that
/// there is room for: twice as many as there was room for the last time are no waste.
const FIRST_AT_ONCE: usize = 32;
const AT_ONCE: (usize, usize) = (4, 128);

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

    /// `HKEYS`.
    pub async fn field_names(&self, key: &str) -> Result<Vec<Bytes>, Fault> {
        let names = self.client.hkeys(key);
        self.call(Command::Hkeys, Self::patience(), names).await
    }

    /// What the first of these fields hold, of as many as have room in about so many bytes, and come in time. What is
    /// longer than `longest` is empty.
    pub async fn values(
        &self,
        key: &str,
        names: &[String],
        (room, longest): (usize, usize),
    ) -> Result<Vec<Option<Bytes>>, Fault> {
        let (begun, by) = (Instant::now(), Self::patience());
        let (mut values, mut bytes): (Vec<Option<Bytes>>, usize) = Default::default();
        let mut at_once = FIRST_AT_ONCE;
        while values.len() < names.len() && bytes < room && begun.elapsed() < READS_FOR {
            let left = &names[values.len()..];
            let asked = &left[..left.len().min(at_once)];
            let mut args = vec![number(PAGE as i64), number(longest as i64)];
            args.extend(asked.iter().map(|name| Bytes::from(name.clone())));
            let keys = vec![key.to_owned()];
            let page: Vec<Option<Bytes>> = self.run_by(&scripts::FIELDS, keys, args, by).await?;
            if page.is_empty() || page.len() > asked.len() {
                return Err(Fault::new(
                    Kind::Protocol,
                    "other fields than were asked for",
                ));
            }
            at_once = (2 * page.len()).clamp(AT_ONCE.0, AT_ONCE.1);
            bytes += page.iter().flatten().map(Bytes::len).sum::<usize>();
            values.extend(page);
        }
        Ok(values)
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

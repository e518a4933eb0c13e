//! Looks that begin together ask with one `MGET`.
//!
//! A look that begins while no other is under way asks alone, at once. Else it joins the batch that is
//! forming, or begins one, which is sent as soon as every task that could run when it was begun has run:
//! nobody waits for company, but whoever comes at the same moment shares the command, its way through
//! the client, and each key that several ask for. A provider that bills commands bills one.
//!
//! The invariant: **what a look is told comes from a command that was sent after the look joined.** A
//! batch is taken out of the place where it can be joined, and only then sent. So a look sees every
//! write that was acknowledged before it began, as if it had asked alone.
//!
//! Nor does company cost a look its answer: what Redis refuses to several at once, each asks alone.

use super::Connection;
use crate::store::fault::{Fault, Kind};
use bytes::Bytes;
use hashbrown::HashTable;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::SetOnce;
use tokio::task::yield_now;
use tokio::time::Instant;
use xxhash_rust::xxh3::xxh3_64;

/// Most looks in one command.
const MAX_LOOKS: usize = 32;

/// A longer reply halves how many looks the next commands may have, a shorter one lets them have one
/// more. All of a reply has to come before any of its looks is answered: at a gigabit a second this
/// much takes 2 ms.
const LONG_REPLY: usize = 256 << 10;

/// Where looks find each other.
pub struct Batches {
    forming: Mutex<Option<Batch>>,
    /// How many looks a command may have.
    limit: AtomicUsize,
    /// How many looks are under way.
    under_way: AtomicUsize,
}

/// What is yet to be sent.
#[derive(Default)]
struct Batch {
    keys: Keys,
    looks: usize,
    reply: Arc<SetOnce<Reply>>,
}

impl Drop for Batch {
    /// Nobody waits for what was given up unsent or unanswered.
    fn drop(&mut self) {
        if self.reply.get().is_none() {
            let values = Err(Fault::new(Kind::Timeout, "the command was given up"));
            let looks = self.looks;
            let _ = self.reply.set(Reply { values, looks });
        }
    }
}

/// What came of a command.
struct Reply {
    values: Result<Vec<Option<Bytes>>, Fault>,
    /// How many looks it was for.
    looks: usize,
}

/// What a look was told.
pub struct Told {
    reply: Arc<SetOnce<Reply>>,
    /// Where its values stand in the reply, in the order of its keys.
    places: Vec<u32>,
}

impl Told {
    /// Whether the command was for it alone.
    fn was_alone(&self) -> bool {
        self.reply.get().is_some_and(|reply| reply.looks == 1)
    }

    /// The values of its keys, in their order. One that is kept is to be copied: it keeps the whole
    /// buffer alive that it was read into.
    pub fn values(&self) -> impl Iterator<Item = Option<&Bytes>> {
        let values = self
            .reply
            .get()
            .and_then(|reply| reply.values.as_ref().ok());
        self.places
            .iter()
            .map(move |place| values?.get(*place as usize)?.as_ref())
    }
}

impl Default for Batches {
    fn default() -> Batches {
        Batches {
            forming: Mutex::new(None),
            limit: AtomicUsize::new(MAX_LOOKS),
            under_way: AtomicUsize::new(0),
        }
    }
}

impl Batches {
    /// One look more is under way, and whether it is the only one.
    fn begin(&self) -> (UnderWay<'_>, bool) {
        let is_only = self.under_way.fetch_add(1, Relaxed) == 0;
        (UnderWay(self), is_only)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Batch>> {
        self.forming.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Learns from a reply how many looks the next commands may have.
    fn learn(&self, values: &[Option<Bytes>]) {
        let length: usize = values.iter().flatten().map(Bytes::len).sum();
        let limit = self.limit.load(Relaxed);
        let next = match length > LONG_REPLY {
            true => (limit / 2).max(1),
            false => (limit + 1).min(MAX_LOOKS),
        };
        if next != limit {
            self.limit.store(next, Relaxed);
        }
    }
}

/// A look, for as long as it lives.
struct UnderWay<'b>(&'b Batches);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Relaxed);
    }
}

impl Connection {
    /// The values of keys as one `MGET` that is sent from now on shows them; a key of another type reads
    /// as absent. Others who ask meanwhile may have part in it.
    pub async fn look<'k>(
        self: &Arc<Connection>,
        keys: impl Iterator<Item = &'k str> + Clone,
        by: Instant,
    ) -> Result<Told, Fault> {
        let (_under_way, is_only) = self.batches.begin();
        if is_only {
            return Box::pin(self.alone(keys, by)).await;
        }
        let told = self.joined(keys.clone());
        match &told.reply.wait().await.values {
            Ok(_) => Ok(told),
            Err(fault) if told.was_alone() || fault.is_silence() => Err(fault.clone()),
            Err(_) => Box::pin(self.alone(keys, by)).await,
        }
    }

    /// Takes part in the next command. Whoever begins it, or is the last whom it can take, sees to it
    /// that it is sent: by a task, since a look may be given up at any moment and others have part in it.
    fn joined<'k>(self: &Arc<Connection>, keys: impl Iterator<Item = &'k str>) -> Told {
        let mut forming = self.batches.lock();
        let is_begun = forming.is_none();
        let batch = forming.get_or_insert_default();
        batch.looks += 1;
        let told = Told {
            reply: batch.reply.clone(),
            places: keys.map(|key| batch.keys.place(key)).collect(),
        };
        let is_full = batch.looks >= self.batches.limit.load(Relaxed);
        let full = forming.take_if(|_| is_full);
        drop(forming);
        let connection = self.clone();
        if let Some(batch) = full {
            tokio::spawn(async move { connection.send(batch).await });
        } else if is_begun {
            tokio::spawn(async move {
                yield_now().await;
                let formed = connection.batches.lock().take();
                if let Some(batch) = formed {
                    connection.send(batch).await;
                }
            });
        }
        told
    }

    /// Every look of the batch has its answer when this ends, which it does in the time that a command
    /// has: none needs a timer of its own.
    async fn send(&self, mut batch: Batch) {
        let keys = std::mem::take(&mut batch.keys);
        let values = self.mget(keys.into_bytes(), self.deadline()).await;
        match &values {
            Ok(values) => self.batches.learn(values),
            Err(_) => self.batches.limit.store(1, Relaxed),
        }
        let looks = batch.looks;
        let _ = batch.reply.set(Reply { values, looks }); // nobody was before us
    }

    async fn alone<'k>(
        &self,
        keys: impl Iterator<Item = &'k str>,
        by: Instant,
    ) -> Result<Told, Fault> {
        let mut own = Keys::default();
        let places = keys.map(|key| own.add(key.as_bytes())).collect();
        let values = Ok(self.mget(own.into_bytes(), by).await?);
        let reply = Arc::new(SetOnce::new_with(Some(Reply { values, looks: 1 })));
        Ok(Told { reply, places })
    }
}

/// Keys in the order in which they were first asked for, each once.
#[derive(Default)]
struct Keys {
    /// One after the other.
    text: Vec<u8>,
    /// Where each ends.
    ends: Vec<usize>,
    /// The places of those that are there, by the digests of their texts.
    places: HashTable<u32>,
}

impl Keys {
    /// The place of a key behind all others, be it there or not.
    fn add(&mut self, key: &[u8]) -> u32 {
        let place = self.ends.len() as u32; // no command has as many keys as would not fit
        self.text.extend_from_slice(key);
        self.ends.push(self.text.len());
        place
    }

    /// The place of a key.
    fn place(&mut self, key: &str) -> u32 {
        let Keys { text, ends, places } = self;
        let at = |place: u32| {
            let place = place as usize;
            let begin = place.checked_sub(1).map_or(0, |before| ends[before]);
            &text[begin..ends[place]]
        };
        let key = key.as_bytes();
        let digest = xxh3_64(key);
        if let Some(place) = places.find(digest, |place| at(*place) == key) {
            return *place;
        }
        let place = ends.len() as u32;
        places.insert_unique(digest, place, |place| xxh3_64(at(*place)));
        self.add(key)
    }

    fn into_bytes(self) -> Vec<Bytes> {
        let mut text = Bytes::from(self.text);
        let mut begin = 0;
        let lengths = self.ends.into_iter().map(|end| {
            let length = end - begin;
            begin = end;
            length
        });
        lengths.map(|length| text.split_to(length)).collect()
    }
}

#[cfg(test)]
mod tests;

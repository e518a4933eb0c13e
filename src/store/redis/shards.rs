//! The entries of a cluster, each at the primary of its slot.
//!
//! The invariant that lets them stand anywhere: **an entry carries the versions that it was kept under, and is
//! used only if they are those that the home of the versions told after the request began.** So nothing here
//! needs to be exact. What cannot be read is a miss; an entry that an old primary, or a replica, still tells was
//! kept under versions that are gone. A shard that fails costs its own entries, and the store is not down for it.
//!
//! Each shard is a connection as any other, never mended. One task reads the cluster's slots and connects where
//! there is no connection: at the beginning, where one was lost, and where a node sent somebody away.

use super::slots::{Node, Slots};
use super::{Address, Connection, Driver};
use crate::metrics::Metrics;
use crate::store::channel::Channel;
use crate::store::fault::{Fault, Kind};
use bytes::Bytes;
use fred::util::redis_keyslot;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::task::AbortOnDropHandle;

/// Between attempts, for the reasons of the warden's.
const ATTEMPT_EVERY: Duration = Duration::from_millis(500);

/// So many commands in a row without an answer, and a shard is taken to hang.
const TIMEOUTS_TO_LEAVE: u32 = 3;

/// Where entries are.
pub struct Shards {
    state: Arc<State>,
    _task: AbortOnDropHandle<()>,
}

struct State {
    address: Arc<Address>,
    channel: Arc<Channel>,
    metrics: Arc<Metrics>,
    table: RwLock<Table>,
    /// Whether the slots are to be read, and connections made.
    wanted: Arc<Notify>,
}

#[derive(Default)]
struct Table {
    slots: Slots,
    shards: HashMap<Node, Arc<Shard>>,
}

/// A connection to a primary.
struct Shard {
    connection: Connection,
    timeouts: AtomicU32,
    is_lost: Arc<AtomicBool>,
    _end: AbortOnDropHandle<()>,
}

impl Shards {
    /// Begins to connect. Ends with this.
    pub fn open(address: Arc<Address>, channel: Arc<Channel>, metrics: Arc<Metrics>) -> Shards {
        let state = Arc::new(State {
            address,
            channel,
            metrics,
            table: RwLock::default(),
            wanted: Arc::default(),
        });
        let task = tokio::spawn(watch(state.clone()));
        Shards {
            state,
            _task: AbortOnDropHandle::new(task),
        }
    }

    /// `GET`; nothing where it cannot be asked.
    pub async fn get(&self, key: &str, by: Instant) -> Option<Bytes> {
        let shard = self.shard(key).ok()?;
        let got = shard.connection.get(key, by).await;
        self.noted(&shard, got).ok().flatten()
    }

    /// `SET … PX`.
    ///
    /// # Errors
    /// It may not be there.
    pub async fn set(&self, key: &str, value: Bytes, ttl: Duration) -> Result<(), Fault> {
        let shard = self.shard(key)?;
        let set = shard.connection.set(key, value, ttl).await;
        self.noted(&shard, set)
    }

    fn shard(&self, key: &str) -> Result<Arc<Shard>, Fault> {
        let table = self.state.table.read();
        let table = table.unwrap_or_else(PoisonError::into_inner);
        let node = table.slots.primary(redis_keyslot(key.as_bytes()));
        let shard = node.and_then(|node| table.shards.get(node)).cloned();
        let shard = shard.filter(|shard| !shard.is_lost.load(Relaxed));
        shard.ok_or_else(|| {
            let fault = Fault::new(Kind::Io, "the entry's shard cannot be reached");
            self.state.metrics.store_failed(fault.kind.word());
            self.state.wanted.notify_one();
            fault
        })
    }

    fn noted<T>(&self, shard: &Shard, result: Result<T, Fault>) -> Result<T, Fault> {
        let Err(fault) = &result else {
            if shard.timeouts.load(Relaxed) > 0 {
                shard.timeouts.store(0, Relaxed);
            }
            return result;
        };
        self.state.metrics.store_failed(fault.kind.word());
        tracing::debug!(%fault, "command to a shard failed");
        let is_left = match fault.kind {
            Kind::Timeout => shard.timeouts.fetch_add(1, Relaxed) + 1 >= TIMEOUTS_TO_LEAVE,
            Kind::Io => true,
            _ => false,
        };
        if is_left {
            shard.is_lost.store(true, Relaxed);
        }
        if is_left || fault.leads_astray() {
            self.state.wanted.notify_one();
        }
        result
    }
}

/// Never returns.
async fn watch(state: Arc<State>) {
    let mut attempt = interval(ATTEMPT_EVERY);
    attempt.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut reported = None;
    loop {
        attempt.tick().await;
        match state.renew().await {
            Ok(()) => {
                reported = None;
                state.wanted.notified().await;
            }
            Err(fault) => {
                if !reported.is_some_and(|before: Fault| before.is_like(&fault)) {
                    tracing::warn!(%fault, "a shard of the store cannot be used: its entries are misses");
                }
                reported = Some(fault);
            }
        }
    }
}

impl State {
    /// Reads the slots, and connects to each primary to which there is no connection.
    async fn renew(&self) -> Result<(), Fault> {
        let slots = self.address.slots().await?;
        let primaries = slots.primaries();
        let mut missing = primaries.clone();
        self.change(|table| {
            table.slots = slots;
            table
                .shards
                .retain(|node, shard| primaries.contains(node) && !shard.is_lost.load(Relaxed));
            missing.retain(|node| !table.shards.contains_key(node));
        });
        let mut connecting = JoinSet::new();
        for node in missing {
            let (address, channel) = (self.address.clone(), self.channel.clone());
            let (metrics, wanted) = (self.metrics.clone(), self.wanted.clone());
            connecting.spawn(async move {
                let config = address.node(&node);
                let opened = Connection::to(config, address.timeout, channel, metrics).await;
                opened.map(|(connection, driver)| (node, Shard::new(connection, driver, wanted)))
            });
        }
        let mut result = Ok(());
        while let Some(connected) = connecting.join_next().await {
            match connected {
                Ok(Ok((node, shard))) => self.change(|table| {
                    table.shards.insert(node, Arc::new(shard));
                }),
                Ok(Err(fault)) => {
                    self.metrics.store_failed(fault.kind.word());
                    result = Err(fault);
                }
                Err(_) => result = Err(Fault::new(Kind::Io, "connecting ended badly")),
            }
        }
        result
    }

    fn change(&self, change: impl FnOnce(&mut Table)) {
        let table = self.table.write();
        change(&mut table.unwrap_or_else(PoisonError::into_inner));
    }
}

impl Shard {
    fn new(connection: Connection, mut driver: Driver, wanted: Arc<Notify>) -> Shard {
        let is_lost = Arc::new(AtomicBool::new(false));
        let lost = is_lost.clone();
        let end = tokio::spawn(async move {
            driver.ended().await;
            lost.store(true, Relaxed);
            wanted.notify_one();
        });
        Shard {
            connection,
            timeouts: AtomicU32::new(0),
            is_lost,
            _end: AbortOnDropHandle::new(end),
        }
    }
}

//! Where entries and the versions of nodes live: Redis shared by a fleet, or this process's memory.
//!
//! The protocol is in the caller's hands; this is what it may rely on. An absent node means miss, so
//! deleting a node is how everything under it is dropped. While Redis does not answer, or has not
//! heard of a write that this process let through, every call but [`Store::bump`] says [`Down`]
//! without waiting.

mod believed; // versions that need not be asked for one by one
mod breaker; // whether Redis may be asked, and what it is owed
mod bump; // what a write drops, for good or softly
mod channel; // how sidecars tell each other what they deleted
mod examine; // what stands under a key, for a person
mod fault; // what can go wrong, as callers and metrics see it
mod fields; // what each process says of itself
mod flags; // what stands until somebody takes it away
mod intents; // writes under way
mod journal; // those deletions in a file
mod known; // the versions of nodes that this process need not ask for
mod lifetime; // how long nodes and markers live
mod listener; // the task that hears what others deleted
mod local; // decoded bodies before Redis
mod locks; // one sidecar fetches for the fleet
mod memory; // the store that is memory alone
mod names; // as they stand in the store
mod node; // what stands in a node, and what a soft drop makes of it
mod owed; // deletions that Redis could not be told of
mod redis;
mod root; // the node that every entry has, and whose entries live under it
mod scripts;
mod seal; // what Redis may not read nor make
mod server; // whether a server is the one that it was
mod shared; // the store that is Redis
mod sought; // what a look asks for, and what it finds
mod state; // what the store is good for now
mod tier; // a memory bounded by bytes
mod warden; // the task that reconnects and pays
mod windows; // requests counted by who asks

pub use believed::Shown;
pub use bump::Bump;
pub use examine::{Examined, Standing};
pub use fault::{Down, Kind, OpenError};
pub use fields::{
    Field, Fields, StoreMemory, Unsaid, any_first, latest_first, own_field, told_since,
};
pub use locks::{Lock, Locked, Taken, Wanted};
pub use owed::MAX_OWED;
#[cfg(test)]
pub(crate) use redis::simulated;
pub use root::{MAX_LAYOUTS, Root};
pub use sought::{Look, Sought};
pub use state::State;
pub use windows::{Count, Counted, Window};

use crate::clock::{Clock, Reading};
use crate::entry::{Entry, Version};
use crate::metrics::Metrics;
use crate::rules::settings::{LocalSettings, StoreSettings, StoreUrl};
use bytes::Bytes;
use memory::Memory;
use names::Names;
use seal::Seal;
use shared::Shared;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;
use tokio_util::task::AbortOnDropHandle;

/// What became of a bump.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bumped {
    /// The nodes are dropped: no later look of any sidecar finds them as they were.
    Done,
    /// So is everything else, because sidecars with other rules keep entries here: see [`Root`].
    Everything,
    /// Redis could not be told. This process asks it nothing until it was.
    Owed,
}

/// What a store is opened with.
pub struct Opening<'s> {
    /// `[store]`
    pub settings: &'s StoreSettings,
    /// `[local]`
    pub local: &'s LocalSettings,
    /// How long nodes and markers live; longer than any entry.
    pub node_ttl: Duration,
    /// Begins every name.
    pub namespace: &'s str,
    /// The node that every entry has, and the layout of the rules in force.
    pub root: Root,
    /// On which the sidecars of a fleet tell each other what they deleted: see [`Store::listen`].
    pub channel: String,
    /// What the time is taken to be.
    pub clock: Clock,
    /// What is counted.
    pub metrics: Arc<Metrics>,
}

/// The store, as the rules of one layout use it. Clones are the same store.
#[derive(Clone)]
pub struct Store(Arc<Inner>, Arc<Root>);

struct Inner {
    place: Place,
    generation: AtomicU64,
    /// As they stand in Redis. From here on inward nobody knows others: not the debts nor their
    /// journal, not what is told on the channel.
    names: Arc<Names>,
    /// Frees what has ended in this process's memory; ends with the store.
    _sweeper: AbortOnDropHandle<()>,
}

enum Place {
    Memory(Memory),
    Redis(Box<Shared>),
}

impl Store {
    /// Opens the store that the settings name, without waiting for it.
    ///
    /// What the journal says is owed is paid before Redis is asked anything. A store that is memory
    /// has no journal.
    ///
    /// Must be called within a Tokio runtime.
    pub fn open(opening: Opening<'_>) -> Result<Store, OpenError> {
        match &opening.settings.url {
            StoreUrl::Memory => {
                let root = opening.root.clone();
                let names = Names::new(seal(&opening), opening.namespace, &root, false);
                let Opening {
                    local,
                    node_ttl,
                    clock,
                    metrics,
                    ..
                } = opening;
                metrics.store_up(true);
                metrics.store_state(State::Up.word(), true);
                let memory = Memory::new(local.max, node_ttl, clock, metrics);
                Ok(Store::of(Place::Memory(memory), names.into(), root))
            }
            StoreUrl::Redis(url) => {
                let address = redis::Address::new(url.reveal(), opening.settings)?;
                Store::at(address, opening)
            }
        }
    }

    /// The same with a simulated Redis, whatever URL the settings name.
    #[cfg(test)]
    pub(crate) fn simulated(
        server: Arc<dyn simulated::Server>,
        opening: Opening<'_>,
    ) -> Result<Store, OpenError> {
        let address = redis::Address::simulated(server, opening.settings.timeout);
        Store::at(address, opening)
    }

    fn at(address: redis::Address, opening: Opening<'_>) -> Result<Store, OpenError> {
        let seal = seal(&opening);
        let (namespace, is_cluster) = (opening.namespace, address.is_cluster());
        let names = Names::new(seal.clone(), namespace, &opening.root, is_cluster);
        let names = Arc::new(names);
        let root = names.root(&opening.root);
        let opening = Opening {
            root: root.clone(),
            ..opening
        };
        let address = address.for_names_like(root.name());
        let shared = Shared::at(address, names.clone(), seal, opening)?;
        Ok(Store::of(Place::Redis(Box::new(shared)), names, root))
    }

    fn of(place: Place, names: Arc<Names>, root: Root) -> Store {
        let sweeper = match &place {
            Place::Memory(memory) => tokio::spawn(memory.sweep()),
            Place::Redis(shared) => tokio::spawn(shared.sweep()),
        };
        let inner = Inner {
            names,
            _sweeper: AbortOnDropHandle::new(sweeper),
            place,
            generation: AtomicU64::new(0),
        };
        Store(Arc::new(inner), Arc::new(root))
    }

    /// The same store for rules of another layout. Requests under way go on with the one that they
    /// have: to the store, a process that reloads its rules is two sidecars for as long as they last.
    pub fn under(&self, root: Root) -> Store {
        let root = match &self.0.place {
            Place::Memory(_) => root,
            Place::Redis(_) => self.0.names.root(&root),
        };
        Store(self.0.clone(), Arc::new(root))
    }

    /// Checks what [`Store::open`] would refuse, without opening anything.
    pub fn check(settings: &StoreSettings) -> Result<(), OpenError> {
        match &settings.url {
            StoreUrl::Memory => Ok(()),
            StoreUrl::Redis(url) => redis::Address::new(url.reveal(), settings).map(drop),
        }
    }

    /// Takes over what a reload changed: see [`Opening`].
    pub fn renew(&self, node_ttl: Duration) {
        match &self.0.place {
            Place::Memory(memory) => memory.renew(node_ttl),
            Place::Redis(shared) => shared.renew(node_ttl),
        }
    }

    /// Some rule in force has a `local_ttl`, or none has any more. While one has, deletions are told to
    /// the other sidecars and theirs are heard; nothing is answered from memory unless they are.
    pub fn listen(&self, is_used: bool) {
        if let Place::Redis(shared) = &self.0.place {
            shared.listen(is_used);
        }
    }

    /// Waits for the first connection, no longer than `[store] timeout`. True if the store is up.
    pub async fn connected(&self) -> bool {
        match &self.0.place {
            Place::Memory(_) => true,
            Place::Redis(shared) => shared.connected().await,
        }
    }

    /// The entry, the versions of its nodes, marker and lock. No command where [`Sought::local_ttl`]
    /// allows it. Else one MGET (in a cluster that of the versions, and a GET of the entry beside it), which looks that begin at the same moment share; without the entry where
    /// the body is in local memory, and one GET more where that body was kept under other versions than
    /// the present ones. Another MGET where the entry came from Redis and has groups: which, nobody
    /// knows before. Waits no longer than `[store] timeout`.
    pub async fn look(&self, sought: Sought<'_>) -> Result<Look, Down> {
        match &self.0.place {
            Place::Memory(memory) => Ok(memory.look(sought, &self.1)),
            Place::Redis(shared) => {
                let names = &self.0.names;
                let marker = sought.marker.map(|marker| names.one(marker));
                let lock = sought.lock.map(|lock| names.one(lock));
                let flag = sought.flag.map(|flag| names.one(flag));
                let any_group = sought.any_group.map(|node| names.one(node).into_owned());
                let hidden = Sought {
                    namespace: sought.namespace,
                    any_group: any_group.as_ref(),
                    entry: &names.entry(sought.entry),
                    nodes: &names.all(sought.nodes),
                    marker: marker.as_deref(),
                    lock: lock.as_deref(),
                    flag: flag.as_deref(),
                    local_ttl: sought.local_ttl,
                };
                shared.look(hidden, &self.1).await
            }
        }
    }

    /// The entry, if this process knows without asking or waiting for anybody that nothing has dropped it,
    /// and no marker is sought. `now` is the present.
    pub fn at_once(&self, sought: Sought<'_>, now: &Reading) -> Option<Arc<Entry>> {
        match &self.0.place {
            _ if sought.marker.is_some() => None,
            Place::Memory(memory) => memory.at_once(&sought, &self.1, now),
            Place::Redis(_) if sought.local_ttl.is_zero() => None,
            Place::Redis(shared) => {
                let names = &self.0.names;
                let hidden = Sought {
                    entry: &names.entry(sought.entry),
                    nodes: &names.all(sought.nodes),
                    ..sought
                };
                shared.at_once(&hidden, now, &self.1)
            }
        }
    }

    /// What stands under a key, in the store itself: for a person who wants to know, not for requests.
    /// One MGET, another where the entry has groups, and a TIME where it was softly dropped. `None` where
    /// nothing stands there that is an entry.
    pub async fn examine(&self, sought: Sought<'_>) -> Result<Option<Examined>, Down> {
        match &self.0.place {
            Place::Memory(memory) => Ok(memory.examine(sought, &self.1)),
            Place::Redis(shared) => {
                let names = &self.0.names;
                let marker = sought.marker.map(|marker| names.one(marker));
                let hidden = Sought {
                    entry: &names.entry(sought.entry),
                    nodes: &names.all(sought.nodes),
                    marker: marker.as_deref(),
                    ..sought
                };
                shared.examine(hidden, &self.1).await
            }
        }
    }

    /// Creates the absent ones of `nodes` with random tokens and returns the versions of all. One
    /// atomic step: two snapshots of a node agree unless it was dropped in between.
    pub async fn snapshot(&self, nodes: &[String]) -> Result<Vec<Version>, Down> {
        match &self.0.place {
            Place::Memory(memory) => Ok(memory.snapshot(nodes, &self.1)),
            Place::Redis(shared) => {
                let tokens = nodes.iter().map(|_| token()).collect();
                let nodes = self.0.names.all(nodes);
                shared.snapshot(&nodes, tokens, None, &self.1).await
            }
        }
    }

    /// Keeps an entry for its lifetime. That it is not too large is for the caller to see to.
    pub async fn keep(&self, key: &str, entry: Arc<Entry>) -> Result<(), Down> {
        match &self.0.place {
            _ if entry.lifetime().is_zero() => Ok(()),
            Place::Memory(memory) => {
                memory.keep(key, entry, &self.1);
                Ok(())
            }
            Place::Redis(shared) => shared.keep(&self.0.names.entry(key), entry, &self.1).await,
        }
    }

    /// Keeps a few bytes beside the entries, as long as a node lives.
    pub async fn put_marker(&self, key: &str, value: Bytes) -> Result<(), Down> {
        match &self.0.place {
            Place::Memory(memory) => {
                memory.put_marker(key, value);
                Ok(())
            }
            Place::Redis(shared) => shared.put_marker(&self.0.names.one(key), value).await,
        }
    }

    /// Deletes `nodes`, present or not, and everything where entries of other layouts live: two
    /// commands at once, and a third for everything. Whatever goes wrong, they are owed and this
    /// process does not ask Redis again before it has paid.
    pub async fn bump(&self, nodes: &[String]) -> Bumped {
        // First, so that a fill which begins from here on never joins one from before the write.
        self.0.generation.fetch_add(1, SeqCst);
        match &self.0.place {
            _ if nodes.is_empty() => Bumped::Done,
            Place::Memory(memory) => memory.bump(&Bump::hard(nodes), &self.1),
            Place::Redis(shared) => shared.bump(&self.0.names.all(nodes), &self.1).await,
        }
    }

    /// Whether entries of other layouts live, so that any bump would drop everything. One command.
    ///
    /// # Errors
    /// Redis cannot be asked, or did not say.
    pub async fn holds_other_layouts(&self) -> Result<bool, Down> {
        match &self.0.place {
            Place::Memory(memory) => Ok(memory.holds_other_layouts(&self.1)),
            Place::Redis(shared) => shared.holds_other_layouts(&self.1).await,
        }
    }

    /// Drops everything where entries of other layouts live; else nothing. For a write that the own
    /// rules do not name: others' may. One command where it drops nothing. Where Redis cannot be asked
    /// nothing is owed: everything would be, for a write that most likely nothing hangs on.
    pub async fn bump_others(&self) -> Bumped {
        match &self.0.place {
            Place::Memory(memory) => memory.bump(&Bump::default(), &self.1),
            Place::Redis(shared) => shared.bump_others(&self.1).await,
        }
    }

    /// Registers a write's intent on the nodes that it may come to drop: if this process dies before
    /// it settles, they are deleted when `duration` is over, and everything where entries of other
    /// layouts live. One script. In memory there is nothing to
    /// outlive this process, and nothing to do.
    pub async fn lease(&self, nodes: &[String], duration: Duration) -> Leased {
        match &self.0.place {
            Place::Memory(_) => Leased::Needless,
            Place::Redis(shared) => {
                shared
                    .lease(&self.0.names.all(nodes), duration, &self.1)
                    .await
            }
        }
    }

    /// Settles a write: drops what it bumps, as [`Store::bump`] does, and lifts its lease; both are one
    /// script. Without a lease in Redis, soft drops are hard ones. Where the write's end is `unknown` the lease stays, so that the nodes die once more
    /// after a commit that was still on its way. A store that did not answer when the lease was asked
    /// for is not waited for again: the bump is owed. One that could not be asked then may be back:
    /// owing to it would part this process from it again, and with writes enough for ever.
    pub async fn settle(&self, leased: Leased, bump: Bump, unknown: bool) -> Bumped {
        let nodes = || bump.nodes().cloned().collect::<Vec<_>>();
        match (&self.0.place, leased) {
            (Place::Redis(shared), Leased::Granted(lease)) => {
                self.0.generation.fetch_add(1, SeqCst);
                let bump = bump.named(&self.0.names).under(&self.1);
                shared.settle(lease, &bump, unknown, &self.1).await
            }
            (Place::Redis(shared), Leased::Down) => {
                self.0.generation.fetch_add(1, SeqCst);
                shared.owe(&self.0.names.all(&nodes()), &self.1)
            }
            (Place::Redis(_), _) => self.bump(&nodes()).await,
            (Place::Memory(_), _) if bump.is_empty() => Bumped::Done,
            (Place::Memory(memory), _) => {
                self.0.generation.fetch_add(1, SeqCst);
                memory.bump(&bump.under(&self.1), &self.1)
            }
        }
    }

    /// How many bumps this process has begun. It stands in for versions where Redis cannot be asked.
    pub fn generation(&self) -> u64 {
        self.0.generation.load(SeqCst)
    }

    /// Whether the store may be asked now.
    pub fn up(&self) -> bool {
        match &self.0.place {
            Place::Memory(_) => true,
            Place::Redis(shared) => shared.up(),
        }
    }

    /// What the store is good for now.
    pub fn state(&self) -> State {
        match &self.0.place {
            Place::Memory(_) => State::Up,
            Place::Redis(shared) => shared.state(),
        }
    }

    /// How many nodes are owed.
    pub fn owed(&self) -> usize {
        match &self.0.place {
            Place::Memory(_) => 0,
            Place::Redis(shared) => shared.owed(),
        }
    }

    /// Disconnects, after paying what is owed if that can be done within `[store] timeout`. Later
    /// calls find the store down.
    pub async fn close(&self) {
        if let Place::Redis(shared) = &self.0.place {
            shared.close().await;
        }
    }
}

/// What came of asking for a lease.
#[derive(Debug)]
pub enum Leased {
    /// It is registered.
    Granted(Lease),
    /// The store answers, but will not (full, quota spent). A write that goes on is safe against all
    /// but the death of this process.
    Refused,
    /// The store was asked and did not answer.
    Down,
    /// The store could not be asked, so it was not waited for.
    Away,
    /// Nothing outlives this process.
    Needless,
}

/// A write's intent on nodes, pending until it is settled or its deadline passes.
#[derive(Debug)]
pub struct Lease {
    /// Random, so that no two writes of the fleet share one.
    intent: Bytes,
    nodes: Vec<String>,
}

impl Lease {
    fn on(nodes: &[String]) -> Lease {
        Lease {
            intent: Bytes::copy_from_slice(&token()),
            nodes: nodes.to_vec(),
        }
    }
}

/// A fresh version: 128 random bits, so that none ever comes back.
fn token() -> Version {
    let mut token = Version::default();
    // Not drawn in advance: a machine that is restored from an image would draw some once more.
    getrandom::fill(&mut token).expect("without the system's randomness nothing here is safe");
    token
}

/// What seals a store's values, where it is one that others could read.
fn seal(opening: &Opening<'_>) -> Option<Arc<Seal>> {
    let settings = opening.settings.seal.as_ref()?;
    Some(Arc::new(Seal::new(settings, opening.namespace)))
}

//! The store that is Redis, shared by a fleet: the calls of [`super::Store`] in terms of commands,
//! with the local tier before it.

mod believed; // versions that need not be asked for one by one
mod fields; // what processes say of themselves
mod examine; // what stands under a key, for a person
mod flags; // what stands until somebody takes it away
mod locks; // one sidecar fetches for the fleet
mod look; // an entry and the versions that it depends on
mod windows; // requests counted by who asks

use super::breaker::Breaker;
use super::channel::Channel;
use super::fault::{Down, Fault, Kind, OpenError};
use super::known::Known;
use super::lifetime::NodeTtl;
use super::listener::Listener;
use super::local::Local;
use super::names::Names;
use super::owed::Owed;
use super::redis::{Address, Shards};
use super::root::Root;
use super::seal::Seal;
use super::server::Recognition;
use super::state::State;
use super::warden::Warden;
use super::{Bump, Bumped, Lease, Leased, Opening};
use crate::clock::Clock;
use crate::entry::{Entry, Version};
use crate::metrics::Metrics;
use crate::rules::settings::Compress;
use bytes::Bytes;
use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// Redis and what stands before it.
pub struct Shared {
    breaker: Arc<Breaker>,
    /// Where entries are, if not where their versions are.
    shards: Option<Shards>,
    names: Arc<Names>,
    local: Local,
    known: Arc<Known>,
    channel: Arc<Channel>,
    compress: Compress,
    seal: Option<Arc<Seal>>,
    timeout: Duration,
    node_ttl: NodeTtl,
    clock: Clock,
    metrics: Arc<Metrics>,
    /// Whether an undecodable value was already reported; each is counted, one is logged.
    reported: AtomicBool,
    stop: CancellationToken,
    warden: Mutex<Option<JoinHandle<()>>>,
}

impl Shared {
    /// Takes over what the journal says is owed, and begins to connect. The root is called as it is in the
    /// store.
    ///
    /// # Errors
    /// The journal cannot be used.
    pub fn at(
        address: Address,
        names: Arc<Names>,
        seal: Option<Arc<Seal>>,
        opening: Opening<'_>,
    ) -> Result<Shared, OpenError> {
        let Opening {
            settings,
            local,
            node_ttl,
            namespace: _,
            root,
            channel,
            clock,
            metrics,
        } = opening;
        let address = Arc::new(address);
        let owed = Owed::open(root.name().to_owned(), settings.journal.as_deref())?;
        let breaker = Arc::new(Breaker::new(owed, metrics.clone()));
        let known = Arc::new(Known::new());
        let channel = Arc::new(Channel::new(channel));
        let recognition = Recognition::new(names.mark(), &root, settings.failover, metrics.clone());
        let shards = address
            .is_cluster()
            .then(|| Shards::open(address.clone(), channel.clone(), metrics.clone()));
        let stop = CancellationToken::new();
        let listener = Listener {
            address: address.clone(),
            channel: channel.clone(),
            breaker: breaker.clone(),
            known: known.clone(),
            metrics: metrics.clone(),
        };
        tokio::spawn(listener.run(stop.clone()));
        let warden = Warden {
            address,
            breaker: breaker.clone(),
            channel: channel.clone(),
            recognition,
            known: known.clone(),
            metrics: metrics.clone(),
        };
        let warden = tokio::spawn(warden.run(stop.clone(), settings.timeout));
        Ok(Shared {
            breaker,
            shards,
            names,
            local: Local::new(local.max, metrics.clone()),
            known,
            channel,
            compress: settings.compress,
            seal,
            timeout: settings.timeout,
            node_ttl: NodeTtl::new(node_ttl),
            clock,
            metrics,
            reported: AtomicBool::new(false),
            stop,
            warden: Mutex::new(Some(warden)),
        })
    }

    /// See [`super::Store::connected`].
    pub async fn connected(&self) -> bool {
        let mut up = self.breaker.watch();
        matches!(
            timeout(self.timeout, up.wait_for(|up| *up)).await,
            Ok(Ok(_))
        )
    }

    /// See [`Local::sweep`].
    pub fn sweep(&self) -> impl Future<Output = ()> + Send + use<> {
        self.local.sweep(self.clock.clone())
    }

    /// See [`super::Store::renew`].
    pub fn renew(&self, node_ttl: Duration) {
        self.node_ttl.set(node_ttl);
    }

    /// See [`super::Store::listen`].
    pub fn listen(&self, is_used: bool) {
        self.channel.set_used(is_used);
        self.metrics.subscription_wanted(is_used);
    }

    /// A value as it was kept. One that the seal does not open is a miss, as any that is not ours.
    fn opened<'v>(&self, key: &str, value: &'v [u8]) -> Option<Cow<'v, [u8]>> {
        let Some(seal) = &self.seal else {
            return Some(Cow::Borrowed(value));
        };
        let opened = seal.open(key, value);
        if opened.is_none() {
            self.foreign(&Fault::new(Kind::Protocol, "the seal does not open it"));
        }
        opened.map(Cow::Owned)
    }

    /// A value as it is to stand in Redis.
    fn sealed(&self, key: &str, value: Bytes) -> Result<Bytes, Down> {
        match &self.seal {
            None => Ok(value),
            Some(seal) => seal.seal(key, &value).map(Bytes::from).ok_or(Down),
        }
    }

    fn foreign(&self, fault: &Fault) {
        self.metrics.store_failed(fault.kind.word());
        if !self.reported.swap(true, Relaxed) {
            tracing::warn!(%fault, "a value in the store is not ours; it is a miss; said once");
        }
    }

    /// See [`super::Store::snapshot`].
    /// Where it creates a node it takes the lock, if one is given, for as long.
    pub async fn snapshot(
        &self,
        nodes: &[String],
        tokens: Vec<Version>,
        lock: Option<(Cow<'_, str>, Duration)>,
        root: &Root,
    ) -> Result<Vec<Version>, Down> {
        let connection = self.breaker.connection()?;
        let sight = self.known.sight(nodes, self.clock.reading());
        let versions = connection
            .snapshot(nodes, &tokens, self.node_ttl.get(), lock, root)
            .await;
        let versions = root.all_seen(nodes, self.breaker.note(&connection, versions)?);
        sight.note(versions.iter().copied().map(Some));
        Ok(versions)
    }

    /// See [`super::Store::keep`].
    pub async fn keep(&self, key: &str, entry: Arc<Entry>, root: &Root) -> Result<(), Down> {
        let connection = self.breaker.connection()?;
        let bytes = self.sealed(key, Bytes::from(entry.encode(self.compress)))?;
        let ttl = entry.lifetime();
        // Also of use where Redis is full: its versions are asked for each time.
        let now = self.clock.reading();
        self.local.put(key, entry, root.layout(), &now);
        let (size, refusals) = (bytes.len(), self.breaker.refusals());
        if !refusals.takes(size) {
            return Err(Down);
        }
        let kept = match &self.shards {
            None => connection.set(key, bytes, ttl).await,
            Some(shards) => shards.set(key, bytes, ttl).await,
        };
        if matches!(&kept, Err(fault) if fault.kind == Kind::Size) {
            refusals.found_too_large(size);
        }
        match &self.shards {
            None => self.breaker.note_kept(&connection, kept),
            Some(_) => {
                refusals.kept_apart(kept.as_ref().err().map(|fault| fault.kind));
                kept.map_err(|_| Down) // one shard's failure says nothing of the home
            }
        }
    }

    /// See [`super::Store::put_marker`].
    pub async fn put_marker(&self, key: &str, value: Bytes) -> Result<(), Down> {
        let connection = self.breaker.connection()?;
        let value = self.sealed(key, value)?;
        self.breaker.note_kept(
            &connection,
            connection.set(key, value, self.node_ttl.get()).await,
        )
    }

    /// See [`super::Store::lease`].
    pub async fn lease(&self, nodes: &[String], duration: Duration, root: &Root) -> Leased {
        let leased = self.ask_lease(Lease::on(nodes), duration, root).await;
        self.metrics.lease(matches!(leased, Leased::Granted(_)));
        leased
    }

    async fn ask_lease(&self, lease: Lease, duration: Duration, root: &Root) -> Leased {
        let Ok(connection) = self.breaker.connection() else {
            return Leased::Away;
        };
        let asked = connection.lease(lease, duration, root).await;
        let kind = asked.as_ref().err().map(|fault| fault.kind);
        match (self.breaker.note_kept(&connection, asked), kind) {
            (Ok(lease), _) => Leased::Granted(lease),
            (Err(Down), Some(Kind::Timeout | Kind::Io)) => Leased::Down,
            // Nor will it be told what the write drops.
            (Err(Down), Some(Kind::Quota | Kind::Readonly)) => Leased::Away,
            (Err(Down), _) => Leased::Refused,
        }
    }

    /// See [`super::Store::settle`].
    pub async fn settle(&self, lease: Lease, bump: &Bump, unknown: bool, root: &Root) -> Bumped {
        let nodes: Vec<_> = bump.nodes().cloned().collect();
        let debt = self.debt(&nodes, root); // what is owed is dropped for good
        let Ok(connection) = self.breaker.connection() else {
            return debt.outcome(); // the lease ends by itself
        };
        let settled = connection
            .settle(&lease, bump, unknown, self.node_ttl.get(), root)
            .await;
        match self.breaker.note(&connection, settled) {
            Ok(everything) => debt.settled(everything),
            Err(Down) => debt.outcome(),
        }
    }

    /// Owes these without asking.
    pub fn owe(&self, nodes: &[String], root: &Root) -> Bumped {
        self.debt(nodes, root).outcome()
    }

    fn debt<'a>(&'a self, nodes: &'a [String], root: &'a Root) -> Debt<'a> {
        Debt {
            breaker: &self.breaker,
            known: &self.known,
            nodes,
            root,
            settled: None,
        }
    }

    /// See [`super::Store::bump`].
    pub async fn bump(&self, nodes: &[String], root: &Root) -> Bumped {
        let debt = self.debt(nodes, root);
        let Ok(connection) = self.breaker.connection() else {
            return Bumped::Owed;
        };
        let dropped = root.drop_in(&connection, nodes).await;
        match self.breaker.note(&connection, dropped) {
            Ok(everything) => debt.settled(everything),
            Err(Down) => Bumped::Owed,
        }
    }

    /// See [`super::Store::any_intent`].
    pub async fn any_intent(&self, nodes: &[String]) -> Result<bool, Down> {
        let connection = self.breaker.connection()?;
        let found = connection.any_intent(nodes).await;
        self.breaker.note(&connection, found)
    }

    /// See [`super::Store::holds_other_layouts`].
    pub async fn holds_other_layouts(&self, root: &Root) -> Result<bool, Down> {
        let connection = self.breaker.connection()?;
        let shared = root.is_shared_in(&connection).await;
        self.breaker.note(&connection, shared)
    }

    /// See [`super::Store::bump_others`].
    pub async fn bump_others(&self, root: &Root) -> Bumped {
        match self.holds_other_layouts(root).await {
            Ok(true) => match self.bump(&[root.name().to_owned()], root).await {
                Bumped::Done => Bumped::Everything,
                owed => owed,
            },
            Ok(false) | Err(Down) => Bumped::Done,
        }
    }

    /// Whether Redis may be asked now.
    pub fn up(&self) -> bool {
        self.breaker.connection().is_ok()
    }

    /// See [`super::Store::state`].
    pub fn state(&self) -> State {
        self.breaker.state()
    }

    /// How many nodes are owed.
    pub fn owed(&self) -> usize {
        self.breaker.owed()
    }

    /// See [`super::Store::close`].
    pub async fn close(&self) {
        self.stop.cancel();
        let warden = self
            .warden
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(warden) = warden else { return };
        if warden.await.is_err() {
            // Not why: a panic may quote what it was about.
            tracing::error!("the store's warden ended badly");
        }
    }
}

/// A store that is dropped unclosed stops its warden too, and with it the connection.
impl Drop for Shared {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Nodes that a write must see deleted. When this is dropped, also if the task that bumps is
/// cancelled, they are owed unless settled, and this process knows nothing of them any more.
struct Debt<'a> {
    breaker: &'a Breaker,
    known: &'a Known,
    nodes: &'a [String],
    root: &'a Root,
    settled: Option<Bumped>,
}

impl Debt<'_> {
    /// What becomes of it unsettled.
    fn outcome(self) -> Bumped {
        if self.nodes.is_empty() {
            Bumped::Done
        } else {
            Bumped::Owed
        }
    }

    fn settled(mut self, everything: bool) -> Bumped {
        let bumped = match everything {
            true => Bumped::Everything,
            false => Bumped::Done,
        };
        self.settled = Some(bumped);
        bumped
    }
}

impl Drop for Debt<'_> {
    fn drop(&mut self) {
        if self.settled.is_none() && !self.nodes.is_empty() {
            self.breaker.owe(self.nodes.to_vec(), self.root.layout());
        }
        self.known.forget(self.nodes.iter().map(String::as_str));
        if self.settled != Some(Bumped::Done) && !self.nodes.is_empty() {
            self.known.forget([self.root.name()]);
        }
    }
}

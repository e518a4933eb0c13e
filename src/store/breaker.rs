//! Whether Redis may be asked, and what it is owed.
//!
//! There is a connection here exactly while Redis may be asked: it answers, and knows of every write
//! that this process let through. Whoever fails to tell it of a write owes that and takes the
//! connection away in one step; the [`Warden`](super::warden) puts one back after paying.

use super::fault::{Down, Fault, Kind};
use super::owed::{Moment, Owed};
use super::redis::Connection;
use super::root::Root;
use super::state::{Refusals, State};
use crate::digest::Digest;
use crate::metrics::Metrics;
use arc_swap::ArcSwapOption;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// So many commands in a row without an answer, and Redis is taken to hang. One may be a slow
/// command of somebody else's; three at the default timeout are most of a second.
pub const TIMEOUTS_TO_OPEN: u32 = 3;

/// Open while there is no connection in it.
pub struct Breaker {
    connection: ArcSwapOption<Connection>,
    /// Also held whenever `connection` changes.
    owed: Mutex<Owed>,
    timeouts: AtomicU32,
    up: watch::Sender<bool>,
    refusals: Refusals,
    metrics: Arc<Metrics>,
}

impl Breaker {
    /// Open.
    pub fn new(owed: Owed, metrics: Arc<Metrics>) -> Breaker {
        metrics.owed(owed.len());
        Breaker {
            connection: ArcSwapOption::empty(),
            owed: Mutex::new(owed),
            timeouts: AtomicU32::new(0),
            up: watch::Sender::new(false),
            refusals: Refusals::new(metrics.clone()),
            metrics,
        }
    }

    /// The connection, if Redis may be asked.
    pub fn connection(&self) -> Result<Arc<Connection>, Down> {
        self.connection.load_full().ok_or(Down)
    }

    /// Follows whether Redis may be asked.
    pub fn watch(&self) -> watch::Receiver<bool> {
        self.up.subscribe()
    }

    /// What the store is good for now.
    pub fn state(&self) -> State {
        self.refusals.state()
    }

    /// What Redis refused lately.
    pub fn refusals(&self) -> &Refusals {
        &self.refusals
    }

    /// How many nodes are owed.
    pub fn owed(&self) -> usize {
        self.lock().len()
    }

    /// Those nodes, as of now.
    pub fn debts(&self) -> (Vec<String>, Moment) {
        self.lock().debts()
    }

    /// The root as the rules see it that named them; `None` where it is owed itself.
    pub fn root_owed_under(&self) -> Option<Root> {
        self.lock().root()
    }

    /// These nodes, read at `moment`, were deleted.
    pub fn paid(&self, nodes: &[String], moment: Moment) {
        let mut owed = self.lock();
        owed.paid(nodes, moment);
        self.metrics.owed(owed.len());
    }

    /// Whether what is owed outlives this process.
    pub fn journalled(&self) -> bool {
        self.lock().journalled()
    }

    /// Redis could not be told to delete these, which rules of this layout named: until it was, nobody
    /// may ask it. With a journal this
    /// returns when they are on disk, so a write is answered only then; it blocks, but only while
    /// Redis is not asked.
    pub fn owe(&self, nodes: Vec<String>, layout: &Digest) {
        let mut owed = self.lock();
        self.set(&owed, None); // first, so that nobody reads while the disk is waited for
        owed.add(nodes, layout);
        self.metrics.owed(owed.len());
    }

    /// Closes the breaker, unless something is owed: a write may have failed to reach Redis since
    /// the debts were last paid.
    pub fn close(&self, connection: Arc<Connection>) -> bool {
        let owed = self.lock();
        if owed.len() > 0 {
            return false;
        }
        self.timeouts.store(0, Relaxed);
        self.set(&owed, Some(connection));
        true
    }

    /// Opens the breaker if `connection` is still the one in it; a late failure on an old connection
    /// says nothing of the present one.
    pub fn open(&self, connection: &Arc<Connection>) {
        let owed = self.lock();
        let present = self.connection.load();
        if present
            .as_ref()
            .is_some_and(|present| Arc::ptr_eq(present, connection))
        {
            self.set(&owed, None);
        }
    }

    /// Opens the breaker whatever is in it.
    pub fn open_any(&self) {
        self.set(&self.lock(), None);
    }

    /// Notes how a command on `connection` ended. That Redis is full does not open the breaker: it still
    /// answers. That it is the wrong server by now does: see [`Fault::leads_astray`]. Where its provider's
    /// allowance is spent nothing is answered any more, so nobody should pay a round trip to hear that.
    pub fn note<T>(
        &self,
        connection: &Arc<Connection>,
        result: Result<T, Fault>,
    ) -> Result<T, Down> {
        if let Err(fault) = &result {
            self.metrics.store_failed(fault.kind.word());
            tracing::debug!(%fault, "store command failed");
            self.refusals.failed(fault.kind);
        }
        match result.as_ref().err().map(|fault| fault.kind) {
            _ if result.as_ref().is_err_and(Fault::leads_astray) => self.open(connection),
            Some(Kind::Timeout) => self.unanswered(connection),
            Some(Kind::Io | Kind::Quota) => self.open(connection),
            _ if self.timeouts.load(Relaxed) > 0 => self.timeouts.store(0, Relaxed),
            _ => {}
        }
        result.map_err(|_| Down)
    }

    /// The same of a command that gave Redis something to keep: one that it took is proof that it is
    /// neither full nor read-only.
    pub fn note_kept<T>(
        &self,
        connection: &Arc<Connection>,
        result: Result<T, Fault>,
    ) -> Result<T, Down> {
        if result.is_ok() {
            self.refusals.took();
        }
        self.note(connection, result)
    }

    fn unanswered(&self, connection: &Arc<Connection>) {
        if self.timeouts.fetch_add(1, Relaxed) + 1 >= TIMEOUTS_TO_OPEN {
            self.open(connection);
        }
    }

    /// Changes what is in the breaker; `_changing` shows that the caller holds the lock.
    fn set(&self, _changing: &MutexGuard<'_, Owed>, connection: Option<Arc<Connection>>) {
        let up = connection.is_some();
        self.connection.store(connection);
        self.metrics.store_up(up);
        self.refusals.connected(up);
        self.up
            .send_if_modified(|was| std::mem::replace(was, up) != up);
    }

    fn lock(&self) -> MutexGuard<'_, Owed> {
        self.owed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

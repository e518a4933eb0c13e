//! Connections that wait for their next request, and room for all there are.

use super::connection::Connection;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Wake, Waker};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Duration, Instant, sleep_until, timeout};

/// Idle connections kept. A Node origin works on one thread: beyond this, what a burst opened is not
/// worth an open file on both sides.
pub(super) const MAX_IDLE: usize = 128;

/// Room for so many connections.
#[derive(Clone)]
pub(super) struct Slots(Arc<Semaphore>);

/// Room for one, taken until it is dropped.
pub(super) type Slot = OwnedSemaphorePermit;

impl Slots {
    pub(super) fn new(most: usize) -> Slots {
        Slots(Arc::new(Semaphore::new(most)))
    }

    /// Waits for room. `None` where there is none in time.
    pub(super) async fn slot(&self, patience: Duration) -> Option<Slot> {
        let waiting = timeout(patience, self.0.clone().acquire_owned());
        waiting.await.ok()?.ok() // nobody closes the semaphore
    }

    /// Whether somebody may be waiting.
    fn are_taken(&self) -> bool {
        self.0.available_permits() == 0
    }
}

/// The idle connections, the one used last on top: so the others grow old and are closed.
pub(super) struct Pool {
    idle_timeout: Duration,
    slots: Slots,
    idle: Mutex<Idle>,
    bell: Arc<Bell>,
    /// Rings the bell.
    waker: Waker,
}

#[derive(Default)]
struct Idle {
    /// With the moment at which each became idle; ascending.
    connections: Vec<(Instant, Box<Connection>)>,
    is_tended: bool,
    /// How many their origin closed meanwhile.
    #[cfg(test)]
    closed: usize,
}

/// Rings when something comes on an idle connection, or its origin closes it.
#[derive(Default)]
struct Bell(Notify);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.notify_one();
    }
}

impl Pool {
    /// `slots` are those of its connections.
    pub(super) fn new(idle_timeout: Duration, slots: Slots) -> Arc<Pool> {
        let bell = Arc::<Bell>::default();
        Arc::new(Pool {
            idle_timeout,
            slots,
            idle: Mutex::default(),
            waker: bell.clone().into(),
            bell,
        })
    }

    /// Nothing that holds the lock can panic half-way through a change.
    fn idle(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection that is ready for a request, as far as anybody can know.
    pub(super) async fn take(&self) -> Option<Box<Connection>> {
        let (since, connection) = self.idle().connections.pop()?;
        (since.elapsed() < self.idle_timeout).then_some(connection)
    }

    /// Takes back a connection whose exchange is over on both sides; where others wait for room it is
    /// closed.
    pub(super) fn put(self: &Arc<Pool>, mut connection: Box<Connection>) {
        if self.slots.are_taken() || !connection.rests(&self.waker) {
            return;
        }
        let mut idle = self.idle();
        if idle.connections.len() >= MAX_IDLE {
            return;
        }
        idle.connections.push((Instant::now(), connection));
        if !std::mem::replace(&mut idle.is_tended, true) {
            tokio::spawn(tend(Arc::downgrade(self), self.bell.clone()));
        }
    }

    /// Closes what is too old, and what its origin has closed. Says when to look again; `None` where
    /// nothing is left, and then nobody is looking any more.
    fn tend(&self) -> Option<Instant> {
        let mut idle = self.idle();
        let timeout = self.idle_timeout;
        let is_old = |(since, _): &(Instant, Box<Connection>)| since.elapsed() >= timeout;
        let old = idle.connections.partition_point(is_old);
        idle.connections.drain(..old);
        #[cfg(test)]
        let before = idle.connections.len();
        let connections = &mut idle.connections;
        connections.retain_mut(|(_, connection)| connection.rests(&self.waker));
        #[cfg(test)]
        {
            idle.closed += before - idle.connections.len();
        }
        let next = idle.connections.first().map(|(since, _)| *since + timeout);
        idle.is_tended = next.is_some();
        next
    }

    #[cfg(test)]
    pub(super) fn idle_count(&self) -> usize {
        self.idle().connections.len()
    }

    #[cfg(test)]
    pub(super) fn closed_count(&self) -> usize {
        self.idle().closed
    }
}

/// Closes idle connections as they grow old or are closed, while there are any.
async fn tend(pool: Weak<Pool>, bell: Arc<Bell>) {
    while let Some(next) = pool.upgrade().and_then(|pool| pool.tend()) {
        tokio::select! {
            () = sleep_until(next) => {}
            () = bell.0.notified() => {}
        }
    }
}

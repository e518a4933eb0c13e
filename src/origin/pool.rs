//! Connections that wait for their next request, and room for all there are.

use super::connection::Connection;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
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
    /// Rings when something comes on an idle connection, or its origin closes it.
    bell: Arc<Notify>,
}

#[derive(Default)]
struct Idle {
    /// With the moment at which each became idle; ascending.
    connections: Vec<(Instant, Box<Connection>)>,
    is_tended: bool,
    /// How many their origin closed meanwhile.
    #[cfg(test)]
    closed: usize,
    /// How often all were gone through.
    #[cfg(test)]
    tended: usize,
}

/// By which an idle connection rings the bell of its pool, and is known as the one that did. Pulled in
/// use it rings nothing: to send a request wakes whoever polled the connection last.
pub(super) struct Rope {
    end: Arc<RopeEnd>,
    waker: Waker,
}

struct RopeEnd {
    bell: Arc<Notify>,
    is_idle: AtomicBool,
    is_pulled: AtomicBool,
}

impl Rope {
    pub(super) fn to(bell: &Arc<Notify>) -> Rope {
        let end = Arc::new(RopeEnd {
            bell: bell.clone(),
            is_idle: AtomicBool::new(false),
            is_pulled: AtomicBool::new(false),
        });
        let waker = end.clone().into();
        Rope { end, waker }
    }

    /// What pulls it, from now on.
    pub(super) fn tied(&self) -> &Waker {
        self.end.is_pulled.store(false, SeqCst);
        self.end.is_idle.store(true, SeqCst);
        &self.waker
    }

    /// Whoever pulls it from now on is not heard.
    pub(super) fn untie(&self) {
        self.end.is_idle.store(false, SeqCst);
    }

    /// Whether it was pulled since it was tied.
    pub(super) fn is_pulled(&self) -> bool {
        self.end.is_pulled.load(SeqCst)
    }
}

impl Wake for RopeEnd {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.is_idle.load(SeqCst) {
            self.is_pulled.store(true, SeqCst);
            self.bell.notify_one();
        }
    }
}

impl Pool {
    /// `slots` are those of its connections.
    pub(super) fn new(idle_timeout: Duration, slots: Slots) -> Arc<Pool> {
        Arc::new(Pool {
            idle_timeout,
            slots,
            idle: Mutex::default(),
            bell: Arc::default(),
        })
    }

    /// Nothing that holds the lock can panic half-way through a change.
    fn idle(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection that is ready for a request, as far as anybody can know.
    pub(super) fn take(&self) -> Option<Box<Connection>> {
        let (since, connection) = self.idle().connections.pop()?;
        connection.leave_rest();
        (since.elapsed() < self.idle_timeout).then_some(connection)
    }

    /// Takes back a connection whose exchange is over on both sides; where others wait for room it is
    /// closed.
    pub(super) fn put(self: &Arc<Pool>, mut connection: Box<Connection>) {
        if self.slots.are_taken() || !connection.rests(&self.bell) {
            return;
        }
        let mut idle = self.idle();
        if idle.connections.len() >= MAX_IDLE {
            return;
        }
        if connection.is_disturbed() {
            self.bell.notify_one(); // it rang when nobody could know of it
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
        connections.retain_mut(|(_, one)| !one.is_disturbed() || one.rests(&self.bell));
        #[cfg(test)]
        {
            idle.closed += before - idle.connections.len();
            idle.tended += 1;
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

    #[cfg(test)]
    pub(super) fn tended_count(&self) -> usize {
        self.idle().tended
    }
}

/// Closes idle connections as they grow old or are closed, while there are any.
async fn tend(pool: Weak<Pool>, bell: Arc<Notify>) {
    while let Some(next) = pool.upgrade().and_then(|pool| pool.tend()) {
        tokio::select! {
            () = sleep_until(next) => {}
            () = bell.notified() => {}
        }
    }
}

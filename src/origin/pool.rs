//! Connections to the origin, and those that wait for their next request.

use super::wire::{Stream, Traffic, Upload, Watched};
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper_util::rt::TokioIo;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::AbortHandle;
use tokio::time::{Duration, Instant, sleep_until, timeout};

/// Idle connections kept. A Node origin works on one thread: beyond this, what a burst opened is not
/// worth an open file on both sides.
pub(super) const MAX_IDLE: usize = 128;

/// How long a connection whose last exchange is over may take to be ready for the next; it needs one
/// turn of its task, or something is wrong with it.
const READY_WAIT: Duration = Duration::from_millis(100);

/// Bytes of an answer's head. Node's own limit for heads is 16 KiB.
pub const MAX_ANSWER_HEAD: usize = 64 * 1024;

/// Header lines of an answer: hyper's own limit, which it holds on its stack.
pub const MAX_ANSWER_HEADERS: usize = 100;

/// Bytes that a connection buffers in each direction: room for a head, and for large reads.
const MAX_BUFFER: usize = 2 * MAX_ANSWER_HEAD;

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

/// One connection. Dropping it closes it, whatever it is doing.
pub(super) struct Connection {
    pub(super) sender: SendRequest<Upload>,
    pub(super) traffic: Arc<Traffic>,
    driver: Option<AbortHandle>,
}

impl Connection {
    /// Begins to speak HTTP/1.1. The slot is taken as long as the stream is open.
    pub(super) async fn open(
        stream: Box<dyn Stream>,
        slot: Option<Slot>,
    ) -> hyper::Result<Connection> {
        let traffic = Traffic::new();
        let (sender, connection) = Builder::new()
            .max_header_size(MAX_ANSWER_HEAD)
            .max_buf_size(MAX_BUFFER)
            .handshake(TokioIo::new(Watched::new(stream, traffic.clone(), slot)))
            .await?;
        // Its errors reach whoever waits for an answer or reads one.
        let driver = tokio::spawn(connection.with_upgrades()).abort_handle();
        Ok(Connection {
            sender,
            traffic,
            driver: Some(driver),
        })
    }

    /// Leaves the stream to whoever the protocol was changed for.
    pub(super) fn change_hands(mut self) {
        self.driver = None;
    }

    async fn is_ready(&mut self) -> bool {
        matches!(timeout(READY_WAIT, self.sender.ready()).await, Ok(Ok(())))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(driver) = &self.driver {
            driver.abort();
        }
    }
}

/// The idle connections, the one used last on top: so the others grow old and are closed.
pub(super) struct Pool {
    idle_timeout: Duration,
    slots: Slots,
    idle: Mutex<Idle>,
}

#[derive(Default)]
struct Idle {
    /// With the moment at which each became idle; ascending.
    connections: Vec<(Instant, Connection)>,
    is_reaped: bool,
}

impl Pool {
    /// `slots` are those of its connections.
    pub(super) fn new(idle_timeout: Duration, slots: Slots) -> Arc<Pool> {
        Arc::new(Pool {
            idle_timeout,
            slots,
            idle: Mutex::default(),
        })
    }

    /// Nothing that holds the lock can panic half-way through a change.
    fn idle(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection that is ready for a request, as far as anybody can know.
    pub(super) async fn take(&self) -> Option<Connection> {
        while let Some(mut connection) = self.pop() {
            if connection.is_ready().await {
                return Some(connection);
            }
        }
        None
    }

    fn pop(&self) -> Option<Connection> {
        let (since, connection) = self.idle().connections.pop()?;
        (since.elapsed() < self.idle_timeout).then_some(connection)
    }

    /// Takes back a connection whose exchange is over on both sides; where others wait for room it is
    /// closed.
    pub(super) fn put(self: &Arc<Pool>, connection: Connection) {
        if connection.sender.is_closed() || self.slots.are_taken() {
            return;
        }
        let mut idle = self.idle();
        if idle.connections.len() >= MAX_IDLE {
            return;
        }
        idle.connections.push((Instant::now(), connection));
        if !std::mem::replace(&mut idle.is_reaped, true) {
            tokio::spawn(reap(Arc::downgrade(self)));
        }
    }

    /// Closes what is too old. Says when to look again; `None` where nothing is left, and then nobody
    /// is looking any more.
    fn close_old(&self) -> Option<Instant> {
        let mut idle = self.idle();
        let timeout = self.idle_timeout;
        let is_old = |(since, _): &(Instant, Connection)| since.elapsed() >= timeout;
        let old = idle.connections.partition_point(is_old);
        idle.connections.drain(..old);
        let next = idle.connections.first().map(|(since, _)| *since + timeout);
        idle.is_reaped = next.is_some();
        next
    }

    #[cfg(test)]
    pub(super) fn idle_count(&self) -> usize {
        self.idle().connections.len()
    }

    #[cfg(test)]
    pub(super) fn closed_count(&self) -> usize {
        let idle = self.idle();
        let is_closed = |(_, c): &&(Instant, Connection)| c.sender.is_closed();
        idle.connections.iter().filter(is_closed).count()
    }
}

/// Closes idle connections as they grow old, while there are any.
async fn reap(pool: Weak<Pool>) {
    while let Some(next) = pool.upgrade().and_then(|pool| pool.close_old()) {
        sleep_until(next).await;
    }
}

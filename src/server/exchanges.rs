//! The requests under way on one connection, and what else its stream and its requests have to know
//! of each other.

use super::room::Place;
use crate::client::OnBehalf;
use crate::interim::Outlet;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};
use tokio::time::{Duration, Instant, sleep_until};

/// What is under way on a connection.
pub(super) struct Exchanges {
    opened: Instant,
    begun: AtomicUsize,
    ended: AtomicUsize,
    /// Whether it matters when they end.
    is_timed: AtomicBool,
    /// When the last one ended, milliseconds after `opened`.
    last_end: AtomicU64,
    /// Of how many requests something is still being carried out, whether or not anybody waits for it.
    unfinished: AtomicUsize,
    /// Of which request the body is still coming; 0 for none.
    receiving: AtomicUsize,
    is_doubtful: AtomicBool,
    is_tunnel: AtomicBool,
    /// What is to be said before an answer, on HTTP/1.1.
    outlet: Arc<Outlet>,
    /// Who wants to know when an exchange ends.
    waiting: Mutex<Option<Waker>>,
}

impl Exchanges {
    pub(super) fn new() -> Arc<Exchanges> {
        Arc::new(Exchanges {
            opened: Instant::now(),
            begun: AtomicUsize::new(0),
            ended: AtomicUsize::new(0),
            is_timed: AtomicBool::new(false),
            last_end: AtomicU64::new(0),
            unfinished: AtomicUsize::new(0),
            receiving: AtomicUsize::new(0),
            is_doubtful: AtomicBool::new(false),
            is_tunnel: AtomicBool::new(false),
            outlet: Arc::default(),
            waiting: Mutex::default(),
        })
    }

    /// A request was read; its exchange ends when the guard is dropped.
    pub(super) fn begin(self: &Arc<Exchanges>) -> UnderWay {
        UnderWay {
            number: self.begun.fetch_add(1, Relaxed) + 1,
            exchanges: self.clone(),
        }
    }

    /// Something is carried out for a request until what this returns is dropped; the connection's
    /// place is taken as long.
    pub(super) fn carry_out(self: &Arc<Exchanges>, place: Arc<Place>) -> OnBehalf {
        self.unfinished.fetch_add(1, Relaxed);
        OnBehalf(Arc::new(Unfinished {
            exchanges: self.clone(),
            _place: place,
        }))
    }

    /// Of how many requests something is.
    pub(super) fn unfinished(&self) -> usize {
        self.unfinished.load(Relaxed)
    }

    /// Where interim answers wait to be written.
    pub(super) fn outlet(&self) -> &Arc<Outlet> {
        &self.outlet
    }

    /// The body of this request, counted from 1, is still coming; of none where it is 0.
    pub(super) fn receives(&self, number: usize) {
        self.receiving.store(number, Relaxed);
    }

    /// How many were answered to the end, or given up.
    pub(super) fn ended(&self) -> usize {
        self.ended.load(Relaxed)
    }

    /// Wakes the task when the next exchange ends.
    pub(super) fn wake_at_end(&self, cx: &Context<'_>) {
        *self.waiting() = Some(cx.waker().clone());
    }

    /// Nothing that holds the lock can panic.
    fn waiting(&self) -> MutexGuard<'_, Option<Waker>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When they end will be asked for: see [`Exchanges::idle_for`].
    pub(super) fn time_ends(&self) {
        self.is_timed.store(true, Relaxed); // by the task that carries them out
    }

    /// Completes when nothing has been under way for so long, from now on. Their ends are timed.
    pub(super) async fn idle_for(&self, patience: Duration) {
        let begun = Instant::now();
        loop {
            let last_end = self.opened + Duration::from_millis(self.last_end.load(Relaxed));
            let deadline = match self.ended() < self.begun.load(Relaxed) {
                true => Instant::now() + patience,
                false => last_end.max(begun) + patience,
            };
            if deadline <= Instant::now() {
                return;
            }
            sleep_until(deadline).await;
        }
    }

    /// Others may read a head that came by differently.
    pub(super) fn doubt(&self) {
        self.is_doubtful.store(true, Relaxed); // read by the task that reads the bytes
    }

    /// Whether they may.
    pub(super) fn is_doubtful(&self) -> bool {
        self.is_doubtful.load(Relaxed)
    }

    /// From now on the connection's bytes are another protocol's.
    pub(super) fn become_tunnel(&self) {
        self.is_tunnel.store(true, Relaxed);
    }

    /// Whether they are.
    pub(super) fn is_tunnel(&self) -> bool {
        self.is_tunnel.load(Relaxed)
    }
}

/// One request of which something is being carried out.
struct Unfinished {
    exchanges: Arc<Exchanges>,
    _place: Arc<Place>,
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        self.exchanges.unfinished.fetch_sub(1, Relaxed);
    }
}

/// One request under way, for as long as it lives.
pub(super) struct UnderWay {
    number: usize,
    exchanges: Arc<Exchanges>,
}

impl UnderWay {
    pub(super) fn exchanges(&self) -> &Arc<Exchanges> {
        &self.exchanges
    }

    /// Whether its body has not come to its end.
    pub(super) fn is_coming(&self) -> bool {
        self.exchanges.receiving.load(Relaxed) == self.number
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if self.exchanges.is_timed.load(Relaxed) {
            let since = self.exchanges.opened.elapsed().as_millis() as u64;
            self.exchanges.last_end.store(since, Relaxed);
        }
        self.exchanges.ended.fetch_add(1, Relaxed);
        if let Some(waker) = self.exchanges.waiting().take() {
            waker.wake();
        }
    }
}

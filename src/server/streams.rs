//! HTTP/2's streams: each is carried out in a task of its own, and given up where its client reads
//! nothing of its answer.
//!
//! A connection over HTTP/1 that takes nothing has left. Over HTTP/2 a client may go on talking, and
//! hold each of its answers for ever by never granting it a window.

use crate::metrics::Metrics;
use hyper::rt::Executor;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::task_local;
use tokio::time::{Duration, Instant, sleep_until};

/// Bytes of an answer that are handed to hyper at a time, a frame as nearly everybody bounds them:
/// that it asks for more is how we know that the client reads.
pub(super) const PIECE: usize = 16 * 1024;

task_local! {
    /// Of the stream whose task this is.
    static READING: Arc<Reading>;
}

/// How far a client has read of an answer.
#[derive(Default)]
pub(super) struct Reading {
    /// Since when there is a piece that waits for it.
    waits_since: Mutex<Option<Instant>>,
}

impl Reading {
    /// Of the stream that this task carries out; `None` outside of one.
    pub(super) fn current() -> Option<Arc<Reading>> {
        READING.try_with(Arc::clone).ok()
    }

    /// A piece waits for the client from now on, or, where it does not, the client for a piece.
    pub(super) fn waits(&self, waits: bool) {
        *self.lock() = waits.then(Instant::now);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.waits_since
            .lock()
            .unwrap_or_else(PoisonError::into_inner) // nothing that holds it can panic
    }

    /// Completes when a piece has waited for so long.
    async fn stuck_for(&self, patience: Duration) {
        loop {
            let since = self.lock().unwrap_or_else(Instant::now);
            let deadline = since + patience;
            if deadline <= Instant::now() {
                return;
            }
            sleep_until(deadline).await;
        }
    }
}

/// Carries out the streams of a connection.
#[derive(Clone)]
pub(super) struct Streams {
    pub(super) patience: Duration,
    pub(super) metrics: Arc<Metrics>,
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Streams {
    fn execute(&self, stream: F) {
        let Streams { patience, metrics } = self.clone();
        let reading = Arc::new(Reading::default());
        let stream = READING.scope(reading.clone(), stream);
        tokio::spawn(async move {
            tokio::select! {
                biased;
                () = stream => {}
                // What is dropped unfinished is reset (RFC 9113 §5.4.2).
                () = reading.stuck_for(patience) => metrics.connection_cut("unread-answer"),
            }
        });
    }
}

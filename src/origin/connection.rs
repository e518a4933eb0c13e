//! One connection to the origin. Mostly no task of its own attends to it: whoever asks on it, or reads the
//! answer, drives it on. So an exchange wakes nobody but its client's task, and what its client does
//! not read stays with the origin.

use super::pool::{Pool, Rope, Slot};
use super::wire::{Stream, Traffic, Upload, Watched};
use crate::body::Feed;
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use tokio::sync::Notify;
use tokio::task::unconstrained;
use tokio::time::{Duration, Instant, Sleep, sleep_until};
use tokio_util::task::AbortOnDropHandle;

/// Bytes of an answer's head. Node's own limit for heads is 16 KiB.
pub const MAX_ANSWER_HEAD: usize = 64 * 1024;

/// Header lines of an answer: hyper's own limit, which it holds on its stack.
pub const MAX_ANSWER_HEADERS: usize = 100;

/// Bytes that a connection may hold of what it reads: room for a head with something behind it. Bodies
/// do not fill it, see [`super::wire::Watched`].
const MAX_BUFFER: usize = 2 * MAX_ANSWER_HEAD;

/// Speaks HTTP on a stream, as long as it is polled.
type Driver = Pin<Box<dyn Future<Output = hyper::Result<()>> + Send + Sync>>;

/// A request on its way, which is a few hundred bytes: on the heap, so that nobody has to move it.
pub(super) type Sending =
    Pin<Box<dyn Future<Output = Result<Response<Incoming>, Unsent>> + Send + Sync>>;

/// What sending a request comes to.
pub(super) type Sent = Result<Response<Incoming>, Box<Unsent>>;

type Unsent = TrySendError<Request<Upload>>;

/// One connection. Dropping it closes it, whatever it is doing.
pub(super) struct Connection {
    sender: SendRequest<Upload>,
    pub(super) traffic: Arc<Traffic>,
    /// `None` once the connection has ended, or is attended to.
    driver: Option<Driver>,
    /// The task that goes on with it where its client's cannot.
    attendant: Option<AbortOnDropHandle<hyper::Result<()>>>,
    /// Wakes whoever waits for a head; left alone between exchanges.
    timer: Option<Pin<Box<Sleep>>>,
    /// Where it goes when its exchange is over; nowhere, where it is not to be used again.
    home: Option<Arc<Pool>>,
    /// By which it is heard there.
    rope: Option<Rope>,
}

impl Connection {
    /// Begins to speak HTTP/1.1. The slot is taken as long as the stream is open.
    pub(super) async fn open(
        stream: Box<dyn Stream>,
        slot: Option<Slot>,
    ) -> hyper::Result<Box<Connection>> {
        let traffic = Traffic::new();
        let (sender, connection) = Builder::new()
            .max_header_size(MAX_ANSWER_HEAD)
            .max_buf_size(MAX_BUFFER)
            .handshake(TokioIo::new(Watched::new(stream, traffic.clone(), slot)))
            .await?;
        Ok(Box::new(Connection {
            sender,
            traffic,
            driver: Some(Box::pin(connection.with_upgrades())),
            attendant: None,
            timer: None,
            home: None,
            rope: None,
        }))
    }

    /// Hands a request over to be sent as the connection is driven on.
    pub(super) fn send(&mut self, request: Request<Upload>) -> Sending {
        let sending = self.sender.try_send_request(request);
        // Unconstrained: what has come is seen at once, however much the task has done in this turn.
        Box::pin(unconstrained(sending))
    }

    /// Waits for the head of the answer to what was handed over; `None` where nothing moves for `patience`.
    pub(super) async fn head_of(
        &mut self,
        sending: &mut Sending,
        patience: Duration,
    ) -> Option<Sent> {
        poll_fn(|cx| {
            self.go_on(cx);
            // The driver alone can change what becomes of it: nothing has to wake us for that. Being
            // woken would only have the task polled once more.
            let mut unwoken = Context::from_waker(Waker::noop());
            match sending.as_mut().poll(&mut unwoken) {
                Poll::Ready(sent) => Poll::Ready(Some(sent.map_err(Box::new))),
                Poll::Pending => self.poll_late(patience, cx).map(|()| None),
            }
        })
        .await
    }

    /// Ready when nothing of the request went out for `patience`. A timer that is set too early is left
    /// alone until it wakes us: it costs more to set than to look at.
    fn poll_late(&mut self, patience: Duration, cx: &mut Context<'_>) -> Poll<()> {
        let deadline = self.traffic.last_sent() + patience;
        let timer = &mut self.timer;
        let timer = timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if timer.deadline() > deadline {
            timer.as_mut().reset(deadline);
        }
        while timer.as_mut().poll(cx).is_ready() {
            if Instant::now() >= deadline {
                return Poll::Ready(());
            }
            timer.as_mut().reset(deadline);
        }
        Poll::Pending
    }

    /// Has a task attend to it from now on: while a request is still going out, that must not wait for
    /// its client to read the answer. Some only read when they have said all.
    pub(super) fn attend(&mut self) {
        let driver = self.driver.take();
        self.attendant = driver.map(|driver| AbortOnDropHandle::new(tokio::spawn(driver)));
    }

    /// The connection goes to this pool at the end of its answer.
    pub(super) fn returns_to(&mut self, pool: Arc<Pool>) {
        self.home = Some(pool);
    }

    /// Leaves the stream to whoever the protocol was changed for.
    pub(super) fn change_hands(mut self) {
        // Where hyper has not let go of it yet, it does in a moment.
        self.driver.take().map(tokio::spawn);
    }

    /// Whether both messages of its last exchange are over and nothing came since. The bell rings when
    /// something does, or the origin closes.
    pub(super) fn rests(&mut self, bell: &Arc<Notify>) -> bool {
        let rope = self.rope.take().unwrap_or_else(|| Rope::to(bell));
        self.go_on(&mut Context::from_waker(rope.tied()));
        self.rope = Some(rope);
        self.driver.is_some() && self.sender.is_ready()
    }

    /// Whether the bell rang for it since.
    pub(super) fn is_disturbed(&self) -> bool {
        self.rope.as_ref().is_some_and(Rope::is_pulled)
    }

    /// It is used again, and what comes on it rings no bell.
    pub(super) fn leave_rest(&self) {
        if let Some(rope) = &self.rope {
            rope.untie();
        }
    }
}

impl Feed for Connection {
    fn go_on(&mut self, cx: &mut Context<'_>) {
        if let Some(driver) = &mut self.driver
            && driver.as_mut().poll(cx).is_ready()
        {
            // Its errors reach whoever waits for an answer or reads one.
            self.driver = None;
        }
    }

    fn is_attended(&self) -> bool {
        self.attendant.is_some()
    }

    fn end(mut self: Box<Self>) {
        if let Some(pool) = self.home.take() {
            pool.put(self);
        }
    }
}

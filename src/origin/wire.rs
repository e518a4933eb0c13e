//! What passes over one connection, watched: whether anything of an answer came, when anything of
//! the request last went out, and whether the request went out whole.

use super::pool::Slot;
use crate::body::{Body, BodyError};
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf, Take};
use tokio::sync::Notify;
use tokio::time::{Duration, Instant, timeout};

/// Bytes that an origin may say before the head of an answer is over: interim answers are passed over,
/// and a flood of them is no answer. A head, and a first piece of body that is read with it, take a
/// fraction of it.
const MAX_BEFORE_HEAD: usize = 1 << 20;

/// Bytes that are read of an answer at a time: one piece is with the client's connection while the next
/// is read, and that is what a slow reader holds. A read that fills hyper's buffer makes it twice as
/// large, so it is one less than a power of two.
const READ_AT_ONCE: u64 = 32 * 1024 - 1;

/// How long an origin may leave a client waiting that expects to be told to continue, as long as curl
/// does: many never say so, and wait for the body themselves.
const CONTINUE_PATIENCE: Duration = Duration::from_secs(1);

/// A connection of any kind.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Sync + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Stream for T {}

/// What was seen of the exchange that a connection is used for.
pub(super) struct Traffic {
    opened: Instant,
    /// Milliseconds after `opened`.
    last_sent: AtomicU64,
    /// Bytes of this exchange's answer, as long as its head is not over.
    before_head: AtomicUsize,
    headed: AtomicBool,
    request_whole: AtomicBool,
    /// The origin refused to take the rest of what was sent.
    cut: AtomicBool,
}

impl Traffic {
    pub(super) fn new() -> Arc<Traffic> {
        Arc::new(Traffic {
            opened: Instant::now(),
            last_sent: AtomicU64::new(0),
            before_head: AtomicUsize::new(0),
            headed: AtomicBool::new(false),
            request_whole: AtomicBool::new(false),
            cut: AtomicBool::new(false),
        })
    }

    /// Starts to watch a new exchange.
    pub(super) fn begin(&self) {
        self.before_head.store(0, Relaxed);
        self.headed.store(false, Relaxed);
        self.request_whole.store(false, Relaxed);
        self.mark_sent();
    }

    fn mark_sent(&self) {
        let since = self.opened.elapsed().as_millis() as u64;
        self.last_sent.store(since, Relaxed);
    }

    /// When anything of the request last went out, or the exchange began.
    pub(super) fn last_sent(&self) -> Instant {
        self.opened + Duration::from_millis(self.last_sent.load(Relaxed))
    }

    /// Whether a single byte came back in this exchange.
    pub(super) fn is_answered(&self) -> bool {
        self.before_head.load(Relaxed) > 0
    }

    /// The head of the answer is over.
    pub(super) fn head_came(&self) {
        self.headed.store(true, Relaxed);
    }

    /// Counts bytes that came. False where they are too many for a head.
    fn count(&self, bytes: usize) -> bool {
        self.headed.load(Relaxed)
            || self.before_head.fetch_add(bytes, Relaxed) + bytes <= MAX_BEFORE_HEAD
    }

    /// Whether the request went out to its end, and nothing of it was refused.
    pub(super) fn is_request_whole(&self) -> bool {
        self.request_whole.load(Relaxed) && !self.cut.load(Relaxed)
    }
}

/// A stream that notes its traffic.
///
/// Once writing fails, what is written is discarded and only reading goes on: an origin that refuses
/// an upload answers first and closes then, and the answer is what the client should see.
pub(super) struct Watched {
    stream: Take<Box<dyn Stream>>,
    traffic: Arc<Traffic>,
    _slot: Option<Slot>,
}

impl Watched {
    pub(super) fn new(
        stream: Box<dyn Stream>,
        traffic: Arc<Traffic>,
        slot: Option<Slot>,
    ) -> Watched {
        Watched {
            stream: stream.take(READ_AT_ONCE),
            traffic,
            _slot: slot,
        }
    }

    fn writer(&mut self) -> Pin<&mut Box<dyn Stream>> {
        Pin::new(self.stream.get_mut())
    }

    fn written(&self, outcome: Poll<io::Result<usize>>, offered: usize) -> Poll<io::Result<usize>> {
        match ready!(outcome) {
            Ok(sent) => {
                self.traffic.mark_sent();
                Poll::Ready(Ok(sent))
            }
            Err(_) => {
                self.traffic.cut.store(true, Relaxed);
                Poll::Ready(Ok(offered))
            }
        }
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        self.stream.set_limit(READ_AT_ONCE);
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        match self.traffic.count(buffer.filled().len() - before) {
            true => Poll::Ready(Ok(())),
            false => Poll::Ready(Err(io::ErrorKind::InvalidData.into())),
        }
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.traffic.cut.load(Relaxed) {
            return Poll::Ready(Ok(bytes.len()));
        }
        let outcome = self.writer().poll_write(cx, bytes);
        self.written(outcome, bytes.len())
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let offered = slices.iter().map(|slice| slice.len()).sum();
        if self.traffic.cut.load(Relaxed) {
            return Poll::Ready(Ok(offered));
        }
        let outcome = self.writer().poll_write_vectored(cx, slices);
        self.written(outcome, offered)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.get_ref().is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if ready!(self.writer().poll_flush(cx)).is_err() {
            self.traffic.cut.store(true, Relaxed);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.writer().poll_shutdown(cx)
    }
}

/// A request body that notes when it was handed over whole.
pub(super) struct Upload {
    body: Body,
    traffic: Arc<Traffic>,
    /// What it waits for before it begins.
    held: Option<Pin<Box<dyn Future<Output = ()> + Send + Sync>>>,
}

impl Upload {
    pub(super) fn new(body: Body, traffic: Arc<Traffic>) -> Upload {
        let upload = Upload {
            body,
            traffic,
            held: None,
        };
        upload.note_end();
        upload
    }

    /// Does not begin before it is told to, or nobody has said anything for a while.
    pub(super) fn wait_for(&mut self, told: Arc<Notify>) {
        self.held = Some(Box::pin(async move {
            let _ = timeout(CONTINUE_PATIENCE, told.notified()).await; // either way it begins
        }));
    }

    /// The body again, for a request that was never begun.
    pub(super) fn into_body(self) -> Body {
        self.body
    }

    fn note_end(&self) {
        if self.body.is_end_stream() {
            self.traffic.request_whole.store(true, Relaxed);
        }
    }
}

impl HttpBody for Upload {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Some(held) = &mut self.held {
            ready!(held.as_mut().poll(cx));
            self.held = None;
        }
        let polled = ready!(Pin::new(&mut self.body).poll_frame(cx));
        match &polled {
            None => self.traffic.request_whole.store(true, Relaxed),
            // hyper asks no further after trailers.
            Some(Ok(frame)) if frame.is_trailers() => {
                self.traffic.request_whole.store(true, Relaxed);
            }
            Some(_) => self.note_end(),
        }
        Poll::Ready(polled)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

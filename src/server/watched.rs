//! A client's HTTP/1 connection, its request heads followed as they are read: which are in doubt,
//! which are too long, who takes too much time, and who has only finished speaking.
//!
//! hyper can close on a client that is slow; to answer it takes somebody who knows that nothing else
//! is being written. That is known here: every head that ended has its answer before the next does.

use super::exchanges::Exchanges;
use super::parting::{self, Parting};
use crate::metrics::Metrics;
use crate::refuse::{Heads, Oversized, Place};
use crate::rules::settings::ClientLimits;
use arrayvec::ArrayVec;
use bytes::{Buf, Bytes};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// Bytes of an answer, head and body, up to which they are gathered for a plain write: to the kernel it is
/// cheaper than one of several pieces by more than the copy costs.
const SMALL: usize = 4096;

/// Whether all the pieces fit into one.
fn gather(slices: &[IoSlice<'_>], whole: &mut ArrayVec<u8, SMALL>) -> bool {
    let mut slices = slices.iter();
    slices.all(|slice| whole.try_extend_from_slice(slice).is_ok())
}

/// A connection that knows how far its messages have come.
pub(super) struct Watched<S> {
    stream: S,
    heads: Heads,
    exchanges: Arc<Exchanges>,
    limits: ClientLimits,
    metrics: Arc<Metrics>,
    clocks: Clocks,
    /// An interim answer that is being written; nothing else is before it has been.
    interim: Bytes,
    /// Nothing of an answer is half written: hyper has nothing more that it did not try to write.
    is_flushed: bool,
    /// The last write found no room: bytes of an answer wait for it.
    is_blocked: bool,
    /// The client has finished speaking and still gets its answer.
    is_half_closed: bool,
    parting: Option<Parting>,
}

/// When what last happened, and what to wake up for.
struct Clocks {
    read: Instant,
    written: Instant,
    head_begun: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

/// What to do with a client that let a deadline pass.
enum Late {
    Close,
    Answer,
}

impl<S> Watched<S> {
    /// `exchanges` are told of a doubtful head before its bytes are handed on.
    pub(super) fn new(
        stream: S,
        exchanges: Arc<Exchanges>,
        limits: ClientLimits,
        metrics: Arc<Metrics>,
    ) -> Watched<S> {
        let now = Instant::now();
        Watched {
            stream,
            heads: Heads::new(limits.max_head),
            exchanges,
            limits,
            metrics,
            clocks: Clocks {
                read: now,
                written: now,
                head_begun: None,
                timer: None,
            },
            interim: Bytes::new(),
            is_flushed: true,
            is_blocked: false,
            is_half_closed: false,
            parting: None,
        }
    }

    /// Whether a request is read and its answer not yet written to its end.
    fn is_answering(&self) -> bool {
        self.is_blocked || self.heads.ended() > self.exchanges.ended()
    }

    /// Follows what was read into a buffer behind `before`, and takes back what is too much.
    fn follow(&mut self, buffer: &mut ReadBuf<'_>, before: usize) {
        let taken = self.heads.follow(&buffer.filled()[before..]);
        buffer.set_filled(before + taken);
        if self.heads.doubtful() {
            self.exchanges.doubt();
        }
        self.clocks.read = Instant::now();
        let place = self.heads.place();
        let receiving = match place {
            Place::Body => self.heads.ended(),
            Place::Between | Place::Head => 0,
        };
        self.exchanges.receives(receiving);
        self.clocks.head_begun = match place {
            Place::Head => self.clocks.head_begun.or(Some(self.clocks.read)),
            Place::Between | Place::Body => None,
        };
    }

    /// When somebody would be late, and what would become of him.
    fn deadline(&self) -> (Instant, Late) {
        let moved = self.clocks.read.max(self.clocks.written);
        let idle = (moved + self.limits.idle_timeout, Late::Close);
        match (self.is_answering(), self.heads.place()) {
            // Whoever is gone for good looks the same until something is written to him.
            (true, _) if self.is_half_closed => idle,
            // Nobody wakes us when the answer has been written: we look again by ourselves.
            (true, _) => (Instant::now() + self.limits.idle_timeout, Late::Close),
            (false, Place::Head) => {
                // A head behind another request is waited for from that request's answer on.
                let begun = self.clocks.head_begun.unwrap_or(moved);
                let begun = begun.max(self.clocks.written);
                (begun + self.limits.head_timeout, Late::Answer)
            }
            (false, _) => idle,
        }
    }

    /// Ready when the deadline has passed.
    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<Late> {
        let (deadline, late) = self.deadline();
        self.clocks.poll_until(deadline, cx).map(|()| late)
    }
}

impl Clocks {
    /// Wakes the connection at a deadline. A timer that is set too early is left alone until it wakes
    /// us: deadlines move with every request, and timers cost more to set than to look at.
    fn poll_until(&mut self, deadline: Instant, cx: &mut Context<'_>) -> Poll<()> {
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
}

impl<S: AsyncRead + AsyncWrite + Unpin> Watched<S> {
    /// Reads on. At the end of reading for our own reasons it is parting or there is no more.
    fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.is_half_closed {
            let before = buffer.filled().len();
            match Pin::new(&mut self.stream).poll_read(cx, buffer)? {
                Poll::Ready(()) if buffer.filled().len() > before => {
                    self.follow(buffer, before);
                    self.part_if_oversized();
                    if buffer.filled().len() > before {
                        return Poll::Ready(Ok(()));
                    }
                }
                Poll::Ready(()) => self.is_half_closed = true,
                Poll::Pending => {}
            }
        }
        // A body that ends here is cut short; whole requests are still answered.
        if self.is_half_closed && (!self.is_answering() || self.heads.place() == Place::Body) {
            return Poll::Ready(Ok(()));
        }
        if self.is_half_closed {
            self.exchanges.wake_at_end(cx);
        }
        if self.parting.is_none() {
            match ready!(self.poll_late(cx)) {
                Late::Close => return Poll::Ready(Ok(())),
                Late::Answer => self.part(parting::TOO_LATE),
            }
        }
        Poll::Ready(Ok(()))
    }

    fn part_if_oversized(&mut self) {
        match self.heads.oversized() {
            Some(Oversized::Target) => self.part(parting::LONG_TARGET),
            Some(Oversized::Head) => self.part(parting::LONG_HEAD),
            None => {}
        }
    }

    fn part(&mut self, words: parting::Words) {
        if self.parting.is_none() {
            self.metrics.connection_cut(words.reason);
            self.parting = Some(Parting::new(words));
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.exchanges.is_tunnel() {
            return Pin::new(&mut this.stream).poll_read(cx, buffer);
        }
        let before = buffer.filled().len();
        if this.parting.is_none() {
            ready!(this.poll_next(cx, buffer))?;
            if this.parting.is_none() || buffer.filled().len() > before {
                return Poll::Ready(Ok(()));
            }
        }
        // The answers before this one come first.
        if this.is_answering() {
            this.exchanges.wake_at_end(cx);
            return Poll::Pending;
        }
        match &mut this.parting {
            Some(parting) => parting.poll(&mut this.stream, cx),
            None => Poll::Ready(Ok(())),
        }
    }
}

impl<S: AsyncWrite + Unpin> Watched<S> {
    /// Writes what is to be said before an answer, where that is what begins now.
    fn poll_interims_before_bytes(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.exchanges.is_tunnel() {
            return self.poll_interim(cx); // one that has begun comes to its end
        }
        match self.is_flushed && self.interim.is_empty() {
            true => self.interim = self.exchanges.outlet().take(),
            false => self.exchanges.outlet().pass_over(),
        }
        self.is_flushed = false;
        self.poll_interim(cx)
    }

    /// Writes the rest of an interim answer.
    fn poll_interim(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.interim.is_empty() {
            let outcome = Pin::new(&mut self.stream).poll_write(cx, &self.interim);
            match ready!(self.written(outcome, cx))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.interim.advance(written),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Notes what became of a write. A client that takes nothing of its answer for as long as it may
    /// be idle has left without saying so.
    fn written(
        &mut self,
        outcome: Poll<io::Result<usize>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        self.is_blocked = outcome.is_pending();
        if outcome.is_ready() {
            self.clocks.written = Instant::now();
            return outcome;
        }
        if self.exchanges.is_tunnel() {
            return Poll::Pending;
        }
        let deadline = self.clocks.written + self.limits.idle_timeout;
        ready!(self.clocks.poll_until(deadline, cx));
        self.metrics.connection_cut("unread-answer");
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_interims_before_bytes(cx))?;
        let outcome = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.written(outcome, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_interims_before_bytes(cx))?;
        let mut whole = ArrayVec::new();
        let outcome = match gather(slices, &mut whole) {
            true => Pin::new(&mut self.stream).poll_write(cx, &whole),
            false => Pin::new(&mut self.stream).poll_write_vectored(cx, slices),
        };
        self.written(outcome, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// hyper flushes when it has written all that it has.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.exchanges.is_tunnel() {
            self.exchanges.outlet().wake(cx);
            ready!(self.poll_interim(cx))?;
            self.interim = self.exchanges.outlet().take();
            ready!(self.poll_interim(cx))?;
        }
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        self.is_flushed = true;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests;

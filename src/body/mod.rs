//! The bytes of a message, wherever they come from.
//!
//! One rule holds for every kind: a body that broke is never seen as a shorter one that is whole.
//! Its reader gets an error, so that a client sees a truncated answer.

mod channel; // a body that is written while it is read
mod compared; // a body that may be a copy of what is known
mod guard; // a body that keeps to limits of size and time
mod overheard; // a body that is listened to while it passes
mod read; // the beginning of a body, for those who must know it

pub use channel::{BodySender, Gone};
pub use overheard::{Heard, Listener};
pub use read::{Read, exact, read_in_time, read_now, read_up_to};

use crate::outcome::Detail;
use bytes::Bytes;
use channel::Receiver;
use compared::Compared;
use guard::Guard;
use hyper::HeaderMap;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use overheard::{Copier, Overheard};
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

/// Why the bytes of a body ended before the body did.
#[derive(Debug)]
pub enum BodyError {
    /// Its writer gave up.
    Aborted,
    /// Its writer wrote fewer or more bytes than it had declared.
    Length,
    /// The connection that it came from broke, or its framing made no sense.
    Broken(hyper::Error),
    /// It is longer than it may be.
    TooLong,
    /// Nothing came of it for too long.
    TooSlow,
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BodyError::Aborted => f.write_str("the body was given up by its writer"),
            BodyError::Length => f.write_str("the body has not its declared length"),
            BodyError::Broken(error) => write!(f, "the body broke off: {error}"),
            BodyError::TooLong => f.write_str("the body is too long"),
            BodyError::TooSlow => f.write_str("the body came too slowly"),
        }
    }
}

impl std::error::Error for BodyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            BodyError::Broken(error) => Some(error),
            _ => None,
        }
    }
}

impl BodyError {
    /// The word that clients, logs and metrics get where it was a request's.
    pub fn detail(&self) -> Detail {
        match self {
            BodyError::TooLong => Detail::RequestTooLarge,
            BodyError::TooSlow => Detail::ClientSlow,
            BodyError::Aborted | BodyError::Length | BodyError::Broken(_) => Detail::ClientGone,
        }
    }
}

/// Where a body comes from, attended to by nobody but the body's reader: no task stands between the
/// two, and what is not read is not fetched.
pub trait Feed: Send + Sync {
    /// Goes on as far as it can. The task is woken when it can go further.
    fn go_on(&mut self, cx: &mut Context<'_>);

    /// Whether a task of its own goes on with it: then the body wakes whoever reads it.
    fn is_attended(&self) -> bool {
        false
    }

    /// The body was read to its end. To be dropped before that is to be given up.
    fn end(self: Box<Self>);
}

/// A message body: frames of bytes, perhaps trailers last.
#[derive(Default)]
pub struct Body {
    /// What was read of it and put back.
    first: Bytes,
    /// Trailers that were read and put back: `source` is at its end then.
    trailers: Option<Box<HeaderMap>>,
    source: Source,
    guard: Option<Box<Guard>>,
}

/// What a body says next.
type Polled = Poll<Option<Result<Frame<Bytes>, BodyError>>>;

#[derive(Default)]
enum Source {
    #[default]
    Empty,
    Whole(Bytes),
    Client(Incoming),
    Fed(Incoming, Option<Box<dyn Feed>>),
    Channel(Receiver),
    Compared(Box<Compared>),
    Overheard(Box<Overheard>),
    Broken {
        length: Option<u64>,
        is_begun: bool,
    },
}

impl From<Source> for Body {
    fn from(source: Source) -> Body {
        Body {
            source,
            ..Body::default()
        }
    }
}

impl Body {
    /// No bytes.
    pub fn empty() -> Body {
        Body::default()
    }

    /// These bytes.
    pub fn full(bytes: Bytes) -> Body {
        Body::from(Source::Whole(bytes))
    }

    /// What arrives on a connection.
    pub fn client(incoming: Incoming) -> Body {
        Body::from(Source::Client(incoming))
    }

    /// What `feed` brings in. It is told of the end of the body, at once where that is empty; where the
    /// body breaks or is not read to its end, it is dropped.
    pub fn fed(incoming: Incoming, feed: Box<dyn Feed>) -> Body {
        if incoming.is_end_stream() {
            feed.end();
            return Body::empty();
        }
        Body::from(Source::Fed(incoming, Some(feed)))
    }

    /// A body that is written while it is read. With a `length` it is framed by that length, and a
    /// writer that does not keep to it breaks it.
    pub fn channel(length: Option<u64>) -> (BodySender, Body) {
        let (sender, receiver) = channel::channel(length);
        (sender, Body::from(Source::Channel(receiver)))
    }

    /// The same body; `told` hears at its end whether its bytes were the same as `other`, or as soon as they
    /// cannot be. Where it breaks, or is not read to its end, nothing is told.
    pub fn compared(self, other: Bytes, told: impl FnOnce(bool) + Send + Sync + 'static) -> Body {
        if self.is_end_stream() {
            told(other.is_empty());
            return self;
        }
        let compared = Compared::new(self, other, Box::new(told));
        Body::from(Source::Compared(Box::new(compared)))
    }

    /// The same body; `told` gets a copy of it, if that is of at most `most` bytes, when it is over: at its
    /// end, where it breaks, or when it is dropped.
    pub fn overheard(self, most: usize, told: impl FnOnce(Heard) + Send + Sync + 'static) -> Body {
        self.heard_by(Box::new(Copier::new(most, Box::new(told))))
    }

    /// The same body, and somebody who listens to it.
    pub fn heard_by(self, listener: Box<dyn Listener>) -> Body {
        if self.is_end_stream() {
            listener.end(true);
            return self;
        }
        Body::from(Source::Overheard(Box::new(Overheard::new(self, listener))))
    }

    /// The same body, broken off where it is longer than `most` bytes, or where nothing of it comes for
    /// as long as `patience` while it is being read.
    pub fn within(mut self, most: Option<u64>, patience: Duration) -> Body {
        if !self.is_end_stream() {
            self.guard = Some(Box::new(Guard::new(most, patience)));
        }
        self
    }

    /// Whether nothing of it was read yet, so that whoever sends it may still be waiting to be told to.
    pub fn is_untouched(&self) -> bool {
        let is_incoming = match &self.source {
            Source::Client(_) => true,
            Source::Overheard(overheard) => overheard.is_untouched(),
            _ => false,
        };
        let is_read = self.guard.as_ref().is_some_and(|guard| guard.is_read());
        is_incoming && self.first.is_empty() && self.trailers.is_none() && !is_read
    }

    /// Puts back what was read: the first bytes, and the trailers where it was read up to them.
    fn unread(self, first: Bytes, trailers: Option<HeaderMap>) -> Body {
        Body {
            first,
            trailers: trailers.map(Box::new),
            source: self.source,
            guard: self.guard,
        }
    }
}

impl Body {
    /// A body that breaks off before its first byte: its reader sees a truncated message.
    pub fn broken(length: Option<u64>) -> Body {
        Body::from(Source::Broken {
            length,
            is_begun: false,
        })
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Body {
        Body::full(bytes)
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Bodies are never shown; their size is.
        write!(f, "Body({:?})", self.size_hint())
    }
}

/// A body that a connection's own task brings in.
fn poll_client(incoming: &mut Incoming, cx: &mut Context<'_>) -> Polled {
    let polled = Pin::new(incoming).poll_frame(cx);
    polled.map(|frame| frame.map(|frame| frame.map_err(BodyError::Broken)))
}

/// A body that its reader has to have brought in. What `feed` brings is looked at after it went on, so
/// nothing has to wake us for it.
fn poll_fed(
    incoming: &mut Incoming,
    feed: &mut Option<Box<dyn Feed>>,
    cx: &mut Context<'_>,
) -> Polled {
    let mut unwoken = Context::from_waker(Waker::noop());
    let mut polled = match feed.as_ref().is_some_and(|feed| feed.is_attended()) {
        true => poll_client(incoming, cx),
        false => poll_client(incoming, &mut unwoken),
    };
    if let (Poll::Pending, Some(feed)) = (&polled, feed.as_mut()) {
        feed.go_on(cx);
        if !feed.is_attended() {
            polled = poll_client(incoming, &mut unwoken);
        }
    }
    match ready!(&polled) {
        Some(Err(_)) => *feed = None,
        Some(Ok(_)) if !incoming.is_end_stream() => {}
        _ => {
            if let Some(feed) = feed.take() {
                feed.end();
            }
        }
    }
    polled
}

impl Source {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Polled {
        match self {
            Source::Empty => Poll::Ready(None),
            Source::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Source::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Source::Broken { is_begun: true, .. } => Poll::Ready(Some(Err(BodyError::Aborted))),
            Source::Broken { is_begun, .. } => {
                // What was written before goes out first: the head, which says what is cut short.
                *is_begun = true;
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Source::Channel(receiver) => receiver.poll_frame(cx),
            Source::Compared(compared) => compared.poll_frame(cx),
            Source::Overheard(overheard) => overheard.poll_frame(cx),
            Source::Client(incoming) => poll_client(incoming, cx),
            Source::Fed(incoming, feed) => poll_fed(incoming, feed, cx),
        }
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        if !self.first.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut self.first)))));
        }
        if let Some(trailers) = self.trailers.take() {
            return Poll::Ready(Some(Ok(Frame::trailers(*trailers))));
        }
        let polled = self.source.poll_frame(cx);
        match &mut self.guard {
            Some(guard) => guard.check(polled, cx),
            None => polled,
        }
    }

    fn is_end_stream(&self) -> bool {
        let source_ended = match &self.source {
            Source::Empty => true,
            Source::Whole(bytes) => bytes.is_empty(),
            Source::Broken { .. } => false,
            Source::Channel(receiver) => receiver.is_end_stream(),
            Source::Compared(compared) => compared.is_end_stream(),
            Source::Overheard(overheard) => overheard.is_end_stream(),
            Source::Client(incoming) | Source::Fed(incoming, _) => incoming.is_end_stream(),
        };
        self.first.is_empty() && self.trailers.is_none() && source_ended
    }

    fn size_hint(&self) -> SizeHint {
        if self.trailers.is_some() {
            return SizeHint::default(); // trailers need chunked framing: no exact size
        }
        let source = match &self.source {
            Source::Empty => SizeHint::with_exact(0),
            Source::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Source::Broken { length, .. } => {
                length.map_or_else(SizeHint::new, SizeHint::with_exact)
            }
            Source::Channel(receiver) => receiver.size_hint(),
            Source::Compared(compared) => compared.size_hint(),
            Source::Overheard(overheard) => overheard.size_hint(),
            Source::Client(incoming) | Source::Fed(incoming, _) => incoming.size_hint(),
        };
        match source.exact() {
            Some(length) => SizeHint::with_exact(length + self.first.len() as u64),
            None => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests;

//! A body that is written while it is read: a queue of frames with back-pressure, and an end that
//! has to be said.

use super::{Body, BodyError};
use bytes::Bytes;
use hyper::body::{Body as _, Frame, SizeHint};
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::sync::{Semaphore, mpsc};

/// Frames that may wait between writer and reader. A frame is at most one read of a socket, so that
/// a slow reader holds less than a megabyte, and a fast one never waits for a single frame's turn.
const FRAMES_IN_FLIGHT: usize = 16;

/// Why nothing more can be sent: the reader is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone;

impl fmt::Display for Gone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the reader of the body is gone")
    }
}

impl std::error::Error for Gone {}

enum Message {
    /// A frame that holds a place until it is read.
    Placed(Frame<Bytes>),
    /// A frame whose writer did not wait for a place.
    Now(Frame<Bytes>),
    /// What follows comes from elsewhere.
    Rest(Box<Body>),
    /// The end, as opposed to a writer that vanished.
    End,
}

/// The writing half. Dropping it without [`BodySender::finish`] aborts the body.
pub struct BodySender {
    queue: mpsc::UnboundedSender<Message>,
    places: Arc<Semaphore>,
}

impl BodySender {
    /// Sends a frame, waiting while the reader is far behind.
    pub async fn send(&self, frame: Frame<Bytes>) -> Result<(), Gone> {
        let place = self.places.acquire().await.map_err(|_| Gone)?;
        place.forget(); // the reader gives it back
        self.queue.send(Message::Placed(frame)).map_err(|_| Gone)
    }

    /// Sends a frame without ever waiting: for bytes that are kept in memory anyway, and so cost
    /// nothing while they wait.
    pub fn send_now(&self, frame: Frame<Bytes>) -> Result<(), Gone> {
        self.queue.send(Message::Now(frame)).map_err(|_| Gone)
    }

    /// Says that the body is whole.
    pub fn finish(self) {
        // A reader that is gone does not mind.
        let _ = self.queue.send(Message::End);
    }

    /// Leaves the rest to another body, which the reader reads at his own pace: nothing of it waits here.
    pub fn hand_over(self, rest: Body) {
        // A reader that is gone has no use for it.
        let _ = self.queue.send(Message::Rest(Box::new(rest)));
    }

    /// Says that the rest will not come: the reader gets [`BodyError::Aborted`] after what was sent.
    pub fn abort(self) {}

    /// Completes when the reader is gone.
    pub async fn closed(&self) {
        self.queue.closed().await;
    }
}

/// The reading half.
pub(super) struct Receiver {
    queue: mpsc::UnboundedReceiver<Message>,
    places: Arc<Semaphore>,
    rest: Option<Box<Body>>,
    /// Bytes still to come, where the length was declared.
    remaining: Option<u64>,
    ended: bool,
}

pub(super) fn channel(length: Option<u64>) -> (BodySender, Receiver) {
    let (sender, queue) = mpsc::unbounded_channel();
    let places = Arc::new(Semaphore::new(FRAMES_IN_FLIGHT));
    let receiver = Receiver {
        queue,
        places: places.clone(),
        rest: None,
        remaining: length,
        ended: false,
    };
    let queue = sender;
    (BodySender { queue, places }, receiver)
}

impl Receiver {
    pub(super) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let frame = match ready!(self.poll_message(cx)?) {
            Some(Message::Placed(frame)) => {
                self.places.add_permits(1);
                self.counted(frame)
            }
            Some(Message::Now(frame)) => self.counted(frame),
            Some(Message::Rest(rest)) => {
                self.rest = Some(rest);
                return self.poll_frame(cx);
            }
            Some(Message::End) => match self.remaining {
                None | Some(0) => return Poll::Ready(self.end()),
                Some(_) => Err(BodyError::Length),
            },
            // Nothing is missing where all declared bytes came.
            None if self.remaining == Some(0) => return Poll::Ready(self.end()),
            None => Err(BodyError::Aborted),
        };
        self.ended = frame.is_err();
        Poll::Ready(Some(frame))
    }

    fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Message>, BodyError>> {
        let Some(rest) = &mut self.rest else {
            return self.queue.poll_recv(cx).map(Ok);
        };
        let frame = ready!(Pin::new(rest).poll_frame(cx));
        let frame = frame.transpose().inspect_err(|_| self.ended = true)?;
        Poll::Ready(Ok(Some(frame.map_or(Message::End, Message::Now))))
    }

    fn end(&mut self) -> Option<Result<Frame<Bytes>, BodyError>> {
        self.ended = true;
        None
    }

    /// Holds a frame against the declared length.
    fn counted(&mut self, frame: Frame<Bytes>) -> Result<Frame<Bytes>, BodyError> {
        let length = frame.data_ref().map_or(0, Bytes::len) as u64;
        if let Some(remaining) = &mut self.remaining {
            *remaining = remaining.checked_sub(length).ok_or(BodyError::Length)?;
        }
        Ok(frame)
    }

    pub(super) fn is_end_stream(&self) -> bool {
        self.ended || self.remaining == Some(0)
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        self.remaining
            .map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        // Writers that wait for a place wake up and find the reader gone.
        self.places.close();
    }
}

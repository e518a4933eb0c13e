//! A body that is held against other bytes while it passes.

use super::{Body, Polled};
use bytes::{Buf, Bytes};
use hyper::body::{Body as HttpBody, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll};

/// Is told whether they were the same.
type Told = Box<dyn FnOnce(bool) + Send + Sync>;

/// A body, and what it may turn out to be a copy of.
pub(super) struct Compared {
    body: Body,
    /// What is yet to come if they are the same.
    rest: Bytes,
    /// Until it is known.
    told: Option<Told>,
}

impl Compared {
    pub(super) fn new(body: Body, other: Bytes, told: Told) -> Compared {
        Compared {
            body,
            rest: other,
            told: Some(told),
        }
    }

    pub(super) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Polled {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        match &polled {
            Poll::Pending => {}
            Poll::Ready(Some(Err(_))) => self.told = None, // what it would have been nobody knows
            Poll::Ready(Some(Ok(frame))) => {
                let came = frame.data_ref().map(Bytes::as_ref).unwrap_or_default();
                self.heed(came);
            }
            Poll::Ready(None) => self.tell(self.rest.is_empty()),
        }
        polled
    }

    fn heed(&mut self, came: &[u8]) {
        match self.rest.starts_with(came) {
            true => self.rest.advance(came.len()),
            false => self.tell(false),
        }
        // Nobody asks a body for more that says that it is at its end.
        if self.body.is_end_stream() {
            self.tell(self.rest.is_empty());
        }
    }

    fn tell(&mut self, is_same: bool) {
        self.rest = Bytes::new(); // of no more use, however long the client still reads
        if let Some(told) = self.told.take() {
            told(is_same);
        }
    }

    pub(super) fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

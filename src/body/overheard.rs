//! A body that is listened to while it passes.

use super::{Body, Polled};
use bytes::{Bytes, BytesMut};
use hyper::body::{Body as HttpBody, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll};

/// Listens to a body, in the task that passes it on: whatever takes long is to be done elsewhere.
pub trait Listener: Send + Sync {
    /// More of it came.
    fn hear(&mut self, came: &[u8]);

    /// It is over: it came to its end if it `is_whole`, else it broke off or its reader has had enough.
    fn end(self: Box<Self>, is_whole: bool);
}

/// What was heard of a body.
#[derive(Debug)]
pub struct Heard {
    /// Its bytes, or as many as came; nothing where those are more than was wanted.
    pub bytes: Option<Bytes>,
    /// How many they were.
    pub length: u64,
    /// It came to its end.
    pub is_whole: bool,
}

/// Is told what was heard.
type Told = Box<dyn FnOnce(Heard) + Send + Sync>;

/// Makes a copy.
pub(super) struct Copier {
    most: usize,
    bytes: BytesMut,
    length: u64,
    told: Told,
}

impl Copier {
    /// Of no more than `most` bytes a copy is made.
    pub(super) fn new(most: usize, told: Told) -> Copier {
        Copier {
            most,
            bytes: BytesMut::new(),
            length: 0,
            told,
        }
    }
}

impl Listener for Copier {
    fn hear(&mut self, came: &[u8]) {
        self.length += came.len() as u64;
        match self.length <= self.most as u64 {
            true => self.bytes.extend_from_slice(came),
            false => self.bytes = BytesMut::new(), // half of it is of no use
        }
    }

    fn end(self: Box<Copier>, is_whole: bool) {
        (self.told)(Heard {
            bytes: (self.length <= self.most as u64).then_some(self.bytes.freeze()),
            length: self.length,
            is_whole,
        });
    }
}

/// A body, and who listens to it.
pub(super) struct Overheard {
    body: Body,
    /// Until it is over.
    listener: Option<Box<dyn Listener>>,
}

impl Overheard {
    pub(super) fn new(body: Body, listener: Box<dyn Listener>) -> Overheard {
        Overheard {
            body,
            listener: Some(listener),
        }
    }

    pub(super) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Polled {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        match &polled {
            Poll::Pending => {}
            Poll::Ready(Some(Err(_))) => self.tell(false),
            Poll::Ready(Some(Ok(frame))) => {
                let came = frame.data_ref().map(Bytes::as_ref).unwrap_or_default();
                self.heed(came);
            }
            Poll::Ready(None) => self.tell(true),
        }
        polled
    }

    fn heed(&mut self, came: &[u8]) {
        if let Some(listener) = &mut self.listener {
            listener.hear(came);
        }
        // Nobody asks a body for more that says that it is at its end.
        if self.body.is_end_stream() {
            self.tell(true);
        }
    }

    fn tell(&mut self, is_whole: bool) {
        if let Some(listener) = self.listener.take() {
            listener.end(is_whole);
        }
    }

    /// See [`Body::is_untouched`].
    pub(super) fn is_untouched(&self) -> bool {
        self.body.is_untouched()
    }

    pub(super) fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Overheard {
    /// Whoever read it has had enough.
    fn drop(&mut self) {
        self.tell(false);
    }
}

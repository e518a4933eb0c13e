//! Parting from a client whose request never became one: a last answer, then the connection closes.

use bytes::{Buf, Bytes};
use hyper::StatusCode;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Duration, Instant, Sleep, sleep_until};

/// How long the client may take to close: bytes that arrive at a closed socket make it forget the
/// answer that it has not read yet.
const PATIENCE: Duration = Duration::from_secs(2);

/// Bytes that are read meanwhile, to be forgotten; whoever sends more does not listen.
const MAX_IGNORED: usize = 1 << 20;

/// What a client is told.
#[derive(Clone, Copy)]
pub(super) struct Words {
    status: StatusCode,
    text: &'static str,
    /// For metrics.
    pub(super) reason: &'static str,
}

pub(super) const TOO_LATE: Words = Words {
    status: StatusCode::REQUEST_TIMEOUT,
    text: "the request's head took too long",
    reason: "head-timeout",
};

pub(super) const LONG_TARGET: Words = Words {
    status: StatusCode::URI_TOO_LONG,
    text: "the target is too long",
    reason: "target-too-long",
};

pub(super) const LONG_HEAD: Words = Words {
    status: StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
    text: "the request's head is too large",
    reason: "head-too-large",
};

impl Words {
    fn answer(self) -> Bytes {
        let body = serde_json::json!({ "error": self.text, "detail": "refused" }).to_string();
        let head = format!(
            "HTTP/1.1 {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n",
            self.status,
            body.len()
        );
        Bytes::from(head + &body)
    }
}

/// A last answer on its way.
pub(super) struct Parting {
    unsaid: Bytes,
    ignored: usize,
    /// Begins when all is said.
    closing: Option<Pin<Box<Sleep>>>,
}

impl Parting {
    pub(super) fn new(words: Words) -> Parting {
        Parting {
            unsaid: words.answer(),
            ignored: 0,
            closing: None,
        }
    }

    /// Ready when the connection may be closed.
    pub(super) fn poll<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while !self.unsaid.is_empty() {
            let said = ready!(Pin::new(&mut *stream).poll_write(cx, &self.unsaid))?;
            self.unsaid.advance(said);
        }
        if self.closing.is_none() {
            ready!(Pin::new(&mut *stream).poll_shutdown(cx))?;
        }
        let closing = self
            .closing
            .get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + PATIENCE)));
        let mut space = [0; 4096];
        while self.ignored < MAX_IGNORED && closing.as_mut().poll(cx).is_pending() {
            let mut buffer = ReadBuf::new(&mut space);
            ready!(Pin::new(&mut *stream).poll_read(cx, &mut buffer))?;
            match buffer.filled().len() {
                0 => break,
                more => self.ignored += more,
            }
        }
        Poll::Ready(Ok(()))
    }
}

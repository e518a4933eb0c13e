//! An answer's body on its way to the client.

use super::exchanges::UnderWay;
use super::streams::{PIECE, Reading};
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// An answer's body, whose request is under way until it is dropped.
pub(super) struct Answering<B> {
    /// `None` where an answer has none by its request's method.
    body: Option<B>,
    _under_way: UnderWay,
    /// How far a stream's client reads. The body is handed over piece by piece then.
    reading: Option<Arc<Reading>>,
    /// What of the last frame is not handed over.
    rest: Bytes,
}

impl<B> Answering<B> {
    /// A body as it comes.
    pub(super) fn whole(body: B, under_way: UnderWay) -> Answering<B> {
        Answering {
            body: Some(body),
            _under_way: under_way,
            reading: None,
            rest: Bytes::new(),
        }
    }

    /// A body in pieces, within a stream of HTTP/2.
    pub(super) fn in_pieces(body: B, under_way: UnderWay) -> Answering<B> {
        Answering {
            reading: Reading::current(),
            ..Answering::whole(body, under_way)
        }
    }

    /// No body.
    pub(super) fn none(under_way: UnderWay) -> Answering<B> {
        Answering {
            body: None,
            _under_way: under_way,
            reading: None,
            rest: Bytes::new(),
        }
    }
}

/// What a body may say next.
type Next<E> = Option<Result<Frame<Bytes>, E>>;

impl<B: HttpBody<Data = Bytes> + Unpin> Answering<B> {
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Next<B::Error>> {
        match &mut self.body {
            Some(body) => Pin::new(body).poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Next<B::Error>> {
        if self.rest.is_empty() {
            match ready!(self.poll_body(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.rest = data,
                    Err(other) => return Poll::Ready(Some(Ok(other))),
                },
                ended => return Poll::Ready(ended),
            }
        }
        let piece = self.rest.split_to(self.rest.len().min(PIECE));
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }
}

impl<B: HttpBody<Data = Bytes> + Unpin> HttpBody for Answering<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Next<B::Error>> {
        let Some(reading) = self.reading.take() else {
            return self.poll_body(cx);
        };
        let polled = self.poll_piece(cx);
        reading.waits(polled.is_ready());
        self.reading = Some(reading);
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.rest.len() as u64;
        let none = SizeHint::with_exact(0);
        let hint = self.body.as_ref().map_or(none, HttpBody::size_hint);
        let mut whole = SizeHint::new();
        whole.set_lower(hint.lower() + rest);
        if let Some(upper) = hint.upper() {
            whole.set_upper(upper + rest);
        }
        whole
    }
}

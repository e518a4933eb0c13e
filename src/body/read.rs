//! The beginning of a body, for those who must know it.

use super::{Body, BodyError};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::HeaderMap;
use hyper::body::Body as HttpBody;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::time::timeout;

/// What reading up to a limit came to.
#[derive(Debug)]
pub enum Read {
    /// The whole body, within the limit.
    Whole(Bytes),
    /// The body is longer than the limit, or ends in trailers, which its bytes alone would lose. This
    /// is all of it: what was read, then the rest.
    Longer(Body),
    /// It broke off.
    Broken(BodyError),
}

/// Reads a body of at most `limit` bytes. One that declares to be longer is not begun.
pub async fn read_up_to(mut body: Body, limit: usize) -> Read {
    if body.size_hint().lower() > limit as u64 {
        return Read::Longer(body);
    }
    let mut bytes = room(&body);
    let end = gather(&mut body, &mut bytes, limit).await;
    end.of(body, bytes)
}

/// The same, but a body of which something is yet to come counts as longer than the limit.
pub fn read_now(mut body: Body, limit: usize) -> Read {
    if body.size_hint().lower() > limit as u64 {
        return Read::Longer(body);
    }
    let mut bytes = room(&body);
    let mut unwoken = Context::from_waker(Waker::noop()); // whoever reads on is woken
    let gathered = pin!(gather(&mut body, &mut bytes, limit)).poll(&mut unwoken);
    let end = match gathered {
        Poll::Ready(end) => end,
        Poll::Pending => End::Limit,
    };
    end.of(body, bytes)
}

/// Room for as much as a body declares, which is no more than may be read of it.
fn room(body: &Body) -> BytesMut {
    BytesMut::with_capacity(body.size_hint().lower() as usize)
}

/// Bytes that hold no more memory than they are long, and nothing of what they were read with.
pub fn exact(bytes: BytesMut) -> Bytes {
    match bytes.len() == bytes.capacity() {
        true => bytes.freeze(),
        false => Bytes::copy_from_slice(&bytes),
    }
}

/// The same, but a body that takes longer than `patience` counts as longer than the limit.
pub async fn read_in_time(mut body: Body, limit: usize, patience: Duration) -> Read {
    if body.size_hint().lower() > limit as u64 {
        return Read::Longer(body);
    }
    let mut bytes = room(&body);
    let gathered = timeout(patience, gather(&mut body, &mut bytes, limit)).await;
    gathered.unwrap_or(End::Limit).of(body, bytes)
}

/// Where reading stopped.
enum End {
    Body,
    Trailers(Option<HeaderMap>),
    Limit,
    Broken(BodyError),
}

impl End {
    fn of(self, body: Body, bytes: BytesMut) -> Read {
        match self {
            End::Body => Read::Whole(exact(bytes)),
            End::Trailers(trailers) => Read::Longer(body.unread(bytes.freeze(), trailers)),
            End::Limit => Read::Longer(body.unread(bytes.freeze(), None)),
            End::Broken(error) => Read::Broken(error),
        }
    }
}

/// Loses nothing when it is cancelled: what was read is in `bytes`, the rest still in `body`.
async fn gather(body: &mut Body, bytes: &mut BytesMut, limit: usize) -> End {
    while bytes.len() <= limit {
        match body.frame().await {
            None => return End::Body,
            Some(Err(error)) => return End::Broken(error),
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => bytes.extend_from_slice(&data),
                Err(frame) => return End::Trailers(frame.into_trailers().ok()),
            },
        }
    }
    End::Limit
}

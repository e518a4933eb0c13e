//! Copying a body while it streams to a client.

use crate::body::{Body, BodySender};
use crate::outcome::Detail;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Frame;
use std::time::Duration;

/// What became of the copy.
pub(super) enum Copied {
    /// All of it; `last` is the chunk that the client has not got yet.
    Whole { bytes: Bytes, last: Option<Bytes> },
    /// It is not to be kept after all; `next` and what follows goes to the client.
    Passing {
        detail: Detail,
        next: Option<Frame<Bytes>>,
    },
    /// The origin broke off.
    Broken,
}

/// Copies a body, passing on each chunk when the next one is there. A client that reads slowly does
/// not slow the fill, one that left does not end it: the bytes are held for the copy in any case. An
/// origin that stops in the middle for `stall` is not waited for by others: the copy is given up, and
/// the client gets the rest when it comes.
pub(super) async fn take_copy(
    body: &mut Body,
    client: &BodySender,
    max: usize,
    stall: Duration,
) -> Copied {
    let mut chunks: Vec<Bytes> = Vec::new();
    let mut size = 0;
    let mut last: Option<Bytes> = None;
    loop {
        let frame = match tokio::time::timeout(stall, body.frame()).await {
            Ok(Some(Ok(frame))) => frame,
            Ok(None) => break,
            Ok(Some(Err(_))) => return Copied::Broken,
            Err(_) => {
                let _ = last.map(|chunk| client.send_now(Frame::data(chunk)));
                return Copied::Passing {
                    detail: Detail::NotKeepable,
                    next: None,
                };
            }
        };
        let held = last.take().map(|chunk| client.send_now(Frame::data(chunk)));
        let _ = held; // a client that left does not end the fill
        match frame.into_data() {
            Ok(chunk) if size + chunk.len() <= max => {
                size += chunk.len();
                chunks.push(chunk.clone());
                last = Some(chunk);
            }
            Ok(chunk) => {
                return Copied::Passing {
                    detail: Detail::TooLarge,
                    next: Some(Frame::data(chunk)),
                };
            }
            Err(trailers) => {
                return Copied::Passing {
                    detail: Detail::NotKeepable,
                    next: Some(trailers),
                };
            }
        }
    }
    let mut bytes = BytesMut::with_capacity(size);
    chunks
        .iter()
        .for_each(|chunk| bytes.extend_from_slice(chunk));
    Copied::Whole {
        bytes: bytes.freeze(),
        last,
    }
}

/// Passes on the rest at the client's pace; a client that left ends it.
pub(super) async fn relay(first: Option<Frame<Bytes>>, mut body: Body, client: BodySender) {
    if let Some(first) = first
        && client.send(first).await.is_err()
    {
        return;
    }
    loop {
        let next = tokio::select! {
            biased; // what is there is passed on, also to one who leaves at the same moment
            next = body.frame() => next,
            () = client.closed() => return, // an origin that says nothing more would hold us here
        };
        match next {
            None => return client.finish(),
            Some(Err(_)) => return client.abort(),
            Some(Ok(frame)) => {
                if client.send(frame).await.is_err() {
                    return;
                }
            }
        }
    }
}

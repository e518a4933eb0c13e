//! Copying a body while it streams to a client.

use crate::body::{self, Body, BodySender};
use crate::outcome::Detail;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body as _, Frame};
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
    let declared = body.size_hint().lower().min(max as u64);
    let mut bytes = BytesMut::with_capacity(declared as usize);
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
            Ok(chunk) if bytes.len() + chunk.len() <= max => {
                bytes.extend_from_slice(&chunk);
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
    let bytes = body::exact(bytes);
    Copied::Whole { bytes, last }
}

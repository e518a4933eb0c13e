//! The beginning of a body, for those who must know it.

use super::{Body, BodyError};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Body as HttpBody;

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
    let mut bytes = BytesMut::new();
    loop {
        let frame = match body.frame().await {
            None => return Read::Whole(bytes.freeze()),
            Some(Err(error)) => return Read::Broken(error),
            Some(Ok(frame)) => frame,
        };
        match frame.into_data() {
            Ok(data) => bytes.extend_from_slice(&data),
            Err(frame) => {
                let trailers = frame.into_trailers().ok();
                return Read::Longer(body.unread(bytes.freeze(), trailers));
            }
        }
        if bytes.len() > limit {
            return Read::Longer(body.unread(bytes.freeze(), None));
        }
    }
}

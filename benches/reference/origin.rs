//! A fast origin. It counts what it is asked.
//!
//! | request | answer |
//! | --- | --- |
//! | `GET /count` | how many other requests there were |
//! | `GET /large/BYTES`, `GET /sized/BYTES/…` | so many bytes, streamed |
//! | `GET /slow/…` | 2 KB after 300 ms |
//! | `GET /varied/…` | 2 KB at once that vary by `Accept-Language` |
//! | any other `GET` | 2 KB of JSON at once, with `ETag` and `Cache-Control` |
//! | any other method | how many bytes the request's body had, when it has read them |

use super::{Result, serve};
use bytes::Bytes;
use http_body_util::{BodyExt, Either, Full};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderValue, VARY};
use hyper::{Method, Request, Response};
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

/// The usual answer: 2 KB of JSON.
pub const ANSWER: Bytes = Bytes::from_static(include_bytes!("../answer.json"));

/// How long a slow answer takes: many times what asking a hundred times at once does.
const SLOW: Duration = Duration::from_millis(300);

/// What a large answer is sent in.
static PIECE: [u8; 64 << 10] = [b'x'; 64 << 10];

/// Answers until the program is ended.
pub async fn run(port: u16) -> Result<()> {
    let count = Arc::new(AtomicU64::new(0));
    serve(port, move |request| respond(request, count.clone())).await
}

async fn respond(
    request: Request<Incoming>,
    count: Arc<AtomicU64>,
) -> Result<Response<Either<Full<Bytes>, Large>>> {
    let path = request.uri().path();
    if path == "/count" {
        return Ok(text(count.load(Relaxed).to_string()));
    }
    count.fetch_add(1, Relaxed);
    if *request.method() != Method::GET {
        return Ok(text(length(request.into_body()).await?.to_string()));
    }
    let sized = path.strip_prefix("/sized/");
    let sized = sized.and_then(|rest| Some(rest.split_once('/')?.0));
    if let Some(bytes) = path.strip_prefix("/large/").or(sized) {
        let left = bytes.parse()?;
        return Ok(Response::new(Either::Right(Large { left })));
    }
    let is_varied = path.starts_with("/varied/");
    if path.starts_with("/slow/") {
        tokio::time::sleep(SLOW).await;
    }
    let mut answer = usual();
    if is_varied {
        let by = HeaderValue::from_static("Accept-Language");
        answer.headers_mut().insert(VARY, by);
    }
    Ok(answer)
}

fn usual() -> Response<Either<Full<Bytes>, Large>> {
    let mut response = Response::new(Either::Left(Full::new(ANSWER)));
    let headers = response.headers_mut();
    for (name, value) in [
        (CONTENT_TYPE, "application/json"),
        (ETAG, "\"5b0e6a52\""),
        (CACHE_CONTROL, "public, max-age=3600"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

fn text(text: String) -> Response<Either<Full<Bytes>, Large>> {
    Response::new(Either::Left(Full::new(Bytes::from(text))))
}

async fn length(mut body: Incoming) -> Result<u64> {
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        length += frame?.data_ref().map_or(0, |data| data.len() as u64);
    }
    Ok(length)
}

/// A body of so many bytes, made as it is read.
struct Large {
    left: u64,
}

impl Body for Large {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<std::result::Result<Frame<Bytes>, Infallible>>> {
        let length = self.left.min(PIECE.len() as u64);
        self.left -= length;
        let piece = Bytes::from_static(&PIECE[..length as usize]);
        Poll::Ready((length > 0).then(|| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

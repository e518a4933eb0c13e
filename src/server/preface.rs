//! HTTP/1 or HTTP/2, told by the first bytes of a connection (RFC 9113 §3.3: prior knowledge).

use bytes::{Buf, Bytes};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

/// What a client that speaks HTTP/2 says first. No HTTP/1 request begins so: `PRI` is reserved.
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Http1,
    Http2,
}

/// Reads as much as it takes to know. `None` where the connection ends before it says anything.
pub(super) async fn tell<S: AsyncRead + Unpin>(
    mut stream: S,
) -> io::Result<Option<(Protocol, Rewound<S>)>> {
    let mut first = [0; PREFACE.len()];
    let mut length = 0;
    let protocol = loop {
        let read = stream.read(&mut first[length..]).await?;
        length += read;
        match () {
            () if length == 0 => return Ok(None),
            () if !PREFACE.starts_with(&first[..length]) => break Protocol::Http1,
            () if length == PREFACE.len() => break Protocol::Http2,
            () if read == 0 => break Protocol::Http1, // which will find the head cut short
            () => {}
        }
    };
    let first = Bytes::copy_from_slice(&first[..length]);
    Ok(Some((protocol, Rewound { first, stream })))
}

/// A stream of which something was read and put back.
pub(super) struct Rewound<S> {
    first: Bytes,
    stream: S,
}

impl<S: AsyncRead + Unpin> AsyncRead for Rewound<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.first.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buffer);
        }
        let length = self.first.len().min(buffer.remaining());
        buffer.put_slice(&self.first[..length]);
        self.first.advance(length);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Rewound<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn told(bytes: &[u8]) -> Option<(Protocol, Vec<u8>)> {
        let (protocol, mut stream) = tell(bytes).await.expect("memory reads")?;
        let mut all = Vec::new();
        stream.read_to_end(&mut all).await.expect("memory reads");
        Some((protocol, all))
    }

    #[tokio::test]
    async fn a_protocol_is_told_without_losing_a_byte() {
        let long = [&PREFACE[..], b"and more"].concat();
        for (bytes, protocol) in [
            (&b"GET / HTTP/1.1\r\n\r\n"[..], Protocol::Http1),
            (b"P", Protocol::Http1),
            (b"POST / HTTP/1.1\r\n\r\n", Protocol::Http1),
            (b"PRI * HTTP/2.0\r\n\r\nXX", Protocol::Http1),
            (&PREFACE[..], Protocol::Http2),
            (&long, Protocol::Http2),
        ] {
            assert_eq!(told(bytes).await, Some((protocol, bytes.to_vec())));
        }
        assert_eq!(told(b"").await, None);
    }
}

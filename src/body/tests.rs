use super::*;
use http_body_util::BodyExt;
use hyper::Request;
use hyper::header::HeaderValue;
use hyper_util::rt::TokioIo;
use std::future::poll_fn;
use tokio::io::AsyncWriteExt;

fn data(text: &'static str) -> Frame<Bytes> {
    Frame::data(Bytes::from_static(text.as_bytes()))
}

async fn text(body: Body) -> Result<String, BodyError> {
    let bytes = body.collect().await?.to_bytes();
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The body of a request as hyper's server reads it from these bytes, and what becomes of `use_it`.
async fn as_received<T, F>(raw: &'static str, use_it: impl Fn(Incoming) -> F) -> T
where
    F: Future<Output = T> + Send + 'static,
    T: Send + 'static,
{
    let (mut client, server) = tokio::io::duplex(1 << 16);
    client.write_all(raw.as_bytes()).await.expect("buffered");
    client.shutdown().await.expect("buffered");
    let (sender, mut results) = tokio::sync::mpsc::unbounded_channel();
    let service = hyper::service::service_fn(|request: Request<Incoming>| {
        let (work, sender) = (use_it(request.into_body()), sender.clone());
        async move {
            let _ = sender.send(work.await);
            Ok::<_, BodyError>(hyper::Response::new(Body::empty()))
        }
    });
    // The answer has nobody to go to; only what the service saw matters.
    let _ = hyper::server::conn::http1::Builder::new()
        .half_close(true)
        .serve_connection(TokioIo::new(server), service)
        .await;
    results.recv().await.expect("the service was called")
}

#[tokio::test]
async fn a_body_in_memory_knows_its_size_and_its_end() {
    assert!(Body::empty().is_end_stream());
    assert!(Body::full(Bytes::new()).is_end_stream());
    let body = Body::full(Bytes::from_static(b"abc"));
    assert!(!body.is_end_stream());
    assert_eq!(body.size_hint().exact(), Some(3));
    assert_eq!(text(body).await.expect("whole"), "abc");
}

#[tokio::test]
async fn a_channel_hands_on_frames_and_trailers() {
    let (sender, body) = Body::channel(None);
    assert_eq!(body.size_hint().exact(), None);
    sender.send(data("ab")).await.expect("read");
    sender.send_now(data("c")).expect("read");
    let trailers = HeaderMap::from_iter([(
        hyper::header::HeaderName::from_static("x-sum"),
        HeaderValue::from_static("1"),
    )]);
    let trailers = Frame::trailers(trailers);
    sender.send(trailers).await.expect("read");
    sender.finish();
    let whole = body.collect().await.expect("whole");
    assert_eq!(whole.trailers().expect("trailers")["x-sum"], "1");
    assert_eq!(whole.to_bytes(), "abc");
}

#[tokio::test]
async fn a_channel_that_is_aborted_or_forgotten_is_broken() {
    for forget in [true, false] {
        let (sender, body) = Body::channel(None);
        sender.send(data("ab")).await.expect("read");
        if forget {
            drop(sender);
        } else {
            sender.abort();
        }
        assert!(matches!(text(body).await, Err(BodyError::Aborted)));
    }
}

#[tokio::test]
async fn a_channel_keeps_to_its_declared_length() {
    for (sent, is_whole) in [("abc", true), ("ab", false), ("abcd", false)] {
        let (sender, body) = Body::channel(Some(3));
        assert_eq!(body.size_hint().exact(), Some(3));
        sender.send(data(sent)).await.expect("read");
        sender.finish();
        assert_eq!(text(body).await.is_ok(), is_whole, "{sent}");
    }
    let (sender, mut body) = Body::channel(Some(3));
    sender.send(data("abc")).await.expect("read");
    body.frame().await.expect("a frame").expect("whole");
    assert!(body.is_end_stream(), "hyper asks no further");
}

#[tokio::test]
async fn a_writer_waits_for_a_slow_reader_unless_it_may_not() {
    let (sender, mut body) = Body::channel(None);
    let fill = async {
        let mut sent = 0;
        loop {
            let mut sending = std::pin::pin!(sender.send(data("x")));
            match poll_fn(|cx| Poll::Ready(sending.as_mut().poll(cx))).await {
                Poll::Ready(Ok(())) => sent += 1,
                _ => return sent,
            }
        }
    };
    let sent = fill.await;
    assert_eq!(sent, 16, "then it waits");
    sender.send_now(data("y")).expect("never waits");
    body.frame().await.expect("a frame").expect("whole");
    sender.send(data("x")).await.expect("one place is free");
}

#[tokio::test]
async fn a_writer_learns_that_its_reader_is_gone() {
    let (sender, body) = Body::channel(None);
    for _ in 0..16 {
        sender.send(data("x")).await.expect("a place");
    }
    let (outcome, ()) = tokio::join!(sender.send(data("x")), async { drop(body) });
    assert_eq!(outcome, Err(Gone));
    assert_eq!(sender.send_now(data("x")), Err(Gone));
    sender.closed().await;
}

#[tokio::test]
async fn a_short_body_is_read_whole() {
    let raw = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc";
    let read = as_received(raw, |incoming| read_up_to(Body::client(incoming), 3)).await;
    assert!(matches!(read, Read::Whole(bytes) if bytes == "abc"));
}

#[tokio::test]
async fn a_long_body_is_given_back_with_its_beginning() {
    let chunked = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n\
                   3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n";
    let declared = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 6\r\n\r\nabcdef";
    for raw in [chunked, declared] {
        let all = as_received(raw, |incoming| async {
            match read_up_to(Body::client(incoming), 4).await {
                Read::Longer(body) => text(body).await.ok(),
                _ => None,
            }
        });
        assert_eq!(all.await.as_deref(), Some("abcdef"));
    }
}

#[tokio::test]
async fn a_body_with_trailers_is_given_back_with_them() {
    let raw = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n\
               3\r\nabc\r\n0\r\nx-sum: 1\r\n\r\n";
    let whole = as_received(raw, |incoming| async {
        match read_up_to(Body::client(incoming), 100).await {
            Read::Longer(body) => body.collect().await.ok(),
            _ => None,
        }
    });
    let whole = whole.await.expect("longer");
    assert_eq!(whole.trailers().expect("trailers")["x-sum"], "1");
    assert_eq!(whole.to_bytes(), "abc");
}

#[tokio::test]
async fn a_body_that_breaks_off_is_broken() {
    let raw = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 6\r\n\r\nabc";
    let read = as_received(raw, |incoming| read_up_to(Body::client(incoming), 100)).await;
    assert!(matches!(read, Read::Broken(BodyError::Broken(_))));
}

/// Whether a body of these pieces is told to be the same as `other`; nothing where nothing was told.
async fn told_of(
    pieces: &[&'static str],
    length: Option<u64>,
    other: &'static str,
) -> Option<bool> {
    let (sender, body) = Body::channel(length);
    let told = std::sync::Arc::new(std::sync::Mutex::new(None));
    let heard = told.clone();
    let body = body.compared(Bytes::from(other), move |is_same| {
        *heard.lock().expect("not poisoned") = Some(is_same);
    });
    let pieces: Vec<&'static str> = pieces.to_vec();
    let writer = tokio::spawn(async move {
        for piece in pieces {
            sender.send(data(piece)).await.expect("it is read");
        }
        sender.finish();
    });
    let read = read_up_to(body, 1 << 20).await;
    assert!(matches!(read, Read::Whole(_) | Read::Broken(_)));
    writer.await.expect("it wrote");
    *told.lock().expect("not poisoned")
}

#[tokio::test]
async fn a_body_is_held_against_other_bytes_however_it_comes() {
    assert_eq!(told_of(&["ab", "c"], None, "abc").await, Some(true));
    assert_eq!(told_of(&["abc"], Some(3), "abc").await, Some(true));
    assert_eq!(told_of(&["ab", "d"], None, "abc").await, Some(false));
    assert_eq!(told_of(&["ab"], Some(2), "abc").await, Some(false));
    assert_eq!(told_of(&["abc", "d"], None, "abc").await, Some(false));
    assert_eq!(told_of(&[], Some(0), "").await, Some(true));
    assert_eq!(told_of(&["ab"], Some(3), "ab").await, None, "it broke off");
}

/// What is heard of a body of these pieces, of which `read` frames are read.
async fn heard_of(pieces: &[&'static str], most: usize, read: usize) -> Heard {
    let (sender, body) = Body::channel(None);
    for piece in pieces {
        sender.send(data(piece)).await.expect("a place");
    }
    sender.finish();
    let (told, heard) = tokio::sync::oneshot::channel();
    let mut body = body.overheard(most, move |heard| {
        told.send(heard).expect("it is waited for")
    });
    for _ in 0..read {
        let _ = body.frame().await;
    }
    drop(body);
    heard.await.expect("it is always told")
}

#[tokio::test]
async fn what_passes_is_copied_up_to_a_length() {
    let heard = heard_of(&["ab", "c"], 3, 3).await;
    assert_eq!(
        (heard.bytes.as_deref(), heard.is_whole),
        (Some(&b"abc"[..]), true)
    );
    let heard = heard_of(&["ab", "cd"], 3, 3).await;
    assert_eq!((heard.bytes, heard.length, heard.is_whole), (None, 4, true));
    let heard = heard_of(&["ab", "c"], 3, 1).await;
    assert_eq!(
        (heard.length, heard.is_whole),
        (2, false),
        "its reader left"
    );
    let (told, heard) = tokio::sync::oneshot::channel();
    Body::empty().overheard(0, move |heard| told.send(heard).expect("it is waited for"));
    let heard = heard.await.expect("told at once");
    assert_eq!(
        (heard.bytes.as_deref(), heard.is_whole),
        (Some(&b""[..]), true)
    );
}

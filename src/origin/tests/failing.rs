use super::*;
use hyper::body::Frame;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

/// What comes of one request to an origin that says this and closes.
async fn asked(said: impl Into<String>) -> Result<Response<Body>, Failure> {
    let said: String = said.into();
    let (address, _) = scripted(move |mut line| {
        let said = said.clone();
        async move {
            line.head().await;
            line.say(&said).await;
        }
    })
    .await;
    client(&http(address)).ask(get()).await
}

#[tokio::test]
async fn what_is_no_answer_or_an_ambiguous_one_is_malformed() {
    let many = "x: y\r\n".repeat(MAX_ANSWER_HEADERS + 1);
    let huge = "y".repeat(2 * MAX_ANSWER_HEAD);
    for said in [
        "garbage\r\n\r\n".to_owned(),
        "HTTP/1.1 OK\r\n\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab".to_owned(),
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 1\r\n\r\na".to_owned(),
        "HTTP/1.1 200 OK\r\ncontent-length: 1, 1\r\n\r\na".to_owned(),
        "HTTP/1.1 200 OK\r\ncontent-length: +1\r\n\r\na".to_owned(),
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"
            .to_owned(),
        "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\ntransfer-encoding: identity\r\n\r\na".to_owned(),
        "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n".to_owned(),
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n"
            .to_owned(),
        "HTTP/1.1 200 OK\r\nx: a\r\n b\r\n\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\nx: a\0b\r\n\r\n".to_owned(),
        format!("HTTP/1.1 200 OK\r\n{many}\r\n"),
        format!("HTTP/1.1 200 OK\r\nx: {huge}\r\n\r\n"),
    ] {
        let failure = asked(said.clone()).await.expect_err(&said);
        assert_eq!(failure.kind, FailureKind::Malformed, "{said}");
        assert!(failure.may_have_acted);
    }
}

#[tokio::test]
async fn a_truncated_body_is_an_error_to_its_reader() {
    for said in [
        "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\nxyz\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\nhalf",
    ] {
        let answer = asked(said).await.expect("a head");
        assert!(answer.into_body().collect().await.is_err(), "{said}");
    }
}

#[tokio::test]
async fn interim_answers_are_passed_over() {
    let hints = "HTTP/1.1 103 Early Hints\r\nlink: <a>\r\n\r\n";
    let said = format!("HTTP/1.1 100 Continue\r\n\r\n{}{OK}", hints.repeat(50));
    let answer = asked(said).await.expect("an answer");
    assert_eq!(answer.status(), 200);
    assert!(!answer.headers().contains_key("link"));
}

#[tokio::test]
async fn an_answer_without_content_does_not_claim_a_length() {
    let answer = asked("HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\n").await;
    let answer = answer.expect("an answer");
    assert!(!answer.headers().contains_key("content-length"));
    assert!(answer.body().is_end_stream());
}

#[tokio::test]
async fn a_refused_connection_means_that_nothing_happened() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
    let address = listener.expect("a port").local_addr().expect("bound"); // and closed again
    let failure = client(&http(address)).ask(post("x")).await;
    let failure = failure.expect_err("nobody there");
    assert_eq!(failure.kind, FailureKind::Connect);
    assert!(!failure.may_have_acted);
    assert!(failure.to_string().starts_with("origin: connect: "));
}

#[tokio::test]
async fn an_origin_that_never_answers_may_have_acted() {
    let (closed, mut closings) = tokio::sync::mpsc::channel(1);
    let (address, _) = scripted(move |mut line| {
        let closed = closed.clone();
        async move {
            line.head().await;
            line.closed().await;
            closed.send(()).await.expect("the test waits");
        }
    })
    .await;
    let origin = client(&ProxySettings {
        origin_timeout: Duration::from_millis(50),
        ..http(address)
    });
    let failure = origin.ask(post("x")).await.expect_err("no answer");
    assert_eq!(failure.kind, FailureKind::Timeout);
    assert!(failure.may_have_acted);
    closings.recv().await.expect("the origin saw the end");
}

#[tokio::test]
async fn a_client_that_breaks_off_its_upload_is_named_as_the_cause() {
    let (address, _) = scripted(|mut line| async move {
        line.head().await;
        line.closed().await;
    })
    .await;
    let (upload, body) = Body::channel(None);
    upload.abort();
    let failure = client(&http(address))
        .ask(request(Method::POST, body))
        .await;
    let failure = failure.expect_err("no answer");
    assert_eq!(failure.kind, FailureKind::RequestBody);
    assert!(failure.may_have_acted);
}

/// A connection that takes one write, fails the second, and has its answer only then: the order in
/// which an origin's refusal and its reset can reach us.
struct Refusing {
    answer: DuplexStream,
    origin: DuplexStream,
    writes: usize,
}

impl AsyncRead for Refusing {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.answer).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Refusing {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.writes += 1;
        if self.writes == 1 {
            return Poll::Ready(Ok(bytes.len()));
        }
        let refusal = b"HTTP/1.1 413 Content Too Large\r\ncontent-length: 0\r\n\r\n";
        let said = Pin::new(&mut self.origin).poll_write(cx, refusal);
        assert!(matches!(said, Poll::Ready(Ok(_))), "it has room");
        Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn an_answer_is_seen_although_the_origin_closed_on_the_upload() {
    let (answer, origin_end) = tokio::io::duplex(1 << 10);
    let refusing = Refusing {
        answer,
        origin: origin_end,
        writes: 0,
    };
    let connection = Connection::open(Box::new(refusing), None).await;
    let origin = client(&http(SocketAddr::from((Ipv4Addr::LOCALHOST, 1)))); // never dialled
    let (upload, body) = Body::channel(None);
    let asking = origin.exchange(connection.expect("no I/O yet"), request(Method::POST, body));
    let uploading = async {
        for _ in 0..3 {
            let _ = upload.send(Frame::data(Bytes::from_static(b"x"))).await;
            tokio::task::yield_now().await;
        }
    };
    let (answer, ()) = tokio::join!(asking, uploading);
    let answer = answer.map_err(|broken| broken.failure);
    assert_eq!(answer.expect("an answer").status(), 413);
    assert_eq!(origin.0.pool.idle_count(), 0);
}

#[tokio::test]
async fn connections_are_bounded_and_nothing_is_sent_where_there_is_none() {
    let (asked, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let (address, seen) = scripted(move |mut line| {
        let asked = asked.clone();
        async move {
            line.head().await;
            let _ = asked.send(()); // the test may be over
            line.closed().await;
        }
    })
    .await;
    let mut settings = http(address);
    settings.limits.max_connections = 2;
    settings.connect_timeout = Duration::from_secs(3);
    let origin = client(&settings);
    let most = 2 + pool::MAX_IDLE;
    let ask = || {
        let origin = origin.clone();
        tokio::spawn(async move { origin.ask(request(Method::POST, Body::empty())).await })
    };
    let mut held: Vec<_> = (0..most).map(|_| ask()).collect();
    for _ in 0..most {
        heard.recv().await.expect("the origin is asked");
    }
    let busy = ask().await.expect("no panic").expect_err("none is free");
    assert_eq!((busy.kind, busy.may_have_acted), (FailureKind::Busy, false));
    assert_eq!(seen.lock().expect("not poisoned").len(), most);
    held.pop().expect("there are some").abort(); // closes its connection
    let free = ask();
    heard.recv().await.expect("it is asked again");
    free.abort();
}

#[tokio::test]
async fn a_connection_that_others_wait_for_room_for_does_not_stay_idle() {
    let (address, _) = scripted(async |mut line| {
        while line.head().await.is_some() {
            line.say(OK).await;
        }
    })
    .await;
    let mut settings = http(address);
    settings.limits.max_connections = 1;
    let origin = client(&settings);
    let asking = (0..4 * pool::MAX_IDLE).map(|_| {
        let origin = origin.clone();
        tokio::spawn(async move {
            let answer = origin.ask(request(Method::GET, Body::empty())).await;
            let body = answer.expect("an answer").into_body();
            body.collect().await.expect("a whole body").to_bytes()
        })
    });
    for asked in asking.collect::<Vec<_>>() {
        assert_eq!(asked.await.expect("no panic"), "ok");
    }
}

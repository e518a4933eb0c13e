//! HTTP/2 with prior knowledge, on the same listener.

use super::{connected, say, sidecar, until_closed};
use crate::raw::until;
use crate::redis::RedisServer;
use crate::world::{Asked, Origin, Reply, Sidecar, eventually};
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body as _, Frame};
use hyper::client::conn::http2::{self, SendRequest};
use hyper::{Request, Response, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use sidecache::body::Body;
use std::sync::Arc;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

type Sender = SendRequest<Body>;

const RULES: &str = r#"
[[cache]]
name = "kept"
match = "GET /kept"
key = "kept"
query = []
ttl = "5m"
public = true
"#;

/// The preface, and settings that say nothing.
const HELLO: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

async fn hello() -> Origin {
    Origin::start(|asked: Asked| async move {
        Reply::of(200, "text/plain", "hello").header("x-length", &asked.body.len().to_string())
    })
    .await
}

/// A connection, and what it comes to when it ends.
async fn http2(sidecar: &Sidecar) -> (Sender, JoinHandle<hyper::Result<()>>) {
    let stream = TcpStream::connect(sidecar.address())
        .await
        .expect("listens");
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .expect("HTTP/2");
    (sender, tokio::spawn(connection))
}

fn request(method: &str, target: &str, body: &'static str) -> Request<Body> {
    Request::builder()
        .method(method)
        .uri(format!("http://api.test{target}"))
        .version(Version::HTTP_2)
        .body(Body::full(Bytes::from(body)))
        .expect("a request")
}

async fn text<B: hyper::body::Body<Error: std::fmt::Debug>>(response: Response<B>) -> String {
    let body = response.into_body().collect().await.expect("a whole body");
    String::from_utf8_lossy(&body.to_bytes()).into_owned()
}

#[tokio::test]
async fn a_client_that_knows_speaks_http2_where_others_speak_http1() {
    let origin = hello().await;
    let sidecar = Sidecar::start(&origin, "memory:", RULES).await;
    let (mut sender, _) = http2(&sidecar).await;
    for word in ["stored", "hit"] {
        let answer = sender
            .send_request(request("GET", "/kept", ""))
            .await
            .expect("an answer");
        assert_eq!(
            (answer.status().as_u16(), answer.version()),
            (200, Version::HTTP_2)
        );
        let status = answer.headers()["cache-status"].to_str().expect("ASCII");
        assert!(status.contains(word), "{status}");
        assert_eq!(text(answer).await, "hello");
    }
    assert_eq!(
        sidecar.get("/kept").await.outcome(),
        "hit",
        "one cache for both"
    );
    assert_eq!(origin.count(), 1);
    let asked = origin.last();
    assert_eq!(asked.header("host"), Some("api.test"));
    assert_eq!(asked.header("via"), Some("2.0 sidecache"));
}

#[tokio::test]
async fn kept_answers_come_from_redis() {
    let (origin, redis) = (hello().await, RedisServer::start());
    let sidecar = Sidecar::start(&origin, &redis.url(), RULES).await;
    let (mut sender, _) = http2(&sidecar).await;
    for word in ["stored", "hit"] {
        let answer = sender.send_request(request("GET", "/kept", "")).await;
        let answer = answer.expect("an answer, on no larger a stack than threads have");
        let status = answer.headers()["cache-status"].to_str().expect("ASCII");
        assert!(status.contains(word), "{status}");
        assert_eq!(text(answer).await, "hello");
    }
}

#[tokio::test]
async fn an_answer_to_head_has_a_length_and_no_body() {
    let origin = hello().await;
    let sidecar = Sidecar::start(&origin, "memory:", RULES).await;
    let (mut sender, _) = http2(&sidecar).await;
    let get = sender.send_request(request("GET", "/kept", "")).await;
    assert_eq!(text(get.expect("an answer")).await, "hello");
    // Kept, passed, refused here.
    for (target, host, status) in [
        ("/kept", "api.test", 200),
        ("/p", "api.test", 200),
        ("/p", "other.test", 400),
    ] {
        let mut asking = request("HEAD", target, "");
        let host = host.parse().expect("a value");
        asking.headers_mut().insert("host", host);
        let answer = sender.send_request(asking).await.expect("an answer");
        assert_eq!(answer.status(), status);
        assert!(answer.headers().contains_key("content-length"), "{target}");
        assert!(answer.body().is_end_stream(), "{target}: a body follows");
    }
}

#[tokio::test]
async fn bodies_trailers_and_many_streams_pass_over_one_connection() {
    let origin = hello().await;
    let sidecar = Sidecar::start(&origin, "memory:", RULES).await;
    let (sender, _) = http2(&sidecar).await;
    let asking = (0..300).map(|_| {
        let mut sender = sender.clone();
        tokio::spawn(async move {
            let answer = sender.send_request(request("POST", "/p", "body")).await;
            answer.expect("an answer").headers()["x-length"].clone()
        })
    });
    for asked in asking.collect::<Vec<_>>() {
        assert_eq!(asked.await.expect("no panic"), "4");
    }
    assert_eq!(origin.count(), 300);
}

#[tokio::test]
async fn trailers_pass_both_ways() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let sidecar = sidecar(listener.local_addr().expect("bound"), "").await;
    let (mut sender, _) = http2(&sidecar).await;
    let trailers = hyper::HeaderMap::from_iter([(
        "x-sum".parse().expect("a name"),
        "7".parse().expect("a value"),
    )]);
    let (upload, body) = Body::channel(None);
    for frame in [Frame::data(Bytes::from("up")), Frame::trailers(trailers)] {
        upload.send_now(frame).expect("nobody is gone");
    }
    upload.finish();
    let mut asking = request("POST", "/p", "").map(|_| body);
    let announced = "x-sum".parse().expect("a value");
    asking.headers_mut().insert("trailer", announced); // HTTP/1 takes only these
    let asked = tokio::spawn(async move { sender.send_request(asking).await.expect("an answer") });
    let (mut origin, _) = listener.accept().await.expect("a connection");
    let sent = until(&mut origin, "2\r\nup\r\n0\r\nx-sum: 7\r\n\r\n").await;
    assert!(sent.contains("transfer-encoding: chunked"), "{sent}");
    let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\nKeep-Alive: 5\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 8\r\n\r\n";
    say(&mut origin, answer).await;
    let answer = asked.await.expect("no panic");
    for name in ["connection", "keep-alive", "transfer-encoding"] {
        assert!(!answer.headers().contains_key(name), "{name}");
    }
    let whole = answer.into_body().collect().await.expect("a whole body");
    assert_eq!(whole.trailers().expect("trailers")["x-sum"], "8");
}

#[tokio::test]
async fn what_http2_may_not_say_is_refused() {
    let origin = hello().await;
    let sidecar = Sidecar::start(&origin, "memory:", RULES).await;
    let (sender, _) = http2(&sidecar).await;
    let rows: [(&str, &str, &str); 3] = [
        ("another host", "host", "other.test"),
        ("an expectation", "expect", "wonders"),
        ("too large a head", "x", ""),
    ];
    for (row, name, value) in rows {
        let mut asking = request("GET", "/p", "");
        let value = match value {
            "" => "x".repeat(70 * 1024),
            value => value.to_owned(),
        };
        let name: hyper::header::HeaderName = name.parse().expect("a name");
        asking
            .headers_mut()
            .insert(name, value.parse().expect("a value"));
        let answer = sender.clone().send_request(asking).await;
        let status = answer.map(|answer| answer.status().as_u16());
        let refused = match row {
            "another host" => matches!(status, Ok(400)),
            "an expectation" => matches!(status, Ok(417)),
            _ => matches!(status, Ok(431)) || status.is_err(),
        };
        assert!(refused, "{row}: {status:?}");
    }
    let mut same = request("GET", "/p", "");
    same.headers_mut()
        .insert("host", "API.test".parse().expect("a value"));
    let answer = sender.clone().send_request(same).await.expect("an answer");
    assert_eq!((answer.status().as_u16(), origin.count()), (200, 1));
}

#[tokio::test]
async fn a_cookie_in_crumbs_reaches_the_origin_as_one() {
    let origin = hello().await;
    let sidecar = Sidecar::start(&origin, "memory:", RULES).await;
    let (mut sender, _) = http2(&sidecar).await;
    let mut asking = request("GET", "/p", "");
    for crumb in ["a=1", "b=2"] {
        asking
            .headers_mut()
            .append("cookie", crumb.parse().expect("a value"));
    }
    sender.send_request(asking).await.expect("an answer");
    let asked = origin.last();
    let cookies: Vec<_> = asked.headers.get_all("cookie").iter().collect();
    assert_eq!(cookies, ["a=1; b=2"]);
}

#[tokio::test]
async fn bytes_that_would_be_doubtful_in_http1_are_not_in_http2() {
    let origin = hello().await;
    let sidecar = Sidecar::start(&origin, "memory:", RULES).await;
    let (mut sender, _) = http2(&sidecar).await;
    let body = "GET / HTTP/1.1\nContent-Length: 1\nContent-Length: 2\n\n";
    for _ in 0..2 {
        let answer = sender.send_request(request("PUT", "/p", body)).await;
        assert_eq!(answer.expect("an answer").status(), 200);
        assert_eq!(origin.last().body, body);
    }
}

#[tokio::test]
async fn limits_of_bodies_hold_for_each_stream() {
    let origin = hello().await;
    let settings = "max_body = \"1KiB\"\nbody_timeout = \"400ms\"";
    let sidecar = sidecar(origin.address, settings).await;
    let (sender, _) = http2(&sidecar).await;
    let long = vec![b'x'; 1025];
    let (upload, slow) = Body::channel(None);
    upload
        .send_now(Frame::data(Bytes::from("x")))
        .expect("nobody is gone");
    let (endless, unmeasured) = Body::channel(None);
    endless
        .send_now(Frame::data(Bytes::from(long.clone())))
        .expect("nobody is gone");
    for (body, status) in [
        (Body::full(Bytes::from(long)), 413),
        (unmeasured, 413),
        (slow, 408),
        (Body::full(Bytes::from("short")), 200),
    ] {
        let asking = request("POST", "/p", "").map(|_| body);
        let answer = sender
            .clone()
            .send_request(asking)
            .await
            .expect("an answer");
        assert_eq!(answer.status().as_u16(), status);
    }
}

#[tokio::test]
async fn an_idle_connection_is_told_to_go() {
    let origin = hello().await;
    let sidecar = sidecar(origin.address, "client_idle_timeout = \"400ms\"").await;
    let (mut sender, connection) = http2(&sidecar).await;
    sender
        .send_request(request("GET", "/p", ""))
        .await
        .expect("an answer");
    connection
        .await
        .expect("no panic")
        .expect("closed, not broken");
    let mut silent = connected(&sidecar).await;
    say(&mut silent, HELLO).await;
    until_closed(&mut silent).await;
    let mut halfway = connected(&sidecar).await;
    say(&mut halfway, &HELLO[..24]).await;
    until_closed(&mut halfway).await;
}

#[tokio::test]
async fn a_draining_sidecar_finishes_the_streams_that_are_open() {
    let gate = Arc::new(Semaphore::new(0));
    let held = gate.clone();
    let origin = Origin::start(move |_: Asked| {
        let held = held.clone();
        async move {
            held.acquire().await.expect("never closed").forget();
            Reply::of(200, "text/plain", "hello")
        }
    })
    .await;
    let sidecar = Sidecar::start(&origin, "memory:", RULES).await;
    let (mut sender, connection) = http2(&sidecar).await;
    let asking = tokio::spawn(async move { sender.send_request(request("GET", "/p", "")).await });
    eventually("the origin is asked", async || origin.count() == 1).await;
    let draining = tokio::spawn(sidecar.server.drain());
    gate.add_permits(1);
    let answer = asking.await.expect("no panic").expect("an answer");
    assert_eq!(text(answer).await, "hello");
    assert!(draining.await.expect("no panic"), "nothing was cut off");
    connection
        .await
        .expect("no panic")
        .expect("closed, not broken");
}

#[tokio::test]
async fn a_flood_of_streams_that_are_given_up_ends_the_connection() {
    let origin = hello().await;
    let sidecar = sidecar(origin.address, "").await;
    let mut stream = connected(&sidecar).await;
    say(&mut stream, HELLO).await;
    // :method GET, :scheme http, :path /p, :authority api.test
    let block = b"\x82\x86\x04\x02/p\x41\x08api.test";
    let flood: Vec<u8> = (0..5000_u32)
        .flat_map(|n| {
            let stream = (2 * n + 1).to_be_bytes();
            let head = [&[0, 0, block.len() as u8, 1, 5], &stream[..], block].concat();
            let reset = [&[0, 0, 4, 3, 0], &stream[..], &8_u32.to_be_bytes()].concat();
            [head, reset].concat()
        })
        .collect();
    let _ = stream.write_all(&flood).await; // it is closed on the way
    let heard = until_closed(&mut stream).await;
    assert!(heard.len() < 100_000);
    assert!(origin.count() < 2500, "{}", origin.count());
    let (mut sender, _) = http2(&sidecar).await;
    let answer = sender.send_request(request("GET", "/p", "")).await;
    assert_eq!(answer.expect("others are served").status(), 200);
}

#[tokio::test]
async fn who_begins_like_http2_and_goes_on_otherwise_is_refused() {
    let origin = hello().await;
    let sidecar = sidecar(origin.address, "head_timeout = \"400ms\"").await;
    for bytes in [
        &b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n"[..],
        b"PRI * HTTP/2.0\r\nHost: api.test\r\n\r\n",
        b"PRI",
        b"PRI * HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        let mut stream = connected(&sidecar).await;
        say(&mut stream, bytes).await;
        let heard = until_closed(&mut stream).await;
        assert!(!heard.contains(" 200 "), "{heard}");
    }
    assert_eq!(origin.count(), 0);
}

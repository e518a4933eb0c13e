//! HTTP/2 spoken to exhaust whoever listens: what is never finished, never read, never ends.

use super::{connected, metric, say, sidecar, until_closed};
use crate::redis::PATIENCE;
use crate::world::{Asked, Origin, Reply, Sidecar, eventually};
use http_body_util::Empty;
use hyper::client::conn::http2;
use hyper::{Request, Response, body::Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;

type Sender = http2::SendRequest<Empty<bytes::Bytes>>;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

// Kinds of frames and flags (RFC 9113 §6).
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// `:method GET`, `:scheme http`, `:path /p`, `:authority api.test`
const GET: &[u8] = b"\x82\x86\x04\x02/p\x41\x08api.test";

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
    [&head, payload].concat()
}

struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

/// The next frame; `None` where the connection ends.
async fn next(stream: &mut TcpStream) -> Option<Frame> {
    let mut head = [0; 9];
    let reading = timeout(PATIENCE, stream.read_exact(&mut head)).await;
    reading.expect("a frame or the end in time").ok()?;
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
    let mut payload = vec![0; length as usize];
    stream.read_exact(&mut payload).await.ok()?;
    Some(Frame {
        kind: head[3],
        flags: head[4],
        stream: u32::from_be_bytes([head[5], head[6], head[7], head[8]]),
        payload,
    })
}

/// A connection whose client says these settings.
async fn begun(sidecar: &Sidecar, settings: &[(u16, u32)]) -> TcpStream {
    let mut stream = connected(sidecar).await;
    let said = settings
        .iter()
        .flat_map(|(name, value)| [&name.to_be_bytes()[..], &value.to_be_bytes()].concat());
    let said: Vec<u8> = said.collect();
    say(
        &mut stream,
        [PREFACE, &frame(SETTINGS, 0, 0, &said)].concat(),
    )
    .await;
    stream
}

async fn hello() -> Origin {
    Origin::start(|_: Asked| async move { Reply::of(200, "text/plain", "hello") }).await
}

/// An origin that answers each request when it gets a permit.
async fn held() -> (Origin, Arc<Semaphore>) {
    let gate = Arc::new(Semaphore::new(0));
    let held = gate.clone();
    let origin = Origin::start(move |_: Asked| {
        let held = held.clone();
        async move {
            held.acquire().await.expect("never closed").forget();
            Reply::of(200, "text/plain", "hello")
        }
    });
    (origin.await, gate)
}

async fn http2(sidecar: &Sidecar) -> Sender {
    let stream = connected(sidecar).await;
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .expect("HTTP/2");
    tokio::spawn(connection);
    sender
}

async fn ask(mut sender: Sender, method: &str) -> hyper::Result<Response<Incoming>> {
    let request = Request::builder()
        .method(method)
        .uri("http://api.test/p")
        .body(Empty::new())
        .expect("a request");
    sender.send_request(request).await
}

#[tokio::test]
async fn writes_that_are_given_up_count_until_they_are_done() {
    const BOUND: usize = 256; // and hardly anybody gives up as much
    let (origin, gate) = held().await;
    let sidecar = sidecar(origin.address, "origin_timeout = \"60s\"").await;
    let sender = http2(&sidecar).await;
    let mut refused = None;
    while refused.is_none() && origin.count() <= BOUND {
        let before = origin.count();
        let asking: Vec<_> = (0..32)
            .map(|_| tokio::spawn(ask(sender.clone(), "POST")))
            .collect();
        eventually("all are at the origin, or answered", async || {
            let answered = asking.iter().filter(|asking| asking.is_finished()).count();
            origin.count() - before + answered == asking.len()
        })
        .await;
        for asking in asking {
            match asking.is_finished() {
                true => refused = Some(asking.await.expect("no panic").expect("an answer")),
                false => asking.abort(),
            }
        }
    }
    let refused = refused.expect("some are refused").status();
    assert_eq!((refused.as_u16(), origin.count()), (503, BOUND));
    // It is this connection that has had enough, and until its writes are done.
    let other = tokio::spawn(ask(http2(&sidecar).await, "POST"));
    eventually("another's write is at the origin", async || {
        origin.count() == BOUND + 1
    })
    .await;
    gate.add_permits(Semaphore::MAX_PERMITS / 2);
    let other = other.await.expect("no panic").expect("an answer");
    assert_eq!(other.status(), 200);
    eventually("there is room again", async || {
        let answer = ask(sender.clone(), "POST").await.expect("an answer");
        answer.status() == 200
    })
    .await;
}

#[tokio::test]
async fn a_client_that_left_keeps_its_place_until_its_write_is_done() {
    let (origin, gate) = held().await;
    let settings = "max_connections_per_client = 1\norigin_timeout = \"60s\"";
    let sidecar = sidecar(origin.address, settings).await;
    let post = "POST /p HTTP/1.1\r\nHost: api.test\r\nContent-Length: 0\r\n\r\n";
    let mut first = connected(&sidecar).await;
    say(&mut first, post).await;
    eventually("the origin has it", async || origin.count() == 1).await;
    drop(first);
    for _ in 0..5 {
        let mut second = connected(&sidecar).await;
        let _ = second.write_all(post.as_bytes()).await; // it may be closed already
        assert_eq!(until_closed(&mut second).await, "");
    }
    assert_eq!(origin.count(), 1);
    gate.add_permits(100);
    eventually("its place is free", async || {
        let mut stream = connected(&sidecar).await;
        let close = post.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
        let _ = stream.write_all(close.as_bytes()).await;
        until_closed(&mut stream).await.ends_with("hello")
    })
    .await;
}

#[tokio::test]
async fn an_answer_that_nobody_reads_is_given_up_and_its_stream_alone() {
    let big = Reply::of(200, "text/plain", "x".repeat(300 << 10));
    let origin = Origin::start(move |_: Asked| {
        let big = big.clone();
        async move { big }
    })
    .await;
    let rule = "[[cache]]\nname = \"kept\"\nmatch = \"GET /p\"\nkey = \"kept\"\nquery = []\nttl = \"5m\"\npublic = true\n";
    let file = crate::world::head(origin.address, "memory:")
        .replace("[admin]", "client_idle_timeout = \"400ms\"\n[admin]");
    let sidecar = Sidecar::with_file(&format!("{file}{rule}")).await;
    for window in [0, 20_000] {
        let mut stream = begun(&sidecar, &[(4, window)]).await;
        say(
            &mut stream,
            frame(HEADERS, END_STREAM | END_HEADERS, 1, GET),
        )
        .await;
        // Another stream moves all the while.
        let mut others = (3..).step_by(2);
        let mut taken = 0;
        loop {
            let other = others.next().expect("endless");
            let head = [b"\x00\x07:method\x04HEAD", &GET[1..]].concat();
            say(
                &mut stream,
                frame(HEADERS, END_STREAM | END_HEADERS, other, &head),
            )
            .await;
            let mut given_up = false;
            loop {
                let frame = next(&mut stream).await.expect("still open");
                match (frame.kind, frame.stream) {
                    (DATA, 1) => taken += frame.payload.len(),
                    (RST_STREAM, 1) => given_up = true,
                    (HEADERS, answered) if answered == other => break,
                    _ => {}
                }
            }
            if given_up {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await; // the pace of the other
        }
        assert_eq!(taken, window as usize);
    }
    let cut = metric(
        &sidecar,
        "sidecache_connections_cut_total{reason=\"unread-answer\"}",
    );
    assert_eq!(cut.await, Some(2.0));
}

#[tokio::test]
async fn an_answer_that_is_read_slowly_is_read_to_its_end() {
    let body = "x".repeat(200_000);
    let origin = Origin::start(move |_: Asked| {
        let reply = Reply::of(200, "text/plain", body.clone());
        async move { reply }
    })
    .await;
    let sidecar = sidecar(origin.address, "client_idle_timeout = \"2s\"").await;
    let mut stream = begun(&sidecar, &[(4, 0)]).await;
    say(
        &mut stream,
        frame(HEADERS, END_STREAM | END_HEADERS, 1, GET),
    )
    .await;
    let begun = std::time::Instant::now();
    let (mut taken, mut ended) = (0, false);
    while !ended {
        let step = 20_000_u32.to_be_bytes();
        say(
            &mut stream,
            [frame(8, 0, 1, &step), frame(8, 0, 0, &step)].concat(),
        )
        .await;
        tokio::time::sleep(Duration::from_millis(300)).await; // the reader's pace
        while let Ok(Some(frame)) = timeout(Duration::from_millis(20), next(&mut stream)).await {
            assert_ne!(frame.kind, RST_STREAM);
            taken += if frame.kind == DATA {
                frame.payload.len()
            } else {
                0
            };
            ended |= frame.kind == DATA && frame.flags & END_STREAM != 0;
        }
    }
    assert_eq!(taken, 200_000);
    assert!(begun.elapsed() > Duration::from_secs(2));
}

#[tokio::test]
async fn a_head_that_goes_on_and_on_ends_the_connection() {
    let origin = hello().await;
    let sidecar = sidecar(origin.address, "").await;
    for piece in [&[][..], b"\x00\x01x\x01y", &[b'\x82'; 1000]] {
        let mut stream = begun(&sidecar, &[]).await;
        say(&mut stream, frame(HEADERS, END_STREAM, 1, GET)).await;
        let more = frame(CONTINUATION, 0, 1, piece).repeat(100);
        let mut sent = 0;
        while stream.write_all(&more).await.is_ok() {
            sent += more.len();
            assert!(sent < 64 << 20, "{} bytes each: still taken", piece.len());
        }
        until_closed(&mut stream).await;
    }
    assert_eq!(origin.count(), 0);
}

#[tokio::test]
async fn a_head_that_unpacks_to_too_much_is_refused() {
    let origin = hello().await;
    let sidecar = sidecar(origin.address, "max_head = \"8KiB\"").await;
    let mut stream = begun(&sidecar, &[]).await;
    let settings = next(&mut stream).await.expect("settings come first");
    assert_eq!(settings.kind, SETTINGS);
    let said: Vec<&[u8]> = settings.payload.chunks(6).collect();
    let limit = [&6_u16.to_be_bytes()[..], &(8_u32 << 10).to_be_bytes()].concat();
    assert!(said.contains(&limit.as_slice()), "{said:?}");
    // A field of a kilobyte goes into the table once, and is named by one byte again and again.
    let field = [
        b"\x40\x01x\x7f\x81\x07",
        "y".repeat(1024 - 128 + 128).as_bytes(),
    ]
    .concat();
    let bomb = [GET, &field, &[0xbe; 4000]].concat();
    say(
        &mut stream,
        frame(HEADERS, END_STREAM | END_HEADERS, 1, &bomb),
    )
    .await;
    // 431, a reset, or the connection's end.
    while let Some(frame) = next(&mut stream).await {
        assert_ne!(frame.kind, DATA);
        if [HEADERS, RST_STREAM].contains(&frame.kind) {
            break;
        }
    }
    assert_eq!(origin.count(), 0);
}

#[tokio::test]
async fn who_floods_and_does_not_listen_is_held_up() {
    let origin = hello().await;
    let sidecar = sidecar(origin.address, "").await;
    for said in [frame(PING, 0, 0, b"whatever"), frame(SETTINGS, 0, 0, &[])] {
        let mut stream = begun(&sidecar, &[]).await;
        let flood = said.repeat(10_000);
        let mut sent = 0;
        let flooding = async {
            while sent < 256 << 20 {
                match stream.write(&flood).await {
                    Ok(more) => sent += more,
                    Err(_) => break, // closed on: as good
                }
            }
        };
        let _ = timeout(Duration::from_secs(2), flooding).await; // held up, if all is well
        assert!(sent < 64 << 20, "{sent} bytes were taken");
    }
}

#[tokio::test]
async fn who_only_pings_or_never_ends_a_head_is_idle() {
    let origin = hello().await;
    let sidecar = sidecar(origin.address, "client_idle_timeout = \"400ms\"").await;
    for said in [
        frame(PING, 0, 0, b"whatever"),
        frame(8, 0, 0, &1_u32.to_be_bytes()),
        frame(HEADERS, END_STREAM, 1, &GET[..3]),
    ] {
        let (mut read, mut write) = begun(&sidecar, &[]).await.into_split();
        let talking = tokio::spawn(async move {
            let mut pace = tokio::time::interval(Duration::from_millis(50));
            while write.write_all(&said).await.is_ok() {
                pace.tick().await;
            }
        });
        let mut heard = Vec::new();
        let closed = timeout(PATIENCE, read.read_to_end(&mut heard)).await;
        assert!(closed.is_ok(), "still open");
        talking.await.expect("no panic");
    }
    assert_eq!(origin.count(), 0);
}

#[tokio::test]
async fn tunnels_are_not_made_over_http2() {
    let origin = hello().await;
    let sidecar = sidecar(origin.address, "").await;
    let mut stream = begun(&sidecar, &[]).await;
    let settings = next(&mut stream).await.expect("settings come first");
    let enabled = settings
        .payload
        .chunks(6)
        .any(|said| said[..2] == 8_u16.to_be_bytes());
    assert!(!enabled, "extended CONNECT is not offered (RFC 8441)");
    let connect = b"\x00\x07:method\x07CONNECT\x41\x08api.test";
    let extended = [
        &connect[..],
        b"\x00\x09:protocol\x09websocket\x86\x04\x02/p",
    ]
    .concat();
    for (number, head) in [(1, &connect[..]), (3, &extended)] {
        say(&mut stream, frame(HEADERS, END_HEADERS, number, head)).await;
        let refused = loop {
            let frame = next(&mut stream).await.expect("still open");
            if frame.stream == number && [HEADERS, RST_STREAM].contains(&frame.kind) {
                break frame;
            }
        };
        // `:status 501` by Huffman's code; or the stream is refused before it is a request.
        let is_501 = refused.payload.starts_with(b"\x48\x82\x6c\x01");
        assert!(is_501 || refused.kind == RST_STREAM, "{number}");
    }
    assert_eq!(origin.count(), 0);
    say(
        &mut stream,
        frame(HEADERS, END_STREAM | END_HEADERS, 5, GET),
    )
    .await;
    while next(&mut stream).await.expect("still open").kind != DATA {}
    assert_eq!(origin.count(), 1);
}

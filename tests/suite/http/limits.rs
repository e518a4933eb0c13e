//! Who takes too long is answered 408 where an answer is possible, who takes too much 413, 414 or
//! 431; who says nothing is closed on without a word.

use super::{connected, metric, say, sidecar, until_closed};
use crate::raw::{talk, until};
use crate::world::{Asked, Origin, Reply, eventually};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A time-out that a busy machine may reach late, but that nobody can reach early.
const SHORT: Duration = Duration::from_millis(400);

async fn hello() -> Origin {
    Origin::start(|_: Asked| async move { Reply::of(200, "text/plain", "hello") }).await
}

const GET: &str = "GET /p HTTP/1.1\r\nHost: api.test\r\n\r\n";

#[tokio::test]
async fn a_head_that_does_not_end_is_answered_408() {
    let origin = hello().await;
    let sidecar = sidecar(origin.address, "head_timeout = \"400ms\"").await;
    let rest = &GET[..GET.len() - 2];
    for (before, part) in [("", rest), (GET, rest), ("", "G"), ("", "\r\nGET /p")] {
        let mut stream = connected(&sidecar).await;
        let begun = Instant::now();
        say(&mut stream, format!("{before}{part}")).await;
        let heard = until_closed(&mut stream).await;
        let last = heard.rfind("HTTP/1.1 ").map(|at| &heard[at..]);
        let last = last.unwrap_or_else(|| panic!("nothing after {part:?}"));
        assert!(last.starts_with("HTTP/1.1 408 "), "{part:?}: {heard}");
        assert!(last.contains("Connection: close"), "{heard}");
        assert_eq!(heard.contains("hello"), !before.is_empty(), "{heard}");
        assert!(begun.elapsed() >= SHORT);
    }
    let cut = metric(
        &sidecar,
        "sidecache_connections_cut_total{reason=\"head-timeout\"}",
    )
    .await;
    assert_eq!(cut, Some(4.0));
}

#[tokio::test]
async fn a_head_that_drips_is_late_all_the_same() {
    let origin = hello().await;
    let sidecar = sidecar(origin.address, "head_timeout = \"400ms\"").await;
    let (mut read, mut write) = connected(&sidecar).await.into_split();
    let dripping = tokio::spawn(async move {
        let mut pace = tokio::time::interval(Duration::from_millis(50));
        while write.write_all(b"x").await.is_ok() {
            pace.tick().await;
        }
    });
    let mut heard = String::new();
    let _ = read.read_to_string(&mut heard).await; // a reset says the same
    assert!(heard.starts_with("HTTP/1.1 408 "), "{heard}");
    dripping.await.expect("the connection closes");
}

#[tokio::test]
async fn an_idle_connection_is_closed_without_a_word() {
    let origin = hello().await;
    let settings = "client_idle_timeout = \"400ms\"\nhead_timeout = \"800ms\"";
    let sidecar = sidecar(origin.address, settings).await;
    for said in ["", GET, "GET /p HTTP/1.1\r\nHost: api.test\r\n\r\n\r\n"] {
        let mut stream = connected(&sidecar).await;
        say(&mut stream, said).await;
        let heard = until_closed(&mut stream).await;
        assert_eq!(heard.is_empty(), said.is_empty(), "{heard}");
        assert!(!heard.contains("408"), "{heard}");
        assert!(heard.is_empty() || heard.ends_with("hello"), "{heard}");
    }
}

#[tokio::test]
async fn an_answer_may_take_longer_than_a_client_may_be_idle() {
    let origin = Origin::start(|_: Asked| async move {
        tokio::time::sleep(Duration::from_secs(3)).await;
        Reply::of(200, "text/plain", "hello")
    })
    .await;
    let settings =
        "client_idle_timeout = \"400ms\"\nhead_timeout = \"2s\"\nbody_timeout = \"400ms\"";
    let sidecar = sidecar(origin.address, settings).await;
    let mut stream = connected(&sidecar).await;
    // The head of the next request has begun: it is not waited for while this one is answered.
    say(&mut stream, format!("{GET}GET /late HTTP/1.1\r\n")).await;
    until(&mut stream, "hello").await;
    say(&mut stream, "Host: api.test\r\nConnection: close\r\n\r\n").await;
    assert!(until_closed(&mut stream).await.ends_with("hello"));
}

#[tokio::test]
async fn a_body_that_stands_still_is_answered_408() {
    let origin = hello().await;
    let sidecar = sidecar(origin.address, "body_timeout = \"400ms\"").await;
    for framing in [
        "Content-Length: 10\r\n\r\nabc",
        "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        "Content-Length: 10\r\n\r\n",
    ] {
        let mut stream = connected(&sidecar).await;
        say(
            &mut stream,
            format!("POST /p HTTP/1.1\r\nHost: api.test\r\n{framing}"),
        )
        .await;
        let heard = until_closed(&mut stream).await;
        assert!(heard.starts_with("HTTP/1.1 408 "), "{framing:?}: {heard}");
        assert!(heard.contains("detail=client-slow"), "{heard}");
    }
    let asked = origin.asked();
    assert!(asked.iter().all(|asked| asked.body.is_empty()), "{asked:?}");
}

#[tokio::test]
async fn a_body_that_drips_is_not_late() {
    let origin = hello().await;
    let sidecar = sidecar(origin.address, "body_timeout = \"2s\"").await;
    let mut stream = connected(&sidecar).await;
    say(
        &mut stream,
        "POST /p HTTP/1.1\r\nHost: api.test\r\nConnection: close\r\nContent-Length: 30\r\n\r\n",
    )
    .await;
    let mut pace = tokio::time::interval(Duration::from_millis(100));
    for _ in 0..30 {
        pace.tick().await;
        say(&mut stream, "x").await;
    }
    assert!(until_closed(&mut stream).await.ends_with("hello"));
    assert_eq!(origin.last().body, "x".repeat(30));
}

#[tokio::test]
async fn a_target_and_a_head_may_be_so_long_and_no_longer() {
    let origin = hello().await;
    let sidecar = sidecar(origin.address, "max_head = \"8KiB\"").await;
    let of = |target: usize, header: usize| {
        let (target, header) = ("t".repeat(target), "h".repeat(header));
        format!(
            "GET /{target} HTTP/1.1\r\nHost: api.test\r\nConnection: close\r\nX: {header}\r\n\r\n"
        )
    };
    let most = 8 * 1024 - of(0, 0).len();
    for (target, header, status) in [
        (most, 0, "200"),
        (0, most, "200"),
        (0, most + 1, "431"),
        (most / 2, most, "431"),
        (9 * 1024, 0, "414"),
        (600 * 1024, 0, "414"),
        (0, 600 * 1024, "431"),
    ] {
        let heard = talk(sidecar.address(), of(target, header).as_bytes()).await;
        let wanted = format!("HTTP/1.1 {status} ");
        assert!(heard.starts_with(&wanted), "{target} {header}: {heard}");
    }
    assert_eq!(origin.count(), 2);
    // Behind another request, whose answer comes first.
    let behind = format!("{GET}{}", of(0, most + 1));
    let heard = talk(sidecar.address(), behind.as_bytes()).await;
    let (first, last) = (heard.find("hello"), heard.find("HTTP/1.1 431 "));
    assert!(first.is_some() && first < last, "{heard}");
}

#[tokio::test]
async fn a_body_that_says_it_is_too_large_is_not_forwarded() {
    let origin = hello().await;
    let sidecar = sidecar(origin.address, "max_body = \"1KiB\"").await;
    let post = |length: usize| {
        let body = "x".repeat(length);
        format!(
            "POST /p HTTP/1.1\r\nHost: api.test\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
        )
    };
    assert!(
        talk(sidecar.address(), post(1024).as_bytes())
            .await
            .starts_with("HTTP/1.1 200 ")
    );
    let heard = talk(sidecar.address(), post(1025).as_bytes()).await;
    assert!(heard.starts_with("HTTP/1.1 413 "), "{heard}");
    assert_eq!(origin.count(), 1);
}

#[tokio::test]
async fn an_upload_that_turns_out_too_large_never_reaches_the_origin_whole() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let sidecar = sidecar(listener.local_addr().expect("bound"), "max_body = \"1KiB\"").await;
    let chunk = format!("400\r\n{}\r\n", "x".repeat(1024));
    let bytes = format!(
        "POST /p HTTP/1.1\r\nHost: api.test\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}{chunk}0\r\n\r\n"
    );
    let to = sidecar.address();
    let client = tokio::spawn(async move { talk(to, bytes.as_bytes()).await });
    let (mut asked, _) = listener.accept().await.expect("a connection");
    let seen = until_closed(&mut asked).await;
    assert!(!seen.ends_with("0\r\n\r\n"), "{seen}");
    let heard = client.await.expect("no panic");
    assert!(heard.starts_with("HTTP/1.1 413 "), "{heard}");
    assert!(heard.contains("detail=request-too-large"), "{heard}");
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_until_one_ends() {
    let origin = hello().await;
    let sidecar = sidecar(origin.address, "max_connections = 2").await;
    let get = "GET /p HTTP/1.1\r\nHost: api.test\r\n\r\n";
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut stream = connected(&sidecar).await;
        say(&mut stream, get).await;
        until(&mut stream, "hello").await;
        held.push(stream);
    }
    let mut third = connected(&sidecar).await;
    say(&mut third, get).await;
    eventually("the third waits", async || {
        metric(&sidecar, "sidecache_connections_full_total").await >= Some(1.0)
    })
    .await;
    assert_eq!(origin.count(), 2);
    // The door has a connection of its own beside them, while it is asked.
    assert_eq!(metric(&sidecar, "sidecache_connections ").await, Some(3.0));
    held.pop();
    until(&mut third, "hello").await;
}

#[tokio::test]
async fn one_client_may_not_take_all_connections() {
    let origin = hello().await;
    let sidecar = sidecar(origin.address, "max_connections_per_client = 2").await;
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut stream = connected(&sidecar).await;
        say(&mut stream, GET).await;
        until(&mut stream, "hello").await;
        held.push(stream);
    }
    let mut third = connected(&sidecar).await;
    let _ = third.write_all(GET.as_bytes()).await; // it may be closed already
    assert_eq!(until_closed(&mut third).await, "");
    held.pop();
    eventually("a place is free again", async || {
        let mut stream: TcpStream = connected(&sidecar).await;
        let _ = stream
            .write_all(
                GET.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n")
                    .as_bytes(),
            )
            .await;
        until_closed(&mut stream).await.ends_with("hello")
    })
    .await;
}

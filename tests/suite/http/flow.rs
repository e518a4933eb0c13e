//! Bodies on their way: in order, at the reader's pace, and with the end that they have.

use super::{accepted, connected, say, stage, until_closed};
use crate::raw::until;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const GET: &str = "GET /p HTTP/1.1\r\nHost: api.test\r\n\r\n";

#[tokio::test]
async fn who_has_finished_speaking_still_gets_the_whole_answer() {
    let (listener, sidecar) = stage("").await;
    let post = "POST /p HTTP/1.1\r\nHost: api.test\r\nContent-Length: 4\r\n\r\nbody";
    for request in [
        GET,
        post,
        &GET.replace("1.1", "1.0"),
        &format!("{GET}{GET}"),
    ] {
        let mut client = connected(&sidecar).await;
        say(&mut client, request).await;
        client.shutdown().await.expect("open");
        for _ in 0..request.matches("HTTP/1").count() {
            let mut origin = accepted(&listener).await;
            until(&mut origin, "\r\n\r\n").await;
            say(&mut origin, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n3\r\none\r\n").await;
            // The first half has arrived before the second is written.
            until(&mut client, "one").await;
            if !request.contains("1.0") {
                until(&mut client, "\r\n").await;
            }
            say(&mut origin, "3\r\ntwo\r\n0\r\n\r\n").await;
            until(&mut client, "two").await;
        }
        until_closed(&mut client).await;
    }
}

#[tokio::test]
async fn a_body_that_is_cut_short_by_its_client_never_looks_whole() {
    let (listener, sidecar) = stage("").await;
    for framing in [
        "Content-Length: 10\r\n\r\nabc",
        "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
    ] {
        let mut client = connected(&sidecar).await;
        say(
            &mut client,
            format!("POST /p HTTP/1.1\r\nHost: api.test\r\n{framing}"),
        )
        .await;
        let mut origin = accepted(&listener).await;
        until(&mut origin, "abc").await;
        client.shutdown().await.expect("open");
        let rest = until_closed(&mut origin).await;
        assert!(rest.is_empty() || rest == "\r\n", "{rest:?}");
        let heard = until_closed(&mut client).await;
        assert!(
            heard.is_empty() || heard.starts_with("HTTP/1.1 400 "),
            "{heard}"
        );
    }
}

#[tokio::test]
async fn a_client_that_left_while_it_was_answered_is_not_waited_for_for_ever() {
    let (listener, sidecar) =
        stage("client_idle_timeout = \"400ms\"\norigin_timeout = \"60s\"").await;
    let mut client = connected(&sidecar).await;
    say(&mut client, GET).await;
    let mut origin = accepted(&listener).await;
    until(&mut origin, "\r\n\r\n").await;
    drop(client);
    assert_eq!(
        until_closed(&mut origin).await,
        "",
        "the origin is spared the rest"
    );
}

#[tokio::test]
async fn events_arrive_as_they_are_sent() {
    let (listener, sidecar) = stage("").await;
    let mut client = connected(&sidecar).await;
    say(&mut client, GET).await;
    let mut origin = accepted(&listener).await;
    until(&mut origin, "\r\n\r\n").await;
    say(
        &mut origin,
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n",
    )
    .await;
    until(&mut client, "\r\n\r\n").await;
    for n in 0..20 {
        let event = format!("data: {n}\n\n");
        say(&mut origin, &event).await;
        until(&mut client, &format!("{event}\r\n")).await;
    }
    drop(client);
    // Whoever tells nobody is told so.
    let noticed = async { while origin.write_all(b"data: x\n\n").await.is_ok() {} };
    tokio::time::timeout(Duration::from_secs(20), noticed)
        .await
        .expect("closed");
}

#[tokio::test]
async fn an_answer_before_the_upload_ends_is_seen_and_ends_both_connections() {
    let (listener, sidecar) = stage("").await;
    let mut client = connected(&sidecar).await;
    say(
        &mut client,
        "POST /p HTTP/1.1\r\nHost: api.test\r\nContent-Length: 1000000\r\n\r\npart",
    )
    .await;
    let mut origin = accepted(&listener).await;
    until(&mut origin, "part").await;
    say(
        &mut origin,
        "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno",
    )
    .await;
    let heard = until_closed(&mut client).await;
    assert!(
        heard.starts_with("HTTP/1.1 403 ") && heard.ends_with("no"),
        "{heard}"
    );
    assert!(heard.contains("connection: close"), "{heard}");
    assert_eq!(until_closed(&mut origin).await, "");
}

#[tokio::test]
async fn a_reader_that_is_slow_holds_up_the_origin_and_a_slow_origin_its_client() {
    let (listener, sidecar) = stage("").await;
    let mut client = connected(&sidecar).await;
    let long = 64 << 20; // more than all sockets on the way hold
    say(&mut client, GET).await;
    let mut origin = accepted(&listener).await;
    until(&mut origin, "\r\n\r\n").await;
    say(
        &mut origin,
        format!("HTTP/1.1 200 OK\r\nContent-Length: {long}\r\n\r\n"),
    )
    .await;
    assert!(
        stalls(&mut origin, long).await,
        "the answer was taken as if it were read"
    );
    drop((client, origin));
    let mut client = connected(&sidecar).await;
    say(
        &mut client,
        format!("PUT /p HTTP/1.1\r\nHost: api.test\r\nContent-Length: {long}\r\n\r\n"),
    )
    .await;
    let mut origin = accepted(&listener).await;
    until(&mut origin, "\r\n\r\n").await;
    assert!(
        stalls(&mut client, long).await,
        "the upload was taken as if it were read"
    );
    let mut piece = [0; 1024];
    origin.read_exact(&mut piece).await.expect("it has begun");
}

/// Whether a writer is held up before half of its bytes are taken.
async fn stalls(stream: &mut tokio::net::TcpStream, length: usize) -> bool {
    let bytes = vec![b'x'; 1 << 20];
    let mut sent = 0;
    let sending = async {
        while sent < length {
            sent += stream.write(&bytes).await.expect("open");
        }
    };
    let pause = Duration::from_millis(500);
    tokio::time::timeout(pause, sending).await.is_err() && sent < length / 2
}

#[tokio::test]
async fn an_answer_that_nobody_reads_is_given_up() {
    let (listener, sidecar) = stage("client_idle_timeout = \"400ms\"").await;
    let mut client = connected(&sidecar).await;
    let begun = Instant::now();
    say(&mut client, GET).await;
    let mut origin = accepted(&listener).await;
    until(&mut origin, "\r\n\r\n").await;
    say(
        &mut origin,
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", 1 << 30),
    )
    .await;
    let piece = vec![b'x'; 1 << 20];
    while origin.write_all(&piece).await.is_ok() {
        assert!(begun.elapsed() < Duration::from_secs(30), "still taken");
    }
}

#[tokio::test]
async fn an_upload_goes_on_while_its_client_does_not_read_the_answer_that_has_begun() {
    const MUCH: usize = 16 << 20; // more than the sockets on the way hold
    let (listener, sidecar) = stage("").await;
    let mut client = connected(&sidecar).await;
    let head = format!("POST /p HTTP/1.1\r\nHost: api.test\r\nContent-Length: {MUCH}\r\n\r\n");
    say(&mut client, head).await;
    let mut origin = accepted(&listener).await;
    until(&mut origin, "\r\n\r\n").await;
    let (mut upload, mut answer) = origin.into_split();
    let answering = tokio::spawn(async move {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {MUCH}\r\n\r\n");
        answer.write_all(head.as_bytes()).await?;
        answer.write_all(&vec![b'x'; MUCH]).await
    });
    let uploaded = tokio::spawn(async move {
        let mut bytes = vec![0; MUCH];
        upload.read_exact(&mut bytes).await.map(|_| upload)
    });
    until(&mut client, "\r\n\r\n").await;
    let patience = Duration::from_secs(20);
    let sent = tokio::time::timeout(patience, client.write_all(&vec![b'x'; MUCH])).await;
    sent.expect("it is taken").expect("open");
    let mut bytes = vec![0; MUCH];
    client.read_exact(&mut bytes).await.expect("the answer");
    let _upload = uploaded.await.expect("no panic").expect("all of it");
    answering.await.expect("no panic").expect("it was read");
}

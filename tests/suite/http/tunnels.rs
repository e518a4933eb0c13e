//! Connections that change their protocol: what is offered reaches the origin, what it agrees to is a
//! tunnel, and nothing else is.

use super::{accepted, connected, metric, say, sidecar, stage, until_closed};
use crate::raw::until;
use crate::world::{Asked, Origin, Reply, Sidecar, eventually};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const ASK: &str = "GET /talk HTTP/1.1\r\nHost: api.test\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

const AGREE: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// Both ends of a tunnel: the client's and the origin's.
async fn tunnel(listener: &TcpListener, sidecar: &Sidecar) -> (TcpStream, TcpStream) {
    let mut client = connected(sidecar).await;
    say(&mut client, ASK).await;
    let mut origin = accepted(listener).await;
    let asked = until(&mut origin, "\r\n\r\n").await;
    assert!(asked.contains("upgrade: websocket\r\n"), "{asked}");
    assert!(asked.contains("connection: upgrade\r\n"), "{asked}");
    assert!(asked.contains("sec-websocket-key: dGhl"), "{asked}");
    // What the origin says at once belongs to the tunnel.
    say(&mut origin, format!("{AGREE}welcome")).await;
    let answer = until(&mut client, "welcome").await.to_lowercase();
    assert!(answer.starts_with("http/1.1 101 "), "{answer}");
    for line in [
        "upgrade: websocket\r\n",
        "connection: upgrade\r\n",
        "sec-websocket-accept: s3p",
    ] {
        assert!(answer.contains(line), "{answer}");
    }
    (client, origin)
}

#[tokio::test]
async fn bytes_pass_both_ways_until_either_side_has_had_enough() {
    let (listener, sidecar) = stage("").await;
    let (mut client, mut origin) = tunnel(&listener, &sidecar).await;
    for word in ["\0\x01\n\n", "GET / HTTP/1.1\r\n\r\n", "last."] {
        say(&mut client, word).await;
        assert_eq!(until(&mut origin, word).await, word);
        say(&mut origin, word).await;
        assert_eq!(until(&mut client, word).await, word);
    }
    // Whoever has finished speaking still listens.
    client.shutdown().await.expect("open");
    assert_eq!(until_closed(&mut origin).await, "");
    say(&mut origin, "goodbye").await;
    drop(origin);
    assert_eq!(until_closed(&mut client).await, "goodbye");
    eventually("both connections are over", async || {
        metric(&sidecar, "sidecache_connections ").await == Some(1.0) // the door's own
    })
    .await;
    let passed = metric(
        &sidecar,
        "sidecache_requests_total{rule=\"-\",outcome=\"pass\"}",
    )
    .await;
    assert_eq!(passed, Some(1.0));
}

#[tokio::test]
async fn a_tunnel_is_not_held_to_the_time_limits_of_requests() {
    let settings =
        "head_timeout = \"200ms\"\nclient_idle_timeout = \"200ms\"\nbody_timeout = \"200ms\"";
    let (listener, sidecar) = stage(settings).await;
    let (mut client, mut origin) = tunnel(&listener, &sidecar).await;
    // As long as another connection takes to be closed, and as long again.
    for _ in 0..2 {
        assert_eq!(until_closed(&mut connected(&sidecar).await).await, "");
    }
    say(&mut client, "still here").await;
    assert_eq!(until(&mut origin, "still here").await, "still here");
}

/// Whether the kernel will ask a silent peer if it is still there, for the connection between these
/// ports: the timer of its line in /proc/net/tcp is the second kind.
fn is_kept_alive(local: u16, remote: u16) -> bool {
    let table = std::fs::read_to_string("/proc/net/tcp").expect("Linux");
    let is_port = |field: &str, port: u16| field.ends_with(&format!(":{port:04X}"));
    table.lines().any(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        fields.len() > 5
            && is_port(fields[1], local)
            && is_port(fields[2], remote)
            && fields[5].starts_with("02:")
    })
}

#[tokio::test]
async fn both_ends_of_a_tunnel_are_asked_whether_they_are_still_there() {
    let (listener, sidecar) = stage("").await;
    let (client, origin) = tunnel(&listener, &sidecar).await;
    let client = client.local_addr().expect("open").port();
    let towards_origin = origin.peer_addr().expect("open").port();
    let at = listener.local_addr().expect("open").port();
    // Until all is acknowledged, another timer runs.
    eventually("the client is asked", async || {
        is_kept_alive(sidecar.address().port(), client)
    })
    .await;
    eventually("the origin is asked", async || {
        is_kept_alive(towards_origin, at)
    })
    .await;
}

#[tokio::test]
async fn a_reader_that_is_slow_holds_up_its_writer() {
    let (listener, sidecar) = stage("").await;
    let (mut client, mut origin) = tunnel(&listener, &sidecar).await;
    let flood = vec![b'x'; 64 << 20]; // more than all sockets on the way hold
    let mut sent = 0;
    let held_up = async {
        while sent < flood.len() {
            sent += origin.write(&flood[sent..]).await.expect("open");
        }
    };
    let pause = std::time::Duration::from_millis(500);
    assert!(
        tokio::time::timeout(pause, held_up).await.is_err(),
        "all was taken"
    );
    assert!(sent < flood.len() / 2, "{sent}");
    let rest = tokio::spawn(async move { origin.write_all(&flood[sent..]).await });
    let mut heard = vec![0; 64 << 20];
    client.read_exact(&mut heard).await.expect("the rest");
    rest.await.expect("no panic").expect("sent");
}

#[tokio::test]
async fn a_tunnel_ends_when_the_sidecar_does() {
    let (listener, sidecar) = stage("drain_timeout = \"20s\"").await;
    let (mut client, mut origin) = tunnel(&listener, &sidecar).await;
    assert!(sidecar.server.drain().await, "nothing had to be cut off");
    assert_eq!(until_closed(&mut client).await, "");
    assert_eq!(until_closed(&mut origin).await, "");
}

#[tokio::test]
async fn an_origin_that_does_not_agree_is_heard() {
    let (listener, sidecar) = stage("").await;
    for (status, kept) in [("200 OK", false), ("426 Upgrade Required", true)] {
        let mut client = connected(&sidecar).await;
        say(&mut client, ASK).await;
        let mut origin = accepted(&listener).await;
        until(&mut origin, "\r\n\r\n").await;
        let answer = format!(
            "HTTP/1.1 {status}\r\nUpgrade: other\r\nConnection: upgrade, close\r\nContent-Length: 2\r\n\r\nno"
        );
        say(&mut origin, answer).await;
        let heard = until(&mut client, "no").await;
        assert!(heard.starts_with(&format!("HTTP/1.1 {status}")), "{heard}");
        assert_eq!(heard.contains("upgrade: other"), kept, "{heard}");
        // The connection is as it was.
        say(
            &mut client,
            "GET /p HTTP/1.1\r\nHost: api.test\r\nConnection: close\r\n\r\n",
        )
        .await;
        drop(origin);
        let mut origin = accepted(&listener).await;
        until(&mut origin, "\r\n\r\n").await;
        say(
            &mut origin,
            "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\nyes",
        )
        .await;
        assert!(until_closed(&mut client).await.ends_with("yes"));
    }
}

#[tokio::test]
async fn a_protocol_that_nobody_offered_is_no_answer() {
    let (listener, sidecar) = stage("").await;
    let plain = "GET /p HTTP/1.1\r\nHost: api.test\r\nConnection: close\r\n\r\n";
    for (asked, agreed) in [
        (plain, "websocket"),
        (ASK, "other"),
        (ASK, "websocket, other"),
        (ASK, ""),
    ] {
        let mut client = connected(&sidecar).await;
        say(&mut client, asked).await;
        let mut origin = accepted(&listener).await;
        until(&mut origin, "\r\n\r\n").await;
        say(&mut origin, format!("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: {agreed}\r\n\r\nstolen")).await;
        let heard = until(&mut client, "}").await;
        assert!(heard.starts_with("HTTP/1.1 502 "), "{agreed}: {heard}");
        assert_eq!(
            until_closed(&mut origin).await,
            "",
            "nothing more is said to it"
        );
    }
}

#[tokio::test]
async fn what_is_no_offer_to_the_origin_is_not_passed_on() {
    let origin = Origin::start(|_: Asked| async move { Reply::of(200, "text/plain", "ok") }).await;
    let sidecar = sidecar(origin.address, "").await;
    let rows = [
        "GET /p HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n",
        "GET /p HTTP/1.1\r\nConnection: close\r\nUpgrade: websocket\r\n",
        "GET /p HTTP/1.0\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n",
        "POST /p HTTP/1.1\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\nContent-Length: 0\r\n",
        "GET /p HTTP/1.1\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\nContent-Length: 0\r\nX-HTTP-Method-Override: DELETE\r\n",
    ];
    for (count, row) in rows.iter().enumerate() {
        let mut client = connected(&sidecar).await;
        say(&mut client, format!("{row}Host: api.test\r\n\r\n")).await;
        assert!(until_closed(&mut client).await.ends_with("ok"), "{row}");
        assert_eq!(origin.count(), count + 1);
        for name in ["upgrade", "connection", "http2-settings"] {
            assert_eq!(origin.last().header(name), None, "{row}");
        }
    }
}

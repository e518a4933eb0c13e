//! What passes a sidecar that looks at it: it passes as it would, and nobody else is looked at.

use crate::process::{command, output, stderr};
use crate::redis::eventually;
use crate::world::{Asked, Origin, Reply, Sidecar, head};
use hyper::header::DATE;
use serde_json::Value as Json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const RULE: &str = r#"
[[cache]]
name = "kept"
match = "GET /kept/{id}"
key = "kept:{id}"
query = []
ttl = "5m"
public = true
"#;

fn file(origin: std::net::SocketAddr, observe: &str) -> String {
    format!(
        "{}{RULE}[audit]\npropose = {observe}\n",
        head(origin, "memory:")
    )
}

async fn proposal(sidecar: &Sidecar) -> String {
    let got = sidecar.door("GET", "/api/propose", "").await;
    assert_eq!(got.status, 200, "{}", got.text());
    let told: Json = serde_json::from_slice(&got.body).expect("JSON");
    told["toml"].as_str().expect("a text").to_owned()
}

/// Tells whatever it was asked.
async fn echo() -> Origin {
    Origin::start(|asked: Asked| async move {
        let names: Vec<_> = asked
            .headers
            .iter()
            .filter(|(name, _)| !["traceparent", "x-request-id"].contains(&name.as_str()))
            .map(|(name, value)| format!("{name}={value:?}"))
            .collect();
        let said = format!(
            "{} {} {names:?} {:?}",
            asked.method, asked.target, asked.body
        );
        let reply = match asked.target.as_str() {
            "/gone" => Reply::of(404, "text/plain", said),
            "/empty" => Reply::of(204, "text/plain", ""),
            "/packed" => Reply::of(200, "text/plain", said).header("content-encoding", "gzip"),
            _ => Reply::of(200, "text/plain", said),
        };
        reply
            .header("etag", "\"7\"")
            .header("set-cookie", "a=1")
            .header("vary", "cookie")
    })
    .await
}

#[tokio::test]
async fn whoever_is_looked_at_is_answered_as_if_he_were_not() {
    let origin = echo().await;
    let seen = Sidecar::with_file(&file(origin.address, "1")).await;
    let unseen = Sidecar::with_file(&file(origin.address, "0")).await;
    let headers = [
        ("cookie", "sid=1; a=2"),
        ("accept-encoding", "gzip"),
        ("if-none-match", "\"9\""),
    ];
    let requests = [
        ("GET", "/plain?page=1&who=ann%40a", ""),
        ("GET", "/plain?ann%40a", ""),
        ("GET", "/gone", ""),
        ("GET", "/empty", ""),
        ("GET", "/packed", ""),
        ("HEAD", "/plain", ""),
        ("POST", "/plain", "sent"),
        ("PATCH", "/gone", "sent"),
        ("GET", "/kept/7", ""),
        ("GET", "/kept/7", ""),
    ];
    for (method, target, body) in requests {
        let mut got = seen.ask(method, target, &headers, body).await;
        let mut usual = unseen.ask(method, target, &headers, body).await;
        for got in [&mut got, &mut usual] {
            got.headers.remove(DATE);
        }
        // Both came by the same way but for the port, which no origin is told.
        assert_eq!(
            (got.status, &got.headers, got.text()),
            (usual.status, &usual.headers, usual.text()),
            "{target}"
        );
    }
    eventually("what passed was looked at", async || {
        proposal(&seen).await.contains("from 4 requests")
    })
    .await;
    let text = proposal(&seen).await;
    assert!(text.contains("; left out: 1 request."), "{text}");
    assert_eq!(unseen.door("GET", "/api/propose", "").await.status, 409);
}

#[tokio::test]
async fn who_asks_for_a_proposal_is_told_why_there_is_none() {
    let origin = echo().await;
    let sidecar = Sidecar::with_file(&file(origin.address, "0.5")).await;
    assert!(proposal(&sidecar).await.contains("of 50.0 % of the paths"));
    let error = async || {
        let got = sidecar.door("GET", "/api/propose", "").await;
        let told: Json = serde_json::from_slice(&got.body).expect("JSON");
        (
            got.status,
            told["error"].as_str().unwrap_or_default().to_owned(),
        )
    };
    let broken = file(origin.address, "2") + "s3cret = \"of the file\"\n";
    assert!(sidecar.reload(&broken).is_err());
    let (status, why) = error().await;
    assert_eq!(status, 409, "{why}");
    assert!(
        why.contains("has errors") && !why.contains("of the file"),
        "{why}"
    );
    let off = file(origin.address, "0");
    sidecar.reload(&off).expect("it is sound");
    let (status, why) = error().await;
    assert!(
        status == 409 && why.contains("write `propose = 0.1` under [audit]"),
        "{why}"
    );

    let both = ["propose", "--traffic", "a", "--admin", "http://127.0.0.1:1"];
    let told = output(command().args(both));
    assert!(
        stderr(&told).contains("cannot be used with"),
        "{}",
        stderr(&told)
    );
    let nowhere = tempfile::tempdir().expect("a directory");
    let told = output(command().arg("propose").current_dir(&nowhere));
    assert!(
        stderr(&told).contains("rules.toml cannot be read"),
        "{}",
        stderr(&told)
    );
}

#[tokio::test]
async fn an_answer_passes_as_it_comes() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let sidecar = Sidecar::with_file(&file(address, "1")).await;
    for kind in ["application/json", "text/event-stream"] {
        let mut client = TcpStream::connect(sidecar.address())
            .await
            .expect("a connection");
        let request = b"GET /live HTTP/1.1\r\nhost: api.test\r\n\r\n";
        client.write_all(request).await.expect("sent");
        let (mut origin, _) = listener.accept().await.expect("a connection");
        until(&mut origin, "\r\n\r\n").await;
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ntransfer-encoding: chunked\r\n\r\n"
        );
        let first = format!("{head}7\r\ndata: 1\r\n");
        origin.write_all(first.as_bytes()).await.expect("sent");
        until(&mut client, "data: 1").await; // before the next is there
        origin.write_all(b"7\r\ndata: 2\r\n").await.expect("sent");
        until(&mut client, "data: 2").await;
    } // its client leaves before the end
    eventually("both are known, and that one is a stream", async || {
        let text = proposal(&sidecar).await;
        text.contains("from 2 requests") && text.contains("and 1 route with less than 3 requests")
    })
    .await;
}

/// Reads up to where `end` is.
async fn until(stream: &mut TcpStream, end: &str) {
    let mut read = Vec::new();
    while !String::from_utf8_lossy(&read).contains(end) {
        read.push(stream.read_u8().await.expect("more comes"));
    }
}

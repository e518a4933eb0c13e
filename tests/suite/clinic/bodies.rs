//! Whatever passes, passes whole, streaming and unchanged.

use super::table::payment;
use super::world::{Call, Clinic, Program};
use crate::redis::RedisServer;
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value as Json, json};
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const MIB: usize = 1024 * 1024;

/// A body that warms the program up, too small to hide that a large one is held.
const LITTLE: usize = 2 * MIB;

/// How much memory the program may take for a body of whatever size: buffers, not bodies.
const MAX_GROWTH: usize = 8 * MIB;

async fn start() -> (Clinic, RedisServer, Program) {
    let (clinic, redis) = (Clinic::start().await, RedisServer::start());
    let program = Program::start(&clinic, &redis).await;
    (clinic, redis, program)
}

#[tokio::test]
async fn set_cookie_lines_stay_two_and_a_signed_webhook_arrives_byte_for_byte() {
    let (clinic, _redis, program) = start().await;
    assert_cookies_stay_two(&clinic, &program).await;
    assert_webhook_is_taken_and_drops(&clinic, &program).await;
}

async fn assert_cookies_stay_two(clinic: &Clinic, program: &Program) {
    let credentials = json!({
        "email": clinic.text("/patient/email"),
        "password": clinic.text("/patient/password"),
    });
    let login = Call::new("POST", "/api/v1/auth/login").json(credentials);
    let attributes = |got: &crate::world::Got| -> Vec<String> {
        let lines = got.headers.get_all("set-cookie").iter();
        let texts = lines.map(|line| line.to_str().expect("text"));
        texts.map(without_value).collect()
    };
    let got = program.answers(&login).await;
    assert_eq!(got.status, 200, "{}", got.text());
    let lines = attributes(&got);
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].starts_with("accessToken;") && lines[1].starts_with("refreshToken;"));
    assert_eq!(lines, attributes(&clinic.answers(&login).await));
}

/// A Set-Cookie line without the token and the date in it.
fn without_value(line: &str) -> String {
    let parts = line.split("; ").map(|part| match part.split_once('=') {
        Some((name @ ("accessToken" | "refreshToken" | "Expires"), _)) => name,
        _ => part,
    });
    parts.collect::<Vec<_>>().join(";")
}

async fn assert_webhook_is_taken_and_drops(clinic: &Clinic, program: &Program) {
    let unpaid = clinic.text("/unpaidAppointment/id");
    let patient = clinic
        .token(
            clinic.text("/unpaidAppointment/patientEmail"),
            "PATIENT",
            60,
        )
        .await;
    let mine =
        Call::get("/api/v1/appointment/my-appointment?paymentStatus=PAID&limit=100").by(&patient);
    let before = program.until_hit(&mine).await;
    assert!(!before.text().contains(unpaid));

    let mut tampered = payment(unpaid);
    tampered.body.push(' ');
    let refused = program.answers(&tampered).await;
    assert_eq!(refused.status, 400, "{}", refused.text());
    assert_eq!(
        program.answers(&mine).await.outcome(),
        "hit",
        "a refused write drops nothing"
    );

    let taken = program.answers(&payment(unpaid)).await;
    assert_eq!(taken.status, 200, "{}", taken.text());
    let after = program.answers(&mine).await;
    assert_eq!(after.outcome(), "miss");
    assert!(after.text().contains(unpaid), "{}", after.text());
}

/// What `/proc` says of a process, in bytes; `VmHWM` is the most that it ever took since
/// [`forget_peak`].
fn memory(process: u32, line: &str) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("it runs");
    let value = status
        .lines()
        .find_map(|text| text.strip_prefix(line))
        .expect("a line");
    let kib: usize = value
        .trim_matches([':', ' ', '\t', 'k', 'B'])
        .parse()
        .expect("a number");
    kib * 1024
}

fn forget_peak(process: u32) {
    std::fs::write(format!("/proc/{process}/clear_refs"), "5").expect("it is ours");
}

/// What a body made the program grow by at its peak.
async fn growth(program: &Program, streamed: impl Future<Output = ()>) -> usize {
    forget_peak(program.id());
    let before = memory(program.id(), "VmRSS");
    streamed.await;
    let grown = memory(program.id(), "VmHWM").saturating_sub(before);
    eprintln!(
        "{} MiB before, {} KiB more at the peak",
        before / MIB,
        grown / 1024
    );
    grown
}

/// Sends `size` bytes as they can be taken and returns what the clinic says of them.
async fn upload(to: SocketAddr, size: usize) -> Json {
    let chunk: Vec<u8> = (0..64 * 1024).map(|i| (i % 253) as u8).collect();
    let mut stream = TcpStream::connect(to).await.expect("a connection");
    let head = format!(
        "POST /api/v1/upload HTTP/1.1\r\nhost: api.test\r\ncontent-length: {size}\r\n\
         content-type: multipart/form-data; boundary=x\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.expect("it reads");
    let mut left = size;
    while left > 0 {
        let part = &chunk[..left.min(chunk.len())];
        stream.write_all(part).await.expect("it reads on");
        left -= part.len();
    }
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    assert!(head.starts_with("HTTP/1.1 200"), "{answer}");
    serde_json::from_str::<Json>(body).expect("JSON")["data"].clone()
}

async fn assert_uploads_stream(clinic: &Clinic, program: &Program) {
    let size = 50 * MIB + 7;
    let grown = growth(program, async {
        let through = upload(program.address, size).await;
        assert_eq!(through["bytes"], size);
        assert_eq!(
            through,
            upload(clinic.address, size).await,
            "another digest"
        );
    })
    .await;
    assert!(grown < MAX_GROWTH, "{grown} bytes more");
}

async fn open(to: SocketAddr, path: &str) -> Response<Incoming> {
    let stream = TcpStream::connect(to).await.expect("a connection");
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .expect("a handshake");
    tokio::spawn(connection);
    let request = Request::get(path).header("host", "api.test");
    let request = request.body(Empty::<Bytes>::new()).expect("a request");
    sender.send_request(request).await.expect("an answer")
}

/// Reads a download to its end; its bytes are a pattern of 64 KiB, over and over.
async fn download(to: SocketAddr, path: &str) -> usize {
    let block = 64 * 1024;
    let pattern: Vec<u8> = (0..2 * block).map(|i| ((i % block) % 251) as u8).collect();
    let mut body = open(to, path).await.into_body();
    let mut size = 0;
    while let Some(frame) = body.frame().await {
        let data = frame.expect("a whole body").into_data().expect("data");
        for part in data.chunks(block) {
            let begins = size % block;
            assert!(
                *part == pattern[begins..begins + part.len()],
                "other bytes at {size}"
            );
            size += part.len();
        }
    }
    size
}

async fn assert_downloads_stream(program: &Program) {
    for how in ["", "&chunked=true"] {
        let size = 300 * MIB;
        let path = format!("/api/v1/download?bytes={size}{how}");
        let grown = growth(program, async {
            assert_eq!(download(program.address, &path).await, size);
        })
        .await;
        assert!(grown < MAX_GROWTH, "{grown} bytes more");
    }
}

/// The stream never ends, so whoever waits for its end or for a full buffer hands out nothing, or
/// many events at once.
async fn assert_events_arrive_one_by_one(program: &Program) {
    let response = open(program.address, "/api/v1/events?interval=100").await;
    let kind = response.headers()["content-type"].to_str().expect("text");
    assert!(kind.starts_with("text/event-stream"), "{kind}");
    let mut body = response.into_body();
    for i in 1..=5 {
        let frame = body.frame().await.expect("it goes on").expect("unbroken");
        let event = String::from_utf8_lossy(frame.data_ref().expect("data")).into_owned();
        assert_eq!(event, format!("id: {i}\ndata: {{\"tick\":{i}}}\n\n"));
    }
}

#[tokio::test]
async fn uploads_downloads_and_events_stream_through_unchanged() {
    let (clinic, _redis, program) = start().await;
    let little = format!("/api/v1/download?bytes={LITTLE}");
    upload(program.address, LITTLE).await;
    download(program.address, &little).await;
    assert_uploads_stream(&clinic, &program).await;
    assert_downloads_stream(&program).await;
    assert_events_arrive_one_by_one(&program).await;
}

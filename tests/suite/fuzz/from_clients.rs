//! Damaged requests: whatever comes in, what goes out to the origin is plain, and every client hears
//! an answer or the end of his connection.

use super::Run;
use super::mutate::mutated;
use super::strict::StrictOrigin;
use crate::chaos::Dice;
use crate::redis::PATIENCE;
use crate::world::{Sidecar, head};
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Of the store little: it is full when the run is warm, and grows no more however long it lasts.
const RULES: &str = r#"
[local]
max = "2MiB"

[[cache]]
name = "kept"
match = "GET /kept/{id}"
key = "kept:{id}"
query = []
ttl = "5m"
public = true

[[cache]]
name = "asked"
match = "POST /asked"
key = "asked:{body.q}"
body = ["q"]
ttl = "5m"
public = true

[[invalidate]]
name = "written"
on = "PUT /kept/{id}"
drop = ["kept:{id}", "asked:{body.q}"]
"#;

const REQUESTS: [&[u8]; 12] = [
    b"GET /kept/1 HTTP/1.1\r\nHost: api.test\r\nAccept: */*\r\n\r\n",
    b"GET /kept/2?x=y HTTP/1.1\r\nHost: api.test\r\nCookie: a=b; c=\"d\"\r\nIf-None-Match: \"e\"\r\n\r\n",
    b"HEAD /kept/3 HTTP/1.1\r\nHost: api.test\r\nConnection: keep-alive\r\n\r\n",
    b"GET http://api.test/kept/4 HTTP/1.1\r\nHost: api.test\r\n\r\n",
    b"POST /asked HTTP/1.1\r\nHost: api.test\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{\"q\":\"a\"}",
    b"POST /asked HTTP/1.1\r\nHost: api.test\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"q\":\r\n4\r\n\"b\"}\r\n0\r\n\r\n",
    b"PUT /kept/5 HTTP/1.1\r\nHost: api.test\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello",
    b"PUT /kept/6 HTTP/1.1\r\nHost: api.test\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n3;a=b\r\nabc\r\n0\r\nX-T: 1\r\n\r\n",
    b"DELETE /kept/7 HTTP/1.1\r\nHost: api.test\r\n\r\nGET /kept/7 HTTP/1.1\r\nHost: api.test\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: api.test\r\nMax-Forwards: 3\r\n\r\n",
    b"GET /events HTTP/1.0\r\nX-Forwarded-For: 10.0.0.1\r\nAuthorization: Bearer x\r\n\r\n",
    b"GET /ws HTTP/1.1\r\nHost: api.test\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damaged_requests_reach_the_origin_plain_or_not_at_all() {
    let mut run = Run::begin("from clients");
    let origin = StrictOrigin::start().await;
    let sidecar = Sidecar::with_file(&(head(origin.address, "memory:") + RULES)).await;
    while let Some(mut dice) = run.next() {
        let bytes = mutated(&REQUESTS, &mut dice);
        let heard = send(sidecar.address(), &bytes, &mut dice).await;
        let shown = || {
            format!(
                "{run}: {} got {}",
                bytes.escape_ascii(),
                String::from_utf8_lossy(&heard)
            )
        };
        assert!(
            heard.is_empty() || heard.starts_with(b"HTTP/1."),
            "no answer: {}",
            shown()
        );
        assert_eq!(origin.flaw(), None, "{}", shown());
        if run.cases.is_multiple_of(50) {
            let clean = send(sidecar.address(), REQUESTS[0], &mut dice).await;
            assert!(clean.starts_with(b"HTTP/1.1 200 "), "after {run}");
        }
    }
    run.end();
}

/// Found by a run: two parts of the sidecar saw the head's end in two places, and waited for each other.
#[tokio::test]
async fn a_head_that_only_seems_to_end_does_not_hold_its_connection() {
    let origin = StrictOrigin::start().await;
    let sidecar = Sidecar::with_file(&(head(origin.address, "memory:") + RULES)).await;
    let bytes = b"GET /kept/2 HTTP/1.1\r\nHost: api.test\r\n\r\r\n";
    let heard = send(sidecar.address(), bytes, &mut Dice::new(1, 1)).await;
    assert!(heard.is_empty() || heard.starts_with(b"HTTP/1.1 400 "));
    assert_eq!(origin.flaw(), None);
}

/// Sends in one piece or two, says that nothing more comes, and hears all there is.
async fn send(to: SocketAddr, bytes: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut stream = TcpStream::connect(to).await.expect("the sidecar listens");
    let (first, second) = bytes.split_at(dice.below(bytes.len() + 1));
    for piece in [first, second] {
        let _ = stream.write_all(piece).await; // who refuses early stops reading
        tokio::task::yield_now().await;
    }
    let _ = stream.shutdown().await;
    let mut heard = Vec::new();
    let ended = timeout(PATIENCE, stream.read_to_end(&mut heard)).await;
    assert!(ended.is_ok(), "hangs on {}", bytes.escape_ascii());
    heard
}

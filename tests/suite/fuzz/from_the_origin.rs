//! Damaged answers: whatever the origin says to one request, the next one on the connection gets its
//! own answer.

use super::Run;
use super::mutate::mutated;
use super::strict::request;
use crate::chaos::Dice;
use crate::redis::PATIENCE;
use crate::world::{Sidecar, head};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
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
"#;

const ANSWERS: [&[u8]; 12] = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n5;a=b\r\nhello\r\n0\r\nX-T: 1\r\n\r\n",
    b"HTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.1 304 Not Modified\r\nETag: \"e\"\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the end",
    b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-1/9\r\nContent-Length: 2\r\n\r\nok",
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
    b"HTTP/1.1 301 Moved Permanently\r\nLocation: /kept/1\r\nVary: *\r\nSet-Cookie: a=b\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 500 Oops\r\nContent-Length: 4\r\nCache-Control: max-age=60, no-cache=\"x\"\r\nAge: 9\r\n\r\nOops",
];

/// How long an origin that has said something odd waits for the next request on its connection: so
/// long a client waits for the rest of an answer that never comes.
const LINGERS: Duration = Duration::from_millis(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damaged_answers_never_become_part_of_the_next() {
    let mut run = Run::begin("from the origin");
    let case = Arc::new(AtomicU64::new(0));
    let origin = OddOrigin::start(run.seed, case.clone()).await;
    let sidecar = Sidecar::with_file(&(head(origin, "memory:") + RULES)).await;
    while let Some(mut dice) = run.next() {
        case.store(run.cases, SeqCst);
        let path = ["/odd", "/kept/odd"][dice.below(2)];
        let heard = get(sidecar.address(), &format!("{path}{}", run.cases)).await;
        assert!(
            heard.is_empty() || heard.starts_with("HTTP/1.1 "),
            "{run}: {heard}"
        );
        for ask in 0..3 {
            let word = format!("clean-{}-{ask}", run.cases);
            let clean = get(sidecar.address(), &format!("/{word}")).await;
            let is_its_own =
                clean.starts_with("HTTP/1.1 200 ") && clean.ends_with(&format!("\r\n\r\n{word}"));
            assert!(is_its_own, "{run}: /{word} got {clean:?}");
        }
    }
    run.end();
}

async fn get(to: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(to).await.expect("the sidecar listens");
    let request = format!("GET {path} HTTP/1.1\r\nHost: api.test\r\nConnection: close\r\n\r\n");
    let _ = stream.write_all(request.as_bytes()).await;
    let mut heard = Vec::new();
    let ended = timeout(PATIENCE, stream.read_to_end(&mut heard)).await;
    assert!(
        ended.is_ok(),
        "hangs on {path} after {:?}",
        String::from_utf8_lossy(&heard)
    );
    String::from_utf8_lossy(&heard).into_owned()
}

/// Answers `/clean…` with its own word and everything else with damage.
struct OddOrigin;

impl OddOrigin {
    async fn start(seed: u64, case: Arc<AtomicU64>) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.expect("a connection");
                tokio::spawn(serve(BufReader::new(stream), seed, case.clone()));
            }
        });
        address
    }
}

async fn serve(mut stream: BufReader<TcpStream>, seed: u64, case: Arc<AtomicU64>) {
    let mut is_odd = false;
    loop {
        let next = request(&mut stream);
        let next = match is_odd {
            true => timeout(LINGERS, next).await,
            false => Ok(next.await),
        };
        let Ok(Ok(Some(asked))) = next else { return };
        let word = asked.target.trim_start_matches('/');
        let answer = match word.starts_with("clean") {
            true => format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{word}",
                word.len()
            )
            .into_bytes(),
            false => {
                is_odd = true;
                mutated(&ANSWERS, &mut Dice::new(seed, case.load(SeqCst) << 32))
            }
        };
        if stream.get_mut().write_all(&answer).await.is_err() {
            return;
        }
    }
}

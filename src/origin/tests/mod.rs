//! Origins that follow a script, byte for byte, and what the client makes of them.

mod costs; // what asking costs
mod failing; // what goes wrong, and what is said of it
mod reuse; // which connections are used again, and what is sent twice
mod ways; // TLS, Unix sockets, uploads

use super::*;
use crate::rules::settings::{ClientLimits, Listen, OriginAddress, Routing};
use bytes::Bytes;
use http_body_util::BodyExt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::Instant;
use wire::Stream;

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// What an origin saw: for each request head, the number of its connection and the head.
type Seen = Arc<Mutex<Vec<(usize, String)>>>;

/// The origin's end of one connection.
struct Line {
    number: usize,
    stream: Box<dyn Stream>,
    seen: Seen,
}

impl Line {
    /// Reads up to a blank line, and not a byte further; `None` at the end.
    async fn head(&mut self) -> Option<String> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.stream.read_u8().await.ok()?);
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        let mut seen = self.seen.lock().expect("not poisoned");
        seen.push((self.number, head.clone()));
        Some(head)
    }

    async fn say(&mut self, text: &str) {
        // The client may have closed on purpose.
        let _ = self.stream.write_all(text.as_bytes()).await;
        let _ = self.stream.flush().await;
    }

    /// Completes when the client closes.
    async fn closed(&mut self) {
        let mut rest = Vec::new();
        let _ = self.stream.read_to_end(&mut rest).await;
    }
}

/// Starts an origin on loopback; each of its connections follows the script.
async fn scripted<F>(script: impl Fn(Line) -> F + Send + 'static) -> (SocketAddr, Seen)
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
    let listener = listener.expect("loopback has ports");
    let address = listener.local_addr().expect("bound");
    let seen = Seen::default();
    let heads = seen.clone();
    tokio::spawn(async move {
        for number in 0.. {
            let (stream, _) = listener.accept().await.expect("a connection");
            tokio::spawn(script(Line {
                number,
                stream: Box::new(stream),
                seen: heads.clone(),
            }));
        }
    });
    (address, seen)
}

fn settings(origin: OriginAddress) -> ProxySettings {
    ProxySettings {
        listen: Listen::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))),
        origin,
        origin_timeout: Duration::from_secs(30),
        connect_timeout: Duration::from_secs(10),
        idle_timeout: Duration::from_secs(20),
        hosts: None,
        trusted_proxies: Vec::new(),
        routing: Routing::Express,
        max_keyed_body: 1 << 16,
        drain_timeout: Duration::from_secs(30),
        auto_invalidate: true,
        cache_status: true,
        limits: ClientLimits::default(),
        cache_control_targets: Vec::new(),
    }
}

fn http(address: SocketAddr) -> ProxySettings {
    settings(OriginAddress::Http {
        host: address.ip().to_string(),
        port: address.port(),
    })
}

fn client(settings: &ProxySettings) -> Origin {
    Origin::new(settings).expect("no TLS to set up")
}

fn request(method: Method, body: impl Into<Body>) -> Request<Body> {
    let request = Request::builder().method(method).uri("/a?b=%63");
    let request = request.header("host", "api.clinic.example");
    request.body(body.into()).expect("well-formed")
}

fn get() -> Request<Body> {
    request(Method::GET, Body::empty())
}

fn post(body: &'static str) -> Request<Body> {
    request(Method::POST, Bytes::from_static(body.as_bytes()))
}

async fn text(answer: Response<Body>) -> String {
    let body = answer.into_body().collect().await.expect("a whole body");
    String::from_utf8_lossy(&body.to_bytes()).into_owned()
}

/// The numbers of the connections on which requests came, in order.
fn connections(seen: &Seen) -> Vec<usize> {
    let seen = seen.lock().expect("not poisoned");
    seen.iter().map(|(number, _)| *number).collect()
}

/// Lets other tasks run until something holds; fails where it never does.
async fn eventually(holds: impl Fn() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(10), waiting).await;
    assert!(waited.is_ok(), "it never came to hold");
}

//! A test world in three lines: an origin that counts, a store, sidecars, a client.
//!
//! ```ignore
//! let origin = Origin::start(|asked| async move { Reply::json(r#"{"data": 1}"#) }).await;
//! let sidecar = Sidecar::start(&origin, "memory:", RULES).await;
//! assert_eq!(sidecar.get("/x").await.outcome(), "miss");
//! ```

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{HeaderName, HeaderValue};
use hyper::service::service_fn;
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use sidecache::server::{Bound, Server};
use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use tokio::net::{TcpListener, TcpStream};

pub use crate::redis::eventually;

/// A request as the origin saw it.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Which connection it came by: the first is 0.
    pub connection: u64,
    pub method: Method,
    pub target: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Asked {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// What the origin answers.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
}

impl Reply {
    pub fn json(text: impl Into<String>) -> Reply {
        Reply::of(200, "application/json", text)
    }

    pub fn of(status: u16, content_type: &str, text: impl Into<String>) -> Reply {
        let headers = vec![("content-type".to_owned(), content_type.to_owned())];
        Reply {
            status,
            headers,
            body: Bytes::from(text.into()),
        }
    }

    pub fn header(mut self, name: &str, value: &str) -> Reply {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// Rules for [`Origin::register`]: one thing, and one write that changes it.
pub const REGISTER_RULES: &str = r#"
[[cache]]
name = "thing"
match = "GET /api/thing/{id}"
key = "things:details:{id}"
query = []
ttl = "5m"
public = true

[[invalidate]]
name = "changed"
on = "PATCH /api/change/{id}"
drop = ["things:details:{id}"]
"#;

/// An origin that answers by a function and remembers what it was asked.
pub struct Origin {
    pub address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    acceptor: tokio::task::JoinHandle<()>,
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.acceptor.abort();
    }
}

impl Origin {
    pub async fn start<H, F>(handler: H) -> Origin
    where
        H: Fn(Asked) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Reply> + Send + 'static,
    {
        Origin::start_at(0, handler).await
    }

    /// The same at a port.
    pub async fn start_at<H, F>(port: u16, handler: H) -> Origin
    where
        H: Fn(Asked) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Reply> + Send + 'static,
    {
        let listener = TcpListener::bind(("127.0.0.1", port)).await;
        let listener = listener.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let remembered = asked.clone();
        let acceptor = tokio::spawn(async move {
            for connection in 0.. {
                let (stream, _) = listener.accept().await.expect("a connection");
                let remembered = remembered.clone();
                tokio::spawn(Origin::serve(
                    (stream, connection),
                    handler.clone(),
                    remembered,
                ));
            }
        });
        Origin {
            address,
            asked,
            acceptor,
        }
    }

    /// One number: GET reads it, any other method raises it.
    pub async fn register() -> Origin {
        let value = Arc::new(AtomicI64::new(0));
        Origin::start(move |asked: Asked| {
            let value = value.clone();
            async move {
                if asked.method != "GET" {
                    value.fetch_add(1, Ordering::SeqCst);
                }
                Reply::json(format!("{{\"n\": {}}}", value.load(Ordering::SeqCst)))
            }
        })
        .await
    }

    async fn serve<H, F>(
        (stream, connection): (TcpStream, u64),
        handler: H,
        remembered: Arc<Mutex<Vec<Asked>>>,
    ) where
        H: Fn(Asked) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Reply> + Send + 'static,
    {
        let service = service_fn(move |request: Request<Incoming>| {
            let (handler, remembered) = (handler.clone(), remembered.clone());
            async move {
                let (parts, body) = request.into_parts();
                let body = body
                    .collect()
                    .await
                    .map(|whole| whole.to_bytes())
                    .unwrap_or_default();
                let asked = Asked {
                    connection,
                    method: parts.method,
                    target: parts.uri.to_string(),
                    headers: parts.headers,
                    body,
                };
                remembered.lock().expect("not poisoned").push(asked.clone());
                Ok::<_, Infallible>(respond(handler(asked).await))
            }
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(stream), service);
        let _ = connection.await; // clients may break off
    }

    /// All requests so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("not poisoned").clone()
    }

    /// How many requests there were so far.
    pub fn count(&self) -> usize {
        self.asked.lock().expect("not poisoned").len()
    }

    /// The last request.
    pub fn last(&self) -> Asked {
        self.asked().pop().expect("the origin was asked")
    }
}

fn respond(reply: Reply) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(reply.body));
    *response.status_mut() = StatusCode::from_u16(reply.status).expect("a status");
    for (name, value) in reply.headers {
        let name: HeaderName = name.parse().expect("a header name");
        response
            .headers_mut()
            .append(name, HeaderValue::from_str(&value).expect("a header value"));
    }
    response
}

/// A sidecar in this process, with a rules file of its own.
pub struct Sidecar {
    pub server: Server,
    rules: PathBuf,
    _directory: tempfile::TempDir,
}

/// An answer, read to its end.
#[derive(Clone, Debug)]
pub struct Got {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Got {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    pub fn cache_status(&self) -> &str {
        self.header("cache-status").unwrap_or("none")
    }

    /// The outcome as far as Cache-Status tells: a `pass` is a `bypass` there.
    pub fn outcome(&self) -> &str {
        let status = self.cache_status();
        let words = [
            ("detail=stale", "stale"),
            ("; hit", "hit"),
            ("fwd-status=304", "revalidated"),
            ("fwd=stale", "miss"),
            ("fwd=request", "miss"),
            ("fwd=partial", "miss"),
            ("collapsed", "collapsed"),
            ("fwd=miss", "miss"),
            ("fwd=bypass", "bypass"),
            ("fwd=method", "write"),
        ];
        words
            .iter()
            .find(|(part, _)| status.contains(part))
            .map_or(status, |(_, word)| word)
    }

    /// The `detail` of Cache-Status.
    pub fn detail(&self) -> Option<&str> {
        self.cache_status().split("detail=").nth(1)
    }

    /// The body's number under `n`.
    pub fn n(&self) -> i64 {
        let document: serde_json::Value = serde_json::from_slice(&self.body).expect("JSON");
        document["n"].as_i64().expect("a number n")
    }
}

/// The head of a rules file: everything on loopback, free ports, short timeouts.
pub fn head(origin: SocketAddr, store: &str) -> String {
    format!(
        r#"namespace = "test"
[proxy]
listen = "127.0.0.1:0"
origin = "http://{origin}"
origin_timeout = "5s"
hosts = ["api.test"]
[admin]
listen = "127.0.0.1:0"
[store]
url = "{store}"
"#
    )
}

impl Sidecar {
    /// Starts with `rules` below the usual head, and with so much patience for the store that a busy
    /// machine is not taken for an outage.
    pub async fn start(origin: &Origin, store: &str, rules: &str) -> Sidecar {
        let patient = head(origin.address, store).replace("[store]", "[store]\ntimeout = \"20s\"");
        Sidecar::with_file(&format!("{patient}{rules}")).await
    }

    /// The same with little patience, for tests of outages.
    pub async fn impatient(origin: &Origin, store: &str, rules: &str) -> Sidecar {
        let hasty = head(origin.address, store).replace("[store]", "[store]\ntimeout = \"1s\"");
        Sidecar::with_file(&format!("{hasty}{rules}")).await
    }

    /// Starts with a whole rules file.
    pub async fn with_file(text: &str) -> Sidecar {
        let directory = tempfile::tempdir().expect("a directory");
        let rules = directory.path().join("rules.toml");
        std::fs::write(&rules, text).expect("a rules file");
        let server = Server::start(&rules).await.expect("a sidecar");
        Sidecar {
            server,
            rules,
            _directory: directory,
        }
    }

    /// Writes another rules file and reloads.
    pub fn reload(&self, text: &str) -> Result<(), String> {
        std::fs::write(&self.rules, text).expect("a rules file");
        self.server.reload()
    }

    pub fn address(&self) -> SocketAddr {
        tcp(self.server.proxy())
    }

    pub fn admin(&self) -> SocketAddr {
        tcp(self.server.admin().expect("an admin door"))
    }

    pub async fn get(&self, target: &str) -> Got {
        self.ask("GET", target, &[], "").await
    }

    pub async fn get_with(&self, target: &str, headers: &[(&str, &str)]) -> Got {
        self.ask("GET", target, headers, "").await
    }

    /// Sends a request to the proxy as `api.test`.
    pub async fn ask(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Got {
        ask(self.address(), method, target, headers, body).await
    }

    /// Sends a request to the admin door.
    pub async fn door(&self, method: &str, target: &str, body: &str) -> Got {
        let headers = [("host", "localhost"), ("content-type", "application/json")];
        ask(self.admin(), method, target, &headers, body).await
    }

    /// Drops patterns by hand.
    pub async fn purge(&self, patterns: &[&str]) -> Got {
        self.door(
            "POST",
            "/api/purge",
            &serde_json::json!({ "drop": patterns }).to_string(),
        )
        .await
    }
}

fn tcp(bound: &Bound) -> SocketAddr {
    match bound {
        Bound::Tcp(address) => *address,
        Bound::Unix(path) => panic!("{} is not an address", path.display()),
    }
}

/// One request over a connection of its own. `Host` is `api.test` unless `headers` say otherwise.
pub async fn ask(
    to: SocketAddr,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Got {
    let request = request(method, target, headers, body);
    let stream = TcpStream::connect(to).await.expect("a connection");
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .expect("a handshake");
    let connection = tokio::spawn(connection);
    let response = sender.send_request(request).await.expect("an answer");
    let (head, body) = response.into_parts();
    let body = body.collect().await.expect("a whole body").to_bytes();
    drop(sender);
    connection.abort();
    Got {
        status: head.status.as_u16(),
        headers: head.headers,
        body,
    }
}

/// A request to `api.test`, unless `headers` say otherwise.
pub fn request(
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Request<Full<Bytes>> {
    let mut request = Request::builder().method(method).uri(target);
    if !headers
        .iter()
        .any(|(name, _)| name.eq_ignore_ascii_case("host"))
    {
        request = request.header("host", "api.test");
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request
        .body(Full::new(Bytes::from(body.to_owned())))
        .expect("a request")
}

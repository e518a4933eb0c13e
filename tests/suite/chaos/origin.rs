//! The origin: registers, each a number that `PATCH` and `POST` raise by one and `GET` reads. It carries on
//! with a write whose connection broke, as a backend does that has begun its transaction.

use super::dice::Dice;
use super::history::{Commit, History};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::TokioIo;
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;

/// The number of a write.
pub const WRITE: &str = "x-write";
/// Milliseconds until a write is committed.
pub const BEFORE: &str = "x-before";
/// Milliseconds from then until it is answered.
pub const AFTER: &str = "x-after";
/// How: `fail` is 500, `lose` closes the connection.
pub const THEN: &str = "x-then";

/// The origin, for as long as this lives.
pub struct Origin {
    pub address: SocketAddr,
    pub registers: Arc<Registers>,
    _acceptor: AbortOnDropHandle<()>,
}

/// What it holds.
pub struct Registers {
    values: Mutex<HashMap<usize, u64>>,
    /// How often each path was read.
    fetches: Mutex<HashMap<String, u64>>,
    commits: Mutex<HashMap<u64, Commit>>,
    repeated: AtomicU64,
    dice: Mutex<Dice>,
    /// Milliseconds that each read takes longer than usual.
    pub slow: AtomicU64,
    history: Arc<History>,
}

impl Origin {
    /// Starts one whose registers are all 0.
    pub async fn start(history: Arc<History>) -> Origin {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let registers = Arc::new(Registers {
            values: Mutex::new(HashMap::new()),
            fetches: Mutex::default(),
            commits: Mutex::default(),
            repeated: AtomicU64::new(0),
            dice: Mutex::new(history.dice(u64::MAX)),
            slow: AtomicU64::new(0),
            history,
        });
        let held = registers.clone();
        let acceptor = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.expect("a connection");
                tokio::spawn(serve(stream, held.clone()));
            }
        });
        Origin {
            address,
            registers,
            _acceptor: AbortOnDropHandle::new(acceptor),
        }
    }
}

async fn serve(stream: TcpStream, registers: Arc<Registers>) {
    let service = service_fn(move |request| registers.clone().answer(request));
    let connection =
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    let _ = connection.await; // sidecars are killed, and writes are lost on purpose
}

impl Registers {
    async fn answer(
        self: Arc<Registers>,
        request: Request<Incoming>,
    ) -> io::Result<Response<Full<Bytes>>> {
        let arrived = self.history.now();
        let (parts, body) = request.into_parts();
        let register = parts.uri.path().rsplit('/').next().expect("a last segment");
        let register: usize = register.parse().expect("a register");
        if parts.method == "GET" {
            return Ok(self.read(parts.uri.path(), register).await);
        }
        // A body that breaks off is no write.
        body.collect().await.map_err(io::Error::other)?;
        self.write(register, parts.headers, arrived).await
    }

    /// The answer leaves some time after the register was read.
    async fn read(&self, path: &str, register: usize) -> Response<Full<Bytes>> {
        let value = *self.values().entry(register).or_default();
        *self.read_counts().entry(path.to_owned()).or_default() += 1;
        let usual = self.dice.lock().expect("not poisoned").ms(0, 8);
        sleep(usual + Duration::from_millis(self.slow.load(SeqCst))).await;
        answer(200, register, value)
    }

    async fn write(
        self: Arc<Registers>,
        register: usize,
        headers: HeaderMap,
        arrived: Duration,
    ) -> io::Result<Response<Full<Bytes>>> {
        let delay = |name| Duration::from_millis(number(&headers, name));
        let (id, before, after) = (number(&headers, WRITE), delay(BEFORE), delay(AFTER));
        let held = self.clone();
        let committed = tokio::spawn(async move {
            sleep(before).await;
            held.commit(id, register, arrived)
        });
        let value = committed.await.expect("it commits");
        sleep(after).await;
        match headers.get(THEN).map(|then| then.as_bytes()) {
            Some(b"fail") => Ok(answer(500, register, value)),
            Some(b"lose") => Err(io::Error::other("the connection is closed")),
            _ => Ok(answer(200, register, value)),
        }
    }

    fn commit(&self, id: u64, register: usize, arrived: Duration) -> u64 {
        let mut values = self.values();
        let value = values.entry(register).or_default();
        *value += 1;
        let value = *value;
        let commit = Commit {
            arrived,
            committed: self.history.now(),
            value,
        };
        let mut commits = self.commits.lock().expect("not poisoned");
        if commits.insert(id, commit).is_some() {
            self.repeated.fetch_add(1, SeqCst);
        }
        value
    }

    fn values(&self) -> MutexGuard<'_, HashMap<usize, u64>> {
        self.values.lock().expect("not poisoned")
    }

    fn read_counts(&self) -> MutexGuard<'_, HashMap<String, u64>> {
        self.fetches.lock().expect("not poisoned")
    }

    /// How often a path was read.
    pub fn fetches(&self, path: &str) -> u64 {
        self.read_counts().get(path).copied().unwrap_or_default()
    }

    /// Whether a write is committed.
    pub fn has_committed(&self, id: u64) -> bool {
        let commits = self.commits.lock().expect("not poisoned");
        commits.contains_key(&id)
    }

    /// What became of each write that was committed. Each was sent once.
    pub fn commits(&self) -> HashMap<u64, Commit> {
        assert_eq!(self.repeated.load(SeqCst), 0, "a write was sent twice");
        self.commits.lock().expect("not poisoned").clone()
    }
}

fn number(headers: &HeaderMap, name: &str) -> u64 {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    value.map_or(0, |text| text.parse().expect("a number"))
}

fn answer(status: u16, register: usize, value: u64) -> Response<Full<Bytes>> {
    let document = serde_json::json!({ "n": value, "register": register.to_string() });
    let response = Response::builder()
        .status(status)
        .header("content-type", "application/json");
    let body = Full::new(Bytes::from(document.to_string()));
    response.body(body).expect("an answer")
}

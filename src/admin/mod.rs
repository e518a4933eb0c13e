//! The admin door: its own listener, apart from the traffic.
//!
//! | route | does | who may |
//! | --- | --- | --- |
//! | `GET /` | the dashboard, a page that holds no data | anybody |
//! | `GET /healthz` | alive | anybody |
//! | `GET /readyz` | ready: rules loaded, listening, not draining; the store's state is reported | anybody |
//! | `GET /metrics` | OpenMetrics text | anybody |
//! | `GET /api/stats` | what this process and the fleet did | `caller` |
//! | `GET /api/rules` | the rules in force, without their secrets | `caller` |
//! | `POST /api/purge` | drops by hand | `caller` |
//! | `POST /api/explain` | what a request would come to, and why | `caller` |
//! | `GET /api/audit` | what audits found | `caller` |
//! | `GET /api/propose` | which reads that pass are worth a rule | `caller` |
//! | `POST /api/release` | ends a quarantine | `caller` |
//! | `POST /api/reload` | reads the rules file again | `caller` |
//! | `POST /api/inspect` | what is kept under a key | `caller` |
//!
//! What anybody may ask holds nothing personal. Nothing changes but by POST, whatever a header or a
//! field says that the method be.

mod caller; // who may come in
mod compiled; // GET /api/rules
mod dashboard; // GET /
mod explain;
mod failures; // how many wrong tokens came from where
mod findings;
mod inspect; // POST /api/inspect
mod propose; // GET /api/propose
mod purge;
mod reload; // POST /api/reload
mod stats;

pub use reload::Reload;

use crate::body::{self, Body, Read};
use crate::client::Client;
use crate::headers::{Peer, Seen};
use crate::live::{Ground, Live};
use crate::metrics;
use crate::outcome::Detail;
use crate::refuse::{self, Refusal};
use crate::reply;
use crate::rules::settings::{AdminSettings, ClientLimits};
use arc_swap::ArcSwap;
use bytes::Bytes;
use caller::Porter;
use hyper::body::Incoming;
use hyper::header::{self, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use serde_json::json;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Bytes of a request that the door reads: some thousand patterns.
const MAX_REQUEST: usize = 256 * 1024;

/// The routes that change something or are asked with a body, and those that tell what not everybody is
/// to know.
const CHANGING: [&str; 5] = [
    "/api/explain",
    "/api/inspect",
    "/api/purge",
    "/api/release",
    "/api/reload",
];
const TELLING: [&str; 4] = ["/api/audit", "/api/propose", "/api/rules", "/api/stats"];

/// The routes for everybody.
const OPEN: [&str; 4] = ["/", "/healthz", "/readyz", "/metrics"];

/// What stands behind the door.
pub struct Door {
    live: Arc<ArcSwap<Live>>,
    porter: Porter,
    closing: CancellationToken,
    rules: PathBuf,
    reload: Arc<Reload>,
    told: stats::Told,
    inferred: findings::Inferred,
}

/// Why a caller is turned away.
struct Denied {
    status: StatusCode,
    why: String,
    /// When to come again.
    wait: Option<Duration>,
    /// Nothing more is taken on this connection.
    closes: bool,
}

type Answer = Result<Response<Body>, Denied>;

impl Denied {
    fn new(status: StatusCode, why: impl Into<String>) -> Denied {
        Denied {
            status,
            why: why.into(),
            wait: None,
            closes: false,
        }
    }

    /// What was not read to its end leaves in doubt where the next request begins.
    fn for_good(status: StatusCode, why: &str) -> Denied {
        Denied {
            closes: true,
            ..Denied::new(status, why)
        }
    }

    /// Each further guess costs a connection.
    fn for_now(wait: Duration, why: &str) -> Denied {
        Denied {
            wait: Some(wait),
            ..Denied::for_good(StatusCode::TOO_MANY_REQUESTS, why)
        }
    }
}

impl From<Refusal> for Denied {
    fn from(refusal: Refusal) -> Denied {
        Denied::for_good(refusal.status, refusal.why)
    }
}

impl Door {
    /// A door to the rules in force, which stand in a file and which `reload` renews. `closing` is cancelled when this process
    /// drains.
    pub fn new(
        live: Arc<ArcSwap<Live>>,
        settings: &AdminSettings,
        closing: CancellationToken,
        rules: &Path,
        reload: Reload,
    ) -> Door {
        Door {
            live,
            porter: Porter::new(settings.token.as_ref()),
            closing,
            rules: rules.to_owned(),
            reload: Arc::new(reload),
            told: stats::Told::default(),
            inferred: findings::Inferred::default(),
        }
    }

    /// Answers one request to the door. Nobody is to keep an answer, to guess at its kind, or to read
    /// it from a page of another site: there is no CORS here.
    pub async fn answer(&self, client: Client, request: Request<Incoming>) -> Response<Body> {
        let path = request.uri().path().to_owned();
        let seen = Seen::of(request.headers());
        let admitted = refuse::admit(request, seen, client.standing, Some(MAX_REQUEST as u64));
        let answer = match admitted {
            Ok(request) => {
                let peer = client.peer.as_deref().map(Peer::address);
                self.route(peer, request).await
            }
            Err(refusal) => Err(refusal.into()),
        };
        let mut answer = answer.unwrap_or_else(|denied| refused(&denied, &path));
        let headers = answer.headers_mut();
        headers.insert(header::CACHE_CONTROL, NO_STORE);
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, NOSNIFF);
        answer
    }

    async fn route(&self, peer: Option<IpAddr>, request: Request<Incoming>) -> Answer {
        let path = request.uri().path().to_owned();
        let reads = [Method::GET, Method::HEAD].contains(request.method());
        match path.as_str() {
            path if (OPEN.contains(&path) || TELLING.contains(&path)) && !reads => {
                Err(Denied::new(StatusCode::METHOD_NOT_ALLOWED, "only GET"))
            }
            path if CHANGING.contains(&path) && request.method() != Method::POST => {
                Err(Denied::new(StatusCode::METHOD_NOT_ALLOWED, "only POST"))
            }
            "/" => Ok(dashboard::page()),
            "/healthz" => Ok(reply::json(StatusCode::OK, &json!({ "status": "ok" }))),
            "/readyz" => Ok(self.ready()),
            "/metrics" => Ok(self.metrics().await),
            path if CHANGING.contains(&path) || TELLING.contains(&path) => {
                let body = self.read(peer, request).await?;
                self.do_as_told(path, &body).await
            }
            path => {
                let why = format!("there is no {path} here");
                Err(Denied::new(StatusCode::NOT_FOUND, why))
            }
        }
    }

    /// What a caller asks for who was let in.
    async fn do_as_told(&self, path: &str, body: &[u8]) -> Answer {
        let live = self.live.load_full();
        let answer = match path {
            "/api/explain" => explain::told(&live, body),
            "/api/purge" => purge::purge(&live, body).await,
            "/api/release" => findings::release(&live, body).await,
            "/api/stats" => Ok(self.told.answer(&live).await),
            "/api/reload" => self.reload(body).await,
            "/api/inspect" => inspect::inspect(&live, self.porter.wants_token(), body).await,
            "/api/audit" => findings::all(&live, &self.inferred).await,
            "/api/propose" => propose::proposed(live, &self.rules).await,
            _ => Ok(compiled::shown(&live.table)),
        };
        if CHANGING.contains(&path) {
            self.told.forget().await;
        }
        answer
    }

    fn ready(&self) -> Response<Body> {
        let store = &self.live.load().ground.store;
        let (status, word) = if self.closing.is_cancelled() {
            (StatusCode::SERVICE_UNAVAILABLE, "draining")
        } else {
            (StatusCode::OK, "ready")
        };
        let state = store.state().word();
        reply::json(
            status,
            &json!({ "status": word, "store": state, "invalidations_owed": store.owed() }),
        )
    }

    async fn metrics(&self) -> Response<Body> {
        let live = self.live.load_full();
        let Ground {
            stats,
            metrics,
            store,
            ..
        } = &live.ground;
        // Only where somebody wants to know, and seldom then: whoever scrapes need not wait for Redis twice.
        metrics.store_memory(stats.ask_memory(store).await.used);
        store.state(); // one that ends by itself is looked at here
        let text = metrics.encode();
        let mut response = Response::new(Body::full(Bytes::from(text)));
        let kind = HeaderValue::from_static(metrics::CONTENT_TYPE);
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        response
    }

    /// The body of a request from somebody who may come in.
    async fn read(
        &self,
        peer: Option<IpAddr>,
        request: Request<Incoming>,
    ) -> Result<Bytes, Denied> {
        let live = self.live.load_full();
        let now = live.ground.clock.now_ms();
        let admitted = self.porter.admit(peer, request.headers(), now);
        admitted.inspect_err(|denied| live.ground.metrics.door_refused(denied.status.as_u16()))?;
        let patience = ClientLimits::default().body_timeout;
        let body = Body::client(request.into_body()).within(Some(MAX_REQUEST as u64), patience);
        let (status, why) = match body::read_up_to(body, MAX_REQUEST).await {
            Read::Whole(bytes) => return Ok(bytes),
            Read::Broken(error) if error.detail() == Detail::ClientSlow => (
                StatusCode::REQUEST_TIMEOUT,
                "the request's body took too long",
            ),
            Read::Broken(error) if error.detail() == Detail::ClientGone => {
                (StatusCode::BAD_REQUEST, "the request's body broke off")
            }
            Read::Longer(_) | Read::Broken(_) => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "the request's body is too large",
            ),
        };
        Err(Denied::for_good(status, why))
    }
}

const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
const NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");

/// A refusal as JSON, with the header that is owed with its status: RFC 9110 §15.5.2, §15.5.6; RFC
/// 6585 §4.
fn refused(denied: &Denied, path: &str) -> Response<Body> {
    let mut answer = reply::json(denied.status, &json!({ "error": denied.why }));
    let headers = answer.headers_mut();
    let owed = match denied.status {
        StatusCode::UNAUTHORIZED => Some((header::WWW_AUTHENTICATE, "Bearer")),
        StatusCode::METHOD_NOT_ALLOWED if CHANGING.contains(&path) => Some((header::ALLOW, "POST")),
        StatusCode::METHOD_NOT_ALLOWED => Some((header::ALLOW, "GET, HEAD")),
        _ => None,
    };
    headers.extend(owed.map(|(name, value)| (name, HeaderValue::from_static(value))));
    if let Some(wait) = denied.wait {
        let seconds = HeaderValue::from(wait.as_millis().div_ceil(1000) as u64);
        headers.insert(header::RETRY_AFTER, seconds);
    }
    if denied.closes {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    answer
}

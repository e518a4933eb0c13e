//! The admin door: its own listener, apart from the traffic.
//!
//! | route | does | token |
//! | --- | --- | --- |
//! | `GET /healthz` | alive | no |
//! | `GET /readyz` | ready: rules loaded, listening, not draining; the store's state is reported | no |
//! | `GET /metrics` | OpenMetrics text | no |
//! | `POST /api/purge` | drops by hand | yes |
//! | `GET /api/audit` | what audits found | yes |
//! | `POST /api/release` | ends a quarantine | yes |

mod findings;
mod purge;

use crate::body::{self, Body, Read};
use crate::live::Live;
use crate::metrics;
use crate::reply;
use crate::rules::settings::AdminSettings;
use arc_swap::ArcSwap;
use bytes::Bytes;
use hyper::body::Incoming;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use serde_json::json;
use std::net::IpAddr;
use std::sync::Arc;
use subtle::ConstantTimeEq;
use tokio_util::sync::CancellationToken;

/// Bytes of a request that the door reads: some thousand patterns.
const MAX_REQUEST: usize = 256 * 1024;

/// The routes that change something.
const CHANGING: [&str; 2] = ["/api/purge", "/api/release"];

/// What stands behind the door.
pub struct Door {
    /// The rules in force.
    pub live: Arc<ArcSwap<Live>>,
    /// Who may come in.
    pub settings: AdminSettings,
    /// Cancelled when this process drains.
    pub closing: CancellationToken,
}

/// Why a caller is turned away.
struct Denied(StatusCode, String);

type Answer = Result<Response<Body>, Denied>;

impl Door {
    /// Answers one request to the door.
    pub async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let path = request.uri().path().to_owned();
        let answer = self.route(request).await;
        answer.unwrap_or_else(|Denied(status, why)| {
            let mut answer = reply::json(status, &json!({ "error": why }));
            answer.headers_mut().extend(owed_with(status, &path));
            answer
        })
    }

    async fn route(&self, request: Request<Incoming>) -> Answer {
        match (request.method(), request.uri().path()) {
            (&Method::GET | &Method::HEAD, "/healthz") => {
                Ok(reply::json(StatusCode::OK, &json!({ "status": "ok" })))
            }
            (&Method::GET | &Method::HEAD, "/readyz") => Ok(self.ready()),
            (&Method::GET | &Method::HEAD, "/metrics") => Ok(self.metrics()),
            (&Method::POST, "/api/purge") => {
                let body = self.read(request).await?;
                purge::purge(&self.live.load_full(), &body).await
            }
            (&Method::POST, "/api/release") => {
                let body = self.read(request).await?;
                findings::release(&self.live.load_full(), &body).await
            }
            (&Method::GET | &Method::HEAD, "/api/audit") => {
                self.admit(request.headers())?;
                findings::all(&self.live.load_full()).await
            }
            (_, "/healthz" | "/readyz" | "/metrics" | "/api/audit") => Err(only("GET")),
            (_, path) if CHANGING.contains(&path) => Err(only("POST")),
            (_, path) => Err(Denied(
                StatusCode::NOT_FOUND,
                format!("there is no {path} here"),
            )),
        }
    }

    fn ready(&self) -> Response<Body> {
        let store = &self.live.load().ground.store;
        let (status, word) = if self.closing.is_cancelled() {
            (StatusCode::SERVICE_UNAVAILABLE, "draining")
        } else {
            (StatusCode::OK, "ready")
        };
        let state = if store.up() { "up" } else { "down" };
        reply::json(
            status,
            &json!({ "status": word, "store": state, "invalidations_owed": store.owed() }),
        )
    }

    fn metrics(&self) -> Response<Body> {
        let text = self.live.load().ground.metrics.encode();
        let mut response = Response::new(Body::full(Bytes::from(text)));
        let kind = HeaderValue::from_static(metrics::CONTENT_TYPE);
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        response
    }

    /// The body of a request from somebody who may come in.
    async fn read(&self, request: Request<Incoming>) -> Result<Bytes, Denied> {
        self.admit(request.headers())?;
        let body = Body::client(request.into_body());
        match body::read_up_to(body, MAX_REQUEST).await {
            Read::Whole(bytes) => Ok(bytes),
            Read::Longer(_) | Read::Broken(_) => Err(Denied(
                StatusCode::PAYLOAD_TOO_LARGE,
                format!("at most {MAX_REQUEST} bytes are read"),
            )),
        }
    }

    /// Lets in whoever has the token; without one set, whoever talks to this machine by its own
    /// name and is not a page of another site (the listener is on loopback then).
    fn admit(&self, headers: &HeaderMap) -> Result<(), Denied> {
        let Some(token) = &self.settings.token else {
            return admit_local(headers);
        };
        let given = headers
            .get(header::AUTHORIZATION)
            .map(HeaderValue::as_bytes)
            .unwrap_or_default();
        let wanted = format!("Bearer {}", token.reveal());
        if bool::from(given.ct_eq(wanted.as_bytes())) {
            return Ok(());
        }
        Err(Denied(
            StatusCode::UNAUTHORIZED,
            "Authorization: Bearer TOKEN is wanted, the one of [admin] token".into(),
        ))
    }
}

/// A page that a person on this machine looks at may send requests here, and may have its name
/// resolve to this machine; it cannot hide its `Origin`, nor send a `Host` that is ours.
fn admit_local(headers: &HeaderMap) -> Result<(), Denied> {
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok())
        .unwrap_or_default();
    if headers.contains_key(header::ORIGIN) || !is_loopback_name(host) {
        let why = "only callers on this machine come in without a token: set [admin] token";
        return Err(Denied(StatusCode::FORBIDDEN, why.into()));
    }
    Ok(())
}

fn is_loopback_name(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost")
        || bare
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// The header that a refusal is to carry by its status: RFC 9110 §15.5.2 and §15.5.6.
fn owed_with(status: StatusCode, path: &str) -> Option<(HeaderName, HeaderValue)> {
    let (name, value) = match status {
        StatusCode::UNAUTHORIZED => (header::WWW_AUTHENTICATE, "Bearer"),
        StatusCode::METHOD_NOT_ALLOWED if CHANGING.contains(&path) => (header::ALLOW, "POST"),
        StatusCode::METHOD_NOT_ALLOWED => (header::ALLOW, "GET, HEAD"),
        _ => return None,
    };
    Some((name, HeaderValue::from_static(value)))
}

fn only(method: &str) -> Denied {
    Denied(StatusCode::METHOD_NOT_ALLOWED, format!("only {method}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_loopback_names() {
        for ours in [
            "localhost",
            "LOCALHOST:9090",
            "127.0.0.1:9090",
            "[::1]:9090",
            "127.1.2.3",
        ] {
            assert!(is_loopback_name(ours), "{ours}");
        }
        for theirs in [
            "",
            "evil.example",
            "localhost.evil.example:9090",
            "10.0.0.1",
            "127.0.0.1.evil.example",
        ] {
            assert!(!is_loopback_name(theirs), "{theirs}");
        }
    }
}

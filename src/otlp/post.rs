//! The client that batches of spans go by: the one for origins, which is there already.

use crate::body::{Body, Read, read_in_time};
use crate::origin::{Origin, Patience};
use crate::rules::settings::OriginAddress;
use async_trait::async_trait;
use hyper::Uri;
use hyper::header::HOST;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;
use tokio::runtime::Handle;

/// How long a collector may take: the default of the specification.
const PATIENCE: Duration = Duration::from_secs(10);

/// Bytes of an answer that are read. A collector has little to say.
const MAX_ANSWER: usize = 64 * 1024;

/// Sends batches. It is asked on a thread that has no runtime, and does its work on ours.
#[derive(Debug)]
pub(super) struct Post {
    runtime: Handle,
    /// Made by the first batch, which bears the address.
    way: OnceLock<Way>,
    /// The last batch did not arrive.
    fails: AtomicBool,
}

#[derive(Clone)]
struct Way {
    server: Origin,
    host: hyper::header::HeaderValue,
}

impl std::fmt::Debug for Way {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Way").finish_non_exhaustive()
    }
}

impl Way {
    fn to(uri: &Uri) -> Result<Way, String> {
        let named = uri
            .host()
            .map(|host| host.trim_matches(['[', ']']).to_owned());
        let address = match (uri.scheme_str(), named, uri.port_u16()) {
            (Some("http"), Some(host), port) => OriginAddress::Http {
                host,
                port: port.unwrap_or(80),
            },
            (Some("https"), Some(host), port) => OriginAddress::Https {
                host,
                port: port.unwrap_or(443),
            },
            _ => return Err("it is neither `http://host:port` nor `https://host`".to_owned()),
        };
        let server = Origin::at(&address, Patience::all(PATIENCE));
        Ok(Way {
            server: server.map_err(|error| error.to_string())?,
            host: address.host(),
        })
    }

    async fn send(self, request: Request<Bytes>) -> Result<Response<Bytes>, String> {
        let (mut head, body) = request.into_parts();
        let target = head
            .uri
            .path_and_query()
            .map_or("/", |target| target.as_str());
        head.uri = target
            .parse()
            .map_err(|_| "its path cannot be used".to_owned())?;
        head.headers.insert(HOST, self.host);
        let request = Request::from_parts(head, Body::full(body));
        let answer = self.server.ask(request).await;
        let (head, body) = answer
            .map_err(|failure| failure.kind.word().to_owned())?
            .into_parts();
        match read_in_time(body, MAX_ANSWER, PATIENCE).await {
            Read::Whole(bytes) => Ok(Response::from_parts(head, bytes)),
            Read::Longer(_) | Read::Broken(_) => Ok(Response::from_parts(head, Bytes::new())),
        }
    }
}

impl Post {
    /// By the runtime that this is called in.
    pub(super) fn new() -> Post {
        Post {
            runtime: Handle::current(),
            way: OnceLock::new(),
            fails: AtomicBool::new(false),
        }
    }

    async fn post(&self, request: Request<Bytes>) -> Result<Response<Bytes>, String> {
        let way = match self.way.get() {
            Some(way) => way.clone(),
            None => {
                let way = Way::to(request.uri())?;
                self.way.get_or_init(|| way).clone()
            }
        };
        let sent = self.runtime.spawn(way.send(request)).await;
        sent.unwrap_or_else(|_| Err("the sending was ended".to_owned()))
    }

    /// Says it once when spans begin to be lost, and once when they arrive again.
    fn say(&self, came_to: &Result<Response<Bytes>, String>) {
        let trouble = match came_to {
            Ok(answer) if answer.status().is_success() => None,
            Ok(answer) => Some(format!("it answers {}", answer.status())),
            Err(error) => Some(error.clone()),
        };
        let failed = self.fails.swap(trouble.is_some(), Relaxed);
        match trouble {
            Some(trouble) if !failed => {
                tracing::warn!("spans do not reach their collector and may be lost: {trouble}");
            }
            None if failed => tracing::info!("spans reach their collector again"),
            _ => {}
        }
    }
}

#[async_trait]
impl HttpClient for Post {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let came_to = self.post(request).await;
        self.say(&came_to);
        Ok(came_to?)
    }
}

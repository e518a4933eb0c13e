//! Asks the origin itself, as the proxy would ask it.

use crate::body::{Body, Read, read_in_time};
use crate::head::Head;
use crate::headers::Seen;
use crate::live::Live;
use crate::origin::{Origin, Patience};
use crate::refuse::{self, Standing};
use crate::rules::settings::OriginAddress;
use crate::traffic::Exchange;
use bytes::Bytes;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Request, StatusCode};
use std::sync::Arc;
use std::time::Duration;

/// How long a test environment is waited for: it may be a laptop that compiles while it answers.
const PATIENCE: Patience = Patience {
    connect: Duration::from_secs(5),
    answer: Duration::from_secs(60),
    idle: Duration::from_secs(4),
};

/// For the rest of an answer.
const BODY_PATIENCE: Duration = Duration::from_secs(60);

/// Bytes of an answer. Longer ones are not kept by any rule.
const MAX_ANSWER: usize = 64 << 20;

/// What would make of an answer another than the whole that is kept, or one that cannot be read.
const NOT_SENT: [HeaderName; 8] = [
    header::ACCEPT_ENCODING,
    header::IF_NONE_MATCH,
    header::IF_MODIFIED_SINCE,
    header::RANGE,
    header::IF_RANGE,
    header::EXPECT,
    header::CONTENT_LENGTH,
    header::CACHE_CONTROL,
];

/// An answer of the origin.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its whole body.
    pub body: Bytes,
}

/// The way to the origin, and as whom it is asked.
pub struct Asker {
    origin: Origin,
    host: HeaderValue,
}

impl Asker {
    /// Asks at this address, with this `Host`. Connects to nothing yet.
    ///
    /// # Errors
    /// Why nobody can be asked there.
    pub fn new(address: &OriginAddress, host: HeaderValue) -> Result<Asker, String> {
        let origin = Origin::at(address, PATIENCE).map_err(|error| error.to_string())?;
        Ok(Asker { origin, host })
    }

    /// The head of a request as the proxy would let it in; `None` where it would not.
    pub fn head(&self, live: &Live, exchange: &Exchange) -> Option<Arc<Head>> {
        let mut request = Request::new(Body::full(exchange.body.clone()));
        *request.method_mut() = exchange.method.clone();
        *request.uri_mut() = exchange.target.parse().ok()?;
        *request.headers_mut() = exchange.headers.clone();
        let headers = request.headers_mut();
        for name in &NOT_SENT {
            headers.remove(name);
        }
        headers.remove(header::TRANSFER_ENCODING);
        headers.insert(header::HOST, self.host.clone());
        let seen = Seen::of(headers);
        let (proxy, identity) = (&live.table.proxy, live.table.identity.as_ref());
        let admitted = refuse::admit(request, seen, Standing::Plain, None).ok()?;
        let parts = admitted.into_parts().0;
        Some(Arc::new(Head::of(parts, seen, None, proxy, identity)))
    }

    /// The request of a head, with this body.
    pub fn request(&self, head: &Head, body: Bytes) -> Request<Body> {
        let body = match body.is_empty() {
            true => Body::empty(),
            false => Body::full(body),
        };
        let mut request = Request::new(body);
        *request.method_mut() = head.parts.method.clone();
        *request.uri_mut() = head.parts.uri.clone();
        *request.headers_mut() = head.corrected();
        request
    }

    /// Asks, and reads the whole answer.
    ///
    /// # Errors
    /// Why there is none, in a few words.
    pub async fn ask(&self, mut request: Request<Body>) -> Result<Answer, String> {
        for name in &NOT_SENT {
            request.headers_mut().remove(name);
        }
        let answer = self.origin.ask(request).await;
        let answer = answer.map_err(|failure| format!("no answer ({})", failure.kind.word()))?;
        let (parts, body) = answer.into_parts();
        match read_in_time(body, MAX_ANSWER, BODY_PATIENCE).await {
            Read::Whole(body) => Ok(Answer {
                status: parts.status,
                headers: parts.headers,
                body,
            }),
            Read::Longer(_) => Err("the answer is too long".to_owned()),
            Read::Broken(_) => Err("the answer broke off".to_owned()),
        }
    }
}

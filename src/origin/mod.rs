//! The client to the origin: deadlines, few connections used again and again, and failures that say
//! whether the origin may have acted.
//!
//! A request is sent twice in two cases only: nothing of it had been written, or it is a bodiless
//! GET, HEAD or OPTIONS whose *reused* connection closed before a byte of the answer came. A write
//! that was begun is never sent again.
//!
//! A connection is used again only after both messages on it ended as they should. Everything else
//! closes it, so that no byte of one exchange is ever taken for part of another.

mod connect;
mod connection;
mod exchange;
mod failure;
mod framing;
mod pool;
mod wire;

pub use connection::{MAX_ANSWER_HEAD, MAX_ANSWER_HEADERS};
pub use failure::{Failure, FailureKind, OriginError};

use crate::body::Body;
use crate::interim::Interim;
use crate::rules::settings::{ClientLimits, OriginAddress, ProxySettings};
use connect::Dialer;
use connection::Connection;
use exchange::{Broken, Exchange};
use hyper::body::Body as HttpBody;
use hyper::{HeaderMap, Method, Request, Response, Uri, header};
use pool::{MAX_IDLE, Pool, Slots};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use tokio::time::Duration;
use tokio_rustls::rustls::RootCertStore;

/// Marks an answer that ends where its connection does: nothing tells the whole from a part, so no
/// copy of it may be kept (RFC 9112 §8).
#[derive(Clone, Copy, Debug)]
pub struct UntilClose;

/// On a request: asked on a new connection, which behind a balancer may lead to another server.
#[derive(Clone, Copy, Debug)]
pub struct Afresh;

/// How long the client waits.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For a connection.
    pub connect: Duration,
    /// For the head of an answer.
    pub answer: Duration,
    /// For the next request on a connection, before it closes it.
    pub idle: Duration,
}

impl Patience {
    /// As the settings have it.
    pub fn of(settings: &ProxySettings) -> Patience {
        Patience {
            connect: settings.connect_timeout,
            answer: settings.origin_timeout,
            idle: settings.idle_timeout,
        }
    }

    /// The same for all of them.
    pub fn all(patience: Duration) -> Patience {
        Patience {
            connect: patience,
            answer: patience,
            idle: patience,
        }
    }
}

/// What a request is told that got no connection.
const NO_ROOM: &str = "max_connections to the origin are open";

/// The way to the origin; clones share their connections.
#[derive(Clone)]
pub struct Origin(Arc<Parts>);

struct Parts {
    dialer: Dialer,
    pool: Arc<Pool>,
    /// For as many connections as clients may have, and as many idle ones as are kept: one client may
    /// have many requests under way over HTTP/2, and left others behind.
    slots: Slots,
    connect_timeout: Duration,
    origin_timeout: Duration,
    /// Answers in the network's place.
    #[cfg(test)]
    simulated: Option<Simulated>,
}

/// An origin that is a function, where everything is simulated.
#[cfg(test)]
pub(crate) type Simulated = Box<dyn Fn(Request<Body>) -> SimulatedAnswer + Send + Sync>;

/// What it comes to, with the failures of a real one.
#[cfg(test)]
pub(crate) type SimulatedAnswer =
    std::pin::Pin<Box<dyn Future<Output = Result<Response<Body>, Failure>> + Send>>;

impl Parts {
    /// `most` connections are used at a time.
    fn new(
        address: &OriginAddress,
        patience: Patience,
        most: usize,
        roots: RootCertStore,
    ) -> Result<Parts, OriginError> {
        let slots = Slots::new(most + MAX_IDLE);
        Ok(Parts {
            dialer: Dialer::new(address, patience.connect, roots)?,
            pool: Pool::new(patience.idle, slots.clone()),
            slots,
            connect_timeout: patience.connect,
            origin_timeout: patience.answer,
            #[cfg(test)]
            simulated: None,
        })
    }
}

/// The public authorities.
fn web_roots() -> RootCertStore {
    webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect()
}

impl Origin {
    /// A client for the origin of these settings. Connects to nothing yet. An `https` origin is
    /// trusted by the compiled-in web roots.
    pub fn new(settings: &ProxySettings) -> Result<Origin, OriginError> {
        let (patience, most) = (Patience::of(settings), settings.limits.max_connections);
        let parts = Parts::new(&settings.origin, patience, most, web_roots())?;
        Ok(Origin(Arc::new(parts)))
    }

    /// A client for any server, spoken to as an origin is.
    pub fn at(address: &OriginAddress, patience: Patience) -> Result<Origin, OriginError> {
        Origin::trusting(address, patience, web_roots())
    }

    /// The same, trusting these authorities.
    pub(crate) fn trusting(
        address: &OriginAddress,
        patience: Patience,
        roots: RootCertStore,
    ) -> Result<Origin, OriginError> {
        let most = ClientLimits::default().max_connections;
        let parts = Parts::new(address, patience, most, roots)?;
        Ok(Origin(Arc::new(parts)))
    }

    /// Nothing goes out: `simulated` answers.
    #[cfg(test)]
    pub(crate) fn simulated(
        settings: &ProxySettings,
        simulated: Simulated,
    ) -> Result<Origin, OriginError> {
        let (patience, most) = (Patience::of(settings), settings.limits.max_connections);
        let mut parts = Parts::new(&settings.origin, patience, most, RootCertStore::empty())?;
        parts.simulated = Some(simulated);
        Ok(Origin(Arc::new(parts)))
    }

    /// Sends one request and returns the head of its answer with a streaming body.
    ///
    /// The target is in origin-form or `*`, `Host` is set, and hop-by-hop headers are removed; target
    /// and headers go out as they are, but for the framing, which is written from the body. The head
    /// may take the origin timeout, reckoned from when anything of the request last went out. The
    /// body may take as long as it likes; dropping it closes its connection.
    ///
    /// On a connection that is kept the request is handed over before this is first polled: what is waited
    /// with is small, and so is whatever waits for it.
    pub fn ask(
        &self,
        request: Request<Body>,
    ) -> impl Future<Output = Result<Response<Body>, Failure>> {
        let asking = self.begin(request);
        async move {
            let (exchange, again) = match asking {
                Asking::Apart(asking) => return asking.await,
                Asking::Reusing(exchange, again) => (exchange, again),
            };
            let broken = match exchange.answer(&self.0).await {
                Ok(answer) => return Ok(answer),
                Err(broken) => broken,
            };
            let again = again.filter(|_| broken.is_silent);
            match broken.unsent.or(again.map(|again| again.request())) {
                Some(again) => Box::pin(self.ask_afresh(again)).await,
                None => Err(broken.failure),
            }
        }
    }

    fn begin(&self, mut request: Request<Body>) -> Asking<'_> {
        #[cfg(test)]
        if let Some(simulated) = &self.0.simulated {
            return Asking::Apart(simulated(request));
        }
        framing::frame(&mut request);
        if !request.body().is_untouched() {
            request.headers_mut().remove(header::EXPECT); // its client sends, or has nothing to send
        }
        let afresh = request.extensions_mut().remove::<Afresh>();
        match afresh.map_or_else(|| self.0.pool.take(), |_| None) {
            Some(reused) => {
                let again = Again::of(&request);
                Asking::Reusing(Exchange::begin(reused, request), again)
            }
            None => Asking::Apart(Box::pin(self.ask_afresh(request))),
        }
    }

    /// Asks on a new connection, once.
    async fn ask_afresh(&self, request: Request<Body>) -> Result<Response<Body>, Failure> {
        let slot = self.0.slots.slot(self.0.connect_timeout).await;
        let busy = || Failure::before(FailureKind::Busy, io::Error::other(NO_ROOM));
        let fresh = self.0.dialer.dial(slot.ok_or_else(busy)?).await;
        let fresh = fresh.map_err(|error| Failure::before(FailureKind::Connect, error))?;
        let answer = self.exchange(fresh, request).await;
        answer.map_err(|broken| broken.failure)
    }

    /// One request and one answer's head on one connection.
    async fn exchange(
        &self,
        connection: Box<Connection>,
        request: Request<Body>,
    ) -> Result<Response<Body>, Box<Broken>> {
        Exchange::begin(connection, request).answer(&self.0).await
    }
}

/// How a request is on its way.
enum Asking<'o> {
    /// On the heap as a whole: rare, and others need no room for it.
    Apart(Pin<Box<dyn Future<Output = Result<Response<Body>, Failure>> + Send + 'o>>),
    /// On a kept connection, with what it is sent again by where that may be.
    Reusing(Exchange, Option<Box<Again>>),
}

/// A request that may be sent twice: it has no body, and its method promises to change nothing. Of its
/// extensions only who hears interim answers goes along: nothing else is put on a request to the origin.
struct Again {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    interim: Option<Interim>,
}

impl Again {
    fn of(request: &Request<Body>) -> Option<Box<Again>> {
        let is_safe = [Method::GET, Method::HEAD, Method::OPTIONS].contains(request.method());
        let may_be = is_safe && request.body().is_end_stream();
        may_be.then(|| {
            Box::new(Again {
                method: request.method().clone(),
                uri: request.uri().clone(),
                headers: request.headers().clone(),
                interim: request.extensions().get().cloned(),
            })
        })
    }

    fn request(self) -> Request<Body> {
        let mut request = Request::new(Body::empty());
        *request.method_mut() = self.method;
        *request.uri_mut() = self.uri;
        *request.headers_mut() = self.headers;
        let interim = self.interim;
        interim.and_then(|interim| request.extensions_mut().insert(interim));
        request
    }
}

#[cfg(test)]
mod tests;

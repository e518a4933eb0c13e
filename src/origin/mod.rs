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
use hyper::body::{Body as HttpBody, Incoming};
use hyper::{Method, Request, Response, StatusCode, header};
use pool::{MAX_IDLE, Pool, Slots};
use std::io;
use std::sync::Arc;
use tokio::sync::Notify;
use tokio::time::Duration;
use tokio_rustls::rustls::RootCertStore;
use wire::{Traffic, Upload};

/// Marks an answer that ends where its connection does: nothing tells the whole from a part, so no
/// copy of it may be kept (RFC 9112 §8).
#[derive(Clone, Copy, Debug)]
pub struct UntilClose;

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

/// An exchange that failed, and whether it may be tried again.
struct Broken {
    failure: Failure,
    /// The request, where nothing of it was written.
    unsent: Option<Request<Body>>,
    /// The connection ended without a byte of an answer.
    is_silent: bool,
}

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
    pub async fn ask(&self, mut request: Request<Body>) -> Result<Response<Body>, Failure> {
        #[cfg(test)]
        if let Some(simulated) = &self.0.simulated {
            return simulated(request).await;
        }
        framing::frame(&mut request);
        if !request.body().is_untouched() {
            request.headers_mut().remove(header::EXPECT); // its client sends, or has nothing to send
        }
        let Some(reused) = self.0.pool.take().await else {
            return Box::pin(self.ask_afresh(request)).await; // rare: others need no room for it
        };
        let copy = repeatable(&request);
        let broken = match self.exchange(reused, request).await {
            Ok(answer) => return Ok(answer),
            Err(broken) => broken,
        };
        match broken.unsent.or(copy.filter(|_| broken.is_silent)) {
            Some(again) => Box::pin(self.ask_afresh(again)).await,
            None => Err(broken.failure),
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
        mut connection: Box<Connection>,
        request: Request<Body>,
    ) -> Result<Response<Body>, Box<Broken>> {
        let traffic = connection.traffic.clone();
        traffic.begin();
        let expects = request.headers().contains_key(header::EXPECT);
        let offered = request.headers().get(header::UPGRADE).cloned();
        let mut request = request.map(|body| Upload::new(body, traffic.clone()));
        hear_interims(&mut request, expects);
        let sent = connection.send(request, self.0.origin_timeout).await;
        let answer = match sent {
            Some(Ok(answer)) => answer,
            Some(Err(mut error)) => {
                let unsent = error.take_message();
                return Err(Broken::told_by(error.into_error(), unsent, &traffic));
            }
            None => return Err(Broken::after(FailureKind::Timeout, None)),
        };
        traffic.head_came();
        match framing::is_plain(&answer, offered.as_ref()) {
            true => Ok(self.receive(connection, answer)),
            false => Err(Broken::after(FailureKind::Malformed, None)),
        }
    }

    /// Binds an answer's body to its connection, which goes back to the pool at the end of the body;
    /// not so where the origin answered before it had the whole request.
    fn receive(
        &self,
        mut connection: Box<Connection>,
        answer: Response<Incoming>,
    ) -> Response<Body> {
        if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
            connection.change_hands(); // to whoever takes `OnUpgrade` from the answer
            return answer.map(|_| Body::empty());
        }
        match connection.traffic.is_request_whole() {
            true => connection.returns_to(self.0.pool.clone()),
            false => connection.attend(),
        }
        let until_close = framing::ends_with_connection(&answer);
        let mut answer = answer.map(|incoming| Body::fed(incoming, connection));
        if until_close {
            answer.extensions_mut().insert(UntilClose);
        }
        framing::tidy(&mut answer);
        answer
    }
}

/// Passes on what the origin says before it answers, if somebody wants to hear it. The body of a request
/// that expects to be told to continue is kept until the origin says so or has not said otherwise for
/// a while (RFC 9110 §10.1.1).
fn hear_interims(request: &mut Request<Upload>, expects: bool) {
    let told = expects.then(|| Arc::new(Notify::new()));
    if let Some(told) = &told {
        request.body_mut().wait_for(told.clone());
    }
    let client = request.extensions_mut().remove::<Interim>();
    if told.is_none() && client.is_none() {
        return;
    }
    hyper::ext::on_informational(request, move |interim| match (interim.status(), &told) {
        (StatusCode::CONTINUE, Some(told)) => told.notify_one(),
        (status, _) => {
            let _ = client
                .as_ref()
                .map(|client| client.say(status, interim.headers()));
        }
    });
}

impl Broken {
    fn after(kind: FailureKind, source: Option<hyper::Error>) -> Box<Broken> {
        Box::new(Broken {
            failure: Failure::after(kind, source),
            unsent: None,
            is_silent: false,
        })
    }

    /// What hyper says of an exchange that failed.
    fn told_by(
        error: hyper::Error,
        unsent: Option<Request<Upload>>,
        traffic: &Traffic,
    ) -> Box<Broken> {
        if unsent.is_some() {
            return Box::new(Broken {
                failure: Failure::before(FailureKind::Closed, error),
                unsent: unsent.map(|request| request.map(Upload::into_body)),
                is_silent: true,
            });
        }
        let kind = match () {
            () if error.is_user() => FailureKind::RequestBody,
            () if error.is_parse() => FailureKind::Malformed,
            () => FailureKind::Closed,
        };
        let mut broken = Broken::after(kind, Some(error));
        broken.is_silent = kind == FailureKind::Closed && !traffic.is_answered();
        broken
    }
}

/// A copy of a request that may be sent twice: it has no body, and its method promises to change
/// nothing.
fn repeatable(request: &Request<Body>) -> Option<Request<Body>> {
    let is_safe = [Method::GET, Method::HEAD, Method::OPTIONS].contains(request.method());
    if !is_safe || !request.body().is_end_stream() {
        return None;
    }
    let mut copy = Request::new(Body::empty());
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    copy.extensions_mut().extend(request.extensions().clone());
    Some(copy)
}

#[cfg(test)]
mod tests;

//! One request and one answer's head on one connection.

use super::connection::{Connection, Sending};
use super::failure::{Failure, FailureKind};
use super::wire::{Traffic, Upload};
use super::{Parts, UntilClose, framing};
use crate::body::Body;
use crate::interim::Interim;
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::header::{self, HeaderValue};
use hyper::{Request, Response, StatusCode};
use std::sync::Arc;
use tokio::sync::Notify;

/// A request that was handed over to its connection.
pub(super) struct Exchange {
    connection: Box<Connection>,
    sending: Sending,
    /// The protocols that the request offers to change to.
    offered: Option<HeaderValue>,
}

/// An exchange that failed, and whether it may be tried again.
pub(super) struct Broken {
    pub(super) failure: Failure,
    /// The request, where nothing of it was written.
    pub(super) unsent: Option<Request<Body>>,
    /// The connection ended without a byte of an answer.
    pub(super) is_silent: bool,
}

impl Exchange {
    /// Hands a request over. Nothing of it goes out before its answer is waited for.
    pub(super) fn begin(mut connection: Box<Connection>, request: Request<Body>) -> Exchange {
        let traffic = connection.traffic.clone();
        traffic.begin();
        let expects = request.headers().contains_key(header::EXPECT);
        let offered = request.headers().get(header::UPGRADE).cloned();
        let mut request = request.map(|body| Upload::new(body, traffic));
        hear_interims(&mut request, expects);
        Exchange {
            sending: connection.send(request),
            connection,
            offered,
        }
    }

    /// Waits for the answer's head.
    pub(super) async fn answer(mut self, origin: &Parts) -> Result<Response<Body>, Box<Broken>> {
        let sent = self
            .connection
            .head_of(&mut self.sending, origin.origin_timeout);
        let answer = match sent.await {
            Some(Ok(answer)) => answer,
            Some(Err(error)) => return Err(Broken::told_by(*error, &self.connection.traffic)),
            None => return Err(Broken::after(FailureKind::Timeout, None)),
        };
        self.connection.traffic.head_came();
        match framing::is_plain(&answer, self.offered.as_ref()) {
            true => Ok(receive(self.connection, answer, origin)),
            false => Err(Broken::after(FailureKind::Malformed, None)),
        }
    }
}

/// Binds an answer's body to its connection, which goes back to the pool at the end of the body;
/// not so where the origin answered before it had the whole request.
fn receive(
    mut connection: Box<Connection>,
    answer: Response<Incoming>,
    origin: &Parts,
) -> Response<Body> {
    if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
        connection.change_hands(); // to whoever takes `OnUpgrade` from the answer
        return answer.map(|_| Body::empty());
    }
    match connection.traffic.is_request_whole() {
        true => connection.returns_to(origin.pool.clone()),
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
    fn told_by(mut error: TrySendError<Request<Upload>>, traffic: &Traffic) -> Box<Broken> {
        let (unsent, error) = (error.take_message(), error.into_error());
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

//! What went wrong, and whether the origin may have acted nevertheless.

use crate::body::BodyError;
use crate::outcome::Detail;
use std::error::Error;
use std::fmt;

/// What went wrong between us and the origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// There were as many connections as there may be.
    Busy,
    /// No connection came about.
    Connect,
    /// No answer's head came in time.
    Timeout,
    /// The connection ended before an answer's head did.
    Closed,
    /// What came was no answer, or an ambiguous one.
    Malformed,
    /// The client did not send the request's body to its end.
    RequestBody,
}

impl FailureKind {
    /// One word for logs.
    pub fn word(self) -> &'static str {
        match self {
            FailureKind::Busy => "busy",
            FailureKind::Connect => "connect",
            FailureKind::Timeout => "timeout",
            FailureKind::Closed => "closed",
            FailureKind::Malformed => "malformed",
            FailureKind::RequestBody => "request-body",
        }
    }
}

impl Failure {
    /// The word that clients, logs and metrics get.
    pub fn detail(&self) -> Detail {
        match self.kind {
            FailureKind::Busy => Detail::OriginBusy,
            FailureKind::Connect => Detail::OriginUnreachable,
            FailureKind::Timeout => Detail::OriginTimeout,
            FailureKind::Closed | FailureKind::Malformed => Detail::OriginBroken,
            FailureKind::RequestBody => self
                .body_error()
                .map_or(Detail::ClientGone, BodyError::detail),
        }
    }

    /// What became of the request's body, where that was the trouble.
    fn body_error(&self) -> Option<&BodyError> {
        let mut cause: Option<&(dyn Error + 'static)> = self.source();
        while let Some(error) = cause {
            if let Some(body_error) = error.downcast_ref() {
                return Some(body_error);
            }
            cause = error.source();
        }
        None
    }

    /// The client broke off before anything was sent.
    pub fn client_gone(source: impl Error + Send + Sync + 'static) -> Failure {
        Failure::before(FailureKind::RequestBody, source)
    }
}

/// A request that has no answer.
#[derive(Debug)]
pub struct Failure {
    /// What went wrong.
    pub kind: FailureKind,
    /// False only where it is certain that the origin saw nothing of the request.
    pub may_have_acted: bool,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl Failure {
    /// A failure before anything of the request was written.
    pub(crate) fn before(kind: FailureKind, source: impl Error + Send + Sync + 'static) -> Failure {
        Failure {
            kind,
            may_have_acted: false,
            source: Some(Box::new(source)),
        }
    }

    /// A failure after the request was begun.
    pub(crate) fn after(kind: FailureKind, source: Option<hyper::Error>) -> Failure {
        Failure {
            kind,
            may_have_acted: true,
            source: source.map(Into::into),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "origin: {}", self.kind.word())?;
        match &self.source {
            Some(source) => write!(f, ": {source}"),
            None => Ok(()),
        }
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

/// Why there is no way to ask an origin at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OriginError {
    /// The host of an `https` origin is no name that a certificate could have.
    Name(String),
    /// TLS could not be set up.
    Tls(String),
}

impl fmt::Display for OriginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OriginError::Name(host) => write!(f, "`{host}` is no name for a certificate"),
            OriginError::Tls(reason) => write!(f, "TLS to the origin: {reason}"),
        }
    }
}

impl Error for OriginError {}

//! Requests that were made, and what was answered, as they were written down: plain data.

use bytes::Bytes;
use hyper::{HeaderMap, Method};

/// One request and its answer. Headers and bodies are secrets: nothing of them is ever logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// When it was asked, in milliseconds of Unix time.
    pub at_ms: u64,
    /// How long the answer took, in milliseconds, where that is known.
    pub took_ms: Option<u64>,
    /// The method.
    pub method: Method,
    /// Path and query, as they were sent.
    pub target: String,
    /// The headers of the request, the host's among them where it is known.
    pub headers: HeaderMap,
    /// The body of the request; empty where there was none or it is not known.
    pub body: Bytes,
    /// What was answered, where that is known.
    pub answer: Option<Answered>,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// The status.
    pub status: u16,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, if it was written down.
    pub body: Option<Bytes>,
}

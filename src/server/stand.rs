//! A listener for one purpose, without rules, reload or admin door: for commands that serve somebody.

use super::gate::{Access, Bound, Gate, Opening, bind};
use crate::client::Client;
use crate::metrics::Metrics;
use crate::rules::settings::{ClientLimits, Listen};
use hyper::body::{Body as HttpBody, Incoming};
use hyper::{Request, Response};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// A listener whose requests all go to one handler.
pub struct Stand(Gate);

impl Stand {
    /// Listens when this returns. `what` is the option that says where, as an error names it.
    ///
    /// # Errors
    /// Why it cannot listen there.
    pub async fn open<H, F, B>(listen: &Listen, what: &str, handler: H) -> Result<Stand, String>
    where
        H: Fn(Client, Request<Incoming>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response<B>> + Send + 'static,
        B: HttpBody<Data = bytes::Bytes> + Send + Unpin + 'static,
        B::Error: std::error::Error + Send + Sync,
    {
        Ok(Stand(Gate::open(Opening {
            listener: bind(listen, what, Access::Anybody).await?,
            closing: CancellationToken::new(),
            metrics: Arc::new(Metrics::new()),
            limits: ClientLimits::default,
            places: ClientLimits::default().max_connections,
            handler,
        })))
    }

    /// Where it listens.
    pub fn bound(&self) -> &Bound {
        &self.0.bound
    }

    /// Lets nobody more in and waits until those there have finished what they began.
    pub async fn shut(&self) {
        self.0.shut().await;
    }
}

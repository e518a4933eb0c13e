//! The task that hears which nodes other sidecars deleted, for as long as some rule may be answered
//! from memory and Redis may be asked.
//!
//! Its connection is its own and is never mended: the moment it is lost nothing known counts, and
//! the next one begins with nothing known.

use super::breaker::Breaker;
use super::channel::{self, Channel};
use super::fault::Fault;
use super::known::Known;
use super::redis::{Address, Subscription};
use crate::metrics::Metrics;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// Between attempts to subscribe, for the reasons of the warden's.
const ATTEMPT_EVERY: Duration = Duration::from_millis(500);

/// What the task needs.
pub struct Listener {
    /// Where Redis is.
    pub address: Arc<Address>,
    /// What it listens to.
    pub channel: Arc<Channel>,
    /// Says whether Redis may be asked.
    pub breaker: Arc<Breaker>,
    /// What forgets.
    pub known: Arc<Known>,
    /// Counts its commands, shows whether it hears.
    pub metrics: Arc<Metrics>,
}

impl Listener {
    /// Runs until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        stop.run_until_cancelled(self.watch()).await;
    }

    /// Never returns.
    async fn watch(&self) {
        let mut need = Need {
            is_used: self.channel.watch(),
            is_up: self.breaker.watch(),
        };
        let mut attempt = interval(ATTEMPT_EVERY);
        attempt.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut reported = None;
        loop {
            need.becomes(true).await;
            attempt.tick().await;
            tokio::select! {
                biased; // nothing is begun that is no longer needed
                () = need.becomes(false) => reported = None,
                Err(fault) = self.listen() => {
                    if !reported.is_some_and(|before: Fault| before.is_like(&fault)) {
                        tracing::warn!(%fault, "other sidecars are not heard: every hit asks the store");
                    }
                    reported = Some(fault);
                }
            }
        }
    }

    /// Returns when other sidecars are not heard, or no more.
    async fn listen(&self) -> Result<Infallible, Fault> {
        let (channel, metrics) = (self.channel.clone(), self.metrics.clone());
        let subscription = Subscription::open(&self.address, channel, metrics).await?;
        let _hearing = Hearing::begin(&self.known, &self.metrics);
        tracing::info!("other sidecars are heard: rules with a local_ttl answer from memory");
        let forget = |message: &str| self.known.forget(channel::nodes(message));
        Err(subscription.follow(forget).await)
    }
}

/// What makes listening worth while.
struct Need {
    is_used: watch::Receiver<bool>,
    is_up: watch::Receiver<bool>,
}

impl Need {
    /// Returns at once if it is so already.
    async fn becomes(&mut self, needed: bool) {
        loop {
            let is_used = *self.is_used.borrow_and_update();
            let is_up = *self.is_up.borrow_and_update();
            if (is_used && is_up) == needed {
                return;
            }
            // Neither sender ends before this task, which holds what they live in.
            tokio::select! {
                biased; // in any order: a seed of the simulation has to tell one story
                _ = self.is_used.changed() => {}
                _ = self.is_up.changed() => {}
            }
        }
    }
}

/// Other sidecars are heard, for as long as this lives: also a listener that is cancelled or panics
/// stops hearing.
struct Hearing<'l> {
    known: &'l Known,
    metrics: &'l Metrics,
}

impl Hearing<'_> {
    fn begin<'l>(known: &'l Known, metrics: &'l Metrics) -> Hearing<'l> {
        known.hear();
        metrics.subscription_up(true);
        Hearing { known, metrics }
    }
}

impl Drop for Hearing<'_> {
    fn drop(&mut self) {
        self.known.hear_no_more();
        self.metrics.subscription_up(false);
    }
}

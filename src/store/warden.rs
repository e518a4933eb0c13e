//! The task that keeps a connection in the breaker: connects, asks for a sign of life and which server it
//! is, pays what is owed, closes the breaker, and begins anew when it opens.

use super::breaker::{Breaker, TIMEOUTS_TO_OPEN};
use super::channel::Channel;
use super::fault::{Fault, Kind};
use super::known::Known;
use super::redis::{Address, Connection, Driver};
use super::server::Recognition;
use crate::metrics::Metrics;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval, interval_at, sleep, timeout};
use tokio_util::sync::CancellationToken;

/// Between attempts to connect: soon enough that a restart of Redis costs a second, rare enough to
/// burden nobody.
const PROBE_EVERY: Duration = Duration::from_millis(500);

/// Between attempts while the provider's allowance is spent. It comes back with a day or a month, or
/// when somebody pays for more.
const PROBE_SPENT_EVERY: Duration = Duration::from_secs(5);

/// An idle connection gives a sign of life so often: before providers, NATs and balancers close it, and
/// a way that was cut without a word is noticed before a request finds out. Rarer than the shortest
/// idle timeout that is common (a minute), and free where commands are billed.
const PING_EVERY: Duration = Duration::from_secs(30);

/// Nodes paid by one command, so that paying 10,000 keeps within the timeout of each.
const PAID_AT_ONCE: usize = 1000;

/// What the task needs.
pub struct Warden {
    /// Where Redis is.
    pub address: Arc<Address>,
    /// What it watches over.
    pub breaker: Arc<Breaker>,
    /// Where what is paid is told.
    pub channel: Arc<Channel>,
    /// Looks at each new connection.
    pub recognition: Recognition,
    /// What this process knew before.
    pub known: Arc<Known>,
    /// Counts its commands.
    pub metrics: Arc<Metrics>,
}

impl Warden {
    /// Runs until `stop`; then pays what is owed if that can be done within `patience`, and
    /// disconnects.
    pub async fn run(self, stop: CancellationToken, patience: Duration) {
        if stop.run_until_cancelled(self.watch()).await.is_none() {
            self.leave(patience).await;
        }
    }

    /// Never returns.
    async fn watch(&self) {
        let mut probe = interval(PROBE_EVERY);
        probe.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut reported: Option<Fault> = None;
        loop {
            probe.tick().await;
            match self.restore().await {
                Ok((connection, mut driver)) => {
                    tracing::info!("store is up");
                    reported = None;
                    let mut up = self.breaker.watch();
                    tokio::select! {
                        biased; // in any order: a seed of the simulation has to tell one story
                        () = driver.ended() => {}
                        _ = up.wait_for(|up| !up) => {}
                        () = self.keep_alive(&connection) => {}
                    }
                    self.breaker.open(&connection);
                    let (state, owed) = (self.breaker.state(), self.breaker.owed());
                    tracing::warn!(%state, owed, "store is down");
                }
                Err(fault) => {
                    if !reported.is_some_and(|before| before.is_like(&fault)) {
                        tracing::warn!(%fault, owed = self.breaker.owed(), "store cannot be used");
                    }
                    let is_spent = fault.kind == Kind::Quota;
                    reported = Some(fault);
                    if is_spent {
                        self.pause().await;
                    }
                }
            }
        }
    }

    /// Waits for an allowance. Who owes does not: others should not find the store in use again, and in
    /// it what a write has made old.
    async fn pause(&self) {
        let until = Instant::now() + PROBE_SPENT_EVERY;
        while Instant::now() < until && self.breaker.owed() == 0 {
            sleep(PROBE_EVERY).await;
        }
    }

    /// Never returns. Where no answer comes it asks as often as it takes to open the breaker.
    async fn keep_alive(&self, connection: &Arc<Connection>) {
        let mut ping = interval_at(Instant::now() + PING_EVERY, PING_EVERY);
        loop {
            ping.tick().await;
            for _ in 0..TIMEOUTS_TO_OPEN {
                let alive = self.breaker.note(connection, connection.ping().await);
                if alive.is_ok() {
                    break;
                }
            }
        }
    }

    async fn restore(&self) -> Result<(Arc<Connection>, Driver), Fault> {
        let restored = self.connect().await;
        if let Err(fault) = &restored {
            self.metrics.store_failed(fault.kind.word());
            self.breaker.refusals().unusable(fault.kind);
        }
        restored
    }

    async fn connect(&self) -> Result<(Arc<Connection>, Driver), Fault> {
        let (channel, metrics) = (self.channel.clone(), self.metrics.clone());
        let (connection, driver) = Connection::open(&self.address, channel, metrics).await?;
        connection.ping().await?;
        if self.breaker.refusals().is_spent() {
            // That is free. This is not, and of no other use: nothing has that name.
            let name = self.channel.name();
            connection.get(name, connection.deadline()).await?;
        }
        self.recognition.recognise(&connection).await?;
        let connection = Arc::new(connection);
        loop {
            // Looks that the breaker did not stop may show versions from before what was owed is paid.
            self.known.forget_all();
            if self.breaker.close(connection.clone()) {
                return Ok((connection, driver));
            }
            let (nodes, moment) = self.breaker.debts();
            // First: what is paid is forgotten, and with it that others' entries were not looked for.
            if let Some(root) = self.breaker.root_owed_under() {
                root.drop_shared_in(&connection).await?;
            }
            for nodes in nodes.chunks(PAID_AT_ONCE) {
                connection.unlink(nodes).await?;
                self.breaker.paid(nodes, moment);
            }
        }
    }

    /// The connection ended with the watch, so paying takes another.
    async fn leave(&self, patience: Duration) {
        self.breaker.open_any();
        if self.breaker.owed() == 0 {
            return;
        }
        let paid = timeout(patience, self.restore()).await;
        let late = Err(Fault::new(Kind::Timeout, "no answer in time"));
        if let Err(fault) = paid.unwrap_or(late) {
            let owed = self.breaker.owed();
            if self.breaker.journalled() {
                tracing::warn!(%fault, owed, "invalidations stay owed until the next start");
            } else {
                tracing::error!(%fault, owed, "invalidations stay owed; entries end by their ttl");
            }
        }
        self.breaker.open_any();
    }
}

#[cfg(test)]
mod tests;

//! The task that keeps a connection in the breaker: connects, asks for a sign of life and which server it
//! is, pays what is owed, closes the breaker, and begins anew when it opens.

use super::breaker::{Breaker, TIMEOUTS_TO_OPEN};
use super::channel::Channel;
use super::fault::{Fault, Kind};
use super::known::Known;
use super::redis::{Address, Connection, Driver};
use super::server::{Recognition, Server};
use crate::metrics::Metrics;
use std::future::pending;
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

/// Where a server says which one it is, it is asked that in the place of a sign of life: so long one is
/// believed that was made a replica, or restarted behind a proxy, and closed no connection. Free where
/// commands are billed, and some kilobytes.
const INFO_EVERY: Duration = Duration::from_secs(10);

/// How often sentinels are asked whether the connection still leads to the primary: so long an old one that
/// lives is still believed after they have named another.
const SENTINELS_EVERY: Duration = Duration::from_secs(1);

/// How often the mark is used, so that it is not evicted for not being used: more often than most answers,
/// and 24 commands a day.
const TOUCH_EVERY: Duration = Duration::from_secs(60 * 60);

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
                Ok((connection, mut driver, server)) => {
                    tracing::info!("store is up");
                    reported = None;
                    let mut up = self.breaker.watch();
                    tokio::select! {
                        biased; // in any order: a seed of the simulation has to tell one story
                        () = driver.ended() => {}
                        _ = up.wait_for(|up| !up) => {}
                        () = self.keep_alive(&connection, &server) => {
                            tracing::warn!("the store is no longer the server that it was");
                        }
                        () = self.follow(&connection) => {
                            tracing::warn!("the sentinels name another primary");
                        }
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

    /// Returns when the server is no longer the one to which the connection was opened.
    async fn keep_alive(&self, connection: &Arc<Connection>, opened: &Server) {
        let is_named = opened.identity.is_some();
        let every = if is_named { INFO_EVERY } else { PING_EVERY };
        let mut sign = interval_at(Instant::now() + every, every);
        let mut touched = Instant::now();
        loop {
            sign.tick().await;
            if !self.is_still(connection, opened).await {
                return;
            }
            if is_named && touched.elapsed() >= TOUCH_EVERY {
                touched = Instant::now();
                let touch = self.recognition.touch(connection).await;
                let _ = self.breaker.note(connection, touch); // a mark that is not used may be evicted
            }
        }
    }

    /// Where no answer comes it asks as often as it takes to open the breaker.
    async fn is_still(&self, connection: &Arc<Connection>, opened: &Server) -> bool {
        for _ in 0..TIMEOUTS_TO_OPEN {
            let asked = match &opened.identity {
                Some(_) => connection.server().await.map(Some),
                None => connection.ping().await.map(|()| None),
            };
            if let Ok(server) = self.breaker.note(connection, asked) {
                return server.is_none_or(|now| !self.recognition.is_another(opened, &now));
            }
        }
        true
    }

    /// Returns when most sentinels name another primary than the one that the connection leads to.
    async fn follow(&self, connection: &Connection) {
        if !self.address.has_sentinels() {
            return pending().await;
        }
        loop {
            sleep(SENTINELS_EVERY).await;
            if self.address.leads_past(connection).await {
                return;
            }
        }
    }

    async fn restore(&self) -> Result<(Arc<Connection>, Driver, Server), Fault> {
        let restored = self.connect().await;
        if let Err(fault) = &restored {
            self.metrics.store_failed(fault.kind.word());
            self.breaker.refusals().unusable(fault.kind);
        }
        restored
    }

    async fn connect(&self) -> Result<(Arc<Connection>, Driver, Server), Fault> {
        let (channel, metrics) = (self.channel.clone(), self.metrics.clone());
        let (connection, driver) = Connection::open(&self.address, channel, metrics).await?;
        connection.ping().await?;
        if self.breaker.refusals().is_spent() {
            // That is free. This is not, and of no other use: nothing has that name.
            let name = self.channel.name();
            connection.get(name, connection.deadline()).await?;
        }
        let server = self.recognition.recognise(&connection).await?;
        let connection = Arc::new(connection);
        loop {
            // Looks that the breaker did not stop may show versions from before what was owed is paid.
            self.known.forget_all();
            if self.breaker.close(connection.clone()) {
                return Ok((connection, driver, server));
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

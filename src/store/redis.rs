//! One connection to Redis. The only user of fred, with what lies beneath it.
//!
//! A connection is never mended: when it breaks or is given up, it is dropped with everything in
//! flight on it, and another is made. So no late reply can be taken for a later command's, no
//! command runs twice, and a socket whose buffer is full cannot hold up what comes after.

mod address; // where it is
mod batch; // looks that ask together
mod fields; // what processes say of themselves
mod find; // where the primary is by now
mod shards; // entries of a cluster
mod slots; // who has which keys there
mod subscription; // hears what others deleted
mod tls; // whom to trust
mod windows; // counters with an end
mod wire; // what carries commands

#[cfg(test)]
pub mod simulated; // a server that is a value

pub use address::Address;
pub use shards::Shards;
pub use subscription::Subscription;

use super::channel::{self, Channel};
use super::fault::{Fault, Kind};
use super::locks::HELD;
use super::node::{self, MAX_AHEAD_US, MAX_MOMENTS};
use super::root::{self, Root};
use super::scripts::{self, Script};
use super::server::Server;
use super::{Bump, Lease};
use crate::clock::Reading;
use crate::entry::Version;
use crate::metrics::{Command, Metrics};
use batch::Batches;
use bytes::Bytes;
use fred::error::{Error, ErrorKind};
use fred::prelude::{Client, ClientLike};
use fred::types::config::{Config, Options};
use fred::types::{Builder, ConnectHandle, FromValue, Value};
use std::borrow::Cow;
use std::future::ready;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OnceCell;
use tokio::time::{Instant, timeout, timeout_at};
use wire::Wire;

/// How long connecting may take, handshakes and `AUTH` included: several round trips to a provider
/// far away. Nobody waits for it; it only spaces the attempts.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// Most commands queued in the client. More than ever arrive within one timeout; past it commands
/// fail at once instead of growing a queue.
const MAX_QUEUED: usize = 65_536;

/// A connection that may be asked from many tasks at once: commands are pipelined.
pub struct Connection {
    client: Wire,
    /// The server that it was opened to.
    leads_to: Option<fred::types::config::Server>,
    timeout: Duration,
    batches: Batches,
    /// Where the fleet is told what was deleted.
    channel: Arc<Channel>,
    metrics: Arc<Metrics>,
    /// What Redis's clock showed, in microseconds, not before that moment on ours.
    showed: OnceCell<(u64, Reading)>,
}

/// The task that drives a connection. Dropping it closes the socket at once and fails what is in
/// flight.
pub struct Driver(ConnectHandle);

impl Driver {
    /// Returns when the connection has ended.
    pub async fn ended(&mut self) {
        // The reason was given to every command in flight; here only the end matters.
        let _ = (&mut self.0).await;
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Connection {
    /// Connects to the primary that has the versions, wherever it is by now, and says hello. What `address`
    /// allows for a command bounds each later one. The client follows no redirection: a node of a cluster
    /// that sends it away is told of as a fault.
    pub async fn open(
        address: &Address,
        channel: Arc<Channel>,
        metrics: Arc<Metrics>,
    ) -> Result<(Connection, Driver), Fault> {
        #[cfg(test)]
        if let Some(server) = &address.simulated {
            return Connection::simulated(server, address.timeout, channel, metrics).await;
        }
        let home = address.home().await?;
        Connection::to(home, address.timeout, channel, metrics).await
    }

    /// The same to one server.
    async fn to(
        config: Config,
        timeout: Duration,
        channel: Arc<Channel>,
        metrics: Arc<Metrics>,
    ) -> Result<(Connection, Driver), Fault> {
        let leads_to = config.server.hosts().pop();
        let client = builder(config).build().map_err(|error| fault(&error))?;
        let driver = connect(&client).await?;
        let connection = Connection::over(&client, timeout, channel, metrics);
        Ok((
            Connection {
                leads_to,
                ..connection
            },
            driver,
        ))
    }

    fn over(
        client: &Client,
        timeout: Duration,
        channel: Arc<Channel>,
        metrics: Arc<Metrics>,
    ) -> Connection {
        let once = Options {
            max_attempts: Some(1),
            fail_fast: true,
            ..Options::default()
        };
        Connection {
            client: Wire::Fred(client.with_options(&once)),
            leads_to: None,
            timeout,
            batches: Batches::default(),
            channel,
            metrics,
            showed: OnceCell::new(),
        }
    }

    /// When a call that begins now must have ended, however many commands it takes.
    pub fn deadline(&self) -> Instant {
        Instant::now() + self.timeout
    }

    /// `PING`.
    pub async fn ping(&self) -> Result<(), Fault> {
        self.call(Command::Ping, self.deadline(), self.client.ping())
            .await
    }

    /// Microseconds of Unix time on Redis's clock, or a little more: as long as a reply takes, and as
    /// much as our clock of Unix time was set ahead meanwhile. The first call on a connection is one
    /// `TIME`, later ones are none.
    pub async fn clock_us(&self, now: &Reading, by: Instant) -> Result<u64, Fault> {
        let (showed, at) = self
            .showed
            .get_or_try_init(|| async {
                let time = self.call(Command::Time, by, self.client.time()).await?;
                let number = |text: &String| text.parse::<u64>().ok();
                let numbers: Option<Vec<u64>> = time.iter().map(number).collect();
                match numbers.as_deref() {
                    Some([seconds, micros]) => Ok((seconds * 1_000_000 + micros, *now)),
                    _ => Err(Fault::new(Kind::Protocol, "TIME answered no time")),
                }
            })
            .await?;
        let passed = now.since(at).as_micros();
        Ok(showed.saturating_add(u64::try_from(passed).unwrap_or(u64::MAX)))
    }

    /// `INFO`: which server this is.
    pub async fn server(&self) -> Result<Server, Fault> {
        let info = self.client.info();
        let info = self.call(Command::Info, self.deadline(), info).await?;
        Ok(Server::of_info(&info))
    }

    /// `MGET`: one value for each key. A key of another type reads as absent.
    pub async fn mget(&self, keys: Vec<Bytes>, by: Instant) -> Result<Vec<Option<Bytes>>, Fault> {
        let asked = keys.len();
        let values = self.call(Command::Mget, by, self.client.mget(keys)).await?;
        match values.len() == asked {
            true => Ok(values),
            false => Err(Fault::new(
                Kind::Protocol,
                "MGET answered another number of values",
            )),
        }
    }

    /// `GET`.
    pub async fn get(&self, key: &str, by: Instant) -> Result<Option<Bytes>, Fault> {
        self.call(Command::Get, by, self.client.get(key)).await
    }

    /// `SET … PX`; lifetimes below a millisecond are one.
    pub async fn set(&self, key: &str, value: Bytes, ttl: Duration) -> Result<(), Fault> {
        let set = self.client.set(key, value, milliseconds(ttl));
        self.call(Command::Set, self.deadline(), set).await
    }

    /// `SET … PX … NX`: whether there was nothing before.
    pub async fn set_absent(&self, key: &str, value: Bytes, ttl: Duration) -> Result<bool, Fault> {
        let set = self.client.set_absent(key, value, milliseconds(ttl));
        self.call(Command::Set, self.deadline(), set).await
    }

    /// `PEXPIRE`.
    pub async fn expire(&self, key: &str, ttl: Duration) -> Result<(), Fault> {
        let expire = self.client.expire(key, milliseconds(ttl));
        self.call(Command::Pexpire, self.deadline(), expire).await
    }

    /// `UNLINK` of nodes, and behind it on the same connection `PUBLISH` of them, if the fleet is told.
    /// That it could not be told is no failure.
    pub async fn unlink(&self, keys: &[String]) -> Result<(), Fault> {
        let by = self.deadline();
        let unlink = self.call(Command::Unlink, by, self.client.unlink(keys));
        let Some(channel) = self.channel.told() else {
            return unlink.await;
        };
        let publish = self.client.publish(channel, channel::message(keys));
        let publish = self.call(Command::Publish, by, publish);
        // Polled in this order, so sent in this order: whoever hears may ask at once.
        let (unlinked, published) = tokio::join!(biased; unlink, publish);
        if let Err(fault) = published {
            self.metrics.store_failed(fault.kind.word());
        }
        unlinked
    }

    /// `UNLINK` of a key that is no node, so nobody is told.
    pub async fn delete(&self, key: &str) -> Result<(), Fault> {
        let keys = [key.to_owned()];
        let unlink = self.client.unlink(&keys);
        self.call(Command::Unlink, self.deadline(), unlink).await
    }

    /// Whether a write's intent is pending on any of `nodes`.
    pub async fn any_intent(&self, nodes: &[String]) -> Result<bool, Fault> {
        let intents = nodes.iter().map(|node| scripts::intents_of(node));
        let pending: i64 = self
            .run(&scripts::PENDING, intents.collect(), Vec::new())
            .await?;
        Ok(pending == 1)
    }

    /// Creates the absent ones of `nodes`, with the token at the same place of `tokens`, to live for
    /// `ttl` or until a pending intent's deadline, enters the layout in the root if that is among them,
    /// and returns the versions of all, the root's token for its own: one atomic step. Where it creates
    /// any it takes the lock, if one is given, whoever has it.
    pub async fn snapshot(
        &self,
        nodes: &[String],
        tokens: &[Version],
        ttl: Duration,
        lock: Option<(Cow<'_, str>, Duration)>,
        root: &Root,
    ) -> Result<Vec<Version>, Fault> {
        let mut args = vec![
            number(milliseconds(ttl)),
            Bytes::copy_from_slice(root.name().as_bytes()),
            Bytes::copy_from_slice(&root.layout().0),
            number(root::full() as i64),
        ];
        args.extend(tokens.iter().map(|token| Bytes::copy_from_slice(token)));
        let mut keys = with_intents(nodes);
        if let Some((lock, life)) = lock {
            keys.push(lock.into_owned());
            args.extend([HELD, number(milliseconds(life))]);
        }
        let versions: Vec<Bytes> = self.run(&scripts::SNAPSHOT, keys, args).await?;
        let versions: Vec<Version> = versions
            .iter()
            .filter_map(|value| node::version(value))
            .collect();
        match versions.len() == nodes.len() {
            true => Ok(versions),
            false => Err(Fault::new(
                Kind::Protocol,
                "the script answered no versions",
            )),
        }
    }

    /// Registers an intent on each node, for `duration` from now on Redis's clock; also on the root,
    /// which the lease then has too, where entries of other layouts live.
    pub async fn lease(
        &self,
        mut lease: Lease,
        duration: Duration,
        root: &Root,
    ) -> Result<Lease, Fault> {
        let root_node = root.name().to_owned();
        let mut keys = with_intents(&lease.nodes);
        keys.extend(with_intents(std::slice::from_ref(&root_node)));
        let args = vec![
            lease.intent.clone(),
            number(milliseconds(duration)),
            Bytes::copy_from_slice(&root.layout().0),
        ];
        let is_shared: i64 = self.run(&scripts::LEASE, keys, args).await?;
        if is_shared == 1 && !lease.nodes.contains(&root_node) {
            lease.nodes.push(root_node);
        }
        Ok(lease)
    }

    /// Drops what is bumped, if anything with everything where entries of other layouts live, tells the
    /// fleet of it, and unless `leave_intents` lifts the lease. Says whether everything was dropped.
    pub async fn settle(
        &self,
        lease: &Lease,
        bump: &Bump,
        leave_intents: bool,
        ttl: Duration,
        root: &Root,
    ) -> Result<bool, Fault> {
        let mut keys = with_intents(&lease.nodes);
        keys.push(root.name().to_owned());
        keys.extend(bump.nodes().cloned());
        let mut args = vec![
            lease.intent.clone(),
            number(lease.nodes.len() as i64),
            number(i64::from(leave_intents)),
            number(milliseconds(ttl)),
            Bytes::copy_from_slice(&root.layout().0),
            number(bump.soft.len() as i64),
            number((MAX_MOMENTS * size_of::<Version>()) as i64),
            number(MAX_AHEAD_US as i64),
        ];
        let channel = self.channel.told().map(str::as_bytes);
        args.extend(channel.map(Bytes::copy_from_slice));
        let everything: i64 = self.run(&scripts::SETTLE, keys, args).await?;
        Ok(everything == 1)
    }

    /// Runs a script by its digest; sends it whole where Redis has forgotten it.
    async fn run<T: FromValue>(
        &self,
        script: &Script,
        keys: Vec<String>,
        args: Vec<Bytes>,
    ) -> Result<T, Fault> {
        self.run_by(script, keys, args, self.deadline()).await
    }

    async fn run_by<T: FromValue>(
        &self,
        script: &Script,
        keys: Vec<String>,
        args: Vec<Bytes>,
        by: Instant,
    ) -> Result<T, Fault> {
        let known = self
            .client
            .evalsha(script.sha1(), keys.clone(), args.clone());
        let told: Value = match self.call(Command::Evalsha, by, known).await {
            Err(fault) if fault.said.starts_with("NOSCRIPT") => {
                let eval = self.client.eval(script.text, keys, args);
                self.call(Command::Eval, by, eval).await?
            }
            other => other?,
        };
        let mut told = told.into_array();
        let calls = told.pop().and_then(|calls| calls.as_u64());
        let answer = told.pop().and_then(|answer| answer.convert().ok());
        let unheard = || Fault::new(Kind::Protocol, "the script answered something else");
        self.metrics.store_script(script.is_due, calls.unwrap_or(0));
        answer.ok_or_else(unheard)
    }

    /// Set apart on the heap: a command's way through the client takes kilobytes, which whoever might
    /// send one would hold, and move, with every request.
    fn call<T>(
        &self,
        command: Command,
        by: Instant,
        answer: impl Future<Output = Result<T, Error>>,
    ) -> impl Future<Output = Result<T, Fault>> {
        let answer = Box::pin(answer);
        async move {
            let began = Instant::now();
            let answer = timeout_at(by, answer).await;
            self.metrics.store_command(command, began.elapsed());
            match answer {
                Ok(answer) => answer.map_err(|error| fault(&error)),
                Err(_) => Err(Fault::new(Kind::Timeout, "no answer in time")),
            }
        }
    }
}

fn builder(config: Config) -> Builder {
    let mut builder = Builder::from_config(config);
    builder.with_connection_config(|connection| {
        connection.connection_timeout = CONNECT_TIMEOUT;
        connection.internal_command_timeout = CONNECT_TIMEOUT;
        connection.max_command_attempts = 1;
        connection.max_command_buffer_len = MAX_QUEUED;
        connection.tcp.nodelay = Some(true);
    });
    builder
}

async fn connect(client: &Client) -> Result<Driver, Fault> {
    let mut connected = pin!(client.wait_for_connect());
    // Polled once before there is anything to wait for, so that it misses no result.
    tokio::select! {
        biased;
        _ = &mut connected => {}
        () = ready(()) => {}
    }
    let driver = Driver(client.connect());
    match timeout(CONNECT_TIMEOUT, connected).await {
        Ok(connected) => connected
            .map(|()| driver)
            .map_err(|error| fault(&error).with_remedy()),
        Err(_) => Err(Fault::new(Kind::Timeout, "connecting took too long")),
    }
}

/// Each node with the key of its intents behind it, as the scripts take them.
fn with_intents(nodes: &[String]) -> Vec<String> {
    nodes
        .iter()
        .flat_map(|node| [node.clone(), scripts::intents_of(node)])
        .collect()
}

fn number(number: i64) -> Bytes {
    Bytes::from(number.to_string())
}

fn milliseconds(ttl: Duration) -> i64 {
    i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX).max(1)
}

/// Tells what Redis replied, which begins with a code in capitals, from what the client says of
/// itself, which means that the connection is gone.
fn fault(error: &Error) -> Fault {
    let said = error.details();
    let code = said.split_whitespace().next().unwrap_or_default();
    let replied = !code.is_empty() && code.bytes().all(|byte| byte.is_ascii_uppercase());
    let kind = match error.kind() {
        ErrorKind::Timeout => Kind::Timeout,
        ErrorKind::Backpressure => Kind::Other,
        _ if replied => Kind::of_reply(said),
        ErrorKind::Parse | ErrorKind::Protocol | ErrorKind::NotFound => Kind::Protocol,
        _ => Kind::Io,
    };
    // Redis quotes the arguments of a command that it does not know; they may be personal.
    let (said, _) = said.split_once(", with args").unwrap_or((said, ""));
    Fault::new(kind, said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_from_a_broken_connection_and_quotes_no_arguments() {
        let of = |said: &'static str| fault(&Error::new(ErrorKind::Unknown, said));
        let unknown = "ERR unknown command 'UNLINK', with args beginning with: 'clinic:ann@x.org'";
        assert_eq!(
            of(unknown),
            Fault::new(Kind::Other, "ERR unknown command 'UNLINK'")
        );
        assert_eq!(of("OOM command not allowed").kind, Kind::Capacity);
        for lost in ["channel closed", "Client is not initialized.", ""] {
            assert_eq!(of(lost).kind, Kind::Io, "{lost}");
        }
    }
}

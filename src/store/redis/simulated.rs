//! The place of the network in a simulation: a server that a connection is made to without a socket,
//! spoken to in the words of the protocol.

mod doubles; // the scripts in Rust
mod keys; // what a server holds

mod against_redis; // both held against a real server
#[path = "../../../tests/suite/redis.rs"]
#[allow(dead_code)] // the suite uses all of it
mod server;

pub use doubles::name;
pub use keys::{Keys, Value as Held};

use super::{Address, Connection, Driver, Wire};
use crate::metrics::{Command, Metrics};
use crate::store::channel::Channel;
use crate::store::fault::{Fault, Kind};
use bytes::Bytes;
use fred::error::{Error, ErrorKind};
use fred::types::{FromValue, Message, MessageKind, Value};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast;

/// Messages that may wait to be heard.
const MAX_WAITING: usize = 1024;

/// What takes its time.
pub type Eventually<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A simulated Redis, as one of its clients reaches it.
pub trait Server: Send + Sync {
    /// Connects; `None` where no connection comes about.
    fn connect(&self) -> Eventually<Option<Arc<dyn Line>>>;
}

/// One connection to it.
pub trait Line: Send + Sync {
    /// Sends a command and brings its reply; `None` where the connection broke before the reply came.
    fn send(&self, words: Vec<Bytes>) -> Eventually<Option<Reply>>;

    /// Completes when the connection has broken.
    fn broken(&self) -> Eventually<()>;

    /// What is published to channels that were subscribed to on this connection.
    fn heard(&self) -> broadcast::Receiver<Bytes>;

    /// Ends the connection from this side; what was sent may still arrive.
    fn close(&self);
}

/// What Redis replies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// `+OK` and the like.
    Done,
    /// Nothing is there.
    Nil,
    /// An integer.
    Number(i64),
    /// A string.
    Bytes(Bytes),
    /// Several.
    Many(Vec<Reply>),
    /// An error: a code in capitals, then words.
    Refused(&'static str),
}

impl Reply {
    fn value(self) -> Result<Value, Error> {
        Ok(match self {
            Reply::Done => Value::from_static_str("OK"),
            Reply::Nil => Value::Null,
            Reply::Number(number) => Value::Integer(number),
            Reply::Bytes(bytes) => Value::Bytes(bytes),
            Reply::Many(replies) => {
                let values: Result<Vec<_>, _> = replies.into_iter().map(Reply::value).collect();
                Value::Array(values?)
            }
            Reply::Refused(said) => return Err(Error::new(ErrorKind::Unknown, said)),
        })
    }
}

/// A command in words, and its reply as fred would give it.
pub(super) async fn spoken<'w, T: FromValue>(
    line: &Arc<dyn Line>,
    command: &'static str,
    words: impl IntoIterator<Item = &'w str>,
    args: impl IntoIterator<Item = Bytes>,
) -> Result<T, Error> {
    let words = words
        .into_iter()
        .map(|word| Bytes::copy_from_slice(word.as_bytes()));
    let said = [Bytes::from_static(command.as_bytes())]
        .into_iter()
        .chain(words)
        .chain(args)
        .collect();
    match line.send(said).await {
        Some(reply) => reply.value()?.convert(),
        None => Err(Error::new_canceled()),
    }
}

impl Address {
    /// Where a simulated server is.
    pub fn simulated(server: Arc<dyn Server>, timeout: Duration) -> Address {
        Address {
            place: super::address::Place::Server(Default::default()),
            login: Default::default(),
            database: None,
            tls: None,
            timeout,
            simulated: Some(server),
        }
    }
}

impl Connection {
    /// [`Connection::open`], without a network.
    pub(super) async fn simulated(
        server: &Arc<dyn Server>,
        timeout: Duration,
        channel: Arc<Channel>,
        metrics: Arc<Metrics>,
    ) -> Result<(Connection, Driver), Fault> {
        let line = server.connect().await;
        let line = line.ok_or_else(|| Fault::new(Kind::Io, "no connection"))?;
        let closing = Closing(line.clone());
        let driver = Driver(tokio::spawn(async move {
            closing.0.broken().await;
            Ok(())
        }));
        let client = Wire::Simulated(line);
        let connection = Connection {
            client,
            leads_to: None,
            timeout,
            batches: Default::default(),
            channel,
            metrics,
            showed: Default::default(),
        };
        Ok((connection, driver))
    }
}

/// Subscribes to a channel; its messages as fred would give them.
pub(super) async fn subscribed(
    connection: &Connection,
    channel: &str,
) -> Result<broadcast::Receiver<Message>, Fault> {
    let Wire::Simulated(line) = &connection.client else {
        unreachable!("a simulated connection has a line");
    };
    let mut heard = line.heard();
    let subscribe = spoken::<()>(line, "SUBSCRIBE", [channel], []);
    let by = connection.deadline();
    connection.call(Command::Subscribe, by, subscribe).await?;
    let (sender, messages) = broadcast::channel(MAX_WAITING);
    let channel = channel.to_owned();
    tokio::spawn(async move {
        while let Ok(message) = heard.recv().await {
            let message = Message {
                channel: channel.clone().into(),
                value: Value::Bytes(message),
                kind: MessageKind::Message,
                server: fred::types::config::Server::new("simulated", 0),
            };
            let _ = sender.send(message); // nobody may listen any more
        }
    });
    Ok(messages)
}

/// Ends its connection when it is dropped, as the real client's task does.
struct Closing(Arc<dyn Line>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.close();
    }
}

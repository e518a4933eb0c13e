//! A connection that hears what is published on one channel.

use super::{Address, Connection, Driver, builder, connect, fault};
use crate::metrics::{Command, Metrics};
use crate::store::channel::Channel;
use crate::store::fault::{Fault, Kind};
use fred::prelude::{EventInterface, PubsubInterface};
use fred::types::Message;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, interval_at};

/// Between signs of life. A way that was cut without a word is noticed so late, within which each
/// rule's `local_ttl` bounds what is missed. Rarer than this, and NATs and balancers may drop the
/// connection as idle; oftener, and providers that bill commands bill these: 86,400 a month.
const PING_EVERY: Duration = Duration::from_secs(30);

/// Messages that may wait to be heard. Whoever falls behind further has lost some, and with them
/// the subscription.
const MAX_WAITING: usize = 1024;

/// A subscription that Redis has confirmed.
pub struct Subscription {
    connection: Connection,
    driver: Driver,
    messages: Receiver<Message>,
}

impl Subscription {
    /// Connects and subscribes. What is published after this returns is heard.
    pub async fn open(
        address: &Address,
        channel: Arc<Channel>,
        metrics: Arc<Metrics>,
    ) -> Result<Subscription, Fault> {
        #[cfg(test)]
        if let Some(server) = &address.simulated {
            let name = channel.name().to_owned();
            let patience = address.timeout;
            let (connection, driver) =
                Connection::simulated(server, patience, channel, metrics).await?;
            let messages = super::simulated::subscribed(&connection, &name).await?;
            return Ok(Subscription {
                connection,
                driver,
                messages,
            });
        }
        let client = builder(address.home().await?)
            .with_performance_config(|performance| {
                performance.broadcast_channel_capacity = MAX_WAITING;
            })
            .build()
            .map_err(|error| fault(&error))?;
        let driver = connect(&client).await?;
        let messages = client.message_rx();
        let subscribe = client.subscribe(channel.name().to_owned());
        let connection = Connection::over(&client, address.timeout, channel, metrics);
        connection
            .call(Command::Subscribe, connection.deadline(), subscribe)
            .await?;
        // The client does not wait for Redis to confirm. Redis replies in order: to this after it has
        // subscribed, or with the refusal in its place.
        connection.ping().await?;
        Ok(Subscription {
            connection,
            driver,
            messages,
        })
    }

    /// Calls `heard` with each message until one may have been missed, and says why.
    pub async fn follow(self, heard: impl Fn(&str)) -> Fault {
        let Subscription {
            connection,
            mut driver,
            messages,
        } = self;
        tokio::select! {
            biased; // what comes from a connection that has ended is not waited for
            () = driver.ended() => Fault::new(Kind::Io, "the subscription's connection ended"),
            fault = dies(&connection) => fault,
            fault = hear(messages, heard) => fault,
        }
    }
}

async fn dies(connection: &Connection) -> Fault {
    let mut ping = interval_at(Instant::now() + PING_EVERY, PING_EVERY);
    loop {
        ping.tick().await;
        if let Err(fault) = connection.ping().await {
            return fault;
        }
    }
}

async fn hear(mut messages: Receiver<Message>, heard: impl Fn(&str)) -> Fault {
    loop {
        match messages.recv().await {
            Ok(message) => match message.value.as_str() {
                Some(text) => heard(&text),
                None => return Fault::new(Kind::Protocol, "a message that is no text"),
            },
            Err(RecvError::Lagged(_)) => {
                return Fault::new(Kind::Other, "messages came faster than they were heard");
            }
            Err(RecvError::Closed) => {
                return Fault::new(Kind::Io, "the subscription's connection ended");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fred::types::config::Server;
    use fred::types::{MessageKind, Value};
    use std::cell::RefCell;
    use tokio::sync::broadcast;

    fn message(text: &str) -> Message {
        Message {
            channel: "clinic:!drops".into(),
            value: Value::from(text),
            kind: MessageKind::Message,
            server: Server::new("localhost", 6379),
        }
    }

    #[tokio::test]
    async fn a_subscription_that_missed_a_message_is_lost() {
        let (sender, receiver) = broadcast::channel(2);
        for text in ["a", "b", "c", "d"] {
            sender.send(message(text)).expect("somebody listens");
        }
        let heard = RefCell::new(Vec::new());
        let fault = hear(receiver, |text| heard.borrow_mut().push(text.to_owned())).await;
        assert_eq!(fault.kind, Kind::Other);
        assert!(heard.borrow().is_empty(), "later ones are of no use");
    }
}

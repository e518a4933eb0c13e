//! Where the server is that has the versions: asked anew for each connection, so that a failover is no more
//! than a connection that was lost.
//!
//! Sentinels, and nodes of a cluster, are asked all at once, and what most of them say is believed: one that
//! hangs holds up nobody, and one that has not heard of a failover yet is outvoted. Whoever they name is asked
//! what he is before anything is read from him: see [`crate::store::server`].

use super::address::Place;
use super::slots::{Node, Slots};
use super::{Address, CONNECT_TIMEOUT, Connection, builder, connect, fault};
use crate::rules::several::Login;
use crate::store::fault::{Fault, Kind};
use fred::prelude::{Client, ClientLike};
use fred::types::config::{Config, ServerConfig};
use fred::types::{ClusterHash, CustomCommand, Value};
use std::net::IpAddr;
use std::sync::PoisonError;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Most nodes of a cluster that are asked for its slots.
const MAX_ASKED: usize = 8;

impl Address {
    /// How to reach the primary that has the versions.
    ///
    /// # Errors
    /// Nobody who was asked knows.
    pub(super) async fn home(&self) -> Result<Config, Fault> {
        match &self.place {
            Place::Server(server) => Ok(self.config(server.clone())),
            Place::Sentinels { .. } => Ok(self.node(&self.named().await?.0)),
            Place::Cluster { home, .. } => {
                let slots = self.slots().await?;
                let node = slots.primary(*home);
                let nobody =
                    || Fault::new(Kind::Other, "CLUSTERDOWN nobody has the namespace's slot");
                Ok(self.node(node.ok_or_else(nobody)?))
            }
        }
    }

    /// Whether somebody can be asked which server is the primary.
    pub fn has_sentinels(&self) -> bool {
        matches!(self.place, Place::Sentinels { .. })
    }

    /// Whether more than half of the sentinels name another primary than the one that this connection leads
    /// to. Fewer may be those who have not heard yet.
    pub async fn leads_past(&self, connection: &Connection) -> bool {
        let named = self.named().await;
        named.is_ok_and(|(node, by_majority)| {
            by_majority && connection.leads_to.as_ref() != Some(&node.server())
        })
    }

    /// The primary that most sentinels name, and whether those are more than half of all.
    async fn named(&self) -> Result<(Node, bool), Fault> {
        let Place::Sentinels {
            hosts,
            service,
            login,
        } = &self.place
        else {
            return Err(Fault::new(Kind::Other, "there are no sentinels"));
        };
        let asked = hosts.iter().map(|host| {
            let question = vec!["GET-MASTER-ADDR-BY-NAME".to_owned(), service.clone()];
            let asked = ask(self.to(host, login), "SENTINEL", question);
            async move { primary(&asked.await?) }
        });
        most(asked).await
    }

    /// The slots of the cluster, as most of the nodes that are known see them.
    ///
    /// # Errors
    /// None of them answers. What is no cluster has no slots.
    pub(super) async fn slots(&self) -> Result<Slots, Fault> {
        let Place::Cluster { seeds, known, .. } = &self.place else {
            return Ok(Slots::default());
        };
        let mut nodes = seeds.clone();
        let learned = known.lock().unwrap_or_else(PoisonError::into_inner).clone();
        nodes.extend(learned.into_iter().filter(|node| !seeds.contains(node)));
        let asked = nodes
            .into_iter()
            .take(MAX_ASKED.max(seeds.len()))
            .map(|node| {
                let asked = ask(self.node(&node), "CLUSTER", vec!["SLOTS".to_owned()]);
                async move { Slots::told(&asked.await?, &node) }
            });
        let (slots, _) = most(asked).await?;
        let mut hosts = seeds.iter().map(|seed| seed.host.as_str());
        // The same each time, whoever told.
        let name = hosts.find(|host| host.parse::<IpAddr>().is_err());
        let slots = match name {
            Some(name) => slots.called(name),
            None => slots,
        };
        *known.lock().unwrap_or_else(PoisonError::into_inner) = slots.primaries();
        Ok(slots)
    }

    /// How to reach a server that holds keys.
    pub(super) fn node(&self, node: &Node) -> Config {
        let server = node.server();
        self.config(ServerConfig::Centralized { server })
    }

    fn config(&self, server: ServerConfig) -> Config {
        Config {
            database: self.database,
            ..self.logged_in(server, &self.login)
        }
    }

    fn to(&self, sentinel: &Node, login: &Login) -> Config {
        let server = sentinel.server();
        self.logged_in(ServerConfig::Centralized { server }, login)
    }

    fn logged_in(&self, server: ServerConfig, login: &Login) -> Config {
        let password = login.password.as_ref();
        Config {
            server,
            username: login.user.clone(),
            password: password.map(|password| password.to_string()),
            tls: self.tls.clone(),
            ..Config::default()
        }
    }
}

/// Asks one server one thing.
async fn ask(config: Config, command: &'static str, words: Vec<String>) -> Result<Value, Fault> {
    let client: Client = builder(config).build().map_err(|error| fault(&error))?;
    let _driver = connect(&client).await?;
    let command = CustomCommand::new_static(command, ClusterHash::FirstKey, false);
    match timeout(CONNECT_TIMEOUT, client.custom(command, words)).await {
        Ok(reply) => reply.map_err(|error| fault(&error).with_remedy()),
        Err(_) => Err(Fault::new(Kind::Timeout, "no answer in time")),
    }
}

/// What most of those say who are asked, and answer, and whether they are more than half of all.
async fn most<T, F>(asked: impl Iterator<Item = F>) -> Result<(T, bool), Fault>
where
    T: PartialEq + Send + 'static,
    F: Future<Output = Result<T, Fault>> + Send + 'static,
{
    let mut asking: JoinSet<_> = asked.collect();
    let all = asking.len();
    let mut answers: Vec<(T, usize)> = Vec::new();
    let mut refused = Fault::new(Kind::Io, "nobody could be asked where the primary is");
    while let Some(answered) = asking.join_next().await {
        let answer = match answered {
            Ok(Ok(answer)) => answer,
            Ok(Err(fault)) => {
                refused = fault;
                continue;
            }
            Err(_) => continue, // a panic of one is no answer
        };
        let known = answers.iter().position(|(said, _)| *said == answer);
        let at = known.unwrap_or(answers.len());
        match answers.get_mut(at) {
            Some((_, times)) => *times += 1,
            None => answers.push((answer, 1)),
        }
        if answers[at].1 * 2 > all {
            return Ok((answers.swap_remove(at).0, true));
        }
    }
    let most = answers.into_iter().max_by_key(|(_, times)| *times);
    most.map(|(answer, _)| (answer, false)).ok_or(refused)
}

/// The primary that a sentinel names.
fn primary(reply: &Value) -> Result<Node, Fault> {
    let strange = || Fault::new(Kind::Protocol, "SENTINEL answered no address");
    match reply {
        Value::Null => {
            let said =
                "a sentinel knows no primary of this name: see sentinelServiceName in [store] url";
            Err(Fault::new(Kind::Other, said))
        }
        Value::Array(parts) => {
            let text = |at: usize| parts.get(at).and_then(Value::as_str);
            let host = text(0).ok_or_else(strange)?;
            let port = text(1).and_then(|port| port.parse().ok());
            Ok(Node::at(&host, port.ok_or_else(strange)?))
        }
        _ => Err(strange()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::{pending, ready};
    use std::pin::Pin;

    type Asked = Pin<Box<dyn Future<Output = Result<u8, Fault>> + Send>>;

    fn says(number: u8) -> Asked {
        Box::pin(ready(Ok(number)))
    }

    fn refuses() -> Asked {
        Box::pin(ready(Err(Fault::new(Kind::Io, "gone"))))
    }

    #[tokio::test]
    async fn most_of_those_who_answer_are_believed_and_a_majority_waits_for_nobody() {
        assert_eq!(
            most([says(1), says(2), says(2)].into_iter()).await,
            Ok((2, true))
        );
        assert_eq!(
            most([refuses(), says(1), refuses()].into_iter()).await,
            Ok((1, false))
        );
        let hangs: Asked = Box::pin(pending());
        assert_eq!(
            most([hangs, says(3), says(3)].into_iter()).await,
            Ok((3, true))
        );
        assert!(most([refuses()].into_iter()).await.is_err());
    }
}

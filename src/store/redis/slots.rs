//! Which primary of a cluster has which keys.

use crate::store::fault::{Fault, Kind};
use fred::types::Value;
use fred::types::config::Server;
use std::net::IpAddr;

/// A server of several, by the address that others know it by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Node {
    /// A name, or an address without brackets.
    pub host: String,
    /// On which it listens.
    pub port: u16,
    /// By what its certificate is to know it, where that is not the host.
    pub called: Option<String>,
}

impl Node {
    /// The node at an address.
    pub fn at(host: &str, port: u16) -> Node {
        Node {
            host: host.to_owned(),
            port,
            called: None,
        }
    }

    /// As the client takes it.
    pub fn server(&self) -> Server {
        let host = match self.host.contains(':') {
            true => format!("[{}]", self.host),
            false => self.host.clone(),
        };
        let called = self.called.as_ref().unwrap_or(&self.host);
        Server::new_with_tls(host, self.port, Some(called.clone()))
    }
}

/// The slots of a cluster, each range with its primary, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Slots(Vec<Range>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Range {
    first: u16,
    last: u16,
    primary: Node,
}

impl Slots {
    /// By the reply to `CLUSTER SLOTS` of the node `asked`. A node that does not know its own address leaves it
    /// out: it is the one that was asked for. Where names are what certificates know, an address in the place
    /// of a name is taken for the name under which the one who told was asked.
    ///
    /// # Errors
    /// The reply is another.
    pub fn told(reply: &Value, asked: &Node) -> Result<Slots, Fault> {
        let Value::Array(ranges) = reply else {
            return Err(strange());
        };
        let mut ranges = ranges
            .iter()
            .map(|range| Range::told(range, asked))
            .collect::<Result<Vec<_>, _>>()?;
        ranges.sort_by_key(|range| range.first);
        Ok(Slots(ranges))
    }

    /// Who has a slot; `None` where nobody has.
    pub fn primary(&self, slot: u16) -> Option<&Node> {
        let at = self.0.partition_point(|range| range.last < slot);
        let range = self.0.get(at).filter(|range| range.first <= slot)?;
        Some(&range.primary)
    }

    /// All who have any, each once.
    pub fn primaries(&self) -> Vec<Node> {
        let mut all: Vec<Node> = Vec::new();
        for range in &self.0 {
            if !all.contains(&range.primary) {
                all.push(range.primary.clone());
            }
        }
        all
    }
}

impl Range {
    fn told(range: &Value, asked: &Node) -> Result<Range, Fault> {
        let Value::Array(parts) = range else {
            return Err(strange());
        };
        let [first, last, Value::Array(primary), ..] = &parts[..] else {
            return Err(strange());
        };
        let slot = |value: &Value| value.as_u64().and_then(|slot| u16::try_from(slot).ok());
        Ok(Range {
            first: slot(first).ok_or_else(strange)?,
            last: slot(last).ok_or_else(strange)?,
            primary: node(primary, asked).ok_or_else(strange)?,
        })
    }
}

fn node(parts: &[Value], asked: &Node) -> Option<Node> {
    let [host, port, ..] = parts else { return None };
    let port = port.as_u64().and_then(|port| u16::try_from(port).ok())?;
    let host = host.as_str().filter(|host| !host.is_empty());
    let host = host.as_deref().unwrap_or(&asked.host);
    let name = asked.called.as_ref().unwrap_or(&asked.host);
    let is_address = |host: &str| host.parse::<IpAddr>().is_ok();
    let called = (is_address(host) && !is_address(name)).then(|| name.clone());
    Some(Node {
        called,
        ..Node::at(host, port)
    })
}

fn strange() -> Fault {
    Fault::new(Kind::Protocol, "CLUSTER SLOTS answered no slots")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn array(values: impl IntoIterator<Item = Value>) -> Value {
        Value::Array(values.into_iter().collect())
    }

    fn range(first: i64, last: i64, host: Value, port: i64) -> Value {
        let node = array([host, port.into(), "id".into(), array([])]);
        array([first.into(), last.into(), node.clone(), node])
    }

    #[test]
    fn a_slot_is_its_primarys_whatever_the_order_of_the_reply() {
        let asked = Node::at("seed", 7000);
        let reply = array([
            range(8192, 16383, "10.0.0.2".into(), 7002),
            range(0, 100, Value::Null, 7000),
        ]);
        let slots = Slots::told(&reply, &asked).expect("slots");
        assert_eq!(
            slots.primary(100),
            Some(&asked),
            "who leaves it out means itself"
        );
        let other = slots.primary(8192).expect("the other's");
        assert_eq!(
            (other.host.as_str(), other.called.as_deref()),
            ("10.0.0.2", Some("seed"))
        );
        assert_eq!(slots.primary(101), None);
        assert_eq!(slots.primaries().len(), 2);
        assert!(Slots::told(&Value::Null, &asked).is_err());
    }

    #[test]
    fn addresses_that_were_asked_by_address_are_called_so() {
        let reply = array([range(0, 16383, "10.0.0.2".into(), 7002)]);
        let slots = Slots::told(&reply, &Node::at("10.0.0.1", 7001)).expect("slots");
        assert_eq!(slots.primary(5), Some(&Node::at("10.0.0.2", 7002)));
        let named = array([range(0, 16383, "two.example".into(), 7002)]);
        let slots = Slots::told(&named, &Node::at("one.example", 7001)).expect("slots");
        assert_eq!(slots.primary(5), Some(&Node::at("two.example", 7002)));
    }
}

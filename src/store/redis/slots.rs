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
    /// By the reply to `CLUSTER SLOTS` of the node `asked`. A node whose address is left out is where the one is
    /// that was asked; one whose name is not known (`?`) is at its own address, if that is told.
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

    /// The same, where certificates know names: a node that is told by an address is called by this one. To be
    /// done last: those who were asked by different names say the same of the slots.
    pub fn called(mut self, name: &str) -> Slots {
        let is_address = |host: &str| host.parse::<IpAddr>().is_ok();
        for Range { primary, .. } in &mut self.0 {
            let is_unnamed = is_address(&primary.host) && !is_address(name);
            primary.called = is_unnamed.then(|| name.to_owned());
        }
        self
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
    let host = match host.as_str().as_deref() {
        Some("?") => address(parts).unwrap_or_else(|| asked.host.clone()),
        Some("") | None => asked.host.clone(),
        Some(host) => host.to_owned(),
    };
    Some(Node::at(&host, port))
}

/// What stands beside a name: words and what they mean, in turn.
fn address(parts: &[Value]) -> Option<String> {
    let Value::Array(beside) = parts.get(3)? else {
        return None;
    };
    let mut pairs = beside.chunks_exact(2);
    let ip = pairs.find(|pair| pair[0].as_str().as_deref() == Some("ip"))?;
    ip[1].as_str().map(|ip| ip.to_string())
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
        let slots = Slots::told(&reply, &asked).expect("slots").called("seed");
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
    fn who_is_asked_by_another_name_says_the_same() {
        let reply = array([range(0, 16383, "10.0.0.2".into(), 7002)]);
        let [one, other] = ["one.example", "10.0.0.1"].map(|name| Node::at(name, 7001));
        let slots = Slots::told(&reply, &one);
        assert!(slots.is_ok() && slots == Slots::told(&reply, &other));
    }

    #[test]
    fn a_node_without_a_name_is_at_its_address_or_where_the_one_is_that_was_asked() {
        let asked = Node::at("seed", 7000);
        let at = |host: &str, beside: Value| {
            let node = array([host.into(), 7001.into(), "id".into(), beside]);
            let reply = array([array([0.into(), 16383.into(), node])]);
            let slots = Slots::told(&reply, &asked).expect("slots");
            slots.primary(0).expect("a primary").host.clone()
        };
        let ip = || array(["ip".into(), "10.0.0.2".into()]);
        assert_eq!(at("?", ip()), "10.0.0.2");
        assert_eq!(at("?", array([])), "seed");
        assert_eq!(at("", ip()), "seed");
    }

    #[test]
    fn addresses_that_were_asked_by_address_are_called_so() {
        let reply = array([range(0, 16383, "10.0.0.2".into(), 7002)]);
        let slots = Slots::told(&reply, &Node::at("10.0.0.1", 7001)).expect("slots");
        let slots = slots.called("10.0.0.1");
        assert_eq!(slots.primary(5), Some(&Node::at("10.0.0.2", 7002)));
        let named = array([range(0, 16383, "two.example".into(), 7002)]);
        let slots = Slots::told(&named, &Node::at("one.example", 7001)).expect("slots");
        let slots = slots.called("one.example");
        assert_eq!(slots.primary(5), Some(&Node::at("two.example", 7002)));
    }
}

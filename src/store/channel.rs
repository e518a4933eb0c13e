//! How the sidecars of a fleet tell each other which nodes they deleted.
//!
//! Nobody's promise hangs on a message: whoever misses one is bounded by its rules' `local_ttl`. So a
//! message that cannot be sent is no failed deletion, and a sidecar whose own rules never answer from
//! memory sends none, though others of its fleet, with other rules, would have liked to hear: each
//! message is a command that some providers bill.

use tokio::sync::watch;

/// Between the nodes of a message. No node's name holds one: what a request brings into a name is
/// escaped, and the rules file writes visible characters there.
const SEPARATOR: &str = "\n";

/// The channel, and whether anything is told or heard on it.
pub struct Channel {
    name: String,
    is_used: watch::Sender<bool>,
}

impl Channel {
    /// Not used yet.
    pub fn new(name: String) -> Channel {
        Channel {
            name,
            is_used: watch::Sender::new(false),
        }
    }

    /// Its name in Redis.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether some rule in force may be answered from memory.
    pub fn set_used(&self, is_used: bool) {
        self.is_used.send_replace(is_used);
    }

    /// Follows whether it is used.
    pub fn watch(&self) -> watch::Receiver<bool> {
        self.is_used.subscribe()
    }

    /// Where deletions are told, if they are.
    pub fn told(&self) -> Option<&str> {
        self.is_used.borrow().then_some(self.name())
    }
}

/// The message that these nodes were deleted.
pub fn message(nodes: &[String]) -> String {
    nodes.join(SEPARATOR)
}

/// The nodes that a message names.
pub fn nodes(message: &str) -> impl Iterator<Item = &str> {
    message.split(SEPARATOR)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_names_its_nodes_and_is_sent_only_while_somebody_cares() {
        let channel = Channel::new("clinic:!drops".into());
        assert_eq!(channel.told(), None);
        channel.set_used(true);
        assert_eq!(channel.told(), Some("clinic:!drops"));
        let deleted = ["clinic:a:*".to_owned(), "clinic:b%0A:c!".to_owned()];
        let message = message(&deleted);
        assert_eq!(nodes(&message).collect::<Vec<_>>(), deleted);
    }
}

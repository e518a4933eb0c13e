//! Nodes whose deletion is owed: the store could not be told yet that a write happened.

use std::collections::HashMap;

/// Most nodes owed one by one. At some 100 bytes each that is about a megabyte, and one deletion
/// of them all stays a matter of milliseconds. Past it the shallow nodes are owed instead: they
/// stand above everything, so forgetting them forgets more, never less.
pub const MAX_OWED: usize = 10_000;

/// What is owed, each node once, with the moment when it was last owed.
pub struct Owed {
    nodes: HashMap<String, Moment>,
    shallow: Vec<String>,
    everything: bool,
    now: Moment,
}

/// Counts additions. A deletion sent at one moment pays nothing that was owed later, though it be
/// the same node: the deletion may have come before the write.
pub type Moment = u64;

impl Owed {
    /// Nothing is owed. `shallow` are the nodes that every entry has one of.
    pub fn new(shallow: Vec<String>) -> Owed {
        Owed {
            nodes: HashMap::new(),
            shallow,
            everything: false,
            now: 0,
        }
    }

    /// Entries are kept under these shallow nodes too. Those known before stay: writes under the rules
    /// from before a reload may still come to owe them.
    pub fn know(&mut self, shallow: Vec<String>) {
        let unknown: Vec<String> = shallow
            .into_iter()
            .filter(|node| !self.shallow.contains(node))
            .collect();
        self.shallow.extend(unknown);
    }

    /// Owes these too.
    pub fn add(&mut self, nodes: impl IntoIterator<Item = String>) {
        self.now += 1;
        if !self.everything {
            self.nodes
                .extend(nodes.into_iter().map(|node| (node, self.now)));
            self.everything = self.nodes.len() > MAX_OWED;
        }
        if self.everything {
            self.nodes = self
                .shallow
                .iter()
                .map(|node| (node.clone(), self.now))
                .collect();
        }
    }

    /// How many nodes are owed.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// All of them, as of now; they stay owed until [`Owed::paid`].
    pub fn debts(&self) -> (Vec<String>, Moment) {
        (self.nodes.keys().cloned().collect(), self.now)
    }

    /// These were deleted by a command sent after they were read at `moment`.
    pub fn paid(&mut self, nodes: &[String], moment: Moment) {
        for node in nodes {
            if self.nodes.get(node).is_some_and(|owed| *owed <= moment) {
                self.nodes.remove(node);
            }
        }
        self.everything &= !self.nodes.is_empty();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(number: usize) -> String {
        format!("clinic:node:{number}")
    }

    fn sorted(owed: &Owed) -> Vec<String> {
        let mut nodes = owed.debts().0;
        nodes.sort();
        nodes
    }

    #[test]
    fn a_node_is_owed_once_however_often_it_was_written() {
        let mut owed = Owed::new(vec![]);
        owed.add([node(1), node(2), node(1)]);
        assert_eq!(owed.len(), 2);
        owed.paid(&[node(1)], owed.debts().1);
        assert_eq!(sorted(&owed), [node(2)]);
    }

    #[test]
    fn a_node_written_again_while_it_is_being_paid_stays_owed() {
        let mut owed = Owed::new(vec![]);
        owed.add([node(1), node(2)]);
        let (nodes, moment) = owed.debts();
        owed.add([node(1)]);
        owed.paid(&nodes, moment);
        assert_eq!(sorted(&owed), [node(1)]);
    }

    #[test]
    fn past_the_bound_the_shallow_nodes_are_owed_instead() {
        let mut owed = Owed::new(vec!["doctors".into(), "ai".into()]);
        owed.add((0..MAX_OWED).map(node));
        assert_eq!(owed.len(), MAX_OWED);
        owed.add([node(MAX_OWED)]);
        assert_eq!(sorted(&owed), ["ai", "doctors"]);
        let (nodes, moment) = owed.debts();
        owed.add([node(MAX_OWED + 1)]);
        owed.paid(&nodes, moment);
        assert_eq!(
            sorted(&owed),
            ["ai", "doctors"],
            "owed again after they were read"
        );
        owed.paid(&nodes, owed.debts().1);
        owed.add([node(7)]);
        assert_eq!(sorted(&owed), [node(7)]);
    }
}

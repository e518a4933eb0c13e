//! The shared store of the model: each method is one script, which the store runs atomically.

use super::steps::{Flaw, WRITERS, Writer};
use std::array;

/// A node's version. In the product 128 random bits; here a small number, see `State::renamed`.
pub type Token = u8;

/// The token of a node that is created. Nobody holds it: all that are held have been renamed since.
const FRESH: Token = Token::MAX;

/// What the origin answers: the number of writes committed so far, so the greater is the newer.
pub type Value = u8;

/// The versions of all nodes of the one entry.
pub type Versions<const N: usize> = [Token; N];

/// Some of the writes.
pub type Writes = [bool; WRITERS];

/// What Redis holds for one key with `N` nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Store<const N: usize> {
    /// `None`: absent, which means miss.
    pub nodes: [Option<Node>; N],
    /// The intents pending on each node. They outlive the node: it may be dropped and made anew.
    pub intents: [Writes; N],
    /// What is kept under the key.
    pub entry: Option<Entry<N>>,
}

/// A node that is present.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Node {
    /// Its version.
    pub token: Token,
    /// Its lifetime, as the deadlines that it does not outlive. The product writes the earliest of
    /// them as the key's TTL. No write: the full lifetime.
    pub dies_with: Writes,
}

/// An answer that was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Entry<const N: usize> {
    /// What the origin had answered.
    pub value: Value,
    /// The versions from before the origin was asked.
    pub versions: Versions<N>,
}

/// How a write ended, as far as its sidecar knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The origin did it.
    Committed,
    /// The origin refused: nothing has changed.
    Refused,
    /// No answer: it may have been done, or may yet be.
    Unknown,
}

/// What a reader sees in one round trip.
pub enum Look<const N: usize> {
    /// The entry may be served.
    Usable(Value),
    /// It may not, or there is none; with the versions, if no node is absent.
    Not(Option<Versions<N>>),
}

/// The nodes that a write names: writer 0 the first one only, writer 1 all of them, so that with two
/// nodes they share one and one is alone.
fn named<const N: usize>(writer: Writer) -> usize {
    if writer == 0 { 1 } else { N }
}

impl<const N: usize> Store<N> {
    /// Empty, as after a restart without persistence.
    pub fn empty() -> Store<N> {
        Store {
            nodes: [None; N],
            intents: [[false; WRITERS]; N],
            entry: None,
        }
    }

    /// Registers an intent on each node named and shortens the node's lifetime. What is kept stays
    /// usable: nobody has been told of the write yet.
    pub fn lease(&mut self, writer: Writer) {
        for n in 0..named::<N>(writer) {
            self.intents[n][writer] = true;
            if let Some(node) = &mut self.nodes[n] {
                node.dies_with[writer] = true;
            }
        }
    }

    /// Settles a write on each node named.
    pub fn settle(&mut self, writer: Writer, outcome: Outcome, flaw: Option<Flaw>) {
        for n in 0..named::<N>(writer) {
            // Of an unknown outcome the intent stays: the commit may still be on its way, and the
            // node has to die once more after it.
            if outcome != Outcome::Unknown || flaw == Some(Flaw::UnknownLiftsItsIntent) {
                self.intents[n][writer] = false;
                if flaw == Some(Flaw::UncountedIntents) {
                    self.intents[n] = [false; WRITERS];
                }
            }
            if outcome == Outcome::Refused {
                let pending = self.intents[n];
                self.nodes[n] = self.nodes[n].map(|node| Node {
                    dies_with: pending,
                    ..node
                });
            } else {
                self.nodes[n] = None;
            }
        }
    }

    /// A deadline comes: what does not outlive it expires, on the store's own clock. Nobody's step.
    pub fn deadline(&mut self, writer: Writer) {
        for n in 0..N {
            self.intents[n][writer] = false;
            self.nodes[n] = self.nodes[n].filter(|node| !node.dies_with[writer]);
        }
    }

    /// Reads the entry and the versions of its nodes, in one go. An entry is usable only if every
    /// node is present and still has the version recorded.
    pub fn look(&self) -> Look<N> {
        let versions = self.versions();
        match self.entry {
            Some(entry) if Some(entry.versions) == versions => Look::Usable(entry.value),
            _ => Look::Not(versions),
        }
    }

    /// The versions of all nodes; `None` where one is absent.
    pub fn versions(&self) -> Option<Versions<N>> {
        let all = self.nodes.iter().all(Option::is_some);
        all.then(|| self.nodes.map(|node| node.map_or(FRESH, |node| node.token)))
    }

    /// Creates the nodes that are absent and returns the versions of all. A node created while
    /// intents are pending lives no longer than the earliest of their deadlines.
    pub fn snapshot(&mut self, flaw: Option<Flaw>) -> Versions<N> {
        array::from_fn(|n| {
            let dies_with = match flaw {
                Some(Flaw::NewNodesOutliveIntents) => [false; WRITERS],
                _ => self.intents[n],
            };
            let token = FRESH;
            self.nodes[n].get_or_insert(Node { token, dies_with }).token
        })
    }

    /// Keeps an answer, in place of what was kept before. Nothing is compared: if its versions are
    /// dead by now, so is the entry.
    pub fn keep(&mut self, entry: Entry<N>) {
        self.entry = Some(entry);
    }

    /// Forgets an entry that cannot be used. Tokens are random and never return, so it would never
    /// be used again; whether the store still has it makes no difference to anybody.
    pub fn forget_what_is_dead(&mut self) {
        let versions = self.versions();
        self.entry = self.entry.filter(|entry| Some(entry.versions) == versions);
    }
}

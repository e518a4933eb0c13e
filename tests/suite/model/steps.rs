//! Who takes part and what each can do: the vocabulary of the model.

use super::store::{Store, Token, Value, Versions};

/// A write, by its sidecar: each passes through a process of its own.
pub type Writer = usize;
/// A client that reads again and again, by its sidecar.
pub type Reader = usize;

/// Two, because one write must not lift the lease of another.
pub const WRITERS: usize = 2;
/// Two, because flights are shared, and because one may keep what another then hits.
pub const READERS: usize = 2;

/// A protocol with one thing wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// The intents of a node are one flag: settling a write lifts the leases of all.
    UncountedIntents,
    /// A node that is created while intents are pending gets the full lifetime.
    NewNodesOutliveIntents,
    /// A write whose outcome is unknown is settled like a committed one.
    UnknownLiftsItsIntent,
    /// A flight is joined by key, whatever snapshot it set out with.
    FlightByKeyAlone,
    /// An entry records the versions of the moment when it is kept.
    VersionsReadWhenStoring,
    /// The nodes are dropped before the origin acts.
    BumpBeforeTheOrigin,
    /// The client has its answer before the nodes are dropped.
    AnswerBeforeTheBump,
}

/// The four steps of a write that its sidecar takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Registers the intent.
    Lease,
    /// Sends the request on.
    Forward,
    /// Settles by what the origin answered.
    Settle,
    /// Answers the client.
    Answer,
}

impl Flaw {
    /// The order of a write's steps: the protocol in one line, and two ways to get it wrong.
    pub fn order(flaw: Option<Flaw>) -> [Step; 4] {
        use Step::{Answer, Forward, Lease, Settle};
        match flaw {
            Some(Flaw::BumpBeforeTheOrigin) => [Lease, Settle, Forward, Answer],
            Some(Flaw::AnswerBeforeTheBump) => [Lease, Forward, Answer, Settle],
            _ => [Lease, Forward, Settle, Answer],
        }
    }
}

/// One thing that happens. Of those that may happen next, any may happen first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// A write's sidecar takes the next of its four steps.
    Next(Writer, Step),
    /// The store has no room for the intent; the write goes on without.
    LeaseRefused(Writer),
    /// The origin carries the request out, whether or not anybody still listens.
    Commit(Writer),
    /// The origin answers 4xx.
    Refuse(Writer),
    /// The sidecar stops waiting for the origin, or loses its answer, and settles as unknown.
    GiveUp(Writer),
    /// The write's sidecar is killed.
    Crash(Writer),
    /// The deadline of the write's intent comes.
    Deadline(Writer),

    /// A reader comes: entry and versions, and the answer if the entry is usable.
    Look(Reader),
    /// It missed, and some node was absent.
    Snapshot(Reader),
    /// It finds a flight of the other reader and joins it.
    Join(Reader),
    /// It leads: the origin reads its value.
    Fetch(Reader),
    /// It keeps what it fetched.
    Keep(Reader),
    /// Its sidecar is killed, or the store refuses the entry.
    Abandon(Reader),

    /// The store evicts a node, or its lifetime ends.
    EvictNode(usize),
    /// The store evicts the entry, or its lifetime ends.
    EvictEntry,
    /// The store evicts the intents pending on a node, or is flushed.
    EvictIntents(usize),
}

/// Where a write's request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Request {
    /// Not sent yet.
    Unsent,
    /// At the origin, or on its way to it. If it is lost, it stays here for ever.
    UnderWay,
    /// Done, which made the value this.
    Committed(Value),
    /// Refused.
    Refused,
}

/// Whether the deadline of a write's intent is still to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lease {
    /// Not leased yet.
    None,
    /// The deadline is to come.
    Running,
    /// The deadline has passed, or does not matter: there is no intent, or all is done.
    Over,
}

/// A write under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Write {
    /// How many of its four steps are done.
    pub done: usize,
    /// Its request.
    pub request: Request,
    /// Whether its sidecar was killed or gave up.
    pub is_gone: bool,
    /// Its deadline.
    pub lease: Lease,
}

/// Where a reader is. `floor` is the newest value that was settled when its read began: an answer
/// below it is stale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Read<const N: usize> {
    /// Between two reads.
    Idle,
    /// No usable entry, some node absent.
    Missed { floor: Value },
    /// It holds a snapshot and will ask the origin: a flight, which the other may join.
    Asking { floor: Value, snapshot: Versions<N> },
    /// It waits for the other's flight.
    Waiting { floor: Value, snapshot: Versions<N> },
    /// It has the origin's answer, but has not kept it yet. The flight can still be joined.
    Fetched { value: Value, snapshot: Versions<N> },
}

/// How a read was answered, other than by a fetch of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Served {
    /// From the store, with this value.
    Hit(Value),
    /// By the other's flight.
    Flight,
}

/// The whole world at one instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct State<const N: usize> {
    /// What the origin would answer now.
    pub origin: Value,
    /// The newest value that is settled: a read that begins now must not return an older one.
    pub floor: Value,
    /// Redis.
    pub store: Store<N>,
    /// The writes.
    pub writes: [Write; WRITERS],
    /// The readers.
    pub reads: [Read<N>; READERS],
    /// Whether any read has returned a value below its floor.
    pub stale: bool,
    /// How the last read was answered; nothing where the model does not watch it.
    pub served: Option<Served>,
}

impl<const N: usize> State<N> {
    /// Nothing written, nothing kept.
    pub fn new() -> State<N> {
        let write = Write {
            done: 0,
            request: Request::Unsent,
            is_gone: false,
            lease: Lease::None,
        };
        State {
            origin: 0,
            floor: 0,
            store: Store::empty(),
            writes: [write; WRITERS],
            reads: [Read::Idle; READERS],
            stale: false,
            served: None,
        }
    }

    /// The same state with its tokens renamed: 0 is what the node has, then one number for each other
    /// token that a reader holds. Only whether two are equal matters, so states that differ in names
    /// alone are one.
    pub fn renamed(mut self) -> State<N> {
        self.store.forget_what_is_dead();
        for n in 0..N {
            let [one, two] = self.reads.map(|read| read.snapshot().map(|held| held[n]));
            let held = [self.store.nodes[n].map(|node| node.token), one, two];
            let rename = |token: &mut Token| {
                let first = held.iter().position(|held| *held == Some(*token));
                *token = first.expect("it is held") as Token;
            };
            let entry = self
                .store
                .entry
                .iter_mut()
                .map(|entry| &mut entry.versions[n]);
            let nodes = self.store.nodes[n].iter_mut().map(|node| &mut node.token);
            let reads = self.reads.iter_mut().filter_map(Read::snapshot_mut);
            let reads = reads.map(|snapshot| &mut snapshot[n]);
            entry.chain(nodes).chain(reads).for_each(rename);
        }
        self
    }
}

impl<const N: usize> Read<N> {
    /// The snapshot that it holds.
    pub fn snapshot(&self) -> Option<Versions<N>> {
        match *self {
            Read::Idle | Read::Missed { .. } => None,
            Read::Asking { snapshot, .. }
            | Read::Waiting { snapshot, .. }
            | Read::Fetched { snapshot, .. } => Some(snapshot),
        }
    }

    fn snapshot_mut(&mut self) -> Option<&mut Versions<N>> {
        match self {
            Read::Idle | Read::Missed { .. } => None,
            Read::Asking { snapshot, .. }
            | Read::Waiting { snapshot, .. }
            | Read::Fetched { snapshot, .. } => Some(snapshot),
        }
    }
}

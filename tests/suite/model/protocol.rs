//! What may happen when, and what it does.

use super::steps::{
    Action, Flaw, Lease, READERS, Read, Reader, Request, Served, State, Step, WRITERS, Write,
    Writer,
};
use super::store::{Entry, Look, Outcome, Value};
use stateright::{Model, Property};

/// The claim: no read returns a value older than one that was settled before the read began.
pub const NEVER_STALE: &str = "no read is older than what was settled before it began";

/// When a write counts as settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// When its client has the origin's answer: the promise.
    OnceAnswered,
    /// And also when its deadline has passed after it was committed, even if its sidecar was
    /// killed or gave up: what the leases add.
    AtTheDeadlineToo,
}

/// The protocol, for one key with `N` nodes.
#[derive(Clone, Copy, Debug)]
pub struct Protocol<const N: usize> {
    /// What is wrong with it.
    pub flaw: Option<Flaw>,
    /// What it is held to.
    pub settled: Settled,
    /// Whether the store may lose intents.
    pub intents_may_be_lost: bool,
    /// Whether to watch for what must be possible, instead of what must not be. To remember how
    /// reads were answered multiplies the states, so the search for stale ones does not.
    pub watches: bool,
}

impl<const N: usize> Model for Protocol<N> {
    type State = State<N>;
    type Action = Action;

    fn init_states(&self) -> Vec<State<N>> {
        vec![State::new()]
    }

    fn actions(&self, state: &State<N>, actions: &mut Vec<Action>) {
        (0..WRITERS).for_each(|writer| self.of_write(state, writer, actions));
        (0..READERS).for_each(|reader| self.of_read(state, reader, actions));
        self.of_store(state, actions);
    }

    fn next_state(&self, state: &State<N>, action: Action) -> Option<State<N>> {
        let mut next = *state;
        match action {
            Action::Next(writer, step) => self.step(&mut next, writer, step),
            Action::LeaseRefused(writer) => {
                next.writes[writer].done += 1;
                next.writes[writer].lease = Lease::Over;
            }
            Action::Commit(writer) => next.commit(writer),
            Action::Refuse(writer) => next.writes[writer].request = Request::Refused,
            // At once: until it settles, nobody can tell it from one that was killed.
            Action::GiveUp(writer) => {
                next.store.settle(writer, Outcome::Unknown, self.flaw);
                next.writes[writer].done += 1;
                next.writes[writer].is_gone = true;
            }
            Action::Crash(writer) => next.writes[writer].is_gone = true,
            Action::Deadline(writer) => self.deadline(&mut next, writer),
            Action::Look(reader) => next.look(reader),
            Action::Snapshot(reader) => self.snapshot(&mut next, reader),
            Action::Join(reader) => next.join(reader),
            Action::Fetch(reader) => next.fetch(reader),
            Action::Keep(reader) => self.keep(&mut next, reader),
            Action::Abandon(reader) => next.abandon(reader),
            Action::EvictNode(n) => next.store.nodes[n] = None,
            Action::EvictEntry => next.store.entry = None,
            Action::EvictIntents(n) => next.store.intents[n] = [false; WRITERS],
        }
        if !self.watches {
            next.served = None;
        }
        Some(next.renamed())
    }

    fn properties(&self) -> Vec<Property<Self>> {
        if self.watches {
            Self::what_must_be_possible()
        } else {
            vec![Property::<Self>::always(NEVER_STALE, |_, state| {
                !state.stale
            })]
        }
    }
}

/// What the model would prove nothing without.
impl<const N: usize> Protocol<N> {
    fn what_must_be_possible() -> Vec<Property<Self>> {
        vec![
            Property::<Self>::sometimes("a read hits what was kept after a commit", |_, state| {
                state.served == Some(Served::Hit(1))
            }),
            Property::<Self>::sometimes("a flight is shared", |_, state| {
                state.served == Some(Served::Flight)
            }),
            Property::<Self>::sometimes("an answer is dead before it is kept", |_, state| {
                let dead = |read: &Read<N>| match read {
                    Read::Fetched { snapshot, .. } => state.store.versions() != Some(*snapshot),
                    _ => false,
                };
                state.reads.iter().any(dead)
            }),
            Property::<Self>::sometimes("a refused write leaves the entry usable", |_, state| {
                let refused = |w: &Write| w.request == Request::Refused && w.done == 4;
                state.writes.iter().any(refused) && state.store.entry.is_some()
            }),
            Property::<Self>::sometimes("a sidecar dies between commit and bump", |m, state| {
                state.writes.iter().any(|write| m.is_orphan(write))
            }),
            Property::<Self>::sometimes("a deadline settles what a dead one left", |m, state| {
                let settled = Request::Committed(state.floor);
                let mut orphans = state.writes.iter().filter(|write| m.is_orphan(write));
                orphans.any(|write| write.request == settled)
            }),
        ]
    }
}

/// What may happen next.
impl<const N: usize> Protocol<N> {
    fn of_write(&self, state: &State<N>, writer: Writer, actions: &mut Vec<Action>) {
        let write = &state.writes[writer];
        let step = Flaw::order(self.flaw).get(write.done).copied();
        let runs = !write.is_gone;
        if let (true, Some(step)) = (runs, step) {
            self.of_sidecar(write, writer, step, actions);
        }
        if write.request == Request::UnderWay {
            actions.push(Action::Commit(writer));
            // If nobody listens, a refusal is like a request that was lost: nothing happens.
            if runs {
                actions.push(Action::Refuse(writer));
            }
        }
        // Time is abstract: once leased, the deadline may come at any moment, before the commit too
        // (the sidecar was stopped for longer than the lease).
        if write.lease == Lease::Running {
            actions.push(Action::Deadline(writer));
        }
    }

    fn of_sidecar(&self, write: &Write, writer: Writer, step: Step, actions: &mut Vec<Action>) {
        if write.request != Request::UnderWay {
            actions.push(Action::Next(writer, step));
        }
        if step == Step::Lease {
            actions.push(Action::LeaseRefused(writer));
            return; // a crash now is a write that never came
        }
        if self.last_done(write) == Some(Step::Forward) {
            actions.push(Action::GiveUp(writer));
        }
        actions.push(Action::Crash(writer));
    }

    fn of_read(&self, state: &State<N>, reader: Reader, actions: &mut Vec<Action>) {
        match state.reads[reader] {
            Read::Idle => actions.push(Action::Look(reader)),
            Read::Missed { .. } => actions.push(Action::Snapshot(reader)),
            Read::Waiting { .. } => {} // the other ends it
            Read::Asking { snapshot, .. } => {
                // Two readers of different processes, or without coalescing, do not share.
                actions.extend([Action::Fetch(reader), Action::Abandon(reader)]);
                let flight = match state.reads[other(reader)] {
                    Read::Asking { snapshot, .. } | Read::Fetched { snapshot, .. } => snapshot,
                    _ => return,
                };
                if flight == snapshot || self.flaw == Some(Flaw::FlightByKeyAlone) {
                    actions.push(Action::Join(reader));
                }
            }
            Read::Fetched { .. } => {
                actions.extend([Action::Keep(reader), Action::Abandon(reader)]);
            }
        }
    }

    fn of_store(&self, state: &State<N>, actions: &mut Vec<Action>) {
        let present = |n: &usize| state.store.nodes[*n].is_some();
        actions.extend((0..N).filter(present).map(Action::EvictNode));
        if state.store.entry.is_some() {
            actions.push(Action::EvictEntry);
        }
        let pending = |n: &usize| state.store.intents[*n].contains(&true);
        let losable = (0..N).filter(|n| self.intents_may_be_lost && pending(n));
        actions.extend(losable.map(Action::EvictIntents));
    }

    fn last_done(&self, write: &Write) -> Option<Step> {
        let last = write.done.checked_sub(1)?;
        Some(Flaw::order(self.flaw)[last])
    }

    /// Committed, and killed before it could settle.
    fn is_orphan(&self, write: &Write) -> bool {
        write.is_gone
            && matches!(write.request, Request::Committed(_))
            && self.last_done(write) == Some(Step::Forward)
    }
}

/// What it does, where the flaw or the claim matters.
impl<const N: usize> Protocol<N> {
    fn step(&self, state: &mut State<N>, writer: Writer, step: Step) {
        state.writes[writer].done += 1;
        match (step, state.writes[writer].request) {
            (Step::Lease, _) => {
                state.store.lease(writer);
                state.writes[writer].lease = Lease::Running;
            }
            (Step::Forward, _) => state.writes[writer].request = Request::UnderWay,
            (Step::Settle, Request::Refused) => {
                state.store.settle(writer, Outcome::Refused, self.flaw);
            }
            (Step::Settle, _) => state.store.settle(writer, Outcome::Committed, self.flaw),
            (Step::Answer, Request::Committed(value)) => state.settled(value),
            (Step::Answer, _) => {}
        }
        if state.writes[writer].done == Flaw::order(self.flaw).len() {
            state.writes[writer].lease = Lease::Over; // its intent is gone, its commit is settled
        }
    }

    fn deadline(&self, state: &mut State<N>, writer: Writer) {
        state.store.deadline(writer);
        let write = &mut state.writes[writer];
        write.lease = Lease::Over;
        // A commit after the deadline counts only when it is answered.
        if let (Settled::AtTheDeadlineToo, Request::Committed(value)) =
            (self.settled, write.request)
        {
            state.settled(value);
        }
    }

    fn snapshot(&self, state: &mut State<N>, reader: Reader) {
        if let Read::Missed { floor } = state.reads[reader] {
            let snapshot = state.store.snapshot(self.flaw);
            state.reads[reader] = Read::Asking { floor, snapshot };
        }
    }

    fn keep(&self, state: &mut State<N>, reader: Reader) {
        if let Read::Fetched { value, snapshot } = state.reads[reader] {
            let versions = match self.flaw {
                Some(Flaw::VersionsReadWhenStoring) => state.store.snapshot(self.flaw),
                _ => snapshot,
            };
            state.store.keep(Entry { value, versions });
            state.reads[reader] = Read::Idle;
        }
    }
}

/// What it does, where they do not.
impl<const N: usize> State<N> {
    fn commit(&mut self, writer: Writer) {
        self.origin += 1;
        self.writes[writer].request = Request::Committed(self.origin);
    }

    fn settled(&mut self, value: Value) {
        self.floor = self.floor.max(value);
    }

    /// A read begins when it looks, and not earlier: until then its floor could only rise.
    fn look(&mut self, reader: Reader) {
        let floor = self.floor;
        match self.store.look() {
            Look::Usable(value) => self.served(reader, value, floor, Served::Hit(value)),
            Look::Not(Some(snapshot)) => self.reads[reader] = Read::Asking { floor, snapshot },
            Look::Not(None) => self.reads[reader] = Read::Missed { floor },
        }
    }

    /// Whoever joins a flight that has its answer already takes it; else it waits.
    fn join(&mut self, reader: Reader) {
        let Read::Asking { floor, snapshot } = self.reads[reader] else {
            return;
        };
        match self.reads[other(reader)] {
            Read::Fetched { value, .. } => self.served(reader, value, floor, Served::Flight),
            _ => self.reads[reader] = Read::Waiting { floor, snapshot },
        }
    }

    /// The origin reads its value at one instant between the request and the answer: this one. The
    /// leader's client has it from now on, and so has the one who waits.
    fn fetch(&mut self, reader: Reader) {
        let value = self.origin;
        if let Read::Asking { floor, snapshot } = self.reads[reader] {
            self.stale |= value < floor;
            self.reads[reader] = Read::Fetched { value, snapshot };
        }
        if let Read::Waiting { floor, .. } = self.reads[other(reader)] {
            self.served(other(reader), value, floor, Served::Flight);
        }
    }

    /// Whoever waited takes a turn of his own, with the snapshot that he has.
    fn abandon(&mut self, reader: Reader) {
        self.reads[reader] = Read::Idle;
        if let Read::Waiting { floor, snapshot } = self.reads[other(reader)] {
            self.reads[other(reader)] = Read::Asking { floor, snapshot };
        }
    }

    fn served(&mut self, reader: Reader, value: Value, floor: Value, how: Served) {
        self.stale |= value < floor;
        self.served = Some(how);
        self.reads[reader] = Read::Idle;
    }
}

fn other(reader: Reader) -> Reader {
    1 - reader
}

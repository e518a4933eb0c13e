//! What one sidecar may answer from its own memory, as a model of its own: two readers of it, a
//! write through it and a write through another sidecar, and the order of every command, reply and
//! message among them. Time is left out: how long a sidecar that has *not* heard of a write answers
//! from memory is `local_ttl`, and the model asks only what holds before that is over.

use stateright::{Model, Property};

/// No read is older than what was answered through this sidecar, or heard of, before it began.
pub const NEVER_OLDER: &str = "no read is older than what the sidecar was answered or told";

/// Something wrong with how a sidecar keeps what it knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lapse {
    /// A reply is believed although a drop came while it was on its way.
    BelievesLateReplies,
    /// A write's nodes are forgotten before Redis has deleted them.
    ForgetsTooEarly,
    /// A write is answered before its nodes are forgotten.
    AnswersTooEarly,
}

/// How many writes the origin has carried out: that is also what it answers.
type Value = u8;
/// A version of the one node.
type Token = u8;

/// A write's sidecar takes these steps in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Commit,
    Delete,
    Forget,
    Answer,
}

/// A read through the sidecar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Read {
    Idle,
    /// Its command is under way to Redis.
    Asking {
        since: Value,
        drops: u8,
    },
    /// The reply is under way back.
    Replied {
        since: Value,
        drops: u8,
        token: Token,
        kept: Option<Value>,
    },
    /// The origin is being asked; the answer will be kept under this token.
    Filling {
        since: Value,
        token: Token,
    },
    /// The origin's answer is there.
    Filled {
        since: Value,
        token: Token,
        value: Value,
    },
}

/// Redis, the origin, one sidecar, and the steps that the two writes have taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct State {
    committed: Value,
    node: Option<Token>,
    tokens: Token,
    entry: Option<(Token, Value)>,
    /// The entry's body in the sidecar's memory.
    body: Option<(Token, Value)>,
    /// The version that the sidecar takes to be the present one.
    known: Option<Token>,
    /// The drops that the sidecar has made or heard of.
    drops: u8,
    /// What the next read is entitled to.
    due: Value,
    own: usize,
    other: usize,
    /// What the other sidecar's write, told by a message that is under way, made of the value.
    message: Option<Value>,
    /// The value right after the write committed.
    made: [Value; 2],
    reads: [Read; 2],
    older: bool,
}

/// The sidecar's rules, with one lapse or none.
#[derive(Clone, Copy, Debug)]
pub struct Memory(pub Option<Lapse>);

/// One thing that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The write through this sidecar takes its next step.
    Own,
    /// The write through the other one does.
    Other,
    /// The message of the other one arrives.
    Hear,
    /// A reader comes.
    Come(usize),
    /// Redis carries out a reader's command.
    Execute(usize),
    /// The reply arrives.
    Reply(usize),
    /// The origin reads.
    Fetch(usize),
    /// The answer is kept and handed out.
    Keep(usize),
    /// Redis forgets the node.
    Evict,
}

impl Memory {
    fn own_steps(&self) -> [Step; 4] {
        use Step::{Answer, Commit, Delete, Forget};
        match self.0 {
            Some(Lapse::ForgetsTooEarly) => [Commit, Forget, Delete, Answer],
            Some(Lapse::AnswersTooEarly) => [Commit, Delete, Answer, Forget],
            _ => [Commit, Delete, Forget, Answer],
        }
    }
}

impl Model for Memory {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            committed: 0,
            node: None,
            tokens: 0,
            entry: None,
            body: None,
            known: None,
            drops: 0,
            due: 0,
            own: 0,
            other: 0,
            message: None,
            made: [0; 2],
            reads: [Read::Idle; 2],
            older: false,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let may = [
            (state.own < 4, Action::Own),
            (state.other < 2, Action::Other),
            (state.message.is_some(), Action::Hear),
            (state.node.is_some(), Action::Evict),
        ];
        actions.extend(
            may.iter()
                .filter(|(may, _)| *may)
                .map(|(_, action)| *action),
        );
        actions.extend((0..2).map(|reader| match state.reads[reader] {
            Read::Idle => Action::Come(reader),
            Read::Asking { .. } => Action::Execute(reader),
            Read::Replied { .. } => Action::Reply(reader),
            Read::Filling { .. } => Action::Fetch(reader),
            Read::Filled { .. } => Action::Keep(reader),
        }));
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut next = *state;
        match action {
            Action::Own => {
                next.step(0, self.own_steps()[state.own]);
                next.own += 1;
            }
            Action::Other => {
                next.step(1, [Step::Commit, Step::Delete][state.other]);
                next.other += 1;
                if next.other == 2 {
                    next.message = Some(next.made[1]);
                }
            }
            Action::Hear => {
                next.forget();
                next.due = next.due.max(next.message.take()?);
            }
            Action::Come(reader) => next.come(reader),
            Action::Execute(reader) => next.execute(reader),
            Action::Reply(reader) => next.reply(reader, self.0),
            Action::Fetch(reader) => next.fetch(reader),
            Action::Keep(reader) => next.keep(reader),
            Action::Evict => next.node = None,
        }
        // More evictions than that tell nothing new.
        (next.tokens < 5).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::<Self>::always(NEVER_OLDER, |_, state| !state.older),
            Property::<Self>::sometimes("an answer comes from memory alone", |_, state| {
                state.answers_from_memory().is_some() && state.committed > 0
            }),
            Property::<Self>::sometimes("memory is behind an unheard write", |_, state| {
                let behind = |value| value < state.made[1];
                state.other == 2 && state.answers_from_memory().is_some_and(behind)
            }),
        ]
    }
}

impl State {
    fn answers_from_memory(&self) -> Option<Value> {
        let (token, value) = self.body?;
        (self.known == Some(token)).then_some(value)
    }

    fn step(&mut self, writer: usize, step: Step) {
        match step {
            Step::Commit => {
                self.committed += 1;
                self.made[writer] = self.committed;
            }
            Step::Delete => self.node = None,
            Step::Forget => self.forget(),
            Step::Answer => self.due = self.due.max(self.made[writer]),
        }
    }

    fn forget(&mut self) {
        self.drops += 1;
        self.known = None;
    }

    fn come(&mut self, reader: usize) {
        let since = self.due;
        match self.answers_from_memory() {
            Some(value) => self.older |= value < since,
            None => {
                self.reads[reader] = Read::Asking {
                    since,
                    drops: self.drops,
                }
            }
        }
    }

    /// Reads the version, creates it where it is absent, and reads the entry: what lies between
    /// those commands is left to the other model.
    fn execute(&mut self, reader: usize) {
        let Read::Asking { since, drops } = self.reads[reader] else {
            return;
        };
        let token = *self.node.get_or_insert_with(|| {
            self.tokens += 1;
            self.tokens
        });
        let usable = self.entry.filter(|(under, _)| *under == token);
        self.reads[reader] = Read::Replied {
            since,
            drops,
            token,
            kept: usable.map(|(_, value)| value),
        };
    }

    fn reply(&mut self, reader: usize, lapse: Option<Lapse>) {
        let Read::Replied {
            since,
            drops,
            token,
            kept,
        } = self.reads[reader]
        else {
            return;
        };
        if drops == self.drops || lapse == Some(Lapse::BelievesLateReplies) {
            self.known = Some(token);
        }
        self.reads[reader] = match kept {
            Some(value) => {
                self.older |= value < since;
                self.body = Some((token, value));
                Read::Idle
            }
            None => Read::Filling { since, token },
        };
    }

    fn fetch(&mut self, reader: usize) {
        if let Read::Filling { since, token } = self.reads[reader] {
            let value = self.committed;
            self.reads[reader] = Read::Filled {
                since,
                token,
                value,
            };
        }
    }

    fn keep(&mut self, reader: usize) {
        if let Read::Filled {
            since,
            token,
            value,
        } = self.reads[reader]
        {
            self.older |= value < since;
            self.entry = Some((token, value));
            self.body = self.entry;
            self.reads[reader] = Read::Idle;
        }
    }
}

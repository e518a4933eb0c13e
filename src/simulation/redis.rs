//! The simulated Redis that a fleet shares, and the lines to it: each command takes its time, and may
//! be lost with its connection before or after it took effect.

use super::checker::Checker;
use super::dice::Dice;
use super::history::{Fault, History};
use super::sabotage::Sabotage;
use crate::store::simulated::{self, Eventually, Held, Keys, Line, Reply, Server};
use bytes::Bytes;
use std::collections::VecDeque;
use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::sync::{broadcast, oneshot};
use tokio::time::{Duration, Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

/// As long as the real client waits for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// Messages that may wait to be heard.
const MAX_WAITING: usize = 1024;

/// So many commands apart are the files that it writes to its disk, and so many there are at most: what is
/// restored is from before a few writes, and from after the first fills.
const SAVE_EVERY: usize = 8;
const MAX_SAVED: usize = 8;

/// Redis's clock at the beginning.
const BEGAN_MS: u64 = 1_790_000_000_000;

/// What all sidecars reach.
pub struct Redis {
    state: Mutex<State>,
    began: Instant,
    history: Arc<History>,
    checker: Arc<Checker>,
    sabotage: Option<Sabotage>,
}

struct State {
    keys: Keys,
    hangs_until: Instant,
    /// Until it is started again.
    is_down: bool,
    /// What it wrote to its disk now and then, the last behind.
    saved: VecDeque<Keys>,
    /// Commands until it writes once more.
    until_save: usize,
    /// How many processes there were.
    processes: u64,
    /// Cancelled when it dies: a connection ends with the process that it leads to.
    process: CancellationToken,
    /// Who hears what is published.
    subscribers: Vec<Arc<Wire>>,
}

impl Redis {
    /// An empty one.
    pub fn new(history: Arc<History>, checker: Arc<Checker>, sabotage: Option<Sabotage>) -> Redis {
        let mut keys = Keys::default();
        if sabotage == Some(Sabotage::ServersAreAlike) {
            keys.hide();
        }
        let state = State {
            saved: VecDeque::from([keys.clone()]),
            until_save: SAVE_EVERY,
            keys,
            hangs_until: Instant::now(),
            is_down: false,
            processes: 0,
            process: CancellationToken::new(),
            subscribers: Vec::new(),
        };
        Redis {
            state: Mutex::new(state),
            began: Instant::now(),
            history,
            checker,
            sabotage,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics that holds it")
    }

    fn now_ms(&self) -> u64 {
        BEGAN_MS + self.began.elapsed().as_millis() as u64
    }

    /// Does something to what it holds.
    pub fn at_keys<T>(&self, act: impl FnOnce(&mut Keys) -> T) -> T {
        act(&mut self.state().keys)
    }

    /// All keys, values and milliseconds left.
    pub fn all(&self) -> Vec<(String, Held, Option<u64>)> {
        let now = self.now_ms();
        self.state().keys.all(now)
    }

    /// Answers nothing for so long; what is sent meanwhile is carried out afterwards.
    pub fn hang(&self, lasting: Duration) {
        let until = Instant::now() + lasting;
        self.state().hangs_until = until;
    }

    /// Dies, with all it holds.
    pub fn kill(&self) {
        let mut state = self.state();
        state.is_down = true;
        state.processes += 1;
        state.keys = state.keys.loaded_by(state.processes);
        state.keys.flush();
        state.hangs_until = Instant::now();
        state.process.cancel();
        state.process = CancellationToken::new();
        state.subscribers.clear();
    }

    /// Comes back empty.
    pub fn start(&self) {
        self.state().is_down = false;
    }

    /// Comes back with something that it wrote to its disk.
    pub fn restore(&self, dice: &mut Dice) {
        let mut state = self.state();
        state.is_down = false;
        let file = dice.below(state.saved.len());
        state.keys = state.saved[file].loaded_by(state.processes);
    }

    /// Waits while it hangs. The process that answers, if there is one.
    async fn awake(&self) -> Option<CancellationToken> {
        loop {
            let until = self.state().hangs_until;
            if until <= Instant::now() {
                let state = self.state();
                return (!state.is_down).then(|| state.process.clone());
            }
            sleep_until(until).await;
        }
    }

    /// Notes whose lease was registered: each write leases the exact key of its register.
    fn leased(&self, through: usize, words: &[Bytes]) {
        let lasting = std::str::from_utf8(&words[words.len() - 2]).map(str::parse);
        let lasting = Duration::from_millis(lasting.ok().and_then(Result::ok).expect("a number"));
        let keys = words
            .iter()
            .filter_map(|word| std::str::from_utf8(word).ok());
        let register = keys
            .filter_map(|key| key.strip_prefix("sim:items:")?.strip_suffix("!!"))
            .find_map(|register| register.parse().ok());
        let register = register.expect("a write names its register");
        self.checker.leased(register, through, lasting);
    }

    fn carry_out(&self, through: usize, words: &[Bytes]) -> Reply {
        let now = self.now_ms();
        let mut state = self.state();
        let reply = match self.sabotage {
            Some(sabotage) => sabotage.carry_out(&mut state.keys, words, now),
            None => state.keys.carry_out(words, now),
        };
        state.save_now_and_then();
        let published = state.keys.published();
        let subscribers = state.subscribers.clone();
        drop(state);
        for (_, message) in published {
            for wire in &subscribers {
                wire.clone().tell(message.clone());
            }
        }
        self.history.commanded(through, words, &reply);
        if simulated::name(words) == "LEASE" && matches!(reply, Reply::Many(_)) {
            self.leased(through, words);
        }
        reply
    }
}

impl State {
    fn save_now_and_then(&mut self) {
        self.until_save -= 1;
        if self.until_save == 0 {
            self.until_save = SAVE_EVERY;
            self.saved.push_back(self.keys.clone());
            if self.saved.len() > MAX_SAVED {
                self.saved.pop_front();
            }
        }
    }
}

/// The way of one sidecar to Redis.
pub struct Way {
    redis: Arc<Redis>,
    through: usize,
    /// Cancelled when the sidecar is killed.
    death: CancellationToken,
    dice: Arc<Mutex<Dice>>,
}

impl Way {
    /// A way that ends with the sidecar.
    pub fn new(redis: Arc<Redis>, through: usize, death: CancellationToken, dice: Dice) -> Way {
        let dice = Arc::new(Mutex::new(dice));
        Way {
            redis,
            through,
            death,
            dice,
        }
    }
}

impl Server for Way {
    fn connect(&self) -> Eventually<Option<Arc<dyn Line>>> {
        let Way {
            redis,
            through,
            death,
            dice,
        } = self;
        let (redis, through) = (redis.clone(), *through);
        let (death, dice) = (death.clone(), dice.clone());
        Box::pin(async move {
            let delay = dice.lock().expect("not poisoned").ms(1, 5);
            sleep(delay).await;
            let process = timeout(CONNECT_TIMEOUT, redis.awake()).await.ok()??;
            if death.is_cancelled() {
                return pending().await;
            }
            let now = Instant::now();
            let wire = Arc::new(Wire {
                redis,
                through,
                death,
                process,
                dice,
                cut: CancellationToken::new(),
                order: Mutex::new(Order {
                    effect: now,
                    reply: now,
                    is_black: false,
                }),
                heard: broadcast::Sender::new(MAX_WAITING),
            });
            let line: Arc<dyn Line> = Arc::new(End(wire));
            Some(line)
        })
    }
}

/// The sidecar's end of a connection.
struct End(Arc<Wire>);

struct Wire {
    redis: Arc<Redis>,
    through: usize,
    death: CancellationToken,
    /// The Redis process that it leads to.
    process: CancellationToken,
    dice: Arc<Mutex<Dice>>,
    cut: CancellationToken,
    order: Mutex<Order>,
    heard: broadcast::Sender<Bytes>,
}

/// Commands take effect, and replies come, in the order in which they were sent.
struct Order {
    effect: Instant,
    reply: Instant,
    /// Nothing that is sent arrives any more.
    is_black: bool,
}

/// What becomes of a command on its way.
struct Fate {
    there: Duration,
    back: Duration,
    breaks: Option<Breaks>,
    /// Whether it arrives though its sender is gone by then.
    survives: bool,
}

#[derive(Clone, Copy)]
enum Breaks {
    Before,
    After,
    Silently,
}

impl Fate {
    fn drawn(dice: &mut Dice, history: &History) -> Fate {
        let likely = history.likely();
        let mut fate = Fate {
            there: dice.ms(0, 3),
            back: dice.ms(0, 3),
            breaks: None,
            survives: dice.in_thousand(500),
        };
        if !dice.in_thousand(likely.line) {
            return fate;
        }
        let fault = dice.one_of(&Fault::ON_LINES);
        history.injected(fault);
        match fault {
            Fault::SlowThere => fate.there = dice.ms(10, 150),
            Fault::SlowBack => fate.back = dice.ms(10, 150),
            Fault::BrokenBefore => fate.breaks = Some(Breaks::Before),
            Fault::BrokenAfter => fate.breaks = Some(Breaks::After),
            _ => fate.breaks = Some(Breaks::Silently),
        }
        fate
    }
}

impl Wire {
    /// Carries one command to Redis and its reply back to `reply`, whether or not anybody waits.
    async fn carry(self: Arc<Wire>, words: Vec<Bytes>, fate: Fate, reply: oneshot::Sender<Reply>) {
        let Some(arrival) = self.departed(&fate) else {
            return;
        };
        sleep_until(arrival).await;
        let process = self.redis.awake().await;
        let is_sent = !self.is_cut() || fate.survives;
        if process.is_none() || self.process.is_cancelled() || !is_sent {
            return self.cut.cancel();
        }
        if matches!(fate.breaks, Some(Breaks::Before)) {
            return self.cut.cancel();
        }
        let said = self.redis.carry_out(self.through, &words);
        if simulated::name(&words) == "SUBSCRIBE" {
            self.redis.state().subscribers.push(self.clone());
        }
        if matches!(fate.breaks, Some(Breaks::After)) {
            return self.cut.cancel();
        }
        let back = self.returned(&fate);
        sleep_until(back).await;
        if !self.is_cut() {
            let _ = reply.send(said); // whoever asked may have given up
        }
    }

    /// Brings a message to the sidecar, in its turn; a line that lost something brings nothing more.
    fn tell(self: Arc<Wire>, message: Bytes) {
        let fate = {
            let mut dice = self.dice.lock().expect("not poisoned");
            Fate::drawn(&mut dice, &self.redis.history)
        };
        match fate.breaks {
            Some(Breaks::Silently) => self.order.lock().expect("not poisoned").is_black = true,
            Some(Breaks::Before | Breaks::After) => self.cut.cancel(),
            None => {}
        }
        let at = self.returned(&fate);
        tokio::spawn(async move {
            sleep_until(at).await;
            let is_black = self.order.lock().expect("not poisoned").is_black;
            if !self.is_cut() && !is_black {
                let _ = self.heard.send(message); // it may not listen any more
            }
        });
    }

    /// When the command arrives; never on a line that lost one already.
    fn departed(&self, fate: &Fate) -> Option<Instant> {
        let mut order = self.order.lock().expect("not poisoned");
        order.is_black |= matches!(fate.breaks, Some(Breaks::Silently));
        order.effect = order.effect.max(Instant::now() + fate.there);
        (!order.is_black).then_some(order.effect)
    }

    fn returned(&self, fate: &Fate) -> Instant {
        let mut order = self.order.lock().expect("not poisoned");
        order.reply = order.reply.max(Instant::now() + fate.back);
        order.reply
    }

    fn is_cut(&self) -> bool {
        self.cut.is_cancelled() || self.process.is_cancelled() || self.death.is_cancelled()
    }
}

impl Line for End {
    fn send(&self, words: Vec<Bytes>) -> Eventually<Option<Reply>> {
        let wire = self.0.clone();
        let fate = {
            let mut dice = wire.dice.lock().expect("not poisoned");
            Fate::drawn(&mut dice, &wire.redis.history)
        };
        let (reply, arrived) = oneshot::channel();
        tokio::spawn(wire.clone().carry(words, fate, reply));
        Box::pin(async move {
            let ended = async {
                tokio::select! {
                    biased;
                    () = wire.death.cancelled() => pending().await,
                    () = wire.cut.cancelled() => {}
                    () = wire.process.cancelled() => {}
                }
            };
            tokio::select! {
                biased;
                Ok(reply) = arrived => Some(reply),
                () = ended => None,
            }
        })
    }

    fn broken(&self) -> Eventually<()> {
        let wire = self.0.clone();
        Box::pin(async move {
            tokio::select! {
                biased;
                () = wire.cut.cancelled() => {}
                () = wire.process.cancelled() => {}
            }
        })
    }

    fn heard(&self) -> broadcast::Receiver<Bytes> {
        self.0.heard.subscribe()
    }

    fn close(&self) {
        self.0.cut.cancel();
    }
}

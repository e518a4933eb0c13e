//! What the store is good for now, in one word, and what is not tried meanwhile.
//!
//! A provider's limits are no outage: what still works is used, and what would be refused again is
//! left alone for a while. The log has one line where a state begins and one where it ends.

use super::fault::Kind;
use crate::metrics::Metrics;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// For so long nothing is sent to a full store to be kept, once it has refused that. A store stays
/// full for minutes; what is gained by asking it more often is a few answers kept sooner.
const FULL_FOR: Duration = Duration::from_secs(5);

/// For so long no value is sent that is as large as one that was refused for its size. Limits of
/// providers change with the plan that is paid for.
const TOO_LARGE_FOR: Duration = Duration::from_secs(600);

/// What the store is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It is used.
    Up,
    /// It does not answer, or not yet: requests do without it.
    Down,
    /// Its provider's allowance is spent: requests do without it, and it is tried every few seconds.
    Quota,
    /// It is full: it is read, and told of writes, but takes no answers.
    Capacity,
    /// It is used, but refuses large values: answers of that size are kept by none but this process.
    Size,
    /// It refuses to be told of writes, as a replica does: from the first one on requests do without it.
    Readonly,
}

impl State {
    /// All there are.
    pub const ALL: [State; 6] = [
        State::Up,
        State::Down,
        State::Quota,
        State::Capacity,
        State::Size,
        State::Readonly,
    ];

    /// Its word at the admin door, and its label.
    pub fn word(self) -> &'static str {
        match self {
            State::Up => "up",
            State::Down => "down",
            State::Quota => Kind::Quota.word(),
            State::Capacity => Kind::Capacity.word(),
            State::Size => Kind::Size.word(),
            State::Readonly => Kind::Readonly.word(),
        }
    }

    /// What it means and what to do, where somebody should know.
    fn advice(self) -> Option<&'static str> {
        match self {
            State::Up | State::Down => None,
            State::Quota => Some(
                "the provider's allowance is spent: requests do without the store until it has one again; raise it, or set [store] budget",
            ),
            State::Capacity => Some(
                "the store is full: it is read and told of writes, but keeps no new answers; give it memory or an eviction policy",
            ),
            State::Size => Some(
                "the store refuses large values: answers of that size are kept by this process alone; lower [store] max_entry",
            ),
            State::Readonly => Some("the store refuses writes: point [store] url at the primary"),
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// What Redis refused lately.
pub struct Refusals {
    /// Whether `found` may hold anything, so that commands which succeed need not look.
    any: AtomicBool,
    found: Mutex<Found>,
    metrics: Arc<Metrics>,
}

#[derive(Debug)]
struct Found {
    is_connected: bool,
    /// `Quota`, `Readonly` or `Capacity`, and when it was last heard.
    refused: Option<(Kind, Instant)>,
    /// The size of the smallest value that was refused for it, and until when that counts.
    too_large: Option<(usize, Instant)>,
    told: State,
}

impl Refusals {
    /// Of a store that is not connected yet.
    pub fn new(metrics: Arc<Metrics>) -> Refusals {
        let found = Found {
            is_connected: false,
            refused: None,
            too_large: None,
            told: State::Down,
        };
        tell(&metrics, State::Down);
        Refusals {
            any: AtomicBool::new(false),
            found: Mutex::new(found),
            metrics,
        }
    }

    /// The state as of now.
    pub fn state(&self) -> State {
        self.change(|_| {})
    }

    /// Whether Redis may be asked, from now on. What a new connection refuses is yet to be heard.
    pub fn connected(&self, is_connected: bool) {
        self.change(|found| {
            found.is_connected = is_connected;
            if is_connected {
                found.refused = None;
            }
        });
    }

    /// A command failed so. One that broke off with its connection says nothing of why that was given up.
    pub fn failed(&self, kind: Kind) {
        if is_state(kind) {
            self.change(|found| found.refused = Some((kind, Instant::now())));
        }
    }

    /// An attempt to connect, and to pay what is owed, failed so.
    pub fn unusable(&self, kind: Kind) {
        let refused = is_state(kind).then(|| (kind, Instant::now()));
        self.change(|found| found.refused = refused);
    }

    /// Redis took something to keep: it is not full, and no replica.
    pub fn took(&self) {
        if self.any.load(Relaxed) {
            self.change(|found| found.refused = None);
        }
    }

    /// One of several servers took something to keep, or failed so. That it is full is said; that another took
    /// something says nothing of that one, until it has not been heard for a while.
    pub fn kept_apart(&self, failed: Option<Kind>) {
        match failed {
            Some(Kind::Capacity) => self.failed(Kind::Capacity),
            None if self.any.load(Relaxed) => {
                let is_over = |(kind, at): (Kind, Instant)| {
                    kind == Kind::Capacity && at.elapsed() > 2 * FULL_FOR
                };
                self.change(|found| found.refused = found.refused.filter(|said| !is_over(*said)));
            }
            _ => {}
        }
    }

    /// A value of so many bytes was refused for its size.
    pub fn found_too_large(&self, bytes: usize) {
        self.change(|found| {
            let before = found.large_from().unwrap_or(bytes);
            let until = Instant::now() + TOO_LARGE_FOR;
            found.too_large = Some((before.min(bytes), until));
        });
    }

    /// Whether a value of so many bytes is worth sending: nothing says that it would be refused.
    pub fn takes(&self, bytes: usize) -> bool {
        if !self.any.load(Relaxed) {
            return true;
        }
        let found = self.found();
        let is_full =
            matches!(found.refused, Some((Kind::Capacity, at)) if at.elapsed() < FULL_FOR);
        !is_full && found.large_from().is_none_or(|limit| bytes < limit)
    }

    /// Whether the provider said that its allowance is spent, and nothing has been heard since.
    pub fn is_spent(&self) -> bool {
        self.any.load(Relaxed) && matches!(self.found().refused, Some((Kind::Quota, _)))
    }

    fn change(&self, change: impl FnOnce(&mut Found)) -> State {
        let mut found = self.found();
        change(&mut found);
        let (was, is) = (found.told, found.state());
        self.any.store(
            found.refused.is_some() || found.too_large.is_some(),
            Relaxed,
        );
        if was != is {
            found.told = is;
            tell(&self.metrics, is);
            log(was, is);
        }
        is
    }

    fn found(&self) -> MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Found {
    fn state(&mut self) -> State {
        if self.large_from().is_none() {
            self.too_large = None;
        }
        match self.refused {
            Some((Kind::Quota, _)) => State::Quota,
            Some((Kind::Readonly, _)) => State::Readonly,
            _ if !self.is_connected => State::Down,
            Some((Kind::Capacity, _)) => State::Capacity,
            _ if self.too_large.is_some() => State::Size,
            _ => State::Up,
        }
    }

    fn large_from(&self) -> Option<usize> {
        let (bytes, until) = self.too_large?;
        (Instant::now() < until).then_some(bytes)
    }
}

/// Whether it is a limit of the server's, of which every command may tell.
fn is_state(kind: Kind) -> bool {
    matches!(kind, Kind::Quota | Kind::Capacity | Kind::Readonly)
}

fn tell(metrics: &Metrics, state: State) {
    for each in State::ALL {
        metrics.store_state(each.word(), each == state);
    }
}

/// That it is up or down, its warden says.
fn log(was: State, is: State) {
    if let Some(advice) = is.advice() {
        tracing::warn!(state = %is, "{advice}");
    } else if was.advice().is_some() {
        tracing::info!(was = %was, state = %is, "what the store refused has ended");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    const SHORT: Duration = Duration::from_millis(1);

    fn connected() -> Refusals {
        let refusals = Refusals::new(Arc::new(Metrics::new()));
        refusals.connected(true);
        refusals
    }

    #[tokio::test(start_paused = true)]
    async fn large_values_are_tried_again_after_ten_minutes_and_small_ones_are_never_held_back() {
        let refusals = connected();
        refusals.found_too_large(2000);
        refusals.found_too_large(1000);
        let ten_minutes = Duration::from_secs(600);
        advance(ten_minutes - SHORT).await;
        assert_eq!(refusals.state(), State::Size);
        assert!(!refusals.takes(1000) && refusals.takes(999));
        advance(SHORT).await;
        assert!(refusals.takes(1000));
        assert_eq!(refusals.state(), State::Up);
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_store_is_offered_nothing_for_five_seconds_after_each_refusal() {
        let refusals = connected();
        for _ in 0..2 {
            refusals.failed(Kind::Capacity);
            advance(Duration::from_secs(5) - SHORT).await;
            assert!(!refusals.takes(1));
            advance(SHORT).await;
            assert!(refusals.takes(1));
            assert_eq!(refusals.state(), State::Capacity, "until it takes one");
        }
        refusals.took();
        assert_eq!(refusals.state(), State::Up);
    }

    #[tokio::test(start_paused = true)]
    async fn one_server_of_several_that_is_full_is_said_until_it_is_not_heard_of_for_a_while() {
        let refusals = Refusals::new(Arc::new(Metrics::new()));
        refusals.connected(true);
        refusals.kept_apart(Some(Kind::Timeout));
        assert_eq!(refusals.state(), State::Up);
        refusals.kept_apart(Some(Kind::Capacity));
        refusals.kept_apart(None);
        assert_eq!(refusals.state(), State::Capacity);
        assert!(!refusals.takes(1));
        tokio::time::sleep(3 * FULL_FOR).await;
        assert!(refusals.takes(1));
        refusals.kept_apart(None);
        assert_eq!(refusals.state(), State::Up);
    }
}

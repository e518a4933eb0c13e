//! What is asked for after writes, so that the next reader finds it kept: how much of it, and how often.
//!
//! A warm is a favour, and nothing is promised of it. Writes that come one after another ask for the same again: while
//! it waits for its turn once is enough, and while it is under way once more, behind what the later write has dropped.

use crate::digest::Digest;
use crate::rules::table::Set;
use hyper::Uri;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Requests for this at a time: an origin should not notice it, as with `sidecache warm`.
const AT_A_TIME: usize = 4;

/// Answers that are asked for or wait for it. Where there are more, readers ask for the rest themselves.
const AT_MOST: usize = 64;

/// Whoever has waited for his turn as long as this comes too late: readers have asked meanwhile.
const PATIENCE: Duration = Duration::from_secs(5);

/// Between two requests for the same, however many writes there are: each but the last was for nothing.
pub const PAUSE: Duration = Duration::from_millis(250);

/// Something to be asked for, as a write names it.
pub struct Warm {
    /// The set that has it asked for.
    pub set: Arc<Set>,
    /// By GET; `None` where the write does not hold what would tell.
    pub target: Option<Uri>,
}

/// What is asked for after a write once what it drops is dropped.
pub type Then = Box<dyn FnOnce(Vec<Warm>) + Send + Sync>;

/// What one kept answer is told by: its key, and what it is bound to there.
type Name = (String, Digest);

/// Whether it is to be asked for once more.
type Wanted = HashMap<Name, bool>;

/// What becomes of something that is to be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Warmed {
    /// It was fetched, and is kept.
    Kept,
    /// It is kept already, or about to be.
    Fresh,
    /// It is not kept: it may not be, or was dropped meanwhile.
    NotKept,
    /// The origin gave no answer.
    Failed,
    /// It is asked for on behalf of another write.
    Coalesced,
    /// It is not asked for: the origin is in trouble, the store or its budget does not allow it, too much waits, or it
    /// was not to be kept a moment ago.
    Spared,
    /// The write does not hold what would tell what to ask for.
    Unresolved,
    /// What it came to is nothing that may be kept for everybody.
    Unfit,
}

impl Warmed {
    /// The word in metrics and logs.
    pub fn word(self) -> &'static str {
        match self {
            Warmed::Kept => "kept",
            Warmed::Fresh => "fresh",
            Warmed::NotKept => "not-kept",
            Warmed::Failed => "failed",
            Warmed::Coalesced => "coalesced",
            Warmed::Spared => "spared",
            Warmed::Unresolved => "unresolved",
            Warmed::Unfit => "unfit",
        }
    }
}

/// All that this process asks for after writes. Clones are the same.
#[derive(Clone)]
pub struct Warming {
    turns: Arc<Semaphore>,
    wanted: Arc<Mutex<Wanted>>,
}

impl Default for Warming {
    fn default() -> Warming {
        Warming {
            turns: Arc::new(Semaphore::new(AT_A_TIME)),
            wanted: Arc::default(),
        }
    }
}

impl Warming {
    /// Nothing begins any more: whoever waits for his turn, or comes for one, gets none. What is under way goes on.
    pub fn end(&self) {
        self.turns.close();
    }

    /// Takes charge of an answer that is to be asked for.
    ///
    /// # Errors
    /// Somebody is in charge of it, and will ask once more; or too much waits.
    pub fn take(&self, key: &str, binding: Digest) -> Result<Charge, Warmed> {
        let name = (key.to_owned(), binding);
        let mut wanted = lock(&self.wanted);
        if let Some(again) = wanted.get_mut(&name) {
            *again = true;
            return Err(Warmed::Coalesced);
        }
        if wanted.len() >= AT_MOST {
            return Err(Warmed::Spared);
        }
        wanted.insert(name.clone(), false);
        Ok(Charge {
            turns: self.turns.clone(),
            wanted: self.wanted.clone(),
            name: Some(name),
        })
    }
}

/// Leave to ask for it, until this is dropped.
#[must_use = "the turn ends when this is dropped"]
pub struct TurnToAsk(
    #[expect(dead_code, reason = "what counts is how long it lives")] OwnedSemaphorePermit,
);

/// That nobody else asks for the same, until this is dropped.
#[must_use = "it is anybody's when this is dropped"]
pub struct Charge {
    turns: Arc<Semaphore>,
    wanted: Arc<Mutex<Wanted>>,
    /// `None` once nobody is in charge of it.
    name: Option<Name>,
}

impl Charge {
    /// Waits for a turn to ask. What was wanted until then is what is asked for now. `None` where that took too long,
    /// or this process ends.
    pub async fn turn(&self) -> Option<TurnToAsk> {
        let turn = self.turns.clone().acquire_owned();
        let turn = tokio::time::timeout(PATIENCE, turn).await.ok()?.ok()?;
        if let Some(name) = &self.name {
            lock(&self.wanted).insert(name.clone(), false);
        }
        Some(TurnToAsk(turn))
    }

    /// Whether it was wanted once more since the turn began; if not, nobody is in charge any more.
    pub fn again(mut self) -> Option<Charge> {
        let name = self.name.take()?;
        let is_wanted = {
            let mut wanted = lock(&self.wanted);
            let is_wanted = wanted.get(&name).copied().unwrap_or_default();
            if !is_wanted {
                wanted.remove(&name);
            }
            is_wanted
        };
        self.name = Some(name).filter(|_| is_wanted);
        is_wanted.then_some(self)
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        if let Some(name) = &self.name {
            lock(&self.wanted).remove(name);
        }
    }
}

fn lock(wanted: &Mutex<Wanted>) -> MutexGuard<'_, Wanted> {
    wanted.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(warming: &Warming, key: &str) -> Result<Charge, Warmed> {
        warming.take(key, Digest([1; 16]))
    }

    #[tokio::test]
    async fn what_waits_is_asked_for_once_and_what_is_under_way_once_more() {
        let warming = Warming::default();
        let charge = take(&warming, "a").expect("nobody is in charge");
        assert_eq!(take(&warming, "a").err(), Some(Warmed::Coalesced));
        let turn = charge.turn().await.expect("nobody else waits");
        for _ in 0..100 {
            assert_eq!(take(&warming, "a").err(), Some(Warmed::Coalesced));
        }
        drop(turn);
        let charge = charge
            .again()
            .expect("it was wanted while it was asked for");
        let _turn = charge.turn().await.expect("nobody else waits");
        assert!(charge.again().is_none(), "not since");
        assert!(take(&warming, "a").is_ok(), "nobody is in charge any more");
    }

    #[test]
    fn so_much_is_taken_and_no_more_until_some_of_it_ends() {
        let warming = Warming::default();
        let names: Vec<String> = (0..AT_MOST).map(|name| name.to_string()).collect();
        let mut charges: Vec<_> = names
            .iter()
            .map(|name| take(&warming, name).expect("there is room"))
            .collect();
        assert_eq!(take(&warming, "more").err(), Some(Warmed::Spared));
        charges.pop();
        assert!(take(&warming, "more").is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn few_ask_at_a_time_and_who_waits_too_long_does_not_ask() {
        let warming = Warming::default();
        let mut turns = Vec::new();
        for name in ["a", "b", "c", "d"] {
            let charge = take(&warming, name).expect("there is room");
            turns.push((charge.turn().await.expect("a turn"), charge));
        }
        assert_eq!(turns.len(), AT_A_TIME);
        let late = take(&warming, "e").expect("there is room");
        assert!(late.turn().await.is_none());
        turns.pop();
        assert!(late.turn().await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn at_the_end_nobody_waits_for_a_turn_and_nobody_gets_one() {
        let warming = Warming::default();
        let begun = take(&warming, "begun").expect("there is room");
        let turn = begun.turn().await.expect("a turn");
        let more: Vec<_> = ["a", "b", "c", "d"]
            .map(|name| take(&warming, name).expect("there is room"))
            .into();
        let mut turns = Vec::new();
        for charge in &more[..AT_A_TIME - 1] {
            turns.push(charge.turn().await.expect("a turn"));
        }
        let asked_at = tokio::time::Instant::now();
        let (waited, ()) = tokio::join!(more[3].turn(), async { warming.end() });
        assert!(waited.is_none() && asked_at.elapsed().is_zero());
        drop((turn, turns));
        assert_eq!(
            take(&warming, "begun").err(),
            Some(Warmed::Coalesced),
            "once more"
        );
        let again = begun.again().expect("it was wanted");
        assert!(again.turn().await.is_none());
    }
}

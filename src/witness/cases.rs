//! What came of verifying hits and of fetching anew, and the writes before each.

use super::pace::Id;
use super::persons::Pair;
use super::writes::Known;
use crate::parts;
use crate::rules::table::{Rule, Table};
use crate::suspects::{Case, Cause, Mark, Observation, Possible, Shape};
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

/// Cases that are remembered: some hundred of each rule are enough to infer from.
const MAX_CASES: usize = 8192;

/// What waits for what other processes have to tell of the writes before it.
const MAX_WAITING: usize = 1024;

/// So much of it may be of what was fetched anew: there is more of that than of hits that are verified.
const MAX_FETCHED: usize = MAX_WAITING / 2;

/// Writes before what was fetched anew, from which on it says little of any of them.
const MAX_WRITES: usize = 64;

/// Of the latest so many cases, one that says the same is taken in by the other.
const LOOKED_BACK: usize = 64;

/// Kept answers of which it is remembered when they were fresh.
const MAX_FRESH: usize = 8192;

/// Different causes of all cases together.
const MAX_CAUSES: usize = 16_384;

/// What a key is, to whoever only compares.
#[derive(Clone, Debug)]
pub struct Marked {
    /// Its segments.
    pub segments: Vec<Mark>,
    /// The nodes that it hangs on.
    pub nodes: Vec<Mark>,
    /// How the keys of its rule are made.
    pub shape: Arc<Shape>,
}

impl Marked {
    /// A key of this rule, with its nodes.
    pub fn of(table: &Table, rule: &Rule, segments: &[String], nodes: &[String]) -> Marked {
        let secret = super::secret(&table.namespace, table.store.seal.as_ref());
        let marks = |texts: &[String]| {
            let marks = texts.iter().map(|text| parts::mark(text, &secret));
            marks.collect()
        };
        Marked {
            segments: marks(segments),
            nodes: marks(nodes),
            shape: Arc::new(Shape::of(&rule.key)),
        }
    }
}

/// A hit that was verified, or an answer that was fetched anew and held against the one before it.
#[derive(Clone, Debug)]
pub struct Sighting {
    /// The name of its rule.
    pub rule: String,
    /// Its key.
    pub key: Marked,
    /// When it was verified or fetched, in milliseconds of Unix time.
    pub at_ms: u64,
    /// When what it is held against was asked for: a write after that may not be in it.
    pub asked_at_ms: u64,
    /// What tells what was kept from all else that is.
    pub id: Id,
    /// Whether the origin says something else.
    pub differs: bool,
    /// Whether it was a hit.
    pub is_hit: bool,
    /// Where it differs, if that is known.
    pub places: Vec<String>,
    /// Of what people of a role share and was fetched a moment ago: whether it was fetched for who was told this.
    pub is_own: Option<bool>,
}

impl Sighting {
    /// What was fetched for one and what he or another was told, if no write was known to be there in between.
    pub(super) fn pair(&self, writes: &Known) -> Option<Pair> {
        let is_own = self.is_own?;
        let is_quiet = writes.is_whole_since(self.asked_at_ms)
            && writes.begun(self.asked_at_ms, self.at_ms).is_empty();
        is_quiet.then(|| Pair {
            rule: self.rule.clone(),
            is_own,
            differs: self.differs,
        })
    }

    /// What it comes to by the writes that are known; nothing where it may hang on one that nobody here knows of, or on any
    /// of many. It may take a while: each write of its time is held against it.
    pub(super) fn case(self, writes: &Known) -> Option<Case> {
        if !writes.is_whole_since(self.asked_at_ms) {
            return None;
        }
        let writes = match self.differs {
            true => writes.begun(self.asked_at_ms, self.at_ms),
            false => writes.between(self.asked_at_ms, self.at_ms),
        };
        // One that was seen just before it was dropped is nobody's oversight.
        let mut late = writes.iter().filter(|write| write.at_ms >= self.at_ms);
        if self.is_hit && self.differs && late.any(|write| write.dropped(&self.key.nodes)) {
            return None;
        }
        if !self.is_hit && writes.len() > MAX_WRITES {
            return None;
        }
        let observation = Observation {
            rule: self.rule,
            segments: self.key.segments,
            nodes: self.key.nodes,
            at_ms: self.at_ms,
            age_ms: self.at_ms.saturating_sub(self.asked_at_ms),
            differs: self.differs,
            is_hit: self.is_hit,
            places: self.places,
            writes,
        };
        Some(Case::of(&observation, &self.key.shape))
    }
}

#[derive(Default)]
pub(super) struct Cases {
    waiting: VecDeque<Sighting>,
    /// When what is kept was last seen to be fresh, in milliseconds of Unix time.
    fresh_at: HashMap<Id, u64>,
    done: VecDeque<Arc<Case>>,
    /// So that a cause of many cases is there once.
    causes: HashSet<Arc<Cause>>,
    is_news: bool,
}

impl Cases {
    /// One that waits until it is known which writes were before it. One too many is left out. What was fresh a while
    /// ago was made stale by none of the writes before that, if it is stale now: they have been held against it.
    pub(super) fn wait(&mut self, mut sighting: Sighting) {
        if let Some(fresh_at) = self.fresh_at.get(&sighting.id) {
            sighting.asked_at_ms = sighting.asked_at_ms.max(*fresh_at);
        }
        if !sighting.differs && sighting.is_hit {
            if self.fresh_at.len() >= MAX_FRESH {
                self.fresh_at.clear(); // it costs only that some windows are longer
            }
            self.fresh_at.insert(sighting.id, sighting.at_ms);
        }
        let room = match sighting.is_hit {
            true => MAX_WAITING,
            false => MAX_FETCHED,
        };
        if self.waiting.len() < room {
            self.waiting.push_back(sighting);
        }
    }

    /// When the first of those that wait was seen, in milliseconds of Unix time.
    pub(super) fn first_waiting(&self) -> Option<u64> {
        self.waiting.iter().map(|one| one.at_ms).min()
    }

    /// Takes out those of which all writes before are known when all up to this moment are.
    pub(super) fn due(&mut self, known_ms: u64) -> Vec<Sighting> {
        let all = std::mem::take(&mut self.waiting).into_iter();
        let (due, waiting) = all.partition(|one| one.at_ms <= known_ms);
        self.waiting = waiting;
        Vec::from(due)
    }

    /// What one of those came to.
    pub(super) fn add(&mut self, mut case: Case) {
        self.is_news = true;
        let mut latest = self.done.iter_mut().rev().take(LOOKED_BACK);
        if let Some(known) = latest.find(|known| known.is_like(&case)) {
            Arc::make_mut(known).take_in(&case);
            return;
        }
        if self.causes.len() >= MAX_CAUSES {
            // Those of nobody but the table of them.
            self.causes.retain(|cause| Arc::strong_count(cause) > 1);
        }
        case.causes.retain_mut(|Possible { cause, .. }| {
            match self.causes.get(cause) {
                Some(known) => *cause = known.clone(),
                None if self.causes.len() < MAX_CAUSES => {
                    self.causes.insert(cause.clone());
                }
                None => return false,
            }
            true
        });
        if self.done.len() >= MAX_CASES {
            self.done.pop_front();
        }
        self.done.push_back(Arc::new(case));
    }

    /// All, the latest last.
    pub(super) fn all(&self) -> impl DoubleEndedIterator<Item = &Arc<Case>> {
        self.done.iter()
    }

    /// Whether any came since this was asked.
    pub(super) fn take_news(&mut self) -> bool {
        std::mem::take(&mut self.is_news)
    }
}

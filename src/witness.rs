//! What a process witnesses of its fleet: writes, and hits that were held against the origin. From both together
//! it follows which invalidations are missing ([`crate::suspects`]).
//!
//! Nothing personal is in it: values are there as marks, keyed digests that can only be compared. The secret is the
//! same in the whole fleet. Where the store is sealed it is made of the seal's key, and whoever reads the store
//! learns nothing from marks; where it is not, who knows the namespace may test a guess. So only marks of what stands
//! in keys leave the process, which he can read anyway: never that of a password or of a finding. 64 bits are enough
//! not to take two values for one by chance.

mod cases; // what came of verifying, and the writes before it
mod ends; // how kept answers ended
mod fleet; // what processes tell each other
mod latest; // of what came of it, the latest
mod segments; // what stands in keys
mod silent; // fields of who is no more
mod pace; // how often the origin is asked again
mod persons; // whether what people share is the same for each
mod tally; // what is counted by rule
mod told; // as it stands in the store
mod under_way; // writes that are not answered yet
mod writes; // those that are

pub use cases::{Marked, Sighting};
pub use ends::{Answer, Dropped, Expired, Fetched, line, short, short_of};
pub use pace::{Id, Leave};
pub use tally::{Outcome, Tally};
pub use under_way::UnderWay;

use crate::digest::{Digest, Digester, KEY_BYTES};
use crate::likeness::{self, Likeness, STATUS};
use crate::rules::settings::SealSettings;
use crate::rules::table::{Rule, Table};
use crate::suspects::{Case, Mark, Shape, Write};
use cases::Cases;
use ends::{Again, End, Ended, Ends};
use fleet::Teller;
use pace::Pace;
use persons::Persons;
use segments::Segments;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tally::Tallies;
use under_way::Nodes;
use writes::Writes;
use zeroize::Zeroizing;

/// What one process witnessed. It outlives a reload; clones are the same.
#[derive(Clone, Default)]
pub struct Witness(Arc<Inner>);

#[derive(Default)]
struct Inner {
    pace: Pace,
    under_way: Arc<Nodes>,
    books: Mutex<Books>,
    /// Held by who tells the fleet or hears it.
    teller: tokio::sync::Mutex<Teller>,
}

#[derive(Default)]
struct Books {
    /// Of the rules that all but the writes is of: other rules drop other things.
    layout: Option<Digest>,
    writes: Writes,
    /// What stands in the keys of what was verified.
    segments: Segments,
    cases: Cases,
    tallies: Tallies,
    ends: Ends,
    persons: Persons,
}

/// What a fleet witnessed under the rules in force.
#[derive(Clone, Debug, Default)]
pub struct Gathered {
    /// What came of verifying, and how answers ended, by rule.
    pub tallies: BTreeMap<String, Tally>,
    /// What it came to, hit by hit.
    pub cases: Vec<Case>,
    /// The fleet could not be heard, or not all of it.
    pub is_alone: bool,
    /// Processes that told more than is read at a time.
    pub not_heard: usize,
}

impl Witness {
    fn books(&self) -> MutexGuard<'_, Books> {
        self.0.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Rules are in force from now on. What was found under others that drop other things is forgotten.
    pub fn begin(&self, table: &Table) {
        let mut books = self.books();
        if books.layout != Some(table.layout) {
            books.layout = Some(table.layout);
            (books.cases, books.tallies) = (Cases::default(), Tallies::default());
            (books.ends, books.persons) = (Ends::default(), Persons::default());
        }
    }

    /// How often the origin may be asked, and whether it may be now.
    pub fn pace(&self) -> &Pace {
        &self.0.pace
    }

    /// A write sets out that may come to drop these nodes.
    pub fn sets_out(&self, nodes: &[String]) -> UnderWay {
        Nodes::enter(&self.0.under_way, nodes)
    }

    /// Whether a write of this process is under way that may come to drop one of these nodes.
    pub fn is_under_way(&self, nodes: &[String]) -> bool {
        self.0.under_way.any(nodes)
    }

    /// A write was done.
    pub fn wrote(&self, write: Write) {
        self.books().writes.add(write);
    }

    /// A hit was verified under these rules.
    pub fn saw(&self, table: &Table, rule: &str, outcome: &Outcome, sighting: Option<Sighting>) {
        let mut books = self.books();
        if books.layout != Some(table.layout) {
            return;
        }
        books.tallies.note(rule, outcome);
        // Of what was kept by a clock that was set back since nobody can tell which writes were before it.
        let sighting = sighting.filter(|sighting| sighting.asked_at_ms <= sighting.at_ms);
        if let Some(sighting) = sighting {
            books.segments.add(&sighting.key.segments);
            books.cases.wait(sighting);
        }
    }

    /// An answer was fetched under these rules. `key` is made only where it is held against one that was fetched before
    /// it.
    pub fn fetched(
        &self,
        (table, rule): (&Table, &Arc<Rule>),
        (now, answer): (Fetched, &Answer),
        key: impl FnOnce() -> Marked,
    ) {
        let Some((again, places)) = self.fetched_again((table, rule), (now, answer)) else {
            return;
        };
        let key = key();
        let mut books = self.books();
        if books.layout != Some(table.layout) {
            return;
        }
        match again.end {
            Some(End::Dropped) => {
                let between = (again.after_ms, now.asked_at_ms);
                let segments = key.segments.clone();
                let ended = Ended::new(rule.clone(), segments, between, again.has_changed);
                books.ends.wait(ended);
            }
            Some(End::Expired(one)) => books.tallies.note_expired(&rule.name, one),
            None => {}
        }
        books.segments.add(&key.segments);
        books.cases.wait(Sighting {
            rule: rule.name.clone(),
            key,
            at_ms: now.kept_at_ms,
            asked_at_ms: again.after_ms,
            id: (now.binding, now.kept_at_ms),
            differs: again.has_changed,
            is_hit: false,
            places,
            is_own: None,
        });
    }

    /// What was fetched before, and where this differs from it, if that is known. It is held against it while nobody
    /// waits for the books.
    fn fetched_again(
        &self,
        (table, rule): (&Table, &Arc<Rule>),
        (now, answer): (Fetched, &Answer),
    ) -> Option<(Again, Vec<String>)> {
        let mut books = self.books();
        if books.layout != Some(table.layout) {
            return None;
        }
        let again = books.ends.before(now, answer, rule.ttl)?;
        let known = books.tallies.restless(&rule.name);
        drop(books);
        let before = again.before.as_ref();
        let places = before.map(|before| differing(before, answer, &known));
        Some((again, places.unwrap_or_default()))
    }

    /// Whether what is kept was fetched for this person, where people share it; `None` where that is not known, or where
    /// it was so long ago that data may have changed.
    pub fn is_own(&self, kept: Id, person: u64, age_ms: u64) -> Option<bool> {
        let fetched_for = self.books().ends.fetched_for(kept)?;
        (age_ms <= persons::YOUNG_MS).then_some(fetched_for == person)
    }

    /// Whether it was found out that answers of this rule have owners; it is said once.
    pub fn has_owners(&self, rule: &str) -> bool {
        self.books().persons.take_found(rule)
    }

    /// Whether a write that was answered after the first of these moments, and had set out by the other, dropped one of
    /// these nodes. In milliseconds of Unix time.
    pub fn has_dropped(&self, nodes: &[Mark], (after_ms, until_ms): (u64, u64)) -> bool {
        let known = self.books().writes.known();
        let mut begun = known.begun(after_ms, until_ms).into_iter();
        begun.any(|write| write.dropped(nodes))
    }

    /// The places at which answers of a rule are known to differ from one moment to the next.
    pub fn restless(&self, rule: &str) -> Vec<String> {
        self.books().tallies.restless(rule)
    }

    /// Of the places at which a hit seems to be stale, those that do not say something else at every moment, as clocks
    /// do. `moved` are those that were different again a moment later.
    pub fn without_clocks(&self, rule: &str, at: Vec<String>, moved: &[String]) -> Vec<String> {
        self.books().tallies.without_clocks(rule, at, moved)
    }

    /// Whether a stale answer of this rule is to be said in the log now.
    pub fn may_say(&self, rule: &str, now_ms: u64) -> bool {
        self.books().tallies.may_say(rule, now_ms)
    }
}

/// Where an answer differs from the one before it.
fn differing(before: &Answer, now: &Answer, known: &[String]) -> Vec<String> {
    if before.status != now.status {
        return vec![STATUS.to_owned()];
    }
    match likeness::differences(&before.body, &now.body, &now.body) {
        Likeness::Differs { mut at, .. } => {
            at.retain(|place| !known.contains(place));
            at
        }
        Likeness::Same | Likeness::Restless(_) => Vec::new(),
    }
}

/// The secret of a fleet's marks.
pub fn secret(namespace: &str, seal: Option<&SealSettings>) -> Zeroizing<[u8; KEY_BYTES]> {
    let mut digester = match seal {
        Some(seal) => Digester::keyed(seal.of_names().reveal(), "witness"),
        None => Digester::new("witness"),
    };
    digester.part(namespace.as_bytes()).derive()
}

/// How the keys of a rule are made; `None` where these rules have none of that name.
pub fn shape(table: &Table, rule: &str) -> Option<Shape> {
    let named = table.rules.iter().find(|one| one.name == rule)?;
    Some(Shape::of(&named.key))
}

#[cfg(test)]
mod tests;

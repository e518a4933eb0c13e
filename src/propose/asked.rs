//! What was asked and answered, by route.

use super::crowd::Crowds;
use super::person::People;
use super::seen::{Seen, Written};
use super::sight::{Good, Sight};
use crate::digest::Digest;
use std::collections::{BTreeMap, HashMap};

/// All that was asked.
pub(super) struct AskedFor<'s> {
    /// By route; a rule is there for none of them.
    pub(super) routes: BTreeMap<&'s str, Vec<Sight>>,
    /// In their order.
    writes: &'s [Written],
    /// How often each of their routes was written to, as it is told of; and how often it is, at least, if it is.
    written: HashMap<String, usize>,
    /// How often something was asked for, at least, if it is told of.
    pub(super) least: usize,
    pub(super) crowds: Crowds<'s>,
    pub(super) people: People,
}

/// What is told of writes whose routes are not: what was written to once may be anything.
const SELDOM_WRITTEN: &str = "seldom ones";

/// Longest that a write is thought to take where that is not known, in milliseconds.
pub const LONGEST_WRITE: u64 = 30_000;

impl<'s> AskedFor<'s> {
    pub(super) fn of(seen: &'s Seen) -> AskedFor<'s> {
        let reads = seen.reads.iter().map(|sight| &*sight.route);
        let writes = seen.writes.iter().map(|write| &*write.route);
        let mut asked = AskedFor {
            routes: BTreeMap::new(),
            writes: &seen.writes,
            written: HashMap::new(),
            least: seen.least(),
            crowds: Crowds::of(reads.chain(writes)),
            people: People::default(),
        };
        let mut tagged: HashMap<Digest, (Good, Digest)> = HashMap::new();
        for sight in &seen.reads {
            if let Some(who) = &sight.who {
                asked.people.add(who);
            }
            let ask = known(sight.clone(), &mut tagged);
            asked.routes.entry(&sight.route).or_default().push(ask);
        }
        for write in &seen.writes {
            let told = asked.crowds.told(&write.route).unwrap_or(&write.route);
            *asked.written.entry(told.to_owned()).or_default() += 1;
        }
        asked
    }

    /// How a write is told of: by its route, unless that may hold the name of somebody.
    pub(super) fn told<'w>(&'w self, write: &'w Written) -> &'w str {
        let told = self.crowds.told(&write.route).unwrap_or(&write.route);
        match self.written.get(told) {
            Some(times) if *times >= self.least => told,
            _ => SELDOM_WRITTEN,
        }
    }

    /// Whether a write may have changed something between two reads.
    pub(super) fn has_write_between(&self, earlier: &Sight, later: &Sight) -> bool {
        self.writes_between(earlier.at_ms, later.until_ms())
            .next()
            .is_some()
    }

    /// The writes that were under way between two moments.
    pub(super) fn writes_between(
        &self,
        from_ms: u64,
        to_ms: u64,
    ) -> impl Iterator<Item = &Written> {
        let end = self.writes.partition_point(|write| write.at_ms <= to_ms);
        let earliest = from_ms.saturating_sub(LONGEST_WRITE);
        let near = self.writes[..end].iter().rev();
        near.take_while(move |write| write.at_ms >= earliest)
            .filter(move |write| write.until_ms >= from_ms)
    }
}

/// With the body of a 304: what its client had is what somebody was sent before.
fn known(mut ask: Sight, tagged: &mut HashMap<Digest, (Good, Digest)>) -> Sight {
    let Some(tag) = ask.tag else { return ask };
    match ask.good {
        Some(good) => {
            tagged.insert(tag, (good, ask.page));
        }
        None if ask.status == 304 => {
            if let Some((good, page)) = tagged.get(&tag) {
                (ask.good, ask.page, ask.status) = (Some(*good), *page, 200);
            }
        }
        None => {}
    }
    ask
}

//! Which writes make which kept answers stale: what was seen of them, and what follows from it. Pure.
//!
//! What is seen is staleness, and the writes that came before it; which of them did it nobody says. So each
//! possible drop (a write's route, a rule, and what of the rule's keys the write names) is a cause that may or
//! may not act, staleness without any write is one more, and those are accused that what was seen is much less
//! likely without. A login before each review is cleared by that: the review explains the staleness, and logins
//! without reviews change nothing.

mod blame; // which causes are needed
mod naming; // what a drop can name

use blame::Model;
pub use naming::Shape;
use naming::causes;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A value that is compared and never shown: a digest of a part of a key or of a write.
pub type Mark = u64;

/// A write that was answered as done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// When its answer was there, in milliseconds of Unix time.
    pub at_ms: u64,
    /// How long that took, in milliseconds: what it changes can be seen before.
    pub took_ms: u32,
    /// Its route, as `on` would have it: `PATCH /api/v1/doctor/{id}`.
    pub route: String,
    /// What a drop could name by it, each as the placeholder that stands for it: `{id}`, `{body.doctorId}`,
    /// `{response.data.id}`, `{claims.email}`.
    pub parts: Vec<(String, Mark)>,
    /// The nodes that it dropped.
    pub drops: Vec<Mark>,
}

impl Write {
    /// When it set out, in milliseconds of Unix time.
    pub fn begun_ms(&self) -> u64 {
        self.at_ms.saturating_sub(self.took_ms.into())
    }

    /// Whether it dropped what hangs on these nodes.
    pub fn dropped(&self, nodes: &[Mark]) -> bool {
        self.drops.contains(&EVERYTHING) || nodes.iter().any(|node| self.drops.contains(node))
    }
}

/// Stands for all nodes among those that a write dropped.
pub const EVERYTHING: Mark = 0;

/// An answer that was held against what the origin said before, or says now.
#[derive(Clone, Debug)]
pub struct Observation {
    /// The name of its rule.
    pub rule: String,
    /// The segments of its key, without the namespace.
    pub segments: Vec<Mark>,
    /// The nodes that it hangs on.
    pub nodes: Vec<Mark>,
    /// When it was held against it, in milliseconds of Unix time.
    pub at_ms: u64,
    /// How long it had been kept by then, or since it was last seen to be fresh, in milliseconds.
    pub age_ms: u64,
    /// Whether the origin says something else.
    pub differs: bool,
    /// Whether it was a hit that was verified: one that differs was stale. Else it was fetched anew, whatever had
    /// ended the one before it.
    pub is_hit: bool,
    /// Where, if that is known: of an answer that different writes change at different places more can be said.
    pub places: Vec<String>,
    /// The writes since then.
    pub writes: Vec<Arc<Write>>,
}

/// Places of a rule's answers that are told apart.
const MAX_PLACES: usize = 16;

/// Writes that have to have made answers differ, each of which nothing else explains, before a drop is proposed.
pub const LEAST_WRITES: u32 = 3;

/// By how much less likely all that was seen has to be without it, the logarithm of the ratio: 2,000 times. Some hundred
/// pairs of routes and rules are looked at, and chance has its turn with each.
const LEAST_GAIN: f64 = 7.6;

/// Hits that have to have been stale by it, before it is proposed: one may be by accident.
const LEAST_STALE: u32 = 2;

/// Different values by which a part has to have named what differed. Of one that was always the same, as a role
/// may be, nobody knows whether it names anything.
const LEAST_VALUES: usize = 2;

/// A drop that may be missing: of the writes by a route, what of the keys of a rule is named.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cause {
    /// By what of the write the first values of a key are named; none: all keys of the rule.
    pub parts: Vec<String>,
    /// The write's route.
    pub route: String,
    /// The write did drop the answer. Nothing is missing then, but it may explain that what was fetched next differs.
    pub is_there: bool,
}

/// A drop that would have dropped an observed answer, or did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Possible {
    /// Which.
    pub cause: Arc<Cause>,
    /// When the last such write was answered, in milliseconds of Unix time.
    pub at_ms: u64,
    /// By which values it names the answer: alike where they are.
    pub values: u16,
}

/// An observation, as far as anything is inferred of it: nothing of it is anybody's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// The name of its rule.
    pub rule: String,
    /// When it was made, in milliseconds of Unix time.
    pub at_ms: u64,
    /// How long the answer had been kept, or since it was last seen to be fresh, in milliseconds.
    pub age_ms: u64,
    /// Whether the origin said something else.
    pub differs: bool,
    /// Whether it was a hit: one that differs was stale.
    pub is_hit: bool,
    /// Where it differs, if that is known.
    pub places: Vec<Arc<str>>,
    /// How many there were that were like it.
    pub count: u32,
    /// The drops that would have dropped it since it was kept, or did.
    pub causes: Vec<Possible>,
}

impl Case {
    /// What an observation comes to. `shape` is that of its rule's keys.
    pub fn of(observation: &Observation, shape: &Shape) -> Case {
        let places = observation.places.iter();
        Case {
            rule: observation.rule.clone(),
            at_ms: observation.at_ms,
            age_ms: observation.age_ms,
            differs: observation.differs,
            is_hit: observation.is_hit,
            places: places.map(|at| at.as_str().into()).collect(),
            count: 1,
            causes: causes(observation, shape),
        }
    }

    /// Whether it was a hit that was stale.
    pub fn is_stale(&self) -> bool {
        self.is_hit && self.differs
    }

    /// Whether it differs at this place. Where is not known of what was fetched anew.
    fn differs_at(&self, place: Option<&str>) -> bool {
        let is_there = place.is_none_or(|place| self.places.iter().any(|at| **at == *place));
        self.differs && is_there
    }

    /// The last write that could have dropped it, in milliseconds of Unix time; 0 where there was none.
    fn last_write_ms(&self) -> u64 {
        let times = self.causes.iter().map(|possible| possible.at_ms);
        times.max().unwrap_or_default()
    }

    fn may_be_by(&self, cause: &Arc<Cause>) -> Option<&Possible> {
        let mut causes = self.causes.iter();
        causes.find(|possible| possible.cause == *cause)
    }

    fn has_causes_of(&self, other: &Case) -> bool {
        let same = |(one, other): (&Possible, &Possible)| {
            one.cause == other.cause && one.values == other.values
        };
        self.causes.len() == other.causes.len() && self.causes.iter().zip(&other.causes).all(same)
    }

    /// Whether it says the same once more. Answers that one write made differ are one piece of evidence, however many
    /// people ask for them.
    pub fn is_like(&self, other: &Case) -> bool {
        let is_of_one_write =
            !self.causes.is_empty() && self.last_write_ms() == other.last_write_ms();
        self.rule == other.rule
            && self.differs == other.differs
            && self.is_hit == other.is_hit
            && (!self.differs || is_of_one_write)
            && age(self) == age(other)
            && self.has_causes_of(other)
    }

    /// Takes in what [says the same](Case::is_like). That an answer is the same counts each time.
    pub fn take_in(&mut self, other: &Case) {
        if self.differs {
            let news = other.places.iter().filter(|at| !self.places.contains(at));
            let news: Vec<Arc<str>> = news.cloned().collect();
            self.places.extend(news);
        } else {
            self.count = self.count.saturating_add(other.count);
        }
        self.at_ms = self.at_ms.max(other.at_ms);
    }
}

/// Ages are told apart by their powers of four, in seconds.
const AGES: usize = 10;

fn age(case: &Case) -> usize {
    let seconds = case.age_ms / 1000;
    let power = seconds.checked_ilog(4).map_or(0, |power| power + 1);
    (power as usize).min(AGES - 1)
}

/// A line that is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suspect {
    /// The write's route.
    pub route: String,
    /// The rule whose answers it makes stale.
    pub rule: String,
    /// What it should drop: `doctors:list:*`, `doctors:details:{response.data.doctorId}`.
    pub drop: String,
    /// Stale hits with such a write since they were kept.
    pub explained: u32,
    /// Fresh ones.
    pub contradicted: u32,
    /// Answers that were fetched anew after such a write, and differed from what was fetched before it.
    pub changed: u32,
    /// That did not.
    pub unchanged: u32,
    /// The longest time from such a write to a stale hit, in milliseconds.
    pub within_ms: u64,
}

/// What follows from what was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inferred {
    /// By rule, what explains most first.
    pub suspects: Vec<Suspect>,
    /// Positions of the stale hits that none of them explains: either too little was seen yet, or they became stale
    /// without a write.
    pub unexplained: Vec<usize>,
}

/// Infers which drops are missing. `shapes` says how the keys of a rule are made; a rule that it does not know
/// is left out. The time taken is bounded by the cases and the causes that they name.
pub fn inferred(cases: &[Case], shapes: &dyn Fn(&str) -> Option<Shape>) -> Inferred {
    let mut by_rule: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (at, case) in cases.iter().enumerate() {
        by_rule.entry(&case.rule).or_default().push(at);
    }
    let mut inferred = Inferred::default();
    for (rule, positions) in by_rule {
        let seen: Vec<&Case> = positions.iter().map(|at| &cases[*at]).collect();
        let Some(shape) = shapes(rule) else {
            continue;
        };
        let found = blamed(&seen);
        let is_explained = |case: &Case| {
            let mut causes = case.causes.iter();
            causes.any(|possible| {
                found
                    .get(&possible.cause)
                    .is_some_and(|at| at.concern(case))
            })
        };
        let stale = positions.iter().filter(|at| cases[**at].is_stale());
        let unexplained = stale.filter(|at| !is_explained(&cases[**at]));
        inferred.unexplained.extend(unexplained);
        let missing = found.iter().filter(|(cause, _)| !cause.is_there);
        let suspects = missing.map(|(cause, at)| suspect(rule, &shape, &seen, (cause, at)));
        // Where nobody was served anything stale nothing is missing.
        let mut suspects: Vec<Suspect> = suspects
            .filter(|one| one.explained >= LEAST_STALE)
            .collect();
        suspects.sort_by(|a, b| b.explained.cmp(&a.explained).then(a.drop.cmp(&b.drop)));
        inferred.suspects.extend(suspects);
    }
    inferred.unexplained.sort_unstable();
    inferred
}

/// The places of answers that a cause makes differ. `None` is any.
#[derive(Default)]
struct Places(BTreeSet<Option<Arc<str>>>);

impl Places {
    /// Whether a case differs at one of them.
    fn concern(&self, case: &Case) -> bool {
        let mut places = self.0.iter();
        places.any(|place| case.differs_at(place.as_deref()))
    }
}

/// The places at which answers differ, most often first, and any, where some differ nobody knows where.
fn places_of(seen: &[&Case]) -> Vec<Option<Arc<str>>> {
    let mut counts: BTreeMap<&Arc<str>, u32> = BTreeMap::new();
    for case in seen.iter().filter(|case| case.differs) {
        for place in &case.places {
            let count = counts.entry(place).or_default();
            *count = count.saturating_add(case.count);
        }
    }
    let mut places: Vec<(&Arc<str>, u32)> = counts.into_iter().collect();
    places.sort_by_key(|(_, count)| std::cmp::Reverse(*count)); // stable: else by their names
    let known = places.into_iter().take(MAX_PLACES);
    let known = known.map(|(place, _)| Some(place.clone()));
    let mut differing = seen.iter().filter(|case| case.differs);
    let any = differing.any(|case| case.places.is_empty());
    known.chain(any.then_some(None)).collect()
}

/// The causes that are needed, and at which places. Where all keys are dropped, none is besides.
fn blamed(seen: &[&Case]) -> BTreeMap<Arc<Cause>, Places> {
    let mut blamed: BTreeMap<Arc<Cause>, Places> = BTreeMap::new();
    for place in places_of(seen) {
        for cause in Model::new(seen, place.as_deref()).chosen() {
            let cause = as_far_as_known(cause, seen, place.as_deref());
            blamed.entry(cause).or_default().0.insert(place.clone());
        }
    }
    let whole = blamed.keys();
    let whole = whole.filter(|cause| cause.parts.is_empty() && !cause.is_there);
    let whole: BTreeSet<String> = whole.map(|cause| cause.route.clone()).collect();
    blamed.retain(|cause, _| {
        cause.is_there || cause.parts.is_empty() || !whole.contains(&cause.route)
    });
    blamed
}

/// A cause without its last parts, as long as they were too seldom others to be known to name anything.
fn as_far_as_known(cause: Arc<Cause>, seen: &[&Case], place: Option<&str>) -> Arc<Cause> {
    if cause.parts.is_empty() {
        return cause;
    }
    let differing = seen.iter().filter(|case| case.differs_at(place));
    let named = differing.filter_map(|case| case.may_be_by(&cause));
    let values: BTreeSet<u16> = named.map(|possible| possible.values).collect();
    if values.len() >= LEAST_VALUES {
        return cause;
    }
    let mut wider = (*cause).clone();
    wider.parts.pop();
    as_far_as_known(Arc::new(wider), seen, place)
}

fn suspect(
    rule: &str,
    shape: &Shape,
    seen: &[&Case],
    (cause, places): (&Arc<Cause>, &Places),
) -> Suspect {
    let mut suspect = Suspect {
        route: cause.route.clone(),
        rule: rule.to_owned(),
        drop: shape.named(&cause.parts),
        explained: 0,
        contradicted: 0,
        changed: 0,
        unchanged: 0,
        within_ms: 0,
    };
    for case in seen {
        let Some(possible) = case.may_be_by(cause) else {
            continue;
        };
        let count = match (case.is_hit, case.differs) {
            (_, true) if !places.concern(case) => continue,
            (true, true) => &mut suspect.explained,
            (true, false) => &mut suspect.contradicted,
            (false, true) => &mut suspect.changed,
            (false, false) => &mut suspect.unchanged,
        };
        *count = count.saturating_add(case.count);
        if case.is_stale() {
            let since = case.at_ms.saturating_sub(possible.at_ms);
            suspect.within_ms = suspect.within_ms.max(since);
        }
    }
    suspect
}

/// Between which bounds a share lies of which so many were seen: Wilson's interval, 95 of 100 times. Of none
/// nothing is known.
pub fn confidence(some: u64, of: u64) -> (f64, f64) {
    /// Of the normal distribution, 95 % lie within so many deviations.
    const Z: f64 = 1.959_964;
    if of == 0 {
        return (0.0, 1.0);
    }
    let (some, of) = (some as f64, of as f64);
    let share = some / of;
    let middle = share + Z * Z / (2.0 * of);
    let spread = Z * (share * (1.0 - share) / of + Z * Z / (4.0 * of * of)).sqrt();
    let whole = 1.0 + Z * Z / of;
    let bound = |value: f64| (value / whole).clamp(0.0, 1.0);
    (bound(middle - spread), bound(middle + spread))
}

#[cfg(test)]
mod tests;

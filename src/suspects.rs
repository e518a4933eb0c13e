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
    /// Its route, as `on` would have it: `PATCH /api/v1/doctor/{id}`.
    pub route: String,
    /// What a drop could name by it, each as the placeholder that stands for it: `{id}`, `{body.doctorId}`,
    /// `{response.data.id}`, `{claims.email}`.
    pub parts: Vec<(String, Mark)>,
}

/// A kept answer that was held against what the origin says now.
#[derive(Clone, Debug)]
pub struct Observation {
    /// The name of its rule.
    pub rule: String,
    /// The segments of its key, without the namespace.
    pub segments: Vec<Mark>,
    /// When it was held against it, in milliseconds of Unix time.
    pub at_ms: u64,
    /// How long it had been kept by then, or since it was last seen to be fresh, in milliseconds.
    pub age_ms: u64,
    /// Whether the origin says something else.
    pub is_stale: bool,
    /// Where, if that is known: of an answer that different writes change at different places more can be said.
    pub places: Vec<String>,
    /// The writes since then.
    pub writes: Vec<Arc<Write>>,
}

/// Places of a rule's answers that are told apart.
const MAX_PLACES: usize = 16;

/// How much has to speak for a drop before it is proposed.
#[derive(Clone, Copy, Debug)]
pub struct Least {
    /// Stale answers that it explains and nothing else does.
    pub cases: u32,
    /// By how much less likely all that was seen is without it: the logarithm of the ratio.
    pub gain: f64,
}

/// Where writes and reads come as they come: several cases, and 2,000 times less likely without. Some hundred pairs of
/// routes and rules are looked at, and chance has its turn with each.
pub const OBSERVED: Least = Least {
    cases: 3,
    gain: 7.6,
};

/// Where each write was made on purpose and the reads before and after it were compared: once is enough.
pub const MEASURED: Least = Least {
    cases: 1,
    gain: 1.0,
};

/// A drop that may be missing: of the writes by a route, what of the keys of a rule is named.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cause {
    /// By what of the write the first values of a key are named; none: all keys of the rule.
    pub parts: Vec<String>,
    /// The write's route.
    pub route: String,
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
    /// Whether it was stale.
    pub is_stale: bool,
    /// Where, if that is known.
    pub places: Vec<Arc<str>>,
    /// How many there were that were like it.
    pub count: u32,
    /// Which drops would have dropped it since it was kept, and how many milliseconds before the observation they
    /// did last.
    pub causes: Vec<(Arc<Cause>, u64)>,
}

impl Case {
    /// What an observation comes to. `shape` is that of its rule's keys.
    pub fn of(observation: &Observation, shape: &Shape) -> Case {
        let causes = causes(observation, shape).into_iter();
        Case {
            rule: observation.rule.clone(),
            at_ms: observation.at_ms,
            age_ms: observation.age_ms,
            is_stale: observation.is_stale,
            places: observation
                .places
                .iter()
                .map(|at| at.as_str().into())
                .collect(),
            count: 1,
            causes: causes
                .map(|(cause, since)| (Arc::new(cause), since))
                .collect(),
        }
    }

    /// Whether it was stale at this place. Of one that was stale nobody knows where, at any.
    fn is_stale_at(&self, place: Option<&str>) -> bool {
        let is_there = place.is_none_or(|place| self.places.iter().any(|at| **at == *place));
        self.is_stale && (is_there || self.places.is_empty())
    }
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
    /// Stale answers with such a write since they were kept.
    pub explained: u32,
    /// Fresh ones.
    pub contradicted: u32,
    /// The longest time from such a write to a stale answer, in milliseconds.
    pub within_ms: u64,
}

/// What follows from what was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inferred {
    /// By rule, what explains most first.
    pub suspects: Vec<Suspect>,
    /// Positions of the stale observations that none of them explains: either too little was seen yet, or they
    /// became stale without a write.
    pub unexplained: Vec<usize>,
}

/// Infers which drops are missing. `shapes` says how the keys of a rule are made; a rule that it does not know
/// is left out. The time taken is bounded by the observations and the writes that they name.
pub fn suspects(
    observations: &[Observation],
    shapes: &dyn Fn(&str) -> Option<Shape>,
    least: Least,
) -> Inferred {
    let case = |one: &Observation| {
        let shape = shapes(&one.rule).unwrap_or_default();
        Case::of(one, &shape)
    };
    let cases: Vec<Case> = observations.iter().map(case).collect();
    inferred(&cases, shapes, least)
}

/// The same from what observations came to.
pub fn inferred(cases: &[Case], shapes: &dyn Fn(&str) -> Option<Shape>, least: Least) -> Inferred {
    let mut by_rule: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (at, case) in cases.iter().enumerate() {
        by_rule.entry(&case.rule).or_default().push(at);
    }
    let mut inferred = Inferred::default();
    for (rule, places) in by_rule {
        let seen: Vec<&Case> = places.iter().map(|at| &cases[*at]).collect();
        let Some(shape) = shapes(rule) else {
            continue;
        };
        let found = blamed(&seen, least);
        let is_explained = |case: &Case| {
            let mut causes = case.causes.iter();
            causes.any(|(cause, _)| found.get(cause).is_some_and(|at| at.concern(case)))
        };
        let stale = places.iter().filter(|at| cases[**at].is_stale);
        let unexplained = stale.filter(|at| !is_explained(&cases[**at]));
        inferred.unexplained.extend(unexplained);
        let accused = found.iter();
        let mut accused: Vec<Suspect> = accused
            .map(|(cause, at)| suspect(rule, &shape, &seen, (cause, at)))
            .collect();
        accused.sort_by(|a, b| b.explained.cmp(&a.explained).then(a.drop.cmp(&b.drop)));
        inferred.suspects.extend(accused);
    }
    inferred.unexplained.sort_unstable();
    inferred
}

/// The places of answers that a cause makes stale. `None` is one that is not known.
#[derive(Default)]
struct Places(BTreeSet<Option<Arc<str>>>);

impl Places {
    /// Whether a case was stale at one of them.
    fn concern(&self, case: &Case) -> bool {
        let mut places = self.0.iter();
        places.any(|place| case.is_stale_at(place.as_deref()))
    }
}

/// The places at which answers were stale, most often first, and one that is not known, where none is of any.
fn places_of(seen: &[&Case]) -> Vec<Option<Arc<str>>> {
    let mut counts: BTreeMap<&Arc<str>, u32> = BTreeMap::new();
    for case in seen.iter().filter(|case| case.is_stale) {
        for place in &case.places {
            let count = counts.entry(place).or_default();
            *count = count.saturating_add(case.count);
        }
    }
    let mut places: Vec<(&Arc<str>, u32)> = counts.into_iter().collect();
    places.sort_by_key(|(_, count)| std::cmp::Reverse(*count)); // stable: else by their names
    let known = places.into_iter().take(MAX_PLACES);
    let known: Vec<_> = known.map(|(place, _)| Some(place.clone())).collect();
    match known.is_empty() {
        true => vec![None],
        false => known,
    }
}

/// The causes that are needed, and at which places. Where all keys are dropped, none is besides.
fn blamed(seen: &[&Case], least: Least) -> BTreeMap<Arc<Cause>, Places> {
    let mut blamed: BTreeMap<Arc<Cause>, Places> = BTreeMap::new();
    for place in places_of(seen) {
        for cause in Model::new(seen, place.as_deref()).chosen(least) {
            blamed.entry(cause).or_default().0.insert(place.clone());
        }
    }
    let whole = blamed.keys().filter(|cause| cause.parts.is_empty());
    let whole: BTreeSet<String> = whole.map(|cause| cause.route.clone()).collect();
    blamed.retain(|cause, _| cause.parts.is_empty() || !whole.contains(&cause.route));
    blamed
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
        within_ms: 0,
    };
    for case in seen {
        let Some((_, since)) = case.causes.iter().find(|(one, _)| one == cause) else {
            continue;
        };
        if places.concern(case) {
            suspect.explained = suspect.explained.saturating_add(case.count);
            suspect.within_ms = suspect.within_ms.max(*since);
        } else if !case.is_stale {
            suspect.contradicted = suspect.contradicted.saturating_add(case.count);
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

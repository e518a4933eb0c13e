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
use naming::{Cause, causes};
use std::collections::BTreeMap;
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
    /// How long it had been kept by then, in milliseconds.
    pub age_ms: u64,
    /// Whether the origin says something else.
    pub is_stale: bool,
    /// The writes between its fill and now.
    pub writes: Vec<Arc<Write>>,
}

/// How much has to speak for a drop before it is proposed.
#[derive(Clone, Copy, Debug)]
pub struct Least {
    /// Stale answers that it explains and nothing else does.
    pub cases: u32,
    /// By how much less likely all that was seen is without it: the logarithm of the ratio.
    pub gain: f64,
}

/// Where writes and reads come as they come: several cases, and 400 times less likely without.
pub const OBSERVED: Least = Least {
    cases: 3,
    gain: 6.0,
};

/// Where each write was made on purpose and the reads before and after it were compared: once is enough.
pub const MEASURED: Least = Least {
    cases: 1,
    gain: 1.0,
};

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
    let mut by_rule: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (at, observation) in observations.iter().enumerate() {
        by_rule.entry(&observation.rule).or_default().push(at);
    }
    let mut inferred = Inferred::default();
    for (rule, places) in by_rule {
        let seen: Vec<&Observation> = places.iter().map(|at| &observations[*at]).collect();
        let Some(shape) = shapes(rule) else {
            continue;
        };
        let found = blamed(&seen, &shape, least);
        let explains = |at: usize| found.iter().any(|cause| cause.fits.contains(&at));
        let stale = places.iter().enumerate();
        let unexplained = stale.filter(|(at, _)| seen[*at].is_stale && !explains(*at));
        inferred
            .unexplained
            .extend(unexplained.map(|(_, place)| place));
        let mut accused: Vec<Suspect> = found
            .iter()
            .map(|cause| suspect(rule, &shape, &seen, cause))
            .collect();
        accused.sort_by(|a, b| b.explained.cmp(&a.explained).then(a.drop.cmp(&b.drop)));
        inferred.suspects.extend(accused);
    }
    inferred.unexplained.sort_unstable();
    inferred
}

/// The causes that are needed, each once as wide as it has to be.
fn blamed(seen: &[&Observation], shape: &Shape, least: Least) -> Vec<Cause> {
    let all = causes(seen, shape);
    let chosen = Model::new(seen, &all).chosen(least);
    let whole = |route: &str| chosen.iter().any(|at| all[*at].is_whole_of(route));
    let kept = chosen.iter().map(|at| &all[*at]);
    kept.filter(|cause| cause.is_whole() || !whole(&cause.route))
        .cloned()
        .collect()
}

fn suspect(rule: &str, shape: &Shape, seen: &[&Observation], cause: &Cause) -> Suspect {
    let fitting = || cause.fits.iter().map(|at| seen[*at]);
    let count = |is_stale| {
        let some = fitting().filter(|one| one.is_stale == is_stale);
        u32::try_from(some.count()).unwrap_or(u32::MAX)
    };
    let since = |one: &Observation| {
        let writes = one.writes.iter();
        let fitting = writes.filter(|write| cause.is_by(write, &one.segments));
        let last = fitting.map(|write| write.at_ms).max();
        one.at_ms.saturating_sub(last.unwrap_or(one.at_ms))
    };
    let stale = fitting().filter(|one| one.is_stale);
    Suspect {
        route: cause.route.clone(),
        rule: rule.to_owned(),
        drop: shape.named(&cause.parts),
        explained: count(true),
        contradicted: count(false),
        within_ms: stale.map(since).max().unwrap_or_default(),
    }
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

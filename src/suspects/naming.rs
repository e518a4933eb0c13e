//! What a drop can name: all keys of a rule, or those that hold what a write holds.

use super::{Mark, Observation, Write};
use crate::rules::template::Template;
use std::collections::{BTreeMap, BTreeSet};

/// Values of a key that are named by a write's parts. Keys of more than three are not made by people.
const MAX_NAMED: usize = 3;

/// Writes of one window that are held against the key. A window with more says little of any one of them; of the
/// others only the routes count.
const MAX_HELD: usize = 256;

/// Ways in which one write may name one key. A write many of whose fields say the same names nothing by them.
const MAX_NAMINGS: usize = 64;

/// How the keys of a rule are made: the text of each segment that is the same in all, `None` for the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape(Vec<Option<String>>);

impl Shape {
    /// That of a rule's `key`.
    pub fn of(key: &Template) -> Shape {
        let segments = key.segments.iter();
        let literals = segments.map(|segment| segment.literal().map(str::to_owned));
        Shape(literals.collect())
    }

    /// The positions of the segments that differ from key to key.
    fn values(&self) -> impl Iterator<Item = usize> {
        let segments = self.0.iter().enumerate();
        segments.filter_map(|(at, literal)| literal.is_none().then_some(at))
    }

    /// The template of a drop that names the first values by these parts: as deep as it goes, then `*` where there
    /// are more.
    pub(super) fn named(&self, parts: &[String]) -> String {
        let mut parts = parts.iter();
        let mut named: Vec<&str> = Vec::new();
        for literal in &self.0 {
            match literal.as_ref().or_else(|| parts.next()) {
                Some(text) => named.push(text),
                None => {
                    named.push("*");
                    break;
                }
            }
        }
        named.join(":")
    }
}

/// A drop that may be missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cause {
    /// Of the write.
    pub(super) route: String,
    /// By what of it the first values of the keys are named; empty: all keys of the rule.
    pub(super) parts: Vec<String>,
    /// The positions of those values in a key.
    at: Vec<usize>,
    /// The observations with such a write in their window.
    pub(super) fits: BTreeSet<usize>,
}

impl Cause {
    pub(super) fn is_whole(&self) -> bool {
        self.parts.is_empty()
    }

    pub(super) fn is_whole_of(&self, route: &str) -> bool {
        self.is_whole() && self.route == route
    }

    /// Whether it would have had this write drop this key.
    pub(super) fn is_by(&self, write: &Write, segments: &[Mark]) -> bool {
        let mut named = self.parts.iter().zip(&self.at);
        write.route == self.route
            && named.all(|(part, at)| {
                let marks = write.parts.iter();
                let mut same = marks.filter(|(name, mark)| {
                    name == part && segments.get(*at).is_some_and(|segment| segment == mark)
                });
                same.next().is_some()
            })
    }

    /// How far a drop by it has to be looked for: what the path says is known at once, what the answer says last.
    /// And which of two that explain the same is taken: the wider one drops what is stale in any case.
    pub(super) fn rank(&self) -> (usize, usize, &[String]) {
        let sources = ["{query", "{body", "{claims.", "{response."];
        let far = |part: &String| {
            let source = sources.iter().position(|source| part.starts_with(source));
            source.map_or(0, |at| at + 1)
        };
        let furthest = self.parts.iter().map(far).max();
        (self.parts.len(), furthest.unwrap_or_default(), &self.parts)
    }
}

/// Every cause by which some stale observation could be explained, and all that fit it.
pub(super) fn causes(seen: &[&Observation], shape: &Shape) -> Vec<Cause> {
    let values: Vec<usize> = shape.values().take(MAX_NAMED).collect();
    let mut found: BTreeMap<(&str, Vec<&str>), BTreeSet<usize>> = BTreeMap::new();
    // What only fresh answers fit explains nothing.
    let mut stale_first: Vec<usize> = (0..seen.len()).collect();
    stale_first.sort_by_key(|at| !seen[*at].is_stale);
    for at in stale_first {
        let one = seen[at];
        let latest_first = one.writes.iter().rev().enumerate();
        for (place, write) in latest_first {
            let mut namings = vec![Vec::new()];
            if place < MAX_HELD {
                names(write, &one.segments, &values, &mut namings);
            }
            for parts in namings {
                let key = (write.route.as_str(), parts);
                match found.get_mut(&key) {
                    Some(fits) => {
                        fits.insert(at);
                    }
                    None if one.is_stale => {
                        found.insert(key, BTreeSet::from([at]));
                    }
                    None => {}
                }
            }
        }
    }
    let cause = |((route, parts), fits): ((&str, Vec<&str>), BTreeSet<usize>)| Cause {
        route: route.to_owned(),
        at: values[..parts.len()].to_vec(),
        parts: parts.into_iter().map(str::to_owned).collect(),
        fits,
    };
    let mut causes: Vec<Cause> = found.into_iter().map(cause).collect();
    causes.sort_by(|a, b| a.rank().cmp(&b.rank()).then_with(|| a.route.cmp(&b.route)));
    causes
}

/// All ways in which the parts of a write name the first values of a key, longer and longer.
fn names<'w>(
    write: &'w Write,
    segments: &[Mark],
    values: &[usize],
    namings: &mut Vec<Vec<&'w str>>,
) {
    let mut longest = 0;
    for at in values {
        let Some(segment) = segments.get(*at) else {
            return;
        };
        let same = || {
            let parts = write.parts.iter();
            parts.filter(|(_, mark)| mark == segment)
        };
        let so_far: Vec<Vec<&str>> = namings[longest..].to_vec();
        longest = namings.len();
        for naming in so_far {
            let longer = same().map(|(name, _)| [naming.as_slice(), &[name.as_str()]].concat());
            namings.extend(longer);
        }
        namings.truncate(MAX_NAMINGS);
        if namings.len() == longest {
            return;
        }
    }
}

#[cfg(test)]
impl Shape {
    /// Of a key as it would be written.
    pub(super) fn written(key: &str) -> Shape {
        let literal = |text: &str| (!text.starts_with('{')).then(|| text.to_owned());
        Shape(key.split(':').map(literal).collect())
    }
}

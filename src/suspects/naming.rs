//! What a drop can name: all keys of a rule, or those that hold what a write holds.

use super::{Cause, Mark, Observation, Possible, Write};
use crate::rules::template::Template;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Values of a key that are named by a write's parts. Keys of more than three are not made by people.
const MAX_NAMED: usize = 3;

/// Writes of one window that are held against the key. A window with more says little of any one of them; of the
/// others only the routes count.
const MAX_HELD: usize = 256;

/// Ways in which one write may name one key. A write many of whose fields say the same names nothing by them.
const MAX_NAMINGS: usize = 64;

/// Drops that are told apart of one observation.
const MAX_CAUSES: usize = 256;

/// How the keys of a rule are made: the text of each segment that is the same in all, `None` for the others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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

impl Cause {
    /// Which of two that explain the same is taken: the wider one, which drops what is stale in any case; then the
    /// one that is known sooner, as the path is, and what the answer says is last.
    pub(super) fn rank(&self) -> (usize, usize) {
        let sources = ["{query", "{body", "{claims.", "{response."];
        let far = |part: &String| {
            let source = sources.iter().position(|source| part.starts_with(source));
            source.map_or(0, |at| at + 1)
        };
        let furthest = self.parts.iter().map(far).max();
        (self.parts.len(), furthest.unwrap_or_default())
    }
}

/// Every drop that would have dropped an observed answer, or did, and by which write last. What did drop a hit has no
/// part in what became of it: it was kept afterwards.
pub(super) fn causes(seen: &Observation, shape: &Shape) -> Vec<Possible> {
    let values: Vec<usize> = shape.values().take(MAX_NAMED).collect();
    let mut found: BTreeMap<(&str, Vec<&str>, bool), u64> = BTreeMap::new();
    let mut latest_first: Vec<&Write> = seen.writes.iter().map(AsRef::as_ref).collect();
    latest_first.sort_by_key(|write| std::cmp::Reverse(write.at_ms));
    for (place, write) in latest_first.into_iter().enumerate() {
        let is_there = write.dropped(&seen.nodes);
        if is_there && seen.is_hit {
            continue;
        }
        let mut namings = vec![Vec::new()];
        if place < MAX_HELD && !is_there {
            names(write, &seen.segments, &values, &mut namings);
        }
        for parts in namings {
            if found.len() < MAX_CAUSES {
                found
                    .entry((&write.route, parts, is_there))
                    .or_insert(write.at_ms);
            }
        }
    }
    let possible = |((route, parts, is_there), at_ms): ((&str, Vec<&str>, bool), u64)| Possible {
        at_ms,
        values: said_by(parts.len(), &seen.segments, &values),
        cause: Arc::new(Cause {
            parts: parts.into_iter().map(str::to_owned).collect(),
            route: route.to_owned(),
            is_there,
        }),
    };
    found.into_iter().map(possible).collect()
}

/// What the first values of a key are, in so few bits that two are seldom the same.
fn said_by(named: usize, segments: &[Mark], values: &[usize]) -> u16 {
    let named = values.iter().take(named).filter_map(|at| segments.get(*at));
    let mixed = named.fold(0, |mixed: u64, mark| mixed.rotate_left(5) ^ mark);
    let [a, b, ..] = mixed.to_le_bytes();
    u16::from_le_bytes([a, b])
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

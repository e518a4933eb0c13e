//! Words in paths that look like a program's own and are names of things: articles, people, whatever somebody guesses.

use super::Refused;
use super::sight::Sight;
use std::collections::hash_map::RandomState;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::BuildHasher;

/// Words in one place that no program has so many of: they are the names of things.
const CROWD: usize = 64;

/// What stands for any of them.
const ANY: &str = "…";

/// What stands for a parameter here: its own name would tell the word before it.
const PARAM: &str = "{id}";

/// The segments of a path.
type Shape<'r> = Vec<&'r str>;

/// How routes with words of a crowd in them are told of: without these words.
#[derive(Default)]
pub(super) struct Crowds<'r>(BTreeMap<&'r str, String>);

impl<'r> Crowds<'r> {
    /// Those among these routes. What is read in one place and written in another is one crowd.
    pub(super) fn of(routes: impl Iterator<Item = &'r str>) -> Crowds<'r> {
        let routes: BTreeSet<&str> = routes.collect();
        let mut shapes: BTreeMap<Shape<'_>, Shape<'_>> = BTreeMap::new();
        for route in &routes {
            let shape = shape(route);
            shapes.insert(shape.clone(), shape);
        }
        // Each time words of one more place may turn out to be beside each other, and none comes back.
        while merge(&mut shapes) {}
        let told = routes.into_iter().filter_map(|route| {
            let merged = shapes.get(&shape(route))?;
            let (method, _) = route.split_once(' ')?;
            let has_crowd = merged.contains(&ANY);
            has_crowd.then(|| (route, format!("{method} {}", merged.join("/"))))
        });
        Crowds(told.collect())
    }

    /// How a route is told of that has a word of a crowd in it.
    pub(super) fn told(&self, route: &str) -> Option<&str> {
        self.0.get(route).map(String::as_str)
    }

    /// Takes the routes of crowds out, which are refused as one each.
    pub(super) fn take(&self, routes: &mut BTreeMap<&str, Vec<Sight>>) -> Vec<Refused> {
        let mut crowds: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
        routes.retain(|route, asks| {
            let Some(told) = self.told(route) else {
                return true;
            };
            let (paths, asked) = crowds.entry(told).or_default();
            *paths += 1;
            *asked += asks.len();
            false
        });
        let refused = crowds.into_iter().map(|(told, (paths, asked))| Refused {
            route: told.to_owned(),
            asked,
            why: format!(
                "{paths} paths beside each other look like the names of things: write one rule with a parameter"
            ),
        });
        refused.collect()
    }
}

fn shape(route: &str) -> Shape<'_> {
    let path = route.split_once(' ').map_or(route, |(_, path)| path);
    let segments = path.split('/');
    let segments = segments.map(|segment| match segment.starts_with('{') {
        true => PARAM,
        false => segment,
    });
    segments.collect()
}

/// Puts [`ANY`] in the place of words of which too many differ in nothing else; whether there were some.
fn merge(shapes: &mut BTreeMap<Shape<'_>, Shape<'_>>) -> bool {
    let random = RandomState::new();
    // That two digests are the same by chance would merge what is none: it is told of a little less.
    let beside =
        |shape: &Shape<'_>, at: usize| random.hash_one((at, &shape[..at], &shape[at + 1..]));
    let is_word = |word: &str| !word.is_empty() && word != ANY && word != PARAM;
    let mut counts: HashMap<u64, usize> = HashMap::new();
    for shape in shapes.values().collect::<BTreeSet<_>>() {
        for at in (0..shape.len()).filter(|at| is_word(shape[*at])) {
            *counts.entry(beside(shape, at)).or_default() += 1;
        }
    }
    let mut has_merged = false;
    for shape in shapes.values_mut() {
        let before = shape.clone();
        for at in (0..before.len()).filter(|at| is_word(before[*at])) {
            if counts
                .get(&beside(&before, at))
                .is_some_and(|count| *count > CROWD)
            {
                shape[at] = ANY;
                has_merged = true;
            }
        }
    }
    has_merged
}

//! Paths that look like routes and are names of things: articles, people, whatever somebody guesses.

use super::Refused;
use super::sight::Sight;
use std::collections::BTreeMap;

/// Words beside each other that no program has so many of: they are the names of things.
const CROWD: usize = 64;

/// How many paths there are beside each other, and how often they were asked for.
#[derive(Default)]
struct Crowd {
    paths: usize,
    asked: usize,
}

/// Takes crowds out of the routes, each of which is refused as one; their names are not to be told.
pub(super) fn take(routes: &mut BTreeMap<&str, Vec<Sight>>) -> Vec<Refused> {
    let mut crowds: BTreeMap<&str, Crowd> = BTreeMap::new();
    for (route, asks) in routes.iter() {
        if let Some(parent) = parent(route) {
            let crowd = crowds.entry(parent).or_default();
            crowd.paths += 1;
            crowd.asked += asks.len();
        }
    }
    crowds.retain(|_, crowd| crowd.paths > CROWD);
    routes.retain(|route, _| !parent(route).is_some_and(|parent| crowds.contains_key(parent)));
    let refused = crowds.into_iter().map(|(parent, crowd)| Refused {
        route: format!("{parent}/…"),
        asked: crowd.asked,
        why: format!(
            "{} paths beside each other look like the names of things: write one rule with a parameter",
            crowd.paths
        ),
    });
    refused.collect()
}

/// What is before the last word of a route; none where a parameter is last.
fn parent(route: &str) -> Option<&str> {
    let (parent, last) = route.rsplit_once('/')?;
    (!last.is_empty() && !last.starts_with('{')).then_some(parent)
}

//! Rules that a request just missed.

use super::shown_route;
use crate::rules::problem::nearest;
use crate::rules::router::{Router, Target};
use crate::rules::settings::Routing;
use crate::rules::table::{Route, Rule, Stage, Table};
use hyper::Method;

/// Rules that are named at most: more help nobody.
const MAX_NAMED: usize = 10;

/// What would have to be otherwise for some rule to match, or the rule that is spelt most like it.
pub(super) fn misses(table: &Table, method: &Method, path: &str) -> Vec<String> {
    let each = |rule| missed(table, rule, method, path);
    let found = table.rules.iter().filter_map(|rule| each(rule));
    let found: Vec<String> = found.take(MAX_NAMED).collect();
    match found.is_empty() {
        true => alike(table, path).into_iter().collect(),
        false => found,
    }
}

/// What would have to be otherwise for some set to name a write.
pub(super) fn writes(table: &Table, methods: &[Method], path: &str) -> Vec<String> {
    let finds = |route: &&Route| {
        let mut router = Router::new(table.proxy.routing);
        router.add(route, Target { owner: 0, route: 0 });
        router.best(&route.method, path).is_some() && !methods.contains(&route.method)
    };
    let missed = table.sets.iter().filter_map(|set| {
        let route = set.routes.iter().find(finds)?;
        let line = set.lines.table().unwrap_or_default();
        Some(format!(
            "`{}` (line {line}) names this path, but for {} alone",
            set.name, route.method
        ))
    });
    missed.take(MAX_NAMED).collect()
}

fn missed(table: &Table, rule: &Rule, method: &Method, path: &str) -> Option<String> {
    let finds = |route: &Route, routing| {
        let mut router = Router::new(routing);
        router.add(route, Target { owner: 0, route: 0 });
        router.best(&route.method, path).is_some()
    };
    let exactly = |route: &&Route| finds(route, table.proxy.routing);
    let loosely = |route: &&Route| finds(route, Routing::Express);
    let place = named(rule);
    let is_asked = |route: &Route| route.method == *method;
    if let Some(route) = rule.routes.iter().find(exactly) {
        return Some(match is_asked(route) {
            true if rule.stage == Stage::Off => {
                format!("{place} would match, but its stage is \"off\"")
            }
            true => format!("{place} would match, but for the headers that replace its method"),
            false => format!("{place} matches this path, but for {} alone", route.method),
        });
    }
    let route = rule
        .routes
        .iter()
        .filter(|route| is_asked(route))
        .find(loosely)?;
    let route = shown_route(route);
    Some(format!(
        "{place} has {route}: with routing = \"strict\" letters and a slash at the end have to be the same"
    ))
}

/// Longer paths are not compared: that takes time by the product of lengths, for each route.
const MAX_COMPARED: usize = 256;

fn alike(table: &Table, path: &str) -> Option<String> {
    if path.len() > MAX_COMPARED {
        return None;
    }
    let routes = || {
        table
            .rules
            .iter()
            .flat_map(|rule| rule.routes.iter().map(move |route| (rule, route)))
    };
    let text = nearest(path, routes().map(|(_, route)| route.pattern.text()))?;
    let (rule, route) = routes().find(|(_, route)| route.pattern.text() == text)?;
    Some(format!(
        "most like it is {}: {}",
        named(rule),
        shown_route(route)
    ))
}

fn named(rule: &Rule) -> String {
    match rule.lines.table() {
        Some(line) => format!("`{}` (line {line})", rule.name),
        None => format!("`{}`", rule.name),
    }
}

//! Names and routes: each told apart from every other.

use crate::metrics::PURGE;
use crate::rules::file::{File, UNNAMED};
use crate::rules::problem::Problem;
use crate::rules::router::{Router, Target};
use crate::rules::settings::Routing;
use crate::rules::table::{Route, Ttl, WITHOUT_SET};
use crate::rules::units;
use hyper::Method;
use std::collections::HashMap;
use std::ops::Range;

/// Duplicate names; cache routes that no path tells apart; routes that are read and write at once.
pub fn check(file: &File, problems: &mut Vec<Problem>) {
    let names = file
        .caches
        .iter()
        .filter(|draft| draft.rule.name != UNNAMED)
        .map(|draft| (draft.rule.name.as_str(), &draft.name_at));
    twice("cache rule", names, problems);
    let names = file
        .sets
        .iter()
        .filter_map(|set| set.name.as_ref())
        .map(|name| (name.value.as_str(), &name.span));
    taken(names.clone(), problems);
    twice("set", names, problems);
    let names = file.limits.iter().filter_map(|limit| limit.name.as_ref());
    let names = names.map(|name| (name.value.as_str(), &name.span));
    twice("limit", names, problems);
    // `[proxy]` may stand where the syntax is broken; what is strictly the same is so under both.
    let routing = match file.broken {
        true => Routing::Strict,
        false => file.proxy.routing,
    };
    let mut router = Router::new(routing);
    reads(file, &mut router, problems);
    writes(file, &mut router, problems);
    kept_writes(file, problems);
}

/// A set that is called as drops without a set are counted would be counted with them.
fn taken<'a>(
    names: impl Iterator<Item = (&'a str, &'a Range<usize>)>,
    problems: &mut Vec<Problem>,
) {
    let is_taken = |name: &str| WITHOUT_SET.contains(&name) || name == PURGE;
    for (name, at) in names.filter(|(name, _)| is_taken(name)) {
        let message = format!("drops that no set names are counted as `{name}`");
        problems.push(Problem::error(
            at.clone(),
            message,
            "taken",
            "give the set another name",
        ));
    }
}

fn twice<'a>(
    kind: &str,
    names: impl Iterator<Item = (&'a str, &'a Range<usize>)>,
    problems: &mut Vec<Problem>,
) {
    let mut seen = HashMap::new();
    for (name, at) in names {
        if seen.insert(name, at).is_some() {
            let message = format!("another {kind} is called `{name}`");
            problems.push(Problem::error(
                at.clone(),
                message,
                "again",
                "choose another name",
            ));
        }
    }
}

fn reads(file: &File, router: &mut Router, problems: &mut Vec<Problem>) {
    for (owner, draft) in file.caches.iter().enumerate() {
        if !draft.served() {
            continue;
        }
        for (route, at) in draft.rule.routes.iter().enumerate() {
            let written = &draft.rule.routes[route];
            if let Some(first) = router.add(at, Target { owner, route }) {
                let other = &file.caches[first.owner].rule;
                let message = format!(
                    "`{}` matches the same paths as `{}` of `{}`",
                    show(written),
                    show(&other.routes[first.route]),
                    other.name
                );
                let help = "a path must lead to one rule: remove one, or make it more specific";
                problems.push(Problem::error(
                    draft.routes_at[route].clone(),
                    message,
                    "ambiguous",
                    help,
                ));
            }
        }
    }
}

fn writes(file: &File, router: &mut Router, problems: &mut Vec<Problem>) {
    let none = Target {
        owner: usize::MAX,
        route: usize::MAX,
    };
    for (route, at) in file.sets.iter().flat_map(|set| &set.routes) {
        let first = router.add(route, none);
        let Some(rule) = first.and_then(|first| file.caches.get(first.owner)) else {
            shadowed(file, route, at, problems);
            continue;
        };
        let message = format!(
            "`{}` is also a route of the rule `{}`",
            show(route),
            rule.rule.name
        );
        let help =
            "a request that a cache rule matches is a read; remove the route from one of them";
        problems.push(Problem::error(at.clone(), message, "read or write?", help));
    }
}

/// A route of a set that a rule takes all requests of: the set would never drop anything.
fn shadowed(file: &File, route: &Route, at: &Range<usize>, problems: &mut Vec<Problem>) {
    let served = file.caches.iter().filter(|draft| draft.served());
    let mut reads =
        served.flat_map(|draft| draft.rule.routes.iter().map(move |read| (draft, read)));
    let takes = |read: &Route| read.method == route.method && read.pattern.covers(&route.pattern);
    let Some((draft, read)) = reads.find(|(_, read)| takes(read)) else {
        return;
    };
    let message = format!(
        "`{}` is never a write: `{}` of the rule `{}` takes its requests",
        show(route),
        show(read),
        draft.rule.name
    );
    let help = "a request that a cache rule matches is a read; narrow the rule or remove the route";
    problems.push(Problem::error(at.clone(), message, "read or write?", help));
}

/// Methods that ask for a change, whatever the path (RFC 9110 §9.3): what is kept of them does not reach the
/// origin again. A POST may only ask.
const CHANGES: [Method; 3] = [Method::DELETE, Method::PATCH, Method::PUT];

/// Rules that keep the answers to what is probably a write.
fn kept_writes(file: &File, problems: &mut Vec<Problem>) {
    for draft in file.caches.iter().filter(|draft| draft.served()) {
        let written = draft.rule.routes.iter().zip(&draft.routes_at);
        for (route, at) in written.filter(|(route, _)| CHANGES.contains(&route.method)) {
            let once = match draft.rule.ttl {
                Ttl::Fixed(ttl) if !ttl.is_zero() => {
                    format!("only once in {}", units::written(ttl))
                }
                _ => "not while its answer is kept".to_owned(),
            };
            let message = format!("kept, a {} reaches the origin {once}", route.method);
            let help = "if it is a write, it belongs into `on` of an [[invalidate]] table";
            problems.push(Problem::warning(at.clone(), message, "a write?", help));
        }
    }
}

/// A route as it is written.
pub fn show(route: &Route) -> String {
    format!("{} {}", route.method, route.pattern.text())
}

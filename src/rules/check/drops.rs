//! Drops: each names something, and everything that is kept is dropped by something.

use super::routes::show;
use crate::rules::file::{Draft, File, SetDraft};
use crate::rules::problem::{Problem, nearest};
use crate::rules::read::Text;
use crate::rules::table::Stage;
use crate::rules::template::{Part, Placeholder, Source, Template};
use hyper::Method;

/// Drops that name nothing, placeholders that no route has, rules that nothing drops.
pub fn check(file: &File, problems: &mut Vec<Problem>) {
    for set in &file.sets {
        for (template, text) in &set.drops {
            unknown_parameters(set, template, text, problems);
            // Among rules that could not be read may be the one that is meant.
            if file.complete {
                names_something(file, template, text, problems);
                wider_than_needed(file, set, template, text, problems);
            }
        }
    }
    if file.complete {
        never_dropped(file, problems);
    }
}

fn unknown_parameters(set: &SetDraft, drop: &Template, text: &Text, problems: &mut Vec<Problem>) {
    for placeholder in drop.placeholders() {
        let Source::Path(name) = &placeholder.source else {
            continue;
        };
        let lacks = |route: &&_| !has_param(route, name);
        let Some(route) = set.routes.iter().map(|(route, _)| route).find(lacks) else {
            continue;
        };
        let message = format!("`{{{name}}}` is not a parameter of `{}`", show(route));
        let help = match nearest(name, route.pattern.params()) {
            Some(meant) => format!("did you mean `{{{meant}}}`?"),
            None => "name a parameter of every route, or split the set".to_owned(),
        };
        let at = text
            .value
            .find(&format!("{{{name}"))
            .map_or(0..text.value.len(), |at| at + 1..at + 1 + name.len());
        problems.push(Problem::error(text.part(&at), message, "unknown", help));
    }
}

fn has_param(route: &crate::rules::table::Route, name: &str) -> bool {
    route.pattern.params().any(|param| param == name)
}

fn names_something(file: &File, drop: &Template, text: &Text, problems: &mut Vec<Problem>) {
    if file
        .caches
        .iter()
        .any(|draft| drop.can_name(&draft.rule.key))
    {
        return;
    }
    let nameable: Vec<String> = file.caches.iter().flat_map(patterns).collect();
    let help = match nearest(&text.value, nameable.iter().map(String::as_str)) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => "compare it with the `key` of the rules".to_owned(),
    };
    let span = text.part(&(0..text.value.len()));
    problems.push(Problem::error(
        span,
        "this drop can name no rule's keys",
        "names nothing",
        help,
    ));
}

/// A `*` where the write itself says which one.
fn wider_than_needed(
    file: &File,
    set: &SetDraft,
    drop: &Template,
    text: &Text,
    problems: &mut Vec<Problem>,
) {
    let depth = drop.segments.len();
    let mut keys = file
        .caches
        .iter()
        .map(|draft| &draft.rule.key)
        .filter(|key| drop.can_name(key));
    let Some(key) = keys.next().filter(|_| drop.wildcard) else {
        return;
    };
    let [
        Part::Value(Placeholder {
            source: Source::Path(name),
            ..
        }),
    ] = &key.segments[depth].parts[..]
    else {
        return;
    };
    let named = set.routes.iter().all(|(route, _)| has_param(route, name));
    // Where a second rule is named, the `*` may be meant for that one.
    if !named || keys.next().is_some() {
        return;
    }
    let narrow = Template {
        segments: key.segments[..=depth].to_vec(),
        wildcard: key.segments.len() > depth + 1,
    };
    let message = format!("this drop is wider than needed: the write says which `{{{name}}}`");
    let help = format!("`{narrow}` drops that one alone");
    problems.push(Problem::warning(
        text.span.clone(),
        message,
        "all of them",
        help,
    ));
}

/// Everything that names keys of a rule: the key itself, and each `*` above it.
fn patterns(draft: &Draft) -> Vec<String> {
    let key = &draft.rule.key;
    let above = (0..key.segments.len()).map(|depth| Template {
        segments: key.segments[..depth].to_vec(),
        wildcard: true,
    });
    above
        .map(|template| template.to_string())
        .chain([key.to_string()])
        .collect()
}

/// Only time ends the answers of such a rule.
fn never_dropped(file: &File, problems: &mut Vec<Problem>) {
    for draft in &file.caches {
        let drops = file.sets.iter().flat_map(|set| &set.drops);
        let named = drops
            .into_iter()
            .any(|(drop, _)| drop.can_name(&draft.rule.key));
        if named || draft.rule.stage == Stage::Off || auto_dropped(file, draft) {
            continue;
        }
        let message = format!(
            "no set ever drops `{}`: only time ends its answers",
            draft.rule.name
        );
        let help = "list the writes that make it stale in an [[invalidate]] table";
        problems.push(Problem::warning(
            draft.name_at.clone(),
            message,
            "never dropped",
            help,
        ));
    }
}

/// Whether a write that the file knows lies on a path of this rule.
fn auto_dropped(file: &File, draft: &Draft) -> bool {
    let safe = [Method::GET, Method::HEAD, Method::OPTIONS, Method::TRACE];
    let written = file
        .sets
        .iter()
        .flat_map(|set| &set.routes)
        .map(|(route, _)| route);
    let mut unsafe_routes = written.filter(|route| !safe.contains(&route.method));
    let overlaps = |pattern| {
        draft
            .rule
            .routes
            .iter()
            .any(|route| route.pattern.overlaps(pattern))
    };
    file.proxy.auto_invalidate && unsafe_routes.any(|route| overlaps(&route.pattern))
}

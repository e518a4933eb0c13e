//! Drops: each names something, and everything that is kept is dropped by something.

use super::routes::show;
use crate::rules::file::{Draft, File, SetDraft};
use crate::rules::problem::{Problem, nearest};
use crate::rules::read::Text;
use crate::rules::table::{Route, Ttl};
use crate::rules::template::{Part, Placeholder, Source, Template};
use hyper::Method;

/// Drops that name nothing, placeholders that no route has, rules that nothing drops.
pub fn check(file: &File, problems: &mut Vec<Problem>) {
    for set in &file.sets {
        for (template, text) in &set.drops {
            unknown_parameters(set, template.placeholders(), text, problems);
            // It may be meant for a rule whose key could not be read.
            let unread = file
                .caches
                .iter()
                .filter_map(|draft| draft.unread_key.as_ref());
            let unmet = file.lacks.caches && !unread.clone().any(|key| key.may_meet(template));
            if unmet {
                names_something(file, set, template, text, problems);
                wider_than_needed(file, set, template, text, problems);
                filtered_otherwise(file, template, text, problems);
            }
        }
    }
    let automatic = file.proxy.auto_invalidate;
    let written = file.sets.iter().all(|set| !set.doubts.of("on"));
    // An unreadable route of a write may be what makes a rule's answers forgotten.
    if file.lacks.sets && (written || !automatic) {
        never_dropped(file, problems);
    }
}

/// Placeholders of a text that are parameters of no route, or not of every one.
pub(super) fn unknown_parameters<'t>(
    set: &SetDraft,
    placeholders: impl Iterator<Item = &'t Placeholder>,
    text: &Text,
    problems: &mut Vec<Problem>,
) {
    for (nth, placeholder) in placeholders.enumerate() {
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
        let at = text.placeholder(nth);
        problems.push(Problem::error(at, message, "unknown", help));
    }
}

fn has_param(route: &Route, name: &str) -> bool {
    route.pattern.params().any(|param| param == name)
}

/// The keys that a drop can name, of those that could be read.
fn named<'f>(file: &'f File, drop: &'f Template) -> impl Iterator<Item = &'f Template> {
    let keys = file.caches.iter().filter_map(Draft::template);
    keys.filter(|key| drop.can_name(key))
}

fn names_something(
    file: &File,
    set: &SetDraft,
    drop: &Template,
    text: &Text,
    problems: &mut Vec<Problem>,
) {
    if named(file, drop).next().is_some() {
        return;
    }
    let keys = file.caches.iter().filter_map(Draft::template);
    let nameable: Vec<String> = keys
        .flat_map(patterns)
        .map(|pattern| in_words_of(set, pattern).to_string())
        .collect();
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
    let mut keys = named(file, drop);
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
    let known = set.routes.iter().all(|(route, _)| has_param(route, name));
    // Where a second rule is named, the `*` may be meant for that one.
    if !known || set.doubts.of("on") || keys.next().is_some() {
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

/// A value that the key renders with other filters: the drop can only forget everything there.
fn filtered_otherwise(file: &File, drop: &Template, text: &Text, problems: &mut Vec<Problem>) {
    let mut wanted: Vec<_> = named(file, drop).map(|key| drop.misfiltered(key)).collect();
    wanted.dedup();
    // Where two rules ask for different filters, nothing could be written that fits both.
    let [placeholders] = &wanted[..] else {
        return;
    };
    for (nth, meant) in placeholders {
        let message = "the key renders this with other filters, so everything here is dropped";
        let help = format!("write `{meant}`");
        let at = text.placeholder(*nth);
        problems.push(Problem::warning(at, message, "not as in the key", help));
    }
}

/// Everything that names keys of a rule: the key itself, and each `*` above it.
fn patterns(key: &Template) -> Vec<Template> {
    let above = (0..key.segments.len()).map(|depth| Template {
        segments: key.segments[..depth].to_vec(),
        wildcard: true,
    });
    above.chain([key.clone()]).collect()
}

/// A pattern as the writes of a set can name it: by parameters of their own, as far as they have those that
/// are meant.
fn in_words_of(set: &SetDraft, mut pattern: Template) -> Template {
    let routes = || set.routes.iter().map(|(route, _)| route);
    let own: Vec<&str> = routes()
        .next()
        .into_iter()
        .flat_map(|first| first.pattern.params())
        .filter(|name| routes().all(|route| has_param(route, name)))
        .collect();
    for depth in 0..pattern.segments.len() {
        for part in &mut pattern.segments[depth].parts {
            let Part::Value(Placeholder {
                source: Source::Path(name),
                ..
            }) = part
            else {
                continue;
            };
            match nearest(name, own.iter().copied()) {
                Some(meant) => *name = meant.to_owned(),
                None => {
                    pattern.segments.truncate(depth);
                    pattern.wildcard = true;
                    return pattern;
                }
            }
        }
    }
    pattern
}

/// Only time ends the answers of such a rule. Where that is the origin's to say, it is meant.
fn never_dropped(file: &File, problems: &mut Vec<Problem>) {
    let is_ours = |draft: &&Draft| draft.rule.ttl != Ttl::Origin;
    let served = file.caches.iter().filter(|draft| draft.served());
    for draft in served.filter(is_ours) {
        let Some(key) = draft.template().filter(|_| !draft.doubts.of("match")) else {
            continue;
        };
        let mut drops = file.sets.iter().flat_map(|set| &set.drops);
        let mut unread = file.sets.iter().flat_map(|set| &set.unread);
        let named = drops.any(|(drop, _)| drop.can_name(key));
        if named || unread.any(|drop| drop.may_meet(key)) || auto_dropped(file, draft) {
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

/// Whether a write that the file knows lies on the paths of this rule, and on those of none that is more
/// specific. One that is wider says nothing: its paths are others' as well.
fn auto_dropped(file: &File, draft: &Draft) -> bool {
    let safe = [Method::GET, Method::HEAD, Method::OPTIONS, Method::TRACE];
    let written = file
        .sets
        .iter()
        .flat_map(|set| &set.routes)
        .map(|(route, _)| route);
    let mut unsafe_routes = written.filter(|route| !safe.contains(&route.method));
    let reaches = |write: &Route| {
        let own = draft.rule.routes.iter();
        let mut own = own.filter(|read| read.pattern.covers(&write.pattern));
        own.any(|read| !is_anothers(file, draft, read, write))
    };
    file.proxy.auto_invalidate && unsafe_routes.any(reaches)
}

/// Whether what is read on the paths of a write by the method of `read` is another rule's.
fn is_anothers(file: &File, draft: &Draft, read: &Route, write: &Route) -> bool {
    let others = file.caches.iter().filter(|other| other.served());
    let others = others.filter(|other| !std::ptr::eq(*other, draft));
    let mut routes = others.flat_map(|other| &other.rule.routes);
    routes.any(|route| {
        route.method == read.method
            && route.pattern.covers(&write.pattern)
            && read.pattern.covers(&route.pattern)
    })
}

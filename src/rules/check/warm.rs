//! What is asked for after a write: each path leads to a public rule that keeps its answer, and that the set drops.

use super::drops::unknown_parameters;
use crate::rules::file::{Draft, File, SetDraft};
use crate::rules::problem::{Problem, nearest};
use crate::rules::read::Text;
use crate::rules::router::{Router, Target};
use crate::rules::settings::Routing;
use crate::rules::table::{Route, Shaping, Stage};
use crate::rules::template::Source;
use crate::rules::warm::WarmPath;
use hyper::Method;

/// Paths that no rule keeps, or keeps for one person; those that nobody would be served; and what of them shapes no
/// answer.
pub fn check(file: &File, problems: &mut Vec<Problem>) {
    let (served, all) = (router(file, Draft::served), router(file, |_| true));
    for set in &file.sets {
        for (path, text) in &set.warm {
            unknown_parameters(set, path.placeholders(), text, problems);
            let best = |router: &Router| router.best(&Method::GET, &path.usual());
            let named = best(&served).or_else(|| best(&all));
            match named.map(|(target, _)| &file.caches[target.owner]) {
                Some(draft) => judge(file, set, draft, (path, text), problems),
                None => problems.extend(unread_by_get(file, path, text)),
            }
        }
    }
}

fn router(file: &File, of: impl Fn(&Draft) -> bool) -> Router {
    let routing = match file.broken {
        true => Routing::Strict,
        false => file.proxy.routing,
    };
    let mut router = Router::new(routing);
    let drafts = file.caches.iter().enumerate();
    for (owner, draft) in drafts.filter(|(_, draft)| of(draft)) {
        for (at, route) in draft.rule.routes.iter().enumerate() {
            router.add(route, Target { owner, route: at });
        }
    }
    router
}

/// What is wrong with a path whose answers this rule keeps.
fn judge(
    file: &File,
    set: &SetDraft,
    draft: &Draft,
    (path, text): (&WarmPath, &Text),
    problems: &mut Vec<Problem>,
) {
    let (rule, name, span) = (&draft.rule, &draft.rule.name, text.span.clone());
    if draft.doubts.of("match") {
        return;
    }
    if !rule.public && !draft.doubts.of("public") {
        let message =
            format!("`{name}` is not public: nobody is there whose answer could be asked for");
        let help = "name a path of a rule with `public = true`";
        problems.push(Problem::error(span, message, "not public", help));
        return;
    }
    if rule.stage != Stage::On && !draft.doubts.of("stage") {
        let message = format!(
            "the stage of `{name}` is not \"on\": what is kept would be served to nobody, so nothing is asked for"
        );
        let help = "switch the rule on, or leave the path out until it is";
        problems.push(Problem::warning(span, message, "without effect", help));
        return;
    }
    if !drops(file, set, draft) {
        let message = format!("this set does not drop `{name}`: what is kept there stays");
        let help = "add its key to `drop`, or leave the path out";
        problems.push(Problem::warning(span, message, "without effect", help));
    }
    problems.extend(parameters(draft, path, text));
}

/// Whether writes of this set drop something of the rule, by its lines or by their own paths.
fn drops(file: &File, set: &SetDraft, draft: &Draft) -> bool {
    let Some(key) = draft.template() else {
        return true;
    };
    let own = || {
        let mut written = set.routes.iter().map(|(route, _)| route);
        let reads = |write: &Route| {
            let mut routes = draft.rule.routes.iter();
            routes.any(|read| read.pattern.overlaps(&write.pattern))
        };
        written.any(reads)
    };
    set.doubts.of("drop")
        || set.drops.iter().any(|(drop, _)| drop.can_name(key))
        || (file.proxy.auto_invalidate && own())
}

/// Parameters that shape no answer, or keep the request from using its rule.
fn parameters(draft: &Draft, path: &WarmPath, text: &Text) -> Option<Problem> {
    let (rule, name) = (&draft.rule, &draft.rule.name);
    if draft.doubts.of("query") {
        return None;
    }
    let span = text.span.clone();
    match &rule.query {
        Shaping::Only(names) => {
            let other = path.query_names().find(|one| !names.contains(one))?;
            let message = format!("`{other}` does not shape the answers of `{name}`");
            let help = match nearest(&other, names.iter().map(String::as_str)) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("leave it out, or list it in `query` of `{name}`"),
            };
            Some(Problem::warning(span, message, "left out", help))
        }
        Shaping::Undeclared => {
            let key = draft.template()?;
            let is_keyed = |one: &String| {
                key.placeholders()
                    .any(|placeholder| match &placeholder.source {
                        Source::Query => true,
                        Source::QueryName(keyed) => keyed == one,
                        _ => false,
                    })
            };
            let other = path.query_names().find(|one| !is_keyed(one))?;
            let message = format!("`{other}` is not in the key of `{name}`: such a request passes");
            let help = format!("list it in `query` of `{name}`, or leave it out");
            Some(Problem::error(span, message, "passes", help))
        }
    }
}

/// A path that no rule reads by GET, unless some value in it may make it one.
fn unread_by_get(file: &File, path: &WarmPath, text: &Text) -> Option<Problem> {
    let routes = || {
        let drafts = file.caches.iter();
        drafts.flat_map(|draft| draft.rule.routes.iter().map(move |route| (draft, route)))
    };
    let doubtful = !file.lacks.caches || file.caches.iter().any(|draft| draft.doubts.of("match"));
    let may_be = |(_, route): (&Draft, &Route)| {
        route.method == Method::GET && route.pattern.overlaps(path.pattern())
    };
    if doubtful || routes().any(may_be) {
        return None;
    }
    let by_other = routes().find(|(_, route)| route.pattern.covers(path.pattern()));
    if let Some((draft, route)) = by_other {
        let message = format!("`{}` reads this by {}", draft.rule.name, route.method);
        let help = "only what is read by GET is asked for after a write: leave it out";
        return Some(Problem::error(text.span.clone(), message, "not GET", help));
    }
    let message = "no rule keeps the answer to this";
    let public = routes().filter(|(draft, _)| draft.rule.public);
    let paths: Vec<&str> = public.map(|(_, route)| route.pattern.text()).collect();
    let help = match nearest(&path.usual(), paths) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => "compare it with the `match` of the rules".to_owned(),
    };
    Some(Problem::error(
        text.span.clone(),
        message,
        "kept by nobody",
        help,
    ))
}

//! Keys: everything that shapes an answer is in them, and no two rules share one.

use super::routes::show;
use crate::rules::file::{Draft, File};
use crate::rules::problem::{Fault, Problem, nearest};
use crate::rules::table::{Route, Shaping};
use crate::rules::template::Source;
use hyper::Method;
use std::collections::HashMap;
use std::ops::Range;

/// Each key against the routes and lists of its rule; the keys against each other.
pub fn check(file: &File, problems: &mut Vec<Problem>) {
    for draft in &file.caches {
        if draft.template().is_some() {
            path_parameters(draft, problems);
            unknown_parameters(draft, problems);
            listed(draft, "query", &draft.rule.query, &draft.query_at, problems);
            listed(draft, "body", &draft.rule.body, &draft.body_at, problems);
        }
        bodies(draft, problems);
    }
    collisions(file, problems);
}

fn sources(draft: &Draft) -> impl Iterator<Item = &Source> {
    draft
        .rule
        .key
        .placeholders()
        .map(|placeholder| &placeholder.source)
}

/// Where a source of the key is written.
fn place(draft: &Draft, source: &Source) -> Range<usize> {
    let nth = sources(draft).position(|other| other == source);
    draft.key.placeholder(nth.unwrap_or_default())
}

/// Whether a source is this parameter of a route, or a misspelling of it, which is told as such.
fn means(source: &Source, route: &Route, name: &str) -> bool {
    let Source::Path(path) = source else {
        return false;
    };
    let unknown = !params(route).any(|param| param == path);
    path == name || (unknown && suggestion(path, route) == Some(name))
}

/// The name that was probably meant by one that is no parameter of a route.
fn suggestion<'r>(name: &str, route: &'r Route) -> Option<&'r str> {
    nearest(
        name,
        params(route).chain(["query", "token", "body", "method"]),
    )
}

/// A path parameter that is not in the key: two paths would share an answer.
fn path_parameters(draft: &Draft, problems: &mut Vec<Problem>) {
    for (route, at) in draft.rule.routes.iter().zip(&draft.routes_at) {
        for name in route.pattern.params() {
            if sources(draft).any(|source| means(source, route, name)) {
                continue;
            }
            let message =
                format!("`{{{name}}}` is not in the key, so all its paths would share an answer");
            let help = format!("write `{{{name}}}` into the key");
            problems.push(Problem::error(at.clone(), message, "this parameter", help));
        }
    }
}

fn unknown_parameters(draft: &Draft, problems: &mut Vec<Problem>) {
    for source in sources(draft) {
        let Source::Path(name) = source else { continue };
        let lacks = |route: &&_| !params(route).any(|param| param == name);
        let Some(route) = draft.rule.routes.iter().find(lacks) else {
            continue;
        };
        let message = format!("`{{{name}}}` is not a parameter of `{}`", show(route));
        let help = match suggestion(name, route) {
            Some(meant) => format!("did you mean `{{{meant}}}`?"),
            None => "name a parameter of every route of this rule".to_owned(),
        };
        problems.push(Problem::error(
            place(draft, source),
            message,
            "unknown",
            help,
        ));
    }
}

fn params(route: &Route) -> impl Iterator<Item = &str> {
    route.pattern.params()
}

/// Names that are listed as shaping the answer, but are not in the key.
fn listed(
    draft: &Draft,
    list: &str,
    shaping: &Shaping,
    at: &[Range<usize>],
    problems: &mut Vec<Problem>,
) {
    let Shaping::Only(names) = shaping else {
        return;
    };
    let holds = |name: &String| {
        sources(draft).any(|source| match source {
            Source::Query => list == "query",
            Source::QueryName(other) => list == "query" && other == name,
            Source::Body => list == "body",
            Source::BodyField(path) => {
                list == "body" && path.first() == name.split('.').next().map(str::to_owned).as_ref()
            }
            _ => false,
        })
    };
    for (name, at) in names.iter().zip(at).filter(|(name, _)| !holds(name)) {
        let message = format!("`{name}` shapes the answer but is not in the key");
        let help = format!(
            "write `{{{list}}}` or `{{{list}.{name}}}` into the key, or take `{name}` off the list"
        );
        problems.push(Problem::error(at.clone(), message, "not in the key", help));
    }
}

/// A GET has no body: one that carries one passes.
fn bodies(draft: &Draft, problems: &mut Vec<Problem>) {
    let bodiless = |method: &Method| *method == Method::GET || *method == Method::HEAD;
    let Some(route) = draft
        .rule
        .routes
        .iter()
        .find(|route| bodiless(&route.method))
    else {
        return;
    };
    let help = "a GET with a body passes; key what is in the path and the query";
    let message = || format!("`{}` has no body", show(route));
    for source in
        sources(draft).filter(|source| matches!(source, Source::Body | Source::BodyField(_)))
    {
        problems.push(Problem::error(
            place(draft, source),
            message(),
            "of a body",
            help,
        ));
    }
    if let Some(at) = draft.body_at.first() {
        problems.push(Problem::error(at.clone(), message(), "of a body", help));
    }
}

/// Two rules that could write the same key would keep forgetting each other's answers.
fn collisions(file: &File, problems: &mut Vec<Problem>) {
    let judged = |draft: &&Draft| draft.served() && draft.template().is_some();
    let mut before = Keys::default();
    for later in file.caches.iter().filter(judged) {
        let earlier = before.first_named(later);
        before.push(later);
        let Some(earlier) = earlier else {
            continue;
        };
        let message = format!(
            "this key can be one of `{}`: {}",
            earlier.rule.name, earlier.rule.key
        );
        let help = "begin the keys of each rule with words of their own";
        let whole = Fault::new(0..later.key.value.len(), message, "the same key", help);
        let span = later.key.part(&whole.range);
        problems.push(Problem::error(span, whole.message, whole.label, whole.help));
    }
}

/// Rules by the literal that their keys begin with, if they do with one: only those with the same, or with
/// none, can name the same key, so thousands of rules need not all be held against each other.
#[derive(Default)]
struct Keys<'f> {
    all: Vec<&'f Draft>,
    by_literal: HashMap<&'f str, Vec<usize>>,
    without: Vec<usize>,
}

impl<'f> Keys<'f> {
    fn literal(draft: &'f Draft) -> Option<&'f str> {
        draft.rule.key.segments.first()?.literal()
    }

    fn push(&mut self, draft: &'f Draft) {
        match Keys::literal(draft) {
            Some(literal) => self.by_literal.entry(literal).or_default(),
            None => &mut self.without,
        }
        .push(self.all.len());
        self.all.push(draft);
    }

    /// The first of them whose key can be that of another.
    fn first_named(&self, other: &Draft) -> Option<&'f Draft> {
        let named = |at: &&usize| self.all[**at].rule.key.can_name(&other.rule.key);
        let Some(literal) = Keys::literal(other) else {
            return self
                .all
                .iter()
                .copied()
                .find(|draft| draft.rule.key.can_name(&other.rule.key));
        };
        let alike = self.by_literal.get(literal).map_or(&[][..], Vec::as_slice);
        let first = [alike, &self.without].map(|places| places.iter().find(named));
        first.into_iter().flatten().min().map(|at| self.all[*at])
    }
}

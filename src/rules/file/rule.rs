//! `[[cache]]`, for itself.

use super::kept::{pointer, statuses, strip, vary};
use super::route::{name, routes, template};
use super::settings::each;
use crate::digest::{DIGEST_BYTES, Digest};
use crate::rules::lines::Lines;
use crate::rules::problem::Problem;
use crate::rules::read::Text;
use crate::rules::section::{Doubts, Section};
use crate::rules::table::{Coalesce, Forward, Route, Rule, Shaping, Stage, StripName, Ttl};
use crate::rules::template::{Beginning, Template, Use};
use hyper::Method;
use hyper::header::HeaderName;
use std::ops::Range;
use std::time::Duration;

/// A `[[cache]]` table with its places in the file, as far as it could be read: stand-ins are in the
/// rule for the rest, which `doubts` names. Index, nodes and fingerprint of the rule are not yet
/// known: they depend on the rest of the file.
#[derive(Clone, Debug)]
pub struct Draft {
    /// The rule.
    pub rule: Rule,
    /// Where its name stands, or the table that has none.
    pub name_at: Range<usize>,
    /// Where each route stands.
    pub routes_at: Vec<Range<usize>>,
    /// The key's text.
    pub key: Text,
    /// How the key begins, if it could not be read.
    pub unread_key: Option<Beginning>,
    /// Where the names listed by `query` stand.
    pub query_at: Vec<Range<usize>>,
    /// Where the names listed by `body` stand.
    pub body_at: Vec<Range<usize>>,
    /// Where the first of `roles` stands.
    pub roles_at: Range<usize>,
    /// Where the names listed by `vary` stand.
    pub vary_at: Vec<Range<usize>>,
    /// Where `local_ttl_max` stands, if it does.
    pub local_ttl_max_at: Option<Range<usize>>,
    /// Which values could not be read.
    pub doubts: Doubts,
}

impl Draft {
    /// How keys are made, if that could be read.
    pub fn template(&self) -> Option<&Template> {
        self.unread_key.is_none().then_some(&self.rule.key)
    }

    /// Whether the rule is certainly in force.
    pub fn served(&self) -> bool {
        self.rule.stage != Stage::Off && !self.doubts.of("stage")
    }
}

/// A `[[cache]]` table. What is missing or unreadable in it was reported.
pub fn cache(s: Section<'_>) -> Draft {
    let title = Text::unread(s.span.clone());
    let name = name(&s);
    let name_at = name
        .as_ref()
        .map_or(s.span.clone(), |name| name.span.clone());
    let (mut routes, mut routes_at): (Vec<Route>, Vec<_>) =
        routes(&s, "match", "match = \"GET /api/v1/doctor\"")
            .into_iter()
            .unzip();
    routes
        .iter()
        .zip(&routes_at)
        .for_each(|(route, at)| readable(&s, &route.method, at));
    let key = s.required("key", "key = \"doctors:list:{query}\"");
    let template = key.as_ref().map(|key| template(&s, key, Use::Key));
    let ttl = ttl(&s);
    let (query, query_at) = shaping(s.texts("query"));
    let (body, body_at) = shaping(s.texts("body"));
    let (roles, roles_at) = shaping(s.texts("roles"));
    let (rest, vary_at) = Rest::read(&s, ttl);
    let local_ttl_max_at = s.has("local_ttl_max").then(|| s.span_of("local_ttl_max"));
    let lines = s.lines();
    let doubts = s.finish(&[]);
    if doubts.torn {
        routes.clear();
        routes_at.clear();
    }
    let (template, unread_key) = match template {
        Some(Ok(template)) if !doubts.torn => (Some(template), None),
        Some(Err(beginning)) if !doubts.torn => (None, Some(beginning)),
        _ => (None, Some(Beginning::default())),
    };
    let name = name.map_or_else(|| UNNAMED.to_owned(), Text::into_value);
    let ttl = ttl.unwrap_or(Ttl::Fixed(Duration::ZERO));
    let rule = rest.rule(name, routes, template, ttl);
    let roles = match roles {
        Shaping::Only(roles) => roles,
        Shaping::Undeclared => Vec::new(),
    };
    let key = key.unwrap_or(title);
    Draft {
        rule: Rule {
            query,
            body,
            roles,
            lines,
            ..rule
        },
        name_at,
        routes_at,
        roles_at: roles_at.into_iter().next().unwrap_or(key.span.clone()),
        key,
        unread_key,
        query_at,
        body_at,
        vary_at,
        local_ttl_max_at,
        doubts,
    }
}

/// What messages call a rule without a name. No name looks like this.
pub const UNNAMED: &str = "[[cache]]";

/// What a table may leave out, and what needs no place: its values alone can be wrong.
struct Rest {
    negative_ttl: Option<Duration>,
    local_ttl: Duration,
    local_ttl_max: Duration,
    stale_while_revalidate: Option<Duration>,
    stale_if_error: Option<Duration>,
    refresh_ahead: f64,
    public: bool,
    store_if: Vec<Vec<String>>,
    statuses: Option<Vec<u16>>,
    coalesce: Coalesce,
    ignore_origin_cache_control: bool,
    strip: Vec<StripName>,
    vary: Vec<HeaderName>,
    forward: Forward,
    stage: Stage,
}

impl Rest {
    /// Beside it, where each name of `vary` stands.
    fn read(s: &Section<'_>, ttl: Option<Ttl>) -> (Rest, Vec<Range<usize>>) {
        let forwards = [("keyed", Forward::Keyed), ("all", Forward::All)];
        let stages = [
            ("on", Stage::On),
            ("observe", Stage::Observe),
            ("off", Stage::Off),
        ];
        let (vary, vary_at) = varying(s);
        let local_ttl = local_ttl(s, ttl);
        let rest = Rest {
            negative_ttl: s.duration("negative_ttl"),
            local_ttl,
            local_ttl_max: local_ttl_max(s, local_ttl),
            stale_while_revalidate: s.duration("stale_while_revalidate"),
            stale_if_error: s.duration("stale_if_error"),
            refresh_ahead: s.factor("refresh_ahead", MAX_REFRESH_AHEAD).unwrap_or(0.0),
            public: s.flag("public", false),
            store_if: each(s, s.texts("store_if").unwrap_or_default(), pointer),
            statuses: statuses(s).or((ttl != Some(Ttl::Origin)).then(|| vec![200])),
            coalesce: coalesce(s),
            ignore_origin_cache_control: s.flag("ignore_origin_cache_control", false),
            strip: strip(s),
            vary,
            forward: s.choice("forward", &forwards).unwrap_or(Forward::Keyed),
            stage: s.choice("stage", &stages).unwrap_or(Stage::On),
        };
        (rest, vary_at)
    }

    /// The rule, as yet without what it lists and without what the other tables decide.
    fn rule(self, name: String, routes: Vec<Route>, key: Option<Template>, ttl: Ttl) -> Rule {
        let no_key = Template {
            segments: Vec::new(),
            wildcard: false,
        };
        Rule {
            index: 0,
            name,
            routes,
            key: key.unwrap_or(no_key),
            ttl,
            negative_ttl: self.negative_ttl.map_or(ttl, Ttl::Fixed),
            local_ttl: self.local_ttl,
            local_ttl_max: self.local_ttl_max,
            stale_while_revalidate: self.stale_while_revalidate,
            stale_if_error: self.stale_if_error,
            refresh_ahead: self.refresh_ahead,
            public: self.public,
            roles: Vec::new(),
            query: Shaping::Undeclared,
            body: Shaping::Undeclared,
            store_if: self.store_if,
            statuses: self.statuses,
            coalesce: self.coalesce,
            ignore_origin_cache_control: self.ignore_origin_cache_control,
            strip: self.strip,
            vary: self.vary,
            forward: self.forward,
            stage: self.stage,
            nodes: Vec::new(),
            fingerprint: Digest([0; DIGEST_BYTES]),
            lines: Lines::default(),
        }
    }
}

/// Largest `refresh_ahead`: an answer would be fetched anew, in the mean, that many times the length
/// of its last fetch before its end, and more only burdens the origin.
const MAX_REFRESH_AHEAD: f64 = 100.0;

fn readable(s: &Section<'_>, method: &Method, at: &Range<usize>) {
    if [Method::OPTIONS, Method::TRACE, Method::CONNECT].contains(method) {
        let message = format!("answers to {method} are never kept");
        s.reader.report(Problem::error(
            at.clone(),
            message,
            "here",
            "remove this route",
        ));
    }
}

fn ttl(s: &Section<'_>) -> Option<Ttl> {
    if !s.has("ttl") {
        s.missing("ttl", "ttl = \"5m\"");
    }
    if s.text("ttl").is_some_and(|text| *text.value == "origin") {
        if s.flag("ignore_origin_cache_control", false) {
            let message = "`ttl = \"origin\"` cannot ignore what the origin says";
            let at = s.span_of("ignore_origin_cache_control");
            let help = "remove this, or write a duration as `ttl`";
            s.reader.report(Problem::error(at, message, "here", help));
        }
        return Some(Ttl::Origin);
    }
    s.positive_duration("ttl", "nothing would be kept")
        .map(Ttl::Fixed)
}

/// Longer than the `ttl` is allowed, for then it is only the `ttl` that counts, but hardly meant.
fn local_ttl(s: &Section<'_>, ttl: Option<Ttl>) -> Duration {
    let local_ttl = s.duration("local_ttl").unwrap_or_default();
    if ttl.is_some_and(|ttl| local_ttl > ttl.longest()) {
        let message = "`local_ttl` is longer than `ttl`";
        let help = "an answer is served for its `ttl` at most: write no more than that";
        let span = s.span_of("local_ttl");
        s.reader.report(Problem::warning(
            span,
            message,
            "without effect beyond `ttl`",
            help,
        ));
    }
    local_ttl
}

/// What is left out goes no further than `local_ttl`.
fn local_ttl_max(s: &Section<'_>, local_ttl: Duration) -> Duration {
    let most = s.duration("local_ttl_max").unwrap_or(local_ttl);
    if most < local_ttl {
        let message = "`local_ttl_max` is shorter than `local_ttl`";
        let help = "it is what `local_ttl` may become: write a longer time, or leave it out";
        let span = s.span_of("local_ttl_max");
        s.reader
            .report(Problem::error(span, message, "too short", help));
    }
    most.max(local_ttl)
}

fn coalesce(s: &Section<'_>) -> Coalesce {
    let choices = [
        ("fleet", Coalesce::Fleet),
        ("local", Coalesce::Local),
        ("off", Coalesce::Off),
    ];
    s.choice("coalesce", &choices).unwrap_or(Coalesce::Fleet)
}

fn varying(s: &Section<'_>) -> (Vec<HeaderName>, Vec<Range<usize>>) {
    let texts = s.texts("vary").unwrap_or_default();
    let named = |text: Text| match vary(&text.value) {
        Ok(name) => Some((name, text.span)),
        Err(fault) => {
            s.reader.fault(&text, fault);
            None
        }
    };
    texts.into_iter().filter_map(named).unzip()
}

fn shaping(texts: Option<Vec<Text>>) -> (Shaping, Vec<Range<usize>>) {
    match texts {
        None => (Shaping::Undeclared, Vec::new()),
        Some(texts) => {
            let (spans, names) = texts
                .into_iter()
                .map(|text| (text.span.clone(), text.into_value()))
                .unzip();
            (Shaping::Only(names), spans)
        }
    }
}

//! `[[cache]]` and `[[invalidate]]`, each for itself.

use super::settings::each;
use crate::digest::Digest;
use crate::rules::pattern::Pattern;
use crate::rules::problem::{Fault, Problem};
use crate::rules::read::{Section, Text};
use crate::rules::table::{Coalesce, Commits, Forward, Route, Rule, Shaping, Stage, StripName};
use crate::rules::template::{Template, Use};
use hyper::Method;
use hyper::header::{AUTHORIZATION, COOKIE, HeaderName};
use std::ops::Range;

/// Longest name: it is a label in every metric.
const MAX_NAME: usize = 64;

/// Status codes that may be kept (RFC 9110 §15.1, less those that need more than a copy).
const STATUSES: [u16; 6] = [200, 203, 204, 301, 404, 410];

/// A `[[cache]]` table with its places in the file. Index, nodes and fingerprint of the rule are
/// not yet known: they depend on the rest of the file.
#[derive(Clone, Debug)]
pub struct Draft {
    /// The rule.
    pub rule: Rule,
    /// Where its name stands.
    pub name_at: Range<usize>,
    /// Where each route stands.
    pub routes_at: Vec<Range<usize>>,
    /// The key's text.
    pub key: Text,
    /// Where the names listed by `query` stand.
    pub query_at: Vec<Range<usize>>,
    /// Where the names listed by `body` stand.
    pub body_at: Vec<Range<usize>>,
    /// Where `roles` stands.
    pub roles_at: Range<usize>,
}

/// An `[[invalidate]]` table with its places in the file.
#[derive(Clone, Debug)]
pub struct SetDraft {
    /// Its name.
    pub name: Text,
    /// Its routes, and where they stand.
    pub routes: Vec<(Route, Range<usize>)>,
    /// Its drops, and where they stand.
    pub drops: Vec<(Template, Text)>,
    /// Which answers count as done.
    pub commits: Commits,
}

/// A `[[cache]]` table. `None` where something it cannot do without is missing or unreadable, which
/// was reported then.
pub fn cache(s: Section<'_>) -> Option<Draft> {
    let name = name(&s);
    let (routes, routes_at): (Vec<Route>, Vec<_>) =
        routes(&s, "match", "match = \"GET /api/v1/doctor\"")
            .into_iter()
            .unzip();
    routes
        .iter()
        .zip(&routes_at)
        .for_each(|(route, at)| readable(&s, &route.method, at));
    let key = s.required("key", "key = \"doctors:list:{query}\"");
    let template = key.as_ref().and_then(|key| template(&s, key, Use::Key));
    let ttl = ttl(&s);
    let (query, query_at) = shaping(s.texts("query"));
    let (body, body_at) = shaping(s.texts("body"));
    let public = s.flag("public", false);
    let roles = s
        .texts("roles")
        .unwrap_or_default()
        .into_iter()
        .map(|text| text.value)
        .collect();
    let roles_at = s.span_of("roles");
    let store_if = each(&s, s.texts("store_if").unwrap_or_default(), pointer);
    let statuses = statuses(&s);
    let stages = [
        ("on", Stage::On),
        ("observe", Stage::Observe),
        ("off", Stage::Off),
    ];
    let rule = Rule {
        index: 0,
        name: name
            .as_ref()
            .map(|name| name.value.clone())
            .unwrap_or_default(),
        routes,
        key: template.clone().unwrap_or(Template {
            segments: Vec::new(),
            wildcard: true,
        }),
        ttl: ttl.unwrap_or_default(),
        negative_ttl: s.duration("negative_ttl").or(ttl).unwrap_or_default(),
        public,
        roles,
        query,
        body,
        store_if,
        statuses,
        coalesce: coalesce(&s),
        ignore_origin_cache_control: s.flag("ignore_origin_cache_control", false),
        strip: strip(&s),
        vary: each(&s, s.texts("vary").unwrap_or_default(), vary),
        forward: s
            .choice(
                "forward",
                &[("keyed", Forward::Keyed), ("all", Forward::All)],
            )
            .unwrap_or(Forward::Keyed),
        stage: s.choice("stage", &stages).unwrap_or(Stage::On),
        nodes: Vec::new(),
        fingerprint: Digest([0; crate::digest::DIGEST_BYTES]),
    };
    s.finish(&LATER_CACHE);
    let (name, key) = (name?, key?);
    (template.is_some() && ttl.is_some() && !rule.routes.is_empty()).then_some(Draft {
        rule,
        name_at: name.span,
        routes_at,
        key,
        query_at,
        body_at,
        roles_at,
    })
}

const LATER_CACHE: [(&str, &str); 5] = [
    ("local_ttl", "leave it out: every hit asks the store"),
    ("local_ttl_max", "leave it out"),
    (
        "stale_while_revalidate",
        "leave it out: nothing stale is served",
    ),
    ("stale_if_error", "leave it out: nothing stale is served"),
    ("refresh_ahead", "leave it out"),
];

/// An `[[invalidate]]` table. `None` as for [`cache`].
pub fn set(s: Section<'_>) -> Option<SetDraft> {
    let name = name(&s);
    let routes = routes(&s, "on", "on = [\"PATCH /api/v1/doctor/{doctorId}\"]");
    if !s.has("drop") {
        s.missing("drop", "drop = [\"doctors:list:*\"]");
    }
    let texts = s.text_or_texts("drop");
    if texts.as_ref().is_some_and(Vec::is_empty) {
        let message = "`drop` names nothing";
        s.reader.report(Problem::error(
            s.span_of("drop"),
            message,
            "empty",
            "name a key, or remove the set",
        ));
    }
    let drop = |text: Text| template(&s, &text, Use::Drop).map(|template| (template, text));
    let drops: Vec<_> = texts
        .unwrap_or_default()
        .into_iter()
        .filter_map(drop)
        .collect();
    let commits = commits(&s);
    s.finish(&[
        ("soft", "leave it out: what is dropped is forgotten"),
        ("warm", "leave it out: the next reader fills"),
    ]);
    (!routes.is_empty() && !drops.is_empty()).then_some(SetDraft {
        name: name?,
        routes,
        drops,
        commits,
    })
}

fn name(s: &Section<'_>) -> Option<Text> {
    let text = s.required("name", "name = \"doctor-list\"")?;
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    let name = &text.value;
    if name.is_empty() || name == "-" || name.len() > MAX_NAME || !name.bytes().all(allowed) {
        let help = format!("use letters, digits and - _ . , at most {MAX_NAME}");
        s.reader.report(Problem::error(
            text.span.clone(),
            "this cannot be a name",
            "here",
            help,
        ));
    }
    Some(text)
}

fn routes(s: &Section<'_>, key: &'static str, example: &str) -> Vec<(Route, Range<usize>)> {
    if !s.has(key) {
        s.missing(key, example);
    }
    let texts = s.text_or_texts(key);
    if texts.as_ref().is_some_and(Vec::is_empty) {
        let message = format!("`{key}` names no route");
        s.reader.report(Problem::error(
            s.span_of(key),
            message,
            "empty",
            format!("write `{example}`"),
        ));
    }
    let parse = |text: Text| match route(&text.value) {
        Ok(route) => Some((route, text.span)),
        Err(fault) => {
            s.reader.fault(&text, fault);
            None
        }
    };
    texts
        .unwrap_or_default()
        .into_iter()
        .filter_map(parse)
        .collect()
}

/// `GET /path`
fn route(text: &str) -> Result<Route, Fault> {
    let Some((method, path)) = text.split_once(' ') else {
        let help = "write `GET /api/v1/doctor`";
        return Err(Fault::new(
            0..text.len(),
            "a route is a method and a path",
            "here",
            help,
        ));
    };
    let blanks = path.len() - path.trim_start().len();
    let offset = method.len() + 1 + blanks;
    let method = method_named(method)?;
    let pattern = Pattern::parse(path.trim_start()).map_err(|fault| Fault {
        range: fault.range.start + offset..fault.range.end + offset,
        ..fault
    })?;
    Ok(Route { method, pattern })
}

fn method_named(written: &str) -> Result<Method, Fault> {
    const COMMON: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    let whole = 0..written.len();
    let upper = written.to_ascii_uppercase();
    let typo = |known: &&str| strsim::damerau_levenshtein(known, &upper) <= 1;
    let meant = COMMON
        .into_iter()
        .find(|known| *known == upper)
        .or_else(|| COMMON.into_iter().find(typo));
    match meant {
        Some(meant) if meant != written => {
            let help = format!("did you mean `{meant}`?");
            Err(Fault::new(whole, "this is not a method", "here", help))
        }
        _ if !written.is_empty()
            && written.bytes().all(|b| b.is_ascii_uppercase() || b == b'-') =>
        {
            Method::from_bytes(written.as_bytes())
                .map_err(|_| Fault::new(whole, "this is not a method", "here", ""))
        }
        _ => Err(Fault::new(
            whole,
            "this is not a method",
            "here",
            "methods are written in capitals",
        )),
    }
}

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

fn template(s: &Section<'_>, text: &Text, purpose: Use) -> Option<Template> {
    match Template::parse(&text.value, purpose) {
        Ok(template) => Some(template),
        Err(faults) => {
            faults
                .into_iter()
                .for_each(|fault| s.reader.fault(text, fault));
            None
        }
    }
}

fn ttl(s: &Section<'_>) -> Option<std::time::Duration> {
    if !s.has("ttl") {
        s.missing("ttl", "ttl = \"5m\"");
    }
    let origin = s.text("ttl").filter(|text| text.value == "origin");
    if let Some(text) = origin {
        let message = "`ttl = \"origin\"` is not supported by this release";
        s.reader.report(Problem::error(
            text.span,
            message,
            "not supported",
            "write a duration",
        ));
        return None;
    }
    s.positive_duration("ttl", "nothing would be kept")
}

fn coalesce(s: &Section<'_>) -> Coalesce {
    let fleet = s.text("coalesce").filter(|text| text.value == "fleet");
    if let Some(text) = fleet {
        let message = "`coalesce = \"fleet\"` is not supported by this release";
        let help = "write \"local\": one fill per key and process";
        s.reader
            .report(Problem::error(text.span, message, "not supported", help));
        return Coalesce::Local;
    }
    s.choice(
        "coalesce",
        &[("local", Coalesce::Local), ("off", Coalesce::Off)],
    )
    .unwrap_or(Coalesce::Local)
}

fn shaping(texts: Option<Vec<Text>>) -> (Shaping, Vec<Range<usize>>) {
    match texts {
        None => (Shaping::Undeclared, Vec::new()),
        Some(texts) => {
            let (names, spans) = texts
                .into_iter()
                .map(|text| (text.value, text.span))
                .unzip();
            (Shaping::Only(names), spans)
        }
    }
}

/// A JSON pointer (RFC 6901 §3) as its unescaped reference tokens.
fn pointer(text: &str) -> Result<Vec<String>, Fault> {
    let whole = 0..text.len();
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let Some(body) = text.strip_prefix('/') else {
        let help = format!("write `/{}`", text.replace('.', "/"));
        return Err(Fault::new(
            whole,
            "a JSON pointer begins with `/`",
            "here",
            help,
        ));
    };
    let unescape = |token: &str| {
        let bad = token.replace("~0", "").replace("~1", "").contains('~');
        (!bad).then(|| token.replace("~1", "/").replace("~0", "~"))
    };
    body.split('/')
        .map(unescape)
        .collect::<Option<_>>()
        .ok_or_else(|| {
            Fault::new(
                whole,
                "`~` stands for itself only as `~0`",
                "here",
                "write `~0` for ~, `~1` for /",
            )
        })
}

fn statuses(s: &Section<'_>) -> Vec<u16> {
    let Some(written) = s.numbers("statuses") else {
        return vec![200];
    };
    if written.is_empty() {
        let message = "`statuses` names none: nothing would be kept";
        s.reader.report(Problem::error(
            s.span_of("statuses"),
            message,
            "empty",
            "write `[200]`",
        ));
    }
    for (_, at) in written
        .iter()
        .filter(|(status, _)| !STATUSES.contains(status))
    {
        let help = "200, 203, 204, 301, 404 and 410 can be kept";
        let message = "answers with this status are never kept";
        s.reader
            .report(Problem::error(at.clone(), message, "here", help));
    }
    written.into_iter().map(|(status, _)| status).collect()
}

fn strip(s: &Section<'_>) -> Vec<StripName> {
    let default = || {
        ["ratelimit", "x-ratelimit-"].map(|text| StripName {
            text: text.to_owned(),
            prefix: true,
        })
    };
    s.texts("strip")
        .map_or_else(|| default().to_vec(), |texts| each(s, texts, strip_name))
}

fn strip_name(text: &str) -> Result<StripName, Fault> {
    let beginning = text.strip_suffix('*');
    let name = beginning.unwrap_or(text);
    match HeaderName::from_bytes(name.as_bytes()) {
        Ok(name) => Ok(StripName {
            text: name.as_str().to_owned(),
            prefix: beginning.is_some(),
        }),
        Err(_) => {
            let help = "write a name, or the beginning of one: `x-ratelimit-*`";
            Err(Fault::new(
                0..text.len(),
                "this is not the name of a header",
                "here",
                help,
            ))
        }
    }
}

fn vary(text: &str) -> Result<HeaderName, Fault> {
    match HeaderName::from_bytes(text.as_bytes()) {
        Ok(name) if name == AUTHORIZATION || name == COOKIE => {
            let help = "put `{claims.…}`, `{token}` or `{cookie.NAME}` into the key";
            Err(Fault::new(
                0..text.len(),
                "credentials are no variants",
                "here",
                help,
            ))
        }
        Ok(name) if name != "*" => Ok(name),
        _ => Err(Fault::new(
            0..text.len(),
            "this is not the name of a header",
            "here",
            "",
        )),
    }
}

fn commits(s: &Section<'_>) -> Commits {
    let Some(texts) = s.texts("commits") else {
        return Commits {
            classes: vec![2, 3, 5],
            statuses: Vec::new(),
        };
    };
    let mut commits = Commits {
        classes: Vec::new(),
        statuses: Vec::new(),
    };
    for text in texts {
        let class = ["1xx", "2xx", "3xx", "4xx", "5xx"]
            .iter()
            .position(|class| *class == text.value);
        let status = text
            .value
            .parse()
            .ok()
            .filter(|status| (200..600).contains(status));
        match (class, status) {
            (Some(at), _) if at > 0 => commits.classes.push(at as u8 + 1),
            (_, Some(status)) => commits.statuses.push(status),
            _ => {
                let help = "write a class, \"2xx\", or a whole code, \"409\"";
                let message = "this is not a status";
                s.reader
                    .report(Problem::error(text.span, message, "here", help));
            }
        }
    }
    if commits.classes.is_empty() && commits.statuses.is_empty() {
        let message = "no answer would count as done";
        let help = "write `[\"2xx\", \"3xx\", \"5xx\"]`";
        s.reader
            .report(Problem::error(s.span_of("commits"), message, "empty", help));
    }
    commits
}

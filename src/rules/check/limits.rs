//! Limits: whose requests each counts together, and whether that holds anybody back.

use super::identity::{CLAIMS, VERIFY_HELP};
use super::routes::show;
use crate::headers::tells_of_the_way;
use crate::rules::file::{Draft, File, LimitDraft};
use crate::rules::problem::{Problem, nearest};
use crate::rules::settings::Listen;
use crate::rules::table::{COUNTERS, Route};
use crate::rules::template::{Source, Template, Use};
use hyper::Method;
use ipnet::IpNet;

/// Placeholders that nobody can fill, and those that everybody fills as he likes; addresses that are not the
/// client's; keys that could be taken for counters.
pub fn check(file: &File, problems: &mut Vec<Problem>) {
    for limit in &file.limits {
        counters(file, limit, problems);
        if limit.doubts.of("per") {
            continue;
        }
        for (nth, placeholder) in limit.per.placeholders().enumerate() {
            let at = || limit.per_text.placeholder(nth);
            let source = &placeholder.source;
            if let Some((message, label, help)) = unfillable(file, limit, source) {
                problems.push(Problem::error(at(), message, label, help));
            } else if is_chosen(file, source) && !is_held_otherwise(file, limit) {
                let message =
                    format!("whoever sends another `{{{source}}}` each time is never limited");
                let help = "add a limit for the same routes per `{client_ip}`, or name what a client cannot choose";
                problems.push(Problem::warning(at(), message, "the client's to say", help));
            }
        }
        addresses(file, limit, problems);
    }
}

/// Why a placeholder has no value for requests of this limit: what to say, at the caret, and what to do.
fn unfillable(
    file: &File,
    limit: &LimitDraft,
    source: &Source,
) -> Option<(String, &'static str, String)> {
    match source {
        Source::Path(name) => unknown_parameter(limit, name),
        Source::Claim(_) if file.lacks.verify => {
            Some((CLAIMS.to_owned(), "of a token", VERIFY_HELP.to_owned()))
        }
        Source::Token if file.lacks.identity => {
            let help = "add `[identity]` with `token = [\"header:authorization\"]`";
            let message = "nothing says where the token is";
            Some((message.to_owned(), "of which token?", help.to_owned()))
        }
        Source::Header(name) if tells_of_the_way(name) => {
            let message = format!("`{name}` is not counted by: anybody can send it");
            let help = "write `{client_ip}`, and name proxies before this one in `trusted_proxies`";
            Some((message, "of whom?", help.to_owned()))
        }
        Source::BodyField(_) => {
            let bodiless = [Method::GET, Method::HEAD];
            let mut routes = limit.routes.iter().map(|(route, _)| route);
            let route = routes.find(|route| bodiless.contains(&route.method))?;
            let help = "name something of its path or query, or split the limit".to_owned();
            Some((format!("`{}` has no body", show(route)), "of a body", help))
        }
        _ => None,
    }
}

fn unknown_parameter(limit: &LimitDraft, name: &str) -> Option<(String, &'static str, String)> {
    let mut routes = limit.routes.iter().map(|(route, _)| route);
    let lacks = |route: &&Route| !route.pattern.params().any(|param| param == name);
    let route = routes.find(lacks)?;
    let message = format!("`{{{name}}}` is not a parameter of `{}`", show(route));
    let known = route.pattern.params().chain(["client_ip", "token"]);
    let help = match nearest(name, known) {
        Some(meant) => format!("did you mean `{{{meant}}}`?"),
        None => "name a parameter of every route, or split the limit".to_owned(),
    };
    Some((message, "unknown", help))
}

/// Whether a client can send another value each time, and be answered all the same. Parts of the path and of
/// the body say what is asked for, so a limit by them holds what it is meant for.
fn is_chosen(file: &File, source: &Source) -> bool {
    match source {
        Source::Header(_) | Source::Cookie(_) | Source::QueryName(_) => true,
        Source::Token => file.lacks.verify,
        _ => false,
    }
}

/// Whether other limits count all that this one does by what nobody can choose.
fn is_held_otherwise(file: &File, limit: &LimitDraft) -> bool {
    let is_firm = |other: &&LimitDraft| {
        let mut placeholders = other.per.placeholders();
        other.doubts.of("per") || !placeholders.any(|one| is_chosen(file, &one.source))
    };
    let firm: Vec<&Route> = file
        .limits
        .iter()
        .filter(is_firm)
        .flat_map(|other| other.routes.iter().map(|(route, _)| route))
        .collect();
    let covers = |route: &Route, other: &&&Route| {
        other.method == route.method && other.pattern.covers(&route.pattern)
    };
    let mut routes = limit.routes.iter();
    routes.all(|(route, _)| firm.iter().any(|other| covers(route, &other)))
}

/// Where all clients would seem to have one address, or each whichever he likes. Whoever has nothing else to
/// be known by is counted by his address, so this concerns nearly every limit.
fn addresses(file: &File, limit: &LimitDraft, problems: &mut Vec<Problem>) {
    let is_by_address = |source: &Source| !matches!(source, Source::Path(_) | Source::Method);
    let mut sources = limit.per.placeholders().map(|one| &one.source);
    if file.broken || !sources.any(is_by_address) {
        return;
    }
    let proxy = &file.proxy;
    let is_local = match &proxy.listen {
        Listen::Unix(_) => Some("a Unix socket has no addresses: all clients are counted as one"),
        Listen::Tcp(address) if address.ip().is_loopback() && proxy.trusted_proxies.is_empty() => {
            Some("all clients come from this machine, and are counted as one")
        }
        Listen::Tcp(_) => None,
    };
    let is_anybody = |network: &IpNet| network.prefix_len() == 0;
    let (message, help) = match (is_local, proxy.trusted_proxies.iter().any(is_anybody)) {
        (Some(message), _) => (
            message,
            "listen on TCP, and name the proxy before this one in `[proxy] trusted_proxies`",
        ),
        (None, true) => (
            "everybody is a trusted proxy: each client says himself where he is",
            "name in `[proxy] trusted_proxies` only the proxies that stand before this one",
        ),
        (None, false) => return,
    };
    let at = limit.per_text.span.clone();
    problems.push(Problem::warning(at, message, "whose address?", help));
}

/// Keys of answers that could be those of counters: a client could take away what was counted of him.
fn counters(file: &File, limit: &LimitDraft, problems: &mut Vec<Problem>) {
    let Some(name) = limit.name.as_ref().filter(|_| !limit.doubts.of("name")) else {
        return;
    };
    let below = format!("{COUNTERS}:{}:*", name.value.as_str());
    let Ok(below) = Template::parse(&below, Use::Drop) else {
        return; // it is no name, and was told so
    };
    let named = |draft: &&Draft| draft.template().is_some_and(|key| below.can_name(key));
    for draft in file.caches.iter().filter(named) {
        let message = format!(
            "this key can be a counter of the limit `{}`",
            name.value.as_str()
        );
        let help = format!("begin the key with a word of its own, other than `{COUNTERS}`");
        let at = draft.key.span.clone();
        problems.push(Problem::error(at, message, "answer or counter?", help));
    }
}

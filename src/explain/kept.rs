//! Where an answer is kept, what the origin is asked for it, and what is asked of it.

use super::explanation::{FillShown, KeyShown, PartShown};
use super::reasons::listed;
use super::{Case, dropped, shown_route, usable};
use crate::asked::Asked;
use crate::headers;
use crate::identity;
use crate::inputs::Query;
use crate::key;
use crate::rules::table::{Rule, Shaping, Ttl};
use crate::rules::template::{Segment, Source};
use crate::rules::units::written;
use hyper::header::HeaderName;

/// Where it is kept, by what is known now of the headers that the rule's answers vary by.
pub(super) fn place(case: &Case<'_>, asked: &Asked) -> KeyShown {
    let table = &case.live.table;
    let vary = case.live.vary[asked.rule.index].known(asked.place());
    let key = asked.key(&vary.names);
    let segments = asked.rule.key.segments.iter().zip(asked.segments());
    let pattern = |node: &String| key::as_pattern(&table.namespace, node).to_owned();
    KeyShown {
        name: key::as_pattern(&table.namespace, &key.entry).to_owned(),
        parts: segments
            .map(|(segment, value)| part(case, &asked.rule, segment, value))
            .collect(),
        variants: variants(case, asked, &vary.names),
        nodes: key.nodes.iter().map(pattern).collect(),
    }
}

fn part(case: &Case<'_>, rule: &Rule, segment: &Segment, value: &str) -> PartShown {
    let digests_query = segment
        .placeholders()
        .any(|one| one.source == Source::Query);
    let of = match digests_query {
        true => keyed_parameters(case, rule),
        false => Vec::new(),
    };
    PartShown {
        template: segment.to_string(),
        value: value.to_owned(),
        of,
    }
}

fn keyed_parameters(case: &Case<'_>, rule: &Rule) -> Vec<String> {
    let query = Query::parse(case.head.parts.uri.query()).unwrap_or_default();
    let keyed = |name: &str| match &rule.query {
        Shaping::Undeclared => true,
        Shaping::Only(names) => names.iter().any(|listed| listed == name),
    };
    let pairs = query.sorted(keyed).into_iter();
    pairs
        .map(|(name, value)| format!("{name}={value}"))
        .collect()
}

/// What sets answers apart that have one key.
fn variants(case: &Case<'_>, asked: &Asked, vary: &[HeaderName]) -> Vec<String> {
    let (head, proxy) = (case.head, &case.live.table.proxy);
    let host = proxy
        .hosts
        .is_none()
        .then(|| "the `Host`, since `[proxy] hosts` does not say that all answer alike".to_owned());
    let secure = head
        .is_secure()
        .then(|| "TLS, as a trusted proxy says".to_owned());
    let role = (asked.rule.roles.len() > 1).then(|| "the role, unless the key says it".to_owned());
    let identity = case.live.table.identity.as_ref();
    let secret = identity::carrier_names(identity);
    let fields = vary.iter().map(|name| match head.varying(name) {
        Some(_) if secret.contains(name) => format!("{name}: (what it says is not shown)"),
        Some(value) => format!("{name}: {}", String::from_utf8_lossy(&value)),
        None => format!("{name}: (absent)"),
    });
    host.into_iter()
        .chain(secure)
        .chain(role)
        .chain(fields)
        .collect()
}

/// What the origin is asked where nothing is kept.
pub(super) fn fill(case: &Case<'_>, asked: &Asked) -> FillShown {
    let vary = case.live.vary[asked.rule.index].known(asked.place());
    let (mut request, _) = asked.fill(&vary.names, None);
    if let Some(range) = usable::part(case, asked) {
        range.onto(request.headers_mut());
    }
    let names = request.headers().keys().map(|name| name.to_string());
    let own = case.head.parts.headers.keys();
    let withheld = own
        .filter(|name| !request.headers().contains_key(*name) && !headers::tells_of_the_way(name));
    FillShown {
        request: format!("{} {}", request.method(), request.uri()),
        withheld: withheld.map(HeaderName::to_string).collect(),
        headers: names.collect(),
    }
}

/// What is asked of an answer before it is kept.
pub(super) fn conditions(case: &Case<'_>, asked: &Asked) -> Vec<String> {
    let (rule, store) = (&asked.rule, &case.live.table.store);
    let statuses = rule.statuses.as_ref().map(|statuses| {
        let statuses: Vec<String> = statuses.iter().map(u16::to_string).collect();
        format!("its status is {}", statuses.join(" or "))
    });
    let statuses = statuses.unwrap_or_else(|| "its status lets it be kept (RFC 9111 §3)".into());
    let time = match rule.ttl {
        Ttl::Fixed(ttl) => format!("then it is kept for {}", written(ttl)),
        Ttl::Origin => "the origin's headers say that it is fresh, or give a validator".into(),
    };
    let size = format!(
        "its body has {} bytes at most ([store] max_entry)",
        store.max_entry
    );
    let pointers = rule.store_if.iter().map(|pointer| {
        format!(
            "/{} is there in its JSON, and not empty (store_if)",
            pointer.join("/")
        )
    });
    [statuses, size]
        .into_iter()
        .chain(pointers)
        .chain(wishes(asked))
        .chain([time])
        .collect()
}

/// What the origin may say against it.
fn wishes(asked: &Asked) -> Option<String> {
    let private = if asked.is_shared() { "`private`, " } else { "" };
    let text = format!("it has no `no-store`, {private}`Set-Cookie` or `Vary: *`");
    (!asked.rule.ignore_origin_cache_control).then_some(text)
}

/// What else somebody should know.
pub(super) fn notes(case: &Case<'_>, asked: &Asked) -> Vec<String> {
    let rule = &asked.rule;
    let is_dropped = case.live.table.sets.iter().flat_map(|set| &set.drops);
    let is_dropped = is_dropped
        .filter(|drop| drop.rules.contains(&rule.index))
        .count()
        > 0;
    let alone = (!is_dropped).then(|| {
        let but = match dropped::own_writes(case) {
            Some(_) => "but for writes to its own path, ",
            None => "",
        };
        format!("no [[invalidate]] set names it: {but}only time ends it")
    });
    let local = (!rule.local_ttl.is_zero()).then(|| {
        let time = written(rule.local_ttl);
        format!("for {time} this process may answer without asking the store (local_ttl)")
    });
    let most = rule.local_ttl_max;
    let has_budget = case.live.table.store.budget.is_some() && most > rule.local_ttl;
    let budget = has_budget.then(|| {
        let most = written(most);
        format!("where the budget of commands runs short, that may become {most} (local_ttl_max)")
    });
    let range = usable::part(case, asked).map(|_| {
        "it asks for a range: answered from the whole if that is kept, or from a part that holds it; if not, \
         the origin is asked for this range, and the part is kept"
            .to_owned()
    });
    let demand = &asked.demand;
    let demands = [
        (
            demand.only_if_cached,
            "it wants a kept answer or none (only-if-cached): 504 where nothing is kept",
        ),
        (
            demand.no_store,
            "it says no-store: an answer that is fetched for it is not kept",
        ),
        (
            asked.is_conditional(),
            "it is conditional: where nothing is kept, the answer to its conditions is for nobody else",
        ),
    ];
    let demands = demands.into_iter().filter(|(holds, _)| *holds);
    let demands = demands.map(|(_, text)| text.to_owned());
    let other = rule.routes.len() > 1;
    let routes = other.then(|| {
        let routes: Vec<String> = rule.routes.iter().map(shown_route).collect();
        format!(
            "the rule's routes keep their answers apart: {}",
            routes.join(", ")
        )
    });
    alone
        .into_iter()
        .chain(ignored(case, rule))
        .chain(local)
        .chain(budget)
        .chain(range)
        .chain(demands)
        .chain(routes)
        .collect()
}

/// The parameters that the rule says shape nothing.
fn ignored(case: &Case<'_>, rule: &Rule) -> Option<String> {
    let Shaping::Only(names) = &rule.query else {
        return None;
    };
    let query = Query::parse(case.head.parts.uri.query()).unwrap_or_default();
    let is_listed = |name: &&str| names.iter().any(|listed| listed == name);
    let mut ignored: Vec<&str> = query.names().filter(|name| !is_listed(name)).collect();
    ignored.dedup();
    let verb = if ignored.len() == 1 { "is" } else { "are" };
    let text = format!(
        "{} {verb} ignored: `query` does not list it, and the origin is not sent it",
        listed(&ignored)
    );
    (!ignored.is_empty()).then_some(text)
}

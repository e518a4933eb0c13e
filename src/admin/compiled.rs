//! `GET /api/rules`: the rules in force, as they were understood. Secrets show as `***`.

use crate::body::Body;
use crate::jwks;
use crate::reply;
use crate::rules::settings::{
    AlertSettings, IdentitySettings, SealSettings, StoreSettings, StoreUrl, TokenSource, VerifyKey,
    VerifySettings, Webhook,
};
use crate::rules::table::{Drop, Limit, NodeAt, Route, Rule, Set, Shaping, Table, Ttl};
use crate::rules::template::Template;
use crate::rules::units::written;
use hyper::{Response, StatusCode};
use serde_json::{Value as Json, json};

/// What stands for a secret.
const MASK: &str = "***";

/// All of a table that decides what is kept, under which names, and what drops it.
pub(super) fn shown(table: &Table) -> Response<Body> {
    let rules: Vec<Json> = table.rules.iter().map(|one| rule(table, one)).collect();
    let sets: Vec<Json> = table.sets.iter().map(|one| set(table, one)).collect();
    let document = json!({
        "namespace": table.namespace,
        "layout": table.layout.to_string(),
        "store": store(&table.store),
        "identity": table.identity.as_ref().map(identity),
        "alerts": table.alerts.as_ref().map(alerts),
        "rules": rules,
        "sets": sets,
        "limits": table.limits.iter().map(|one| limit(one)).collect::<Vec<_>>(),
        "warnings": table.warnings,
    });
    reply::json(StatusCode::OK, &document)
}

fn rule(table: &Table, rule: &Rule) -> Json {
    let drops = |drop: &&Drop| drop.rules.contains(&rule.index);
    let is_dropped_by = |set: &&std::sync::Arc<Set>| set.drops.iter().any(|drop| drops(&drop));
    let by: Vec<&str> = table
        .sets
        .iter()
        .filter(is_dropped_by)
        .map(|set| set.name.as_str())
        .collect();
    json!({
        "name": rule.name,
        "match": routes(&rule.routes),
        "key": rule.key.to_string(),
        "ttl": ttl(rule.ttl),
        "negative_ttl": ttl(rule.negative_ttl),
        "local_ttl": written(rule.local_ttl),
        "local_ttl_max": written(rule.local_ttl_max),
        "stale_while_revalidate": rule.stale_while_revalidate.map(written),
        "stale_if_error": rule.stale_if_error.map(written),
        "public": rule.public,
        "roles": rule.roles,
        "query": names(&rule.query),
        "body": names(&rule.body),
        "statuses": rule.statuses,
        "vary": rule.vary.iter().map(|name| name.as_str()).collect::<Vec<_>>(),
        "stage": format!("{:?}", rule.stage).to_lowercase(),
        "nodes": rule.nodes.iter().map(|at| node(&rule.key, *at)).collect::<Vec<_>>(),
        "dropped_by": by,
        "fingerprint": rule.fingerprint.to_string(),
    })
}

fn set(table: &Table, set: &Set) -> Json {
    let drop = |drop: &Drop| {
        let rules = drop.rules.iter().map(|at| table.rules[*at].name.as_str());
        json!({ "template": drop.template.to_string(), "rules": rules.collect::<Vec<_>>() })
    };
    let classes = set.commits.classes.iter().map(|class| format!("{class}xx"));
    let statuses = set.commits.statuses.iter().map(u16::to_string);
    json!({
        "name": set.name,
        "on": routes(&set.routes),
        "drop": set.drops.iter().map(drop).collect::<Vec<_>>(),
        "commits": classes.chain(statuses).collect::<Vec<_>>(),
        "soft": set.soft,
        "warm": set.warm.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}

fn limit(limit: &Limit) -> Json {
    json!({
        "name": limit.name,
        "match": routes(&limit.routes),
        "per": limit.per.to_string(),
        "max": limit.max,
        "window": written(limit.window),
    })
}

fn routes(routes: &[Route]) -> Vec<String> {
    let shown = |route: &Route| format!("{} {}", route.method, route.pattern.text());
    routes.iter().map(shown).collect()
}

/// `null` where it is left to each request.
fn names(shaping: &Shaping) -> Json {
    match shaping {
        Shaping::Undeclared => Json::Null,
        Shaping::Only(names) => json!(names),
    }
}

/// A place where a key can be dropped, as a pattern of the key's own segments.
fn node(key: &Template, at: NodeAt) -> String {
    match at {
        NodeAt::Exact => key.to_string(),
        NodeAt::Below(depth) => Template {
            segments: key.segments.iter().take(depth).cloned().collect(),
            wildcard: true,
        }
        .to_string(),
    }
}

fn ttl(ttl: Ttl) -> String {
    match ttl {
        Ttl::Fixed(time) => written(time),
        Ttl::Origin => "origin".to_owned(),
    }
}

fn store(store: &StoreSettings) -> Json {
    let url = match &store.url {
        StoreUrl::Memory => "memory:".to_owned(),
        StoreUrl::Redis(url) => without_credentials(url.reveal()),
    };
    let sealed = |seal: &SealSettings| json!({ "seal": MASK, "previous": seal.previous.len() });
    json!({ "url": url, "sealed": store.seal.as_ref().map(sealed) })
}

/// Scheme, host and path: what stands before an `@`, or behind a `?`, may be secret.
fn without_credentials(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or_default();
    let place = rest.rsplit_once('@').map_or(rest, |(_, place)| place);
    let place = place.split(['?', '#']).next().unwrap_or_default();
    let mask = if rest.contains('@') { "***@" } else { "" };
    format!("{scheme}://{mask}{place}")
}

fn identity(identity: &IdentitySettings) -> Json {
    let source = |source: &TokenSource| match source {
        TokenSource::Header(name) => format!("header:{name}"),
        TokenSource::Cookie(name) => format!("cookie:{name}"),
    };
    json!({
        "token": identity.token.iter().map(source).collect::<Vec<_>>(),
        "scheme": format!("{:?}", identity.scheme).to_lowercase(),
        "verify": identity.verify.as_ref().map(verify),
        "role": identity.role,
        "leeway": written(identity.leeway),
    })
}

/// Of the webhook its place alone: its path may hold a token.
fn alerts(alerts: &AlertSettings) -> Json {
    json!({
        "hit_rate_below": alerts.hit_rate_below,
        "p99_above": alerts.p99_above.map(written),
        "min_requests": alerts.min_requests,
        "window": written(alerts.window),
        "webhook": alerts.webhook.as_ref().map(Webhook::shown),
    })
}

fn verify(verify: &VerifySettings) -> Json {
    let (kind, key) = match &verify.key {
        VerifyKey::Secret(_) => ("secret", MASK.to_owned()),
        VerifyKey::Pem(pem) => ("public_key", pem.clone()),
        VerifyKey::Jwks(source) => ("jwks", jwks::shown(source)),
    };
    json!({
        "algorithm": format!("{:?}", verify.algorithm),
        kind: key,
        "audience": verify.audience,
        "issuer": verify.issuer,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_shown_without_what_it_is_opened_with() {
        let cases = [
            ("redis://host:6379/0", "redis://host:6379/0"),
            ("rediss://me:p@ss@host/1", "rediss://***@host/1"),
            ("redis://:pass@[::1]:6379", "redis://***@[::1]:6379"),
            ("redis+unix:///run/s?db=1", "redis+unix:///run/s"),
            ("redis://host?password=x", "redis://host"),
        ];
        for (url, shown) in cases {
            assert_eq!(without_credentials(url), shown);
        }
    }
}

//! A file without errors → the table that requests meet.

use super::fingerprint::fingerprint;
use super::layout::layout;
use crate::digest::{DIGEST_BYTES, Digest};
use crate::rules::file::{Draft, File, LimitDraft, SetDraft};
use crate::rules::router::{Router, Target};
use crate::rules::settings::{IdentitySettings, ProxySettings, Routing};
use crate::rules::table::{Drop, Limit, NodeAt, Route, Rule, Set, Stage, Table};
use crate::rules::template::{Source, Template};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The compiled table.
pub fn table(file: File) -> Table {
    // What the rest said was for the checks.
    let File {
        namespace,
        proxy,
        admin,
        local,
        store,
        audit,
        alerts,
        identity,
        caches,
        sets,
        limits,
        places,
        ..
    } = file;
    let keys: Vec<Template> = caches.iter().map(|draft| draft.rule.key.clone()).collect();
    let sets: Vec<Arc<Set>> = sets
        .into_iter()
        .enumerate()
        .map(|(index, draft)| Arc::new(set(index, draft, &keys)))
        .collect();
    let auto_drops: Vec<Drop> = keys.iter().enumerate().map(auto_drop).collect();
    let compiled = |(index, draft)| {
        let automatic = proxy.auto_invalidate.then(|| &auto_drops[index]);
        let drops = sets.iter().flat_map(|set| &set.drops).chain(automatic);
        Arc::new(rule(index, draft, drops, &proxy, identity.as_ref()))
    };
    let rules: Vec<Arc<Rule>> = caches.into_iter().enumerate().map(compiled).collect();
    let served = rules.iter().filter(|rule| rule.stage != Stage::Off);
    let readers = router(
        proxy.routing,
        served.map(|rule| (rule.index, &*rule.routes)),
    );
    let writers = router(
        proxy.routing,
        sets.iter().map(|set| (set.index, &*set.routes)),
    );
    let limits: Vec<Arc<Limit>> = limits
        .into_iter()
        .enumerate()
        .map(|(index, draft)| Arc::new(limit(index, draft)))
        .collect();
    let limited = router(
        proxy.routing,
        limits.iter().map(|limit| (limit.index, &*limit.routes)),
    );
    let mut table = Table {
        namespace,
        proxy,
        admin,
        local,
        store,
        audit,
        alerts,
        identity,
        rules,
        sets,
        limits,
        auto_drops,
        layout: Digest([0; DIGEST_BYTES]), // of all the rest
        places,
        warnings: Vec::new(), // until all is known to be no worse
        readers,
        writers,
        limited,
    };
    table.layout = layout(&table);
    table
}

fn set(index: usize, draft: SetDraft, keys: &[Template]) -> Set {
    let SetDraft {
        name,
        routes,
        drops,
        commits,
        soft,
        warm,
        lines,
        ..
    } = draft;
    let drops = drops
        .into_iter()
        .map(|(template, _)| drop(template, keys))
        .collect();
    let routes = routes.into_iter().map(|(route, _)| route).collect();
    Set {
        index,
        name: name.map(|name| name.into_value()).unwrap_or_default(),
        routes,
        drops,
        commits,
        soft,
        warm: warm.into_iter().map(|(path, _)| path).collect(),
        lines,
    }
}

fn limit(index: usize, draft: LimitDraft) -> Limit {
    Limit {
        index,
        name: draft.name.map(|name| name.into_value()).unwrap_or_default(),
        routes: draft.routes.into_iter().map(|(route, _)| route).collect(),
        per: draft.per,
        max: draft.max,
        window: draft.window,
        lines: draft.lines,
    }
}

fn router<'a>(routing: Routing, owners: impl Iterator<Item = (usize, &'a [Route])>) -> Router {
    let mut router = Router::new(routing);
    for (owner, routes) in owners {
        for (at, route) in routes.iter().enumerate() {
            // Cache routes of one shape were refused; sets may share a route.
            router.add(route, Target { owner, route: at });
        }
    }
    router
}

fn drop(template: Template, keys: &[Template]) -> Drop {
    let rules = (0..keys.len())
        .filter(|at| template.can_name(&keys[*at]))
        .collect();
    Drop { template, rules }
}

/// The key as far as the path of a write decides it, then everything below.
fn auto_drop((index, key): (usize, &Template)) -> Drop {
    let depth = key.known_depth(|source| matches!(source, Source::Path(_)));
    let template = Template {
        segments: key.segments[..depth].to_vec(),
        wildcard: depth < key.segments.len(),
    };
    Drop {
        template,
        rules: vec![index],
    }
}

fn rule<'a>(
    index: usize,
    draft: Draft,
    drops: impl Iterator<Item = &'a Drop>,
    proxy: &ProxySettings,
    identity: Option<&IdentitySettings>,
) -> Rule {
    let key = &draft.rule.key;
    let naming: Vec<Template> = drops
        .filter(|drop| drop.rules.contains(&index))
        .map(|drop| drop.template.as_rendered_by(key))
        .collect();
    let nodes = nodes_of(key, naming.iter());
    let mut rule = Rule {
        index,
        nodes,
        ..draft.rule
    };
    rule.fingerprint = fingerprint(&rule, proxy, identity);
    rule
}

/// Where the keys of a rule can be dropped: at the root and at the top always, and where a drop
/// reaches.
fn nodes_of<'a>(key: &Template, drops: impl Iterator<Item = &'a Template>) -> Vec<NodeAt> {
    let mut nodes = BTreeSet::from([NodeAt::Below(0), top(key)]);
    for drop in drops {
        let depth = drop.segments.len();
        nodes.insert(if drop.wildcard {
            NodeAt::Below(depth)
        } else {
            NodeAt::Exact
        });
        // What the write may turn out not to hold widens the drop to the segments before it.
        let sure = drop.known_depth(|source| matches!(source, Source::Path(_) | Source::Method));
        if sure < depth {
            nodes.insert(NodeAt::Below(sure));
        }
    }
    nodes.into_iter().collect()
}

fn top(key: &Template) -> NodeAt {
    match key.segments.as_slice() {
        [first, ..] if first.literal().is_none() => NodeAt::Below(0),
        [_] => NodeAt::Exact,
        _ => NodeAt::Below(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::template::Use;
    use NodeAt::{Below, Exact};

    fn parse(text: &str) -> Template {
        Template::parse(text, Use::Drop).expect(text)
    }

    #[test]
    fn a_rule_tracks_its_top_and_every_depth_that_a_drop_reaches() {
        let cases: [(&str, &[&str], &[NodeAt]); 9] = [
            ("doctors:list:{query}", &[], &[Below(0), Below(1)]),
            (
                "doctors:list:{query}",
                &["doctors:list:*", "doctors:*"],
                &[Below(0), Below(1), Below(2)],
            ),
            (
                "doctors:details:{id}",
                &["doctors:details:{id}"],
                &[Below(0), Below(1), Exact],
            ),
            ("meta", &[], &[Below(0), Exact]),
            ("meta", &["*"], &[Below(0), Exact]),
            ("{claims.email}:{query}", &[], &[Below(0)]),
            (
                "a:b:{id}",
                &["a:b:{response.data.id}"],
                &[Below(0), Below(1), Below(2), Exact],
            ),
            (
                "a:b:{id}",
                &["{body.kind}:b:*"],
                &[Below(0), Below(1), Below(2)],
            ),
            (
                "a:{id}:{query}",
                &["a:{id}:*"],
                &[Below(0), Below(1), Below(2)],
            ),
        ];
        for (key, drops, nodes) in cases {
            let drops: Vec<Template> = drops.iter().map(|text| parse(text)).collect();
            assert_eq!(nodes_of(&parse(key), drops.iter()), nodes, "{key}");
        }
    }

    #[test]
    fn an_automatic_drop_reaches_as_far_as_the_path_decides() {
        let cases = [
            ("doctors:details:{id}", "doctors:details:{id}"),
            ("doctors:list:{query}", "doctors:list:*"),
            ("a:{method}:{id}", "a:*"),
            ("{claims.email}:{id}", "*"),
            ("meta", "meta"),
        ];
        for (key, expected) in cases {
            let drop = auto_drop((3, &parse(key)));
            assert_eq!(drop.template.to_string(), expected, "{key}");
            assert_eq!(drop.rules, [3]);
        }
    }
}

//! `POST /api/purge {"drop": ["doctors:list:*"]}`: drops by hand. With `"dry_run": true` it only says what
//! would be dropped.

use super::{Answer, Denied};
use crate::body::Body;
use crate::key::{self, Pattern};
use crate::live::Live;
use crate::metrics::PURGE;
use crate::reply;
use crate::rules::table::Table;
use crate::store::Bumped;
use hyper::{Response, StatusCode};
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeSet;

/// Patterns in one request; more are better said by a shorter prefix.
const MAX_PATTERNS: usize = 1000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Purge {
    drop: Vec<String>,
    #[serde(default)]
    dry_run: bool,
}

/// Drops what the patterns name and answers with the nodes really bumped: a pattern deeper than any
/// node that is tracked bumps the nearest one above it, and any bumps everything, `*`, while sidecars
/// with other rules keep entries in the store. One bad pattern and nothing is dropped.
pub(super) async fn purge(live: &Live, body: &[u8]) -> Answer {
    let wanted: Purge = serde_json::from_slice(body).map_err(|error| {
        bad(format!(
            "the body is to be {{\"drop\": [\"a:b:*\"]}}: {error}"
        ))
    })?;
    if wanted.drop.len() > MAX_PATTERNS {
        return Err(bad(format!("at most {MAX_PATTERNS} patterns at once")));
    }
    let mut nodes = BTreeSet::new();
    for text in &wanted.drop {
        nodes.extend(nodes_of(&live.table, text)?);
    }
    let nodes: Vec<String> = nodes.into_iter().collect();
    let mut names: Vec<&str> = nodes
        .iter()
        .map(|node| key::as_pattern(&live.table.namespace, node))
        .collect();
    if wanted.dry_run {
        return Ok(would_drop(live, names).await);
    }
    tracing::info!(nodes = nodes.len(), "purged by hand");
    let bumped = live.ground.store.bump(&nodes).await;
    note(live, &wanted.drop, bumped);
    if bumped == Bumped::Everything {
        names.push("*");
    }
    match bumped {
        Bumped::Done | Bumped::Everything => {
            Ok(reply::json(StatusCode::OK, &json!({ "dropped": names })))
        }
        Bumped::Owed => {
            let none: [&str; 0] = [];
            Ok(reply::json(
                StatusCode::ACCEPTED,
                &json!({ "dropped": none, "owed": names }),
            ))
        }
    }
}

/// Has a purge stand beside what writes dropped: counted, with the patterns as they were typed, and at each rule
/// that they name.
fn note(live: &Live, patterns: &[String], bumped: Bumped) {
    if patterns.is_empty() {
        return;
    }
    live.ground.metrics.invalidated(PURGE);
    live.ground.stats.purged(patterns);
    let everything = (bumped == Bumped::Everything).then(|| "*".to_owned());
    let patterns = patterns.iter().chain(&everything);
    for pattern in patterns.filter_map(|text| parse(text).ok()) {
        let named = live.table.named(&pattern.segments, pattern.wildcard, None);
        named.iter().for_each(|(rule, _)| live.dropped(*rule));
    }
}

/// What a purge would name, were it done now. Where the store cannot be asked it would be owed, and whether
/// everything falls is found out when it is paid.
async fn would_drop(live: &Live, mut names: Vec<&str>) -> Response<Body> {
    let falls = !names.is_empty() && !names.contains(&"*");
    if falls && live.ground.store.holds_other_layouts().await == Ok(true) {
        names.push("*");
    }
    reply::json(StatusCode::OK, &json!({ "would_drop": names }))
}

fn nodes_of(table: &Table, text: &str) -> Result<BTreeSet<String>, Denied> {
    let pattern = parse(text).map_err(bad)?;
    let nodes = key::pattern_nodes(table, &pattern, None);
    if nodes.is_empty() {
        return Err(bad(format!(
            "`{text}` names no key that a rule makes; nothing was dropped"
        )));
    }
    Ok(nodes)
}

/// Reads a pattern as keys are written: escaped, `*` only as the whole last segment.
pub(super) fn parse(text: &str) -> Result<Pattern, String> {
    let mut segments: Vec<String> = text.split(':').map(str::to_owned).collect();
    let wildcard = segments.last().is_some_and(|last| last == "*");
    if wildcard {
        segments.pop();
    }
    let is_rendered = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~@+=%,".contains(&byte);
    let all_rendered = segments
        .iter()
        .all(|segment| segment.bytes().all(is_rendered));
    if text.is_empty() || !all_rendered {
        return Err(format!(
            "`{text}` is not a pattern: segments joined by `:`, written as in keys, and `*` only as the last one"
        ));
    }
    Ok(Pattern { segments, wildcard })
}

fn bad(why: String) -> Denied {
    Denied::new(StatusCode::BAD_REQUEST, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_only_at_the_end_and_globs_are_not_patterns() {
        assert_eq!(
            parse("*"),
            Ok(Pattern {
                segments: vec![],
                wildcard: true
            })
        );
        let list = Pattern {
            segments: vec!["doctors".into(), "list".into()],
            wildcard: true,
        };
        assert_eq!(parse("doctors:list:*"), Ok(list));
        for bad in [
            "",
            "doctors:*:list",
            "doc*",
            "doctors:[ab]",
            "a b",
            "a!b",
            "a#b",
            "a?",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}

//! Which writes end an entry.

use super::explanation::DroppedBy;
use super::{Case, shown_route};
use crate::asked::Asked;
use crate::rules::table::{Drop, Set};
use crate::rules::template::{Part, Segment};
use hyper::Method;

/// All writes that a set, or the path of the rule itself, ties to the entry.
pub(super) fn by(case: &Case<'_>, asked: &Asked) -> Vec<DroppedBy> {
    let (table, index) = (&case.live.table, asked.rule.index);
    let by_set = table.sets.iter().flat_map(|set| {
        let drops = set.drops.iter().filter(|drop| drop.rules.contains(&index));
        drops.filter_map(|drop| named(set, drop, asked.segments()))
    });
    let automatic = own_writes(case).map(|methods| DroppedBy {
        set: None,
        line: asked.rule.lines.table(),
        on: vec![format!("{methods} of its own path")],
        drop: table.auto_drops[index].template.to_string(),
        when: String::new(),
    });
    by_set.chain(automatic).collect()
}

/// The methods by which this very path drops what is kept for it: not those by which a rule takes it for a
/// read. None where `auto_invalidate` is off.
pub(super) fn own_writes(case: &Case<'_>) -> Option<String> {
    let (table, path) = (&case.live.table, case.head.parts.uri.path());
    let writes = [Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
    let writes = writes.iter().filter(|one| table.read(one, path).is_none());
    let names: Vec<&str> = writes.map(Method::as_str).collect();
    match (table.proxy.auto_invalidate, &names[..]) {
        (false, _) | (true, []) => None,
        (true, [one]) => Some((*one).to_owned()),
        (true, [others @ .., last]) => Some(format!("{} or {last}", others.join(", "))),
    }
}

/// A set's line, if it can name a key of these segments.
fn named(set: &Set, drop: &Drop, segments: &[String]) -> Option<DroppedBy> {
    let pairs = || drop.template.segments.iter().zip(segments);
    let other = |(segment, value): (&Segment, &String)| {
        segment.literal().is_some_and(|literal| literal != value)
    };
    if pairs().any(other) {
        return None;
    }
    let conditions: Vec<String> = pairs()
        .filter(|(segment, _)| segment.literal().is_none())
        .map(|(segment, value)| match segment.parts.as_slice() {
            [Part::Value(placeholder)] => format!("{placeholder} is {value}"),
            _ => format!("{segment} comes to {value}"),
        })
        .collect();
    Some(DroppedBy {
        set: Some(set.name.clone()),
        line: set.lines.table(),
        on: set.routes.iter().map(shown_route).collect(),
        drop: drop.template.to_string(),
        when: conditions.join(" and "),
    })
}

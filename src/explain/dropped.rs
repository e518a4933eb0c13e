//! Which writes end an entry.

use super::explanation::DroppedBy;
use super::shown_route;
use crate::asked::Asked;
use crate::rules::table::{Drop, Set, Table};
use crate::rules::template::{Part, Segment};

/// All writes that a set, or the path of the rule itself, ties to the entry.
pub(super) fn by(table: &Table, asked: &Asked) -> Vec<DroppedBy> {
    let index = asked.rule.index;
    let by_set = table.sets.iter().flat_map(|set| {
        let drops = set.drops.iter().filter(|drop| drop.rules.contains(&index));
        drops.filter_map(|drop| named(set, drop, asked.segments()))
    });
    let is_automatic = table.proxy.auto_invalidate;
    let automatic = is_automatic.then(|| DroppedBy {
        set: None,
        line: asked.rule.lines.table(),
        on: vec!["POST, PUT, PATCH or DELETE of its own path".to_owned()],
        drop: table.auto_drops[index].template.to_string(),
        when: String::new(),
    });
    by_set.chain(automatic).collect()
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

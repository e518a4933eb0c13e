//! Which nodes a drop names, for one write.

use super::node_name;
use super::value::rendered;
use crate::inputs::{Inputs, Value};
use crate::rules::table::{Drop, Rule, Table};
use crate::rules::template::{Part, Placeholder, Segment, Source, Template};
use std::collections::BTreeSet;

/// A drop with its placeholders resolved: rendered segments, and whether everything below falls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// Rendered segments.
    pub segments: Vec<String>,
    /// True where the pattern ends in `*`.
    pub wildcard: bool,
}

/// Resolves a drop of keys of one template for a write. What cannot be resolved widens to the
/// enclosing `*`. One drop may give several patterns: where the key holds a body field, text that
/// reads like a number names the keys of both.
pub fn resolve(drop: &Template, key: &Template, inputs: &Inputs) -> Vec<Pattern> {
    let mut patterns = vec![Pattern {
        segments: Vec::new(),
        wildcard: drop.wildcard,
    }];
    for (segment, kept) in drop.segments.iter().zip(&key.segments) {
        let Some(renderings) = drop_segment(segment, kept, inputs) else {
            patterns
                .iter_mut()
                .for_each(|pattern| pattern.wildcard = true);
            return patterns;
        };
        patterns = patterns
            .iter()
            .flat_map(|pattern| renderings.iter().map(move |text| pattern.followed_by(text)))
            .collect();
    }
    patterns
}

impl Pattern {
    fn followed_by(&self, segment: &str) -> Pattern {
        let segments = self
            .segments
            .iter()
            .cloned()
            .chain([segment.to_owned()])
            .collect();
        Pattern {
            segments,
            wildcard: self.wildcard,
        }
    }
}

/// Every way in which a segment of a drop may stand in a key; `None` if it cannot be resolved.
fn drop_segment(segment: &Segment, kept: &Segment, inputs: &Inputs) -> Option<Vec<String>> {
    let strict = segment.placeholders().count() > 1;
    let kinds_apart = kept
        .placeholders()
        .any(|placeholder| matches!(placeholder.source, Source::BodyField(_)));
    let mut texts = vec![String::new()];
    for part in &segment.parts {
        let renderings = match part {
            Part::Literal(literal) => vec![literal.clone()],
            Part::Value(placeholder) => {
                let mut renderings = drop_value(placeholder, inputs, strict)?;
                if !kinds_apart {
                    renderings.truncate(1); // the text: nothing else is kept there
                }
                renderings
            }
        };
        texts = texts
            .iter()
            .flat_map(|text| {
                renderings
                    .iter()
                    .map(move |rendering| format!("{text}{rendering}"))
            })
            .collect();
    }
    Some(texts)
}

/// As text first, then as the JSON scalar that it is or reads like.
fn drop_value(placeholder: &Placeholder, inputs: &Inputs, strict: bool) -> Option<Vec<String>> {
    let alternatives = match inputs.value(&placeholder.source) {
        Value::Absent | Value::Null => return None,
        Value::Number(number) if !is_safe_integer(&number) => return None,
        Value::Number(number) => vec![Value::Text(number.clone()), Value::Number(number)],
        Value::Bool(truth) => vec![Value::Text(truth.to_string()), Value::Bool(truth)],
        Value::Text(text) => match typed(&text) {
            Some(typed) => vec![Value::Text(text), typed],
            None => vec![Value::Text(text)],
        },
        Value::List(_) => return None,
        structure @ Value::Structure(_) => vec![structure],
    };
    Some(
        alternatives
            .into_iter()
            .map(|value| rendered(value, placeholder, strict))
            .collect(),
    )
}

/// Whether every parser reads and prints a number alike: an integer that JavaScript holds exactly.
pub fn is_safe_integer(number: &str) -> bool {
    const MAX_SAFE_INTEGER: u64 = (1 << 53) - 1;
    let integer = number.parse::<i64>();
    integer.is_ok_and(|integer| integer.unsigned_abs() <= MAX_SAFE_INTEGER)
}

/// The JSON scalar that a text reads like, as a key made from a body would hold it.
fn typed(text: &str) -> Option<Value> {
    match text {
        "true" => Some(Value::Bool(true)),
        "false" => Some(Value::Bool(false)),
        _ => {
            let number: serde_json::Number = text.parse().ok()?;
            (number.to_string() == text).then(|| Value::Number(text.to_owned()))
        }
    }
}

/// The store keys of all nodes that a drop of a write names.
pub fn dropped_nodes(table: &Table, drop: &Drop, inputs: &Inputs) -> BTreeSet<String> {
    let of_rule = |rule: &usize| {
        let template = drop.template.as_rendered_by(&table.rules[*rule].key);
        let patterns = resolve(&template, &table.rules[*rule].key, inputs);
        let nodes = patterns
            .iter()
            .flat_map(|pattern| pattern_nodes(table, pattern, Some(&[*rule])));
        nodes.collect::<Vec<String>>()
    };
    drop.rules.iter().flat_map(of_rule).collect()
}

/// The store keys of all nodes that a resolved pattern names: for each rule whose keys it can name,
/// the nearest node at it or above it.
pub fn pattern_nodes(
    table: &Table,
    pattern: &Pattern,
    rules: Option<&[usize]>,
) -> BTreeSet<String> {
    let named = table.named(&pattern.segments, pattern.wildcard, rules);
    let nodes = named
        .iter()
        .map(|(_, at)| node_name(&table.namespace, &pattern.segments, *at));
    nodes.collect()
}

/// The store keys of nodes under which everything falls that a rule keeps.
pub fn nodes_of_rule(table: &Table, rule: &Rule) -> BTreeSet<String> {
    let literal = |segment: &Segment| match segment.parts.as_slice() {
        [Part::Literal(text)] => Some(text.clone()),
        _ => None,
    };
    let pattern = Pattern {
        segments: rule.key.segments.iter().map_while(literal).collect(),
        wildcard: true,
    };
    pattern_nodes(table, &pattern, Some(&[rule.index]))
}

//! By what a drop names the keys that a write changes: all keys of a rule, or those that hold what the write holds.

use super::{Case, Write};
use crate::rules::table::Rule;
use crate::rules::template::{Filter, Part, Placeholder, Segment, Source};

/// Ends the name of a part that is in lower case.
const LOWERED: &str = " | lower}";

/// The narrowest drop that names every key of the rule that the writes of a route changed. `writes` are those. It
/// names keys by what the writes hold only where some keys that it spares were seen to stay as they were:
/// otherwise nothing says that the others would.
pub fn drop_for(rule: &Rule, writes: &[&Write]) -> String {
    let of_rule = |write: &'_ Write| -> Vec<usize> {
        let cases = write.cases.iter().enumerate();
        cases
            .filter(|(_, case)| case.rule == rule.index)
            .map(|(at, _)| at)
            .collect()
    };
    let cases: Vec<(&Write, &Case)> = writes
        .iter()
        .flat_map(|write| {
            of_rule(write)
                .into_iter()
                .map(|at| (*write, &write.cases[at]))
        })
        .collect();
    let mut named: Vec<String> = Vec::new();
    let mut best = (whole(rule), 0);
    let mut left = cases.clone(); // that are named so far
    for (at, segment) in rule.key.segments.iter().enumerate() {
        if let Some(literal) = segment.literal() {
            named.push(literal.to_owned());
            continue;
        }
        let Some((text, still)) = narrowed(segment, at, &left) else {
            break;
        };
        named.push(text);
        left = still;
        let spared = cases.len() - left.len();
        if spared > best.1 {
            let below = (at + 1 < rule.key.segments.len()).then(|| "*".to_owned());
            let segments: Vec<String> = named.iter().cloned().chain(below).collect();
            best = (segments.join(":"), spared);
        }
    }
    best.0
}

/// All keys of a rule.
pub fn whole(rule: &Rule) -> String {
    let literals = rule.key.segments.iter().map_while(Segment::literal);
    let mut segments: Vec<&str> = literals.collect();
    if segments.len() < rule.key.segments.len() {
        segments.push("*");
    }
    segments.join(":")
}

/// A part by which this segment names all changed cases, and the cases that it names.
fn narrowed<'c>(
    segment: &Segment,
    at: usize,
    cases: &[(&'c Write, &'c Case)],
) -> Option<(String, Vec<(&'c Write, &'c Case)>)> {
    let [Part::Value(placeholder)] = segment.parts.as_slice() else {
        return None;
    };
    if matches!(
        placeholder.source,
        Source::Query | Source::Token | Source::Body
    ) || placeholder.filters.contains(&Filter::Hash)
    {
        return None;
    }
    let changed = || cases.iter().filter(|(_, case)| case.is_changed());
    let (first, _) = changed().next()?;
    let mut names: Vec<&str> = first.parts.iter().map(|(name, _)| base(name)).collect();
    names.sort_by_key(|name| far(name)); // stable: those nearer the top of a document first
    names.dedup();
    let names_case = |name: &str, (write, case): &(&Write, &Case)| {
        let value = case.segments.get(at);
        let mut parts = write.parts.iter();
        parts.any(|(part, is)| fits(placeholder, part, name) && Some(is) == value)
    };
    let name = names
        .into_iter()
        .find(|name| changed().all(|one| names_case(name, one)))?;
    let named = cases.iter().filter(|one| names_case(name, one));
    let filters = placeholder.filters.iter();
    let filters: String = filters
        .map(|filter| format!(" | {}", filter.name()))
        .collect();
    Some((format!("{{{name}{filters}}}"), named.copied().collect()))
}

/// Whether a part is what a drop by this name would make of it, filtered as the key filters.
fn fits(placeholder: &Placeholder, part: &str, name: &str) -> bool {
    let may_be_lowered = placeholder.filters.contains(&Filter::Lower);
    base(part) == name && (may_be_lowered || !part.ends_with(LOWERED))
}

/// `{claims.role | lower}` → `claims.role`
fn base(part: &str) -> &str {
    let inner = part
        .strip_suffix(LOWERED)
        .or_else(|| part.strip_suffix('}'));
    inner.unwrap_or(part).trim_start_matches('{')
}

/// How far a drop by it has to be looked for: what the path says is known at once, what the answer says last.
fn far(name: &str) -> usize {
    let sources = ["claims.", "query.", "response.", "body."];
    let source = sources.iter().position(|source| name.starts_with(source));
    source.map_or(0, |at| at + 1)
}

#[cfg(test)]
mod tests;

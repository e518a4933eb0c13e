//! By what a drop names the keys that a write changes: all keys of a rule, or those that hold what the write holds.

use super::{Case, Write};
use crate::rules::table::Rule;
use crate::rules::template::{Filter, Part, Placeholder, Segment, Source};
use std::collections::BTreeSet;

/// Shortest value of which one write is evidence enough: two shorter ones are soon the same by chance, as a rating
/// and an id are.
const TELLING: usize = 6;

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
        let Some((text, still)) = narrowed(segment, at, &left, writes) else {
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
    writes: &[&Write],
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
    let own = own_name(placeholder);
    names.sort_by_key(|name| (!own.is_some_and(|own| is_called(name, own)), far(name))); // stable: those nearer the top first
    names.dedup();
    let names_case = |name: &str, (write, case): &(&Write, &Case)| {
        let value = case.segments.get(at);
        let mut parts = write.parts.iter();
        parts.any(|(part, is)| fits(placeholder, part, name) && Some(is) == value)
    };
    let values = || changed().filter_map(|(_, case)| case.segments.get(at));
    let name = names.into_iter().find(|name| {
        changed().all(|one| names_case(name, one))
            && is_telling(values(), placeholder, name, writes)
    })?;
    let named = cases.iter().filter(|one| names_case(name, one));
    let filters = placeholder.filters.iter();
    let filters: String = filters
        .map(|filter| format!(" | {}", filter.name()))
        .collect();
    Some((format!("{{{name}{filters}}}"), named.copied().collect()))
}

/// Whether it is no accident that a part holds these values of the keys that changed: they differ, or the only one
/// is long and not what every write holds.
fn is_telling<'v>(
    values: impl Iterator<Item = &'v String>,
    placeholder: &Placeholder,
    name: &str,
    writes: &[&Write],
) -> bool {
    let values: BTreeSet<&String> = values.collect();
    let mut values = values.into_iter();
    let (Some(only), None) = (values.next(), values.next()) else {
        return true;
    };
    let with_parts = writes.iter().filter(|write| !write.parts.is_empty());
    let holds = |write: &&&Write| {
        let mut parts = write.parts.iter();
        parts.any(|(part, is)| fits(placeholder, part, name) && is == only)
    };
    let (all, alike) = (with_parts.clone().count(), with_parts.filter(holds).count());
    only.len() >= TELLING && (all == 1 || alike < all)
}

/// What the placeholder of a key is called.
fn own_name(placeholder: &Placeholder) -> Option<&str> {
    match &placeholder.source {
        Source::Path(name) | Source::QueryName(name) | Source::Claim(name) => Some(name),
        Source::BodyField(names) => names.last().map(String::as_str),
        _ => None,
    }
}

/// Whether a part is called so, or ends with it as a word: `body.doctorId` and `doctor_id` are an `id`, `body.paid`
/// is none.
fn is_called(name: &str, own: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    let Some((before, end)) = last
        .len()
        .checked_sub(own.len())
        .and_then(|at| last.split_at_checked(at))
    else {
        return false;
    };
    let begins_a_word = before.ends_with(|letter: char| !letter.is_alphanumeric())
        || end.starts_with(char::is_uppercase);
    end.eq_ignore_ascii_case(own) && (before.is_empty() || begins_a_word)
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

/// By what a drop is named least likely by accident: what the path or the query says is what is written, then what
/// the answer says; a claim is whoever writes.
fn far(name: &str) -> usize {
    let sources = ["query.", "response.", "body.", "claims."];
    let source = sources.iter().position(|source| name.starts_with(source));
    source.map_or(0, |at| at + 1)
}

#[cfg(test)]
mod tests;

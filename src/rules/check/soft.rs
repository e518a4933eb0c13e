//! Soft drops: where they are drops like any other, and whom they show what he has just changed.

use crate::rules::file::{Draft, File};
use crate::rules::problem::Problem;
use crate::rules::read::Text;
use crate::rules::table::{Rule, Ttl};
use crate::rules::template::{Source, Template};

/// Warns of drops that are soft in word alone, and of those that delay what a person sees of his own.
pub fn check(file: &File, problems: &mut Vec<Problem>) {
    let sets = file.sets.iter().filter(|set| set.soft);
    for (drop, text) in sets.flat_map(|set| &set.drops) {
        if drop.segments.is_empty() {
            let message = "`*` drops everything for good, `soft` or not";
            let help = "name what is to be served stale, `doctors:*`";
            problems.push(Problem::warning(span(text), message, "not soft", help));
            continue;
        }
        let named = file.caches.iter().filter(|draft| draft.served());
        for draft in named.filter(|draft| names(drop, draft)) {
            problems.extend(doubtful(file, draft, text));
        }
    }
}

fn names(drop: &Template, draft: &Draft) -> bool {
    draft.template().is_some_and(|key| drop.can_name(key))
}

fn doubtful(file: &File, draft: &Draft, text: &Text) -> Option<Problem> {
    let (rule, name) = (&draft.rule, &draft.rule.name);
    if !draft.doubts.of("stale_while_revalidate") && !may_be_stale(rule) {
        let message = format!("`soft` drops `{name}` for good: it is never served stale");
        let help = format!("give `{name}` a `stale_while_revalidate`, or leave out `soft`");
        return Some(Problem::warning(span(text), message, "not soft", help));
    }
    if rule.public || !is_personal(rule) {
        return None;
    }
    if file.lacks.verify {
        let message =
            format!("`soft` drops `{name}` for good: whose answers it keeps is not verified");
        let help = "add `verify` to [identity], or leave out `soft`";
        return Some(Problem::warning(span(text), message, "not soft", help));
    }
    let message =
        format!("`{name}` is personal: people will not see at once what they have changed");
    let help = "drop it in a set without `soft`";
    Some(Problem::warning(span(text), message, "softly", help))
}

/// Where the origin says how long, it may.
fn may_be_stale(rule: &Rule) -> bool {
    match rule.stale_while_revalidate {
        Some(window) => !window.is_zero(),
        None => rule.ttl == Ttl::Origin,
    }
}

fn is_personal(rule: &Rule) -> bool {
    let mut placeholders = rule.key.placeholders();
    placeholders.any(|placeholder| matches!(placeholder.source, Source::Claim(_) | Source::Token))
}

fn span(text: &Text) -> std::ops::Range<usize> {
    text.span.clone()
}

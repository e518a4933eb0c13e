//! Who is served the same answer: what a key says of who asks, in words.

use super::Case;
use crate::asked::Asked;
use crate::rules::settings::TokenSource;
use crate::rules::template::{Part, Placeholder, Segment, Source};

/// Everybody, all of one role, or whoever a claim names.
pub(super) fn by(case: &Case<'_>, asked: &Asked) -> String {
    let rule = &asked.rule;
    if rule.public {
        return "everybody".to_owned();
    }
    let identity = case.live.table.identity.as_ref();
    let claim = identity.map_or("role", |identity| &identity.role);
    let segments = rule.key.segments.iter().zip(asked.segments());
    let is_token = |name: &str| {
        let mut tokens = identity.into_iter().flat_map(|identity| &identity.token);
        tokens.any(|token| matches!(token, TokenSource::Cookie(cookie) if cookie == name))
    };
    let keyed = segments.filter_map(|(segment, value)| whose(segment, value, &is_token));
    let listed = match &rule.roles[..] {
        _ if rule.key.tells_roles_apart(claim, &rule.roles) => None,
        [] => None,
        [one] => Some(format!("whose {claim} is {one}")),
        _ => Some(format!("whose {claim} is the same")),
    };
    let whose: Vec<String> = keyed.chain(listed).collect();
    match rule.key.tells_people_apart(claim) {
        _ if whose.is_empty() => "everybody who sends no credential".to_owned(),
        true => format!("callers {}", whose.join(" and ")),
        false => format!("all callers {}", whose.join(" and ")),
    }
}

/// What a segment says of who asks, if it does.
fn whose(segment: &Segment, value: &str, is_token: &impl Fn(&str) -> bool) -> Option<String> {
    let personal = |one: &Placeholder| match &one.source {
        Source::Claim(_) | Source::Token => true,
        Source::Cookie(name) => is_token(name),
        _ => false,
    };
    if !segment.placeholders().any(personal) {
        return None;
    }
    let [Part::Value(Placeholder { source, filters })] = &segment.parts[..] else {
        return Some(format!("whose {segment} is {value}"));
    };
    Some(match source {
        Source::Claim(name) if filters.is_empty() => format!("whose {name} is {value}"),
        Source::Token => "with this very token".to_owned(),
        Source::Cookie(name) => format!("with this very cookie `{name}`"),
        _ => format!("whose {segment} is {value}"),
    })
}

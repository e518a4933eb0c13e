//! Whose answer is it? A rule either says that credentials do not matter, or knows who asks.

use super::credentials::is_token_cookie;
use super::personal::{OFTEN_PERSONAL, PERSONAL, SESSIONS, route_with, takes_all_below, words};
use crate::rules::file::{Draft, File};
use crate::rules::problem::Problem;
use crate::rules::settings::TokenSource;
use crate::rules::table::{Forward, Ttl};
use crate::rules::template::{Filter, Source, Template};

/// Claims without verification, roles without identity, personal answers without an owner.
pub fn check(file: &File, problems: &mut Vec<Problem>) {
    for draft in &file.caches {
        verification(file, draft, problems);
        if draft.rule.public {
            public(file, draft, problems);
        } else if !draft.doubts.of("public") {
            owned(file, draft, problems);
        }
        if draft.template().is_some() {
            merging(draft, problems);
            sessions(file, draft, problems);
        }
        spread(file, draft, problems);
    }
    for (template, text) in file.sets.iter().flat_map(|set| &set.drops) {
        if uses_claims(template) && file.lacks.verify {
            problems.push(Problem::error(
                text.span.clone(),
                CLAIMS,
                "of a token",
                VERIFY_HELP,
            ));
        }
    }
}

pub(super) const CLAIMS: &str = "claims exist only where tokens are verified";
pub(super) const VERIFY_HELP: &str =
    "add `[identity]` with `verify = { algorithm = \"HS256\", secret = \"${JWT_SECRET}\" }`";

fn uses_claims(template: &Template) -> bool {
    template
        .placeholders()
        .any(|placeholder| matches!(placeholder.source, Source::Claim(_)))
}

fn uses_token(template: &Template) -> bool {
    template
        .placeholders()
        .any(|placeholder| placeholder.source == Source::Token)
}

fn verification(file: &File, draft: &Draft, problems: &mut Vec<Problem>) {
    let rule = &draft.rule;
    let key = draft.key.span.clone();
    if uses_claims(&rule.key) && file.lacks.verify {
        problems.push(Problem::error(
            key.clone(),
            CLAIMS,
            "of a token",
            VERIFY_HELP,
        ));
    }
    if uses_token(&rule.key) && file.lacks.identity {
        let help = "add `[identity]` with `token = [\"header:authorization\"]`";
        let message = "nothing says where the token is";
        problems.push(Problem::error(key, message, "of which token?", help));
    }
    if !rule.roles.is_empty() && file.lacks.verify {
        let message = "roles exist only where tokens are verified";
        problems.push(Problem::error(
            draft.roles_at.clone(),
            message,
            "of a token",
            VERIFY_HELP,
        ));
    }
}

fn public(file: &File, draft: &Draft, problems: &mut Vec<Problem>) {
    let rule = &draft.rule;
    let personal = |source: &Source| match source {
        Source::Claim(_) | Source::Token => true,
        Source::Cookie(name) => is_token_cookie(file, name),
        _ => false,
    };
    if rule
        .key
        .placeholders()
        .any(|placeholder| personal(&placeholder.source))
    {
        let message = "a public rule has no identity in its key";
        let help = "remove `public = true`, or the placeholder";
        problems.push(Problem::error(
            draft.key.span.clone(),
            message,
            "public, or personal?",
            help,
        ));
    }
    if let Some((at, word)) = route_with(draft, &PERSONAL) {
        let message = format!("`{word}` speaks of whoever asks, but the rule is public");
        let help =
            "everybody gets the anonymous answer; if it has an owner, key it by `{claims.…}`";
        problems.push(Problem::warning(
            draft.routes_at[at].clone(),
            message,
            "personal?",
            help,
        ));
    } else if let Some((at, word)) = route_with(draft, &OFTEN_PERSONAL) {
        let message = format!("`{word}` is often somebody's own, but the rule is public");
        let help = "if everybody may read it, all is well; else key it by `{claims.…}`";
        problems.push(Problem::warning(
            draft.routes_at[at].clone(),
            message,
            "personal?",
            help,
        ));
    }
}

/// The claim that tells roles.
pub fn role(file: &File) -> &str {
    file.identity
        .as_ref()
        .map_or("role", |identity| &identity.role)
}

/// Nobody's, or a whole role's, where the route speaks of one person.
fn owned(file: &File, draft: &Draft, problems: &mut Vec<Problem>) {
    let rule = &draft.rule;
    let Some(key) = draft.template().filter(|_| !draft.doubts.of("roles")) else {
        return;
    };
    let knows_roles = uses_claims(key) || uses_token(key) || !rule.roles.is_empty();
    if key.tells_people_apart(role(file)) {
        return;
    }
    let sharing = sharing(draft, role(file));
    if let Some((at, word)) = route_with(draft, &PERSONAL) {
        let (what, help) = match knows_roles {
            true => (sharing.as_str(), SHARED_HELP),
            false => (NOBODY, NOBODY_HELP),
        };
        let message = format!("`{word}` speaks of whoever asks, but {what}");
        problems.push(Problem::error(
            draft.routes_at[at].clone(),
            message,
            "whose?",
            help,
        ));
    } else if let Some((at, word)) = route_with(draft, &OFTEN_PERSONAL).filter(|_| knows_roles) {
        let message = format!("`{word}` is often somebody's own, but {sharing}");
        let at = draft.routes_at[at].clone();
        let help =
            format!("if the origin shows them all the same, all is well; else {SHARED_HELP}");
        problems.push(Problem::warning(at, message, "whose?", help));
    } else if file.identity.is_some() && !knows_roles {
        let message = format!("`{}` serves only callers without a credential", rule.name);
        problems.push(Problem::warning(
            draft.name_at.clone(),
            message,
            "no identity, not public",
            NOBODY_HELP,
        ));
    }
}

const NOBODY: &str = "nothing in the rule tells callers apart";
const NOBODY_HELP: &str = "add `{claims.…}` (a claim that only one person has) or `{token}` to the key; only if everybody gets the same, logged in or not: `public = true`";

/// What sets people apart whom a key does not.
pub const SHARED_HELP: &str =
    "add a claim to the key that only one person has, as `{claims.email}`, or `{token}`";

/// The claims that a key holds, each with how many placeholders stand before it.
pub fn claims(key: &Template) -> impl Iterator<Item = (usize, &str)> {
    let all = key.placeholders().enumerate();
    all.filter_map(|(nth, placeholder)| match &placeholder.source {
        Source::Claim(name) => Some((nth, name.as_str())),
        _ => None,
    })
}

/// Who would share an answer, where the key tells callers apart but not people.
fn sharing(draft: &Draft, role: &str) -> String {
    let rule = &draft.rule;
    let mut names = claims(&rule.key).map(|(_, name)| name);
    match names.next() {
        Some(name) if rule.roles.is_empty() && name != role && names.all(|name| name != role) => {
            format!("all callers with the same `{name}` would share an answer")
        }
        _ => "all callers of one role would share an answer".to_owned(),
    }
}

/// Filters by which two people, as the origin sees them, come to the same key. A role that `roles`
/// lists is spelt as it stands there.
fn merging(draft: &Draft, problems: &mut Vec<Problem>) {
    if draft.doubts.of("roles") {
        return;
    }
    for (nth, placeholder) in draft.rule.key.placeholders().enumerate() {
        let Source::Claim(name) = &placeholder.source else {
            continue;
        };
        let merges = placeholder
            .filters
            .iter()
            .any(|filter| *filter != Filter::Hash);
        let spelt = !draft.rule.roles.is_empty() && name.contains("role");
        if merges && !spelt {
            let message = format!("two spellings of `{name}` would share an answer");
            let help = "leave the filter out, unless the origin takes both for the same";
            let at = draft.key.placeholder(nth);
            problems.push(Problem::warning(at, message, "made alike", help));
        }
    }
}

/// Cookies and headers that seem to tell who asks, and that nobody has verified.
fn sessions(file: &File, draft: &Draft, problems: &mut Vec<Problem>) {
    let read = |tokens: &Vec<TokenSource>| !tokens.is_empty();
    let tokens = file.identity.as_ref().map(|identity| &identity.token);
    if !tokens.map_or(file.lacks.identity, read) {
        return; // what they are could not be read
    }
    for (nth, placeholder) in draft.rule.key.placeholders().enumerate() {
        let name = match &placeholder.source {
            Source::Cookie(name) if !is_token_cookie(file, name) => name.as_str(),
            Source::Header(name) => name.as_str(),
            _ => continue,
        };
        if !words(name)
            .iter()
            .any(|word| SESSIONS.contains(&word.as_str()))
        {
            continue;
        }
        let message =
            format!("`{name}` seems to tell who asks: its values are in the names of keys");
        let help =
            "name it in `[identity] token` and key by `{token}`, its digest; or leave it out";
        let at = draft.key.placeholder(nth);
        problems.push(Problem::warning(at, message, "a session?", help));
    }
}

/// Rules that share more than anybody has looked at: every path below one, or answers to every header.
/// With `ttl = "origin"` the origin says of each answer whether it may be shared.
fn spread(file: &File, draft: &Draft, problems: &mut Vec<Problem>) {
    let rule = &draft.rule;
    if rule.ttl == Ttl::Origin || draft.doubts.of("ttl") {
        return;
    }
    let shared = rule.public || !rule.roles.is_empty() || uses_claims(&rule.key);
    let owned = draft
        .template()
        .is_none_or(|key| key.tells_people_apart(role(file)));
    if let Some(at) = takes_all_below(draft).filter(|_| shared && !owned) {
        let message =
            "this takes every path below, also those that speak of whoever asks (`me`, `my-…`)";
        let help = "name the routes, or say `ttl = \"origin\"`, so that the origin decides";
        problems.push(Problem::warning(
            draft.routes_at[at].clone(),
            message,
            "all of them?",
            help,
        ));
    }
    if rule.public && rule.forward == Forward::All {
        let message = "with `forward = \"all\"` any header may shape what everybody is served, and only the origin's `Vary` protects";
        let help = "leave `forward` out and list headers in `vary`, or say `ttl = \"origin\"`";
        problems.push(Problem::warning(
            draft.name_at.clone(),
            message,
            "shaped by one, kept for all",
            help,
        ));
    }
}

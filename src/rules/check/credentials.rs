//! No credential stands in clear where it would be seen: in keys, which whoever looks into the store
//! can read, in URLs, which are logged, or among what an answer varies by.

use crate::rules::file::{Draft, File};
use crate::rules::problem::Problem;
use crate::rules::read::Text;
use crate::rules::settings::TokenSource;
use crate::rules::template::{Filter, Placeholder, Source, Template};
use crate::rules::warm::WarmPath;
use hyper::header::{AUTHORIZATION, COOKIE, HeaderName};

/// Keys, drops, paths to ask for and `vary` that would hold a credential.
pub fn check(file: &File, problems: &mut Vec<Problem>) {
    for draft in &file.caches {
        if let Some(key) = draft.template() {
            template(file, key, &draft.key, problems);
        }
        varying(file, draft, problems);
    }
    for (drop, text) in file.sets.iter().flat_map(|set| &set.drops) {
        template(file, drop, text, problems);
    }
    for (path, text) in file.sets.iter().flat_map(|set| &set.warm) {
        url(file, path, text, problems);
    }
}

fn template(file: &File, template: &Template, text: &Text, problems: &mut Vec<Problem>) {
    for (nth, placeholder) in template.placeholders().enumerate() {
        let Some(help) = remedy(file, placeholder) else {
            continue;
        };
        let source = &placeholder.source;
        let message = format!("`{{{source}}}` would put the credential into the key");
        let at = text.placeholder(nth);
        problems.push(Problem::error(at, message, "a credential", help));
    }
}

/// A claim of the writer may well name a page of everybody's.
fn url(file: &File, path: &WarmPath, text: &Text, problems: &mut Vec<Problem>) {
    for (nth, placeholder) in path.placeholders().enumerate() {
        let source = &placeholder.source;
        if is_credential(file, source) {
            let message = format!("`{{{source}}}` would put the credential into a URL");
            let help = "leave the path out, or name what to ask for by `{claims.…}` or by the write's path or body";
            let at = text.placeholder(nth);
            problems.push(Problem::error(at, message, "a credential", help));
        }
    }
}

/// What to write instead of a placeholder that shows a credential.
fn remedy(file: &File, placeholder: &Placeholder) -> Option<String> {
    if !is_credential(file, &placeholder.source) {
        return None;
    }
    match &placeholder.source {
        Source::Cookie(_) if placeholder.filters.contains(&Filter::Hash) => None,
        Source::Cookie(name) => Some(format!("write `{{token}}`, or `{{cookie.{name} | hash}}`")),
        Source::Header(name) if *name == AUTHORIZATION || *name == COOKIE => {
            Some("write `{claims.…}`, `{token}` (its digest) or `{cookie.NAME}`".to_owned())
        }
        _ => Some("write `{token}` (its digest), or `{claims.…}`".to_owned()),
    }
}

fn is_credential(file: &File, source: &Source) -> bool {
    match source {
        Source::Header(name) => {
            *name == AUTHORIZATION || *name == COOKIE || carries_token(file, name)
        }
        Source::Cookie(name) => is_token_cookie(file, name),
        _ => false,
    }
}

/// Authorization and Cookie were refused when `vary` was read.
fn varying(file: &File, draft: &Draft, problems: &mut Vec<Problem>) {
    let named = draft.rule.vary.iter().zip(&draft.vary_at);
    for (name, at) in named.filter(|(name, _)| carries_token(file, name)) {
        let message =
            format!("credentials are no variants, and `[identity]` takes `{name}` for one");
        let help = "put `{claims.…}` or `{token}` into the key";
        problems.push(Problem::error(at.clone(), message, "a credential", help));
    }
}

fn tokens(file: &File) -> impl Iterator<Item = &TokenSource> {
    file.identity.iter().flat_map(|identity| &identity.token)
}

fn carries_token(file: &File, name: &HeaderName) -> bool {
    tokens(file).any(|token| matches!(token, TokenSource::Header(header) if header == name))
}

/// Whether `[identity]` takes this cookie for a credential.
pub fn is_token_cookie(file: &File, name: &str) -> bool {
    tokens(file).any(|token| matches!(token, TokenSource::Cookie(cookie) if cookie == name))
}

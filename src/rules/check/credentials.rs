//! No credential stands in clear where it would be seen: in keys, which whoever looks into the store
//! can read, or among what an answer varies by.

use crate::rules::file::{Draft, File};
use crate::rules::problem::Problem;
use crate::rules::read::Text;
use crate::rules::settings::TokenSource;
use crate::rules::template::{Filter, Placeholder, Source, Template};
use hyper::header::{AUTHORIZATION, COOKIE, HeaderName};

/// Keys, drops and `vary` that would hold a credential.
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

/// What to write instead of a placeholder that shows a credential.
fn remedy(file: &File, placeholder: &Placeholder) -> Option<String> {
    match &placeholder.source {
        Source::Header(name) if *name == AUTHORIZATION || *name == COOKIE => {
            Some("write `{claims.…}`, `{token}` (its digest) or `{cookie.NAME}`".to_owned())
        }
        Source::Header(name) if carries_token(file, name) => {
            Some("write `{token}` (its digest), or `{claims.…}`".to_owned())
        }
        Source::Cookie(name)
            if is_token_cookie(file, name) && !placeholder.filters.contains(&Filter::Hash) =>
        {
            Some(format!("write `{{token}}`, or `{{cookie.{name} | hash}}`"))
        }
        _ => None,
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

//! Whose answer is it? A rule either says that credentials do not matter, or knows who asks.

use super::credentials::is_token_cookie;
use crate::rules::file::{Draft, File};
use crate::rules::pattern::Step;
use crate::rules::problem::Problem;
use crate::rules::template::{Source, Template};

/// Words of a path that speak of whoever asks.
const PERSONAL: [&str; 7] = ["me", "my", "self", "mine", "account", "profile", "session"];

/// Claims without verification, roles without identity, personal answers without an owner.
pub fn check(file: &File, problems: &mut Vec<Problem>) {
    for draft in &file.caches {
        verification(file, draft, problems);
        if draft.rule.public {
            public(file, draft, problems);
        } else if !draft.doubts.of("public") {
            owned(file, draft, problems);
        }
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

const CLAIMS: &str = "claims exist only where tokens are verified";
const VERIFY_HELP: &str =
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
    if let Some((at, word)) = personal_route(draft) {
        let message = format!("`{word}` speaks of whoever asks, but the rule is public");
        let help =
            "everybody gets the anonymous answer; if it has an owner, key it by `{claims.…}`";
        problems.push(Problem::warning(
            draft.routes_at[at].clone(),
            message,
            "personal?",
            help,
        ));
    }
}

fn owned(file: &File, draft: &Draft, problems: &mut Vec<Problem>) {
    let rule = &draft.rule;
    let Some(key) = draft.template().filter(|_| !draft.doubts.of("roles")) else {
        return;
    };
    if uses_claims(key) || uses_token(key) || !rule.roles.is_empty() {
        return;
    }
    let help = "say `public = true` if credentials do not shape the answer; else add `{claims.…}` or `{token}` to the key, or `roles`";
    if let Some((at, word)) = personal_route(draft) {
        let message =
            format!("`{word}` speaks of whoever asks, but nothing in the rule tells callers apart");
        problems.push(Problem::error(
            draft.routes_at[at].clone(),
            message,
            "whose?",
            help,
        ));
    } else if file.identity.is_some() {
        let message = format!("`{}` serves only callers without a credential", rule.name);
        problems.push(Problem::warning(
            draft.name_at.clone(),
            message,
            "no identity, not public",
            help,
        ));
    }
}

/// The first route that seems to be about whoever asks, and the word that says so.
fn personal_route(draft: &Draft) -> Option<(usize, &str)> {
    let routes = draft.rule.routes.iter().enumerate();
    let mut literals = routes.flat_map(|(at, route)| {
        route
            .pattern
            .steps()
            .iter()
            .filter_map(move |step| match step {
                Step::Literal(text) => Some((at, text.as_str())),
                _ => None,
            })
    });
    literals.find(|(_, text)| {
        words(text)
            .iter()
            .any(|word| PERSONAL.contains(&word.as_str()))
    })
}

/// `my-appointment`, `my_appointment`, `myAppointment` → `my`, `appointment`.
fn words(text: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut lower_before = false;
    for c in text.chars() {
        if c == '-' || c == '_' || c == '.' || (c.is_ascii_uppercase() && lower_before) {
            words.push(String::new());
        }
        lower_before = c.is_ascii_lowercase();
        if c.is_ascii_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.push(c.to_ascii_lowercase());
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_where_people_split_them() {
        assert_eq!(words("my-appointment"), ["my", "appointment"]);
        assert_eq!(words("update_MyProfile"), ["update", "my", "profile"]);
        assert_eq!(words("ME"), ["me"]);
        assert_eq!(words("medicine"), ["medicine"]);
    }
}

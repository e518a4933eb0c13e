//! Roles: whom a key that knows no more than a role serves alike, and what is kept for somebody whose role
//! changes.

use super::credentials::is_token_cookie;
use super::identity::{SHARED_HELP, claims, role};
use super::personal::{OFTEN_PERSONAL, PERSONAL, STEWARDS, route_with, words};
use crate::rules::file::{Draft, File};
use crate::rules::problem::Problem;
use crate::rules::table::Ttl;
use crate::rules::template::Source;
use std::collections::HashMap;

/// Several roles under one key, a role's answers where its people have their own elsewhere, and answers that
/// outlive the role of whoever was shown them.
pub fn check(file: &File, problems: &mut Vec<Problem>) {
    let role = role(file);
    let knows_roles = |draft: &Draft| {
        !draft.rule.roles.is_empty() || claims(&draft.rule.key).any(|(_, name)| name == role)
    };
    let has_roles = file.caches.iter().any(knows_roles);
    let owners = Owners::of(file);
    let judged = |draft: &&Draft| {
        let doubts = &draft.doubts;
        let is_read = draft.template().is_some() && !doubts.of("roles") && !doubts.of("public");
        is_read && !draft.rule.public
    };
    for draft in file.caches.iter().filter(judged) {
        several(draft, role, problems);
        alike(file, draft, &owners, problems);
        if has_roles {
            outliving(file, draft, problems);
        }
    }
}

/// Several roles, and a key that does not say which: each has answers of its own then, in one place that
/// nobody reads off the key.
fn several(draft: &Draft, role: &str, problems: &mut Vec<Problem>) {
    let rule = &draft.rule;
    if rule.roles.len() < 2 || rule.key.tells_roles_apart(role, &rule.roles) {
        return;
    }
    let help = format!("write `{{claims.{role}}}` into the key");
    let at = draft.roles_at.clone();
    let all = rule.roles.join(", ");
    let message =
        format!("{all}: the key does not say which role asks, so each has answers of its own");
    problems.push(Problem::warning(
        at,
        message,
        "several roles, one key",
        help,
    ));
}

/// The rules by which people have answers of their own.
struct Owners<'f> {
    /// By role.
    of_role: HashMap<&'f str, &'f Draft>,
    /// Of everybody who is logged in.
    of_all: Option<&'f Draft>,
}

impl<'f> Owners<'f> {
    fn of(file: &'f File) -> Owners<'f> {
        let role = role(file);
        let is_owned =
            |draft: &&Draft| !draft.rule.public && draft.rule.key.tells_people_apart(role);
        let (mut of_role, mut of_all) = (HashMap::new(), None);
        for draft in file.caches.iter().filter(is_owned) {
            if draft.rule.roles.is_empty() {
                of_all.get_or_insert(draft);
            }
            for name in &draft.rule.roles {
                of_role.entry(name.as_str()).or_insert(draft);
            }
        }
        Owners { of_role, of_all }
    }

    /// The rule by which people of this role have their own. Not of who looks after what is others': he is
    /// shown the same as his like.
    fn whose(&self, name: &str) -> Option<&'f Draft> {
        let stewards = words(name);
        let is_steward = stewards
            .iter()
            .any(|word| STEWARDS.contains(&word.as_str()));
        let owned = self.of_role.get(name).copied().or(self.of_all);
        owned.filter(|_| !is_steward)
    }
}

/// One answer for a whole role, of which nobody has said that it is meant: no roles are listed, or one whose
/// people have answers of their own by another rule.
fn alike(file: &File, draft: &Draft, owners: &Owners<'_>, problems: &mut Vec<Problem>) {
    let rule = &draft.rule;
    let is_by_origin = rule.ttl == Ttl::Origin || draft.doubts.of("ttl");
    let is_told = [&PERSONAL[..], &OFTEN_PERSONAL]
        .iter()
        .any(|words| route_with(draft, words).is_some());
    if is_by_origin || is_told || !is_of_a_role(file, draft) {
        return;
    }
    let (message, help) = if rule.roles.is_empty() {
        let help =
            format!("list the `roles` that the origin shows all the same; else {SHARED_HELP}");
        (
            "all callers of one role would share an answer".to_owned(),
            help,
        )
    } else {
        let owned = |name: &String| Some((name.clone(), owners.whose(name)?));
        let Some((name, owner)) = rule.roles.iter().find_map(owned) else {
            return;
        };
        let message = format!(
            "all callers of the role {name} would share an answer; by `{}` each has his own",
            owner.rule.name
        );
        let help =
            format!("if the origin shows them all the same, all is well; else {SHARED_HELP}");
        (message, help)
    };
    let at = draft.key.span.clone();
    problems.push(Problem::warning(at, message, "whose?", help));
}

/// Whether a role, and nothing else of who asks or of the path, is what a rule's keys are made of.
fn is_of_a_role(file: &File, draft: &Draft) -> bool {
    let (key, role) = (&draft.rule.key, role(file));
    let mut sources = key.placeholders().map(|one| &one.source);
    let is_of_more = sources.any(|source| match source {
        Source::Claim(name) => name != role,
        Source::Cookie(name) => is_token_cookie(file, name),
        Source::Path(_) | Source::Token => true,
        _ => false,
    });
    let knows_role = claims(key).next().is_some() || !draft.rule.roles.is_empty();
    knows_role && !is_of_more
}

/// A key that knows who asks and not in which role, in a file by which answers hang on roles. Of one role
/// that is listed nobody else is served.
fn outliving(file: &File, draft: &Draft, problems: &mut Vec<Problem>) {
    let (rule, role) = (&draft.rule, role(file));
    let is_token = |source: &Source| match source {
        Source::Cookie(name) => is_token_cookie(file, name),
        _ => false,
    };
    let has_token = rule.key.placeholders().any(|one| is_token(&one.source));
    if !rule.roles.is_empty() || has_token || rule.key.tells_roles_apart(role, &[]) {
        return;
    }
    let Some((nth, _)) = claims(&rule.key).next() else {
        return;
    };
    let message = "without the role in the key, who changes his is served what he was shown before";
    let help = format!("put `{{claims.{role}}}` into the key too, and list `roles`");
    let at = draft.key.placeholder(nth);
    problems.push(Problem::warning(at, message, "in which role?", help));
}

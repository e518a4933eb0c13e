//! Answers that could be personal, and rules that would share them by accident.

use super::refused::{has, refused};
use super::*;

fn with_tokens(rule: String) -> String {
    rule + IDENTITY
}

fn warned(text: &str, at: &str, message: &str) {
    has(text, Severity::Warning, at, message);
    assert!(check(text).table.is_some(), "{text}");
}

/// Nothing is said of whose it is; that no set drops it is another matter.
fn sound(text: &str) {
    let of_owners = |message: &str| !message.contains("no set ever drops");
    let mut messages = check(text)
        .problems
        .into_iter()
        .map(|problem| problem.message);
    assert_eq!(messages.find(|message| of_owners(message)), None, "{text}");
    assert!(check(text).table.is_some(), "{text}");
}

#[test]
fn what_speaks_of_one_person_is_not_kept_for_a_role() {
    let me = |key: &str, more: &str| with_tokens(rule("x", "GET /user/me", key, more));
    let said = "all callers of one role would share";
    let roles = "roles = [\"PATIENT\"]";
    refused(&me("me:{claims.role}", ""), "/user/me", said);
    refused(
        &me("me:{claims.role}:{claims.iss}", roles),
        "/user/me",
        said,
    );
    refused(&me("me:all", roles), "/user/me", said);
    refused(
        &me("me:all", ""),
        "/user/me",
        "nothing in the rule tells callers apart",
    );
    sound(&me("me:{claims.role}:{claims.email}", ""));
    sound(&me("me:{token}", ""));
    let renamed = me("me:{claims.kind}", "").replace("verify =", "role = \"kind\"\nverify =");
    refused(&renamed, "/user/me", said);
}

#[test]
fn several_roles_do_not_share_an_answer_unseen() {
    let list =
        |key: &str, roles: &str| with_tokens(rule("x", "GET /a", key, &format!("roles = {roles}")));
    let both = "[\"ADMIN\", \"DOCTOR\"]";
    for key in ["a:all", "a:{claims.email}"] {
        warned(&list(key, both), "\"ADMIN\"", "answers of its own");
    }
    let alike = "[\"ADMIN\", \"DOCTOR\", \"Admin\"]";
    warned(
        &list("a:{claims.role | lower}", alike),
        "\"ADMIN\"",
        "answers of its own",
    );
    sound(&list("a:{claims.role | hash}", alike));
    sound(&list("a:{claims.role | lower}", both));
    sound(&list("a:{token}", both));
    sound(&list("a:all", "[\"ADMIN\"]"));
}

#[test]
fn spellings_that_a_filter_makes_alike_are_told() {
    let by = |key: &str, more: &str| with_tokens(rule("x", "GET /a", key, more));
    let said = "would share an answer";
    for claim in [
        "{claims.email | lower}",
        "{claims.email | trim}",
        "{claims.role | lower}",
    ] {
        warned(&by(&format!("a:{claim}:{{claims.sub}}"), ""), claim, said);
    }
    sound(&by(
        "a:{claims.role | lower}:{claims.sub | hash}",
        "roles = [\"ADMIN\"]",
    ));
}

#[test]
fn a_session_in_a_key_that_nothing_verifies_is_told() {
    for (name, key) in [
        ("sid", "a:{cookie.connect.sid}"),
        ("session_id", "a:{cookie.session_id | hash}"),
        ("x-user-id", "a:{header.x-user-id}"),
        ("authToken", "a:{cookie.authToken}"),
    ] {
        let text = rule("x", "GET /a", key, "public = true");
        warned(&text, name, "seems to tell who asks");
    }
    sound(&rule(
        "x",
        "GET /a",
        "a:{cookie.lang}:{header.x-api-key | hash}",
        "public = true",
    ));
}

#[test]
fn what_is_often_somebodys_own_is_told_where_it_is_public() {
    for path in [
        "/cart",
        "/api/orders/{id}",
        "/notifications",
        "/user/settings",
        "/dashboard",
    ] {
        let key = if path.contains("{id}") {
            "a:{id}"
        } else {
            "a:all"
        };
        let text = rule("x", &format!("GET {path}"), key, "public = true");
        warned(&text, path, "often somebody's own");
    }
    sound(&rule(
        "x",
        "GET /doctors/ordering",
        "a:all",
        "public = true",
    ));
}

#[test]
fn what_is_often_somebodys_own_is_told_where_a_role_shares_it() {
    let by = |key: &str, more: &str| with_tokens(rule("x", "GET /api/orders", key, more));
    let said = "all callers of one role would share";
    warned(&by("a:all", "roles = [\"PATIENT\"]"), "/api/orders", said);
    warned(&by("a:{claims.role}", ""), "/api/orders", said);
    sound(&by("a:{claims.email}", "roles = [\"PATIENT\"]"));
}

#[test]
fn a_claim_that_many_have_in_common_is_no_owner() {
    for claim in [
        "tenant",
        "tenant_id",
        "orgId",
        "name",
        "given_name",
        "locale",
    ] {
        let key = format!("me:{{claims.{claim}}}");
        let text = with_tokens(rule("x", "GET /user/me", &key, ""));
        refused(&text, "/user/me", "would share an answer");
        let key = format!("me:{{claims.{claim}}}:{{claims.sub}}");
        sound(&with_tokens(rule("x", "GET /user/me", &key, "")));
    }
    for claim in [
        "sub",
        "email",
        "user_id",
        "username",
        "preferred_username",
        "phone",
    ] {
        let key = format!("me:{{claims.{claim}}}");
        sound(&with_tokens(rule("x", "GET /user/me", &key, "")));
    }
}

#[test]
fn a_rule_that_takes_every_path_below_is_told_unless_the_origin_decides() {
    let rest = |ttl: &str, more: &str| {
        with_tokens(rule("x", "GET /api/{rest*}", "a:{rest}:{query}", more)).replace("5m", ttl)
    };
    warned(
        &rest("5m", "public = true"),
        "/api/{rest*}",
        "every path below",
    );
    warned(
        &rest("5m", "roles = [\"ADMIN\"]"),
        "/api/{rest*}",
        "every path below",
    );
    sound(&rest("origin", "public = true"));
    let all = "public = true\nforward = \"all\"";
    warned(
        &rule("x", "GET /a", "a:all", all),
        "x",
        "any header may shape",
    );
    sound(&rest("origin", all));
}

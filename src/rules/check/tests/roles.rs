//! Answers that a whole role shares, and answers that outlive a role.

use super::refused::has;
use super::*;

/// Rules of a service with logins, each `(name, route, key, more)`.
fn service(rules: &[(&str, &str, &str, &str)]) -> String {
    let rules = rules
        .iter()
        .map(|(name, route, key, more)| rule(name, route, key, more));
    rules.collect::<String>() + IDENTITY
}

/// What is said of the file but that no set drops its rules, and what to do.
fn said(text: &str) -> Vec<(String, String)> {
    let checked = check(text);
    assert!(checked.table.is_some(), "{:?}", checked.problems);
    let of_owners = checked
        .problems
        .into_iter()
        .filter(|problem| !problem.message.contains("no set ever drops"));
    of_owners
        .map(|problem| (problem.message, problem.help))
        .collect()
}

const OUTLIVES: &str = "who changes his is served what he was shown before";
const SHARED: &str = "would share an answer";

#[test]
fn what_outlives_a_role_is_told_where_other_rules_go_by_roles() {
    let meta = ("meta", "GET /meta", "meta:{claims.email}", "");
    assert_eq!(said(&service(&[meta])), [], "nothing here goes by roles");
    for other in [
        ("staff", "GET /staff", "staff", "roles = [\"ADMIN\"]"),
        ("all", "GET /all/{id}", "all:{id}:{claims.role}", ""),
    ] {
        let text = service(&[meta, other]);
        has(&text, Severity::Warning, "{claims.email}", OUTLIVES);
        let [(_, help)] = &said(&text)[..] else {
            panic!("{:?}", said(&text));
        };
        assert!(help.contains("`{claims.role}`") && help.contains("list `roles`"));
        for (key, more) in [
            ("meta:{claims.role}:{claims.email}", ""),
            ("meta:{claims.email}", "roles = [\"PATIENT\"]"),
            ("meta:{token}", ""),
            ("meta:{claims.email}:{cookie.accessToken | hash}", ""),
        ] {
            let text = service(&[("meta", "GET /meta", key, more), other]);
            assert_eq!(said(&text), [], "{key} {more}");
        }
    }
    let staff = ("staff", "GET /staff", "staff", "kinds");
    let renamed = service(&[meta, staff])
        .replace("kinds", "roles = [\"ADMIN\"]")
        .replace("verify =", "role = \"kind\"\nverify =");
    let help = &said(&renamed)[0].1;
    assert!(help.contains("`{claims.kind}`"), "{help}");
}

#[test]
fn one_answer_for_a_role_is_told_unless_the_roles_are_listed() {
    let meta = |key: &str, more: &str| service(&[("meta", "GET /api/v1/meta", key, more)]);
    for key in ["meta:{claims.role}", "meta:{claims.role | lower}:{query}"] {
        has(&meta(key, ""), Severity::Warning, key, SHARED);
        assert!(said(&meta(key, ""))[0].1.starts_with("list the `roles`"));
    }
    for (key, more) in [
        ("meta:{claims.role}", "roles = [\"PATIENT\", \"ADMIN\"]"),
        ("meta:{claims.role}:{claims.email}", ""),
        ("meta:{claims.tenant}:{claims.role}", ""),
        ("meta:{token}:{claims.role}", ""),
    ] {
        assert_eq!(said(&meta(key, more)), [], "{key} {more}");
    }
    let by_id = service(&[("x", "GET /x/{id}", "x:{id}:{claims.role}", "")]);
    assert_eq!(said(&by_id), [], "which one, the path says");
    let by_origin = meta("meta:{claims.role}", "").replace("5m", "origin");
    assert_eq!(said(&by_origin), [], "the origin says who may share it");
}

#[test]
fn one_answer_for_a_listed_role_is_told_where_its_people_have_their_own_elsewhere() {
    let own = |roles: &str| {
        let key = "own:{claims.role}:{claims.email}";
        let roles = format!("roles = {roles}");
        move |meta: &str, more: &str| {
            let meta = ("meta", "GET /meta", meta, more);
            service(&[("own", "GET /own-list", key, &roles), meta]).replace("/own-list", "/list")
        }
    };
    let all = own("[\"PATIENT\", \"SUPER_ADMIN\"]");
    let of_patients =
        "all callers of the role PATIENT would share an answer; by `own` each has his own";
    for key in ["meta:{claims.role}", "meta:all"] {
        let text = all(key, "roles = [\"PATIENT\"]");
        has(&text, Severity::Warning, key, of_patients);
    }
    let both = all(
        "meta:{claims.role}",
        "roles = [\"SUPER_ADMIN\", \"PATIENT\"]",
    );
    has(&both, Severity::Warning, "meta", of_patients);
    let of_admins = all("meta:{claims.role}", "roles = [\"SUPER_ADMIN\", \"Admin\"]");
    assert_eq!(said(&of_admins), [], "administrators see the same");
    let of_doctors = all("meta:{claims.role}", "roles = [\"DOCTOR\"]");
    assert_eq!(said(&of_doctors), [], "nothing says that theirs differ");
    let of_all = own("[]")("meta:{claims.role}", "roles = [\"DOCTOR\"]");
    has(
        &of_all,
        Severity::Warning,
        "meta",
        "by `own` each has his own",
    );
}

#[test]
fn to_say_whose_it_is_comes_before_to_say_everybodys() {
    for (route, at) in [("GET /user/me", "/user/me"), ("GET /list", "x")] {
        let text = service(&[("x", route, "x:all", "")]);
        let problems = check(&text).problems;
        let help = problems
            .iter()
            .find(|problem| problem.help.contains("public = true"))
            .unwrap_or_else(|| panic!("{at}: {problems:?}"));
        assert!(help.help.starts_with("add `{claims.…}`"), "{help:?}");
    }
}

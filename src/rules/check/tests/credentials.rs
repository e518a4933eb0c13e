//! Credentials in clear, and drops that render a value otherwise than the key.

use super::refused::{has, refused};
use super::*;

const TOKENS: &str = "
[identity]
token = [\"header:x-access-token\", \"cookie:accessToken\"]
verify = { algorithm = \"HS256\", secret = \"${JWT_SECRET}\" }
";

#[test]
fn what_identity_takes_for_a_credential_stands_in_no_key_in_clear() {
    let key = |key: &str| rule("x", "GET /a", key, "") + TOKENS;
    let said = "put the credential into the key";
    for (placeholder, remedy) in [
        ("{header.X-Access-Token}", "`{token}`"),
        ("{header.x-access-token | hash}", "`{token}`"),
        ("{cookie.accessToken}", "`{cookie.accessToken | hash}`"),
        (
            "{cookie.accessToken | trim}",
            "`{cookie.accessToken | hash}`",
        ),
    ] {
        let in_key = key(&format!("a:{{claims.email}}:{placeholder}"));
        refused(&in_key, placeholder, said);
        let helps = |problem: &crate::rules::problem::Problem| problem.help.contains(remedy);
        assert!(check(&in_key).problems.iter().any(helps), "{placeholder}");
        let drop = format!("a:{{claims.email}}:{placeholder}");
        let in_drop = key("a:{claims.email}:{query}") + &set("PUT /a", &drop);
        refused(&in_drop, placeholder, said);
    }
    let vary = rule(
        "x",
        "GET /a",
        "a:{claims.email}",
        "vary = [\"accept\", \"X-Access-Token\"]",
    );
    refused(&(vary.clone() + TOKENS), "X-Access-Token", "no variants");
    assert!(check(&(vary + IDENTITY)).table.is_some());
    let hashed = key("a:{claims.email}:{cookie.accessToken | hash}:{cookie.lang}");
    assert!(check(&hashed).table.is_some());
}

#[test]
fn a_drop_that_filters_otherwise_than_the_key_is_told_what_to_write() {
    let key = "users:{body.email | trim | lower}:{body.kind}-{body.id | hash}";
    let reader = rule("x", "POST /users", key, "public = true");
    let drop = "users:{body.email}:{body.type}-{body.number | lower}";
    let text = reader.clone() + &set("PUT /users", drop);
    let said = "renders this with other filters";
    has(&text, Severity::Warning, "{body.email}", said);
    has(&text, Severity::Warning, "{body.number | lower}", said);
    let checked = check(&text);
    let helps: Vec<_> = checked
        .problems
        .iter()
        .map(|problem| &problem.help)
        .collect();
    assert_eq!(
        helps,
        [
            "write `{body.email | trim | lower}`",
            "write `{body.number | hash}`"
        ]
    );
    assert!(checked.table.is_some());
    for alike in [
        "users:{body.mail | trim | lower}:*",
        "users:someone:*",
        "users:*",
    ] {
        let text = reader.clone() + &set("PUT /users", alike);
        assert_eq!(check(&text).problems, [], "{alike}");
    }
}

#[test]
fn a_drop_for_two_rules_that_filter_differently_cannot_be_written_better() {
    let text = rule("x", "GET /a/{id}", "a:{id | lower}:x", "public = true")
        + &rule("y", "GET /b/{id}", "a:{id | trim}:y", "public = true")
        + &set("PUT /a/{id}", "a:{id}:*");
    assert_eq!(check(&text).problems, []);
}

//! Files that are wrong, and what is said about them.

use super::*;
use crate::rules::problem::Problem;
use proptest::prelude::*;

/// Asserts that a file has a problem with `message` whose caret stands under `at`.
pub(super) fn refused(text: &str, at: &str, message: &str) {
    has(text, Severity::Error, at, message);
    assert!(check(text).table.is_none(), "compiled: {text}");
}

pub(super) fn has(text: &str, severity: Severity, at: &str, message: &str) {
    let problems = check(text).problems;
    let fits = |problem: &&Problem| {
        let span = problem.span.clone().unwrap_or(0..0);
        problem.severity == severity
            && problem.message.contains(message)
            && text.get(span).is_some_and(|piece| piece.contains(at))
    };
    let shown = render("rules.toml", text, &problems, false);
    assert!(
        problems.iter().any(|problem| fits(&problem)),
        "no `{message}` at `{at}`:\n{shown}"
    );
}

#[test]
fn settings_that_cannot_be_are_refused_where_they_stand() {
    let cases = [
        ("namespace = \"a:b\"", "a:b", "namespace"),
        ("namspace = \"a\"", "namspace", "unknown"),
        ("\u{feff}namspace = \"a\"\r\nx = 1\r\n", "x", "unknown"),
        ("[proxy]\nlisten = \":80\"", ":80", "address to listen on"),
        ("[proxy]\norigin = \"http://a/api\"", "/api", "no path"),
        ("[proxy]\nidle_timeout = \"0s\"", "0s", "zero"),
        ("[proxy]\norigin_timeout = 5", "5", "string in quotes"),
        ("[proxy]\nhosts = []", "[]", "names none"),
        ("[proxy]\nhosts = \"a\"", "a", "array of strings"),
        (
            "[proxy]\nhosts = [\"http://a\"]",
            "http://a",
            "name of a host",
        ),
        ("[proxy]\ntrusted_proxies = [\"x\"]", "x", "network"),
        ("[proxy]\nrouting = \"koa\"", "koa", "cannot be this"),
        ("[proxy]\nhead_timeout = \"0s\"", "0s", "zero"),
        ("[proxy]\nmax_head = \"1KiB\"", "1KiB", "between"),
        ("[proxy]\nmax_body = \"many\"", "many", "size"),
        ("[proxy]\nmax_connections = 0", "0", "between"),
        ("[proxy]\nmax_connections = \"9\"", "9", "whole number"),
        ("[proxy]\nmax_connections_per_client = -1", "-1", "between"),
        ("[proxy]\nauto_invalidate = \"no\"", "no", "true or false"),
        (
            "[admin]\nlisten = \"0.0.0.0:9\"",
            "0.0.0.0:9",
            "needs a token",
        ),
        (
            "[admin]\nlisten = \"0.0.0.0:9\"\ntoken = \"\"",
            "0.0.0.0:9",
            "needs a token",
        ),
        (
            "[admin]\nlisten = \"0.0.0.0:8080\"\ntoken = \"x\"",
            "",
            "same address",
        ),
        ("[local]\nmax = \"1 pound\"", "pound", "size"),
        (
            "[store]\nurl = \"https://x.example\"",
            "https",
            "`rediss://` one is needed",
        ),
        (
            "[store]\nurl = \"redis-cluster://x/1\"",
            "/1",
            "no databases",
        ),
        ("[store]\nseal = \"x\"", "x", "32 bytes"),
        (
            "[store]\nseal_previous = [\"x\"]",
            "[\"x\"]",
            "without `seal`",
        ),
        (
            "[store]\nurl = \"redis://me:p@host:notaport\"",
            "notaport",
            "not a port",
        ),
        (
            "[store]\nca = \"no/such.pem\"",
            "no/such.pem",
            "cannot be read",
        ),
        ("[store]\nmax_entry = \"0B\"", "0B", "between"),
        ("[identity]\nscheme = \"raw\"", "identity", "no `token`"),
        ("[identity]\ntoken = []", "[]", "names no place"),
        (
            "[identity]\ntoken = \"bearer\"",
            "bearer",
            "where a token is",
        ),
        ("[alerts]\nwindow = \"1s\"", "1s", "between 10 s"),
        ("proxy = 1", "1", "a table"),
        ("[cache]\nname = \"x\"", "", "two brackets"),
        ("[local]\nmax = \"${UNSET}\"", "${UNSET}", "not set"),
        ("[local\nmax = \"1MiB\"", "", ""),
    ];
    for (text, at, message) in cases {
        refused(text, at, message);
    }
}

#[test]
fn a_verification_that_verifies_nothing_is_refused() {
    let cases = [
        ("algorithm = \"none\"", "none", "cannot be this"),
        (
            "algorithm = \"HS256\", secret = \"${EMPTY}\"",
            "EMPTY",
            "empty",
        ),
        ("algorithm = \"HS256\"", "", "no `secret`"),
        ("secret = \"x\"", "", "no `algorithm`"),
        (
            "algorithm = \"HS256\", public_key = \"x.pem\"",
            "x.pem",
            "not `public_key`",
        ),
        ("algorithm = \"RS256\", secret = \"x\"", "x", "not `secret`"),
        (
            "algorithm = \"RS256\", public_key = \"no/such.pem\"",
            "no/such.pem",
            "cannot be read",
        ),
        (
            "algorithm = \"HS256\", jwks = \"https://x\"",
            "https://x",
            "not `jwks`",
        ),
        (
            "algorithm = \"RS256\", jwks = \"ftp://x\"",
            "ftp://x",
            "not the address of a key set",
        ),
        (
            "algorithm = \"HS256\", secret = \"s\", audience = []",
            "[]",
            "names nobody",
        ),
    ];
    for (verify, at, message) in cases {
        refused(
            &format!("[identity]\ntoken = \"cookie:a\"\nverify = {{ {verify} }}\n"),
            at,
            message,
        );
    }
}

/// A rule with one mistake each, where its caret stands, and what is said.
pub(super) fn wrong_rules() -> Vec<(String, &'static str, &'static str)> {
    vec![
        (doctor("ttl_ = \"5m\""), "ttl_", "unknown"),
        (
            doctor("local_ttl = \"5s\"\nlocal_ttl_max = \"2s\""),
            "2s",
            "shorter than `local_ttl`",
        ),
        (doctor("local_ttl = \"2\""), "2", "a duration"),
        (doctor("refresh_ahead = -0.5"), "-0.5", "between 0 and"),
        (doctor("refresh_ahead = \"1\""), "\"1\"", "a number"),
        (doctor("statuses = [500]"), "500", "never kept"),
        (doctor("statuses = [\"200\"]"), "200", "whole number"),
        (doctor("store_if = [\"data\"]"), "data", "JSON pointer"),
        (doctor("vary = [\"cookie\"]"), "cookie", "no variants"),
        (doctor("strip = [\"*\"]"), "*", "name of a header"),
        (doctor("query = [\"page\"]"), "page", "not in the key"),
        (doctor("body = [\"a\"]"), "a", "has no body"),
        (
            doctor("roles = [\"ADMIN\"]"),
            "ADMIN",
            "tokens are verified",
        ),
        (
            rule("x", "GET /a/{id}", "a:list", ""),
            "/a/{id}",
            "is not in the key",
        ),
        (
            rule("x", "GET /a/{id}", "a:{id}:{idd}", ""),
            "idd",
            "not a parameter",
        ),
        (
            rule("x", "GET /a", "a:{response.b}", ""),
            "response.b",
            "piece of the answer",
        ),
        (
            rule("x", "GET /a", "a:{claims.email}", ""),
            "claims.email",
            "tokens are verified",
        ),
        (
            rule("x", "GET /a", "a:{token}", ""),
            "token",
            "where the token is",
        ),
        (
            rule("x", "GET /a", "a:{body.b}", ""),
            "body.b",
            "has no body",
        ),
        (
            rule("x", "GET /a", "a:{header.cookie}", ""),
            "header.cookie",
            "credential",
        ),
        (
            rule("x", "GET /a/my-list", "a:list", ""),
            "my-list",
            "tells callers apart",
        ),
        (rule("x", "get /a", "a:list", ""), "get", "not a method"),
        (rule("x", "GTE /a", "a:list", ""), "GTE", "not a method"),
        (
            rule("x", "OPTIONS /a", "a:list", ""),
            "OPTIONS",
            "never kept",
        ),
        (rule("x", "/a", "a:list", ""), "/a", "a method and a path"),
        (rule("x", "GET /a//b", "a:list", ""), "", "`//`"),
        (
            rule("a b", "GET /a", "a:list", ""),
            "a b",
            "cannot be a name",
        ),
        (rule("x", "GET /a", "a::list", ""), "", "empty"),
    ]
}

#[test]
fn rules_that_cannot_be_are_refused_where_they_stand() {
    for (text, at, message) in wrong_rules() {
        refused(&text, at, message);
    }
    refused("[[cache]]\nname = \"x\"\n", "[[cache]]", "no `match`");
    let zero = doctor("").replace("5m", "0s");
    refused(&zero, "0s", "zero");
    let ignoring = doctor("ignore_origin_cache_control = true").replace("5m", "origin");
    refused(&ignoring, "true", "cannot ignore");
    let token = rule("x", "GET /a", "a:{claims.email}", "public = true") + IDENTITY;
    refused(&token, "claims.email", "no identity in its key");
}

#[test]
fn rules_that_cannot_stand_together_are_refused() {
    let again = rule("other", "GET /DOCTOR/{name}/", "others:{name}", "");
    refused(&(doctor("") + &again), "/DOCTOR/{name}/", "same paths");
    refused(
        &(doctor("") + &rule("doctor", "GET /x", "x:y", "")),
        "doctor",
        "another cache rule",
    );
    let same_key = rule("other", "GET /x/{name}", "doctors:{name}:{name}", "");
    refused(
        &(doctor("") + &same_key),
        "doctors:{name}",
        "can be one of `doctor`",
    );
    let both = doctor("") + &set("GET /doctor/{x}", "doctors:*");
    refused(&both, "GET /doctor/{x}", "also a route of the rule");
    let shadowed = doctor("public = true") + &set("GET /doctor/pay", "doctors:*");
    refused(&shadowed, "GET /doctor/pay", "is never a write");
    let twice = doctor("") + &set("PUT /a", "doctors:*") + &set("PUT /b", "doctors:*");
    refused(&twice, "set", "another set");
}

#[test]
fn drops_that_name_nothing_are_refused_with_what_was_probably_meant() {
    let typo = doctor("") + &set("PUT /a", "doctor:details:*");
    refused(&typo, "doctor:details:*", "no rule's keys");
    let problem = check(&typo)
        .problems
        .into_iter()
        .find(|problem| problem.help.contains("mean"));
    assert!(problem.is_some_and(|problem| problem.help.contains("`doctors:details:*`")));
    let cases = [
        ("PUT /a", "doctors:details", "no rule's keys"),
        (
            "PUT /doctor/{doctorId}",
            "doctors:details:{id}",
            "not a parameter",
        ),
        ("PUT /a", "doctors:{claims.email}:*", "tokens are verified"),
        ("PUT /a", "doctors:*:x", "`*`"),
    ];
    for (on, drop, message) in cases {
        refused(&(doctor("") + &set(on, drop)), "", message);
    }
    // The key misspells what the write has, and another write has nothing of the kind.
    let misspelt = rule(
        "x",
        "GET /doctor/{doctorId}",
        "doctors:{doctorID}:{query}",
        "",
    );
    for (on, drop, meant) in [
        (
            "PUT /doctor/{doctorId}",
            "doctor:{doctorId}:*",
            "doctors:{doctorId}:*",
        ),
        ("PUT /doctor", "doctor:*", "doctors:*"),
    ] {
        let text = misspelt.clone() + &set(on, drop);
        let helps = check(&text)
            .problems
            .into_iter()
            .map(|problem| problem.help);
        let expected = format!("did you mean `{meant}`?");
        let helps: Vec<_> = helps.collect();
        assert!(helps.contains(&expected), "{on}: {helps:?}");
    }
    let commits = doctor("") + &set("PUT /a", "doctors:*") + "commits = [\"9xx\"]";
    refused(&commits, "9xx", "not a status");
}

#[test]
fn a_rule_that_could_not_be_read_does_not_make_its_drops_look_wrong() {
    let text = doctor("").replace("ttl = \"5m\"\n", "") + &set("PUT /a", "doctors:*");
    let problems = check(&text).problems;
    assert_eq!(problems.len(), 1, "{problems:?}");
}

#[test]
fn what_is_allowed_but_odd_is_a_warning() {
    let warned = |text: &str, at, message| {
        has(text, Severity::Warning, at, message);
        assert!(check(text).table.is_some(), "{text}");
    };
    warned(&doctor("public = true"), "doctor", "no set ever drops");
    warned(
        &(doctor("") + IDENTITY),
        "doctor",
        "only callers without a credential",
    );
    let me = rule("x", "GET /auth/me", "a:list", "public = true");
    warned(&me, "/auth/me", "speaks of whoever asks");
    let wide = doctor("public = true") + &set("PUT /x/{id}", "doctors:details:*");
    warned(&wide, "doctors:details:*", "wider than needed");
    let written = doctor("public = true") + &set("PATCH /doctor/{id}", "doctors:details:{id}");
    let journal = "[store]\njournal = \"owed\"\n".to_owned() + &written;
    warned(&journal, "\"owed\"", "of no use with `memory:`");
    assert_eq!(check(&written).problems, []);
    let long = doctor("public = true\nlocal_ttl = \"301s\"")
        + &set("PATCH /doctor/{id}", "doctors:details:{id}");
    warned(&long, "\"301s\"", "longer than `ttl`");
}

#[test]
fn a_rule_is_dropped_by_its_own_path_only_where_a_write_is_no_wider() {
    let advice = rule(
        "advice",
        "POST /doctor/suggestion",
        "advice:{body}",
        "public = true",
    );
    let never = |text: &str| {
        let problems = check(text).problems;
        let named = problems
            .iter()
            .filter(|problem| problem.message.contains("no set ever drops"));
        let names = named.filter_map(|problem| problem.message.split('`').nth(1));
        names.map(str::to_owned).collect::<Vec<_>>()
    };
    let list = rule("list", "GET /list", "list:all", "public = true");
    let patch = |route: &str| set(&format!("PATCH {route}"), "list:*");
    let doctors = doctor("public = true") + &advice + &list;
    assert_eq!(
        never(&(doctors.clone() + &patch("/doctor/{id}"))),
        ["advice"]
    );
    let own = doctors.clone() + &patch("/doctor/suggestion");
    assert_eq!(never(&own), [""; 0], "of both, something falls");
    let below = |route: &str| {
        let text = rule(
            "below",
            "GET /doctor/{rest*}",
            "below:{rest}",
            "public = true",
        );
        doctors.clone() + &text + &patch(route)
    };
    assert_eq!(never(&below("/doctor/{id}/photo")), ["doctor", "advice"]);
    // What is kept for these paths is the more specific rule's.
    assert_eq!(never(&below("/doctor/{id}")), ["advice", "below"]);
}

#[test]
fn a_method_that_asks_for_a_change_is_told_of_where_its_answers_are_kept() {
    for method in ["DELETE", "PUT", "PATCH"] {
        let kept = rule("x", &format!("{method} /a"), "x:a", "public = true");
        let said = format!("kept, a {method} reaches the origin only once in 5m");
        has(&kept, Severity::Warning, "/a", &said);
        let by_origin = kept.replace("5m", "origin");
        has(
            &by_origin,
            Severity::Warning,
            "/a",
            "not while its answer is kept",
        );
        let off = kept + "stage = \"off\"\n";
        let messages = check(&off)
            .problems
            .into_iter()
            .map(|problem| problem.message);
        assert!(
            !messages
                .into_iter()
                .any(|message| message.starts_with("kept, a"))
        );
    }
    let asks = rule("x", "POST /a", "x:a", "public = true");
    let messages: Vec<_> = check(&asks).problems;
    assert!(
        !messages.iter().any(|problem| problem.label == "a write?"),
        "{messages:?}"
    );
}

#[test]
fn all_problems_are_reported_at_once_in_the_order_of_the_file() {
    let text = "[proxy]\nlisten = 1\nidle_timeout = \"0s\"\nx = 1\n[[cache]]\nname = \"a\"\nmatch = \"GET a\"\nkey = \"a::b\"\nttl = \"5\"\n";
    let starts: Vec<_> = check(text)
        .problems
        .into_iter()
        .filter_map(|problem| problem.span)
        .collect();
    assert_eq!(starts.len(), 6, "{starts:?}");
    assert!(starts.is_sorted_by_key(|span| span.start), "{starts:?}");
}

#[test]
fn a_secret_that_is_missing_is_one_problem_and_not_many() {
    let text = include_str!("../../../../rules.toml");
    let checked = compile(text.as_bytes(), &|_| None, Path::new("."));
    let messages: Vec<_> = checked
        .problems
        .iter()
        .map(|problem| &problem.message)
        .collect();
    assert_eq!(messages, ["the variable `JWT_SECRET` is not set"]);
}

proptest! {
    #[test]
    fn a_damaged_file_is_judged_without_a_panic(
        at in 0_usize..14_000,
        length in 0_usize..80,
        put in "[\\[\\]{}:*|\"'=#a/ \n\u{e9}]{0,6}",
    ) {
        let text = include_str!("../../../../rules.toml");
        let boundary = |at: usize| (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
        let (start, end) = (boundary(at).unwrap_or(0), boundary(at + length).unwrap_or(0));
        let damaged = format!("{}{put}{}", &text[..start], &text[end..]);
        let checked = check(&damaged);
        let refused = checked.problems.iter().any(|problem| problem.severity == Severity::Error);
        prop_assert_eq!(checked.table.is_none(), refused);
        let shown = render("rules.toml", &damaged, &checked.problems, false);
        prop_assert_eq!(shown.is_empty(), checked.problems.is_empty());
    }
}

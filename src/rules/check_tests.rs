//! Files that are wrong, and what is said about them; files that are right, and what they become.

use super::*;
use crate::rules::problem::render;
use crate::rules::settings::{Compress, OriginAddress, StoreUrl};
use crate::rules::table::{Coalesce, NodeAt};
use hyper::Method;
use std::time::Duration;

fn env(name: &str) -> Option<String> {
    match name {
        "JWT_SECRET" => Some("a \"quoted\" secret".to_owned()),
        "EMPTY" => Some(String::new()),
        _ => None,
    }
}

fn check(text: &str) -> Checked {
    compile(text.as_bytes(), &env, Path::new("."))
}

fn table(text: &str) -> Table {
    let checked = check(text);
    let shown = render("rules.toml", text, &checked.problems, false);
    checked.table.unwrap_or_else(|| panic!("{shown}"))
}

const IDENTITY: &str = "
[identity]
token = [\"header:authorization\", \"cookie:accessToken\"]
verify = { algorithm = \"HS256\", secret = \"${JWT_SECRET}\" }
";

/// A rule with one line changed or added.
fn rule(name: &str, route: &str, key: &str, more: &str) -> String {
    format!(
        "[[cache]]\nname = \"{name}\"\nmatch = \"{route}\"\nkey = \"{key}\"\nttl = \"5m\"\n{more}\n"
    )
}

fn doctor(more: &str) -> String {
    rule("doctor", "GET /doctor/{id}", "doctors:details:{id}", more)
}

fn set(on: &str, drop: &str) -> String {
    format!("[[invalidate]]\nname = \"set\"\non = \"{on}\"\ndrop = \"{drop}\"\n")
}

/// Asserts that a file has a problem with `message` whose caret stands under `at`.
fn refused(text: &str, at: &str, message: &str) {
    has(text, Severity::Error, at, message);
    assert!(check(text).table.is_none(), "compiled: {text}");
}

fn has(text: &str, severity: Severity, at: &str, message: &str) {
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
fn the_shipped_file_compiles_without_a_problem_or_a_warning() {
    let text = include_str!("../../rules.toml");
    let checked = check(text);
    assert_eq!(
        checked.problems,
        [],
        "{}",
        render("rules.toml", text, &checked.problems, false)
    );
    let table = checked.table.expect("no problem");
    assert_eq!((table.rules.len(), table.sets.len()), (11, 13));
    let nodes = |path| {
        table
            .read(&Method::GET, path)
            .map(|found| found.what.nodes.clone())
    };
    let below = |depths: &[usize]| {
        depths
            .iter()
            .map(|depth| NodeAt::Below(*depth))
            .collect::<Vec<_>>()
    };
    assert_eq!(nodes("/api/v1/doctor"), Some(below(&[1, 2])));
    let details = [below(&[1, 2]), vec![NodeAt::Exact]].concat();
    assert_eq!(nodes("/API/v1/doctor/42/"), Some(details));
    assert_eq!(nodes("/api/v1/user/me"), Some(below(&[1, 2])));
}

#[test]
fn the_shipped_file_knows_every_read_and_write_of_the_backend() {
    let table = table(include_str!("../../rules.toml"));
    let read = |method, path| {
        table
            .read(&method, path)
            .map(|found| found.what.name.clone())
    };
    assert_eq!(
        read(Method::POST, "/api/v1/doctor/suggestion").as_deref(),
        Some("ai-suggestion")
    );
    assert_eq!(
        read(Method::HEAD, "/api/v1/meta").as_deref(),
        Some("dashboard")
    );
    assert_eq!(read(Method::GET, "/api/v1/appointment/7"), None);
    let drops = |method, path| -> Vec<String> {
        let sets = table.writes(&method, path);
        sets.iter()
            .flat_map(|set| &set.what.drops)
            .map(|drop| drop.template.to_string())
            .collect()
    };
    assert_eq!(
        drops(Method::POST, "/webhook"),
        ["appointments:*", "dashboard:*"]
    );
    assert!(drops(Method::DELETE, "/api/v1/doctor/soft/9").contains(&"ai:*".to_owned()));
    assert!(drops(Method::POST, "/api/v1/auth/login").is_empty());
    assert!(drops(Method::GET, "/api/v1/doctor").is_empty());
}

#[test]
fn an_empty_file_is_the_defaults_and_a_warning() {
    let checked = check("");
    assert_eq!(checked.problems.len(), 1);
    assert_eq!(checked.problems[0].severity, Severity::Warning);
    let table = checked.table.expect("only a warning");
    assert_eq!(table.namespace, "sidecache");
    let origin = OriginAddress::Http {
        host: "127.0.0.1".to_owned(),
        port: 5000,
    };
    assert_eq!(table.proxy.origin, origin);
    assert_eq!(
        (table.store.url, table.store.compress),
        (StoreUrl::Memory, Compress::Lz4)
    );
    assert!(table.admin.is_none() && table.identity.is_none());
}

#[test]
fn a_rule_has_its_defaults() {
    let table = table(&doctor("public = true"));
    let rule = &table.rules[0];
    assert_eq!(
        (rule.ttl, rule.negative_ttl),
        (Duration::from_secs(300), Duration::from_secs(300))
    );
    assert_eq!(
        (rule.statuses.as_slice(), rule.coalesce),
        ([200].as_slice(), Coalesce::Local)
    );
    assert_eq!(rule.strip.len(), 2);
    assert_eq!(table.longest_ttl(), Duration::from_secs(300));
}

#[test]
fn a_variable_may_hold_quotes() {
    let table = table(IDENTITY);
    let verify = table
        .identity
        .and_then(|identity| identity.verify)
        .expect("verified");
    let shown = format!("{verify:?}");
    assert!(!shown.contains("quoted"), "{shown}");
}

#[test]
fn settings_that_cannot_be_are_refused_where_they_stand() {
    let cases = [
        ("namespace = \"a:b\"", "a:b", "namespace"),
        ("namspace = \"a\"", "namspace", "unknown"),
        ("[proxy]\nlisten = \":80\"", ":80", "address to listen on"),
        ("[proxy]\norigin = \"http://a/api\"", "/api", "no path"),
        ("[proxy]\nidle_timeout = \"0s\"", "0s", "zero"),
        ("[proxy]\norigin_timeout = 5", "5", "string in quotes"),
        ("[proxy]\nhosts = \"a\"", "a", "array of strings"),
        (
            "[proxy]\nhosts = [\"http://a\"]",
            "http://a",
            "name of a host",
        ),
        ("[proxy]\ntrusted_proxies = [\"x\"]", "x", "network"),
        ("[proxy]\nrouting = \"koa\"", "koa", "cannot be this"),
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
            "[store]\nurl = \"redis-cluster://x\"",
            "cluster",
            "not supported",
        ),
        ("[store]\nseal = \"x\"", "seal", "not supported"),
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
        ("[limit]\nname = \"x\"", "limit", "not supported"),
        ("[[limit]]\nname = \"x\"", "limit", "not supported"),
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
            "algorithm = \"RS256\", jwks = \"https://x\"",
            "jwks",
            "not supported",
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

#[test]
fn rules_that_cannot_be_are_refused_where_they_stand() {
    let cases = [
        (doctor("ttl_ = \"5m\""), "ttl_", "unknown"),
        (
            doctor("stale_if_error = \"5m\""),
            "stale_if_error",
            "not supported",
        ),
        (doctor("coalesce = \"fleet\""), "fleet", "not supported"),
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
    ];
    for (text, at, message) in cases {
        refused(&text, at, message);
    }
    refused("[[cache]]\nname = \"x\"\n", "[[cache]]", "no `match`");
    let zero = doctor("").replace("5m", "0s");
    refused(&zero, "0s", "zero");
    let origin = doctor("").replace("5m", "origin");
    refused(&origin, "origin", "not supported");
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
    let commits = doctor("") + &set("PUT /a", "doctors:*") + "commits = [\"9xx\"]";
    refused(&commits, "9xx", "not a status");
    refused(
        &(doctor("") + &set("PUT /a", "doctors:*") + "soft = true"),
        "soft",
        "not supported",
    );
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
    let written = doctor("public = true") + &set("PATCH /doctor/{id}", "doctors:details:{id}");
    assert_eq!(check(&written).problems, []);
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
fn a_path_finds_its_reads_its_writes_and_what_is_kept_there() {
    let text = doctor("public = true")
        + &rule("off", "GET /doctor/off", "off:x", "stage = \"off\"")
        + &rule("asked", "POST /doctor/{id}", "asked:{id}", "public = true")
        + &set("PUT /doctor/{id}", "doctors:details:{id}")
        + "[[invalidate]]\nname = \"all\"\non = [\"PUT /{r*}\", \"PUT /doctor/{x}\"]\ndrop = \"*\"\n";
    let table = table(&text);
    let found = table
        .read(&Method::HEAD, "/doctor/off")
        .expect("the rule that is on");
    assert_eq!(
        (found.what.name.as_str(), found.captures.raw("id")),
        ("doctor", Some("off"))
    );
    let writes = table.writes(&Method::PUT, "/Doctor/7");
    let named: Vec<_> = writes
        .iter()
        .map(|found| (found.what.name.as_str(), found.route))
        .collect();
    assert_eq!(named, [("set", 0), ("all", 1)]);
    let kept: Vec<_> = table
        .kept_at("/doctor/7")
        .iter()
        .map(|found| found.what.index)
        .collect();
    assert_eq!(kept, [0, 2]);
    assert!(table.kept_at("/nothing").is_empty());
}

#[test]
fn a_rendered_pattern_names_the_nearest_node_of_each_rule() {
    use NodeAt::{Below, Exact};
    let text = doctor("public = true")
        + &rule(
            "list",
            "GET /doctor",
            "doctors:list:{query}",
            "public = true",
        )
        + &rule("meta", "GET /meta", "meta", "public = true")
        + &set("PUT /a/{id}", "doctors:details:{id}")
        + "[[invalidate]]\nname = \"b\"\non = \"PUT /b\"\ndrop = \"doctors:list:*\"\n";
    let table = table(&text);
    let named = |text: &str| {
        let mut segments: Vec<String> = text.split(':').map(str::to_owned).collect();
        let wildcard = segments.pop_if(|last| last == "*").is_some();
        table.named(&segments, wildcard, None)
    };
    assert_eq!(named("*"), [(0, Below(1)), (1, Below(1)), (2, Exact)]);
    assert_eq!(named("doctors:*"), [(0, Below(1)), (1, Below(1))]);
    assert_eq!(named("doctors:list:*"), [(1, Below(2))]);
    assert_eq!(named("doctors:details:*"), [(0, Below(1))]);
    assert_eq!(named("doctors:details:7"), [(0, Exact)]);
    assert_eq!(named("doctors:list:0a"), [(1, Below(2))]);
    assert_eq!(named("meta"), [(2, Exact)]);
    assert_eq!(named("meta:*"), []);
    assert_eq!(table.named(&[], true, Some(&[1])), [(1, Below(1))]);
}

#[test]
fn a_fingerprint_changes_with_the_meaning_of_an_entry_only() {
    let fingerprint = |text: &str| table(text).rules[0].fingerprint;
    let base = fingerprint(&doctor("public = true"));
    assert_eq!(
        base,
        fingerprint(&doctor("public = true").replace("5m", "9m"))
    );
    assert_eq!(
        base,
        fingerprint(&doctor("public = true\nstage = \"observe\""))
    );
    let others = [
        doctor(""),
        doctor("public = true\nquery = []"),
        doctor("public = true\nstore_if = [\"/data\"]"),
        doctor("public = true").replace("details:", "more:"),
        doctor("public = true").replace("GET /doctor", "GET /doctors"),
        doctor("public = true") + "[proxy]\nhosts = [\"a\"]",
        doctor("public = true") + IDENTITY,
        doctor("public = true") + &set("PUT /a", "doctors:details:*"),
    ];
    for other in others {
        assert_ne!(base, fingerprint(&other), "{other}");
    }
}

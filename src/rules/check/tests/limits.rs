//! Limits: what they become, and what is said of those that hold nobody back.

use super::refused::{has, refused};
use super::*;
use hyper::Method;
use std::time::Duration;

/// A limit of logins with one line changed or added.
fn limit(more: &str) -> String {
    let lines = "name = \"login\"\nmatch = \"POST /login\"\nmax = 5\nwindow = \"1m\"\n";
    let key = more.split(' ').next().unwrap_or_default();
    let kept = lines
        .lines()
        .filter(|line| more.is_empty() || !line.starts_with(&format!("{key} =")));
    let kept: Vec<&str> = kept.collect();
    format!("[[limit]]\n{}\n{more}\n", kept.join("\n"))
}

/// Messages beside the one that there is no cache rule.
fn messages(text: &str) -> Vec<String> {
    let problems = check(text).problems.into_iter();
    let messages = problems.map(|problem| problem.message);
    messages
        .filter(|message| !message.contains("no cache rule"))
        .collect()
}

#[test]
fn a_limit_counts_by_address_unless_it_says_otherwise() {
    let table = table(&limit(""));
    let limit = &table.limits[0];
    assert_eq!((limit.name.as_str(), limit.max), ("login", 5));
    assert_eq!(limit.window, Duration::from_secs(60));
    assert_eq!(limit.per.to_string(), "{client_ip}");
    assert_eq!(limit.lines.table(), Some(1));
    assert_eq!(table.holds(), "0 rules, 0 sets, 1 limit");
}

#[test]
fn every_limit_that_matches_counts_once_whatever_the_method_is_taken_for() {
    let text = limit("match = [\"POST /login\", \"POST /{rest*}\", \"GET /login\"]")
        + &limit("name = \"all\"").replace("POST /login", "GET /{rest*}")
        + &limit("name = \"head\"").replace("POST /login", "HEAD /login");
    let table = table(&text);
    let of = |methods: &[Method], path: &str| {
        let limits = table.limits_of(methods, path);
        let names = limits.iter().map(|matched| matched.what.name.clone());
        names.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(of(&[Method::POST], "/Login/"), "login");
    assert_eq!(of(&[Method::GET], "/login"), "login all");
    assert_eq!(of(&[Method::HEAD], "/login"), "login all head");
    assert_eq!(of(&[Method::GET, Method::POST], "/x"), "login all");
    assert_eq!(of(&[Method::OPTIONS], "/login"), "");
}

#[test]
fn limits_that_cannot_be_are_refused_where_they_stand() {
    let cases = [
        ("max = 0", "0", "between 1 and"),
        ("max = 1000000001", "1000000001", "between 1 and"),
        ("max = \"5\"", "\"5\"", "a whole number"),
        ("window = \"999ms\"", "999ms", "between 1s and 31d"),
        ("window = \"32d\"", "32d", "between 1s and 31d"),
        ("window = 60", "60", "a string in quotes"),
        ("name = \"a b\"", "a b", "cannot be a name"),
        ("match = \"/login\"", "/login", "a method and a path"),
        ("match = []", "[]", "names no route"),
        ("per = \"{client}\"", "{client}", "not a parameter of"),
        ("per = \"{query}\"", "query", "tell nobody apart"),
        ("per = \"{body}\"", "body", "tell nobody apart"),
        ("per = \"{response.id}\"", "response.id", "before there is"),
        ("per = \"a:*\"", "*", "cannot stand here"),
        ("per = \"{claims.sub}\"", "claims.sub", "verified"),
        ("per = \"{token}\"", "token", "where the token is"),
        (
            "per = \"{header.x-forwarded-for}\"",
            "x-forwarded-for",
            "anybody can send it",
        ),
        ("pre = \"{client_ip}\"", "pre", "unknown in [[limit]]"),
    ];
    for (more, at, message) in cases {
        refused(&limit(more), at, message);
    }
    let get = limit("per = \"{body.email}\"").replace("POST /login", "GET /login");
    refused(&get, "body.email", "has no body");
    for key in ["name", "match", "max", "window"] {
        let text = limit(&format!("{key} ="));
        let without = text.replace(&format!("{key} =\n"), "");
        refused(&without, "[[limit]]", &format!("no `{key}`"));
    }
    refused(&(limit("") + &limit("")), "login", "another limit");
    refused("[limit]\nname = \"x\"", "", "two brackets");
}

#[test]
fn all_that_is_wrong_with_a_limit_is_told_at_once_and_nothing_that_follows_from_it() {
    let text = "[[limit]]\nname = \"a b\"\nmatch = \"GTE /a\"\nper = \"{claims.}\"\nmax = 0\nwindow = \"1\"\n\
                [[limit]]\nname = \"b\"\nmatch = \"GET /b/{id}\"\nper = \"{idd}\"\nmax = 1\nwindow = \"1s\"\n";
    assert_eq!(messages(text).len(), 6, "{:?}", messages(text));
    let unread = limit("per = \"${UNSET}\"");
    let hidden = format!("[proxy]\nlisten = \"127.0.0.1:1\"\n{unread}");
    assert_eq!(messages(&hidden), ["the variable `UNSET` is not set"]);
    let torn = limit("per = = 1");
    assert_eq!(messages(&torn).len(), 1, "{:?}", messages(&torn));
}

#[test]
fn a_limit_by_what_its_clients_choose_is_doubted_unless_another_holds_them() {
    let doubted = "is never limited";
    let by = |per: &str| limit(&format!("per = \"{per}\""));
    let warned = |text: &str, at: &str| {
        has(text, Severity::Warning, at, doubted);
        assert!(check(text).table.is_some(), "{text}");
    };
    warned(&by("{header.x-api-key}"), "x-api-key");
    warned(&by("{query.user}"), "query.user");
    warned(&by("{client_ip}:{cookie.id}"), "cookie.id");
    let unverified = "[identity]\ntoken = \"header:authorization\"\n";
    warned(&(by("{token}") + unverified), "{token}");
    for sound in [
        by("{token}") + IDENTITY,
        by("{claims.sub}") + IDENTITY,
        by("{body.email | trim | lower}"),
        by("{method}"),
        by("everybody"),
        by("{header.x-api-key}") + &limit("match = \"POST /{rest*}\"").replace("login", "all"),
    ] {
        assert_eq!(messages(&sound), [""; 0], "{sound}");
    }
    let elsewhere = limit("match = \"POST /x/{rest*}\"").replace("login", "other");
    warned(&(by("{header.x-api-key}") + &elsewhere), "x-api-key");
}

#[test]
fn addresses_that_are_not_the_clients_are_told_of() {
    let behind = |proxy: &str| format!("[proxy]\n{proxy}\n{}", limit("per = \"{client_ip}\""));
    let warned = |proxy: &str, message: &str| {
        has(&behind(proxy), Severity::Warning, "client_ip", message);
    };
    warned("listen = \"unix:/run/s.sock\"", "a Unix socket has no");
    warned("listen = \"127.0.0.1:1\"", "come from this machine");
    warned("trusted_proxies = [\"0.0.0.0/0\"]", "says himself where");
    let sound = "listen = \"127.0.0.1:1\"\ntrusted_proxies = [\"127.0.0.1\"]";
    assert_eq!(messages(&behind(sound)), [""; 0]);
    let global = limit("per = \"everybody\"") + "[proxy]\nlisten = \"127.0.0.1:1\"\n";
    assert_eq!(messages(&global), [""; 0]);
}

#[test]
fn no_key_of_an_answer_can_be_a_counter() {
    let kept = |key: &str| rule("kept", "GET /{a}/{b}/{c}", key, "public = true");
    for key in ["rate-limit:login:{a}{b}-{c}", "{a}:{b}:{c}"] {
        let key = key.replace("{a}{b}-{c}", "{a}-{b}-{c}");
        refused(&(limit("") + &kept(&key)), &key, "can be a counter");
    }
    for key in ["rate-limit:other:{a}:{b}:{c}", "kept:{a}:{b}:{c}"] {
        let found = messages(&(limit("") + &kept(key)));
        let met = |message: &String| message.contains("counter");
        assert!(!found.iter().any(met), "{key}: {found:?}");
    }
}

#[test]
fn only_limits_count_by_address() {
    for key in ["a:{client_ip}", "a:{client_ip | hash}"] {
        refused(&rule("x", "GET /a", key, ""), "client_ip", "is for limits");
    }
    let drop = doctor("") + &set("PUT /a", "doctors:details:{client_ip}");
    refused(&drop, "client_ip", "is for limits");
    let route = rule("x", "GET /a/{client_ip}", "a:{client_ip}", "");
    refused(&route, "client_ip", "its own meaning");
}

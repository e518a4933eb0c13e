//! Nothing that is wrong hides anything else that is; nothing is told that follows from what was told.

use super::refused::{refused, wrong_rules};
use super::*;
use crate::rules::problem::Problem;

const SHIPPED: &str = include_str!("../../../../rules.toml");

fn messages(text: &str) -> Vec<String> {
    let problems = check(text).problems.into_iter();
    problems.map(|problem| problem.message).collect()
}

/// The lines of a file at which it is said to be wrong.
fn lines(text: &str) -> Vec<usize> {
    let line = |at: usize| text[..at].matches('\n').count();
    let problems = check(text).problems.into_iter();
    let mut lines: Vec<_> = problems
        .map(|problem| problem.span.map_or(usize::MAX, |span| line(span.start)))
        .collect();
    lines.dedup();
    lines
}

#[test]
fn eight_mistakes_in_four_tables_are_eight_problems() {
    let text = r#"
[store]
url = "redis://:hunter2@host:notaport"
timeout = "0s"

[[cache]]
name = "doctor"
match = "GET /doctor/{id}"
key = "doctors:details:{idd}"
ttl = "5 minutes"
public = true

[[cache]]
name = "list"
match = "GTE /doctor"
key = "doctors:list:{query}:{header.authorization}"
query = "page"
public = true
ttl = "5m"

[[invalidate]]
name = "written"
on = "PUT /doctor/{doctorId}"
drop = ["doctor:list:*"]
"#;
    for (at, message) in [
        ("notaport", "not a port"),
        ("0s", "zero"),
        ("{idd}", "not a parameter"),
        ("5 minutes", "not a duration"),
        ("GTE", "not a method"),
        ("{header.authorization}", "the credential"),
        ("page", "array of strings"),
        ("doctor:list:*", "no rule's keys"),
    ] {
        refused(text, at, message);
    }
    assert_eq!(check(text).problems.len(), 8, "{:?}", messages(text));
}

#[test]
fn a_ttl_that_cannot_be_read_hides_nothing_and_causes_nothing() {
    let together = [
        doctor("") + &rule("other", "GET /DOCTOR/{name}/", "others:{name}", ""),
        doctor("") + &rule("doctor", "GET /x", "x:y", ""),
        doctor("") + &rule("other", "GET /x/{name}", "doctors:{name}:{name}", ""),
        doctor("") + &set("GET /doctor/{x}", "doctors:*"),
        doctor("public = true") + &set("GET /doctor/pay", "doctors:*"),
        doctor("") + &set("PUT /a", "doctor:details:*"),
        doctor("public = true"),
        doctor("") + IDENTITY,
        doctor("vary = [\"authorization\"]") + IDENTITY,
        rule("x", "GET /auth/me", "a:list", "public = true"),
        rule("x", "GET /a", "a:{claims.email}", "public = true") + IDENTITY,
        rule("x", "GET /a", "a:{cookie.accessToken}", "") + IDENTITY,
        doctor("public = true") + &set("PUT /x/{id}", "doctors:details:*"),
        doctor("public = true") + &set("PUT /x/{id}", "doctors:details:{id | lower}"),
    ];
    let alone = wrong_rules().into_iter().map(|(text, _, _)| text);
    for text in alone.chain(together) {
        let bad = text.replacen("ttl = \"5m\"", "ttl = \"5 minutes\"", 1);
        let mut expected = messages(&text);
        expected.push("this is not a duration".to_owned());
        let mut found = messages(&bad);
        expected.sort();
        found.sort();
        assert_eq!(found, expected, "{bad}");
    }
}

/// The shipped file with each line `key = value` put through `damage`, and the line's number.
fn damaged(damage: impl Fn(&str, &str) -> String) -> Vec<(usize, String)> {
    let lines: Vec<&str> = SHIPPED.lines().collect();
    let written = |(at, line): (usize, &&str)| {
        let (key, value) = line.split_once('=')?;
        let whole = !line.starts_with('#') && !line.starts_with(' ') && !value.ends_with('[');
        let damaged = damage(key.trim(), value.trim());
        let text = [&lines[..at], &[damaged.as_str()], &lines[at + 1..]].concat();
        whole.then(|| (at, text.join("\n")))
    };
    let damaged: Vec<_> = lines.iter().enumerate().filter_map(written).collect();
    assert!(damaged.len() > 80, "{}", damaged.len());
    damaged
}

#[test]
fn a_value_that_cannot_be_read_is_wrong_at_its_own_line_only() {
    for bad in ["1.5", "\"${UNSET}\"", "[1.5]"] {
        for (at, text) in damaged(|key, _| format!("{key} = {bad}")) {
            assert_eq!(lines(&text), [at], "{:?}", messages(&text));
        }
    }
}

#[test]
fn a_misspelt_key_is_one_problem_at_its_own_line() {
    for (at, text) in damaged(|key, value| format!("{key}x = {value}")) {
        assert_eq!(lines(&text), [at], "{:?}", messages(&text));
    }
}

#[test]
fn broken_syntax_is_wrong_at_its_own_line_and_hides_nothing_in_other_tables() {
    for (at, text) in damaged(|key, value| format!("{key} = = {value}")) {
        assert_eq!(lines(&text), [at], "{:?}", messages(&text));
    }
    for header in ["[[cache]]", "[[invalidate]]", "[identity]", "[proxy]"] {
        for torn in [&header[1..], &header[..header.len() - 1]] {
            let text = SHIPPED.replacen(&format!("\n{header}\n"), &format!("\n{torn}\n"), 1);
            let at = text.lines().position(|line| line == torn).expect(torn);
            assert_eq!(lines(&text), [at], "{torn}: {:?}", messages(&text));
        }
    }
    let text = doctor("ttl = = 1") + &rule("x", "GET /a/{id}", "a:list", "public = true");
    refused(&text, "/a/{id}", "is not in the key");
}

#[test]
fn an_array_or_a_string_that_is_not_closed_is_one_problem() {
    for open in ["[\"a\"", "\"a", "'a", "\"\"\"a"] {
        for (at, text) in damaged(|key, _| format!("{key} = {open}")) {
            let problems = check(&text).problems;
            let breaks = |problem: &&Problem| problem.label == "the syntax breaks here";
            assert_eq!(problems.iter().filter(breaks).count(), 1, "{problems:?}");
            let others = problems.iter().filter(|problem| !breaks(problem));
            let line = |at: usize| text[..at].matches('\n').count();
            for problem in others {
                let span = problem.span.clone().unwrap_or_default();
                assert_eq!(line(span.start), at, "{problem:?}");
            }
        }
    }
}

#[test]
fn a_drop_is_silent_only_where_the_unreadable_key_may_be_the_one_it_means() {
    let bad = rule("bad", "GET /a", "lists::{query}", "public = true");
    let doctor = |more| {
        doctor(more) + "[[invalidate]]\nname = \"all\"\non = \"PUT /b\"\ndrop = \"doctors:*\"\n"
    };
    let fits = doctor("") + &bad + &set("PUT /a", "lists:all:*");
    assert_eq!(messages(&fits), ["a segment is empty"]);
    let typo = doctor("") + &bad + &set("PUT /a", "list:all:*");
    refused(&typo, "list:all:*", "no rule's keys");
    let unset = doctor("") + &bad.replace("lists::{query}", "${UNSET}");
    let found = messages(&(unset + &set("PUT /a", "list:all:*")));
    assert_eq!(found, ["the variable `UNSET` is not set"]);
}

#[test]
fn a_rule_is_never_dropped_only_where_no_unreadable_drop_may_name_it() {
    let never = "no set ever drops `doctor`: only time ends its answers";
    let reader = doctor("public = true");
    let told = |drop: &str| messages(&(reader.clone() + &set("PUT /a", drop)));
    assert!(!told("doctors::{x}").iter().any(|message| message == never));
    let other = rule("other", "GET /x", "lists:x", "public = true");
    let text = reader.clone() + &other + &set("PUT /a", "lists::{x}");
    assert!(messages(&text).iter().any(|message| message == never));
    let route = reader + &other + &set("PUT doctor", "lists:x");
    assert!(!messages(&route).iter().any(|message| message == never));
}

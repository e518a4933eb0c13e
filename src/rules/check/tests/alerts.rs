//! `[alerts]`: what it becomes, and what is wrong with it.

use super::refused::{has, refused};
use super::*;
use crate::rules::settings::{AlertSettings, OriginAddress};
use std::time::Duration;

fn alerts(lines: &str) -> String {
    format!(
        "{}\n[alerts]\n{lines}\n",
        doctor("query = []\npublic = true")
    )
}

fn settings(lines: &str) -> AlertSettings {
    table(&alerts(lines)).alerts.expect("it is written")
}

#[test]
fn alerts_have_defaults_and_none_are_watched_without_the_table() {
    assert_eq!(table(&doctor("query = []\npublic = true")).alerts, None);
    assert_eq!(settings(""), AlertSettings::default());
    let all = settings(
        "hit_rate_below = 0.5\np99_above = \"100ms\"\nmin_requests = 20\nwindow = \"1h\"\nwebhook = \"\"",
    );
    let wanted = AlertSettings {
        hit_rate_below: Some(0.5),
        p99_above: Some(Duration::from_millis(100)),
        min_requests: 20,
        window: Duration::from_secs(3600),
        webhook: None,
    };
    assert_eq!(all, wanted);
}

#[test]
fn a_webhook_is_an_address_and_its_path_is_a_secret() {
    let webhook = settings("webhook = \"https://hooks.example/T0/hunter2?key=hunter2\"").webhook;
    let webhook = webhook.expect("written");
    let (host, port) = ("hooks.example".to_owned(), 443);
    assert_eq!(webhook.server, OriginAddress::Https { host, port });
    assert_eq!(webhook.target.reveal(), "/T0/hunter2?key=hunter2");
    assert_eq!(webhook.shown(), "https://hooks.example:443/***");
    assert!(!format!("{webhook:?}").contains("hunter2"));
}

#[test]
fn what_no_alert_can_be_made_of_is_refused_where_it_stands() {
    let cases = [
        ("hit_rate_below = 0", "0", "no hit rate is below 0"),
        ("hit_rate_below = 1.0", "1.0", "every answer"),
        ("hit_rate_below = 50", "50", "between 0 and 1"),
        ("hit_rate_below = \"50%\"", "50%", "a number"),
        ("p99_above = \"0s\"", "0s", "zero"),
        ("p99_above = \"30s\"", "30s", "below 30 s"),
        ("p99_above = 100", "100", "string in quotes"),
        ("min_requests = 0", "0", "at least 1"),
        ("min_requests = 1.5", "1.5", "whole number"),
        ("window = \"5s\"", "5s", "between 10 s and an hour"),
        ("window = \"25s\"", "25s", "steps of 10 s"),
        ("window = \"2h\"", "2h", "between 10 s and an hour"),
        (
            "webhook = \"hooks.example/x\"",
            "hooks",
            "address of a webhook",
        ),
        ("webhook = \"ftp://a/x\"", "ftp", "address of a webhook"),
        (
            "webhook = \"https://me:pass@a/x\"",
            "pass",
            "address of a webhook",
        ),
        ("webhook = \"${NOT_SET}\"", "NOT_SET", "not set"),
        (
            "hit_rate_bellow = 0.5",
            "hit_rate_bellow",
            "unknown in [alerts]",
        ),
    ];
    for (lines, at, message) in cases {
        refused(&alerts(lines), at, message);
    }
    refused("alerts = true", "true", "must be a table");
}

#[test]
fn what_is_of_no_use_is_warned_of() {
    let cases = [
        ("min_requests = 100", "100", "no threshold"),
        ("window = \"1m\"", "1m", "no threshold"),
        (
            "hit_rate_below = 0.5\nmin_requests = 100000\nwindow = \"10s\"",
            "100000",
            "10000 requests a second",
        ),
        (
            "webhook = \"http://hooks.example/x\"",
            "http:",
            "on its way",
        ),
    ];
    for (lines, at, message) in cases {
        has(&alerts(lines), Severity::Warning, at, message);
    }
    let quiet = [
        "",
        "webhook = \"http://127.0.0.1:9/x\"",
        "hit_rate_below = 0.5\nmin_requests = 200\nwindow = \"10m\"",
    ];
    for lines in quiet {
        let said = check(&alerts(lines)).problems;
        let of_alerts = |problem: &&crate::rules::problem::Problem| {
            let at = problem.span.clone().map_or(0, |span| span.start);
            at > alerts("").find("[alerts]").expect("there")
        };
        assert_eq!(said.iter().find(of_alerts), None, "{lines}");
    }
}

#[test]
fn a_webhook_stands_in_no_problem_whatever_is_wrong_beside_it() {
    let cases = [
        "webhook = \"hunter2\"",
        "webhook = \"https://a/hunter2",
        "webhok = \"https://a/hunter2\"",
        "webhook = \"http://hooks.example/hunter2\"",
        "webhook = [\"https://a/hunter2\"]",
        "webhook = { url = \"https://a/hunter2\" }",
    ];
    for lines in cases {
        let text = alerts(lines);
        let checked = check(&text);
        assert!(!checked.problems.is_empty(), "{lines}");
        let shown = render("rules.toml", &text, &checked.problems, false);
        assert!(!shown.contains("hunter2"), "{lines}: {shown}");
    }
}

#[test]
fn alerts_are_no_part_of_the_layout() {
    let plain = table(&alerts(""));
    let other = table(&alerts("hit_rate_below = 0.5"));
    assert!(plain.layout == other.layout);
}

//! `sidecache audit`: what audits found, and what to do about it.

use super::door::{Way, run, say};
use super::table;
use serde_json::Value as Json;
use std::process::ExitCode;

/// `sidecache audit`
#[derive(clap::Args)]
pub struct Args {
    /// Prints what the door answers, as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    way: Way,
}

/// Prints what was found, below each finding what to do about it, and how many hits were held against the origin.
pub fn audit(args: &Args) -> ExitCode {
    run(async || {
        let told = args.way.door()?.get("/api/audit").await?;
        if args.json {
            say(&format!("{told:#}"));
            return Ok(ExitCode::SUCCESS);
        }
        let findings = told["findings"].as_array().map_or(&[][..], Vec::as_slice);
        if findings.is_empty() {
            say("nothing was found");
        }
        let groups = together(findings);
        for (at, group) in groups.iter().enumerate() {
            if at > 0 {
                say("");
            }
            say_group(group);
        }
        say_verified(&told);
        Ok(ExitCode::SUCCESS)
    })
}

fn text<'j>(finding: &'j Json, name: &str) -> &'j str {
    finding[name].as_str().unwrap_or("-")
}

/// Findings that one advice ends: what one write leaves stale.
fn together(findings: &[Json]) -> Vec<Vec<&Json>> {
    let mut groups: Vec<Vec<&Json>> = Vec::new();
    for finding in findings {
        let same = |group: &&mut Vec<&Json>| {
            let names = ["kind", "write", "advice"];
            names.iter().all(|name| group[0][name] == finding[name])
        };
        match groups.iter_mut().find(same) {
            Some(group) => group.push(finding),
            None => groups.push(vec![finding]),
        }
    }
    groups
}

fn say_group(group: &[&Json]) {
    let [first, ..] = group else { return };
    match text(first, "kind") {
        "stale" => {
            let write = text(first, "write");
            say(&format!(
                "stale: {write} changes what is kept by these rules, and does not drop it"
            ));
            let rows = group.iter().map(|finding| {
                let cells = [text(finding, "rule"), text(finding, "drop"), &seen(finding)];
                (cells.map(str::to_owned), Vec::new())
            });
            table::print(["RULE", "DROP", "SEEN"], rows.collect());
            say("put into the rules file:");
            text(first, "advice")
                .lines()
                .for_each(|line| say(&format!("    {line}")));
        }
        kind => {
            say(&format!("{kind}: {}", text(first, "rule")));
            notes(first)
                .iter()
                .for_each(|note| say(&format!("    {note}")));
        }
    }
}

fn seen(finding: &Json) -> String {
    let number = |name: &str| finding["evidence"][name].as_u64().unwrap_or(0);
    let seconds = number("within_ms") as f64 / 1000.0;
    let (stale, of) = (number("stale"), number("of"));
    let seen = format!("stale in {stale} of {of} cases, up to {seconds:.1} s after it");
    match (number("fetched_changed"), number("fetched_the_same")) {
        (0, _) => seen,
        (changed, same) => {
            let fetched = changed + same;
            format!("{seen}; of {fetched} fetched anew after it, {changed} had changed")
        }
    }
}

fn say_verified(told: &Json) {
    let Some(rules) = told["verified"]
        .as_object()
        .filter(|rules| !rules.is_empty())
    else {
        return;
    };
    say("\nhits held against the origin:");
    let rows = rules.iter().map(|(rule, told)| {
        let number = |name: &str| told[name].as_u64().unwrap_or(0);
        let share = |name: &str| 100.0 * told[name].as_f64().unwrap_or(0.0);
        let hits = number("stale") + number("fresh"); // those whose answers are restless among them
        let bounds = format!(
            "{:.2} % ({:.2} to {:.2})",
            share("rate"),
            share("rate_low"),
            share("rate_high")
        );
        let oldest = match number("stale") {
            0 => "-".to_owned(),
            _ => format!("{} s", number("oldest_age_s")),
        };
        let stale = number("stale").to_string();
        (
            [rule.clone(), hits.to_string(), stale, bounds, oldest],
            Vec::new(),
        )
    });
    table::print(
        ["RULE", "HITS", "STALE", "SHARE, 19 TIMES OF 20", "OLDEST"],
        rows.collect(),
    );
    if told["only_this_process"] == true {
        say("of this process alone: the fleet could not be heard");
    }
    if let Some(others) = told["processes_not_heard"].as_u64() {
        say(&format!(
            "without what {others} other processes told: the fleet has more to tell than is read at a time"
        ));
    }
}

/// What it was seen by, and what would end it.
fn notes(finding: &Json) -> Vec<String> {
    let evidence = finding["evidence"].as_object();
    let seen = evidence.map(|evidence| {
        let parts = evidence.iter().map(|(name, value)| match value {
            Json::String(text) => format!("{name} {text}"),
            other => format!("{name} {other}"),
        });
        format!("seen: {}", parts.collect::<Vec<_>>().join(", "))
    });
    let advice = finding["advice"].as_str();
    let advice = advice.map(|advice| format!("do:   {advice}"));
    seen.into_iter().chain(advice).collect()
}

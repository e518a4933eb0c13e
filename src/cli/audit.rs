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

/// Prints each finding in a line, and below it what to do about it.
pub fn audit(args: &Args) -> ExitCode {
    run(async || {
        let told = args.way.door()?.get("/api/audit").await?;
        if args.json {
            say(&format!("{told:#}"));
            return Ok(ExitCode::SUCCESS);
        }
        let findings = told["findings"].as_array().cloned().unwrap_or_default();
        if findings.is_empty() {
            say("nothing was found");
            return Ok(ExitCode::SUCCESS);
        }
        let cell = |finding: &Json, name: &str| finding[name].as_str().unwrap_or("-").to_owned();
        let rows = findings.iter().map(|finding| {
            let cells = ["kind", "rule", "write", "drop"].map(|name| cell(finding, name));
            (cells, notes(finding))
        });
        table::print(["KIND", "RULE", "WRITE", "DROP"], rows.collect());
        Ok(ExitCode::SUCCESS)
    })
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

//! `sidecache reload`: the rules file is read again.

use super::door::{Way, complain, run, say};
use crate::rules::units::counted;
use serde_json::{Value as Json, json};
use std::process::ExitCode;

/// `sidecache reload`
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    way: Way,
}

/// Has the sidecar read its own rules file, and prints what is wrong with it; status 1 then, and the
/// old rules stay.
pub fn reload(args: &Args) -> ExitCode {
    run(async || {
        let door = args.way.door()?;
        let (_, told) = door.post("/api/reload", &json!({})).await?;
        let warnings = told["warnings"].as_array().into_iter().flatten();
        for warning in warnings.filter_map(Json::as_str) {
            complain(&format!("warning: {warning}"));
        }
        let number = |name: &str| told[name].as_u64().unwrap_or_default() as usize;
        let (rules, sets) = (number("rules"), number("sets"));
        say(&format!(
            "reloaded: {}, {}",
            counted(rules, "rule"),
            counted(sets, "set")
        ));
        Ok(ExitCode::SUCCESS)
    })
}

//! `sidecache health`: whether the sidecar of a rules file answers, for a container's health check.

use super::door::{Way, complain, run, say};
use hyper::StatusCode;
use serde_json::Value as Json;
use std::process::ExitCode;

/// `sidecache health`
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    way: Way,
}

/// Asks the door whether its sidecar is ready, and says so in one line. Status 0 where it is, whatever
/// becomes of its store: it answers requests without it.
pub fn health(args: &Args) -> ExitCode {
    run(async || {
        let door = args.way.open_door()?;
        let (status, told) = door.tell("/readyz").await?;
        let Some(word) = told["status"].as_str() else {
            return Err(format!(
                "what listens at {} is no admin door: it does not say whether it is ready",
                door.address()
            ));
        };
        let line = format!("{word}: {}", state(&told));
        Ok(match status {
            StatusCode::OK => {
                say(&line);
                ExitCode::SUCCESS
            }
            _ => {
                complain(&line);
                ExitCode::FAILURE
            }
        })
    })
}

fn state(told: &Json) -> String {
    let store = told["store"].as_str().unwrap_or("unknown");
    match told["invalidations_owed"].as_u64().unwrap_or_default() {
        0 => format!("store {store}"),
        owed => format!("store {store}, {owed} invalidations owed"),
    }
}

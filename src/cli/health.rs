//! `sidecache health`: whether the sidecar of a rules file answers, for a container's health check.

use super::door::{Door, Failed, Way, complain, run, say};
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
        let (door, (status, told)) = first_told(args.way.open_doors()?).await?;
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

/// What the first of these tells that is there; where none is, what is wrong with the first.
async fn first_told(doors: Vec<Door>) -> Result<(Door, (StatusCode, Json)), Failed> {
    let mut wrong = None;
    for door in doors {
        match door.tell("/readyz").await {
            Ok(told) => return Ok((door, told)),
            Err(failed) => _ = wrong.get_or_insert(failed),
        }
    }
    Err(wrong.unwrap_or_default())
}

fn state(told: &Json) -> String {
    let store = told["store"].as_str().unwrap_or("unknown");
    match told["invalidations_owed"].as_u64().unwrap_or_default() {
        0 => format!("store {store}"),
        owed => format!("store {store}, {owed} invalidations owed"),
    }
}

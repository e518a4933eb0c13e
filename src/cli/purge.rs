//! `sidecache purge PATTERN…`: drops by hand.

use super::door::{Way, complain, run, say};
use serde_json::{Value as Json, json};
use std::process::ExitCode;

/// `sidecache purge`
#[derive(clap::Args)]
pub struct Args {
    /// What to drop: a key without the namespace (doctors:details:42), everything below one
    /// (doctors:list:*), or everything (*)
    #[arg(value_name = "PATTERN", required = true)]
    patterns: Vec<String>,
    /// Drops nothing, and says what would be dropped
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    way: Way,
}

/// Prints what was really dropped, or would be, one a line. Status 1 unless all was.
pub fn purge(args: &Args) -> ExitCode {
    run(async || {
        let door = args.way.door()?;
        let wanted = json!({ "drop": args.patterns, "dry_run": args.dry_run });
        let (_, told) = door.post("/api/purge", &wanted).await?;
        for name in names(&told["would_drop"]) {
            say(&format!("would drop {name}"));
        }
        for dropped in names(&told["dropped"]) {
            say(&format!("dropped {dropped}"));
        }
        let owed = names(&told["owed"]);
        for name in &owed {
            complain(&format!("owed {name}"));
        }
        Ok(match owed.is_empty() {
            true => ExitCode::SUCCESS,
            false => {
                complain(
                    "sidecache: the store could not be told. Until it is, this sidecar answers from the \
                     origin, and others that reach the store may answer as before: see sidecache_invalidations_owed",
                );
                ExitCode::FAILURE
            }
        })
    })
}

fn names(list: &Json) -> Vec<&str> {
    let list = list.as_array().into_iter().flatten();
    list.filter_map(Json::as_str).collect()
}

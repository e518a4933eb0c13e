//! `GET /api/propose`: which reads that pass are worth a rule.

use super::{Answer, Denied};
use crate::live::Live;
use crate::propose::{self, Given};
use crate::reply;
use crate::rules::check::compile;
use crate::rules::disk;
use crate::rules::file::MAX_FILE;
use hyper::StatusCode;
use serde_json::{Value as Json, json};
use std::path::Path;
use std::sync::Arc;
use tokio::task::spawn_blocking;
use zeroize::Zeroizing;

/// What is said where nothing is looked at.
const LOOKS_AT_NOTHING: &str = "this sidecar looks at nothing that passes: write `propose = 0.1` under [audit] of its \
                                rules file (1 where little passes), reload, and ask again once there was traffic";

/// What is said to whoever asks while it is made for somebody else.
const ONE_AT_A_TIME: &str =
    "a proposal is being made for somebody else: ask again in a few seconds";

/// What this process proposes by what it saw, to be appended to the rules file as it stands on the disk.
pub(super) async fn proposed(live: Arc<Live>, rules: &Path) -> Answer {
    let rules = rules.to_owned();
    // To judge takes a while, in which others are to be answered.
    let proposed = spawn_blocking(move || judged(&live, &rules)).await;
    let proposed = proposed.unwrap_or_else(|_| {
        let why = "the proposal ended badly; this is a bug in sidecache: please report it";
        Err(Denied::new(StatusCode::INTERNAL_SERVER_ERROR, why))
    });
    proposed.map(|told| reply::json(StatusCode::OK, &told))
}

fn judged(live: &Live, rules: &Path) -> Result<Json, Denied> {
    let Some(_leave) = live.ground.passing.to_propose() else {
        return Err(Denied::new(StatusCode::CONFLICT, ONE_AT_A_TIME));
    };
    let now = live.ground.clock.now_ms();
    let Some(seen) = live.ground.passing.seen(now) else {
        return Err(Denied::new(StatusCode::CONFLICT, LOOKS_AT_NOTHING));
    };
    let text = disk::read(rules, MAX_FILE).map_err(|error| {
        let why = format!("{} cannot be read: {error}", rules.display());
        Denied::new(StatusCode::SERVICE_UNAVAILABLE, why)
    })?;
    let text = Zeroizing::new(String::from_utf8_lossy(&text).into_owned());
    let base = rules.parent().unwrap_or(Path::new("."));
    let env = |name: &str| std::env::var(name).ok();
    let Some(table) = compile(text.as_bytes(), &env, base).table else {
        let why = format!(
            "{0} has errors, so nobody can tell what fits it: `sidecache check {0}` says which",
            rules.display()
        );
        return Err(Denied::new(StatusCode::CONFLICT, why));
    };
    let given = Given {
        table: Some(&table),
        accepts: &|more| propose::accepts(&text, base, &env, more),
    };
    let proposal = propose::propose(&seen.without_ruled(&table), &given);
    Ok(json!({
        "share": live.table.audit.propose,
        "rules": proposal.rules,
        "toml": proposal.text,
    }))
}

//! `POST /api/reload`: the rules file is read again, as at a SIGHUP.

use super::{Answer, Denied, Door};
use crate::reply;
use hyper::StatusCode;
use serde_json::json;
use std::sync::Arc;

/// Puts the rules file in force again, all of it or nothing, and says what is wrong with it where not.
pub type Reload = Box<dyn Fn() -> Result<(), String> + Send + Sync>;

impl Door {
    /// Reads the rules again, on a thread that a slow disk may hold up. A bad file changes nothing.
    pub(super) async fn reload(&self, body: &[u8]) -> Answer {
        if !matches!(body.trim_ascii(), b"" | b"{}") {
            let why = "the body is to be empty: there is nothing to choose";
            return Err(Denied::new(StatusCode::BAD_REQUEST, why));
        }
        let reload = Arc::clone(&self.reload);
        let reloaded = tokio::task::spawn_blocking(move || reload()).await;
        match reloaded {
            Ok(Ok(())) => {
                let table = &self.live.load().table;
                let answer = json!({
                    "rules": table.rules.len(),
                    "sets": table.sets.len(),
                    "warnings": table.warnings,
                });
                Ok(reply::json(StatusCode::OK, &answer))
            }
            Ok(Err(problems)) => Err(Denied::new(StatusCode::UNPROCESSABLE_ENTITY, problems)),
            Err(_) => {
                let why = "the reload ended badly; this is a bug in sidecache: please report it";
                Err(Denied::new(StatusCode::INTERNAL_SERVER_ERROR, why))
            }
        }
    }
}

//! What audits found: `GET /api/audit`, and `POST /api/release {"rule": "doctor-list"}`.

mod ended; // drops that change nothing, and answers that end too soon
mod inferred; // what follows from what was witnessed
mod lines; // what to write into the rules file
mod unused; // rules that spare nothing
mod verified; // what came of holding hits against the origin

use super::{Answer, Denied};
use crate::audit::{self, Evidence, LEAK};
use crate::live::Live;
use crate::reply;
use crate::rules::table::Rule;
use crate::store::Down;
use hyper::StatusCode;
pub(super) use inferred::Inferred;
use serde::Deserialize;
use serde_json::{Value as Json, json};
use std::sync::Arc;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Release {
    rule: String,
}

/// Every rule that is in quarantine, and why, and what came of verifying hits: one command, and what [`Inferred`] costs
/// where hits are verified. Quarantines are asked for each time: one that was ended is seen to be.
pub(super) async fn all(live: &Arc<Live>, inferred: &Inferred) -> Answer {
    let rules = live.table.rules.iter().map(Arc::as_ref);
    let audited: Vec<&Rule> = rules.filter(|rule| live.is_audited(rule)).collect();
    let held = audit::held(live, &audited).await;
    let held = held.map_err(|Down| not_now(""))?;
    let mut findings: Vec<Json> = held
        .iter()
        .map(|(rule, evidence)| shown(rule, evidence))
        .collect();
    findings.extend(unused::findings(live));
    let mut answer = json!({ "findings": findings });
    if live.verifies() {
        inferred.under(live).await.onto(&mut answer);
    }
    Ok(reply::json(StatusCode::OK, &answer))
}

fn shown(rule: &Rule, evidence: &Evidence) -> Json {
    let advice = format!(
        "answers of `{0}` differ by who asks: {1}, then POST /api/release {{\"rule\": \"{0}\"}}",
        rule.name,
        audit::remedy(rule),
    );
    json!({
        "kind": LEAK,
        "rule": rule.name,
        "write": null,
        "drop": null,
        "evidence": evidence,
        "advice": advice,
    })
}

/// Ends a quarantine in the whole fleet.
pub(super) async fn release(live: &Live, body: &[u8]) -> Answer {
    let wanted: Release = serde_json::from_slice(body).map_err(|error| {
        let why = format!("the body is to be {{\"rule\": \"NAME\"}}: {error}");
        Denied::new(StatusCode::BAD_REQUEST, why)
    })?;
    let named = |rule: &&Arc<Rule>| rule.name == wanted.rule;
    let Some(rule) = live.table.rules.iter().find(named) else {
        let why = format!("there is no rule `{}`", wanted.rule);
        return Err(Denied::new(StatusCode::NOT_FOUND, why));
    };
    let was_held = audit::release(live, rule).await;
    let was_held = was_held.map_err(|Down| not_now("; nothing was changed"))?;
    let answer = json!({ "rule": rule.name, "released": was_held });
    Ok(reply::json(StatusCode::OK, &answer))
}

fn not_now(so: &str) -> Denied {
    let why = format!("the store, where quarantines stand, cannot be asked now{so}");
    Denied::new(StatusCode::SERVICE_UNAVAILABLE, why)
}

#[cfg(test)]
mod tests;

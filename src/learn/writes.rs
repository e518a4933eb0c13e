//! The writes: made once more, and what the rules drop for each.

use super::asking::{Answer, Asker};
use super::carried::Carried;
use super::routes::Ids;
use crate::head::Head;
use crate::identity::{self, Claims, Presented};
use crate::inputs::{Inputs, Query, plain_json};
use crate::key::dropped_nodes;
use crate::live::Live;
use crate::parts;
use crate::rules::pattern::Captures;
use crate::rules::table::Drop;
use crate::traffic::{Exchange, Source};
use crate::way::Way;
use crate::write::is_automatic;
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Why a write was not measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unmeasured {
    /// It was recorded to be refused, and so it was again.
    Refused(u16),
    /// It went otherwise than recorded.
    Otherwise {
        /// What was recorded.
        recorded: Option<u16>,
        /// What it was answered now.
        now: u16,
        /// Something in it was replaced by what the origin made anew: a signature holds no longer.
        is_altered: bool,
    },
    /// Enough writes of its route were measured.
    Enough,
    /// Its body was not written down.
    NoBody,
    /// The origin did not answer it, or it can be sent by nobody.
    Failed(String),
}

/// A line of a set: its position and the line's. For a rule's own path there is no set.
pub type Line = (Option<usize>, usize);

/// A write that was made.
#[derive(PartialEq)]
pub struct Made {
    /// What a drop can be named by.
    pub parts: Vec<(String, String)>,
    /// The nodes that the rules drop for it, by what line.
    pub dropped: BTreeMap<Line, BTreeSet<String>>,
}

/// Whether a request may change something, and so is made again in its turn.
pub fn is_write(live: &Live, asker: &Asker, exchange: &Exchange) -> bool {
    let Some(head) = asker.head(live, exchange) else {
        return false;
    };
    let way = Way::of(&live.table, &head, !exchange.body.is_empty());
    matches!(way, Way::Write(_))
}

/// Makes a recorded write once more, and carries on what its answer made anew. What it came to, were it
/// measured or not.
pub async fn make(
    live: &Arc<Live>,
    asker: &Asker,
    carried: &mut Carried,
    ids: &Ids,
    recorded: &Exchange,
    source: Source,
) -> Result<Made, Unmeasured> {
    let may_have_body = source == Source::AccessLog && recorded.method != hyper::Method::DELETE;
    let is_get = recorded.method.is_safe();
    if recorded.lacks_body() || (may_have_body && !is_get) {
        return Err(Unmeasured::NoBody);
    }
    let exchange = carried.applied(recorded);
    carried.requested(recorded);
    let head = asker.head(live, &exchange);
    let head = head.ok_or_else(|| Unmeasured::Failed("the proxy would refuse it".to_owned()))?;
    let request = asker.request(&head, exchange.body.clone());
    let answer = asker.ask(request).await.map_err(Unmeasured::Failed)?;
    let before = recorded.answer.as_ref();
    if let Some(before) = before {
        carried.answered(recorded.path(), before, &answer.headers, &answer.body);
    }
    let (now, before) = (answer.status.as_u16(), before.map(|before| before.status));
    let otherwise = Unmeasured::Otherwise {
        recorded: before,
        now,
        is_altered: exchange.body != recorded.body,
    };
    match (before.map(is_done), is_done(now)) {
        (Some(false), false) => Err(Unmeasured::Refused(now)),
        (Some(false), true) | (Some(true) | None, false) => Err(otherwise),
        (Some(true) | None, true) => {
            let params = ids.route(live, recorded, exchange.path()).params;
            Ok(made(live, &head, &exchange, &answer, &params))
        }
    }
}

fn is_done(status: u16) -> bool {
    (200..400).contains(&status)
}

fn made(
    live: &Arc<Live>,
    head: &Head,
    exchange: &Exchange,
    answer: &Answer,
    params: &[(String, String)],
) -> Made {
    let body = plain_json(&exchange.headers, &exchange.body);
    let answered: Option<Json> = serde_json::from_slice(&answer.body).ok();
    let claims = claims(live, head);
    let query = Query::parse(head.parts.uri.query()).ok();
    let of = Of {
        live,
        head,
        query: query.as_ref(),
        body: body.as_ref(),
        answered: answered.as_ref(),
        claims: claims.as_ref(),
    };
    Made {
        parts: parts::of_write(
            params,
            query.as_ref(),
            body.as_ref(),
            answered.as_ref(),
            claims.as_ref(),
        ),
        dropped: of.dropped(answer.status.as_u16()),
    }
}

/// What the verified token of a write says, as the proxy reads it.
fn claims(live: &Live, head: &Head) -> Option<Claims> {
    let settings = live.table.identity.as_ref()?;
    let Presented::One(credential) = identity::presented(settings, &head.parts.headers) else {
        return None;
    };
    let now = live.ground.clock.now_ms() / 1000;
    let verifier = live.verifier.as_ref()?;
    verifier.verify(credential.token.reveal(), now).ok()
}

/// All that the lines of the rules may take from a write.
struct Of<'w> {
    live: &'w Live,
    head: &'w Head,
    query: Option<&'w Query<'w>>,
    body: Option<&'w Json>,
    answered: Option<&'w Json>,
    claims: Option<&'w Claims>,
}

impl Of<'_> {
    fn dropped(&self, status: u16) -> BTreeMap<Line, BTreeSet<String>> {
        let (table, path) = (&self.live.table, self.head.parts.uri.path());
        let mut dropped = BTreeMap::new();
        let methods = self.head.methods();
        for matched in methods.iter().flat_map(|method| table.writes(method, path)) {
            let set = matched.what;
            for (at, drop) in set.drops.iter().enumerate() {
                if set.commits.counts(status) {
                    let nodes = self.nodes(drop, &matched.captures);
                    dropped.insert((Some(set.index), at), nodes);
                }
            }
        }
        if is_automatic(table, methods) {
            for matched in table.kept_at(path) {
                let index = matched.what.index;
                let nodes = self.nodes(&table.auto_drops[index], &matched.captures);
                dropped.insert((None, index), nodes);
            }
        }
        dropped
    }

    fn nodes(&self, drop: &Drop, captures: &Captures<'_, '_>) -> BTreeSet<String> {
        let inputs = Inputs {
            method: &self.head.parts.method,
            captures,
            headers: &self.head.parts.headers,
            query: self.query,
            body: self.body,
            claims: self.claims,
            token: None,
            response: self.answered,
        };
        dropped_nodes(&self.live.table, drop, &inputs)
    }
}

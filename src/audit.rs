//! The leak guard: is what a public rule keeps really the same for everybody?
//!
//! A public answer is fetched without the credential of whoever asked. Now and then, after such a
//! fetch, the origin is asked again in the background: with the credential, without it, and, where the
//! two answers differ, once more each. Where both are equal to themselves and not to each other, the
//! answer has an owner, and the rule keeps what it must not: it is put in **quarantine**. So is one that
//! succeeds only with the credential: it was never public.
//!
//! To refuse a stranger's bad credential on an open route is no leak, not even with a 200 that
//! `store_if` keeps out, and must not become a way to switch a cache off.

use crate::asked::Asked;
use crate::body::{self, Body, Read};
use crate::digest::{Digest, Digester};
use crate::freshness::judge_body;
use crate::headers::Forwarding;
use crate::identity;
use crate::key;
use crate::live::{Ground, Live};
use crate::random;
use crate::rules::table::Rule;
use crate::store::{Bumped, Down};
use bytes::Bytes;
use hyper::header::HeaderName;
use hyper::{HeaderMap, Request, Response};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;

/// The kind of finding, as metrics and `/api/audit` call it.
pub const LEAK: &str = "leak";

/// Between two attempts to tell the fleet of a quarantine.
const TOLD_AGAIN: Duration = Duration::from_secs(1);

/// What is known of a quarantine, as the store holds it: nothing personal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// Milliseconds of Unix time.
    pub at: u64,
    /// Status of the answer with a credential, and of the one without; of a rule whose answers people share, of what one
    /// was told and of what another was.
    pub status: (u16, u16),
    /// Their lengths in bytes.
    pub length: (usize, usize),
}

/// Answers that tell how the origin is, not who asks: time-outs, limits, an origin that is away.
const OF_THE_MOMENT: [u16; 5] = [408, 429, 502, 503, 504];

fn is_success(status: u16) -> bool {
    (200..300).contains(&status)
}

/// What asking again came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    Same,
    Differs,
    /// The credential was refused; or an answer was of the moment, too long or broke off, or differs
    /// from itself.
    Unclear,
}

impl Found {
    fn word(self) -> &'static str {
        match self {
            Found::Same => "same",
            Found::Differs => "differs",
            Found::Unclear => "unclear",
        }
    }
}

/// An answer, as far as it is compared.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Answered {
    status: u16,
    length: usize,
    digest: Digest,
    /// A success that holds what the rule's `store_if` asks for.
    is_served: bool,
}

/// Counts what comes of audits from none on, for each rule of which answers may be audited: who watches for the
/// first that differs sees it come.
pub fn count_from_none(live: &Live) {
    let rules = live.table.rules.iter();
    for rule in rules.filter(|rule| live.is_audited(rule)) {
        for found in [Found::Same, Found::Differs, Found::Unclear] {
            live.ground
                .metrics
                .may_audit(&rule.name, LEAK, found.word());
        }
    }
}

/// Audits a fetch that was just made for a client, if it is one of the share that are: in the background,
/// unless enough audits are under way.
pub fn consider(
    live: &Arc<Live>,
    asked: &Arc<Asked>,
    client: &HeaderMap,
    forwarding: &Forwarding,
    vary: &[HeaderName],
) {
    // To ask twice by POST may cost what asking once does: a model's answers are billed.
    if !asked.is_get() || !asked.rule.public || !live.is_audited(&asked.rule) {
        return;
    }
    let draw = random::bytes().map_or(u32::MAX, u32::from_ne_bytes); // without randomness none is
    if f64::from(draw) / f64::from(u32::MAX) >= live.table.audit.leak {
        return;
    }
    let settings = live.table.identity.as_ref();
    if !identity::any_credential(settings, client) {
        return;
    }
    let Some(leave) = live.ground.quarantine.audit() else {
        return;
    };
    let audit = Audit {
        live: live.clone(),
        asked: asked.clone(),
        credentials: identity::credentials(settings, client),
        carriers: identity::carrier_names(settings),
        forwarding: forwarding.clone(),
        vary: vary.to_vec(),
    };
    live.ground.tasks.spawn(async move {
        audit.run().await;
        drop(leave);
    });
}

struct Audit {
    live: Arc<Live>,
    asked: Arc<Asked>,
    credentials: HeaderMap,
    carriers: Vec<HeaderName>,
    forwarding: Forwarding,
    vary: Vec<HeaderName>,
}

impl Audit {
    async fn run(self) {
        let rule = &self.asked.rule;
        let (found, evidence) = self.find().await;
        let metrics = &self.live.ground.metrics;
        metrics.audited(&rule.name, LEAK, found.word());
        if let (Found::Differs, Some(evidence)) = (found, evidence) {
            quarantine(&self.live, rule, &evidence).await;
        }
    }

    /// With and without in turn, so that a change at the origin meanwhile makes one differ from itself.
    async fn find(&self) -> (Found, Option<Evidence>) {
        let Some((with, without)) = self.pair().await else {
            return (Found::Unclear, None);
        };
        if !with.is_served {
            return (Found::Unclear, None);
        }
        if with == without {
            return (Found::Same, None);
        }
        let evidence = Evidence {
            at: self.live.ground.clock.now_ms(),
            status: (with.status, without.status),
            length: (with.length, without.length),
        };
        let again = self.pair().await;
        match again == Some((with, without)) {
            true => (Found::Differs, Some(evidence)),
            false => (Found::Unclear, None),
        }
    }

    async fn pair(&self) -> Option<(Answered, Answered)> {
        Some((self.ask(true).await?, self.ask(false).await?))
    }

    async fn ask(&self, with_credential: bool) -> Option<Answered> {
        let (mut request, _) = self.asked.fill(&self.vary, None);
        self.credential_onto(&mut request, with_credential);
        self.forwarding.onto_fill(request.headers_mut());
        let (rule, trace) = (&self.asked.rule, self.asked.trace().for_all());
        let response = self.live.ask(request, Some(rule), trace).await.ok()?;
        self.answered(response).await
    }

    /// A fill carries none, unless the rule lets everything through; one that its key names stays.
    fn credential_onto(&self, request: &mut Request<Body>, with_credential: bool) {
        let sent = request.headers_mut();
        if with_credential || self.asked.sends_everything() {
            for name in &self.carriers {
                sent.remove(name);
            }
        }
        if with_credential {
            sent.extend(self.credentials.clone());
        }
    }

    async fn answered(&self, response: Response<Body>) -> Option<Answered> {
        let table = &self.live.table;
        let status = response.status();
        if OF_THE_MOMENT.contains(&status.as_u16()) {
            return None;
        }
        let (limit, patience) = (table.store.max_entry, table.proxy.origin_timeout);
        match body::read_in_time(response.into_body(), limit, patience).await {
            Read::Whole(bytes) => Some(Answered {
                status: status.as_u16(),
                length: bytes.len(),
                digest: Digester::new("audit").part(&bytes).finish(),
                is_served: is_success(status.as_u16())
                    && judge_body(&self.asked.rule.store_if, &bytes).is_ok(),
            }),
            Read::Longer(_) | Read::Broken(_) => None,
        }
    }
}

/// A quarantine to be.
struct Order {
    ground: Ground,
    rule: String,
    flag: String,
    value: Bytes,
    nodes: Vec<String>,
}

impl Order {
    /// Whether the store could be told. Until then only this process knows, and that only as long as no
    /// look shows it otherwise.
    async fn raise(&self) -> bool {
        let store = &self.ground.store;
        let told = store.put_flag(&self.flag, self.value.clone()).await;
        self.ground.quarantine.learn(&self.rule, true);
        told.is_ok()
    }

    /// Tries until the store is told, and has what was kept meanwhile forgotten.
    async fn insist(self) {
        loop {
            tokio::time::sleep(TOLD_AGAIN).await;
            if self.raise().await {
                let _ = self.ground.store.bump(&self.nodes).await; // what is owed is paid later
                return;
            }
        }
    }
}

/// Has the whole fleet pass the rule's requests, and forgets what it keeps. The flag comes first: a fetch
/// that begins after the drop has seen it.
pub async fn quarantine(live: &Live, rule: &Rule, evidence: &Evidence) {
    let order = Order {
        ground: live.ground.clone(),
        rule: rule.name.clone(),
        flag: key::quarantine_flag(&live.table.namespace, rule),
        value: serde_json::to_vec(evidence).unwrap_or_default().into(),
        nodes: key::nodes_of_rule(&live.table, rule).into_iter().collect(),
    };
    let fleet_told = order.raise().await;
    let bumped = order.ground.store.bump(&order.nodes).await;
    tracing::error!(
        rule = rule.name,
        status = ?evidence.status,
        length = ?evidence.length,
        fleet_told,
        forgotten = bumped != Bumped::Owed,
        "answers of this rule differ by who asks: it is in quarantine and passes everything; {}, then POST \
         /api/release",
        remedy(rule)
    );
    if !fleet_told {
        tokio::spawn(order.insist()); // beside the tasks that the end of this process waits for
    }
}

/// What to do about a rule whose answers differ by who asks.
pub fn remedy(rule: &Rule) -> &'static str {
    match rule.public {
        true => "take `public = true` away and key it by its owner",
        false => "key it by its owner: people of one role are not told the same",
    }
}

/// Those of the rules that are in quarantine, each with what the store holds of it. One command for all.
///
/// # Errors
/// The store cannot be asked.
pub async fn held<'r>(live: &Live, rules: &[&'r Rule]) -> Result<Vec<(&'r Rule, Evidence)>, Down> {
    let flag = |rule: &&Rule| key::quarantine_flag(&live.table.namespace, rule);
    let flags: Vec<String> = rules.iter().map(flag).collect();
    let values = live.ground.store.flags(&flags).await?;
    let unknown = Evidence {
        at: 0,
        status: (0, 0),
        length: (0, 0),
    };
    let read = |value: Bytes| serde_json::from_slice(&value).unwrap_or_else(|_| unknown.clone());
    let all = rules.iter().zip(values);
    Ok(all
        .filter_map(|(rule, value)| Some((*rule, read(value?))))
        .collect())
}

/// Ends a quarantine in the whole fleet: says whether there was one.
///
/// # Errors
/// The store cannot be asked; the quarantine stays.
pub async fn release(live: &Live, rule: &Rule) -> Result<bool, Down> {
    let was_held = !held(live, &[rule]).await?.is_empty();
    let flag = key::quarantine_flag(&live.table.namespace, rule);
    live.ground.store.lower_flag(&flag).await?;
    let was_known = live.ground.quarantine.learn(&rule.name, false);
    tracing::warn!(rule = rule.name, "released from quarantine");
    Ok(was_held || was_known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_is_read_as_it_was_written() {
        let evidence = Evidence {
            at: 5,
            status: (200, 200),
            length: (17, 4),
        };
        let written = serde_json::to_vec(&evidence).expect("plain data");
        let read: Evidence = serde_json::from_slice(&written).expect("as written");
        assert_eq!(read, evidence);
    }
}

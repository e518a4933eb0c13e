//! Does the origin still say what a hit said?
//!
//! Now and then, after a hit, the origin is asked again in the background what a fill would ask. Where it says
//! something else, it is asked once more at once, on a new connection, which shows what of the answer never is the
//! same; and twice again a moment later, which shows what is a clock. What is kept all the while that no write is on
//! its way that would drop it, and what the origin does not say any more, is **stale**: no write that made it so dropped
//! it. It is dropped then, with all that hangs on the same node. That is what the missing line would have done, and
//! never more often than what is kept turns out to be stale.

mod noted; // the writes that are seen
mod said; // what the origin says, held against what is kept

pub use noted::{Done, may_read, wrote};

use crate::asked::Asked;
use crate::audit::{self, Evidence, LEAK};
use crate::body::{self, Read};
use crate::budget::Level;
use crate::entry::Entry;
use crate::freshness::Served;
use crate::headers::Forwarding;
use crate::key::{self, Pattern};
use crate::live::Live;
use crate::look::{Aim, Kept};
use crate::origin::Afresh;
use crate::random;
use crate::rules::table::{Stage, VERIFIED};
use crate::store::Bumped;
use crate::vary::Vary;
use crate::witness::{Id, Leave, Marked, Outcome, Sighting};
use hyper::{Method, StatusCode, header};
use said::{Said, held};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// The kind of finding, as metrics call it.
pub const VERIFY: &str = "verify";

/// How long it is waited before what seems stale is looked at again: a clock that shows seconds has moved on by then.
const SETTLES: Duration = Duration::from_secs(1);

/// What is found from now on is found under these rules. It is counted from none on: who watches for the first stale
/// answer sees it come.
pub fn begin(live: &Live) {
    live.ground.witness.begin(&live.table);
    if live.table.audit.verify == 0.0 {
        return;
    }
    let rules = live.table.rules.iter();
    for rule in rules.filter(|rule| rule.stage == Stage::On) {
        for word in Outcome::WORDS {
            live.ground.metrics.may_audit(&rule.name, VERIFY, word);
        }
    }
}

/// Verifies a hit, if it is one of the share that are: in the background, unless enough are being verified, the origin
/// is in trouble, or commands are scarce.
pub fn consider(live: &Arc<Live>, asked: &Asked, kept: &Kept, forwarding: &Forwarding) {
    let draw = random::bytes().map_or(u32::MAX, u32::from_ne_bytes); // without randomness none is
    if f64::from(draw) / f64::from(u32::MAX) >= live.table.audit.verify {
        return;
    }
    // To ask by POST may cost what asking once does; and the answer to a condition says nothing of what is kept.
    let is_plain = asked.is_get() && !asked.is_conditional();
    // What is packed cannot be compared; and what all headers of a client shape is not held against another's.
    let is_packed = kept.entry.headers.contains_key(header::CONTENT_ENCODING);
    if is_packed || asked.sends_everything() {
        return;
    }
    let is_fresh = matches!(kept.served, Served::Fresh { .. });
    if !is_plain || !is_fresh || live.ground.budget.level() > Level::Longer {
        return;
    }
    let pace = live.ground.witness.pace();
    let Some(alone) = pace.alone(id(&kept.entry)) else {
        return;
    };
    let Some(leave) = pace.verify(live.ground.clock.now_ms()) else {
        return;
    };
    let hit = Hit {
        live: live.clone(),
        entry: kept.entry.clone(),
        forwarding: forwarding.clone(),
        vary: live.vary[asked.rule.index].known(asked.place()),
        asked: asked.clone(),
    };
    // Not among the tasks that the end of this process waits for: nobody misses it.
    tokio::spawn(async move {
        hit.verify(leave).await;
        drop(alone);
    });
}

/// What tells a kept answer from all others.
fn id(entry: &Entry) -> Id {
    (entry.binding, entry.kept_at)
}

/// A hit that is verified.
struct Hit {
    live: Arc<Live>,
    asked: Asked,
    entry: Arc<Entry>,
    forwarding: Forwarding,
    vary: Arc<Vary>,
}

/// How the origin is asked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// On a connection that is open, if there is one.
    Open,
    /// On a new one: what differs by the server behind a balancer shows so.
    Afresh,
}

/// What seems to be stale.
struct Candidate {
    /// When the origin was asked first, in milliseconds of Unix time.
    asked_ms: u64,
    at: Vec<String>,
    restless: Vec<String>,
    now: Said,
}

impl Hit {
    async fn verify(self, leave: Leave) {
        let asked_ms = self.live.ground.clock.now_ms();
        let mut seen_ms = asked_ms;
        let mut told = (self.entry.status, self.entry.body.len());
        let outcome = match self.first_sight(&mut seen_ms).await {
            Ok(candidate) => {
                drop(leave);
                told = (candidate.now.status, candidate.now.body.len());
                self.look_again(candidate, seen_ms).await
            }
            Err(outcome) => outcome,
        };
        let (rule, ground) = (&self.asked.rule, &self.live.ground);
        ground.metrics.audited(&rule.name, VERIFY, outcome.word());
        let sighting = match &outcome {
            Outcome::Same | Outcome::Restless(_) => Some(self.sighting(asked_ms, None)),
            Outcome::Stale { at, .. } => Some(self.sighting(seen_ms, Some(at))),
            Outcome::Overtaken | Outcome::Unclear => None,
        };
        ground
            .witness
            .saw(&self.live.table, &rule.name, &outcome, sighting);
        if ground.witness.has_owners(&rule.name) {
            self.put_in_quarantine(told).await;
        }
        if let Outcome::Stale { at, age_ms, .. } = &outcome {
            self.drop_stale(at, *age_ms).await;
        }
    }

    /// What people of a role share is not the same for each: what is kept for one is of another status or length than what
    /// this one is told, perhaps.
    async fn put_in_quarantine(&self, (status, length): (StatusCode, usize)) {
        let (live, entry, rule) = (&self.live, &self.entry, &self.asked.rule);
        live.ground.metrics.audited(&rule.name, LEAK, "differs");
        let evidence = Evidence {
            at: live.ground.clock.now_ms(),
            status: (entry.status.as_u16(), status.as_u16()),
            length: (entry.body.len(), length),
        };
        audit::quarantine(live, rule, &evidence).await;
    }

    /// Whether what people share was fetched for who asks, a moment ago; `None` where nothing follows from it.
    fn is_own(&self, at_ms: u64) -> Option<bool> {
        if !self.live.is_of_a_role(&self.asked.rule) {
            return None;
        }
        let (person, witness) = (self.asked.person()?, &self.live.ground.witness);
        let age_ms = at_ms.saturating_sub(self.entry.kept_at);
        witness.is_own(id(&self.entry), person, age_ms)
    }

    /// Asks once, and where the answer is another one than what is kept, once more.
    async fn first_sight(&self, seen_ms: &mut u64) -> Result<Candidate, Outcome> {
        let asked_ms = *seen_ms;
        let now = self.ask(Way::Open).await.ok_or(Outcome::Unclear)?;
        *seen_ms = self.live.ground.clock.now_ms();
        if now.is(&self.entry) {
            return Err(Outcome::Same);
        }
        let again = self.ask(Way::Afresh).await.ok_or(Outcome::Unclear)?;
        let known = self.live.ground.witness.restless(&self.asked.rule.name);
        let (at, restless) = held(&Said::of(&self.entry), &now, &again, &known)?;
        // What drops it from now on comes too late: it was there, and no write was on its way that was leased.
        match self.is_under_way().await || !self.is_there().await {
            true => Err(Outcome::Overtaken),
            false => Ok(Candidate {
                asked_ms,
                at,
                restless,
                now,
            }),
        }
    }

    /// A moment later: whether the origin still says something else.
    async fn look_again(&self, candidate: Candidate, seen_ms: u64) -> Outcome {
        let between = (candidate.asked_ms, seen_ms);
        match self.still_differs(candidate).await {
            // Only the answer of some writes says what they drop.
            Ok(_) if self.was_dropped(between) => Outcome::Overtaken,
            Ok((at, restless)) => Outcome::Stale {
                at,
                restless,
                age_ms: seen_ms.saturating_sub(self.entry.kept_at),
            },
            Err(outcome) => outcome,
        }
    }

    async fn still_differs(
        &self,
        candidate: Candidate,
    ) -> Result<(Vec<String>, Vec<String>), Outcome> {
        let witness = &self.live.ground.witness;
        let waiting = witness.pace().wait().ok_or(Outcome::Unclear)?;
        sleep(SETTLES).await;
        drop(waiting);
        let _leave = witness.pace().verify_again().await;
        if witness.pace().is_troubled(self.live.ground.clock.now_ms()) {
            return Err(Outcome::Unclear);
        }
        let third = self.ask(Way::Open).await.ok_or(Outcome::Unclear)?;
        let fourth = self.ask(Way::Afresh).await.ok_or(Outcome::Unclear)?;
        let rule = &self.asked.rule.name;
        let known = [witness.restless(rule), candidate.restless.clone()].concat();
        let kept = Said::of(&self.entry);
        let (mut at, mut restless) = held(&kept, &third, &fourth, &known)?;
        let moved = match held(&candidate.now, &third, &fourth, &[]) {
            Ok((moved, _)) => moved,
            Err(_) => Vec::new(),
        };
        at.retain(|place| candidate.at.contains(place));
        let at = witness.without_clocks(rule, at, &moved);
        restless.extend(candidate.restless);
        restless.sort();
        restless.dedup();
        match at.is_empty() {
            true => Err(Outcome::Unclear), // who can tell a clock from a busy place?
            false => Ok((at, restless)),
        }
    }

    /// Whether a write is on its way that may come to drop what is kept, or nobody knows. To be asked before
    /// [`is_there`](Hit::is_there): one that ends in between has dropped it.
    async fn is_under_way(&self) -> bool {
        let key = self.asked.key(&self.vary.names);
        let ground = &self.live.ground;
        ground.witness.is_under_way(&key.nodes)
            || !matches!(ground.store.any_intent(&key.nodes).await, Ok(false))
    }

    /// Whether a write that was answered after the first of these moments, and had set out by the other, has dropped what
    /// is kept.
    fn was_dropped(&self, between: (u64, u64)) -> bool {
        let (table, rule) = (&self.live.table, &self.asked.rule);
        let key = self.asked.key(&self.vary.names);
        let marked = Marked::of(table, rule, self.asked.segments(), &key.nodes);
        let witness = &self.live.ground.witness;
        witness.has_dropped(&marked.nodes, between)
    }

    /// Whether what is kept still is.
    async fn is_there(&self) -> bool {
        let same = |now: &Entry| {
            now.kept_at == self.entry.kept_at
                && now.versions == self.entry.versions
                && now.binding == self.entry.binding
        };
        self.kept_now().await.is_some_and(|now| same(&now))
    }

    /// What is kept and fresh now.
    async fn kept_now(&self) -> Option<Arc<Entry>> {
        let (live, asked) = (&self.live, &self.asked);
        let found = Aim::of(live, asked)
            .in_store()
            .look(live, asked, None)
            .await;
        let fresh = |kept: &Kept| matches!(kept.served, Served::Fresh { .. });
        found.kept.filter(fresh).map(|kept| kept.entry)
    }

    async fn ask(&self, way: Way) -> Option<Said> {
        let (live, entry) = (&self.live, &self.entry);
        let (mut request, _) = self.asked.fill(&self.vary.names, None);
        debug_assert_eq!(*request.method(), Method::GET);
        if way == Way::Afresh {
            request.extensions_mut().insert(Afresh);
        }
        self.forwarding.onto_fill(request.headers_mut());
        let (rule, trace) = (&self.asked.rule, self.asked.trace().for_all());
        let begun = Instant::now();
        let answer = live.ask(request, Some(rule), trace).await.ok();
        if answer
            .as_ref()
            .is_some_and(|answer| answer.status().is_server_error())
        {
            let now = live.ground.clock.now_ms();
            live.ground.witness.pace().trouble(now);
        }
        let said = match answer {
            Some(response) if said::says_something(response.status(), entry.status) => {
                let status = response.status();
                let limit = live.table.store.max_entry;
                let patience = live.table.proxy.origin_timeout;
                match body::read_in_time(response.into_body(), limit, patience).await {
                    Read::Whole(body) => Some(Said { status, body }),
                    Read::Longer(_) | Read::Broken(_) => None,
                }
            }
            _ => None,
        };
        let (usual, now) = (
            Duration::from_millis(entry.took.into()),
            live.ground.clock.now_ms(),
        );
        live.ground.witness.pace().took(begun.elapsed(), usual, now);
        said
    }

    fn sighting(&self, at_ms: u64, stale_at: Option<&Vec<String>>) -> Sighting {
        let (rule, table) = (&self.asked.rule, &self.live.table);
        let key = self.asked.key(&self.vary.names);
        Sighting {
            rule: rule.name.clone(),
            key: Marked::of(table, rule, self.asked.segments(), &key.nodes),
            at_ms,
            id: id(&self.entry),
            asked_at_ms: self.entry.kept_at.saturating_sub(self.entry.took.into()),
            differs: stale_at.is_some(),
            is_hit: true,
            places: stale_at.cloned().unwrap_or_default(),
            is_own: self.is_own(at_ms),
        }
    }

    /// Drops what was found stale: the nearest node, because what other processes hold of it in their memories falls by
    /// no less.
    async fn drop_stale(&self, at: &[String], age_ms: u64) {
        let (live, asked) = (&self.live, &self.asked);
        let (ground, table, rule) = (&live.ground, &live.table, &asked.rule);
        let named = Pattern {
            segments: asked.segments().to_vec(),
            wildcard: false,
        };
        let nodes: Vec<String> = key::pattern_nodes(table, &named, Some(&[rule.index]))
            .into_iter()
            .collect();
        // What was dropped and fetched anew meanwhile is left. Under the same versions others may hold what was stale.
        let now = self.kept_now().await;
        if now.is_some_and(|now| now.versions != self.entry.versions) {
            return;
        }
        let dropped = ground.store.bump(&nodes).await != Bumped::Owed;
        live.dropped(rule.index);
        ground.metrics.invalidated(VERIFIED);
        if ground.witness.may_say(&rule.name, ground.clock.now_ms()) {
            let key = asked.key(&self.vary.names);
            tracing::warn!(
                key = key::for_logs(rule, &key.entry),
                age_s = age_ms / 1000,
                ?at,
                dropped,
                "a hit was stale: the origin says something else, and no write dropped it; see `sidecache audit`"
            );
        }
    }
}

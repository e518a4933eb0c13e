//! What follows from what was witnessed, worked out once for all who ask meanwhile and a moment later.

use super::{ended, verified};
use crate::live::{Ground, Live};
use crate::rules::table::Table;
use crate::witness::Gathered;
use serde_json::{Value as Json, json};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;
use tokio::time::Instant;

/// For how long it is told again: pages and people who look at once share it, and what comes of verifying is told to
/// the fleet every ten seconds.
const KEPT_FOR: Duration = Duration::from_secs(3);

/// And for so many times as long as it took, that however often it is asked no more than a fifth of a core goes into it.
const KEPT_TIMES: u32 = 4;

/// What was inferred last, and is told to who asks again under the same rules.
#[derive(Clone, Default)]
pub(in crate::admin) struct Inferred(Arc<Mutex<Option<Kept>>>);

struct Kept {
    /// The rules that it was inferred under.
    of: Weak<Live>,
    until: Instant,
    told: Arc<Told>,
}

/// What `GET /api/audit` tells of hits that were held against the origin.
#[derive(Default)]
pub(super) struct Told {
    pub(super) findings: Vec<Json>,
    /// See [`verified::by_rule`].
    pub(super) verified: Json,
    /// Nobody else could be heard.
    pub(super) is_alone: bool,
    /// Processes that told more than is read.
    pub(super) not_heard: usize,
}

impl Inferred {
    /// One command, and a script or some more, unless it was asked a moment ago. Whoever comes meanwhile waits for it;
    /// where the first one leaves, it is there for the next.
    pub(super) async fn under(&self, live: &Arc<Live>) -> Arc<Told> {
        let mut kept = self.0.clone().lock_owned().await;
        if let Some(kept) = kept.as_ref().filter(|kept| kept.is_of(live)) {
            return kept.told.clone();
        }
        let Ground {
            witness,
            store,
            clock,
            ..
        } = &live.ground;
        let gathered = witness.gather(store, &live.table, clock.now_ms()).await;
        // To infer takes a while, in which others are to be answered.
        let live = live.clone();
        let inferred = spawn_blocking(move || {
            let begun = Instant::now();
            let told = Arc::new(Told::of(&live.table, &gathered));
            let now = Instant::now();
            *kept = Some(Kept {
                of: Arc::downgrade(&live),
                until: now + KEPT_FOR.max((now - begun) * KEPT_TIMES),
                told: told.clone(),
            });
            told
        });
        inferred.await.unwrap_or_default()
    }
}

impl Kept {
    fn is_of(&self, live: &Arc<Live>) -> bool {
        self.of.ptr_eq(&Arc::downgrade(live)) && Instant::now() < self.until
    }
}

impl Told {
    fn of(table: &Table, gathered: &Gathered) -> Told {
        let mut findings = verified::findings(table, gathered);
        findings.extend(ended::findings(table, gathered));
        Told {
            findings,
            verified: verified::by_rule(gathered),
            is_alone: gathered.is_alone && gathered.not_heard == 0,
            not_heard: gathered.not_heard,
        }
    }

    /// Adds it to an answer that has a list of `findings`.
    pub(super) fn onto(&self, answer: &mut Json) {
        if let Some(findings) = answer["findings"].as_array_mut() {
            findings.extend(self.findings.iter().cloned());
        }
        answer["verified"] = self.verified.clone();
        answer["only_this_process"] = self.is_alone.into();
        if self.not_heard > 0 {
            answer["processes_not_heard"] = json!(self.not_heard);
        }
    }
}

//! One look at the store: the entry and the versions of its nodes, in one round trip.

use crate::asked::Asked;
use crate::budget::{Level, Want};
use crate::digest::Digest;
use crate::entry::{Entry, Version};
use crate::flights::{LIFE, Snapshot, lock_name};
use crate::freshness::{self, Served};
use crate::key::{self, CacheKey};
use crate::live::{Ground, Live};
use crate::outcome::Detail;
use crate::part::{self, Part};
use crate::rules::table::{Stage, Ttl};
use crate::store::{Down, Lock, Look, Sought, Taken, Wanted};
use crate::trace::Work;
use crate::vary::{self, Vary};
use std::sync::Arc;
use std::time::Duration;

/// How often a budget that is short is spent on a look because nothing is known yet of a rule's answers.
const LEARNS_EACH: Duration = Duration::from_secs(60);

/// What the store knows about a request.
pub struct Found {
    /// Where an answer is kept, and may be kept anew.
    pub place: Place,
    /// The answer that is kept, unless something dropped it for good.
    pub kept: Option<Kept>,
    /// The request is to pass, and why: its rule is in quarantine, or nobody asked whether it is.
    pub passes: Option<Detail>,
    /// What is kept of it where not all is, unless something dropped that.
    pub part: Option<KeptPart>,
}

impl Found {
    /// What was found, in a word.
    fn word(&self) -> &'static str {
        match (self.kept.as_ref().map(|kept| kept.served), &self.part) {
            (Some(Served::Fresh { .. }), _) => "fresh",
            (Some(Served::Stale { .. }), _) => "stale",
            (Some(Served::Softened { .. }), _) => "softly-dropped",
            (_, Some(_)) => "part",
            (Some(Served::Gone(_)) | None, None) => "nothing",
        }
    }
}

/// For whom an answer to a request is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// For the fleet, in the store.
    Fleet,
    /// For this process, in its memory: a budget spares the store.
    Process,
    /// For nobody, and why.
    Nobody(Detail),
}

/// Where an answer to a request is kept.
pub struct Place {
    /// The key.
    pub key: Arc<CacheKey>,
    /// What answers are known to vary by.
    pub vary: Arc<Vary>,
    /// The versions from before the origin is asked.
    pub snapshot: Snapshot,
    /// For whom.
    pub reach: Reach,
    /// The fleet's lock on fetching it, if it was asked for.
    pub lock: Lock,
    /// The same, where this look took it, along with the snapshot.
    pub taken: Option<Taken>,
}

/// A kept answer all of whose nodes are as they were before it was fetched: nothing has dropped it but
/// softly, a moment ago.
#[derive(Clone)]
pub struct Kept {
    /// The answer.
    pub entry: Arc<Entry>,
    /// Fresh, stale or softly dropped, never gone.
    pub served: Served,
}

impl Kept {
    /// The answer, if it is fresh.
    pub fn fresh(&self) -> Option<&Arc<Entry>> {
        matches!(self.served, Served::Fresh { .. }).then_some(&self.entry)
    }

    /// Whether it was softly dropped. It is served or not; to all else it is as good as gone.
    pub fn is_softened(&self) -> bool {
        matches!(self.served, Served::Softened { .. })
    }
}

/// A kept part that nothing has dropped, not even softly.
#[derive(Clone)]
pub struct KeptPart {
    /// The part.
    pub part: Part,
    /// Fresh or stale, never gone.
    pub served: Served,
}

/// Where an answer to a request is kept, by what is known of the rule's answers, and what is asked for
/// along with it.
pub struct Aim {
    key: Arc<CacheKey>,
    vary: Arc<Vary>,
    marker: Option<String>,
    flag: Option<String>,
    /// How old what is known here may be.
    local_ttl: Duration,
}

/// Looks a request up, and `lock` along with it: see [`Aim::look`].
pub async fn look(live: &Live, asked: &Asked, lock: Option<&str>) -> Found {
    Aim::of(live, asked).look(live, asked, lock).await
}

impl Aim {
    /// By what is known now.
    pub fn of(live: &Live, asked: &Asked) -> Aim {
        let learnt = &live.vary[asked.rule.index];
        Aim::by(learnt.known(asked.place()), live, asked)
    }

    fn by(vary: Arc<Vary>, live: &Live, asked: &Asked) -> Aim {
        let audit = live.is_audited(&asked.rule);
        Aim {
            key: asked.key(&vary.names),
            marker: (!vary.seen).then(|| asked.vary_marker()),
            flag: audit.then(|| key::quarantine_flag(&live.table.namespace, &asked.rule)),
            local_ttl: live.ground.budget.local_ttl(&asked.rule),
            vary,
        }
    }

    fn sought<'s>(&'s self, live: &'s Live, lock: Option<&'s str>) -> Sought<'s> {
        Sought {
            namespace: &live.table.namespace,
            any_group: live.any_group.as_ref(),
            entry: &self.key.entry,
            nodes: &self.key.nodes,
            marker: self.marker.as_deref(),
            lock,
            flag: self.flag.as_deref(),
            local_ttl: self.local_ttl,
        }
    }

    /// Where it is kept, by what is known of the answers.
    pub fn key(&self) -> &CacheKey {
        &self.key
    }

    /// The same where nothing is believed that is known here: the store itself is asked.
    pub fn in_store(mut self) -> Aim {
        self.local_ttl = Duration::ZERO;
        self
    }

    /// The answer, if it is fresh and in this process's memory, and nobody need be asked whether it was
    /// dropped. Waits for nothing.
    pub fn at_once(&self, live: &Live, asked: &Asked) -> Option<Kept> {
        if live.holds(&asked.rule) {
            return None;
        }
        let now = live.ground.clock.reading();
        let sought = self.sought(live, None);
        let entry = live.ground.store.at_once(sought, &now)?;
        let served = freshness::judge_present(&entry, &self.key.binding, now.unix_ms());
        let is_whole = !entry.is_part();
        let kept = Kept { entry, served };
        let fresh = (is_whole && kept.fresh().is_some()).then_some(kept)?;
        self.touch(live, asked);
        Some(fresh)
    }

    /// What is served from memory is to be believed for longer, where a budget has that done in rounds.
    fn touch(&self, live: &Live, asked: &Asked) {
        let Ground { budget, clock, .. } = &live.ground;
        if budget.level() >= Level::Sparing {
            budget.touch(&self.wanted(live, asked), clock);
        }
    }

    /// Has the versions of this key asked for in rounds, where a budget has that done. Those that rounds showed, if they
    /// are still believed.
    fn want(&self, live: &Live, asked: &Asked) -> Option<Vec<Version>> {
        let Ground {
            budget,
            store,
            clock,
            ..
        } = &live.ground;
        if self.marker.is_some() {
            return None; // by what its answers vary nobody knows yet
        }
        let want = self.wanted(live, asked);
        let believed = |versions: &[Version]| {
            let nodes: Vec<String> = self.nodes(live).collect();
            store.believes(&nodes, versions, want.within)
        };
        budget.want(&want, believed, clock)
    }

    fn wanted<'w>(&'w self, live: &'w Live, asked: &Asked) -> Want<'w> {
        Want {
            layout: live.table.layout,
            key: &self.key,
            any_group: live.any_group.as_ref(),
            flag: self.flag.as_deref(),
            within: live.ground.budget.local_ttl(&asked.rule),
        }
    }

    /// All nodes of a snapshot.
    fn nodes<'n>(&'n self, live: &'n Live) -> impl Iterator<Item = String> + 'n {
        self.key.nodes.iter().chain(&live.any_group).cloned()
    }

    /// Asks the store, once: one that does not answer is not asked again. Where a budget runs short it may not be
    /// asked at all.
    pub async fn look(mut self, live: &Live, asked: &Asked, lock: Option<&str>) -> Found {
        if self.is_spared(live, asked) {
            return self.unasked(live, asked);
        }
        let mut span = asked.span(Work::Look);
        loop {
            let sought = self.sought(live, lock);
            let seen = match live.ground.store.look(sought).await {
                Ok(seen) => seen,
                Err(Down) => {
                    span.note(|facts| facts.failed(Detail::StoreDown));
                    return unknown(live, asked, self, Detail::StoreDown);
                }
            };
            if self.flag.is_some() {
                live.hear_of_quarantine(&asked.rule.name, seen.is_flagged);
            }
            match taught(live, asked, &self.vary, &seen) {
                // Others know more headers that answers vary by.
                Some(learnt) => self = Aim::by(learnt, live, asked),
                None => {
                    let takes = lock.is_none() && self.is_claimed_at_once(live, asked);
                    let found = judge(live, asked, self, seen, takes).await;
                    span.note(|facts| facts.outcome = Some(found.word()));
                    return found;
                }
            }
        }
    }
}

impl Aim {
    /// What is known where the store is not asked. Under the versions that a round showed this process may keep what
    /// is fetched; else nobody may.
    fn unasked(self, live: &Live, asked: &Asked) -> Found {
        let Some(versions) = self.want(live, asked) else {
            // An audited rule may be in quarantine by now: only a look or a round would tell.
            let unasked = self.flag.is_some().then_some(Detail::Budget);
            let found = unknown(live, asked, self, Detail::Budget);
            return Found {
                passes: found.passes.or(unasked),
                ..found
            };
        };
        Found {
            place: Place {
                key: self.key,
                vary: self.vary,
                snapshot: Snapshot::Known(versions),
                reach: Reach::Process,
                lock: Lock::Free,
                taken: None,
            },
            kept: None,
            passes: quarantined(live, asked),
            part: None,
        }
    }

    /// Whether the budget is too short for a look: nothing is sought then.
    fn is_spared(&self, live: &Live, asked: &Asked) -> bool {
        let Ground {
            budget,
            store,
            clock,
            ..
        } = &live.ground;
        let level = budget.level();
        if level < Level::Sparing || !store.is_shared() || !store.up() {
            return false;
        }
        if store
            .at_once(self.sought(live, None), &clock.reading())
            .is_some()
        {
            return false; // a look costs nothing
        }
        // By what a rule's answers vary has to be known before any is kept. Where each place has a `Vary` of its own
        // that would be asked for too often.
        let learns = |marker| budget.is_cold(marker, LEARNS_EACH, clock);
        if asked.rule.ttl != Ttl::Origin && self.marker.as_deref().is_some_and(learns) {
            return false;
        }
        let life = asked.rule.ttl.longest();
        let is_cold = budget.is_cold(&self.key.entry, life, clock);
        level == Level::Memory || is_cold
    }

    /// Whether a fetch for this request, if one is needed, is claimed for the fleet in any case. It is where
    /// it will be shared, unless that turns out differently, and then the claim is given up again.
    fn is_claimed_at_once(&self, live: &Live, asked: &Asked) -> bool {
        let rule = &asked.rule;
        let (demand, now) = (&asked.demand, live.ground.clock.now_ms());
        live.claims(rule)
            && rule.stage != Stage::Observe
            && !(asked.wants_part || asked.is_conditional())
            && demand.is_content()
            && !(demand.no_store || demand.only_if_cached)
            && !live.holds(rule)
            && !live.fills.is_restless(&self.key.entry, now)
    }
}

/// What the store's marker teaches; `None` where it changes nothing about the key.
fn taught(live: &Live, asked: &Asked, known: &Arc<Vary>, seen: &Look) -> Option<Arc<Vary>> {
    let names = vary::from_marker(seen.marker.as_ref()?);
    let learnt = &live.vary[asked.rule.index];
    let (learnt, _) = learnt.learn(asked.place(), &names).ok()?;
    (learnt.names != known.names).then_some(learnt)
}

async fn judge(live: &Live, asked: &Asked, aim: Aim, seen: Look, takes: bool) -> Found {
    let key = &aim.key;
    let any_group = live.any_group.as_ref();
    let now = live.ground.clock.now_ms();
    let judged = |entry: &Entry, binding: &Digest| {
        let (versions, softened) = (&seen.versions, seen.softened_ms);
        let served = freshness::judge_entry(entry, versions, softened, binding, now);
        (!matches!(served, Served::Gone(_))).then_some(served)
    };
    let (mut kept, mut part) = (None, None);
    match seen.entry {
        // A part is bound as one, so that neither can be taken for the other.
        Some(entry) if entry.is_part() => {
            let served = judged(&entry, &part::binding(key.binding));
            // Nothing is joined to what a write made old, nor is it completed.
            let served = served.filter(|served| !matches!(served, Served::Softened { .. }));
            part = served.and_then(|served| Some((Part::read(entry)?, served)));
        }
        Some(entry) => {
            let served = judged(&entry, &key.binding);
            kept = served.map(|served| Kept { entry, served });
        }
        None => {}
    }
    let own = seen.versions.into_iter().take(key.nodes.len());
    let known: Vec<_> = own.chain(any_group.map(|_| seen.any_group)).collect();
    // What is kept will do, or is validated by a claim of its own.
    let takes = takes && kept.is_none() && part.is_none();
    match snapshot(live, &aim, known, takes).await {
        Ok((versions, taken)) => Found {
            place: Place {
                key: aim.key,
                vary: aim.vary,
                snapshot: Snapshot::Known(versions),
                reach: Reach::Fleet,
                lock: seen.lock,
                taken,
            },
            kept,
            passes: quarantined(live, asked),
            part: part.map(|(part, served)| KeptPart { part, served }),
        },
        Err(Down) => unknown(live, asked, aim, Detail::StoreDown),
    }
}

/// The versions of all nodes, the absent ones created; and the lock on fetching what is kept under them, if
/// it is to be taken and can be in the same step.
async fn snapshot(
    live: &Live,
    aim: &Aim,
    known: Vec<Option<Version>>,
    takes: bool,
) -> Result<(Vec<Version>, Option<Taken>), Down> {
    if let Some(versions) = known.iter().copied().collect() {
        return Ok((versions, None));
    }
    let (key, store) = (&aim.key, &live.ground.store);
    let nodes: Vec<String> = aim.nodes(live).collect();
    if !takes {
        return Ok((store.snapshot(&nodes).await?, None));
    }
    let wanted = Wanted {
        known: &known,
        name: &|versions| lock_name(&key.entry, key.binding, versions),
        life: LIFE,
        tasks: &live.ground.tasks,
    };
    store.snapshot_and_lock(&nodes, wanted).await
}

/// Nothing is found, and nothing of what is fetched may be kept.
fn unknown(live: &Live, asked: &Asked, aim: Aim, why: Detail) -> Found {
    Found {
        place: Place {
            key: aim.key,
            vary: aim.vary,
            snapshot: Snapshot::Unknown(live.ground.store.generation()),
            reach: Reach::Nobody(why),
            lock: Lock::Free,
            taken: None,
        },
        kept: None,
        passes: quarantined(live, asked),
        part: None,
    }
}

fn quarantined(live: &Live, asked: &Asked) -> Option<Detail> {
    live.holds(&asked.rule).then_some(Detail::Quarantined)
}

//! Rounds: the versions that many answers hang on, asked for at once, so that a look need not be paid for each. What
//! was asked for lately is *wanted*; a round renews what this process believes of its nodes, and creates those that are
//! absent. While that is believed, answers are served from memory, and fetched ones are kept there, without a command.
//!
//! Two things make a fill under the versions of a round as good as one under those of a look. They are versions that
//! the store showed to these very rules, never presumed ones: older than what a look would show now, or the same. And
//! where a rule may be in quarantine, its flag was read after them: the flag is raised before the rule's nodes are
//! dropped, so versions that were seen before it was seen lowered do not outlive its rise.

use crate::digest::Digest;
use crate::entry::Version;
use crate::key::CacheKey;
use crate::metrics::Metrics;
use crate::store::{Down, Store};
use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Keys that are wanted at a time: at most a few hundred kilobytes, and more than a process that must save commands
/// has use for.
const MAX_WANTED: usize = 1_024;

/// Nodes of one round: some 40 KiB on the way there.
const MAX_NODES: usize = 512;

/// How long a key is wanted that is not asked for again.
const WANTED_MS: u64 = 30 * 60 * 1000;

/// How many requests have to lack a version for each command that a round is to cost: what is asked for rarely can
/// wait until more can be had for the same.
const LACKING: f64 = 0.5;

/// Of the budget, what rounds may cost: little else is worth as much to a process that is short of commands.
const SHARE: f64 = 0.7;

/// Of the fleet's rounds, the least that one process may make: it may have only begun to spend.
const LEAST_OWN: f64 = 0.02;

/// What may be spent on rounds at once, after a while without any,
const AT_ONCE: f64 = 30.0;

/// and at first: one that is started again and again must not spend that much each time.
const AT_FIRST: f64 = 8.0;

/// What a round costs that finds all nodes there: the script and its reading.
const COST: f64 = 2.0;

/// What the flags cost, if there are any; what it costs to create the first node; and each.
const COST_OF_FLAGS: f64 = 1.0;
const COST_OF_CREATING: f64 = 1.0;
const COST_OF_NODE: f64 = 1.0;

/// A key that is asked for, by the rules of which layout, and for how long its versions are believed.
pub struct Want<'w> {
    /// Whose rules.
    pub layout: Digest,
    /// The key.
    pub key: &'w CacheKey,
    /// The node that is part of each snapshot, where these rules know of groups.
    pub any_group: Option<&'w String>,
    /// That its rule is in quarantine, where it may be.
    pub flag: Option<&'w str>,
    /// How long ago its versions may have been asked for.
    pub within: Duration,
}

#[derive(Debug)]
struct Wanted {
    layout: Digest,
    nodes: Vec<String>,
    flag: Option<String>,
    within: Duration,
    asked_ms: u64,
    /// How often it was asked for since the last round without that its versions were known and believed.
    lacked: u32,
}

/// What rounds showed, to whose rules: what the last one left out stands as one before had it.
#[derive(Debug, Default)]
struct Shown {
    layout: Option<Digest>,
    /// When the last one was made.
    at_ms: u64,
    versions: HashMap<String, Version>,
    /// The flags that were not raised after the last one.
    lowered: HashSet<String>,
}

/// What is wanted, and what rounds may still cost.
#[derive(Debug, Default)]
pub(super) struct Rounds(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    wanted: HashMap<String, Wanted>,
    shown: Shown,
    purse: f64,
    filled_ms: Option<u64>,
}

/// One round that is to be made.
#[derive(Debug, Default, PartialEq)]
struct Plan {
    nodes: BTreeSet<String>,
    /// Those of all that is wanted.
    flags: BTreeSet<String>,
    /// How many of the nodes may be absent.
    absent: usize,
    /// How many requests lacked versions of it.
    lacked: u32,
}

/// What may be spent on rounds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Allowance {
    /// What the budget has for a second.
    pub(super) per_s: f64,
    /// Which part of all that is spent this process spends.
    pub(super) own: f64,
}

impl Rounds {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It is asked for now. The versions that the last round showed of its nodes, if they are `believed` still.
    pub(super) fn want(
        &self,
        want: &Want<'_>,
        believed: impl FnOnce(&[Version]) -> bool,
        now_ms: u64,
    ) -> Option<Vec<Version>> {
        let mut inner = self.inner();
        let versions = inner.shown.versions(want);
        let versions = versions.filter(|versions| believed(versions));
        let lacks = u32::from(versions.is_none());
        let is_full = inner.wanted.len() >= MAX_WANTED;
        match inner.wanted.get_mut(&want.key.entry) {
            Some(wanted) if wanted.is(want) => {
                (wanted.asked_ms, wanted.within) = (now_ms, want.within);
                wanted.lacked = wanted.lacked.saturating_add(lacks);
            }
            None if is_full => {}
            _ => {
                let wanted = Wanted::new(want, now_ms, lacks);
                inner.wanted.insert(want.key.entry.clone(), wanted);
            }
        }
        versions
    }

    /// Makes a round, if one is needed and may be paid for.
    pub(super) async fn make(
        &self,
        store: &Store,
        metrics: &Metrics,
        layout: Digest,
        allowance: Allowance,
        now_ms: u64,
    ) {
        let plan = {
            let mut inner = self.inner();
            inner.earn(allowance, now_ms);
            inner.forget_unasked(now_ms);
            inner.plan(layout, store, now_ms)
        };
        if let Some(plan) = plan {
            let before = metrics.billed().all;
            // What could not be asked for is wanted still.
            let _ = self.carry_out(store, layout, plan, now_ms).await;
            // What others spent meanwhile is counted along: that is little, and on the safe side.
            self.inner().purse -= metrics.billed().all.saturating_sub(before) as f64;
        }
    }

    async fn carry_out(
        &self,
        store: &Store,
        layout: Digest,
        plan: Plan,
        now_ms: u64,
    ) -> Result<(), Down> {
        let nodes: Vec<String> = plan.nodes.into_iter().collect();
        let flags: Vec<String> = plan.flags.into_iter().collect();
        let versions = store.snapshot(&nodes).await?;
        let raised = store.flags(&flags).await?; // in this order
        let flags = flags.into_iter().zip(raised);
        let lowered = flags.filter_map(|(flag, raised)| raised.is_none().then_some(flag));
        let mut inner = self.inner();
        let Inner { shown, wanted, .. } = &mut *inner;
        if shown.layout.replace(layout) != Some(layout) {
            shown.versions.clear();
        }
        shown.at_ms = now_ms;
        shown.versions.extend(nodes.into_iter().zip(versions));
        shown.lowered = lowered.collect();
        let used: HashSet<&String> = wanted.values().flat_map(|wanted| &wanted.nodes).collect();
        shown.versions.retain(|node, _| used.contains(node));
        wanted.values_mut().for_each(|wanted| wanted.lacked = 0);
        Ok(())
    }
}

impl Shown {
    fn versions(&self, want: &Want<'_>) -> Option<Vec<Version>> {
        let is_told = self.layout == Some(want.layout)
            && want.flag.is_none_or(|flag| self.lowered.contains(flag));
        let version = |node| self.versions.get(node).copied();
        is_told.then(|| nodes_of(want).map(version).collect())?
    }
}

impl Wanted {
    fn new(want: &Want<'_>, now_ms: u64, lacked: u32) -> Wanted {
        Wanted {
            layout: want.layout,
            nodes: nodes_of(want).cloned().collect(),
            flag: want.flag.map(str::to_owned),
            within: want.within,
            asked_ms: now_ms,
            lacked,
        }
    }

    /// Whether it is the same, by the same rules.
    fn is(&self, want: &Want<'_>) -> bool {
        self.layout == want.layout
            && self.flag.as_deref() == want.flag
            && self.nodes.iter().eq(nodes_of(want))
    }
}

fn nodes_of<'w>(want: &Want<'w>) -> impl Iterator<Item = &'w String> {
    want.key.nodes.iter().chain(want.any_group)
}

impl Inner {
    fn earn(&mut self, allowance: Allowance, now_ms: u64) {
        let since = self.filled_ms.replace(now_ms);
        let passed_s = since.map_or(0.0, |at| now_ms.saturating_sub(at) as f64 / 1000.0);
        let per_s = allowance.per_s * SHARE * allowance.own.clamp(LEAST_OWN, 1.0);
        self.purse = match since {
            None => AT_FIRST,
            Some(_) => (self.purse + per_s * passed_s).min(AT_ONCE),
        };
    }

    fn forget_unasked(&mut self, now_ms: u64) {
        let is_asked = |wanted: &Wanted| now_ms.saturating_sub(wanted.asked_ms) < WANTED_MS;
        self.wanted.retain(|_, wanted| is_asked(wanted));
    }

    /// The next round, if there is to be one; it is paid for. What was lacked most comes first, and what cannot be
    /// paid for now is left to the next.
    fn plan(&mut self, layout: Digest, store: &Store, now_ms: u64) -> Option<Plan> {
        let own = self
            .wanted
            .values()
            .filter(|wanted| wanted.layout == layout);
        let mut own: Vec<&Wanted> = own.collect();
        own.sort_by_key(|wanted| (Reverse(wanted.lacked), Reverse(wanted.asked_ms)));
        let lacked: u32 = own.iter().map(|wanted| wanted.lacked).sum();
        let since = now_ms.saturating_sub(self.shown.at_ms);
        // What is half forgotten is renewed.
        let half = |wanted: &&Wanted| since * 2 >= wanted.within.as_millis() as u64;
        let is_due = own.iter().any(half);
        if lacked == 0 && !is_due {
            return None;
        }
        let mut plan = Plan {
            flags: own
                .iter()
                .filter_map(|wanted| wanted.flag.clone())
                .collect(),
            ..Plan::default()
        };
        for wanted in &own {
            self.add(&mut plan, wanted, store);
        }
        let serves = is_due || f64::from(plan.lacked) >= LACKING * plan.cost(0);
        (serves && !plan.nodes.is_empty()).then_some(plan)
    }

    /// Adds a key to a round, if that can be paid for still.
    fn add(&self, plan: &mut Plan, wanted: &Wanted, store: &Store) {
        let is_believed = |node: &&String| {
            let version = self.shown.versions.get(*node);
            version.is_some_and(|version| {
                store.believes(std::slice::from_ref(node), &[*version], wanted.within)
            })
        };
        let anew = wanted.nodes.iter();
        let anew: Vec<&String> = anew.filter(|node| !plan.nodes.contains(*node)).collect();
        let absent = anew.iter().filter(|node| !is_believed(node)).count();
        let fits = plan.nodes.len() + anew.len() <= MAX_NODES;
        if fits && plan.cost(absent) <= self.purse {
            plan.absent += absent;
            plan.lacked += wanted.lacked;
            plan.nodes.extend(anew.into_iter().cloned());
        }
    }
}

impl Plan {
    /// With so many more that may be absent, if all of them are.
    fn cost(&self, more: usize) -> f64 {
        let flags = if self.flags.is_empty() {
            0.0
        } else {
            COST_OF_FLAGS
        };
        let absent = self.absent + more;
        let creating = if absent == 0 { 0.0 } else { COST_OF_CREATING };
        COST + flags + creating + COST_OF_NODE * absent as f64
    }
}

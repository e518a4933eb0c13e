//! Rounds: the versions that many answers hang on, asked for at once, so that a look need not be paid for each. What
//! was asked for lately is *wanted*; a round renews what this process believes of its nodes, and creates those that are
//! absent. While that is believed, answers are served from memory, and fetched ones are kept there, without a command.
//!
//! Two things make a fill under the versions of a round as good as one under those of a look. They are versions that
//! the store showed to these very rules, never presumed ones: older than what a look would show now, or the same. And
//! where a rule may be in quarantine, its flag was read with them or after them: the flag is raised before the rule's
//! nodes are dropped, so versions that were seen before it was seen lowered do not outlive its rise.

use super::wanted::{Plan, Want, Wanted};
use crate::digest::Digest;
use crate::entry::Version;
use crate::store::{Down, Store};
use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How many requests have to lack a version for each command that a round is to cost: what is asked for rarely can
/// wait until more can be had for the same.
const LACKING: f64 = 0.8;

/// Of the budget, what rounds may cost: little else is worth as much to a process that is short of commands.
const SHARE: f64 = 0.7;

/// Of the fleet's rounds, the least that one process may make: it may have only begun to spend.
const LEAST_OWN: f64 = 0.02;

/// What may be spent on rounds at once, after a while without any,
const AT_ONCE: f64 = 30.0;

/// and at first: one that is started again and again must not spend that much each time.
const AT_FIRST: f64 = 8.0;

/// What a round costs that finds all nodes there: one reading of them and of the flags.
const COST: f64 = 1.0;

/// What it costs to create absent nodes: the script, its reading, whether writes are under way; and each node.
const COST_OF_CREATING: f64 = 3.0;
const COST_OF_NODE: f64 = 1.0;

/// To read the flags again after that, if there are any.
const COST_OF_FLAGS: f64 = 1.0;

/// After a round that came to nothing.
const AGAIN_MS: u64 = 10_000;

/// What is wanted, and what rounds may still cost.
#[derive(Debug, Default)]
pub(super) struct Rounds(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    wanted: Wanted,
    shown: Shown,
    purse: Purse,
    /// No round before this.
    pause_until_ms: u64,
}

/// What rounds showed, to whose rules: what the last one left out stands as one before had it.
#[derive(Debug, Default)]
struct Shown {
    layout: Option<Digest>,
    /// When the last one was made.
    at_ms: u64,
    versions: HashMap<String, Version>,
    /// The flags that were not raised, in the last one or after it.
    lowered: HashSet<String>,
    /// How many nodes the last one left absent, because they could not be paid for.
    left: usize,
}

/// What may be spent on rounds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Allowance {
    /// What the budget has for a second.
    pub(super) per_s: f64,
    /// Which part of all that is spent this process spends.
    pub(super) own: f64,
}

/// What a round says of the rules that may be in quarantine: by flag, whether it is raised.
pub type Flags = Vec<(String, bool)>;

impl Rounds {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It was served from memory: what it hangs on is to be believed for longer.
    pub(super) fn touch(&self, want: &Want<'_>, now_ms: u64) {
        self.inner().wanted.note(want, false, now_ms);
    }

    /// It is asked for now. The versions that rounds showed of its nodes, if they are `believed` still.
    pub(super) fn want(
        &self,
        want: &Want<'_>,
        believed: impl FnOnce(&[Version]) -> bool,
        now_ms: u64,
    ) -> Option<Vec<Version>> {
        let versions = self.inner().shown.versions(want);
        let versions = versions.filter(|versions| believed(versions)); // while nobody waits
        self.inner().wanted.note(want, versions.is_none(), now_ms);
        versions
    }

    /// Makes a round, if one is needed and may be paid for: one command, and one script where nodes are to be created.
    /// What it learnt of quarantines.
    pub(super) async fn make(
        &self,
        store: &Store,
        layout: Digest,
        allowance: Allowance,
        now_ms: u64,
    ) -> Flags {
        let plan = {
            let mut inner = self.inner();
            inner.purse.earn(allowance, now_ms);
            inner.wanted.forget(layout, now_ms);
            inner.plan(now_ms)
        };
        let Some(plan) = plan else {
            return Flags::new();
        };
        let made = self.carry_out(store, layout, plan, now_ms).await;
        made.unwrap_or_else(|Down| {
            self.inner().pause_until_ms = now_ms + AGAIN_MS; // what could not be asked for is wanted still
            Flags::new()
        })
    }

    async fn carry_out(
        &self,
        store: &Store,
        layout: Digest,
        plan: Plan,
        now_ms: u64,
    ) -> Result<Flags, Down> {
        let Plan { nodes, flags } = plan;
        let told = store.renew_belief(&nodes, &flags).await?;
        let (mut present, mut absent) = (Vec::new(), Vec::new());
        for (node, version) in nodes.into_iter().zip(told.versions) {
            match version {
                Some(version) => present.push((node, version)),
                None => absent.push(node),
            }
        }
        // Those of what was lacked most stand first.
        let payable = self.inner().purse.pay_for(absent.len(), !flags.is_empty());
        let left = absent.split_off(payable);
        let mut raised = told.raised;
        self.inner()
            .show(layout, present, (&flags, &raised), left.len(), now_ms);
        if !absent.is_empty() {
            let versions = store.snapshot(&absent).await?;
            raised = store.flags_raised(&flags).await?;
            let created = absent.into_iter().zip(versions);
            let created = created.collect();
            self.inner()
                .show(layout, created, (&flags, &raised), left.len(), now_ms);
        }
        Ok(flags.into_iter().zip(raised).collect())
    }
}

impl Shown {
    fn versions(&self, want: &Want<'_>) -> Option<Vec<Version>> {
        let is_told = self.layout == Some(want.layout)
            && want.flag.is_none_or(|flag| self.lowered.contains(flag));
        let version = |node| self.versions.get(node).copied();
        is_told.then(|| want.nodes().map(version).collect())?
    }
}

impl Inner {
    /// What is to be asked for next, if anything is; it is paid for.
    fn plan(&mut self, now_ms: u64) -> Option<Plan> {
        if now_ms < self.pause_until_ms {
            return None;
        }
        let lacked = f64::from(self.wanted.lacked());
        let is_due = self.wanted.is_half_forgotten(self.shown.at_ms, now_ms);
        // What is lacked is mostly absent.
        let is_worth = lacked >= LACKING * (COST + COST_OF_CREATING + COST_OF_NODE);
        // What was left absent is waited for, or it would be asked for in vain again and again.
        let least = match self.shown.left {
            0 => COST,
            _ => COST + COST_OF_CREATING + COST_OF_FLAGS + COST_OF_NODE,
        };
        if !(is_due || is_worth) || self.purse.left < least {
            return None;
        }
        let plan = self.wanted.plan()?;
        self.purse.left -= COST;
        Some(plan)
    }

    /// Takes over what was shown: versions, and flags that were read with them or after them.
    fn show(
        &mut self,
        layout: Digest,
        versions: Vec<(String, Version)>,
        (flags, raised): (&[String], &[bool]),
        left: usize,
        now_ms: u64,
    ) {
        let Inner { shown, wanted, .. } = self;
        if shown.layout.replace(layout) != Some(layout) {
            shown.versions.clear();
        }
        (shown.at_ms, shown.left) = (now_ms, left);
        shown.versions.extend(versions);
        let flags = flags.iter().zip(raised);
        let lowered = flags.filter(|(_, raised)| !**raised);
        shown.lowered = lowered.map(|(flag, _)| flag.clone()).collect();
        let used = wanted.nodes();
        shown.versions.retain(|node, _| used.contains(node));
        wanted.begin_anew();
    }
}

#[derive(Debug, Default)]
struct Purse {
    left: f64,
    filled_ms: Option<u64>,
}

impl Purse {
    fn earn(&mut self, allowance: Allowance, now_ms: u64) {
        let since = self.filled_ms.replace(now_ms);
        let passed_s = since.map_or(0.0, |at| now_ms.saturating_sub(at) as f64 / 1000.0);
        let per_s = allowance.per_s * SHARE * allowance.own.clamp(LEAST_OWN, 1.0);
        self.left = match since {
            None => AT_FIRST,
            // Who has much may spend as much at once as it has for a minute.
            Some(_) => (self.left + per_s * passed_s).min(AT_ONCE.max(per_s * 60.0)),
        };
    }

    /// How many of so many nodes may be created: that is paid for.
    fn pay_for(&mut self, absent: usize, with_flags: bool) -> usize {
        let flags = if with_flags { COST_OF_FLAGS } else { 0.0 };
        let fixed = COST_OF_CREATING + flags;
        let affordable = ((self.left - fixed) / COST_OF_NODE).max(0.0) as usize;
        let created = absent.min(affordable);
        if created > 0 {
            self.left -= fixed + COST_OF_NODE * created as f64;
        }
        created
    }
}

#[cfg(test)]
mod tests;

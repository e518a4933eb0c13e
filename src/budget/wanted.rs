//! Which keys are asked for, and what they hang on.

use crate::digest::Digest;
use crate::key::CacheKey;
use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Duration;

/// Keys that are wanted at a time: more than a process that must save commands has use for.
const MAX_WANTED: usize = 1_024;

/// Bytes of a key's names. Longer ones are no usual key's, and would take memory and ways that others need: with them
/// all that is wanted takes a megabyte at most.
const MAX_NAMES: usize = 1_024;

/// Nodes of one round: some 40 KiB on the way there.
const MAX_NODES: usize = 512;

/// How long a key is wanted that is not asked for again.
const WANTED_MS: u64 = 30 * 60 * 1000;

/// One that was not asked for so long makes room for another.
const YIELDS_MS: u64 = 60 * 1000;

/// What is believed for less than this is not renewed before somebody lacks it: it would take a round all the time.
const SHORTEST_RENEWED: Duration = Duration::from_secs(60);

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

impl Want<'_> {
    /// All nodes of a snapshot.
    pub(super) fn nodes(&self) -> impl Iterator<Item = &String> {
        self.key.nodes.iter().chain(self.any_group)
    }
}

#[derive(Debug)]
struct Key {
    layout: Digest,
    nodes: Vec<String>,
    flag: Option<String>,
    within: Duration,
    asked_ms: u64,
    /// How often it was asked for since the last round without that its versions were known and believed.
    lacked: u32,
}

/// All of them, by the name of the entry.
#[derive(Debug, Default)]
pub(super) struct Wanted(HashMap<String, Key>);

/// What a round is to ask for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// Those of what was lacked most come first.
    pub(super) nodes: Vec<String>,
    /// Of all that is wanted.
    pub(super) flags: Vec<String>,
}

impl Wanted {
    /// It is asked for now, and lacked its versions or not.
    pub(super) fn note(&mut self, want: &Want<'_>, lacks: bool, now_ms: u64) {
        let lacks = u32::from(lacks);
        match self.0.get_mut(&want.key.entry) {
            Some(key) if key.is(want) => {
                (key.asked_ms, key.within) = (now_ms, want.within);
                key.lacked = key.lacked.saturating_add(lacks);
            }
            known => {
                let is_new = known.is_none();
                let length: usize = want.nodes().map(String::len).sum();
                if length + want.key.entry.len() > MAX_NAMES || (is_new && !self.has_room(now_ms)) {
                    return;
                }
                let key = Key::of(want, lacks, now_ms);
                self.0.insert(want.key.entry.clone(), key);
            }
        }
    }

    /// Whether there is room for one more; it is made where one was not asked for in a while.
    fn has_room(&mut self, now_ms: u64) -> bool {
        if self.0.len() < MAX_WANTED {
            return true;
        }
        let oldest = self.0.iter().min_by_key(|(_, key)| key.asked_ms);
        let oldest = oldest.filter(|(_, key)| now_ms.saturating_sub(key.asked_ms) >= YIELDS_MS);
        let Some(entry) = oldest.map(|(entry, _)| entry.clone()) else {
            return false;
        };
        self.0.remove(&entry).is_some()
    }

    /// Forgets what nobody asks for any more, and what other rules wanted.
    pub(super) fn forget(&mut self, layout: Digest, now_ms: u64) {
        self.0.retain(|_, key| {
            key.layout == layout && now_ms.saturating_sub(key.asked_ms) < WANTED_MS
        });
    }

    /// How many requests lacked versions since the last round.
    pub(super) fn lacked(&self) -> u32 {
        self.0.values().map(|key| key.lacked).sum()
    }

    /// Whether something that was asked for since the last round will soon be believed no more.
    pub(super) fn is_half_forgotten(&self, round_ms: u64, now_ms: u64) -> bool {
        let since = Duration::from_millis(now_ms.saturating_sub(round_ms));
        let mut asked = self.0.values().filter(|key| key.asked_ms >= round_ms);
        asked.any(|key| key.within >= SHORTEST_RENEWED && since * 2 >= key.within)
    }

    /// What a round is to ask for; none where nothing is wanted.
    pub(super) fn plan(&self) -> Option<Plan> {
        let mut keys: Vec<&Key> = self.0.values().collect();
        // The nodes last, so that the same is asked for in the same order.
        keys.sort_by_key(|key| (Reverse(key.lacked), Reverse(key.asked_ms), &key.nodes));
        let flags: BTreeSet<&String> = keys.iter().filter_map(|key| key.flag.as_ref()).collect();
        let (mut nodes, mut known) = (Vec::new(), HashSet::new());
        for key in &keys {
            if nodes.len() + key.nodes.len() > MAX_NODES {
                break;
            }
            let new = key.nodes.iter().filter(|node| known.insert(*node));
            nodes.extend(new.cloned());
        }
        let flags = flags.into_iter().cloned().collect();
        (!nodes.is_empty()).then_some(Plan { nodes, flags })
    }

    /// All nodes.
    pub(super) fn nodes(&self) -> HashSet<&String> {
        self.0.values().flat_map(|key| &key.nodes).collect()
    }

    /// A round was made.
    pub(super) fn begin_anew(&mut self) {
        self.0.values_mut().for_each(|key| key.lacked = 0);
    }
}

impl Key {
    fn of(want: &Want<'_>, lacked: u32, asked_ms: u64) -> Key {
        Key {
            layout: want.layout,
            nodes: want.nodes().cloned().collect(),
            flag: want.flag.map(str::to_owned),
            within: want.within,
            asked_ms,
            lacked,
        }
    }

    /// Whether it is the same, by the same rules.
    fn is(&self, want: &Want<'_>) -> bool {
        self.layout == want.layout
            && self.flag.as_deref() == want.flag
            && self.nodes.iter().eq(want.nodes())
    }
}

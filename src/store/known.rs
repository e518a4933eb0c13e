//! What this process knows of the versions of nodes, so that a rule with a `local_ttl` need not ask
//! Redis for each hit.
//!
//! The invariant: **a version is believed only if Redis showed it after the last deletion of its node
//! that this process has finished or heard of.** Each node belongs to a stripe, a counter that is
//! raised when a deletion is known to have been executed: before the call that deleted returns, or
//! when the fleet's channel tells. A look reads the counters *before* its command is sent, notes them
//! with what comes back, and is believed only while they stand there unchanged.
//!
//! Why that is enough: take any deletion, and any look whose reply is from before it. Redis executed
//! the look first, so the look had read the counter before the deletion was executed, and so before
//! it was counted. From the counting on the look is not believed, whether its reply came long ago,
//! comes later, or is being noted at that moment: one atomic step ends it, and nothing has to be
//! removed in time. A look that read the counter after the counting was sent after the deletion was
//! executed, and shows what is after it. Nodes that share a stripe cost each other a question to
//! Redis, never a wrong answer.
//!
//! A deletion that Redis could not be told of is counted when it is owed; from then on nobody asks.
//! Looks that were on their way may show the version from before it is paid, so everything is
//! forgotten once more after paying, before Redis is asked again.

use crate::clock::Reading;
use crate::entry::Version;
#[cfg(not(test))]
use crate::random;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Most bytes kept of nodes and their versions: some 30,000 nodes, more than the entries of a local
/// tier of the default size have. One that is evicted costs a question to Redis.
const MAX_BYTES: u64 = 8 << 20;

/// What a node costs beside its name: versions, readings, stamp, slot in the table.
const NODE_OVERHEAD: usize = 192;

/// What a node is taken to weigh when the table is first sized.
const USUAL_NODE_BYTES: usize = 256;

/// How many counters there are: 128 KiB. At 100 deleted nodes a second a node without a deletion of
/// its own is asked for anew, because of another of its stripe, every 160 s.
const STRIPES: usize = 16_384;

/// The versions of nodes, as Redis showed them last.
pub struct Known {
    seen: Cache<String, Seen, ByBytes>,
    stripes: Box<[AtomicU64]>,
    /// Which node belongs to which of them, so that nobody can tell beforehand.
    seed: u64,
    /// Raised when everything is forgotten. Odd while the fleet's deletions are heard: what is seen
    /// while they are not is never believed.
    era: AtomicU64,
}

/// A version, when it was asked for, and what the counters said then.
#[derive(Clone)]
struct Seen {
    version: Version,
    at: Reading,
    stamp: Stamp,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp {
    era: u64,
    stripe: u64,
}

/// A look at nodes that is about to be sent.
#[must_use = "what the look shows is to be noted"]
pub struct Sight<'k> {
    known: &'k Known,
    nodes: &'k [String],
    at: Reading,
    /// One for each node; none while nothing is believed anyway.
    stamps: Vec<Stamp>,
}

impl Known {
    /// Nothing, and nothing is believed before [`Known::hear`].
    pub fn new() -> Known {
        Known {
            seen: Cache::with_weighter(MAX_BYTES as usize / USUAL_NODE_BYTES, MAX_BYTES, ByBytes),
            stripes: (0..STRIPES).map(|_| AtomicU64::new(0)).collect(),
            seed: seed(),
            era: AtomicU64::new(0),
        }
    }

    /// From now on, until [`Known::hear_no_more`], the fleet's deletions are heard, each after it was
    /// executed. For the one task that listens.
    pub fn hear(&self) {
        self.era.fetch_add(1, SeqCst);
    }

    /// Whether they are heard now.
    pub fn hears(&self) -> bool {
        is_heard(self.era.load(SeqCst))
    }

    /// Nothing is believed any more. For whoever called [`Known::hear`].
    pub fn hear_no_more(&self) {
        self.era.fetch_add(1, SeqCst);
    }

    /// Everything may have been deleted.
    pub fn forget_all(&self) {
        self.era.fetch_add(2, SeqCst);
    }

    /// These were deleted, or will be before Redis is asked again.
    pub fn forget<'n>(&self, nodes: impl IntoIterator<Item = &'n str>) {
        for node in nodes {
            self.stripe(node).fetch_add(1, SeqCst);
        }
    }

    /// To be called before the command that asks for the nodes is sent; `at` is read before that too.
    pub fn sight<'k>(&'k self, nodes: &'k [String], at: Reading) -> Sight<'k> {
        let era = self.era.load(SeqCst);
        let asked = if is_heard(era) { nodes } else { &[] };
        let stamp = |node: &String| Stamp {
            era,
            stripe: self.stripe(node).load(SeqCst),
        };
        Sight {
            known: self,
            nodes,
            at,
            stamps: asked.iter().map(stamp).collect(),
        }
    }

    /// Whether the nodes are believed to have exactly these versions, each by a look less than `within`
    /// before `now`. Nobody vouches for no node.
    pub fn vouches(
        &self,
        nodes: &[String],
        versions: &[Version],
        within: Duration,
        now: &Reading,
    ) -> bool {
        let holds = |(node, version): (&String, &Version)| {
            self.version(node, within, now).as_ref() == Some(version)
        };
        !nodes.is_empty() && nodes.len() == versions.len() && nodes.iter().zip(versions).all(holds)
    }

    /// The version that a node is believed to have, by a look less than `within` before `now`.
    pub fn version(&self, node: &str, within: Duration, now: &Reading) -> Option<Version> {
        let era = self.era.load(SeqCst);
        if !is_heard(era) || within.is_zero() {
            return None;
        }
        let seen = self.seen.get(node)?;
        let stripe = self.stripe(node).load(SeqCst);
        let is_believed = seen.stamp == Stamp { era, stripe } && now.is_within(within, &seen.at);
        is_believed.then_some(seen.version)
    }

    fn stripe(&self, node: &str) -> &AtomicU64 {
        &self.stripes[xxh3_64_with_seed(node.as_bytes(), self.seed) as usize % STRIPES]
    }
}

impl Sight<'_> {
    /// Notes what Redis replied, a version for each node in their order; an absent one is nothing to
    /// be believed.
    pub fn note(self, versions: impl IntoIterator<Item = Option<Version>>) {
        let stamped = self.nodes.iter().zip(self.stamps);
        for ((node, stamp), version) in stamped.zip(versions) {
            let Some(version) = version else { continue };
            let at = self.at;
            let seen = Seen { version, at, stamp };
            self.known.seen.insert(node.clone(), seen);
        }
    }
}

#[cfg(not(test))]
fn seed() -> u64 {
    random::bytes().map_or(0, u64::from_ne_bytes)
}

/// In tests the same each time, so that a simulation that is run again tells the same story.
#[cfg(test)]
fn seed() -> u64 {
    0
}

fn is_heard(era: u64) -> bool {
    era % 2 == 1
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<String, Seen> for ByBytes {
    fn weight(&self, node: &String, _: &Seen) -> u64 {
        (node.len() + NODE_OVERHEAD) as u64
    }
}

#[cfg(test)]
mod tests;

//! One look at the store: the entry and the versions of its nodes, in one round trip.

use crate::asked::Asked;
use crate::entry::Entry;
use crate::flights::Snapshot;
use crate::freshness::{self, Served};
use crate::key::{self, CacheKey};
use crate::live::Live;
use crate::store::{Down, Lock, Look, Sought};
use crate::vary::{self, Vary};
use std::sync::Arc;

/// What the store knows about a request.
pub enum Found {
    /// An entry that may be served.
    Fresh {
        /// The entry.
        entry: Arc<Entry>,
        /// Seconds of freshness left.
        ttl: i64,
        /// Seconds since the origin made it.
        age: u64,
    },
    /// Nothing that may be served; a fill may be kept under the snapshot.
    Missing {
        /// Where it would be kept.
        key: CacheKey,
        /// What answers are known to vary by.
        vary: Arc<Vary>,
        /// The versions from before the origin is asked.
        snapshot: Snapshot,
        /// The fleet's lock on fetching it, if it was asked for.
        lock: Lock,
    },
}

/// Looks a request up, and `lock` along with it. Waits for the store once: one that does not answer
/// is not asked again.
pub async fn look(live: &Live, asked: &Asked, lock: Option<&str>) -> Found {
    let mut vary = live.vary[asked.rule.index].known();
    loop {
        let key = asked.key(&live.table.namespace, &vary.names);
        let marker = (!vary.seen).then(|| key::vary_marker(&live.table.namespace, &asked.rule));
        let sought = Sought {
            entry: &key.entry,
            nodes: &key.nodes,
            marker: marker.as_deref(),
            lock,
            local_ttl: asked.rule.local_ttl,
        };
        let seen = match live.ground.store.look(sought).await {
            Ok(seen) => seen,
            Err(Down) => return down(live, key, vary),
        };
        match taught(live, asked, &vary, &seen) {
            Some(learnt) => vary = learnt, // others know more headers that answers vary by
            None => return judge(live, key, vary, seen).await,
        }
    }
}

/// What the store's marker teaches; `None` where it changes nothing about the key.
fn taught(live: &Live, asked: &Asked, known: &Arc<Vary>, seen: &Look) -> Option<Arc<Vary>> {
    let names = vary::from_marker(seen.marker.as_ref()?);
    let (learnt, _) = live.vary[asked.rule.index].learn(&names).ok()?;
    (learnt.names != known.names).then_some(learnt)
}

async fn judge(live: &Live, key: CacheKey, vary: Arc<Vary>, seen: Look) -> Found {
    if let Some(entry) = seen.entry {
        let served = freshness::judge_entry(
            &entry,
            &seen.versions,
            &key.binding,
            live.ground.clock.now_ms(),
        );
        if let Served::Fresh {
            ttl_left_s: ttl,
            age_s: age,
        } = served
        {
            return Found::Fresh { entry, ttl, age };
        }
    }
    let known: Option<Vec<_>> = seen.versions.into_iter().collect();
    let versions = match known {
        Some(versions) => Ok(versions),
        None => live.ground.store.snapshot(&key.nodes).await,
    };
    match versions {
        Ok(versions) => Found::Missing {
            key,
            vary,
            snapshot: Snapshot::Known(versions),
            lock: seen.lock,
        },
        Err(Down) => down(live, key, vary),
    }
}

fn down(live: &Live, key: CacheKey, vary: Arc<Vary>) -> Found {
    let snapshot = Snapshot::Unknown(live.ground.store.generation());
    Found::Missing {
        key,
        vary,
        snapshot,
        lock: Lock::Free,
    }
}

//! One sidecar fetches for the fleet: a flight's leader claims the fetch in the store, unless that was done
//! when its nodes were created, and one who comes late looks until the answer is there, as any reader would.
//!
//! A claim spares the origin and nothing else. No answer is trusted for it: what is found meanwhile
//! is judged like every entry, and whenever in doubt each process asks the origin itself.

use crate::asked::Asked;
use crate::entry::{Entry, Version};
use crate::flights::{Landing, Lead, RESTLESS_FOR, Snapshot, lock_name};

pub use crate::flights::LIFE;
use crate::key::CacheKey;
use crate::live::{Ground, Live};
use crate::look::{Found, Kept, Reach, look};
use crate::store::{Lock, Locked, Store, Taken};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::task::TaskTracker;

/// How often a claim is renewed while its fetch is under way: two renewals may be lost. Most fetches
/// are over before the first.
const RENEW_EVERY: Duration = Duration::from_millis(600);

/// How long a claim outlives a fetch whose answer was kept: what may pass between a reader's look and
/// his claim.
const LINGER: Duration = Duration::from_millis(100);

/// How soon a claim of another's is looked at: about what a fast answer takes.
const FIRST_PAUSE: Duration = Duration::from_millis(15);

/// The longest between two looks. Pauses double up to it, so a wait of a second costs eight commands,
/// and an answer is found at most as long after it is there as it was waited for.
pub const LONGEST_PAUSE: Duration = Duration::from_millis(250);

/// What came of claiming a fetch.
pub enum Claimed {
    /// Fetch, for the fleet; or for this process alone, where nothing can be claimed.
    Fetch(Option<Claim>),
    /// Another sidecar has fetched.
    Landed(Landing),
    /// What was to be fetched is no longer what is asked for: take turns anew.
    Again,
}

/// Claims the fetch of what `lead` leads, `key` under `snapshot`, where the rule says so, or waits until
/// `patience` for the sidecar that did. At least one command to a store that is up, and none where the
/// claim was `taken` along with the snapshot.
pub async fn claim(
    live: &Live,
    asked: &Asked,
    (key, snapshot): (&CacheKey, &Snapshot),
    (lead, taken): (&Lead, Option<Taken>),
    patience: Instant,
) -> Claimed {
    if let Some(taken) = taken {
        return Claimed::Fetch(Some(Claim::had(&live.ground, taken)));
    }
    match snapshot {
        Snapshot::Known(versions) if live.claims(&asked.rule) && live.ground.store.locks() => {
            let contest = Contest {
                live,
                asked,
                key,
                snapshot,
                lead,
                lock: lock_name(&key.entry, key.binding, versions),
            };
            let claimed = timeout_at(patience, contest.carry_out()).await;
            claimed.unwrap_or(Claimed::Fetch(None))
        }
        _ => Claimed::Fetch(None),
    }
}

struct Contest<'c> {
    live: &'c Live,
    asked: &'c Asked,
    key: &'c CacheKey,
    snapshot: &'c Snapshot,
    lead: &'c Lead,
    lock: String,
}

impl Contest<'_> {
    async fn carry_out(&self) -> Claimed {
        let ground = &self.live.ground;
        let mut pause = FIRST_PAUSE;
        loop {
            // Made before the store is asked, so that a client who leaves now leaves no claim.
            let mut claim = Claim::of(ground, self.lock.clone());
            let locked = ground.store.lock(&self.lock, LIFE).await;
            if locked == Locked::Ours {
                return Claimed::Fetch(Some(claim.renewed()));
            }
            claim.settle();
            if locked == Locked::Nobodys {
                return Claimed::Fetch(None);
            }
            if let Some(otherwise) = self.wait(&mut pause).await {
                return otherwise;
            }
        }
    }

    /// Looks until the claim ends in one way or another. `None`: it is free to be taken.
    async fn wait(&self, pause: &mut Duration) -> Option<Claimed> {
        loop {
            if let Some(taken) = self.lead.given() {
                return Some(Claimed::Fetch(Some(Claim::had(&self.live.ground, taken))));
            }
            sleep(*pause).await;
            *pause = (*pause * 2).min(LONGEST_PAUSE);
            let Found { place, kept, .. } = look(self.live, self.asked, Some(&self.lock)).await;
            if let Some(entry) = kept.as_ref().and_then(Kept::fresh) {
                return Some(Claimed::Landed(Landing::Kept(entry.clone())));
            }
            if place.reach != Reach::Fleet {
                // The store is down: whoever fetches cannot be heard.
                return Some(Claimed::Fetch(None));
            }
            if *place.key != *self.key || place.snapshot != *self.snapshot {
                return Some(Claimed::Again);
            }
            match place.lock {
                Lock::Held => {}
                Lock::Free => return None,
                Lock::Restless => {
                    let now = self.live.ground.clock.now_ms();
                    self.live.fills.restless(&self.key.entry, now);
                    return Some(Claimed::Landed(Landing::NotKept));
                }
            }
        }
    }
}

/// That this process fetches for the fleet. Dropped, also by panic or cancellation, it is released:
/// who waits for it takes it over.
#[must_use = "the claim is released when this is dropped"]
pub struct Claim {
    store: Store,
    tasks: TaskTracker,
    /// Empty once there is nothing left to release.
    lock: String,
    renewal: Option<JoinHandle<()>>,
}

impl Claim {
    fn of(ground: &Ground, lock: String) -> Claim {
        Claim {
            store: ground.store.clone(),
            tasks: ground.tasks.clone(),
            lock,
            renewal: None,
        }
    }

    /// What was taken already.
    fn had(ground: &Ground, taken: Taken) -> Claim {
        Claim::of(ground, taken.into_name()).renewed()
    }

    fn renewed(mut self) -> Claim {
        let (store, lock) = (self.store.clone(), self.lock.clone());
        self.renewal = Some(tokio::spawn(async move {
            loop {
                sleep(RENEW_EVERY).await;
                store.hold(&lock, LIFE).await;
            }
        }));
        self
    }

    /// The answer was kept under this key, after a fetch under this snapshot. One command.
    ///
    /// The claim lingers: a reader who looked just before the answer was there finds the claim taken,
    /// and then the answer. Not for long: a fetch from before a write may yet put its dead answer in
    /// the place of this one, and who comes then would wait for nobody. If the answer turned out to
    /// be for another variant, whoever waits for this one has to know at once.
    pub async fn kept(mut self, key: &str, entry: &Entry, snapshot: &[Version]) {
        if lock_name(key, entry.binding, snapshot) != self.lock {
            return; // released by being dropped
        }
        let lock = self.settle();
        let ttl = Duration::from_millis(entry.ttl);
        self.store.hold(&lock, ttl.min(LINGER)).await;
    }

    /// The answer could not be kept: nobody need wait for the next one, either.
    pub fn restless(mut self) {
        let (store, lock) = (self.store.clone(), self.settle());
        let told = async move { store.restless(&lock, RESTLESS_FOR).await };
        self.tasks.spawn(told);
    }

    /// Ends the renewal; there is nothing left to release.
    fn settle(&mut self) -> String {
        if let Some(renewal) = self.renewal.take() {
            renewal.abort();
        }
        std::mem::take(&mut self.lock)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let (store, lock) = (self.store.clone(), self.settle());
        if !lock.is_empty() {
            let released = async move { store.release(&lock).await };
            // At the end of a runtime nobody is there to release it: it ends by itself.
            if let Ok(runtime) = Handle::try_current() {
                self.tasks.spawn_on(released, &runtime);
            }
        }
    }
}

#[cfg(test)]
mod tests;

//! Locks: one sidecar fetches for the fleet. They spare the origin and nothing more: whatever goes
//! wrong with one, somebody asks the origin once more or waits a little longer.
//!
//! So a lock names no holder. One that outlived its lock may prolong or release the next one's, and
//! the price is one more request; to compare before releasing would take a script each time.

use super::{Down, Place, Store, token};
use crate::entry::Version;
use bytes::Bytes;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

/// While it is held.
pub(super) const HELD: Bytes = Bytes::from_static(b"+");
/// While the answer that it was held for is known not to be keepable.
pub(super) const RESTLESS: Bytes = Bytes::from_static(b"-");

/// A lock as a look found it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lock {
    /// Nobody holds it, or none was asked for.
    Free,
    /// Somebody fetches, or has just done so.
    Held,
    /// Somebody has fetched, and the answer was not keepable: each must ask for himself.
    Restless,
}

impl Lock {
    /// By its value; any that is not ours counts as held, until it expires.
    pub(super) fn of(value: Option<Bytes>) -> Lock {
        match value {
            None => Lock::Free,
            Some(value) if value == RESTLESS => Lock::Restless,
            Some(_) => Lock::Held,
        }
    }
}

/// A lock that this process has, or may have. Dropped, also by panic or cancellation, it is released.
#[must_use = "the lock is released when this is dropped"]
pub struct Taken {
    store: Store,
    tasks: TaskTracker,
    /// Empty once there is nothing left to release.
    lock: String,
}

impl Taken {
    /// Its name, for who holds it from now on.
    pub fn into_name(mut self) -> String {
        std::mem::take(&mut self.lock)
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let (store, lock) = (self.store.clone(), std::mem::take(&mut self.lock));
        if !lock.is_empty() {
            let released = async move { store.release(&lock).await };
            // At the end of a runtime nobody is there to release it: it ends by itself.
            if let Ok(runtime) = Handle::try_current() {
                self.tasks.spawn_on(released, &runtime);
            }
        }
    }
}

/// A lock to be taken along with a snapshot.
pub struct Wanted<'w> {
    /// The nodes' versions as a look found them a moment ago.
    pub known: &'w [Option<Version>],
    /// The lock's name under the versions that come of it.
    pub name: &'w (dyn Fn(&[Version]) -> String + Sync),
    /// As long as it is not released.
    pub life: Duration,
    /// In which it is released.
    pub tasks: &'w TaskTracker,
}

/// What came of trying to take a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Locked {
    /// It is ours, until its life is over or it is released.
    Ours,
    /// Somebody has it.
    Others,
    /// The store locks nothing: it is memory, down, or refuses (full, quota spent).
    Nobodys,
}

impl Store {
    /// Whether it locks anything.
    pub fn locks(&self) -> bool {
        matches!(self.0.place, Place::Redis(_))
    }

    /// [`Store::snapshot`] with the lock on what is fetched under it, in the same step. It is had where
    /// the versions are those that were known, and our tokens in the place of the absent ones: then nobody
    /// can have asked for it yet.
    pub async fn snapshot_and_lock(
        &self,
        nodes: &[String],
        wanted: Wanted<'_>,
    ) -> Result<(Vec<Version>, Option<Taken>), Down> {
        let Place::Redis(shared) = &self.0.place else {
            return Ok((self.snapshot(nodes).await?, None));
        };
        let nodes = self.0.names.all(nodes);
        let tokens: Vec<Version> = nodes.iter().map(|_| token()).collect();
        let versions = wanted.known.iter().zip(self.1.created(&nodes, &tokens));
        let foretold: Vec<Version> = versions
            .map(|(known, created)| known.unwrap_or(created))
            .collect();
        // Made before Redis is asked, so that a client who leaves now leaves no lock.
        let taken = Taken {
            store: self.clone(),
            tasks: wanted.tasks.clone(),
            lock: (wanted.name)(&foretold),
        };
        let lock = (self.0.names.one(&taken.lock), wanted.life);
        let versions = shared.snapshot(&nodes, tokens, Some(lock), &self.1).await?;
        if versions == foretold {
            return Ok((versions, Some(taken)));
        }
        taken.into_name(); // nobody asks for one of this name
        Ok((versions, None))
    }

    /// Takes a lock for `life`, if nobody has it. One command.
    pub async fn lock(&self, lock: &str, life: Duration) -> Locked {
        match &self.0.place {
            Place::Memory(_) => Locked::Nobodys,
            Place::Redis(shared) => match shared.lock(&self.0.names.one(lock), life).await {
                Ok(true) => Locked::Ours,
                Ok(false) => Locked::Others,
                Err(_) => Locked::Nobodys,
            },
        }
    }

    /// Lets a lock that was taken live for `life` from now on. One command.
    pub async fn hold(&self, lock: &str, life: Duration) {
        if let Place::Redis(shared) = &self.0.place {
            // Unheard, the lock ends sooner, and somebody may fetch beside us.
            let _ = shared.hold(&self.0.names.one(lock), life).await;
        }
    }

    /// Releases a lock that was taken. One command.
    pub async fn release(&self, lock: &str) {
        if let Place::Redis(shared) = &self.0.place {
            // Unheard, the lock ends by itself.
            let _ = shared.release(&self.0.names.one(lock)).await;
        }
    }

    /// Says for `life` that nobody need wait for the answer that this lock was taken for. One
    /// command; where the store is too full to be told, the lock is released.
    pub async fn restless(&self, lock: &str, life: Duration) {
        let lock = self.0.names.one(lock);
        if let Place::Redis(shared) = &self.0.place
            && shared.restless(&lock, life).await.is_err()
        {
            let _ = shared.release(&lock).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_read_by_its_value() {
        assert_eq!(Lock::of(None), Lock::Free);
        assert_eq!(Lock::of(Some(HELD)), Lock::Held);
        assert_eq!(Lock::of(Some(RESTLESS)), Lock::Restless);
        assert_eq!(Lock::of(Some(Bytes::new())), Lock::Held);
    }
}

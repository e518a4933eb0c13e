//! Who fetches and who waits: one flight per key and snapshot.
//!
//! Joining by key alone would hand out an answer that was fetched before a write which the joining
//! reader is entitled to see. A reader that holds the same snapshot has itself seen, after it came,
//! that none of the nodes had been dropped since the flight began. Where the store could not be asked
//! nobody has seen that: a reader joins only a flight that began after he came.

use crate::digest::{Digest, Digester};
use crate::entry::{Entry, Version};
use crate::outcome::Detail;
use crate::rules::table::Coalesce;
use crate::store::Taken;
use crate::trace::Trace;
use quick_cache::sync::Cache;
use std::collections::HashMap;
use std::collections::hash_map;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::SetOnce;

/// How long a key is not waited on after its answer turned out not to be keepable. Long enough that
/// a busy uncacheable key does not queue its readers, short enough that a passing state passes.
pub const RESTLESS_FOR: Duration = Duration::from_secs(10);

/// Keys remembered as restless. Forgetting one costs its readers one wait.
const MAX_RESTLESS: usize = 10_000;

/// The versions that a fill may be kept under.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Snapshot {
    /// Read, or created, before the origin was asked.
    Known(Vec<Version>),
    /// The store cannot be asked. Nothing is kept. The number of drops that this process has made
    /// stands for the versions: after one of its own writes nobody waits for a flight from before it.
    Unknown(u64),
}

/// What a flight has come to.
#[derive(Clone, Debug)]
pub enum Landing {
    /// The answer may be handed to all who waited.
    Kept(Arc<Entry>),
    /// Each must ask for himself.
    NotKept,
    /// The origin failed, and the leader was served what is kept although it is stale: so may others.
    StoodIn,
    /// The origin failed all of them, in this trace.
    Failed(Detail, Trace),
    /// Its leader died: take turns anew.
    Lost,
}

/// How long a claim outlives its holder's death, and so the longest that a death keeps others
/// waiting. Several times what a busy process may be late to renew it.
pub const LIFE: Duration = Duration::from_secs(2);

/// The store key of the fleet's lock on a fetch: `entry!digest`. Nobody waits for a fetch whose answer he
/// could not be served: one from before a write that he has seen, one by other rules, one that knows of
/// other headers that answers vary by. What else bears a `!` has it at its end, or a word behind it.
pub fn lock_name(key: &str, binding: Digest, versions: &[Version]) -> String {
    let mut digester = Digester::new("claim");
    digester.part(&binding.0);
    versions.iter().for_each(|version| {
        digester.part(version);
    });
    format!("{key}!{}", digester.finish())
}

type FlightKey = (String, Snapshot);

/// The fleet's lock on what a flight fetches, from one who waits for it.
type Gift = Arc<Mutex<Option<Taken>>>;

/// How many flights had begun when a reader came.
#[derive(Clone, Copy, Debug)]
pub struct Arrival(u64);

struct Flight {
    number: u64,
    landing: Waiting,
    gift: Gift,
}

/// Hears how a flight lands.
pub type Waiting = Arc<SetOnce<Landing>>;

/// All flights of this process.
pub struct Fills {
    flights: Mutex<HashMap<FlightKey, Flight>>,
    begun: AtomicU64,
    restless: Cache<String, u64>,
}

/// What a reader does about a key that is not kept.
pub enum Turn {
    /// Fetches for all. Dropping the value, also by panic or cancellation, ends the flight.
    Lead(Lead),
    /// Waits for the leader.
    Wait(Waiting),
    /// Waits until a flight lands whose answer is not for him, then takes turns anew: it began before
    /// he came, and a write may have been acknowledged in between.
    Queue(Waiting),
    /// Fetches for himself alone.
    Alone,
}

/// The obligation to land a flight. If it is dropped without landing, those who wait take turns
/// anew.
pub struct Lead {
    fills: Arc<Fills>,
    key: FlightKey,
    landing: Waiting,
    gift: Gift,
}

impl Default for Fills {
    fn default() -> Fills {
        Fills {
            flights: Mutex::default(),
            begun: AtomicU64::new(0),
            restless: Cache::new(MAX_RESTLESS),
        }
    }
}

impl Fills {
    /// A reader comes.
    pub fn arrival(&self) -> Arrival {
        Arrival(self.begun.load(SeqCst))
    }

    /// Whose turn it is to fetch this key, for a reader that came at `arrival`.
    pub fn turn(
        self: &Arc<Fills>,
        entry: &str,
        snapshot: &Snapshot,
        coalesce: Coalesce,
        arrival: Arrival,
        now: u64,
    ) -> Turn {
        if coalesce == Coalesce::Off || self.is_restless(entry, now) {
            return Turn::Alone;
        }
        let key = (entry.to_owned(), snapshot.clone());
        let mut flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
        match flights.entry(key.clone()) {
            hash_map::Entry::Occupied(flight) => {
                let Flight {
                    number, landing, ..
                } = flight.get();
                let is_proven = matches!(snapshot, Snapshot::Known(_)) || *number > arrival.0;
                match is_proven {
                    true => Turn::Wait(landing.clone()),
                    false => Turn::Queue(landing.clone()),
                }
            }
            hash_map::Entry::Vacant(place) => {
                let (landing, gift) = (Waiting::default(), Gift::default());
                let number = self.begun.fetch_add(1, SeqCst) + 1;
                place.insert(Flight {
                    number,
                    landing: landing.clone(),
                    gift: gift.clone(),
                });
                Turn::Lead(Lead {
                    fills: self.clone(),
                    key,
                    landing,
                    gift,
                })
            }
        }
    }

    /// Leaves the lock to the flight that is waited for, if it is still under way: its leader may have
    /// come by the same versions a moment later. Where he does not take it, it is released.
    pub fn give(&self, entry: &str, snapshot: &Snapshot, taken: Taken) {
        let flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
        let flight = flights.get(&(entry.to_owned(), snapshot.clone()));
        let gift = flight.map(|flight| flight.gift.clone());
        drop(flights);
        if let Some(gift) = gift {
            *gift.lock().unwrap_or_else(PoisonError::into_inner) = Some(taken);
        }
    }

    /// Whether nobody waits for the next answer to this key. More is left than there ever was where the clock
    /// was set back: then nobody knows.
    pub fn is_restless(&self, entry: &str, now: u64) -> bool {
        let left = self.restless.get(entry).unwrap_or(0).saturating_sub(now);
        (1..=RESTLESS_FOR.as_millis() as u64).contains(&left)
    }

    /// Remembers that the key's answer was not keepable.
    pub fn restless(&self, entry: &str, now: u64) {
        self.restless
            .insert(entry.to_owned(), now + RESTLESS_FOR.as_millis() as u64);
    }

    /// Forgets it again, once an answer was kept.
    pub fn calm(&self, entry: &str) {
        self.restless.remove(entry);
    }
}

impl Lead {
    /// Hears how the flight lands, as those do who wait for it.
    pub fn waiting(&self) -> Waiting {
        self.landing.clone()
    }

    /// The lock on what is fetched, where one who waits had it.
    pub fn given(&self) -> Option<Taken> {
        let mut gift = self.gift.lock().unwrap_or_else(PoisonError::into_inner);
        gift.take()
    }

    /// Tells those who wait, and those who still come until the value is dropped; without versions
    /// those alone who wait, and who queued finds the next flight, not this one once more.
    pub fn land(&self, landing: Landing) {
        if let (_, Snapshot::Unknown(_)) = self.key {
            self.leave();
        }
        let _ = self.landing.set(landing); // a flight lands once
    }

    fn leave(&self) {
        let flights = self.fills.flights.lock();
        let mut flights = flights.unwrap_or_else(PoisonError::into_inner);
        let is_own = |flight: &Flight| Arc::ptr_eq(&flight.landing, &self.landing);
        if flights.get(&self.key).is_some_and(is_own) {
            flights.remove(&self.key);
        }
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        self.leave();
        self.land(Landing::Lost);
    }
}

/// Waits until a flight lands.
pub async fn landed(waiting: Waiting) -> Landing {
    waiting.wait().await.clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(fills: &Arc<Fills>, snapshot: &Snapshot) -> Turn {
        fills.turn("ns:a", snapshot, Coalesce::Local, fills.arrival(), 0)
    }

    #[tokio::test]
    async fn without_versions_nobody_joins_a_flight_from_before_he_came() {
        let fills = Arc::new(Fills::default());
        let unknown = Snapshot::Unknown(0);
        let Turn::Lead(first) = turn(&fills, &unknown) else {
            panic!("the first leads")
        };
        let came = fills.arrival();
        let again = || fills.turn("ns:a", &unknown, Coalesce::Local, came, 0);
        let Turn::Queue(landing) = again() else {
            panic!("it may have asked before a write that the second is entitled to see")
        };
        first.land(Landing::NotKept);
        landed(landing).await;
        let Turn::Lead(_second) = again() else {
            panic!("the second leads, also before the first is gone")
        };
        drop(first);
        assert!(matches!(again(), Turn::Wait(_)), "it began after he came");
        assert!(matches!(turn(&fills, &unknown), Turn::Queue(_)), "a third");
    }

    #[tokio::test]
    async fn one_leads_and_those_with_the_same_snapshot_wait() {
        let fills = Arc::new(Fills::default());
        let snapshot = Snapshot::Known(vec![[1; 16]]);
        let Turn::Lead(lead) = turn(&fills, &snapshot) else {
            panic!("the first leads")
        };
        let Turn::Wait(waiting) = turn(&fills, &snapshot) else {
            panic!("the second waits")
        };
        lead.land(Landing::NotKept);
        assert!(matches!(landed(waiting).await, Landing::NotKept));
    }

    #[test]
    fn a_newer_snapshot_never_joins_an_older_flight() {
        let fills = Arc::new(Fills::default());
        let _lead = turn(&fills, &Snapshot::Known(vec![[1; 16]]));
        assert!(matches!(
            turn(&fills, &Snapshot::Known(vec![[2; 16]])),
            Turn::Lead(_)
        ));
        let _down = turn(&fills, &Snapshot::Unknown(7));
        assert!(matches!(turn(&fills, &Snapshot::Unknown(8)), Turn::Lead(_)));
    }

    #[tokio::test]
    async fn a_leader_that_dies_wakes_those_who_wait_and_leaves_the_key_free() {
        let fills = Arc::new(Fills::default());
        let snapshot = Snapshot::Known(Vec::new());
        let Turn::Lead(lead) = turn(&fills, &snapshot) else {
            panic!("the first leads")
        };
        let Turn::Wait(waiting) = turn(&fills, &snapshot) else {
            panic!("the second waits")
        };
        drop(lead);
        assert!(matches!(landed(waiting).await, Landing::Lost));
        assert!(matches!(turn(&fills, &snapshot), Turn::Lead(_)));
    }

    #[test]
    fn a_restless_key_is_not_waited_on_for_a_while() {
        let fills = Arc::new(Fills::default());
        fills.restless("ns:a", 1000);
        let (came, unknown) = (fills.arrival(), Snapshot::Unknown(0));
        let at = |now| fills.turn("ns:a", &unknown, Coalesce::Local, came, now);
        assert!(matches!(at(1001), Turn::Alone));
        assert!(matches!(at(999), Turn::Lead(_)), "the clock was set back");
        assert!(matches!(
            at(1000 + RESTLESS_FOR.as_millis() as u64),
            Turn::Lead(_)
        ));
        fills.calm("ns:a");
        assert!(matches!(at(1001), Turn::Lead(_)));
    }
}

//! What is counted of those whose requests are limited: so many in a window of time, which begins with the
//! first. A request over any of its limits is counted by none of them, so that who is held back by one does
//! not use up what he shares with others.

use super::fault::Down;
use super::{Place, Store};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// A counter that a request is to be counted by.
#[derive(Clone, Debug)]
pub struct Window {
    /// Its name.
    pub name: String,
    /// So many requests may be counted in one window.
    pub max: u64,
    /// How long a window is.
    pub length: Duration,
}

/// How a counter stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// Requests in the present window.
    pub used: u64,
    /// How long that window still lasts.
    pub left: Duration,
}

/// What came of counting a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counted {
    /// Whether it was counted: no counter had its most already.
    pub fits: bool,
    /// How each counter stands now, in the order of the windows.
    pub counts: Vec<Count>,
}

impl Store {
    /// Counts a request by all these counters, or by none. One script.
    ///
    /// # Errors
    /// The store cannot be asked, or did not say: nobody knows then whether it was counted.
    pub async fn count(&self, windows: &[Window]) -> Result<Counted, Down> {
        match &self.0.place {
            Place::Memory(memory) => Ok(memory.count(windows)),
            Place::Redis(shared) => {
                let names = windows.iter().map(|window| self.0.names.one(&window.name));
                let names = names.map(|name| name.into_owned()).collect();
                shared.count(names, windows).await
            }
        }
    }
}

/// Counters in this process's memory. Some 12 MB: as many clients as one process serves in a window.
const MAX_COUNTERS: usize = 65_536;

/// The counters of a store that is memory. What has ended is given back when the next request is counted.
/// Past [`MAX_COUNTERS`] the one that ends soonest is given up: of all of them it is the one that would have
/// held somebody back for the shortest time, while not to count newcomers would let go whoever comes
/// from many addresses, and everybody else with him.
#[derive(Default)]
pub(super) struct Counters(Mutex<Standing>);

#[derive(Default)]
struct Standing {
    by_name: BTreeMap<Arc<str>, (u64, Instant)>,
    /// The same by when they end.
    by_end: BTreeSet<(Instant, Arc<str>)>,
}

impl Counters {
    /// See [`Store::count`].
    pub(super) fn count(&self, windows: &[Window], now: Instant) -> Counted {
        let mut standing = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        standing.end(now);
        let used = |window: &Window| standing.used(&window.name);
        let fits = windows.iter().all(|window| used(window) < window.max);
        let counts = windows.iter().map(|window| match fits {
            true => standing.add(window, now),
            false => standing.look(window, now),
        });
        let counts = counts.collect();
        standing.bound();
        Counted { fits, counts }
    }
}

impl Standing {
    fn used(&self, name: &str) -> u64 {
        self.by_name.get(name).map_or(0, |(used, _)| *used)
    }

    /// Forgets what has ended.
    fn end(&mut self, now: Instant) {
        while self.by_end.first().is_some_and(|(end, _)| *end <= now) {
            self.give_up_first();
        }
    }

    fn bound(&mut self) {
        while self.by_end.len() > MAX_COUNTERS {
            self.give_up_first();
        }
    }

    fn give_up_first(&mut self) {
        if let Some((_, name)) = self.by_end.pop_first() {
            self.by_name.remove(&name);
        }
    }

    fn add(&mut self, window: &Window, now: Instant) -> Count {
        let found = self.by_name.remove_entry(window.name.as_str());
        let (name, used, end) = match found {
            Some((name, (used, end))) => {
                self.by_end.remove(&(end, name.clone()));
                (name, used, end.min(now + window.length)) // a reload may have shortened it
            }
            None => (Arc::from(window.name.as_str()), 0, now + window.length),
        };
        self.by_name.insert(name.clone(), (used + 1, end));
        self.by_end.insert((end, name));
        Count {
            used: used + 1,
            left: end - now,
        }
    }

    fn look(&self, window: &Window, now: Instant) -> Count {
        match self.by_name.get(window.name.as_str()) {
            Some((used, end)) => Count {
                used: *used,
                left: (*end - now).min(window.length),
            },
            None => Count {
                used: 0,
                left: window.length,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(name: &str, max: u64, seconds: u64) -> Window {
        Window {
            name: name.to_owned(),
            max,
            length: Duration::from_secs(seconds),
        }
    }

    #[test]
    fn a_request_is_counted_by_all_of_its_limits_or_by_none() {
        let (counters, now) = (Counters::default(), Instant::now());
        let both = [window("own", 2, 60), window("shared", 5, 10)];
        for used in 1..=2 {
            let counted = counters.count(&both, now);
            let all: Vec<u64> = counted.counts.iter().map(|count| count.used).collect();
            assert_eq!((counted.fits, all), (true, vec![used, used]));
        }
        let counted = counters.count(&both, now);
        let left = counted.counts.iter().map(|count| count.left.as_secs());
        assert_eq!(left.collect::<Vec<_>>(), [60, 10]);
        assert_eq!((counted.fits, counted.counts[1].used), (false, 2));
        let other = [window("other", 2, 60), window("shared", 5, 10)];
        assert_eq!(counters.count(&other, now).counts[1].used, 3);
    }

    #[test]
    fn a_window_ends_by_itself_and_gives_its_memory_back() {
        let (counters, begun) = (Counters::default(), Instant::now());
        let own = [window("own", 1, 60)];
        assert!(counters.count(&own, begun).fits);
        let late = begun + Duration::from_secs(59);
        let counted = counters.count(&own, late);
        assert_eq!((counted.fits, counted.counts[0].left.as_secs()), (false, 1));
        let after = begun + Duration::from_secs(60);
        assert!(counters.count(&own, after).fits);
        assert!(counters.count(&[window("other", 1, 1)], after).fits);
        let much_later = after + Duration::from_secs(60);
        assert!(counters.count(&[window("third", 1, 1)], much_later).fits);
        let standing = counters.0.lock().expect("not poisoned");
        assert_eq!((standing.by_name.len(), standing.by_end.len()), (1, 1));
    }

    #[test]
    fn a_window_that_a_reload_has_shortened_ends_sooner() {
        let (counters, begun) = (Counters::default(), Instant::now());
        assert!(counters.count(&[window("own", 9, 3600)], begun).fits);
        let shorter = [window("own", 9, 60)];
        assert_eq!(counters.count(&shorter, begun).counts[0].left.as_secs(), 60);
        let after = begun + Duration::from_secs(60);
        assert_eq!(counters.count(&shorter, after).counts[0].used, 1);
    }

    #[test]
    fn past_the_most_counters_the_one_that_ends_soonest_is_given_up() {
        let (counters, now) = (Counters::default(), Instant::now());
        assert!(counters.count(&[window("first", 1, 10)], now).fits);
        for at in 0..MAX_COUNTERS {
            let one = window(&format!("client {at}"), 1, 60);
            assert!(counters.count(&[one], now).fits);
        }
        assert!(!counters.count(&[window("client 0", 1, 60)], now).fits);
        assert!(counters.count(&[window("first", 1, 10)], now).fits);
        let standing = counters.0.lock().expect("not poisoned");
        assert_eq!(standing.by_name.len(), MAX_COUNTERS);
        assert_eq!(standing.by_end.len(), MAX_COUNTERS);
    }
}

//! What a rule would have spared: the traffic run through a cache that forgets nothing before its time.

use super::owner::Owner;
use super::rhythm::median;
use super::shape::Param;
use super::sight::Sight;
use std::collections::HashMap;
use std::time::Duration;

/// Commands of a hit, and of a miss that is kept (README, "A small Redis is enough").
const COMMANDS_OF_HIT: usize = 1;
const COMMANDS_OF_MISS: usize = 4;

/// What a rule would have come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Worth {
    /// Requests.
    pub(super) asked: usize,
    /// Those that would have been hits, as long as nothing is dropped.
    pub(super) hits: usize,
    /// Time of an answer at the origin, in the mean, where it is known.
    pub(super) origin_ms: Option<u64>,
}

impl Worth {
    pub(super) fn of(asks: &[Sight], params: &[Param], owner: &Owner, ttl: Duration) -> Worth {
        let idle: Vec<&str> = params
            .iter()
            .filter(|param| param.is_idle())
            .map(|param| param.name.as_str())
            .collect();
        let ttl = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
        let mut kept: HashMap<_, u64> = HashMap::new();
        let mut hits = 0;
        for ask in asks {
            let keyed = ask
                .params
                .iter()
                .filter(|(name, _)| !idle.contains(&&**name));
            let who = match owner {
                Owner::Everybody { .. } => None,
                Owner::Person(_) | Owner::Unknown => ask.person(),
            };
            let key = (ask.page, keyed.collect::<Vec<_>>(), who);
            let is_kept = kept.get(&key).is_some_and(|until| ask.at_ms < *until);
            if is_kept {
                hits += 1;
            } else if ask.good.is_some() && !ask.sets_cookie && !ask.forbids {
                kept.insert(key, ask.at_ms + ttl);
            }
        }
        let took = asks.iter().filter(|ask| ask.good.is_some());
        let took: Vec<u64> = took.filter_map(|ask| ask.took_ms).collect();
        Worth {
            asked: asks.len(),
            hits,
            origin_ms: median(&took),
        }
    }

    /// Milliseconds of the origin's work, by which rules are ordered. A millisecond where it is not known.
    pub(super) fn spared_ms(&self) -> u64 {
        self.hits as u64 * self.origin_ms.unwrap_or(1).max(1)
    }

    /// Commands to Redis that all of it would have taken.
    pub(super) fn commands(&self) -> usize {
        self.hits * COMMANDS_OF_HIT + (self.asked - self.hits) * COMMANDS_OF_MISS
    }
}

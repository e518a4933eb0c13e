//! How often answers change, by the same request asked again.

use super::asked::AskedFor;
use super::sight::Sight;
use crate::digest::Digest;
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

/// Two answers of one moment: what differs between them, without a write, is no change of data.
const MOMENT_MS: u64 = 1_000;

/// A route is restless where one in so many of those differs.
const RESTLESS: usize = 5;

/// Repetitions that all differ, without a write, before it is taken for restless as well: time stamps are never asked for twice in
/// a second where few ask.
const NEVER_SAME: usize = 3;

/// Writes that are looked at before a change, the last ones.
const NEAREST: usize = 64;

/// Shortest ttl that is worth a rule.
const SHORTEST: Duration = Duration::from_secs(10);

/// Longest that is proposed where nothing is known to change, or only behind writes: what was seen is short.
const CAUTIOUS: Duration = Duration::from_secs(5 * 60);

/// The ttls that are proposed, in seconds: from half a minute where nothing is known to change.
const PRETTY: [u64; 11] = [10, 15, 30, 60, 120, 300, 600, 900, 1800, 2700, 3600];

/// What was seen of a route's changes.
#[derive(Debug, Default)]
pub(super) struct Rhythm {
    /// Answers that were the same as the one before to the same request, and that were not.
    pub(super) same: usize,
    pub(super) changes: usize,
    /// Those with no write before them.
    pub(super) unprompted: usize,
    /// Writes just before changes: in how many each was.
    pub(super) behind: BTreeMap<String, usize>,
    /// The longest time over which one request was looked at.
    pub(super) span_ms: u64,
    /// How long answers stood, at most, before they changed by themselves; and before any change.
    unprompted_runs: Vec<u64>,
    runs: Vec<u64>,
    moments: usize,
    restless: usize,
}

/// The answers to one request.
struct Standing {
    first_ms: u64,
    since_ms: u64,
    last_ms: u64,
    body: Digest,
}

impl Rhythm {
    /// What one request gets is followed for each of those who make it.
    pub(super) fn of(asks: &[Sight], all: &AskedFor<'_>) -> Rhythm {
        let mut rhythm = Rhythm::default();
        let mut standing: HashMap<_, Standing> = HashMap::new();
        for ask in asks {
            let Some(good) = ask.good else { continue };
            let at = ask.at_ms;
            let stands = match standing.entry((ask.page, &ask.params, ask.person())) {
                Entry::Vacant(place) => {
                    place.insert(Standing {
                        first_ms: at,
                        since_ms: at,
                        last_ms: at,
                        body: good.body,
                    });
                    continue;
                }
                Entry::Occupied(stands) => stands.into_mut(),
            };
            rhythm.again(ask, stands, good.body, all);
            stands.last_ms = at;
            rhythm.span_ms = rhythm.span_ms.max(at - stands.first_ms);
        }
        rhythm
    }

    fn again(&mut self, ask: &Sight, stands: &mut Standing, body: Digest, all: &AskedFor<'_>) {
        let at = ask.at_ms;
        let mut writes: Vec<&str> = all
            .writes_between(stands.last_ms, ask.until_ms())
            .take(NEAREST)
            .map(|write| all.told(write))
            .collect();
        let is_same = stands.body == body;
        if at - stands.last_ms <= MOMENT_MS && writes.is_empty() {
            self.moments += 1;
            self.restless += usize::from(!is_same);
        }
        if is_same {
            self.same += 1;
            return;
        }
        self.changes += 1;
        let run = at - stands.since_ms;
        self.runs.push(run);
        if writes.is_empty() {
            self.unprompted += 1;
            self.unprompted_runs.push(run);
        }
        writes.sort_unstable();
        writes.dedup();
        for route in writes {
            *self.behind.entry(route.to_owned()).or_default() += 1;
        }
        stands.since_ms = at;
        stands.body = body;
    }

    /// Whether the same request is answered differently at the same moment, or each time.
    pub(super) fn is_restless(&self) -> bool {
        let differs_at_once = self.restless > 0 && self.restless * RESTLESS >= self.moments;
        differs_at_once || (self.same == 0 && self.unprompted >= NEVER_SAME)
    }

    /// The ttl to propose; none where answers change faster than any that is worth it.
    pub(super) fn ttl(&self) -> Option<Duration> {
        let seconds = |ms: u64| Duration::from_millis(ms);
        let most = match (median(&self.unprompted_runs), median(&self.runs)) {
            (Some(typical), _) => {
                let shortest = self
                    .unprompted_runs
                    .iter()
                    .min()
                    .copied()
                    .unwrap_or(typical);
                let most = seconds(shortest.min(typical / 2));
                if seconds(typical) < SHORTEST {
                    return None;
                }
                most.max(SHORTEST)
            }
            (None, Some(typical)) => seconds(typical).clamp(SHORTEST * 3, CAUTIOUS),
            (None, None) => seconds(self.span_ms).clamp(SHORTEST * 3, CAUTIOUS),
        };
        let pretty = PRETTY.iter().rev().map(|one| Duration::from_secs(*one));
        pretty.into_iter().find(|one| *one <= most)
    }

    /// How long answers stood before they changed by themselves, in the mean, milliseconds.
    pub(super) fn typical_ms(&self) -> Option<u64> {
        median(&self.unprompted_runs)
    }
}

/// The middle one, the lower of two.
pub(super) fn median(values: &[u64]) -> Option<u64> {
    let mut values = values.to_vec();
    values.sort_unstable();
    values.get(values.len().checked_sub(1)? / 2).copied()
}

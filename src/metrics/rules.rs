//! What is counted by rule. Whoever answers by a rule holds its counters, so that counting looks
//! nothing up, takes no lock and allocates nothing; names and labels are put together only when
//! somebody asks.

use super::family::{count, family};
use super::shards::Sharded;
use super::tally::Tally;
use super::timings::Timings;
use crate::outcome::Outcome;
use hyper::StatusCode;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

/// Codes of one class, as 2xx is.
pub(super) const CLASS: usize = 100;

/// A status has three digits, of which the first is not 0 (RFC 9110 §15).
const CLASSES: usize = 9;

/// How often each status of a class came.
pub(super) type Statuses = [AtomicU64; CLASS];

/// One thread's. What seldom happens has a place once it does.
#[derive(Debug, Default)]
pub(super) struct Counted {
    pub(super) requests: [OnceLock<Box<Timings>>; Outcome::ALL.len()],
    pub(super) origin: Timings,
    pub(super) statuses: [OnceLock<Box<Statuses>>; CLASSES],
    pub(super) unanswered: OnceLock<Box<Timings>>,
    pub(super) collapsed: AtomicU64,
}

/// The counters of one rule, in all its versions: a reload that keeps the name keeps them.
#[derive(Debug, Default)]
pub struct RuleMetrics {
    counted: Sharded<Counted>,
    /// Milliseconds of Unix time; 0 for never.
    dropped_at: AtomicU64,
    /// The same.
    on_since: AtomicU64,
}

impl RuleMetrics {
    /// A write dropped something that the rule may keep, at this Unix time in milliseconds.
    pub fn dropped(&self, at_ms: u64) {
        self.dropped_at.fetch_max(at_ms, Ordering::Relaxed);
    }

    /// When something of the rule was dropped last, by this process.
    pub fn dropped_at_ms(&self) -> Option<u64> {
        Some(self.dropped_at.load(Ordering::Relaxed)).filter(|at| *at > 0)
    }

    /// Rules are in force from this Unix time in milliseconds in which the rule of this name is on, or is not.
    pub fn in_force(&self, is_on: bool, now_ms: u64) {
        let since = &self.on_since;
        let known = since.load(Ordering::Relaxed);
        match (is_on, known) {
            (true, 0) => since.store(now_ms, Ordering::Relaxed),
            (true, _) => {}
            (false, _) => since.store(0, Ordering::Relaxed),
        }
    }

    /// Since when a rule of this name is on without a break, in this process and in milliseconds of Unix time.
    pub fn on_since_ms(&self) -> Option<u64> {
        Some(self.on_since.load(Ordering::Relaxed)).filter(|at| *at > 0)
    }

    /// A request was answered, and its answer's head was there after this long.
    pub fn request(&self, outcome: Outcome, took: Duration) {
        let timings = &self.counted.own().requests[outcome as usize];
        timings.get_or_init(Box::default).observe(took);
    }

    /// The origin answered a request made for the rule.
    pub fn origin_answered(&self, status: StatusCode, took: Duration) {
        let own = self.counted.own();
        let status = usize::from(status.as_u16());
        let statuses = own.statuses[(status / CLASS).clamp(1, CLASSES) - 1]
            .get_or_init(|| Box::new([const { AtomicU64::new(0) }; CLASS]));
        statuses[status % CLASS].fetch_add(1, Ordering::Relaxed);
        own.origin.observe(took);
    }

    /// The origin gave no answer: refused, reset, too slow, or malformed.
    pub fn origin_failed(&self, took: Duration) {
        let own = self.counted.own();
        own.unanswered.get_or_init(Box::default).observe(took);
        own.origin.observe(took);
    }

    /// A request waited for another's fill and shares its answer.
    pub fn collapsed(&self) {
        self.counted.own().collapsed.fetch_add(1, Ordering::Relaxed);
    }

    /// What was counted so far.
    pub fn sum(&self) -> Tally {
        let mut sum = Tally::default();
        for counted in self.counted.all() {
            sum.add(counted);
        }
        sum
    }
}

/// Names of rules that are no more, whose counters are kept: a rule that comes back goes on counting, and what
/// was spared stays spared. Who reloads names made by a machine is not to fill `/metrics` and memory with them.
const MOST_GONE: usize = 256;

/// The counters of all rules there are, and of some that there were, by name.
#[derive(Debug, Default)]
pub(super) struct Rules(Mutex<BTreeMap<String, Arc<RuleMetrics>>>);

impl Rules {
    /// The counters of a name, the same for all who ask. For a new one those are forgotten that nobody holds,
    /// once there are many.
    pub(super) fn named(&self, name: &str) -> Arc<RuleMetrics> {
        let mut rules = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = rules.get(name) {
            return known.clone();
        }
        let is_held = |rule: &Arc<RuleMetrics>| Arc::strong_count(rule) > 1;
        if rules.values().filter(|rule| !is_held(rule)).count() >= MOST_GONE {
            rules.retain(|_, rule| is_held(rule));
        }
        rules.entry(name.to_owned()).or_default().clone()
    }

    pub(super) fn sums(&self) -> Vec<(String, Tally)> {
        let rules = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        rules
            .iter()
            .map(|(name, rule)| (name.clone(), rule.sum()))
            .collect()
    }
}

impl Collector for Rules {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let sums = self.sums();
        requests(&sums, &mut encoder)?;
        origin(&sums, &mut encoder)?;
        let collapsed = sums.iter().filter(|(_, sum)| sum.collapsed > 0);
        family(
            &mut encoder,
            (
                "collapsed",
                "Requests that shared a fill.",
                MetricType::Counter,
            ),
            collapsed.map(|(rule, sum)| ([("rule", rule.as_str())], sum.collapsed)),
            count,
        )
    }
}

fn requests(sums: &[(String, Tally)], encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let outcomes = || {
        sums.iter().flat_map(|(rule, sum)| {
            let labels = move |outcome| [("rule", rule.as_str()), ("outcome", outcome)];
            sum.outcomes()
                .map(move |(word, times)| (labels(word), times))
        })
    };
    family(
        encoder,
        (
            "requests",
            "Requests, by what became of them.",
            MetricType::Counter,
        ),
        outcomes().map(|(labels, times)| (labels, times.count())),
        count,
    )?;
    family(
        encoder,
        (
            "request_duration_seconds",
            "Until the answer's head.",
            MetricType::Histogram,
        ),
        outcomes(),
        |times, encoder| times.encode(encoder),
    )
}

fn origin(sums: &[(String, Tally)], encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let statuses: Vec<_> = sums
        .iter()
        .flat_map(|(rule, sum)| {
            sum.origin_answers()
                .map(move |(status, count)| (rule, status, count))
        })
        .collect();
    family(
        encoder,
        (
            "origin_requests",
            "Requests to the origin.",
            MetricType::Counter,
        ),
        statuses
            .iter()
            .map(|(rule, status, count)| ([("rule", rule.as_str()), ("status", status)], *count)),
        count,
    )?;
    let asked = sums.iter().filter(|(_, sum)| sum.origin.count() > 0);
    family(
        encoder,
        (
            "origin_duration_seconds",
            "Until the origin's head.",
            MetricType::Histogram,
        ),
        asked.map(|(rule, sum)| ([("rule", rule.as_str())], &sum.origin)),
        |times, encoder| times.encode(encoder),
    )
}

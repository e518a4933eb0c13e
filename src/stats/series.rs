//! The last hour: of all rules together every [`super::STEP`], of each rule every minute.

use super::{STEP, Tallies, shown};
use crate::metrics::{Tally, UNRULED};
use crate::outcome::Outcome;
use serde_json::{Value as Json, json};
use std::collections::{BTreeMap, VecDeque};

/// An hour's points.
const POINTS: usize = 3600 / STEP.as_secs() as usize;

/// Points that make up a minute.
const MINUTE: usize = 60 / STEP.as_secs() as usize;

/// Minutes that are kept of each rule.
const MINUTES: usize = 60;

/// What came within one step.
struct Point {
    at_ms: u64,
    ruled: Tally,
    unruled: Tally,
}

/// What came of a rule within one minute.
#[derive(Clone, Copy, Default)]
struct Minute {
    hits: u64,
    served: u64,
}

/// The last hour.
#[derive(Default)]
pub(super) struct Series {
    points: VecDeque<Point>,
    before: Tallies,
    by_rule: BTreeMap<String, VecDeque<Minute>>,
    /// What the counters of each rule were when its last minute ended.
    minute_before: Tallies,
    steps: usize,
}

impl Series {
    /// Takes over what was counted so far.
    pub(super) fn sample(&mut self, at_ms: u64, tallies: &Tallies) {
        let (mut ruled, mut unruled) = (Tally::default(), Tally::default());
        for (rule, tally) in tallies {
            let came = since(tally, self.before.get(rule));
            match rule.as_str() {
                UNRULED => unruled = came,
                _ => ruled = ruled.plus(&came),
            }
        }
        self.points.push_back(Point {
            at_ms,
            ruled,
            unruled,
        });
        if self.points.len() > POINTS {
            self.points.pop_front();
        }
        self.before = tallies.clone();
        self.steps += 1;
        if self.steps.is_multiple_of(MINUTE) {
            self.end_minute(tallies);
        }
    }

    fn end_minute(&mut self, tallies: &Tallies) {
        for (rule, tally) in tallies {
            let came = since(tally, self.minute_before.get(rule));
            let minutes = self.by_rule.entry(rule.clone()).or_default();
            minutes.push_back(minute(&came));
            if minutes.len() > MINUTES {
                minutes.pop_front();
            }
        }
        self.by_rule.retain(|rule, _| tallies.contains_key(rule));
        self.minute_before = tallies.clone();
    }

    /// The share of hits of a rule over the last hour; `None` where nobody asked.
    pub(super) fn hour(&self, rule: &str, tally: &Tally) -> Option<f64> {
        let ended = self.by_rule.get(rule).into_iter().flatten().copied();
        let begun = minute(&since(tally, self.minute_before.get(rule)));
        let (hits, served) = ended.chain([begun]).fold((0, 0), |(hits, served), one| {
            (hits + one.hits, served + one.served)
        });
        (served > 0).then(|| hits as f64 / served as f64)
    }

    /// As JSON, the oldest first.
    pub(super) fn shown(&self) -> Json {
        let points: Vec<Json> = self.points.iter().map(Point::shown).collect();
        json!({ "step_s": STEP.as_secs(), "points": points })
    }
}

fn minute(came: &Tally) -> Minute {
    Minute {
        hits: came.hits().count(),
        served: came.served(),
    }
}

fn since(tally: &Tally, before: Option<&Tally>) -> Tally {
    before.map_or_else(|| tally.clone(), |before| tally.since(before))
}

impl Point {
    fn shown(&self) -> Json {
        let (ruled, unruled) = (&self.ruled, &self.unruled);
        let both = |outcome| ruled.of(outcome).count() + unruled.of(outcome).count();
        let origin = ruled.origin.plus(&unruled.origin);
        json!({
            "at": self.at_ms,
            "hits": ruled.hits().count(),
            "served": ruled.served(),
            "spared": shown::spared(ruled),
            "bypass": both(Outcome::Bypass),
            "pass": both(Outcome::Pass),
            "writes": both(Outcome::Write),
            "errors": both(Outcome::Error),
            "origin": origin.count(),
            "hit_seconds": shown::quantiles(&ruled.hits()),
            "origin_seconds": shown::quantiles(&origin),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;
    use std::time::Duration;

    fn tallies(metrics: &Metrics) -> Tallies {
        metrics.tallies().into_iter().collect()
    }

    #[test]
    fn each_point_holds_what_came_since_the_one_before_and_an_hour_is_kept() {
        let (metrics, mut series) = (Metrics::new(), Series::default());
        let rule = metrics.rule("list");
        for step in 0..POINTS as u64 + 5 {
            rule.request(Outcome::Hit, Duration::from_millis(1));
            if step.is_multiple_of(2) {
                rule.request(Outcome::Miss, Duration::from_millis(90));
            }
            series.sample(step, &tallies(&metrics));
        }
        let shown = series.shown();
        let points = shown["points"].as_array().expect("points");
        assert_eq!(points.len(), POINTS);
        assert_eq!(points[0]["at"], 5, "the oldest are gone");
        assert_eq!(
            (&points[0]["hits"], &points[0]["served"]),
            (&json!(1), &json!(1))
        );
        assert_eq!(
            (&points[1]["hits"], &points[1]["served"]),
            (&json!(1), &json!(2))
        );
        let all = tallies(&metrics);
        let hour = series.hour("list", &all["list"]).expect("asked for");
        assert!((hour - 2.0 / 3.0).abs() < 0.01, "{hour}");
        assert_eq!(series.hour("other", &Tally::default()), None);
    }
}

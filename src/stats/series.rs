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
    /// What the origin answered 5xx.
    broken: u64,
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
        let mut broken = 0;
        for (rule, tally) in tallies {
            let before = self.before.get(rule);
            let came = since(tally, before);
            let known = before.map_or(0, |before| shown::answered(before, 5));
            broken += shown::answered(tally, 5).saturating_sub(known);
            match rule.as_str() {
                UNRULED => unruled = came,
                _ => ruled = ruled.plus(&came),
            }
        }
        self.points.push_back(Point {
            at_ms,
            ruled,
            unruled,
            broken,
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
    /// `asked` are requests to the origin that were made for rules, also for those that are observed; `origin_seconds`
    /// what these took, to be held against hits.
    fn shown(&self) -> Json {
        let (ruled, unruled) = (&self.ruled, &self.unruled);
        let both = |outcome| ruled.of(outcome).count() + unruled.of(outcome).count();
        let would = [Outcome::WouldHit, Outcome::WouldMiss];
        json!({
            "at": self.at_ms,
            "hits": ruled.hits().count(),
            "served": ruled.served(),
            "spared": shown::spared(ruled),
            "bypass": both(Outcome::Bypass),
            "pass": both(Outcome::Pass),
            "writes": both(Outcome::Write),
            "would": would.map(both).iter().sum::<u64>(),
            "limited": both(Outcome::Limited),
            "errors": both(Outcome::Error),
            "origin_5xx": self.broken,
            "asked": ruled.origin.count(),
            "origin": ruled.origin.count() + unruled.origin.count(),
            "hit_seconds": shown::quantiles(&ruled.hits()),
            "origin_seconds": shown::quantiles(&ruled.origin),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;
    use hyper::StatusCode;
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

    #[test]
    fn what_fails_without_a_rule_was_not_asked_for_one_and_what_is_observed_has_a_number() {
        let (metrics, mut series) = (Metrics::new(), Series::default());
        let (rule, unruled, took) = (
            metrics.rule("tried"),
            metrics.unruled(),
            Duration::from_millis(1),
        );
        for outcome in [Outcome::WouldHit, Outcome::WouldMiss] {
            rule.request(outcome, took);
            rule.origin_answered(StatusCode::OK, Duration::from_millis(90));
        }
        unruled.request(Outcome::Error, took);
        unruled.origin_failed(took);
        unruled.request(Outcome::Limited, took);
        unruled.request(Outcome::Write, took);
        unruled.origin_answered(StatusCode::INTERNAL_SERVER_ERROR, took);
        series.sample(1, &tallies(&metrics));
        unruled.request(Outcome::Pass, took);
        unruled.origin_answered(StatusCode::BAD_GATEWAY, took);
        unruled.origin_answered(StatusCode::NOT_FOUND, took);
        series.sample(2, &tallies(&metrics));
        let shown = series.shown();
        let of = |at: usize, name: &str| shown["points"][at][name].as_u64();
        let first = [
            "asked",
            "origin",
            "would",
            "limited",
            "errors",
            "origin_5xx",
        ];
        assert_eq!(
            first.map(|name| of(0, name)),
            [2, 4, 2, 1, 1, 1].map(Some),
            "{shown:#}"
        );
        assert_eq!((of(1, "asked"), of(1, "origin_5xx")), (Some(0), Some(1)));
        let median = shown["points"][0]["origin_seconds"]["p50"].as_f64();
        assert!(
            median > Some(0.05),
            "of what was asked for rules: {median:?}"
        );
    }
}

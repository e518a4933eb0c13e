//! Statistics as JSON.

use super::day::Day;
use super::series::Series;
use super::{Facts, Tallies};
use crate::metrics::{Metrics, OBSERVED, OBSERVED_DIFFERS, OBSERVED_SAME, Tally, Times, UNRULED};
use crate::outcome::Outcome;
use crate::rules::table::{Rule, Stage, Ttl};
use crate::rules::units::written;
use crate::store::{Kind, Store, StoreMemory};
use serde_json::{Map, Value as Json, json};
use std::sync::Arc;

/// Answers for which the origin was not asked.
pub(super) fn spared(tally: &Tally) -> u64 {
    let collapsed = tally.of(Outcome::Collapsed).count();
    tally.hits().count().saturating_add(collapsed)
}

/// How often the origin answered with a status of this class, 4 or 5.
pub(super) fn answered(tally: &Tally, class: usize) -> u64 {
    let statuses = tally.statuses.range(class * 100..(class + 1) * 100);
    statuses.map(|(_, count)| count).sum()
}

/// How much longer it would have taken without what was kept, by what the origin took where it answered: how
/// long one waited for it in vain says nothing of what an answer takes.
fn saved(tally: &Tally) -> f64 {
    let answered = tally.answered();
    if answered.count() == 0 {
        return 0.0;
    }
    let usual = answered.seconds() / answered.count() as f64;
    (usual * tally.hits().count() as f64 - tally.hits().seconds()).max(0.0)
}

/// In seconds; `null` where there were none.
pub(super) fn quantiles(times: &Times) -> Json {
    let at = |share| times.quantile(share);
    match times.count() {
        0 => Json::Null,
        _ => json!({ "p50": at(0.5), "p95": at(0.95), "p99": at(0.99) }),
    }
}

/// What was counted of a rule.
pub(super) fn rule(tally: &Tally) -> Map<String, Json> {
    let of = |outcome| tally.of(outcome).count();
    let served = tally.served();
    let rate = (served > 0).then(|| tally.hits().count() as f64 / served as f64);
    let document = json!({
        "requests": tally.requests.iter().map(Times::count).fold(0, u64::saturating_add),
        "hits": tally.hits().count(),
        "stale": of(Outcome::Stale),
        "revalidated": of(Outcome::Revalidated),
        "misses": of(Outcome::Miss),
        "collapsed": of(Outcome::Collapsed),
        "bypass": of(Outcome::Bypass),
        "errors": of(Outcome::Error),
        "would_hit": of(Outcome::WouldHit),
        "would_miss": of(Outcome::WouldMiss),
        "hit_rate": rate,
        "hit_seconds": quantiles(&tally.hits()),
        "origin_seconds": quantiles(&tally.answered()),
        "origin_failed_seconds": quantiles(&tally.unanswered),
        "origin_requests": tally.origin.count(),
        "origin_errors": tally.failed,
        "spared": spared(tally),
        "seconds_saved": saved(tally),
    });
    match document {
        Json::Object(members) => members,
        _ => Map::new(),
    }
}

/// Each rule in force, also those that nothing was counted of, with what a person wants to know beside.
pub(super) fn rules(tallies: &Tallies, facts: &Facts<'_>, series: &Series) -> Json {
    let none = Tally::default();
    let shown = |one: &Arc<Rule>| {
        let tally = tallies.get(&one.name).unwrap_or(&none);
        let mut members = rule(tally);
        let beside = [
            ("hit_rate_hour", json!(series.hour(&one.name, tally))),
            ("ttl", json!(ttl(one.ttl))),
            ("stage", json!(stage(one.stage))),
            ("origin_4xx", json!(answered(tally, 4))),
            ("origin_5xx", json!(answered(tally, 5))),
            ("observed", observed(&one.name, facts.metrics)),
            ("line", json!(one.lines.table())),
            ("last_drop", json!(facts.dropped_at[one.index])),
            ("quarantined", json!(facts.is_held[one.index])),
        ];
        members.extend(beside.map(|(name, value)| (name.to_owned(), value)));
        (one.name.clone(), Json::Object(members))
    };
    Json::Object(facts.table.rules.iter().map(shown).collect())
}

fn ttl(ttl: Ttl) -> String {
    match ttl {
        Ttl::Fixed(time) => written(time),
        Ttl::Origin => "origin".to_owned(),
    }
}

/// What an observed rule would have served, held against what the origin answered.
fn observed(rule: &str, metrics: &Metrics) -> Json {
    let audits = |result| metrics.audits(rule, OBSERVED, result);
    json!({ "same": audits(OBSERVED_SAME), "differs": audits(OBSERVED_DIFFERS) })
}

fn stage(stage: Stage) -> &'static str {
    match stage {
        Stage::On => "on",
        Stage::Observe => "observe",
        Stage::Off => "off",
    }
}

/// What no rule was for.
pub(super) fn unruled(tallies: &Tallies) -> Json {
    let none = Tally::default();
    let tally = tallies.get(UNRULED).unwrap_or(&none);
    let of = |outcome| tally.of(outcome).count();
    json!({
        "pass": of(Outcome::Pass),
        "writes": of(Outcome::Write),
        "errors": of(Outcome::Error),
        "limited": of(Outcome::Limited),
        "origin_4xx": answered(tally, 4),
        "origin_5xx": answered(tally, 5),
        "origin_seconds": quantiles(&tally.answered()),
    })
}

/// What each limit did.
pub(super) fn limits(metrics: &Metrics) -> Json {
    let shown = |results: [(&str, u64); 3]| {
        let results = results.map(|(result, count)| (result.to_owned(), json!(count)));
        Json::Object(results.into_iter().collect())
    };
    let all = metrics.limited().into_iter();
    Json::Object(all.map(|(name, results)| (name, shown(results))).collect())
}

/// All rules together, those too that are known only as a sum.
pub(super) fn total(tallies: &Tallies, others: &Tally) -> Json {
    let ruled = || {
        let ruled = tallies.iter().filter(|(name, _)| *name != UNRULED);
        ruled.map(|(_, tally)| tally).chain([others])
    };
    let sum = ruled().fold(Tally::default(), |sum, tally| sum.plus(tally));
    let mut members = rule(&sum);
    // Each rule's origin takes its own time: the sum of what each saved, not what the mean would have.
    let saved = ruled().fold(0.0, |sum, tally| sum + self::saved(tally));
    members.insert("seconds_saved".to_owned(), json!(saved));
    Json::Object(members)
}

/// The store, as this process sees it.
pub(super) fn store(
    (store, metrics): (&Store, &Metrics),
    memory: StoreMemory,
    (day, now): (Day, u64),
    budget: &Json,
) -> Json {
    let (local_bytes, local_entries) = metrics.local_holds();
    let errors = Kind::ALL
        .map(Kind::word)
        .map(|kind| (kind, metrics.failures(kind)));
    let errors = errors.into_iter().filter(|(_, count)| *count > 0);
    let errors: Map<String, Json> = errors
        .map(|(kind, count)| (kind.to_owned(), json!(count)))
        .collect();
    json!({
        "kind": if store.is_shared() { "redis" } else { "memory" },
        "state": store.state().word(),
        "owed": store.owed(),
        "memory_bytes": memory.used,
        "memory_max_bytes": memory.max,
        "commands": metrics.commands(),
        "commands_today": day.commands,
        "commands_forecast": day.forecast(now),
        "billed": metrics.billed().all,
        "budget": budget,
        "errors": errors,
        "local_bytes": local_bytes,
        "local_entries": local_entries,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::StatusCode;
    use std::time::Duration;

    #[test]
    fn time_that_was_waited_in_vain_is_not_time_saved() {
        let metrics = Metrics::new();
        let rule = metrics.rule("list");
        (0..10).for_each(|_| rule.request(Outcome::Hit, Duration::from_millis(1)));
        rule.origin_answered(StatusCode::OK, Duration::from_millis(100));
        rule.origin_failed(Duration::from_secs(30));
        let shown = super::rule(&rule.sum());
        let saved = shown["seconds_saved"].as_f64().expect("a number");
        assert!((saved - 0.99).abs() < 1e-6, "{saved}");
        assert!(shown["origin_seconds"]["p99"].as_f64() < Some(1.0));
        assert!(shown["origin_failed_seconds"]["p50"].as_f64() > Some(1.0));
        assert_eq!(
            (&shown["origin_requests"], &shown["origin_errors"]),
            (&json!(2), &json!(1))
        );
    }
}

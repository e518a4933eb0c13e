//! Rules that are asked much and never answer from what they keep.

use crate::live::Live;
use crate::metrics::Tally;
use crate::outcome::Outcome;
use crate::rules::table::{Rule, Stage};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;

/// A rule that was asked so often, and for so long, without one answer from what it keeps.
const NEVER_HIT: &str = "never-hit";

/// Misses from which on it is no accident.
const LEAST_MISSES: u64 = 500;

/// And for how long these rules have to be in force: what is asked for twice a day is worth a rule, too.
const LEAST_MS: u64 = 24 * 60 * 60 * 1000;

/// Those of this process.
pub(super) fn findings(live: &Live) -> Vec<Json> {
    let now = live.ground.clock.now_ms();
    let in_force_ms = now.saturating_sub(live.since_ms);
    if in_force_ms < LEAST_MS {
        return Vec::new();
    }
    let tallies: BTreeMap<String, Tally> = live.ground.metrics.tallies().into_iter().collect();
    let rules = live.table.rules.iter();
    let on = rules.filter(|rule| rule.stage == Stage::On);
    let found = on.filter_map(|rule| never_hit(rule, tallies.get(&rule.name)?, in_force_ms));
    found.collect()
}

fn never_hit(rule: &Rule, tally: &Tally, in_force_ms: u64) -> Option<Json> {
    let misses = tally.of(Outcome::Miss).count();
    let used = [Outcome::Revalidated, Outcome::Collapsed].map(|outcome| tally.of(outcome).count());
    let is_used = tally.hits().count() > 0 || used.iter().any(|count| *count > 0);
    if is_used || misses < LEAST_MISSES {
        return None;
    }
    Some(json!({
        "kind": NEVER_HIT,
        "rule": rule.name,
        "write": null,
        "drop": null,
        "evidence": { "misses": misses, "hits": 0, "for_s": in_force_ms / 1000 },
        "advice": format!(
            "`{0}` costs and spares nothing: `sidecache explain` and `Cache-Status` tell why an answer is not kept. If its \
             keys never come twice, take out of `key` or `query` what does not shape the answer, or the rule",
            rule.name
        ),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;
    use crate::rules::check::compile;
    use std::path::Path;
    use std::time::Duration;

    const RULES: &str = r#"
        namespace = "n"
        [proxy]
        listen = "127.0.0.1:0"
        origin = "http://127.0.0.1:1"
        [store]
        url = "memory:"
        [[cache]]
        name = "list"
        match = "GET /list"
        key = "list:all"
        query = []
        ttl = "1m"
        public = true
    "#;

    #[test]
    fn a_rule_that_is_asked_much_and_spares_nothing_is_said() {
        let checked = compile(RULES.as_bytes(), &|_| None, Path::new("."));
        let table = checked.table.expect("rules that can be used");
        let (metrics, took) = (Metrics::new(), Duration::from_millis(3));
        let counts = metrics.rule("list");
        let found = || {
            let tallies: BTreeMap<String, Tally> = metrics.tallies().into_iter().collect();
            never_hit(&table.rules[0], &tallies["list"], LEAST_MS)
        };
        (1..LEAST_MISSES).for_each(|_| counts.request(Outcome::Miss, took));
        assert!(found().is_none());
        counts.request(Outcome::Miss, took);
        let finding = found().expect("as often as that");
        assert_eq!(finding["evidence"]["misses"], LEAST_MISSES);
        counts.request(Outcome::Hit, took);
        assert!(found().is_none());
    }
}

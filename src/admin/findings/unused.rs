//! Rules that are asked much and never answer from what they keep.

use crate::live::Live;
use crate::metrics::Tally;
use crate::outcome::Outcome;
use crate::rules::table::Rule;
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;

/// A rule that was asked so often, and for so long, without one answer from what it keeps.
const NEVER_HIT: &str = "never-hit";

/// Misses from which on it is no accident.
const LEAST_MISSES: u64 = 500;

/// And for how long a rule of that name has to be on: what is asked for twice a day is worth a rule, too. A reload does
/// not begin it anew, not even where it mends the rule: then the first hit ends it.
const LEAST_MS: u64 = 24 * 60 * 60 * 1000;

/// Those of this process.
pub(super) fn findings(live: &Live) -> Vec<Json> {
    let now = live.ground.clock.now_ms();
    let tallies: BTreeMap<String, Tally> = live.ground.metrics.tallies().into_iter().collect();
    let rules = live.table.rules.iter();
    let found = rules.filter_map(|rule| {
        let on_ms = now.saturating_sub(live.counted[rule.index].on_since_ms()?);
        never_hit(rule, tallies.get(&rule.name)?, on_ms)
    });
    found.collect()
}

fn never_hit(rule: &Rule, tally: &Tally, on_ms: u64) -> Option<Json> {
    let misses = tally.of(Outcome::Miss).count();
    let used = [Outcome::Revalidated, Outcome::Collapsed].map(|outcome| tally.of(outcome).count());
    let is_used = tally.hits().count() > 0 || used.iter().any(|count| *count > 0);
    if is_used || misses < LEAST_MISSES || on_ms < LEAST_MS {
        return None;
    }
    Some(json!({
        "kind": NEVER_HIT,
        "rule": rule.name,
        "write": null,
        "drop": null,
        "evidence": { "misses": misses, "hits": 0, "for_s": on_ms / 1000 },
        "advice": format!(
            "in this process, which is asked alone, `{0}` costs and spares nothing: `sidecache explain` and `Cache-Status` tell why an answer is not kept. If its \
             keys never come twice, take out of `key` or `query` what does not shape the answer, or the rule",
            rule.name
        ),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::simulated;
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
        let within = |on_ms| {
            let tallies: BTreeMap<String, Tally> = metrics.tallies().into_iter().collect();
            never_hit(&table.rules[0], &tallies["list"], on_ms)
        };
        let found = || within(LEAST_MS);
        (1..LEAST_MISSES).for_each(|_| counts.request(Outcome::Miss, took));
        assert!(found().is_none());
        counts.request(Outcome::Miss, took);
        assert!(within(LEAST_MS - 1).is_none());
        let finding = found().expect("as often as that");
        assert_eq!(finding["evidence"]["misses"], LEAST_MISSES);
        let advice = finding["advice"].as_str().expect("a text");
        assert!(advice.contains("in this process"), "{advice}");
        counts.request(Outcome::Hit, took);
        assert!(found().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_reload_does_not_begin_the_day_anew_unless_the_rule_was_off() {
        let table = |rules: &str| {
            let checked = compile(rules.as_bytes(), &|_| None, Path::new("."));
            checked.table.expect("rules that can be used")
        };
        let machine = simulated::Clock::right();
        let mut live = Live::apart(table(RULES)).expect("nothing to set up");
        live.ground.clock = machine.clone().into();
        live = Live::new(table(RULES), live.ground).expect("the same");
        live.counted[0].in_force(false, 0);
        let reloaded =
            |live: Live, rules: &str| Live::new(table(rules), live.ground).expect("rules");
        live = reloaded(live, RULES);
        let took = Duration::from_millis(3);
        (0..LEAST_MISSES).for_each(|_| live.counted[0].request(Outcome::Miss, took));
        tokio::time::advance(Duration::from_millis(LEAST_MS - 1000)).await;
        live = reloaded(live, RULES);
        assert!(findings(&live).is_empty());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(findings(&live).len(), 1);
        live = reloaded(live, &format!("{RULES}        stage = \"observe\"\n"));
        assert!(findings(&live).is_empty());
        live = reloaded(live, RULES);
        assert!(findings(&live).is_empty());
    }
}

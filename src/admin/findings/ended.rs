//! Drops that never changed anything, and answers that could have been kept for longer.

use crate::rules::table::{Drop, Rule, Set, Table, Ttl};
use crate::witness::{self, Dropped, Expired, Gathered, Tally};
use serde_json::{Value as Json, json};
use std::time::Duration;

/// A line of a set ends answers that are fetched anew the same.
const USELESS: &str = "useless-drop";

/// A rule's answers are the same when they have expired.
const TTL: &str = "ttl";

/// Answers that a line ended, from which on it is no accident that none has changed.
const LEAST_DROPPED: u64 = 20;

/// The same where a few have: a line that ends in `*` is wider than what it is there for, if so many of a hundred were
/// the same.
const LEAST_WIDE: u64 = 100;
const WIDE_SHARE: f64 = 0.95;

/// Answers that expired, and the share of them that were the same, from which on they could be kept for longer.
const LEAST_EXPIRED: u64 = 50;
const SAME_SHARE: f64 = 0.98;

/// What is found, rule by rule.
pub(super) fn findings(table: &Table, gathered: &Gathered) -> Vec<Json> {
    let mut findings = Vec::new();
    for rule in &table.rules {
        let Some(tally) = gathered.tallies.get(&rule.name) else {
            continue;
        };
        for set in &table.sets {
            let drops = set.drops.iter();
            findings.extend(drops.filter_map(|drop| useless(rule, set, drop, tally)));
        }
        findings.extend(longer(rule, tally));
    }
    findings
}

/// A line that ends what need not end.
fn useless(rule: &Rule, set: &Set, drop: &Drop, tally: &Tally) -> Option<Json> {
    let Dropped { dropped, changed } =
        *tally.drops.get(&witness::line(&set.name, &drop.template))?;
    let same = dropped.saturating_sub(changed);
    let is_needless = changed == 0 && dropped >= LEAST_DROPPED;
    let is_wide = drop.template.wildcard
        && dropped >= LEAST_WIDE
        && same as f64 >= WIDE_SHARE * dropped as f64;
    let (set_name, rule_name, template) = (&set.name, &rule.name, &drop.template);
    let advice = match (is_needless, is_wide) {
        (true, _) => format!(
            "too wide or needless: drop `{template}` of set `{set_name}` ended {dropped} answers of `{rule_name}`, and \
             each was fetched anew the same: name the entry exactly, or take the drop away"
        ),
        (false, true) => format!(
            "too wide: drop `{template}` of set `{set_name}` ended {dropped} answers of `{rule_name}`, and {same} were \
             fetched anew the same, {changed} were not: name those that change exactly"
        ),
        (false, false) => return None,
    };
    let write = match set.routes.as_slice() {
        [only] => format!("{} {}", only.method, only.pattern),
        _ => set_name.clone(),
    };
    Some(json!({
        "kind": USELESS,
        "rule": rule_name,
        "write": write,
        "drop": template.to_string(),
        "evidence": { "set": set_name, "dropped": dropped, "changed": changed },
        "advice": advice,
    }))
}

/// A rule whose answers are fetched anew for nothing.
fn longer(rule: &Rule, tally: &Tally) -> Option<Json> {
    let Expired {
        ttl_ms,
        expired,
        changed,
        soon,
    } = tally.expired;
    let Ttl::Fixed(ttl) = rule.ttl else {
        return None; // the origin's word
    };
    let same = expired.saturating_sub(changed);
    let is_of_now = ttl == Duration::from_millis(ttl_ms);
    let is_same = expired >= LEAST_EXPIRED && same as f64 >= SAME_SHARE * expired as f64;
    // Where nobody comes back by then, twice as long spares nothing.
    if !is_of_now || !is_same || tally.stale > 0 || soon == 0 {
        return None;
    }
    let (name, twice) = (&rule.name, 2 * ttl.as_secs().max(1));
    Some(json!({
        "kind": TTL,
        "rule": name,
        "write": null,
        "drop": null,
        "evidence": {
            "expired": expired,
            "changed": changed,
            "hits_more": soon,
            "ttl_s": ttl.as_secs_f64(),
        },
        "advice": format!(
            "{same} of {expired} answers of `{name}` that expired were fetched anew the same, and no hit was found stale: \
             a longer `ttl` would do. With at least twice, `ttl = \"{twice}s\"`, {soon} of them would have been hits"
        ),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::check::compile;
    use std::path::Path;

    const RULES: &str = r#"
        namespace = "n"
        [proxy]
        listen = "127.0.0.1:0"
        origin = "http://127.0.0.1:1"
        [store]
        url = "memory:"
        [[cache]]
        name = "item"
        match = "GET /item/{id}"
        key = "items:{id}"
        query = []
        ttl = "30s"
        public = true
        [[invalidate]]
        name = "touched"
        on = ["POST /touch", "POST /touch/{id}"]
        drop = ["items:*"]
        [[invalidate]]
        name = "changed"
        on = ["PATCH /item/{id}"]
        drop = ["items:{id}"]
    "#;

    fn found(tally: Tally) -> Vec<Json> {
        let checked = compile(RULES.as_bytes(), &|_| None, Path::new("."));
        let table = checked.table.expect("rules that can be used");
        let gathered = Gathered {
            tallies: [("item".to_owned(), tally)].into(),
            ..Gathered::default()
        };
        findings(&table, &gathered)
    }

    fn dropped(line: &str, dropped: u64, changed: u64) -> Vec<Json> {
        let counts = Dropped { dropped, changed };
        let mut tally = Tally::default();
        tally.drops.insert(line.to_owned(), counts);
        found(tally)
    }

    #[test]
    fn a_line_that_never_changed_anything_is_said_and_a_wide_one_that_seldom_did() {
        let (wide, exact) = ("touched: items:*", "changed: items:{id}");
        assert!(dropped(exact, 19, 0).is_empty() && dropped(exact, 1000, 1).is_empty());
        let needless = &dropped(exact, 20, 0)[0];
        assert_eq!(needless["kind"], "useless-drop");
        assert_eq!(needless["write"], "PATCH /item/{id}");
        assert_eq!(needless["drop"], "items:{id}");
        assert!(dropped(wide, 99, 1).is_empty() && dropped(wide, 100, 6).is_empty());
        let too_wide = &dropped(wide, 100, 5)[0];
        assert_eq!(too_wide["write"], "touched");
        let advice = too_wide["advice"].as_str().expect("a text");
        assert!(
            advice.contains("95 were fetched anew the same, 5 were not"),
            "{advice}"
        );
    }

    #[test]
    fn a_longer_ttl_is_advised_where_it_would_spare_something_and_nothing_was_stale() {
        let tally = |ttl_ms, expired, changed, soon| {
            let mut tally = Tally::default();
            tally.expired = Expired {
                ttl_ms,
                expired,
                changed,
                soon,
            };
            tally
        };
        let finding = &found(tally(30_000, 50, 1, 9))[0];
        assert_eq!(finding["kind"], "ttl");
        assert_eq!(finding["evidence"]["hits_more"], 9);
        let advice = finding["advice"].as_str().expect("a text");
        assert!(advice.contains("`ttl = \"60s\"`"), "{advice}");
        let mut stale = tally(30_000, 50, 0, 9);
        stale.stale = 1;
        for not_enough in [
            tally(30_000, 49, 0, 9),
            tally(30_000, 50, 2, 9),
            tally(30_000, 50, 0, 0),
            tally(60_000, 50, 0, 9),
            stale,
        ] {
            assert_eq!(found(not_enough), Vec::<Json>::new());
        }
    }
}

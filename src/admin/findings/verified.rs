//! What came of holding hits against the origin, and what follows from it.

use super::lines::{self, Names};
use crate::rules::table::Table;
use crate::suspects::{Case, Suspect, confidence, inferred};
use crate::witness::{self, Gathered, Tally};
use serde_json::{Map, Value as Json, json};
use std::collections::BTreeMap;

/// A hit was stale because of a write.
const STALE: &str = "stale";

/// Hits were stale, and no write explains it.
const WITHOUT_WRITE: &str = "stale-without-write";

/// Answers of a rule never say the same twice.
const RESTLESS: &str = "restless";

/// The share of a rule's stale answers before which there was no write at all, from which on they are no accident: now
/// and then one is seen before its write is answered. Where there were writes, one of them may still turn out to be it.
const WITHOUT_SHARE: f64 = 0.1;

/// Stale answers without a write from which on they are no accident.
const LEAST_WITHOUT: usize = 3;

/// What is found, rule by rule.
pub(super) fn findings(table: &Table, gathered: &Gathered) -> Vec<Json> {
    let shapes = |rule: &str| witness::shape(table, rule);
    let all = without_restless(gathered);
    let found = inferred(&all, &shapes);
    let mut names = Names::new();
    let suspects = found.suspects.iter();
    let mut findings: Vec<Json> = suspects
        .map(|suspect| of_write(table, gathered, suspect, &found.suspects, &mut names))
        .collect();
    let mut unexplained: BTreeMap<&str, Vec<&Case>> = BTreeMap::new();
    for at in &found.unexplained {
        let case = &all[*at];
        unexplained.entry(&case.rule).or_default().push(case);
    }
    let without = unexplained.iter();
    // A part of the fleet that was not heard may have seen the write.
    let without = without.filter(|_| !gathered.is_alone);
    findings.extend(without.filter_map(|(rule, cases)| {
        let found = table.rules.iter().find(|known| known.name == **rule);
        let is_shared = found.is_some_and(|rule| !rule.public);
        let of_rule = all.iter().filter(|case| case.rule == **rule);
        let stale = of_rule.filter(|case| case.is_stale()).count();
        without_write(gathered, (rule, is_shared), cases, stale)
    }));
    let tallies = gathered.tallies.iter();
    findings.extend(tallies.filter_map(|(rule, tally)| restless(rule, tally)));
    findings
}

/// The cases without those that differed only where answers are known by now never to be the same: that was found out
/// later.
fn without_restless(gathered: &Gathered) -> Vec<Case> {
    let tallies = gathered.tallies.iter();
    let known: BTreeMap<&str, Vec<String>> = tallies
        .map(|(rule, tally)| (rule.as_str(), tally.known_restless()))
        .collect();
    let is_restless = |case: &Case| {
        let known = known.get(case.rule.as_str());
        let is_known =
            |place: &str| known.is_some_and(|known| known.iter().any(|one| *one == *place));
        case.differs && !case.places.is_empty() && case.places.iter().all(|at| is_known(at))
    };
    let cases = gathered.cases.iter();
    cases.filter(|case| !is_restless(case)).cloned().collect()
}

/// All that verifying hits came to, whether or not anything follows from it.
pub(super) fn by_rule(gathered: &Gathered) -> Json {
    let rules = gathered.tallies.iter().filter(|(_, tally)| tally.of() > 0);
    let shown: Map<String, Json> = rules
        .map(|(rule, tally)| {
            let mut shown = rate(tally);
            shown.insert("fresh".to_owned(), tally.fresh.into());
            shown.insert("restless".to_owned(), tally.restless.into());
            shown.insert("stale".to_owned(), tally.stale.into());
            shown.insert("ages_s".to_owned(), json!(tally.ages));
            shown.insert("differing".to_owned(), json!(tally.differing));
            shown.insert("restless_at".to_owned(), json!(tally.known_restless()));
            (rule.clone(), Json::Object(shown))
        })
        .collect();
    Json::Object(shown)
}

/// The share of stale hits, and between which bounds it lies.
fn rate(tally: &Tally) -> Map<String, Json> {
    let (low, high) = confidence(tally.stale, tally.of());
    let share = match tally.of() {
        0 => 0.0,
        of => tally.stale as f64 / of as f64,
    };
    let rounded = |share: f64| json!((share * 1e5).round() / 1e5);
    let mut shown = Map::new();
    shown.insert("rate".to_owned(), rounded(share));
    shown.insert("rate_low".to_owned(), rounded(low));
    shown.insert("rate_high".to_owned(), rounded(high));
    shown.insert("oldest_age_s".to_owned(), (tally.oldest_ms / 1000).into());
    shown
}

fn rate_of(gathered: &Gathered, rule: &str) -> Map<String, Json> {
    gathered.tallies.get(rule).map(rate).unwrap_or_default()
}

fn of_write(
    table: &Table,
    gathered: &Gathered,
    suspect: &Suspect,
    all: &[Suspect],
    names: &mut Names,
) -> Json {
    let of_route = all.iter().filter(|one| one.route == suspect.route);
    let of_route: Vec<&Suspect> = of_route.collect();
    let mut evidence = rate_of(gathered, &suspect.rule);
    let of = suspect.explained.saturating_add(suspect.contradicted);
    evidence.insert("stale".to_owned(), suspect.explained.into());
    evidence.insert("of".to_owned(), of.into());
    evidence.insert("fresh_all_the_same".to_owned(), suspect.contradicted.into());
    evidence.insert("within_ms".to_owned(), suspect.within_ms.into());
    evidence.insert("fetched_changed".to_owned(), suspect.changed.into());
    evidence.insert("fetched_the_same".to_owned(), suspect.unchanged.into());
    json!({
        "kind": STALE,
        "rule": suspect.rule,
        "write": suspect.route,
        "drop": suspect.drop,
        "evidence": evidence,
        "advice": lines::of_route(table, &of_route, names),
    })
}

/// Of stale answers before which there was no write, if they are no accident. `unexplained` are those of so many stale ones
/// that no suspect explains.
fn without_write(
    gathered: &Gathered,
    (rule, is_shared): (&str, bool),
    unexplained: &[&Case],
    stale: usize,
) -> Option<Json> {
    let tally = gathered.tallies.get(rule)?;
    let without = unexplained.iter().filter(|case| case.causes.is_empty());
    let cases: Vec<&Case> = without.copied().collect();
    let share = cases.len() as f64 / stale.max(1) as f64;
    if cases.len() < LEAST_WITHOUT || share < WITHOUT_SHARE {
        return None;
    }
    let ages = || cases.iter().map(|case| case.age_ms / 1000);
    let (youngest, oldest) = (ages().min()?, ages().max()?);
    let mut evidence = rate_of(gathered, rule);
    evidence.insert("stale".to_owned(), cases.len().into());
    evidence.insert("of".to_owned(), tally.of().into());
    evidence.insert("soonest_s".to_owned(), youngest.into());
    evidence.insert("latest_s".to_owned(), oldest.into());
    let ttl = (youngest / 2).max(1);
    // What is kept for one of several who share a key, and held against what another is told, differs as well.
    let owners = match is_shared {
        true => format!(
            "look first whether answers of `{rule}` differ by who asks: its key is the same for several people, who then \
             get each other's; if they do, key it by its owner. Else "
        ),
        false => String::new(),
    };
    Some(json!({
        "kind": WITHOUT_WRITE,
        "rule": rule,
        "write": null,
        "drop": null,
        "evidence": evidence,
        "advice": format!(
            "{owners}`{rule}` becomes stale without a write that passes here: by a job, another service, or by hand. Only its \
             `ttl` bounds that (answers were stale {youngest} s to {oldest} s after they were seen to be fresh; \
             `ttl = \"{ttl}s\"` would have been below), or have whoever writes call POST /api/purge"
        ),
    }))
}

fn restless(rule: &str, tally: &Tally) -> Option<Json> {
    let places = tally.known_restless();
    if places.is_empty() {
        return None;
    }
    let named = places.join(", ");
    Some(json!({
        "kind": RESTLESS,
        "rule": rule,
        "write": null,
        "drop": null,
        "evidence": { "at": places, "asked_twice": tally.pairs },
        "advice": format!(
            "answers of `{rule}` are never the same at {named}: that says nothing of staleness and is left out. Whoever \
             is answered from what is kept sees there what was so when it was kept; if that must not be, do not cache it"
        ),
    }))
}

#[cfg(test)]
mod tests;

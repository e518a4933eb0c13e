//! The clinic behind a table of five lines, read and written through two sidecars that hold a twentieth of the hits
//! against it: which of the missing lines are named by that, and whether any is named that is not missing.
//!
//! `SIDECACHE_AUDIT_SEED` draws another order, `SIDECACHE_AUDIT_WRITES` makes it last longer: a write a second.

mod town; // who is there, and what they write
mod traffic; // reads and writes as they come

use super::learn::{FIVE_LINES, MATRIX, Pairs, expected, proposed, rules, sidecache};
use super::world::{Clinic, Program};
use crate::chaos::Dice;
use crate::process::stderr;
use crate::redis::RedisServer;
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};
use tokio::time::sleep;
use town::Town;
use traffic::Traffic;

const SEED: u64 = 20_261_123;

/// Hits that are verified where there is time, a write a second: what operators are told to begin with.
const SHARE: &str = "0.05";
const PAUSE: Duration = Duration::from_secs(1);

/// In CI, in seconds: more of fewer hits, and few kinds of writes, each again and again. Two of them are innocent.
const FEW_SHARE: &str = "0.5";
const FEW_WRITES: (usize, Duration) = (40, Duration::from_millis(450));
const FEW_KINDS: &[&str] = &[
    "PATCH /api/v1/user/{userId}/status",
    "PATCH /api/v1/user/update-my-profile",
    "POST /api/v1/doctor-schedule",
    "POST /api/v1/user/create-patient",
    "POST /api/v1/auth/login",
    "PATCH /api/v1/specialties/{specialtyId}",
];

/// Pairs that so few writes have to show, on however busy a machine.
const FEW_FOUND: usize = 1;

/// What one process saw last, all know by then: both tell and hear every ten seconds.
const TOLD: Duration = Duration::from_secs(23);

/// What the five lines cover of the matrix, and what is dropped by the path of a write without any line.
const COVERED: &[(&str, &[&str])] = &[
    (
        "POST /api/v1/appointment",
        &["all-appointments", "dashboard", "my-appointments"],
    ),
    (
        "POST /webhook",
        &["all-appointments", "dashboard", "my-appointments"],
    ),
    ("POST /api/v1/review", &["doctor-details", "review-list"]),
    (
        "PATCH /api/v1/doctor/{doctorId}",
        &["doctor-details", "doctor-list"],
    ),
    (
        "POST /api/v1/specialties",
        &["doctor-list", "specialty-list"],
    ),
    (
        "PATCH /api/v1/specialties/{specialtyId}",
        &["doctor-list", "specialty-list"],
    ),
    (
        "DELETE /api/v1/specialties/{specialtyId}",
        &["doctor-list", "specialty-list"],
    ),
    ("PATCH /api/v1/patient/{patientId}", &["patient-details"]),
    ("DELETE /api/v1/doctor/{doctorId}", &["doctor-details"]),
];

/// Asked for by POST, which is never asked again: it may cost what asking once does.
const NEVER_VERIFIED: &str = "ai-suggestion";

pub(super) fn missing() -> Pairs {
    let covered: BTreeMap<&str, &[&str]> = COVERED.iter().copied().collect();
    let is_covered = |(write, rule): &(String, String)| {
        let rules = covered.get(write.as_str());
        rules.is_some_and(|rules| rules.contains(&rule.as_str()))
    };
    let all = expected().into_iter();
    all.filter(|pair| !is_covered(pair)).collect()
}

/// A clinic, and two sidecars before it.
struct Ward {
    clinic: Clinic,
    sidecars: [Program; 2],
    _redis: RedisServer,
    dice: Dice,
}

impl Ward {
    async fn open(sets: &str) -> Ward {
        let seed = variable("SIDECACHE_AUDIT_SEED").unwrap_or(SEED);
        println!("SIDECACHE_AUDIT_SEED={seed}");
        let (clinic, redis) = (Clinic::start().await, RedisServer::start());
        let shipped = include_str!("../../../rules.toml");
        let (_, written) = shipped.split_once("# ---- Writes").expect("its sections");
        let share = many().map_or(FEW_SHARE, |_| SHARE);
        let audit = format!("leak = 0.01\nverify = {share}");
        let sets = format!("\n{sets}");
        let changes = [("leak = 0.01", audit.as_str()), (written, sets.as_str())];
        let sidecars = [
            Program::start_with(&clinic, &redis, &changes).await,
            Program::start_with(&clinic, &redis, &changes).await,
        ];
        Ward {
            clinic,
            sidecars,
            _redis: redis,
            dice: Dice::new(seed, 0),
        }
    }

    /// Has reads and writes of some kinds pass, and says what came of them.
    async fn pass(&mut self, kinds: &[&'static str]) -> Verified {
        let many = many().unwrap_or(FEW_WRITES);
        let mut town = Town::of(&self.clinic, self.dice.another()).await;
        let (traffic, took) =
            Traffic::pass(&mut town, &self.sidecars, kinds, many, &mut self.dice).await;
        let verified = self.verified().await;
        println!(
            "{} reads ({} hits) and {} writes in {} s; verified: {verified:?}",
            traffic.requests.load(Relaxed),
            traffic.hits.load(Relaxed),
            many.0,
            took.as_secs(),
        );
        verified
    }

    /// What verifying came to, by rule and result.
    async fn verified(&self) -> Verified {
        let mut verified = Verified::default();
        for sidecar in &self.sidecars {
            let metrics = sidecar.door("GET", "/metrics", "").await.text();
            for line in metrics.lines() {
                let Some(line) = line.strip_prefix("sidecache_audit_total{rule=\"") else {
                    continue;
                };
                let Some((rule, line)) = line.split_once("\",kind=\"verify\",result=\"") else {
                    continue;
                };
                let (result, count) = line.split_once("\"} ").expect("a count");
                let count: u64 = count.parse().expect("a number");
                *verified.results.entry(result.to_owned()).or_default() += count;
                if result == "stale" {
                    *verified.stale.entry(rule.to_owned()).or_default() += count;
                }
            }
        }
        verified
    }

    async fn audit(&self) -> Json {
        let got = self.sidecars[0].door("GET", "/api/audit", "").await;
        serde_json::from_slice(&got.body).expect("JSON")
    }
}

#[derive(Debug, Default)]
struct Verified {
    results: BTreeMap<String, u64>,
    /// By rule.
    stale: BTreeMap<String, u64>,
}

impl Verified {
    fn stale(&self) -> u64 {
        self.results.get("stale").copied().unwrap_or_default()
    }

    fn same(&self) -> u64 {
        self.results.get("same").copied().unwrap_or_default()
    }
}

fn variable(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().expect("a number"))
}

fn many() -> Option<(usize, Duration)> {
    Some((variable("SIDECACHE_AUDIT_WRITES")? as usize, PAUSE))
}

fn every_kind() -> Vec<&'static str> {
    MATRIX.iter().map(|(write, _)| *write).collect()
}

/// The findings that name a write.
fn named(audit: &Json) -> Vec<&Json> {
    let findings = audit["findings"].as_array().expect("findings").iter();
    findings
        .filter(|finding| finding["kind"] == "stale")
        .collect()
}

fn word<'j>(finding: &'j Json, field: &str) -> &'j str {
    finding[field].as_str().expect("a text")
}

/// The writes and rules that are named.
fn pairs(findings: &[&Json]) -> Pairs {
    let pair = |one: &&Json| (word(one, "write").to_owned(), word(one, "rule").to_owned());
    findings.iter().map(pair).collect()
}

/// What is found of what is missing, and what is found that is not.
fn judged(findings: &[&Json], kinds: &[&str]) -> (Pairs, Pairs) {
    let (found, missing) = (pairs(findings), missing());
    let of_kinds = missing
        .iter()
        .filter(|(write, _)| kinds.contains(&write.as_str()));
    let missing: Pairs = of_kinds.cloned().collect();
    let right: Pairs = found.intersection(&missing).cloned().collect();
    let wrong: Pairs = found.difference(&missing).cloned().collect();
    for one in findings {
        let evidence = |field: &str| &one["evidence"][field];
        let [stale, of] = ["stale", "of"].map(evidence);
        let (write, rule, drop) = (word(one, "write"), word(one, "rule"), word(one, "drop"));
        println!("{write} → {rule}: stale in {stale} of {of}; {drop}");
    }
    let findable = missing.iter().filter(|(_, rule)| rule != NEVER_VERIFIED);
    let unseen: Vec<_> = missing.difference(&found).collect();
    println!(
        "missing {} (of them {} that can be asked for again), found {}; recall {:.3}, precision {:.3}\n\
         not found: {unseen:#?}\nnot missing: {wrong:#?}",
        missing.len(),
        findable.count(),
        found.len(),
        right.len() as f64 / missing.len() as f64,
        right.len() as f64 / found.len().max(1) as f64,
    );
    (right, wrong)
}

/// The five lines with what is advised.
fn with_advice(found: &[&Json]) -> String {
    let mut sets = FIVE_LINES.to_owned();
    let advice: BTreeSet<&str> = found.iter().map(|one| word(one, "advice")).collect();
    for advice in advice {
        match advice.strip_prefix("in the set `") {
            None => sets.push_str(&format!("\n{advice}\n")),
            Some(rest) => {
                let (name, drop) = rest.split_once("`:\n").expect("a set's name");
                let (before, set) = sets
                    .split_once(&format!("name = {name:?}"))
                    .expect("the set");
                let (routes, rest) = set.split_once("\ndrop = ").expect("its drops");
                let (_, after) = rest.split_once('\n').expect("a line");
                sets = format!("{before}name = {name:?}{routes}\n{drop}\n{after}");
            }
        }
    }
    sets
}

/// Whether a drop names entries of its rule: each segment that is the same in all of its keys stands in it, too.
fn assert_it_names_its_rule(finding: &Json) {
    let shipped: toml::Table = include_str!("../../../rules.toml").parse().expect("TOML");
    let rules = shipped["cache"].as_array().expect("rules");
    let rule = rules
        .iter()
        .find(|rule| rule["name"].as_str() == finding["rule"].as_str());
    let key = rule.expect("a rule")["key"].as_str().expect("a key");
    let mut drop = word(finding, "drop").split(':');
    for segment in key.split(':') {
        let named = drop.next().expect("as deep as the key, or `*`");
        if named == "*" {
            break;
        }
        let is_value = [named, segment].map(|text| text.starts_with('{'));
        assert_eq!(is_value[0], is_value[1], "{finding:#}");
        assert!(is_value[0] || named == segment, "{finding:#}");
    }
    assert_eq!(drop.next(), None, "{finding:#}");
}

async fn assert_it_can_be_used(sets: &str) {
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::write(directory.path().join("rules.toml"), rules(sets)).expect("a file");
    let checked = sidecache(directory.path(), &["check", "rules.toml"]).await;
    assert!(checked.status.success(), "{}\n{sets}", stderr(&checked));
}

#[tokio::test]
async fn what_five_lines_forget_is_named_and_nothing_else_is() {
    let mut ward = Ward::open(FIVE_LINES).await;
    let all = every_kind();
    let kinds = many().map_or(FEW_KINDS, |_| &all);
    let verified = ward.pass(kinds).await;
    assert!(verified.stale() > 0);
    sleep(TOLD).await; // there is nothing by which it could be seen sooner
    let asked = Instant::now();
    let audit = ward.audit().await;
    println!("inferred in {} ms", asked.elapsed().as_millis());
    let found = named(&audit);
    let (right, wrong) = judged(&found, kinds);
    let others = audit["findings"].as_array().expect("findings").iter();
    for one in others.filter(|one| one["kind"] != "stale") {
        println!("{}: {} {}", one["kind"], one["rule"], one["evidence"]);
    }
    found.iter().for_each(|one| assert_it_names_its_rule(one));
    assert_it_can_be_used(&with_advice(&found)).await;
    // Where writes are few they may come together by chance, once. Many are judged as many.
    let allowed = if many().is_some() {
        right.len() / 20
    } else {
        1
    };
    assert!(wrong.len() <= allowed, "{audit:#}");
    assert!(right.len() >= FEW_FOUND, "{audit:#}");
    if many().is_none() {
        return; // so few writes would not show again what is too narrow
    }
    drop(ward);
    let sets = with_advice(&found);
    let mut ward = Ward::open(&sets).await;
    let left = ward.pass(kinds).await;
    println!(
        "stale before {}, under what was advised {}",
        verified.stale(),
        left.stale()
    );
    sleep(TOLD).await;
    let audit = ward.audit().await;
    let again: Pairs = pairs(&named(&audit))
        .intersection(&pairs(&found))
        .cloned()
        .collect();
    assert_eq!(
        again,
        Pairs::new(),
        "what was advised is too narrow: {audit:#}\n{sets}"
    );
}

#[tokio::test]
async fn nothing_is_stale_under_the_lines_that_were_measured() {
    let directory = tempfile::tempdir().expect("a directory");
    let shipped = include_str!("../../../rules.toml");
    let (_, sets) = shipped.split_once("# ---- Writes").expect("its sections");
    let sets = match many() {
        Some(_) => proposed(directory.path()).await, // takes minutes
        None => format!("# ----{sets}"),
    };
    let mut ward = Ward::open(&sets).await;
    let verified = ward.pass(&every_kind()).await;
    assert!(verified.same() > 0);
    assert_eq!(verified.stale(), 0, "{:#}\n{sets}", ward.audit().await);
}

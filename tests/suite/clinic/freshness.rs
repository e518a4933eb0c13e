//! Misses become hits with the origin's bytes, hits end with a write, a restart changes nothing,
//! and what no write ends its lifetime ends.

use super::table::{Shows, Write, booking, reads, targets, writes};
use super::world::{Call, Clinic, Program};
use crate::redis::RedisServer;
use crate::world::{Got, eventually};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How often a latency is measured; the middle one is reported.
const MEASURED: usize = 9;

/// What says something of one exchange, not of the answer.
const OF_THE_MOMENT: [&str; 8] = [
    "date",
    "connection",
    "keep-alive",
    "transfer-encoding",
    "age",
    "via",
    "cache-status",
    "ratelimit-",
];

/// An answer as it must come out the same wherever it is asked for.
fn lasting(got: &Got) -> (u16, BTreeMap<String, String>, String) {
    let of_the_moment = |name: &str| OF_THE_MOMENT.iter().any(|of| name.starts_with(of));
    let headers = got
        .headers
        .iter()
        .filter(|(name, _)| !of_the_moment(name.as_str()));
    let headers = headers.map(|(name, value)| {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        (name.to_string(), value)
    });
    (got.status, headers.collect(), got.text())
}

async fn median(mut once: impl AsyncFnMut() -> Duration) -> f64 {
    let mut took = Vec::new();
    for _ in 0..MEASURED {
        took.push(once().await);
    }
    took.sort();
    took[MEASURED / 2].as_secs_f64() * 1000.0
}

#[tokio::test]
async fn each_target_misses_and_then_hits_with_the_origins_bytes() {
    let (clinic, redis) = (Clinic::start().await, RedisServer::start());
    let program = Program::start(&clinic, &redis).await;
    eprintln!(
        "{:<18} {:>8} {:>8}  (middle of {MEASURED})",
        "target", "miss ms", "hit ms"
    );
    for (name, call) in targets(&clinic) {
        let direct = clinic.answers(&call).await;
        assert_eq!(direct.status, 200, "{name}: {}", direct.text());
        let miss = program.answers(&call).await;
        assert_eq!(miss.outcome(), "miss", "{name}: {}", miss.cache_status());
        let hit = program.answers(&call).await;
        assert_eq!(hit.outcome(), "hit", "{name}: {}", hit.cache_status());
        assert_eq!(lasting(&miss), lasting(&direct), "{name}");
        assert_eq!(lasting(&hit), lasting(&direct), "{name}");
        assert!(direct.header("ratelimit-remaining").is_some(), "{name}");
        let replayed = hit
            .headers
            .keys()
            .find(|header| header.as_str().starts_with("ratelimit"));
        assert_eq!(replayed, None, "{name}");
        report(&program, name, &call).await;
    }
}

async fn report(program: &Program, name: &str, call: &Call) {
    let timed = async |outcome| {
        let began = Instant::now();
        let got = program.answers(call).await;
        let took = began.elapsed();
        assert_eq!(got.outcome(), outcome, "{name}: {}", got.cache_status());
        took
    };
    let hit = median(async || timed("hit").await).await;
    let miss = median(async || {
        program.purge(&["*"]).await;
        timed("miss").await
    })
    .await;
    eprintln!("{name:<18} {miss:>8.2} {hit:>8.2}");
}

/// Two sidecars before one clinic and on one Redis: what is written through one is read through
/// the other.
pub struct Pair {
    clinic: Clinic,
    writer: Program,
    reader: Program,
    reads: Vec<(Shows, Call)>,
    _redis: RedisServer,
}

/// What was kept before a write, for each read: nothing where the answer may not be kept.
type Kept = Vec<Option<Got>>;

impl Pair {
    async fn start() -> Pair {
        Pair::start_with(&[]).await
    }

    /// With changes of the shipped rules.
    pub async fn start_with(changes: &[(&str, &str)]) -> Pair {
        let (clinic, redis) = (Clinic::start().await, RedisServer::start());
        Pair {
            writer: Program::start_with(&clinic, &redis, changes).await,
            reader: Program::start_with(&clinic, &redis, changes).await,
            reads: reads(&clinic),
            _redis: redis,
            clinic,
        }
    }

    /// Makes every read a hit that can be one: whose answer has data, of whatever kind.
    async fn keep_all(&self) -> Kept {
        let mut kept = Vec::new();
        for (_, call) in &self.reads {
            let mut got = self.reader.answers(call).await;
            if got.outcome() != "hit" {
                got = self.reader.answers(call).await;
            }
            let is_hit = got.outcome() == "hit";
            let has_data = got.text().contains("\"data\":") && !got.text().contains("\"data\":[]");
            assert!(is_hit || !has_data, "{}: {}", call.path, got.cache_status());
            kept.push(is_hit.then_some(got));
        }
        kept
    }

    /// Reads everything after `what`, through both: each answer must be what the clinic says now.
    /// Returns what is shown otherwise than before.
    async fn assert_nothing_is_stale(&self, what: &str, kept: &Kept) -> Vec<Shows> {
        let mut changed = Vec::new();
        for ((shows, call), kept) in self.reads.iter().zip(kept) {
            let now = self.reader.answers(call).await;
            let direct = self.clinic.answers(call).await;
            let place = format!("{} {} after {what}", call.method, call.path);
            assert_eq!(now.text(), direct.text(), "{place}: {}", now.cache_status());
            assert_eq!(now.status, direct.status, "{place}");
            let also = self.writer.answers(call).await;
            assert_eq!(
                also.text(),
                direct.text(),
                "{place}: {}",
                also.cache_status()
            );
            if kept.as_ref().is_some_and(|kept| kept.text() != now.text()) {
                assert_ne!(now.outcome(), "hit", "{place}");
                changed.push(*shows);
            }
            let unchanged = kept.is_some() && now.outcome() == "hit";
            assert!(
                unchanged || what != NOTHING_CHANGES,
                "{place}: {}",
                now.cache_status()
            );
        }
        changed
    }

    /// Carries out every write of the table.
    pub async fn write_all(&self) {
        let booked = self.write(&booking(&self.clinic)).await;
        for write in writes(&self.clinic, &booked) {
            self.write(&write).await;
        }
    }

    /// Carries out a write and reads everything; each target that the table names must have changed.
    async fn write(&self, write: &Write) -> Json {
        let kept = self.keep_all().await;
        let answer = self.writer.answers(&write.call).await;
        assert!(answer.status < 300, "{}: {}", write.name, answer.text());
        let what = if write.stale.is_empty() {
            NOTHING_CHANGES
        } else {
            write.name
        };
        let changed = self.assert_nothing_is_stale(what, &kept).await;
        for shows in write.stale {
            assert!(
                changed.contains(shows),
                "{}: {shows:?} did not change",
                write.name
            );
        }
        serde_json::from_slice(&answer.body).expect("JSON")
    }
}

/// After it every read is still a hit.
const NOTHING_CHANGES: &str = "a write that changes nothing";

#[tokio::test]
async fn each_write_through_one_sidecar_makes_every_read_through_another_fresh() {
    let pair = Pair::start().await;
    pair.write_all().await;
    assert_purge_covers_the_clinics_own_job(&pair).await;
}

/// What no request changes, a purge covers.
async fn assert_purge_covers_the_clinics_own_job(pair: &Pair) {
    let kept = pair.keep_all().await;
    let at_once = json!({ "olderThanMinutes": 0 });
    let canceled = pair.clinic.control("POST", "/cron", at_once).await;
    assert_ne!(canceled["canceled"], json!([]));
    pair.writer
        .purge(&["doctors:*", "appointments:*", "dashboard:*"])
        .await;
    let changed = pair.assert_nothing_is_stale("the job", &kept).await;
    assert!(changed.contains(&Shows::Appointments) && changed.contains(&Shows::Dashboards));
}

#[tokio::test]
async fn what_is_kept_survives_a_restart() {
    let (clinic, redis) = (Clinic::start().await, RedisServer::start());
    let program = Program::start(&clinic, &redis).await;
    let mut kept = Vec::new();
    for (name, call) in targets(&clinic) {
        let got = program.until_hit(&call).await;
        kept.push((name, call, got));
    }
    let ended = program.terminate();
    assert!(ended.success(), "{ended}");

    let next = Program::start(&clinic, &redis).await;
    clinic.forget_counts().await;
    for (name, call, before) in kept {
        let got = next.answers(&call).await;
        assert_eq!(got.outcome(), "hit", "{name}: {}", got.cache_status());
        assert_eq!(got.body, before.body, "{name}");
        assert_eq!(
            clinic.came(&format!("{} {}", call.method, call.path)).await,
            0,
            "{name}"
        );
    }
}

#[tokio::test]
async fn what_changes_behind_the_sidecars_back_is_seen_when_the_lifetime_is_over() {
    let (clinic, redis) = (Clinic::start().await, RedisServer::start());
    let short = [("ttl      = \"5m\"", "ttl      = \"1s\"")];
    let program = Program::start_with(&clinic, &redis, &short).await;
    let doctor = format!("/api/v1/doctor/{}", clinic.text("/doctor/id"));
    let (read, admin) = (Call::get(&doctor), clinic.text("/admin/token"));
    let change = Call::new("PATCH", &doctor)
        .by(admin)
        .json(json!({ "name": "Dr Directly" }));
    assert_eq!(clinic.answers(&change).await.status, 200);
    let kept = program.until_hit(&read).await;
    let change = Call::new("PATCH", &doctor)
        .by(admin)
        .json(json!({ "name": "Dr Later" }));
    assert_eq!(clinic.answers(&change).await.status, 200);

    let began = Instant::now();
    let mut hits = 0;
    eventually("the lifetime ends", async || {
        let got = program.answers(&read).await;
        let is_hit = got.outcome() == "hit";
        assert_eq!(got.body == kept.body, is_hit, "{}", got.cache_status());
        hits += usize::from(is_hit);
        !is_hit
    })
    .await;
    assert!(hits > 0 || began.elapsed() > Duration::from_secs(1));
    assert!(program.until_hit(&read).await.text().contains("Dr Later"));
}

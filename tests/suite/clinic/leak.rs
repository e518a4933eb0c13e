//! A route that is marked public and is not: caught by the guard, and served to each his own from then on.
//!
//! `SIDECACHE_LEAK_SHARE=1e-2 SIDECACHE_LEAK_TRIALS=20` tells after how many requests.

use super::world::{Call, Clinic, Program};
use crate::redis::RedisServer;

/// What a rule leaves out that somebody wrote in a hurry.
const PLANTED: &str = r#"
[[cache]]
name   = "planted"
match  = "GET /api/v1/prescription/my-prescription"
key    = "planted:all:{query}"
query  = ["limit"]
ttl    = "1m"
public = true

# ---- Appointments and dashboards"#;

/// At a share of 0.01 one in 10^17 trials is not over by then.
const MOST: usize = 4000;

fn set(variable: &str, default: &str) -> String {
    std::env::var(variable).unwrap_or(default.to_owned())
}

/// How many requests it takes until one is passed because of a quarantine.
async fn until_caught(program: &Program, call: &Call) -> usize {
    for n in 1..=MOST {
        if program.answers(call).await.detail() == Some("quarantined") {
            return n;
        }
    }
    panic!("not caught after {MOST} requests");
}

#[tokio::test]
async fn a_personal_route_that_is_marked_public_is_caught_and_serves_each_his_own() {
    let (clinic, redis) = (Clinic::start().await, RedisServer::start());
    let share = format!("leak = {}", set("SIDECACHE_LEAK_SHARE", "1.0"));
    let changes = [
        ("# ---- Appointments and dashboards", PLANTED),
        ("leak = 0.01", share.as_str()),
    ];
    let program = Program::start_with(&clinic, &redis, &changes).await;
    let mine = Call::get("/api/v1/prescription/my-prescription");
    let call = mine.clone().by(clinic.text("/patient/token"));
    let trials = set("SIDECACHE_LEAK_TRIALS", "1").parse().expect("a number");
    let mut took = Vec::new();
    for _ in 0..trials {
        let released = program.door("POST", "/api/release", r#"{"rule": "planted"}"#);
        assert_eq!(released.await.status, 200);
        took.push(until_caught(&program, &call).await);
    }
    took.sort_unstable();
    let (median, most) = (took[took.len() / 2], took[took.len() - 1]);
    eprintln!("caught after {median} requests (median), {most} at most, of {took:?}");
    for person in ["patient", "otherPatient"] {
        let own = mine.clone().by(clinic.text(&format!("/{person}/token")));
        let direct = clinic.answers(&own).await;
        assert_eq!(program.answers(&own).await.text(), direct.text());
        assert_eq!(direct.status, 200);
    }
    let audit = program.door("GET", "/api/audit", "").await.text();
    assert!(audit.contains(r#""rule":"planted""#), "{audit}");
}

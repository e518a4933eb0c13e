//! Redis killed, hung, absent: every request is answered by the origin, and service resumes.

use super::world::{Call, Clinic, Program};
use crate::redis::RedisServer;
use crate::world::{Got, eventually};
use serde_json::json;
use std::time::{Duration, Instant};

/// `[store] timeout` where the shipped rules leave it at its default.
const TIMEOUT: Duration = Duration::from_millis(250);

/// What a busy machine may add to it.
const SLACK: Duration = Duration::from_secs(3);

/// So many requests may each find out that Redis hangs; the next ones know it.
const FIRST_FEW: u64 = 3;

async fn asked(clinic: &Clinic, program: &Program, call: &Call) -> (Got, Duration) {
    let began = Instant::now();
    let got = program.answers(call).await;
    let took = began.elapsed();
    let direct = clinic.answers(call).await;
    assert_eq!(
        (got.status, got.text()),
        (direct.status, direct.text()),
        "{}",
        got.cache_status()
    );
    (got, took)
}

fn reads(clinic: &Clinic) -> Vec<Call> {
    vec![
        Call::get(&format!("/api/v1/doctor/{}", clinic.text("/doctor/id"))),
        Call::get("/api/v1/specialties"),
        Call::get("/api/v1/appointment/my-appointment").by(clinic.text("/patient/token")),
    ]
}

/// Asks everything a few times while Redis is out: never a hit, never late but the first few, as
/// the next ones do not even ask Redis.
async fn assert_answered_by_the_origin(clinic: &Clinic, program: &Program, what: &str) {
    let before = program.looks().await;
    let mut took = Vec::new();
    for call in reads(clinic).iter().cycle().take(12) {
        let (got, late) = asked(clinic, program, call).await;
        assert_eq!(got.outcome(), "miss", "{what}: {}", got.cache_status());
        took.push(late.as_millis());
    }
    let waited = program.looks().await - before;
    eprintln!("{what}: {waited} asked Redis; {took:?} ms");
    assert!(waited <= FIRST_FEW, "{waited} requests waited for Redis");
    let latest = took.iter().max().expect("twelve");
    assert!(*latest < (TIMEOUT + SLACK).as_millis(), "{took:?}");
}

/// Without anything being done about it there are hits again.
async fn assert_service_resumes(clinic: &Clinic, program: &Program) {
    for call in reads(clinic) {
        eventually("there are hits again", async || {
            asked(clinic, program, &call).await.0.outcome() == "hit"
        })
        .await;
    }
}

#[tokio::test]
async fn with_redis_absent_or_killed_the_origin_answers_and_service_resumes_when_it_comes() {
    let (clinic, mut redis) = (Clinic::start().await, RedisServer::absent(&[]));
    let program = Program::with(&clinic, &redis, &[]);
    assert_eq!(program.store().await, "down");
    assert_answered_by_the_origin(&clinic, &program, "absent").await;
    redis.restart();
    assert_service_resumes(&clinic, &program).await;
    redis.kill();
    assert_answered_by_the_origin(&clinic, &program, "killed").await;
    redis.restart();
    assert_service_resumes(&clinic, &program).await;
}

#[tokio::test]
async fn with_redis_hung_the_origin_answers_and_no_write_is_followed_by_a_stale_hit() {
    let (clinic, redis) = (Clinic::start().await, RedisServer::start());
    let program = Program::with(&clinic, &redis, &[]);
    assert_service_resumes(&clinic, &program).await;
    redis.stop();
    assert_answered_by_the_origin(&clinic, &program, "hung").await;
    redis.cont();
    assert_service_resumes(&clinic, &program).await;
    assert_write_meanwhile_is_not_forgotten(&clinic, &redis, &program).await;
}

/// Redis keeps what it holds while it hangs, so what was kept before the write is still there.
async fn assert_write_meanwhile_is_not_forgotten(
    clinic: &Clinic,
    redis: &RedisServer,
    program: &Program,
) {
    let doctor = format!("/api/v1/doctor/{}", clinic.text("/doctor/id"));
    let before = program.until_hit(&Call::get(&doctor)).await;

    redis.stop();
    let change = Call::new("PATCH", &doctor).by(clinic.text("/admin/token"));
    let began = Instant::now();
    let written = program
        .answers(&change.json(json!({ "name": "Dr Changed" })))
        .await;
    assert_eq!(written.status, 200, "{}", written.text());
    assert!(began.elapsed() < TIMEOUT + SLACK, "{:?}", began.elapsed());
    let (now, _) = asked(clinic, program, &Call::get(&doctor)).await;
    assert_ne!(now.body, before.body);

    redis.cont();
    // `asked` compares each answer with the clinic's, so no hit on the way is the old one.
    assert_service_resumes(clinic, program).await;
    let kept = program.until_hit(&Call::get(&doctor)).await;
    assert!(kept.text().contains("Dr Changed"));
}

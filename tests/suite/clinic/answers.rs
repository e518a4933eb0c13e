//! Which answers are kept at all, and who shares them.

use super::table::suggestion;
use super::world::{Call, Clinic, Program};
use crate::redis::RedisServer;
use serde_json::json;

#[tokio::test]
async fn the_models_answer_is_shared_by_those_who_ask_the_same_and_its_failure_by_nobody() {
    let (clinic, redis) = (Clinic::start().await, RedisServer::start());
    let program = Program::start(&clinic, &redis).await;
    let asked = program.answers(&suggestion("Chest  pain ")).await;
    assert_eq!(asked.outcome(), "miss");
    let shared = program.answers(&suggestion("chest pain")).await;
    assert_eq!((shared.outcome(), &shared.body), ("hit", &asked.body));
    let more = json!({ "symptoms": "chest pain", "trace": "of no concern" });
    let with_more = Call::new("POST", "/api/v1/doctor/suggestion").json(more);
    assert_eq!(
        program.answers(&with_more).await.outcome(),
        "hit",
        "no other field is read"
    );

    for mode in ["fallback", "empty"] {
        clinic.model(mode).await;
        assert_eq!(
            program.answers(&suggestion("chest pain")).await.body,
            asked.body
        );
        for _ in 0..2 {
            let failed = program.answers(&suggestion("a cough")).await;
            assert_eq!((failed.status, failed.outcome()), (200, "miss"), "{mode}");
            assert_eq!(
                failed.body,
                clinic.answers(&suggestion("a cough")).await.body
            );
        }
    }
    clinic.model("ok").await;
    let recovered = program.answers(&suggestion("a cough")).await;
    assert_eq!(recovered.outcome(), "miss");
    assert!(
        recovered.text().contains("Pulmonology"),
        "{}",
        recovered.text()
    );
    assert_eq!(
        program.until_hit(&suggestion("A COUGH")).await.body,
        recovered.body
    );
}

#[tokio::test]
async fn an_answer_without_data_or_above_the_limit_is_never_kept() {
    let (clinic, redis) = (Clinic::start().await, RedisServer::start());
    let program = Program::start(&clinic, &redis).await;
    assert_nothing_without_data_is_kept(&clinic, &program).await;
    let keys = redis.say("KEYS *nobody*");
    // With the mark: versions, and who fetches.
    assert!(keys.lines().all(|key| key.contains('!')), "{keys}");
    assert_too_large_passes(&clinic, &program).await;
}

async fn assert_nothing_without_data_is_kept(clinic: &Clinic, program: &Program) {
    for path in ["/api/v1/doctor/nobody", "/api/v1/patient/nobody"] {
        let call = Call::get(path);
        let direct = clinic.answers(&call).await;
        assert!(direct.status == 200 && !direct.text().contains("\"data\""));
        for _ in 0..3 {
            let got = program.answers(&call).await;
            assert_eq!((got.outcome(), got.status), ("miss", 200), "{path}");
            assert_eq!(got.body, direct.body, "{path}");
        }
    }
}

async fn assert_too_large_passes(clinic: &Clinic, program: &Program) {
    let call = Call::get("/api/v1/doctor?limit=300&sortBy=createdAt&sortOrder=asc");
    let direct = clinic.answers(&call).await;
    assert!(direct.body.len() > 1_500_000);
    for _ in 0..2 {
        let got = program.answers(&call).await;
        assert_eq!((got.outcome(), got.detail()), ("miss", Some("too-large")));
        assert!(
            got.body == direct.body,
            "other bytes: {} of them",
            got.body.len()
        );
    }
    let kept = Call::get("/api/v1/doctor?limit=30&sortBy=createdAt&sortOrder=asc");
    program.until_hit(&kept).await;
}

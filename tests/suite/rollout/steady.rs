//! A fleet of one layout.

use super::*;

#[tokio::test]
async fn under_one_layout_a_write_drops_its_nodes_and_never_the_root() {
    let origin = Origin::register().await;
    let redis = RedisServer::start();
    let one = Sidecar::start(&origin, &redis.url(), REGISTER_RULES).await;
    cached(&one, "/api/thing/1").await;
    let before = root(&redis);
    // Neither how long answers live nor what things are called is any of it.
    let other = REGISTER_RULES
        .replace("5m", "7m")
        .replace("name = \"", "name = \"renamed-")
        .replace("[[cache]]", "# a comment\n[[cache]]");
    let other = Sidecar::start(&origin, &redis.url(), &other).await;
    assert_eq!(other.get("/api/thing/1").await.outcome(), "hit");
    for writer in [&one, &other] {
        cached(&one, "/api/thing/1").await;
        cached(&other, "/api/thing/2").await;
        writer.ask("PATCH", "/api/change/1", &[], "").await;
        writer.ask("POST", "/api/elsewhere", &[], "").await;
        assert_eq!(one.get("/api/thing/1").await.outcome(), "miss");
        assert_eq!(one.get("/api/thing/2").await.outcome(), "hit");
        let purged = writer.purge(&["things:details:1"]).await;
        assert_eq!(purged.text(), r#"{"dropped":["things:details:1"]}"#);
    }
    assert_eq!(root(&redis), before);
}

#[tokio::test]
async fn a_restart_with_the_same_rules_finds_everything_as_it_was() {
    let origin = Origin::register().await;
    let redis = RedisServer::start();
    let first = Sidecar::start(&origin, &redis.url(), REGISTER_RULES).await;
    cached(&first, "/api/thing/1").await;
    let before = root(&redis);
    drop(first);
    let second = Sidecar::start(&origin, &redis.url(), REGISTER_RULES).await;
    assert_eq!(second.get("/api/thing/1").await.outcome(), "hit");
    second.ask("PATCH", "/api/change/2", &[], "").await;
    assert_eq!(second.get("/api/thing/1").await.outcome(), "hit");
    assert_eq!(root(&redis), before);
}

#[tokio::test]
async fn after_a_rollout_the_first_write_is_the_last_to_drop_everything() {
    let origin = Origin::register().await;
    let redis = RedisServer::start();
    let old = Sidecar::start(&origin, &redis.url(), &dropping("things:*")).await;
    cached(&old, "/api/thing/1").await;
    drop(old);
    let new = Sidecar::start(&origin, &redis.url(), REGISTER_RULES).await;
    cached(&new, "/api/thing/1").await;
    new.ask("PATCH", "/api/change/2", &[], "").await;
    assert_eq!(new.get("/api/thing/1").await.outcome(), "miss");
    let before = root(&redis);
    new.ask("PATCH", "/api/change/2", &[], "").await;
    assert_eq!(new.get("/api/thing/1").await.outcome(), "hit");
    assert_eq!(root(&redis), before);
}

#[tokio::test]
async fn a_root_that_is_lost_or_no_register_costs_misses_alone() {
    let origin = Origin::register().await;
    let redis = RedisServer::start();
    let sidecar = Sidecar::start(&origin, &redis.url(), REGISTER_RULES).await;
    for harm in ["DEL test:*", "SET test:* rubbish", "APPEND test:* x"] {
        cached(&sidecar, "/api/thing/1").await;
        redis.say(harm);
        assert_eq!(
            sidecar.get("/api/thing/1").await.outcome(),
            "miss",
            "{harm}"
        );
        assert_eq!(sidecar.get("/api/thing/1").await.outcome(), "hit", "{harm}");
    }
    redis.say("DEL test:*");
    redis.say("RPUSH test:* a");
    assert_eq!(sidecar.get("/api/thing/1").await.outcome(), "miss");
    let written = sidecar.ask("PATCH", "/api/change/1", &[], "").await;
    assert_eq!(written.status, 200);
    assert_eq!(sidecar.get("/api/thing/1").await.n(), 1);
}

#[tokio::test]
async fn a_write_that_no_rule_names_costs_one_command() {
    let origin = Origin::register().await;
    let redis = RedisServer::start();
    let sidecar = Sidecar::start(&origin, &redis.url(), REGISTER_RULES).await;
    cached(&sidecar, "/api/thing/1").await;
    redis.say("CONFIG RESETSTAT");
    sidecar.ask("POST", "/api/elsewhere", &[], "").await;
    sidecar.get("/api/elsewhere").await;
    let names = ["mget", "get", "evalsha", "eval", "set", "unlink"];
    assert_eq!(names.map(|name| redis.calls(name)), [1, 0, 0, 0, 0, 0]);
}

use super::{GIVEN, GIVEN_ID, WAYS, told};
use crate::process::Process;
use crate::redis::eventually;
use crate::world::{self, Origin, REGISTER_RULES};
use serde_json::Value as Json;

/// A process that logs JSON, and to what depth.
pub(super) fn logging(origin: &Origin, log: &str) -> Process {
    let rules = world::head(origin.address, "memory:") + REGISTER_RULES;
    let environment = [("SIDECACHE_LOG", log), ("SIDECACHE_LOG_FORMAT", "json")];
    Process::start_with(&rules, &environment)
}

/// The lines with this message, once there are so many.
pub(super) async fn lines(process: &Process, message: &str, count: usize) -> Vec<Json> {
    let mut lines = Vec::new();
    eventually(message, async || {
        let logged = process.logged();
        let whole = logged
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok());
        lines = whole
            .map(|line: Json| line["fields"].clone())
            .filter(|fields| fields["message"] == message)
            .collect();
        lines.len() >= count
    })
    .await;
    lines
}

#[tokio::test]
async fn each_request_is_logged_with_the_id_that_the_origin_saw() {
    let origin = super::origin().await;
    let process = logging(&origin, "debug");
    let mut ids = Vec::new();
    for (method, target) in WAYS {
        world::ask(process.proxy(), method, target, &[], "").await;
        let [id, ..] = told(&origin.last());
        ids.push(id);
    }
    let answered = lines(&process, "answered", ids.len()).await;
    let logged: Vec<_> = answered.iter().map(|line| &line["trace_id"]).collect();
    assert_eq!(logged, ids.iter().collect::<Vec<_>>());
    let dropped = lines(&process, "dropped", 1).await;
    assert_eq!(dropped[0]["trace_id"], ids[1], "by the write");
}

#[tokio::test]
async fn a_hit_is_logged_with_an_id_of_its_own() {
    let origin = super::origin().await;
    let process = logging(&origin, "debug");
    process.get("/api/thing/1").await;
    process.get("/api/thing/1").await;
    let traced = [("traceparent", GIVEN)];
    world::ask(process.proxy(), "GET", "/api/thing/1", &traced, "").await;
    let answered = lines(&process, "answered", 3).await;
    let outcomes: Vec<_> = answered.iter().map(|line| &line["outcome"]).collect();
    assert_eq!(outcomes, ["miss", "hit", "hit"]);
    let ids: Vec<_> = answered.iter().map(|line| &line["trace_id"]).collect();
    assert_ne!(ids[0], ids[1]);
    assert_eq!(ids[2], GIVEN_ID);
}

#[cfg(not(feature = "otlp"))]
#[tokio::test]
async fn a_collector_that_this_build_sends_nothing_to_is_said() {
    let origin = super::origin().await;
    let rules = world::head(origin.address, "memory:") + REGISTER_RULES;
    let environment = [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318")];
    let process = Process::start_with(&rules, &environment);
    process.logs("--features otlp").await;
    process.get("/api/thing/1").await;
    assert_eq!(origin.count(), 1);
}

#[tokio::test]
async fn a_failure_of_the_origin_is_logged_unasked_with_the_id_of_its_request() {
    let address = super::origin().await.address; // nobody is there any more
    let rules = world::head(address, "memory:") + REGISTER_RULES;
    let process = Process::start_with(&rules, &[("SIDECACHE_LOG_FORMAT", "json")]);
    let traced = [("traceparent", GIVEN)];
    let got = world::ask(process.proxy(), "GET", "/api/thing/1", &traced, "").await;
    assert_eq!(got.status, 502);
    let shown: Json = serde_json::from_slice(&got.body).expect("JSON");
    assert_eq!(shown["trace_id"], GIVEN_ID, "to whoever complains");
    let failed = lines(&process, "the origin failed", 1).await;
    assert_eq!(failed[0]["trace_id"], GIVEN_ID);
    assert_eq!(failed[0]["rule"], "thing");
    assert_eq!(failed[0]["detail"], "origin-unreachable");
}

use super::logs::{lines, logging};
use super::{GIVEN, GIVEN_ID, GIVEN_SPAN, told};
use crate::process::Process;
use crate::world::{self, Asked, Origin, REGISTER_RULES, Reply};
use serde_json::Value as Json;
use std::sync::Arc;
use tokio::sync::Semaphore;

const SPANS: &str = "sidecache::span=trace";

/// Checks that `part` is part of `whole`, both of the client's trace.
fn is_part(part: &Json, whole: &Json) {
    assert_eq!(part["parent_id"], whole["span_id"], "{part} of {whole}");
    assert_eq!(part["trace_id"], GIVEN_ID, "{part}");
}

/// Checks that the origin was told that what it does is part of our asking.
fn is_told(asked: &Asked, asking: &Json) {
    let [id, span, flags] = told(asked);
    assert_eq!([&*id, &*flags], [GIVEN_ID, "01"]);
    assert_eq!(asking["span_id"], span);
}

#[tokio::test]
async fn a_miss_is_a_look_and_a_fill_that_asks_the_origin() {
    let origin = super::origin().await;
    let process = logging(&origin, SPANS);
    let traced = [("traceparent", GIVEN)];
    world::ask(process.proxy(), "GET", "/api/thing/1", &traced, "").await;
    let request = &lines(&process, "request", 1).await[0];
    assert_eq!(request["parent_id"], GIVEN_SPAN);
    assert_eq!(request["trace_id"], GIVEN_ID);
    assert_eq!(request["method"], "GET");
    assert_eq!(request["route"], "/api/thing/{id}");
    assert_eq!(request["rule"], "thing");
    assert_eq!(request["outcome"], "miss");
    assert_eq!(request["status"], 200);
    let look = &lines(&process, "look", 1).await[0];
    is_part(look, request);
    assert_eq!(look["outcome"], "nothing");
    let fill = &lines(&process, "fill", 1).await[0];
    is_part(fill, request);
    let asking = &lines(&process, "origin", 1).await[0];
    is_part(asking, fill);
    is_told(&origin.last(), asking);
}

#[tokio::test]
async fn a_hit_asks_nobody_further() {
    let origin = super::origin().await;
    let process = logging(&origin, SPANS);
    for _ in 0..2 {
        process.get("/api/thing/1").await;
    }
    let requests = lines(&process, "request", 2).await;
    assert_eq!(requests[1]["outcome"], "hit");
    assert_eq!(requests[1]["parent_id"], Json::Null, "it was begun here");
    let asked = lines(&process, "origin", 1).await;
    assert!(
        asked
            .iter()
            .all(|span| span["trace_id"] == requests[0]["trace_id"]),
        "{asked:?}"
    );
}

#[tokio::test]
async fn a_write_asks_the_origin_and_tells_the_store() {
    let origin = super::origin().await;
    let process = logging(&origin, SPANS);
    let traced = [("traceparent", GIVEN)];
    world::ask(process.proxy(), "PATCH", "/api/change/1", &traced, "").await;
    let request = &lines(&process, "request", 1).await[0];
    assert_eq!(request["outcome"], "write");
    let write = &lines(&process, "write", 1).await[0];
    is_part(write, request);
    let asking = &lines(&process, "origin", 1).await[0];
    is_part(asking, write);
    is_told(&origin.last(), asking);
    let bump = &lines(&process, "bump", 1).await[0];
    is_part(bump, write);
    assert_eq!(bump["dropped"], 1);
}

#[tokio::test]
async fn what_is_asked_for_after_a_write_is_part_of_it() {
    let origin = super::origin().await;
    let warm = format!("{REGISTER_RULES}warm = \"/api/thing/{{id}}\"\n");
    let rules = world::head(origin.address, "memory:") + &warm;
    let environment = [("SIDECACHE_LOG", SPANS), ("SIDECACHE_LOG_FORMAT", "json")];
    let process = Process::start_with(&rules, &environment);
    let traced = [("traceparent", GIVEN)];
    world::ask(process.proxy(), "PATCH", "/api/change/1", &traced, "").await;
    let request = &lines(&process, "request", 1).await[0];
    let warm = &lines(&process, "warm", 1).await[0];
    is_part(warm, request);
    assert_eq!(
        (&warm["rule"], &warm["outcome"]),
        (&"thing".into(), &"kept".into())
    );
    let fill = &lines(&process, "fill", 1).await[0];
    is_part(fill, warm);
    let asking = lines(&process, "origin", 2).await;
    let asking = asking
        .iter()
        .find(|span| span["parent_id"] == fill["span_id"]);
    is_told(&origin.last(), asking.expect("the fill asks"));
}

#[tokio::test]
async fn what_passes_asks_the_origin_and_is_told_of_without_its_path() {
    let origin = super::origin().await;
    let process = logging(&origin, SPANS);
    let headers = [("traceparent", GIVEN), ("tracestate", "vendor=1")];
    world::ask(process.proxy(), "ANN-SMITH", "/of/ann.smith", &headers, "").await;
    let request = &lines(&process, "request", 1).await[0];
    assert_eq!(request["method"], "_OTHER");
    let asking = &lines(&process, "origin", 1).await[0];
    is_told(&origin.last(), asking);
    assert_eq!(origin.last().header("tracestate"), Some("vendor=1"));
    let logged = process.logged().to_lowercase();
    for personal in ["ann", "smith", "vendor"] {
        assert!(!logged.contains(personal), "{logged}");
    }
}

#[tokio::test]
async fn a_fetch_that_others_wait_for_is_part_of_the_request_that_began_it() {
    let gate = Arc::new(Semaphore::new(0));
    let opened = gate.clone();
    let origin = Origin::start(move |_: Asked| {
        let gate = opened.clone();
        async move {
            let _passed = gate.acquire().await.expect("open");
            Reply::json("{}")
        }
    })
    .await;
    let process = logging(&origin, SPANS);
    let proxy = process.proxy();
    let first = tokio::spawn(async move {
        world::ask(proxy, "GET", "/api/thing/1", &[("traceparent", GIVEN)], "").await
    });
    world::eventually("the origin is asked", async || origin.count() == 1).await;
    let second =
        tokio::spawn(async move { world::ask(proxy, "GET", "/api/thing/1", &[], "").await });
    lines(&process, "look", 2).await; // the second has seen that nothing is kept
    gate.add_permits(1);
    let (first, second) = (
        first.await.expect("answered"),
        second.await.expect("answered"),
    );
    assert_eq!((first.outcome(), second.outcome()), ("miss", "collapsed"));
    let requests = lines(&process, "request", 2).await;
    let of = |outcome| {
        let mut requests = requests.iter();
        requests
            .find(|span| span["outcome"] == outcome)
            .expect("told")
    };
    assert_ne!(of("collapsed")["trace_id"], GIVEN_ID);
    let fills = lines(&process, "fill", 1).await;
    assert_eq!(fills.len(), 1);
    is_part(&fills[0], of("miss"));
}

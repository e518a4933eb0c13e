//! Rules that fix a time: what becomes of an answer when that is over, and shortly before.

use crate::world::{Asked, Origin, Reply, Sidecar, eventually};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

/// A rule whose answers are over at once; tests add what may become of them then.
fn rules(more: &str) -> String {
    format!(
        r#"
[[cache]]
name = "thing"
match = "GET /api/thing/{{id}}"
key = "things:{{id}}"
query = []
ttl = "20ms"
public = true
{more}

[[invalidate]]
name = "changed"
on = "PATCH /api/change/{{id}}"
drop = ["things:{{id}}"]
"#
    )
}

/// Counts what it is asked on `GET`s, and answers with that number and the status that is set.
struct Counting {
    origin: Origin,
    status: Arc<AtomicU16>,
}

impl Counting {
    async fn start() -> Counting {
        let (count, status) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicU16::new(200)));
        let now = status.clone();
        let origin =
            Origin::start(move |asked: Asked| {
                let nth = match asked.method.as_str() {
                    "GET" => count.fetch_add(1, SeqCst) + 1,
                    _ => 0,
                };
                let status = if nth == 0 { 200 } else { now.load(SeqCst) };
                async move {
                    Reply::of(status, "text/plain", nth.to_string()).header("connection", "close")
                }
            })
            .await;
        Counting { origin, status }
    }

    fn answers(&self, status: u16) {
        self.status.store(status, SeqCst);
    }
}

/// Waits until the answer to `/api/thing/1` has this outcome, and returns its body.
async fn becomes(sidecar: &Sidecar, outcome: &str) -> String {
    let mut body = String::new();
    eventually(outcome, async || {
        let got = sidecar.get("/api/thing/1").await;
        body = got.text();
        got.outcome() == outcome
    })
    .await;
    body
}

#[tokio::test]
async fn an_answer_whose_time_is_over_is_validated_if_it_can_be() {
    let origin = Origin::start(|asked: Asked| async move {
        match asked.header("if-none-match") {
            Some("\"a\"") => Reply {
                status: 304,
                headers: vec![("etag".to_owned(), "\"a\"".to_owned())],
                body: Default::default(),
            },
            _ => Reply::json("[1]").header("etag", "\"a\""),
        }
    })
    .await;
    let sidecar = Sidecar::start(&origin, "memory:", &rules("").replace("20ms", "200ms")).await;
    assert_eq!(sidecar.get("/api/thing/1").await.outcome(), "miss");
    assert_eq!(becomes(&sidecar, "revalidated").await, "[1]");
    assert_eq!(becomes(&sidecar, "hit").await, "[1]");
    let own = [("if-none-match", "\"b\"")];
    let got = sidecar.get_with("/api/thing/1", &own).await;
    assert_eq!((got.status, got.text()), (200, "[1]".into()));
}

#[tokio::test]
async fn a_client_cannot_make_a_rule_ask_the_origin() {
    let origin = Origin::register().await;
    let rules = rules("").replace("20ms", "5m");
    let sidecar = Sidecar::start(&origin, "memory:", &rules).await;
    sidecar.get("/api/thing/1").await;
    for line in ["no-cache", "max-age=0", "no-store", "min-fresh=9999"] {
        let got = sidecar
            .get_with("/api/thing/1", &[("cache-control", line)])
            .await;
        assert_eq!(got.outcome(), "hit", "{line}");
    }
    assert_eq!(origin.count(), 1);
}

#[tokio::test]
async fn a_stale_answer_is_served_at_once_while_it_is_fetched_anew() {
    let counting = Counting::start().await;
    let rules = rules("stale_while_revalidate = \"1h\"");
    let sidecar = Sidecar::start(&counting.origin, "memory:", &rules).await;
    sidecar.get("/api/thing/1").await;
    assert_eq!(becomes(&sidecar, "stale").await, "1");
    eventually("another number is served", async || {
        let got = sidecar.get("/api/thing/1").await;
        assert!(
            ["stale", "hit"].contains(&got.outcome()),
            "{}",
            got.cache_status()
        );
        got.text() != "1"
    })
    .await;
}

#[tokio::test]
async fn what_a_write_dropped_is_served_neither_stale_nor_in_the_place_of_an_error() {
    let counting = Counting::start().await;
    let rules = rules("stale_while_revalidate = \"1h\"\nstale_if_error = \"1h\"");
    let sidecar = Sidecar::start(&counting.origin, "memory:", &rules).await;
    sidecar.get("/api/thing/1").await;
    becomes(&sidecar, "stale").await;
    counting.answers(503);
    sidecar.ask("PATCH", "/api/change/1", &[], "{}").await;
    let got = sidecar.get("/api/thing/1").await;
    assert_eq!((got.status, got.outcome()), (503, "miss"));
}

#[tokio::test]
async fn a_stale_answer_stands_in_for_a_gateways_error_and_for_no_answer() {
    let counting = Counting::start().await;
    let rules = rules("stale_if_error = \"1h\"");
    let sidecar = Sidecar::start(&counting.origin, "memory:", &rules).await;
    sidecar.get("/api/thing/1").await;
    for status in [502, 503, 504] {
        counting.answers(status);
        assert_eq!(becomes(&sidecar, "stale").await, "1", "{status}");
    }
    counting.answers(500);
    eventually("the origin's own error is passed on", async || {
        sidecar.get("/api/thing/1").await.status == 500
    })
    .await;
    drop(counting);
    eventually(
        "what is kept stands in for an origin that is gone",
        async || sidecar.get("/api/other").await.status == 502,
    )
    .await;
    assert_eq!(becomes(&sidecar, "stale").await, "1");
    let metrics = sidecar.door("GET", "/metrics", "").await.text();
    let failed = "sidecache_origin_requests_total{rule=\"thing\",status=\"error\"}";
    assert!(metrics.contains(failed), "{metrics}");
}

#[tokio::test]
async fn who_is_known_by_an_unverified_token_is_served_nothing_stale() {
    let personal = r#"stale_if_error = "1h"
[identity]
token = ["header:authorization"]
"#;
    let rules = rules(personal)
        .replace("public = true\n", "")
        .replace("things:{id}\"\nquery", "things:{id}:{token}\"\nquery")
        .replace("drop = [\"things:{id}\"]", "drop = [\"things:{id}:*\"]");
    let counting = Counting::start().await;
    let sidecar = Sidecar::start(&counting.origin, "memory:", &rules).await;
    let mine = [("authorization", "abc")];
    assert_eq!(
        sidecar.get_with("/api/thing/1", &mine).await.outcome(),
        "miss"
    );
    counting.answers(503);
    eventually("its time is over", async || {
        let got = sidecar.get_with("/api/thing/1", &mine).await;
        assert!(
            ["hit", "miss"].contains(&got.outcome()),
            "{}",
            got.cache_status()
        );
        got.status == 503
    })
    .await;
}

#[tokio::test]
async fn a_hot_answer_is_fetched_anew_before_its_time_is_over() {
    let count = Arc::new(AtomicUsize::new(0));
    let origin = Origin::start(move |_| {
        let nth = count.fetch_add(1, SeqCst) + 1;
        async move {
            tokio::time::sleep(Duration::from_millis(50)).await; // a slow origin
            Reply::of(200, "text/plain", nth.to_string())
        }
    })
    .await;
    let rules = rules("refresh_ahead = 100").replace("20ms", "5s");
    let sidecar = Sidecar::start(&origin, "memory:", &rules).await;
    sidecar.get("/api/thing/1").await;
    eventually("a later answer is served without a miss", async || {
        let got = sidecar.get("/api/thing/1").await;
        assert_eq!(got.outcome(), "hit");
        got.text() == "3"
    })
    .await;
}

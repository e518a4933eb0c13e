use super::*;
use crate::world::{ask, head};

#[tokio::test]
async fn an_origin_in_trouble_is_asked_for_no_more() {
    let (desk, redis) = (Desk::open().await, RedisServer::start());
    let sidecar = Sidecar::start(&desk.origin, &redis.url(), RULES).await;
    desk.status.store(503, SeqCst);
    assert_eq!(sidecar.get("/api/thing/2").await.status, 503);
    change(&sidecar).await;
    warmed(&sidecar, "changed", "spared", 3).await;
    assert_eq!(desk.read(), ["/api/thing/2"]);
}

#[tokio::test]
async fn an_answer_that_may_not_be_kept_costs_the_origin_one_request_and_no_reader_anything() {
    let (desk, redis) = (Desk::open().await, RedisServer::start());
    let sidecar = Sidecar::start(&desk.origin, &redis.url(), RULES).await;
    desk.status.store(500, SeqCst);
    change(&sidecar).await;
    warmed(&sidecar, "changed", "not-kept", 3).await;
    desk.status.store(200, SeqCst);
    let got = sidecar.get(THING).await;
    assert_eq!((got.status, got.outcome()), (200, "miss"));
}

/// Refused, failed, unknown, yet to happen: where nothing is dropped, the origin has just failed, or would tell what was
/// before.
#[tokio::test]
async fn nothing_is_asked_for_after_a_write_that_did_not_happen_or_may_not_have() {
    let redis = RedisServer::start();
    let status = Arc::new(AtomicU16::new(200));
    let (told, gate) = (status.clone(), Arc::new(Semaphore::new(0)));
    let origin = Origin::start(move |asked: Asked| {
        let (status, gate) = (told.load(SeqCst), gate.clone());
        async move {
            match (asked.method.as_str(), status) {
                ("GET", _) => Reply::json("{\"n\": 0}"),
                (_, 504) => {
                    let _ = gate.acquire().await; // nobody lets it
                    Reply::json("{}")
                }
                (_, status) => Reply::of(status, "application/json", "{\"n\": 0}"),
            }
        }
    })
    .await;
    let hasty = head(origin.address, &redis.url()).replace("\"5s\"", "\"300ms\"");
    let sidecar = Sidecar::with_file(&format!("{hasty}{RULES}")).await;
    for unheeded in [202, 400, 404, 409, 500, 503, 504] {
        status.store(unheeded, SeqCst);
        let got = sidecar.ask("PATCH", "/api/change/1", &[], "").await;
        assert_eq!(got.status, unheeded);
    }
    let reads = || {
        origin
            .asked()
            .iter()
            .filter(|asked| asked.method == "GET")
            .count()
    };
    // What any of them had asked for would be counted before what this one does, or with it.
    status.store(200, SeqCst);
    let calm = Sidecar::start(&origin, &redis.url(), RULES).await;
    calm.ask("PATCH", "/api/change/1", &[], "").await;
    warmed(&calm, "changed", "kept", 3).await;
    assert_eq!(reads(), 3);
    let metrics = sidecar.door("GET", "/metrics", "").await.text();
    assert!(!metrics.contains("sidecache_warms_total{"), "{metrics}");
}

#[tokio::test]
async fn a_process_that_is_told_to_end_finishes_what_it_fetches_and_begins_nothing() {
    let (desk, redis) = (Desk::start().await, RedisServer::start());
    let sidecar = Sidecar::start(&desk.origin, &redis.url(), RULES).await;
    let (address, admin) = (sidecar.address(), sidecar.admin());
    change(&sidecar).await;
    desk.was_read(3).await;
    let slow = tokio::spawn(async move {
        ask(address, "PATCH", "/api/change/2", &[("x-slow", "1")], "").await
    });
    eventually("the write is there", async || {
        desk.origin.last().header("x-slow").is_some()
    })
    .await;
    let drained = tokio::spawn(sidecar.server.drain());
    eventually("it drains", async || {
        let ready = ask(admin, "GET", "/readyz", &[("host", "localhost")], "").await;
        ready.status == 503
    })
    .await;
    desk.slow.close();
    assert_eq!(slow.await.expect("no panic").status, 200);
    desk.reads.close();
    assert!(drained.await.expect("no panic"), "nothing was cut off");
    assert_eq!(desk.read().len(), 3, "{:?}", desk.read());
}

use crate::process::Process;
use crate::redis::{RedisServer, eventually};
use crate::world::{self, Asked, Origin, REGISTER_RULES, Reply};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::SeqCst};
use tokio::sync::Semaphore;

/// A number that `PATCH` raises at once, and says so when it is let.
async fn gated(gate: Arc<Semaphore>) -> Origin {
    let value = Arc::new(AtomicI64::new(0));
    Origin::start(move |asked: Asked| {
        let (value, gate) = (value.clone(), gate.clone());
        async move {
            let raised = i64::from(asked.method == "PATCH");
            let n = value.fetch_add(raised, SeqCst) + raised;
            if raised == 1 {
                gate.acquire().await.expect("it stays open").forget();
            }
            Reply::json(format!("{{\"n\": {n}}}"))
        }
    })
    .await
}

#[tokio::test]
async fn a_sidecar_that_hangs_in_a_write_holds_up_no_other_and_finishes_it_when_it_goes_on() {
    let (redis, gate) = (RedisServer::start(), Arc::new(Semaphore::new(0)));
    let origin = gated(gate.clone()).await;
    let rules = format!(
        "{}{REGISTER_RULES}",
        world::head(origin.address, &redis.url())
    );
    let [hung, other] = [(); 2].map(|()| Process::start(&rules));
    let kept = async |process: &Process| {
        eventually("it is kept", async || {
            process.get("/api/thing/1").await.outcome() == "hit"
        })
        .await;
    };
    kept(&hung).await;
    kept(&other).await;
    let (proxy, before) = (hung.proxy(), origin.count());
    let write =
        tokio::spawn(async move { world::ask(proxy, "PATCH", "/api/change/1", &[], "").await });
    eventually("the origin has it", async || origin.count() > before).await;
    hung.signal("-STOP");
    let door = hung.door();
    let health = tokio::spawn(async move { world::ask(door, "GET", "/healthz", &[], "").await });
    gate.add_permits(1);
    for _ in 0..20 {
        let got = other.get("/api/thing/1").await;
        assert_eq!(
            (got.status, got.n()),
            (200, 0),
            "nobody was told of the write"
        );
    }
    assert!(!health.is_finished(), "whoever asks is told nothing");
    hung.signal("-CONT");
    assert_eq!(health.await.expect("answered").status, 200);
    assert_eq!(write.await.expect("answered").n(), 1);
    for process in [&other, &hung] {
        assert_eq!(process.get("/api/thing/1").await.n(), 1);
    }
}

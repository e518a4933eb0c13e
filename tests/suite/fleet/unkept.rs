//! Answers that nobody can be given: after the first, everybody asks for himself, and at once.

use super::*;
use tokio::sync::Barrier;

/// The first answer comes when it is let, the next two only together: readers that queue for one
/// another would stand here for ever.
async fn are_asked_for_together(reply: Reply) {
    let redis = RedisServer::start();
    let gate = Arc::new(Semaphore::new(0));
    let (asked, together) = (Arc::new(AtomicI64::new(0)), Arc::new(Barrier::new(2)));
    let held = gate.clone();
    let origin = Origin::start(move |_| {
        let (gate, together, reply) = (held.clone(), together.clone(), reply.clone());
        let place = asked.fetch_add(1, SeqCst);
        async move {
            if place == 0 {
                let _ = gate.acquire().await; // ends when it is closed
            } else {
                together.wait().await;
            }
            reply
        }
    })
    .await;
    let slow = Slow { origin, gate };
    let [one, two, three] = fleet(&slow, &redis).await;
    let first = read(&one, "/thing/a");
    slow.was_asked(1).await;
    let others = waiting(&redis, || [&two, &three].map(|of| read(of, "/thing/a"))).await;
    assert_eq!(slow.origin.count(), 1, "they wait for the first");
    slow.open();
    assert_eq!(got(first).await.outcome(), "miss");
    for other in others {
        assert_eq!(got(other).await.outcome(), "miss");
    }
    assert_eq!(slow.origin.count(), 3);
    let marks = locks(&redis);
    assert!(matches!(marks[..], [(_, 1..=10_000)]), "{marks:?}");
}

#[tokio::test]
async fn answers_that_forbid_keeping_make_no_queue() {
    are_asked_for_together(Reply::json(r#"{"n": 1}"#).header("cache-control", "no-store")).await;
}

#[tokio::test]
async fn answers_without_what_a_rule_asks_for_make_no_queue() {
    are_asked_for_together(Reply::json(r#"{"n": null}"#)).await;
}

#[tokio::test]
async fn failures_make_no_queue() {
    are_asked_for_together(Reply::of(500, "application/json", r#"{"n": 1}"#)).await;
}

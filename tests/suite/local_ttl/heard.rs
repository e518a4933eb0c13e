use super::*;
use crate::redis::PATIENCE;
use std::time::Instant;

/// How often each claim is tried.
const ROUNDS: usize = 20;

/// Waits until a sidecar answers with this number; other answers must be older.
async fn answers(sidecar: &Sidecar, n: i64) {
    eventually("the other sidecar has heard", async || {
        let got = sidecar.get(THING).await.n();
        assert!(got <= n);
        got == n
    })
    .await;
}

#[tokio::test]
async fn the_sidecar_that_forwarded_a_write_is_exact_at_once() {
    let (origin, redis) = (Origin::register().await, RedisServer::start());
    let sidecar = sidecar(&origin, &redis.url(), LONG).await;
    for _ in 0..ROUNDS {
        from_memory(&sidecar, &redis).await;
        assert_eq!(change(&sidecar).await, sidecar.get(THING).await.n());
    }
    from_memory(&sidecar, &redis).await;
    let n = change_unseen(&origin).await;
    assert_eq!(sidecar.purge(&["things:*"]).await.status, 200);
    assert_eq!(sidecar.get(THING).await.n(), n, "a purge is a write too");
}

/// Readers of the same sidecar ask all the while, so that replies from before the write are on their
/// way when it is answered; and no message helps it to forget.
#[tokio::test]
async fn the_sidecar_that_forwarded_a_write_is_exact_also_while_others_read() {
    let (origin, redis) = (Origin::register().await, RedisServer::start());
    let sidecar = sidecar(&origin, &redis.url(), LONG).await;
    redis.say("ACL SETUSER default -publish");
    let address = sidecar.address();
    let readers: Vec<_> = (0..4)
        .map(|_| {
            tokio::spawn(async move {
                loop {
                    world::ask(address, "GET", THING, &[], "").await;
                }
            })
        })
        .collect();
    for _ in 0..2 * ROUNDS {
        let n = change(&sidecar).await;
        for _ in 0..3 {
            assert_eq!(sidecar.get(THING).await.n(), n);
        }
    }
    readers.iter().for_each(|reader| reader.abort());
}

#[tokio::test]
async fn a_write_through_another_sidecar_is_heard_long_before_local_ttl_is_over() {
    let (origin, redis) = (Origin::register().await, RedisServer::start());
    let writer = sidecar(&origin, &redis.url(), LONG).await;
    let reader = sidecar(&origin, &redis.url(), LONG).await;
    let mut took = Vec::new();
    let begun = Instant::now();
    for _ in 0..ROUNDS {
        from_memory(&reader, &redis).await;
        let n = change(&writer).await;
        let answered = Instant::now();
        answers(&reader, n).await;
        took.push(answered.elapsed());
    }
    took.sort();
    eprintln!("heard after {:?} (median)", took[took.len() / 2]);
    assert!(begun.elapsed() < PATIENCE * 2, "local_ttl was never over");
}

#[tokio::test]
async fn a_purge_through_another_sidecar_is_heard() {
    let (origin, redis) = (Origin::register().await, RedisServer::start());
    let purger = sidecar(&origin, &redis.url(), LONG).await;
    let reader = sidecar(&origin, &redis.url(), LONG).await;
    for pattern in ["things:details:1", "things:*", "*"] {
        from_memory(&reader, &redis).await;
        let n = change_unseen(&origin).await;
        assert!(from_memory(&reader, &redis).await.n() < n);
        assert_eq!(purger.purge(&[pattern]).await.status, 200);
        answers(&reader, n).await;
    }
}

#[tokio::test]
async fn a_deletion_that_was_owed_is_heard_when_it_is_paid() {
    let (origin, redis) = (Origin::register().await, RedisServer::start());
    let writer = sidecar(&origin, &redis.url(), LONG).await;
    let reader = sidecar(&origin, &redis.url(), LONG).await;
    from_memory(&reader, &redis).await;
    redis.say("ACL SETUSER default -unlink -evalsha -eval");
    let n = change(&writer).await;
    assert!(metric(&writer, "invalidations_owed").await > 0);
    assert!(reader.get(THING).await.n() < n);
    redis.say("ACL SETUSER default +unlink +evalsha +eval");
    answers(&reader, n).await;
}

#[tokio::test]
async fn a_user_who_may_not_publish_deletes_all_the_same() {
    let (origin, redis) = (Origin::register().await, RedisServer::start());
    let sidecar = sidecar(&origin, &redis.url(), LONG).await;
    redis.say("ACL SETUSER default -publish");
    from_memory(&sidecar, &redis).await;
    assert_eq!(change(&sidecar).await, sidecar.get(THING).await.n());
    assert_eq!(sidecar.purge(&["things:*"]).await.status, 200);
    assert_eq!(metric(&sidecar, "invalidations_owed").await, 0);
    assert_eq!(metric(&sidecar, "store_up").await, 1);
    assert_eq!(sidecar.get(THING).await.outcome(), "miss");
}

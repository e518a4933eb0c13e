//! Redis absent, killed, hung, emptied, full: nobody waits long, nothing stale is served, and service
//! resumes by itself.

use super::*;
use crate::redis::{PATIENCE, eventually};
use sidecache::store::{Bumped, Down};
use std::time::Instant;

/// What a call may take beside the timeout, on a machine that is busy with other tests. Redis hangs
/// far longer in these tests, so a call that waited for it without a timeout would still be seen.
const SLACK: Duration = Duration::from_secs(5);

/// What a call that waits for nothing may take there: less than one timeout.
const AT_ONCE: Duration = Duration::from_millis(750);

/// How soon service must be back after Redis is.
const RESUMED: Duration = Duration::from_millis(1500);

async fn down(store: &Store) {
    eventually("the store is known to be down", async || {
        store.look(sought(&nodes())).await.is_err() && !store.up()
    })
    .await;
}

async fn up(store: &Store) {
    eventually("the store is up again", async || store.up()).await;
}

async fn timed<T>(call: impl Future<Output = T>) -> (T, Duration) {
    let began = Instant::now();
    (call.await, began.elapsed())
}

#[tokio::test]
async fn a_store_without_redis_opens_answers_down_at_once_and_comes_up_with_it() {
    let mut redis = RedisServer::absent(&[]);
    let (store, took) = timed(async { open(redis.url()) }).await;
    assert!(took < AT_ONCE);
    assert!(!store.connected().await);
    let (found, took) = timed(store.look(sought(&nodes()))).await;
    assert!(matches!(found, Err(Down)) && took < AT_ONCE, "{took:?}");
    assert_eq!(store.snapshot(&nodes()).await, Err(Down));
    assert_eq!(store.keep(KEY, entry(vec![], "x")).await, Err(Down));
    assert_eq!(store.put_marker("m", Bytes::new()).await, Err(Down));
    redis.restart();
    up(&store).await;
    fill(&store, "body").await;
    assert!(served(&look(&store).await).is_some());
}

#[tokio::test]
async fn a_killed_redis_is_noticed_without_asking_and_one_restarted_empty_serves_nothing_old() {
    let mut redis = RedisServer::start();
    let store = connected(&redis).await;
    fill(&store, "old").await;
    redis.kill();
    eventually("the end of the connection is noticed", async || !store.up()).await;
    let (found, took) = timed(store.look(sought(&nodes()))).await;
    assert!(matches!(found, Err(Down)) && took < AT_ONCE, "{took:?}");
    redis.restart();
    let back = Instant::now();
    up(&store).await;
    assert!(back.elapsed() < RESUMED + SLACK, "{:?}", back.elapsed());
    assert_eq!(served(&look(&store).await), None);
    store.snapshot(&nodes()).await.expect("up");
    assert_eq!(served(&look(&store).await), None);
}

#[tokio::test]
async fn a_hung_redis_costs_each_call_one_timeout_and_the_later_ones_nothing() {
    let redis = RedisServer::start();
    let store = connected(&redis).await;
    fill(&store, "body").await;
    redis.stop();
    for _ in 0..3 {
        let (found, took) = timed(store.look(sought(&nodes()))).await;
        assert!(matches!(found, Err(Down)));
        assert!(took < TIMEOUT + SLACK, "{took:?}");
    }
    assert!(!store.up());
    let (_, took) = timed(store.look(sought(&nodes()))).await;
    assert!(took < AT_ONCE, "{took:?}");
    redis.cont();
    let back = Instant::now();
    up(&store).await;
    assert!(back.elapsed() < RESUMED + SLACK, "{:?}", back.elapsed());
    assert_eq!(served(&look(&store).await).as_deref(), Some(&b"body"[..]));
}

#[tokio::test]
async fn values_that_fill_the_socket_of_a_hung_redis_hold_up_nothing_for_long() {
    let redis = RedisServer::start();
    let store = connected(&redis).await;
    redis.stop();
    let mut noise = vec![0; 1 << 20];
    getrandom::fill(&mut noise).expect("the system has randomness");
    let kept = entry(vec![], noise);
    let keeping: Vec<_> = (0..12)
        .map(|number| {
            let (store, kept) = (store.clone(), kept.clone());
            tokio::spawn(async move { store.keep(&format!("clinic:{number}"), kept).await })
        })
        .collect();
    for task in keeping {
        let (kept, took) = timed(task).await;
        assert_eq!(kept.expect("no panic"), Err(Down));
        assert!(took < TIMEOUT + SLACK, "{took:?}");
    }
    redis.cont();
    let back = Instant::now();
    up(&store).await;
    assert!(back.elapsed() < RESUMED + SLACK, "{:?}", back.elapsed());
    fill(&store, "body").await;
    assert!(served(&look(&store).await).is_some());
}

#[tokio::test]
async fn a_late_reply_is_never_taken_for_another_commands() {
    let redis = RedisServer::start();
    let store = connected(&redis).await;
    for number in 0..20 {
        let value = Bytes::from(format!("value {number}"));
        store
            .put_marker(&format!("clinic:{number}"), value)
            .await
            .expect("up");
    }
    let deadline = Instant::now() + PATIENCE;
    let (mut round, mut read) = (0, 0);
    while read < 120 {
        assert!(Instant::now() < deadline);
        if round % 40 == 0 {
            redis.stop();
            let _ = store.look(with_marker(&[], "clinic:1")).await;
            redis.cont();
        }
        let key = format!("clinic:{}", round % 20);
        if let Ok(look) = store.look(with_marker(&[], &key)).await {
            assert_eq!(
                look.marker,
                Some(Bytes::from(format!("value {}", round % 20)))
            );
            read += 1;
        }
        round += 1;
    }
}

#[tokio::test]
async fn a_bump_while_redis_is_down_is_owed_and_paid_before_anything_is_read() {
    let redis = RedisServer::start();
    let (store, other) = (connected(&redis).await, connected(&redis).await);
    fill(&store, "old").await;
    assert!(served(&look(&other).await).is_some());
    redis.stop();
    let (bumped, took) = timed(store.bump(&nodes()[1..])).await;
    assert_eq!((bumped, store.owed(), store.up()), (Bumped::Owed, 1, false));
    assert!(took < TIMEOUT + SLACK, "{took:?}");
    let (bumped, took) = timed(store.bump(&nodes()[1..])).await;
    assert_eq!(
        (bumped, store.owed(), store.generation()),
        (Bumped::Owed, 1, 2)
    );
    assert!(took < AT_ONCE, "{took:?}");
    redis.cont();
    let mut looked = store.look(sought(&nodes())).await;
    let deadline = Instant::now() + PATIENCE;
    while looked.is_err() {
        assert!(Instant::now() < deadline);
        tokio::task::yield_now().await;
        looked = store.look(sought(&nodes())).await;
    }
    assert_eq!(served(&looked.expect("just checked")), None);
    assert_eq!(store.owed(), 0);
    assert_eq!(served(&look(&other).await), None);
}

#[tokio::test]
async fn a_bump_that_redis_refuses_is_owed_until_it_is_allowed() {
    let redis = RedisServer::start();
    let store = connected(&redis).await;
    fill(&store, "old").await;
    redis.say("ACL SETUSER default -unlink");
    assert_eq!(store.bump(&nodes()).await, Bumped::Owed);
    assert_eq!(store.look(sought(&nodes())).await.err(), Some(Down));
    redis.say("ACL SETUSER default +unlink");
    up(&store).await;
    assert_eq!((store.owed(), served(&look(&store).await)), (0, None));
}

#[tokio::test]
async fn a_cancelled_bump_is_owed() {
    let redis = RedisServer::start();
    let store = connected(&redis).await;
    fill(&store, "old").await;
    redis.stop();
    let cancelled = tokio::time::timeout(TIMEOUT / 10, store.bump(&nodes())).await;
    assert!(cancelled.is_err());
    assert_eq!((store.owed(), store.up()), (2, false));
    redis.cont();
    up(&store).await;
    assert_eq!((store.owed(), served(&look(&store).await)), (0, None));
}

#[tokio::test]
async fn more_owed_nodes_than_the_bound_become_everything() {
    let mut redis = RedisServer::absent(&[]);
    let store = open(redis.url());
    let many: Vec<_> = (0..=sidecache::store::MAX_OWED)
        .map(|n| format!("clinic:node:{n}"))
        .collect();
    assert_eq!(store.bump(&many).await, Bumped::Owed);
    assert_eq!(store.owed(), 1);
    redis.restart();
    up(&store).await;
    assert_eq!(store.owed(), 0);
}

#[tokio::test]
async fn a_full_redis_refuses_to_keep_but_still_drops_and_serves() {
    let redis = RedisServer::start_with(&["--maxmemory-policy", "noeviction"]);
    let metrics = Arc::new(Metrics::new());
    let store = open_with(&settings(redis_url(redis.url())), metrics.clone());
    up(&store).await;
    fill(&store, "body").await;
    redis.say("CONFIG SET maxmemory 1");
    let versions = look(&store).await.versions.into_iter().flatten().collect();
    assert_eq!(store.keep(KEY, entry(versions, "new")).await, Err(Down));
    assert!(store.up(), "being full is not being down");
    assert!(served(&look(&store).await).is_some());
    assert_eq!(store.bump(&nodes()).await, Bumped::Done);
    assert_eq!(served(&look(&store).await), None);
    assert_eq!(store.snapshot(&nodes()).await, Err(Down));
    assert!(
        metrics
            .encode()
            .contains(r#"sidecache_store_errors_total{kind="capacity"} 2"#)
    );
}

#[tokio::test]
async fn a_primary_that_becomes_a_replica_is_left_at_its_first_refusal_and_owed_what_it_missed() {
    let redis = RedisServer::start();
    let store = connected(&redis).await;
    fill(&store, "old").await;
    redis.say("REPLICAOF 127.0.0.1 1");
    let versions = look(&store).await.versions.into_iter().flatten().collect();
    assert_eq!(store.keep(KEY, entry(versions, "new")).await, Err(Down));
    assert!(!store.up(), "what it holds may be old");
    assert_eq!(store.bump(&nodes()).await, Bumped::Owed);
    redis.say("REPLICAOF NO ONE");
    up(&store).await;
    assert_eq!(served(&look(&store).await), None);
}

#[tokio::test]
async fn a_closed_store_has_paid_its_debts_and_is_down() {
    let mut redis = RedisServer::absent(&[]);
    let store = open(redis.url());
    assert_eq!(store.bump(&nodes()).await, Bumped::Owed);
    redis.restart();
    redis.ask(&[b"SET", nodes()[0].as_bytes(), &[7; 16]]);
    store.close().await;
    assert_eq!((store.owed(), store.up()), (0, false));
    assert_eq!(redis.ask(&[b"EXISTS", nodes()[0].as_bytes()]), "0");
    down(&store).await;
}

#[tokio::test]
async fn closing_a_store_whose_redis_hangs_waits_no_longer_than_a_timeout() {
    let redis = RedisServer::start();
    let store = connected(&redis).await;
    redis.stop();
    assert_eq!(store.bump(&nodes()).await, Bumped::Owed);
    let ((), took) = timed(store.close()).await;
    assert!(took < TIMEOUT + SLACK, "{took:?}");
    assert_eq!(store.owed(), 2);
}

#[tokio::test]
async fn a_dropped_store_leaves_no_connection_behind() {
    let redis = RedisServer::start();
    let store = connected(&redis).await;
    let clients = || redis.say("CLIENT LIST").lines().count();
    assert_eq!(clients(), 2, "the store's and the one that asks");
    drop(store);
    eventually("the connection is closed", async || clients() == 1).await;
}

use super::*;
use tokio::task::JoinSet;

/// Writes of one writer, and writers, in a run of many.
const WRITES: usize = 60;
const WRITERS: usize = 3;

#[tokio::test]
async fn what_was_fetched_before_another_write_is_served_to_nobody_after_it() {
    let (desk, redis) = (Desk::start().await, RedisServer::start());
    let one = Sidecar::start(&desk.origin, &redis.url(), RULES).await;
    let two = Sidecar::start(&desk.origin, &redis.url(), RULES).await;
    change(&one).await;
    desk.was_read(3).await; // the old number is on its way
    let n = change(&two).await;
    desk.was_read(6).await;
    desk.reads.close();
    warmed(&one, "changed", "kept", 3).await;
    warmed(&two, "changed", "kept", 3).await;
    for sidecar in [&one, &two] {
        for target in LISTS.iter().chain([&THING]) {
            assert_eq!(sidecar.get(target).await.n(), n, "{target}");
        }
    }
}

#[tokio::test]
async fn what_is_kept_while_a_write_is_under_way_ends_with_it() {
    let (desk, redis) = (Desk::open().await, RedisServer::start());
    let one = Sidecar::start(&desk.origin, &redis.url(), RULES).await;
    let two = Sidecar::start(&desk.origin, &redis.url(), RULES).await;
    let slow = two.ask("PATCH", "/api/change/1", &[("x-slow", "yes")], "");
    let meanwhile = async {
        eventually("it has its lease", async || desk.origin.count() == 1).await;
        let n = change(&one).await;
        warmed(&one, "changed", "kept", 3).await;
        for sidecar in [&one, &two] {
            let got = sidecar.get(THING).await;
            assert_eq!(
                (got.n(), got.outcome()),
                (n, "hit"),
                "nobody knows better yet"
            );
        }
        desk.slow.close();
    };
    let (slow, ()) = tokio::join!(slow, meanwhile);
    assert_eq!(slow.n(), 2);
    for sidecar in [&one, &two] {
        for target in LISTS.iter().chain([&THING]) {
            assert_eq!(sidecar.get(target).await.n(), 2, "{target}");
        }
    }
}

#[tokio::test]
async fn among_many_writes_no_read_is_older_than_a_write_that_was_acknowledged() {
    let (desk, redis) = (Desk::open().await, RedisServer::start());
    let one = Sidecar::start(&desk.origin, &redis.url(), RULES).await;
    let two = Sidecar::start(&desk.origin, &redis.url(), RULES).await;
    let (told, left) = (
        Arc::new(AtomicI64::new(0)),
        Arc::new(AtomicUsize::new(WRITERS)),
    );
    let mut clients = JoinSet::new();
    for writer in 0..WRITERS {
        let door = if writer % 2 == 0 {
            one.address()
        } else {
            two.address()
        };
        let (told, left) = (told.clone(), left.clone());
        clients.spawn(async move {
            for _ in 0..WRITES {
                let got = crate::world::ask(door, "PATCH", "/api/change/1", &[], "").await;
                told.fetch_max(got.n(), SeqCst);
            }
            left.fetch_sub(1, SeqCst);
        });
    }
    for reader in 0..4 {
        let door = if reader % 2 == 0 {
            one.address()
        } else {
            two.address()
        };
        let target = [THING, LISTS[0], LISTS[1], THING][reader];
        let (told, left) = (told.clone(), left.clone());
        clients.spawn(async move {
            while left.load(SeqCst) > 0 {
                let floor = told.load(SeqCst);
                let got = crate::world::ask(door, "GET", target, &[], "").await;
                assert!(
                    got.n() >= floor,
                    "{} of {floor}: {}",
                    got.n(),
                    got.cache_status()
                );
            }
        });
    }
    while let Some(ended) = clients.join_next().await {
        ended.expect("nothing stale");
    }
    let n = (WRITERS * WRITES) as i64;
    for sidecar in [&one, &two] {
        eventually("the last number is kept", async || {
            let got = sidecar.get(THING).await;
            assert_eq!(got.n(), n);
            got.outcome() == "hit"
        })
        .await;
    }
}

#[tokio::test]
async fn in_a_storm_of_writes_the_same_is_asked_for_once_and_once_more() {
    let (desk, redis) = (Desk::start().await, RedisServer::start());
    let sidecar = Sidecar::start(&desk.origin, &redis.url(), RULES).await;
    change(&sidecar).await;
    desk.was_read(3).await;
    let mut n = 0;
    for _ in 0..50 {
        n = change(&sidecar).await;
    }
    warmed(&sidecar, "changed", "coalesced", 150).await;
    desk.reads.close();
    warmed(&sidecar, "changed", "kept", 6).await;
    for target in LISTS.iter().chain([&THING]) {
        let times = desk.read().iter().filter(|read| *read == target).count();
        assert_eq!(times, 2, "{target}");
        let got = sidecar.get(target).await;
        assert_eq!((got.n(), got.outcome()), (n, "hit"), "{target}");
    }
}

#[tokio::test]
async fn few_are_asked_for_at_a_time() {
    let (desk, redis) = (Desk::start().await, RedisServer::start());
    let many: Vec<String> = (1..=16).map(|id| format!("\"/api/thing/{id}\"")).collect();
    let warm = format!("warm = [{}]", many.join(", "));
    let rules = RULES.replace("warm = \"/api/thing/{response.data.id}\"", &warm);
    let sidecar = Sidecar::start(&desk.origin, &redis.url(), &rules).await;
    sidecar.ask("POST", "/api/create", &[], "").await;
    desk.was_read(4).await;
    for _ in 0..16 {
        desk.reads.add_permits(1);
    }
    desk.reads.close();
    warmed(&sidecar, "created", "kept", 16).await;
    assert_eq!(desk.most.load(SeqCst), 4);
}

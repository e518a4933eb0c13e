//! Soft drops: what a write makes old is served a little longer, while it is fetched anew, and only as
//! long as the rule allows.

mod beside; // what else there is: seals, groups, parts
mod told; // what the rules say of them decides
mod store; // what a store makes of them

use crate::redis::{RedisServer, eventually};
use crate::world::{Got, Origin, Sidecar};
use tokio::time::Instant;

/// Longer than any test waits.
const LONG: &str = "10m";

const THING: &str = "/api/thing/1";

/// One thing that may be served stale for so long, a write that drops it softly, one that drops it for
/// good.
fn rules(window: &str) -> String {
    format!(
        r#"
[[cache]]
name = "thing"
match = "GET /api/thing/{{id}}"
key = "things:{{id}}"
query = []
ttl = "5m"
stale_while_revalidate = "{window}"
public = true

[[invalidate]]
name = "counted"
on = "PATCH /api/count/{{id}}"
drop = ["things:{{id}}"]
soft = true

[[invalidate]]
name = "changed"
on = "PATCH /api/change/{{id}}"
drop = ["things:{{id}}"]
"#
    )
}

/// An origin that counts writes, two sidecars, and one answer that both have seen.
struct Pair {
    origin: Origin,
    redis: RedisServer,
    one: Sidecar,
    two: Sidecar,
}

impl Pair {
    async fn with(rules: &str) -> Pair {
        let (origin, redis) = (Origin::register().await, RedisServer::start());
        let one = Sidecar::start(&origin, &redis.url(), rules).await;
        let two = Sidecar::start(&origin, &redis.url(), rules).await;
        let pair = Pair {
            origin,
            redis,
            one,
            two,
        };
        kept(&pair.one).await;
        kept(&pair.two).await;
        pair
    }

    async fn start(window: &str) -> Pair {
        Pair::with(&rules(window)).await
    }
}

/// Reads until the answer is kept and fresh.
async fn kept(sidecar: &Sidecar) -> Got {
    let mut got = None;
    eventually("a hit", async || {
        let read = sidecar.get(THING).await;
        let is_hit = read.outcome() == "hit";
        got = is_hit.then_some(read);
        is_hit
    })
    .await;
    got.expect("it was")
}

/// Softly, or for good; returns what the thing is from then on.
async fn write(sidecar: &Sidecar, how: &str) -> i64 {
    let got = sidecar
        .ask("PATCH", &format!("/api/{how}/1"), &[], "")
        .await;
    assert_eq!(got.status, 200);
    got.n()
}

#[tokio::test]
async fn after_a_soft_drop_every_sidecar_serves_the_old_answer_at_once_and_the_new_one_soon() {
    let pair = Pair::start(LONG).await;
    let asked = pair.origin.count();
    let n = write(&pair.one, "count").await;
    let got = pair.two.get(THING).await;
    assert_eq!((got.n(), got.outcome()), (n - 1, "stale"));
    let (ttl, detail) = got
        .cache_status()
        .split_once("; detail=")
        .expect("a detail");
    let ttl = ttl
        .strip_prefix("sidecache; hit; ttl=")
        .and_then(|ttl| ttl.parse::<i64>().ok());
    assert!(
        ttl.is_some_and(|ttl| ttl <= 0) && detail == "stale",
        "{}",
        got.cache_status()
    );
    for sidecar in [&pair.two, &pair.one] {
        assert_eq!(newer(sidecar, n).await.outcome(), "hit");
    }
    assert_eq!(pair.origin.count() - asked, 2, "the write and one refresh");
}

/// Waits until this is answered; nothing older than the one before it may be.
async fn newer(sidecar: &Sidecar, n: i64) -> Got {
    let mut got = None;
    eventually("the new answer", async || {
        let read = sidecar.get(THING).await;
        assert!(
            ["stale", "hit"].contains(&read.outcome()),
            "{}",
            read.cache_status()
        );
        assert!((n - 1..=n).contains(&read.n()));
        let is_new = read.n() == n;
        got = is_new.then_some(read);
        is_new
    })
    .await;
    got.expect("it was")
}

#[tokio::test]
async fn a_drop_for_good_before_or_after_a_soft_one_leaves_nothing_to_be_served() {
    let pair = Pair::start(LONG).await;
    for order in [["count", "change"], ["change", "count"]] {
        kept(&pair.two).await;
        write(&pair.one, order[0]).await;
        let n = write(&pair.one, order[1]).await;
        let got = pair.two.get(THING).await;
        assert_eq!((got.n(), got.outcome()), (n, "miss"), "{order:?}");
        kept(&pair.one).await;
    }
    write(&pair.one, "count").await;
    assert_eq!(pair.two.purge(&["things:1"]).await.status, 200);
    assert_eq!(pair.one.get(THING).await.outcome(), "miss", "a purge too");
}

#[tokio::test]
async fn the_window_begins_with_the_drop_and_what_is_not_read_within_it_is_gone() {
    let pair = Pair::start("400ms").await;
    let n = write(&pair.one, "count").await;
    let begun = Instant::now();
    eventually("the window is over", async || {
        begun.elapsed().as_millis() > 400
    })
    .await;
    let got = pair.two.get(THING).await;
    assert_eq!((got.n(), got.outcome()), (n, "miss"));
    assert!(got.cache_status().starts_with("sidecache; fwd=miss"));
}

#[tokio::test]
async fn soft_drops_one_after_another_lengthen_no_window() {
    let pair = Pair::start("400ms").await;
    let first = write(&pair.one, "count").await;
    let begun = Instant::now();
    let mut n = first;
    // More often than a node lists.
    while begun.elapsed().as_millis() <= 400 || n < first + 20 {
        n = write(&pair.one, "count").await;
    }
    let got = pair.two.get(THING).await;
    assert_eq!((got.n(), got.outcome()), (n, "miss"));
}

#[tokio::test]
async fn where_no_window_is_given_a_soft_drop_is_a_drop() {
    let pair = Pair::start("0s").await;
    let n = write(&pair.one, "count").await;
    let got = pair.two.get(THING).await;
    assert_eq!((got.n(), got.outcome()), (n, "miss"));
    assert!(got.cache_status().starts_with("sidecache; fwd=miss"));
}

#[tokio::test]
async fn a_soft_drop_outlives_the_sidecars_that_saw_it() {
    let pair = Pair::start(LONG).await;
    let n = write(&pair.one, "count").await;
    let Pair {
        origin,
        redis,
        one,
        two,
    } = pair;
    drop((one, two));
    let anew = Sidecar::start(&origin, &redis.url(), &rules(LONG)).await;
    let got = anew.get(THING).await;
    assert_eq!((got.n(), got.outcome()), (n - 1, "stale"));
    assert_eq!(newer(&anew, n).await.outcome(), "hit");
    redis.say("FLUSHALL");
    assert_eq!(anew.get(THING).await.outcome(), "miss");
}

#[tokio::test]
async fn what_is_answered_from_memory_hears_of_a_soft_drop() {
    let rules = rules(LONG).replace("ttl = \"5m\"", "ttl = \"5m\"\nlocal_ttl = \"60s\"");
    let pair = Pair::with(&rules).await;
    for sidecar in [&pair.one, &pair.two] {
        eventually("others are heard", async || {
            let metrics = sidecar.door("GET", "/metrics", "").await.text();
            metrics.contains("sidecache_subscription_up 1")
        })
        .await;
        kept(sidecar).await;
        eventually("a hit asks Redis nothing", async || {
            let asked = pair.redis.calls("mget");
            kept(sidecar).await;
            pair.redis.calls("mget") == asked
        })
        .await;
    }
    let n = write(&pair.one, "count").await;
    let own = pair.one.get(THING).await;
    assert!(
        own.outcome() == "stale" || own.n() == n,
        "{}",
        own.cache_status()
    );
    eventually("the other has heard", async || {
        pair.two.get(THING).await.n() == n
    })
    .await;
    let n = write(&pair.two, "change").await;
    assert_eq!(pair.two.get(THING).await.n(), n, "its own is exact");
}

#[tokio::test]
async fn a_store_in_memory_softens_too() {
    let origin = Origin::register().await;
    let sidecar = Sidecar::start(&origin, "memory:", &rules(LONG)).await;
    kept(&sidecar).await;
    let n = write(&sidecar, "count").await;
    let got = sidecar.get(THING).await;
    assert_eq!((got.n(), got.outcome()), (n - 1, "stale"));
    newer(&sidecar, n).await;
    write(&sidecar, "count").await;
    let n = write(&sidecar, "change").await;
    let got = sidecar.get(THING).await;
    assert_eq!((got.n(), got.outcome()), (n, "miss"));
}

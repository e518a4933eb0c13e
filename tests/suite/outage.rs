//! Redis goes away under a whole sidecar: every request is answered from the origin, and nothing old
//! is served when it is back.

mod back; // Redis comes back while writes are under way
mod cut_off; // one sidecar alone cannot reach Redis

use crate::redis::{PATIENCE, RedisServer, eventually};
use crate::world::{Asked, Got, Origin, Reply, Sidecar};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering::SeqCst};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// `[store] timeout`.
const TIMEOUT: Duration = Duration::from_secs(1);

/// What a busy machine may add to a wait. Redis is away far longer in these tests, so a request that
/// waited for it without a timeout would still be seen.
const SLACK: Duration = Duration::from_secs(5);

const RULES: &str = r#"
[[cache]]
name = "value"
match = "GET /value/{id}"
key = "values:{id}"
query = []
ttl = "5m"
public = true

[[invalidate]]
name = "raised"
on = "POST /raise/{id}"
drop = ["values:{id}"]
"#;

/// One number: `POST` raises it, `GET` reads it.
async fn register() -> (Origin, Arc<AtomicI64>) {
    let value = Arc::new(AtomicI64::new(0));
    let shared = value.clone();
    let origin = Origin::start(move |asked: Asked| {
        let value = shared.clone();
        async move {
            let n = if asked.method == "POST" {
                value.fetch_add(1, SeqCst) + 1
            } else {
                value.load(SeqCst)
            };
            Reply::json(format!("{{\"n\": {n}}}"))
        }
    })
    .await;
    (origin, value)
}

/// The same, where `GET` reads it at once and tells it when it is let: one for each permit, or all once the
/// gate is closed.
async fn gated_register() -> (Origin, Arc<Semaphore>) {
    let (value, gate) = (Arc::new(AtomicI64::new(0)), Arc::new(Semaphore::new(0)));
    let held = gate.clone();
    let origin = Origin::start(move |asked: Asked| {
        let (value, gate) = (value.clone(), held.clone());
        async move {
            let is_write = i64::from(asked.method == "POST");
            let n = value.fetch_add(is_write, SeqCst) + is_write;
            if is_write == 0
                && let Ok(leave) = gate.acquire().await
            {
                leave.forget();
            }
            Reply::json(format!("{{\"n\": {n}}}"))
        }
    })
    .await;
    (origin, gate)
}

/// Waits until so many clients are connected. Nobody has to connect for that.
async fn connected(sidecar: &Sidecar, clients: usize) {
    let line = format!("sidecache_connections {clients}\n");
    eventually("they are connected", async || {
        let metrics = &sidecar.server.live().ground.metrics;
        metrics.encode().contains(&line)
    })
    .await;
}

async fn sidecar(origin: &Origin, redis: &RedisServer) -> Sidecar {
    Sidecar::impatient(origin, &redis.url(), RULES).await
}

async fn timed<T>(work: impl Future<Output = T>) -> (T, Duration) {
    let begun = Instant::now();
    (work.await, begun.elapsed())
}

async fn raise(sidecar: &Sidecar, id: &str) -> Got {
    sidecar.ask("POST", &format!("/raise/{id}"), &[], "").await
}

async fn metric(sidecar: &Sidecar, name: &str) -> i64 {
    let text = sidecar.door("GET", "/metrics", "").await.text();
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .expect("it is there");
    value.trim().parse().expect("a number")
}

async fn owed(sidecar: &Sidecar) -> i64 {
    metric(sidecar, "sidecache_invalidations_owed ").await
}

async fn is_kept(sidecar: &Sidecar, target: &str) {
    eventually("it is kept again", async || {
        sidecar.get(target).await.outcome() == "hit"
    })
    .await;
}

/// Reads and writes while Redis is away; each answer is the origin's, at most one timeout late.
async fn is_answered_by_the_origin(sidecar: &Sidecar, value: &AtomicI64) {
    for _ in 0..5 {
        let (got, took) = timed(sidecar.get("/value/a")).await;
        assert_eq!((got.status, got.n()), (200, value.load(SeqCst)));
        assert_eq!(
            (got.outcome(), got.detail()),
            ("miss", Some("store-down")),
            "{}",
            got.cache_status()
        );
        assert!(took < TIMEOUT + SLACK, "{took:?}");
        let (got, took) = timed(raise(sidecar, "a")).await;
        assert_eq!((got.status, got.n()), (200, value.load(SeqCst)));
        assert!(took < TIMEOUT + SLACK, "{took:?}");
    }
    assert_eq!(metric(sidecar, "sidecache_store_up ").await, 0);
    let state = "sidecache_store_state{state=\"down\"} ";
    assert_eq!(metric(sidecar, state).await, 1);
    assert_eq!(
        owed(sidecar).await,
        1,
        "a node is owed once, however often it was written"
    );
    let ready = sidecar.door("GET", "/readyz", "").await;
    assert_eq!(ready.status, 200, "the store is reported, not required");
    assert_eq!(
        ready.text(),
        r#"{"invalidations_owed":1,"status":"ready","store":"down"}"#
    );
}

/// The first answer that is kept again is the present one.
async fn nothing_old_comes_back(sidecar: &Sidecar, value: &AtomicI64) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        assert!(Instant::now() < deadline, "the store is not used again");
        let got = sidecar.get("/value/a").await;
        assert_eq!(got.n(), value.load(SeqCst), "{}", got.cache_status());
        if got.outcome() == "hit" {
            break;
        }
        tokio::task::yield_now().await;
    }
    assert_eq!(owed(sidecar).await, 0);
    assert_eq!(metric(sidecar, "sidecache_store_up ").await, 1);
}

#[tokio::test]
async fn a_killed_redis_that_starts_empty_costs_hits_and_nothing_else() {
    let mut redis = RedisServer::start();
    let (origin, value) = register().await;
    let sidecar = sidecar(&origin, &redis).await;
    is_kept(&sidecar, "/value/a").await;
    redis.kill();
    is_answered_by_the_origin(&sidecar, &value).await;
    redis.restart();
    nothing_old_comes_back(&sidecar, &value).await;
}

#[tokio::test]
async fn a_hung_redis_makes_each_request_wait_once_and_serves_nothing_old_later() {
    let redis = RedisServer::start();
    let (origin, value) = register().await;
    let (sidecar, other) = (
        sidecar(&origin, &redis).await,
        sidecar(&origin, &redis).await,
    );
    is_kept(&sidecar, "/value/a").await;
    is_kept(&other, "/value/a").await;
    redis.stop();
    is_answered_by_the_origin(&sidecar, &value).await;
    let timeouts = "sidecache_store_errors_total{kind=\"timeout\"} ";
    assert!(metric(&sidecar, timeouts).await > 0);
    redis.cont();
    nothing_old_comes_back(&sidecar, &value).await;
    eventually("the other one reads again", async || {
        other.get("/value/a").await.outcome() == "hit"
    })
    .await;
    assert_eq!(
        other.get("/value/a").await.n(),
        value.load(SeqCst),
        "what was owed was paid"
    );
}

#[tokio::test]
async fn a_redis_that_is_absent_at_the_start_is_found_when_it_comes() {
    let mut redis = RedisServer::absent(&[]);
    let (origin, value) = register().await;
    let (sidecar, took) = timed(sidecar(&origin, &redis)).await;
    assert!(took < TIMEOUT + 4 * SLACK, "{took:?}");
    is_answered_by_the_origin(&sidecar, &value).await;
    redis.restart();
    nothing_old_comes_back(&sidecar, &value).await;
}

#[tokio::test]
async fn parallel_cold_readers_ask_the_origin_one_after_another_while_the_store_is_down() {
    let mut redis = RedisServer::start();
    let (origin, gate) = gated_register().await;
    let sidecar = Arc::new(sidecar(&origin, &redis).await);
    redis.kill();
    eventually("it is noticed", async || {
        metric(&sidecar, "sidecache_store_up ").await == 0
    })
    .await;
    connected(&sidecar, 0).await;
    let readers: Vec<_> = (0..50)
        .map(|_| {
            let sidecar = sidecar.clone();
            tokio::spawn(async move { sidecar.get("/value/a").await })
        })
        .collect();
    connected(&sidecar, 50).await;
    gate.close();
    let mut outcomes = Vec::new();
    for reader in readers {
        let got = reader.await.expect("answered");
        assert_eq!(got.status, 200);
        outcomes.push(got.outcome().to_owned());
    }
    // Who comes while the first is asked shares the next: without versions nobody can know that no
    // write was acknowledged meanwhile.
    let count = |word: &str| outcomes.iter().filter(|outcome| *outcome == word).count();
    assert!((1..=2).contains(&origin.count()), "{outcomes:?}");
    assert_eq!(count("miss"), origin.count());
    assert_eq!(count("miss") + count("collapsed"), 50);
}

#[tokio::test]
async fn a_read_after_a_write_never_joins_a_fill_from_before_it_while_the_store_is_down() {
    let redis = RedisServer::absent(&[]);
    let (origin, value) = register().await;
    let sidecar = Arc::new(sidecar(&origin, &redis).await);
    let readers = 20;
    for _ in 0..readers {
        let early = {
            let sidecar = sidecar.clone();
            tokio::spawn(async move { sidecar.get("/value/a").await })
        };
        raise(&sidecar, "a").await;
        let before = value.load(SeqCst);
        assert!(sidecar.get("/value/a").await.n() >= before);
        early.await.expect("answered");
    }
}

/// A reader beside one writer: it notes each answer that is older than a write that was answered
/// before the reader asked.
async fn watch(
    sidecar: Arc<Sidecar>,
    acknowledged: Arc<AtomicI64>,
    done: Arc<AtomicBool>,
) -> (usize, Vec<(i64, i64)>) {
    let (mut reads, mut stale) = (0, Vec::new());
    while !done.load(SeqCst) {
        let at_least = acknowledged.load(SeqCst);
        let got = sidecar.get("/value/a").await;
        assert_eq!(got.status, 200);
        reads += 1;
        if got.n() < at_least {
            stale.push((at_least, got.n()));
        }
    }
    (reads, stale)
}

/// Writes through the first sidecar and reads through all while `trouble` goes on.
async fn under_traffic(sidecars: &[Arc<Sidecar>], trouble: impl AsyncFnOnce()) {
    let (acknowledged, done) = (
        Arc::new(AtomicI64::new(0)),
        Arc::new(AtomicBool::new(false)),
    );
    let readers: Vec<_> = sidecars
        .iter()
        .map(|sidecar| tokio::spawn(watch(sidecar.clone(), acknowledged.clone(), done.clone())))
        .collect();
    let writer = {
        let (sidecar, acknowledged, done) =
            (sidecars[0].clone(), acknowledged.clone(), done.clone());
        tokio::spawn(async move {
            while !done.load(SeqCst) {
                let got = raise(&sidecar, "a").await;
                assert_eq!(got.status, 200);
                acknowledged.fetch_max(got.n(), SeqCst);
                tokio::time::sleep(Duration::from_millis(2)).await; // room for hits between writes
            }
        })
    };
    trouble().await;
    done.store(true, SeqCst);
    writer.await.expect("every write is answered");
    for reader in readers {
        let (reads, stale) = reader.await.expect("every read is answered");
        assert!(reads > 0);
        assert_eq!(stale, [], "of {reads} reads");
    }
}

async fn pair(origin: &Origin, redis: &RedisServer) -> [Arc<Sidecar>; 2] {
    [
        Arc::new(sidecar(origin, redis).await),
        Arc::new(sidecar(origin, redis).await),
    ]
}

async fn requests(sidecar: &Sidecar) -> i64 {
    let text = sidecar.door("GET", "/metrics", "").await.text();
    let counts = text
        .lines()
        .filter(|line| line.starts_with("sidecache_requests_total"));
    counts
        .map(|line| {
            line.rsplit(' ')
                .next()
                .expect("a value")
                .parse::<i64>()
                .expect("a number")
        })
        .sum()
}

/// Waits until so many more requests were answered.
async fn served(sidecar: &Sidecar, more: i64) {
    let enough = requests(sidecar).await + more;
    eventually("traffic goes on", async || {
        requests(sidecar).await >= enough
    })
    .await;
}

#[tokio::test]
async fn flushing_redis_under_traffic_never_shows_an_old_answer() {
    let redis = RedisServer::start();
    let (origin, _) = register().await;
    let sidecars = pair(&origin, &redis).await;
    under_traffic(&sidecars, async || {
        for _ in 0..10 {
            served(&sidecars[1], 20).await;
            redis.say("FLUSHALL");
        }
    })
    .await;
    for sidecar in &sidecars {
        is_kept(sidecar, "/value/a").await;
    }
}

#[tokio::test]
async fn a_redis_that_comes_and_goes_never_shows_an_old_answer_to_who_wrote() {
    let mut redis = RedisServer::start();
    let (origin, _) = register().await;
    let sidecars = [Arc::new(sidecar(&origin, &redis).await)];
    under_traffic(&sidecars, async || {
        for _ in 0..2 {
            served(&sidecars[0], 20).await;
            redis.kill();
            served(&sidecars[0], 20).await;
            redis.restart();
            eventually("it is used again", async || {
                metric(&sidecars[0], "sidecache_store_up ").await == 1
            })
            .await;
            served(&sidecars[0], 20).await;
            redis.stop();
            served(&sidecars[0], 10).await;
            redis.cont();
            eventually("it is used again", async || {
                metric(&sidecars[0], "sidecache_store_up ").await == 1
            })
            .await;
        }
    })
    .await;
    // A write whose lease nobody answered for is owed when it ends, though Redis be back by then.
    eventually("all is paid", async || owed(&sidecars[0]).await == 0).await;
}

#[tokio::test]
async fn a_write_through_one_sidecar_is_seen_through_the_other_at_once() {
    let redis = RedisServer::start();
    let (origin, value) = register().await;
    let [one, other] = pair(&origin, &redis).await;
    for _ in 0..20 {
        is_kept(&one, "/value/a").await;
        assert_eq!(
            other.get("/value/a").await.outcome(),
            "hit",
            "they share what is kept"
        );
        raise(&one, "a").await;
        let got = other.get("/value/a").await;
        assert_eq!((got.outcome(), got.n()), ("miss", value.load(SeqCst)));
    }
}

/// Our commands that Redis carried out, with their counts, those within a script too.
fn commands(redis: &RedisServer) -> Vec<(String, u64)> {
    let ours = [
        "mget",
        "get",
        "set",
        "pexpire",
        "unlink",
        "evalsha",
        "eval",
        "script|load",
    ];
    let calls = ours
        .iter()
        .map(|command| ((*command).to_owned(), redis.calls(command)));
    calls.filter(|(_, calls)| *calls > 0).collect()
}

async fn costs(
    redis: &RedisServer,
    work: impl Future<Output = Got>,
) -> (String, Vec<(String, u64)>) {
    redis.say("CONFIG RESETSTAT");
    let got = work.await;
    (got.outcome().to_owned(), commands(redis))
}

fn cost(outcome: &str, commands: &[(&str, u64)]) -> (String, Vec<(String, u64)>) {
    let commands = commands
        .iter()
        .map(|(name, calls)| ((*name).to_owned(), *calls));
    (outcome.to_owned(), commands.collect())
}

#[tokio::test]
async fn a_hit_costs_one_command_a_miss_five_and_a_write_two() {
    let redis = RedisServer::start();
    let (origin, _) = register().await;
    let [one, other] = pair(&origin, &redis).await;
    one.get("/value/b").await; // the script is known and nothing varies from here on
    other.get("/value/b").await;
    raise(&one, "b").await;
    // One MGET, one script (which reads all three nodes, and the one of all groups, by an MGET of its own, and creates what is
    // absent), a SET that claims the fetch, one that keeps the answer, a PEXPIRE that ends the claim.
    let missed = cost(
        "miss",
        &[("mget", 2), ("set", 3), ("pexpire", 1), ("evalsha", 1)],
    );
    assert_eq!(costs(&redis, one.get("/value/a")).await, missed);
    assert_eq!(
        costs(&redis, one.get("/value/a")).await,
        cost("hit", &[("mget", 1)])
    );
    let first = costs(&redis, other.get("/value/a")).await;
    assert_eq!(
        first,
        cost("hit", &[("mget", 1)]),
        "also where its body is not in memory yet"
    );
    assert_eq!(
        costs(&redis, raise(&one, "a")).await,
        // Both scripts read whose entries live under the root, the second unlinks.
        cost("write", &[("get", 2), ("unlink", 1), ("evalsha", 2)]),
    );
    assert_eq!(costs(&redis, one.get("/value/a")).await, missed);
    let pass = costs(&redis, one.get("/pass")).await.1;
    assert_eq!(pass, [], "what no rule matches costs nothing");
}

//! What is asked for after a write: found by the next reader, never in the way of a write, never from before one.

mod hostile; // what clients and origins say of what is to be asked for
mod races; // writes and fetches across each other
mod spared; // when nothing is asked for

use crate::redis::{RedisServer, eventually};
use crate::world::{Asked, Origin, Reply, Sidecar};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU16, AtomicUsize, Ordering::SeqCst};
use tokio::sync::Semaphore;

/// Things, a list of them, one that is not said to be everybody's, and writes that warm.
const RULES: &str = r#"
[[cache]]
name = "thing"
match = "GET /api/thing/{id}"
key = "things:details:{id}"
query = []
ttl = "5m"
stale_while_revalidate = "5m"
public = true

[[cache]]
name = "list"
match = "GET /api/thing"
key = "things:list:{query}"
query = ["limit"]
ttl = "5m"
public = true

[[cache]]
name = "new"
match = "GET /api/thing/new"
key = "things:new"
query = []
ttl = "5m"

[[invalidate]]
name = "changed"
on = "PATCH /api/change/{id}"
drop = ["things:details:{id}", "things:list:*"]
warm = ["/api/thing/{id}", "/api/thing", "/api/thing?limit=10"]

[[invalidate]]
name = "counted"
on = "PATCH /api/count/{id}"
drop = ["things:details:{id}"]
soft = true
warm = "GET /api/thing/{id}"

[[invalidate]]
name = "created"
on = "POST /api/create"
drop = ["things:*"]
warm = "/api/thing/{response.data.id}"
"#;

const THING: &str = "/api/thing/1";

const LISTS: [&str; 2] = ["/api/thing", "/api/thing?limit=10"];

/// One number: GET reads it as it comes, and is answered when it is let; any other method raises it, one with `x-slow`
/// when it is let.
struct Desk {
    origin: Origin,
    reads: Arc<Semaphore>,
    slow: Arc<Semaphore>,
    /// What reads are answered with.
    status: Arc<AtomicU16>,
    /// Reads at a time, at most so far.
    most: Arc<AtomicUsize>,
}

impl Desk {
    async fn start() -> Desk {
        let [reads, slow] = [(); 2].map(|()| Arc::new(Semaphore::new(0)));
        let status = Arc::new(AtomicU16::new(200));
        let [now, most] = [(); 2].map(|()| Arc::new(AtomicUsize::new(0)));
        let value = Arc::new(AtomicI64::new(0));
        let (read, written) = (
            (reads.clone(), status.clone(), now, most.clone()),
            slow.clone(),
        );
        let origin = Origin::start(move |asked: Asked| {
            let ((reads, status, now, most), slow) = (read.clone(), written.clone());
            let value = value.clone();
            async move {
                if asked.method == "GET" {
                    let n = value.load(SeqCst);
                    most.fetch_max(now.fetch_add(1, SeqCst) + 1, SeqCst);
                    let _ = reads.acquire().await; // ends when it is closed
                    now.fetch_sub(1, SeqCst);
                    let text = format!("{{\"n\": {n}}}");
                    return Reply::of(status.load(SeqCst), "application/json", text);
                }
                if asked.header("x-slow").is_some() {
                    let _ = slow.acquire().await;
                }
                let n = value.fetch_add(1, SeqCst) + 1;
                let data: serde_json::Value =
                    serde_json::from_slice(&asked.body).unwrap_or_default();
                Reply::json(serde_json::json!({ "n": n, "data": data }).to_string())
            }
        })
        .await;
        Desk {
            origin,
            reads,
            slow,
            status,
            most,
        }
    }

    /// Answers reads at once.
    async fn open() -> Desk {
        let desk = Desk::start().await;
        desk.reads.close();
        desk
    }

    /// Targets that were read so far.
    fn read(&self) -> Vec<String> {
        let asked = self.origin.asked().into_iter();
        let read = asked.filter(|asked| asked.method == "GET");
        read.map(|asked| asked.target).collect()
    }

    async fn was_read(&self, times: usize) {
        eventually("the origin is read", async || self.read().len() >= times).await;
    }
}

/// How much of what a set has asked for came to this.
async fn warms(sidecar: &Sidecar, set: &str, result: &str) -> u64 {
    let metrics = sidecar.door("GET", "/metrics", "").await.text();
    let name = format!("sidecache_warms_total{{set=\"{set}\",result=\"{result}\"}} ");
    let mut lines = metrics.lines();
    let line = lines.find_map(|line| line.strip_prefix(&name));
    line.map_or(0, |count| count.parse().expect("a number"))
}

async fn warmed(sidecar: &Sidecar, set: &str, result: &str, times: u64) {
    eventually(&format!("{times} times {result} after {set}"), async || {
        warms(sidecar, set, result).await >= times
    })
    .await;
    assert_eq!(warms(sidecar, set, result).await, times);
}

/// Returns what the number is from then on.
async fn change(sidecar: &Sidecar) -> i64 {
    let got = sidecar.ask("PATCH", "/api/change/1", &[], "").await;
    assert_eq!(got.status, 200, "{}", got.text());
    got.n()
}

#[tokio::test]
async fn what_a_write_through_one_sidecar_warms_is_a_hit_through_the_other() {
    let (desk, redis) = (Desk::open().await, RedisServer::start());
    let one = Sidecar::start(&desk.origin, &redis.url(), RULES).await;
    let two = Sidecar::start(&desk.origin, &redis.url(), RULES).await;
    for target in LISTS.iter().chain([&THING]) {
        assert_eq!(two.get(target).await.outcome(), "miss");
        assert_eq!(two.get(target).await.outcome(), "hit");
    }
    let before = desk.origin.count();
    let n = change(&one).await;
    warmed(&one, "changed", "kept", 3).await;
    for sidecar in [&two, &one] {
        for target in LISTS.iter().chain([&THING]) {
            let got = sidecar.get(target).await;
            assert_eq!((got.n(), got.outcome()), (n, "hit"), "{target}");
        }
    }
    assert_eq!(desk.origin.count() - before, 4, "the write, and each once");
    let outcomes = one.door("GET", "/metrics", "").await.text();
    let misses = "sidecache_requests_total{rule=\"list\",outcome=\"miss\"}";
    assert!(!outcomes.contains(misses), "nobody has requested it");
}

#[tokio::test]
async fn a_write_is_answered_whether_or_not_what_it_warms_comes() {
    let (desk, redis) = (Desk::start().await, RedisServer::start());
    let one = Sidecar::start(&desk.origin, &redis.url(), RULES).await;
    change(&one).await;
    desk.was_read(3).await; // and answered nothing so far
    let n = change(&one).await;
    desk.reads.close();
    warmed(&one, "changed", "coalesced", 3).await;
    eventually("a hit", async || one.get(THING).await.outcome() == "hit").await;
    assert_eq!(one.get(THING).await.n(), n);
}

#[tokio::test]
async fn what_is_dropped_softly_is_fetched_without_a_reader() {
    let (desk, redis) = (Desk::open().await, RedisServer::start());
    let one = Sidecar::start(&desk.origin, &redis.url(), RULES).await;
    let two = Sidecar::start(&desk.origin, &redis.url(), RULES).await;
    assert_eq!(two.get(THING).await.n(), 0);
    let got = one.ask("PATCH", "/api/count/1", &[], "").await;
    warmed(&one, "counted", "kept", 1).await;
    let read = two.get(THING).await;
    assert_eq!((read.n(), read.outcome()), (got.n(), "hit"));
}

#[tokio::test]
async fn what_the_answer_names_is_asked_for_as_the_writer_would_read() {
    let (desk, redis) = (Desk::open().await, RedisServer::start());
    let sidecar = Sidecar::start(&desk.origin, &redis.url(), RULES).await;
    let headers = [
        ("content-type", "application/json"),
        ("authorization", "Bearer secret"),
        ("cookie", "session=1"),
        ("x-who", "ann"),
        ("accept-language", "de"),
    ];
    let written = sidecar
        .ask("POST", "/api/create", &headers, r#"{"id": 7}"#)
        .await;
    warmed(&sidecar, "created", "kept", 1).await;
    assert_eq!(desk.read(), ["/api/thing/7"]);
    let asked = desk.origin.last();
    for name in [
        "authorization",
        "cookie",
        "x-who",
        "accept-language",
        "content-type",
    ] {
        assert_eq!(asked.header(name), None, "nothing of it is keyed: {name}");
    }
    assert_eq!(asked.header("host"), Some("api.test"));
    let got = sidecar.get("/api/thing/7").await;
    assert_eq!((got.n(), got.outcome()), (written.n(), "hit"));
}

#[tokio::test]
async fn answers_that_vary_are_kept_for_those_who_ask_as_the_writer_did() {
    let (value, redis) = (Arc::new(AtomicI64::new(0)), RedisServer::start());
    let origin = Origin::start(move |asked: Asked| {
        let changes = i64::from(asked.method != "GET");
        let n = value.fetch_add(changes, SeqCst) + changes;
        async move { Reply::json(format!("{{\"n\": {n}}}")).header("vary", "Origin") }
    })
    .await;
    let sidecar = Sidecar::start(&origin, &redis.url(), RULES).await;
    let site = ("origin", "https://clinic.test");
    for target in [THING, LISTS[0]] {
        sidecar.get_with(target, &[site]).await;
    }
    // A page of another site's sends it with each request, one of the same site's with writes alone.
    for (times, from, reads) in [(3, "cross-site", &[site][..]), (6, "same-origin", &[])] {
        let headers = [site, ("sec-fetch-site", from)];
        let written = sidecar.ask("PATCH", "/api/change/1", &headers, "").await;
        warmed(&sidecar, "changed", "kept", times).await;
        let got = sidecar.get_with(THING, reads).await;
        assert_eq!((got.n(), got.outcome()), (written.n(), "hit"), "{from}");
    }
}

#[tokio::test]
async fn what_a_write_would_warm_is_explained_and_shown() {
    let desk = Desk::open().await;
    let sidecar = Sidecar::start(&desk.origin, "memory:", RULES).await;
    let explained = async |method: &str, url: &str| {
        let question = serde_json::json!({ "method": method, "url": url }).to_string();
        let told = sidecar.door("POST", "/api/explain", &question).await.text();
        let told: serde_json::Value = serde_json::from_str(&told).expect("JSON");
        told["warms"].clone()
    };
    let changed = explained("PATCH", "/api/change/a%20b").await;
    assert_eq!(changed[0]["path"], "/api/thing/{id}");
    assert_eq!(changed[0]["asks"], "/api/thing/a%20b");
    assert_eq!(
        (&changed[0]["set"], &changed[0]["rule"]),
        (&"changed".into(), &"thing".into())
    );
    assert_eq!(changed[2]["asks"], "/api/thing?limit=10");
    assert_eq!(
        explained("PATCH", "/api/change/new").await[0]["rule"],
        serde_json::Value::Null
    );
    let created = explained("POST", "/api/create").await;
    assert_eq!(
        created[0]["asks"],
        serde_json::Value::Null,
        "known with the answer"
    );
    assert_eq!(
        explained("GET", "/api/thing").await,
        serde_json::Value::Null
    );
    assert_eq!(desk.origin.count(), 0, "nobody is asked");
    let rules = sidecar.door("GET", "/api/rules", "").await.text();
    assert!(
        rules.contains("\"warm\":[\"/api/thing/{id}\",\"/api/thing\",\"/api/thing?limit=10\"]"),
        "{rules}"
    );
}

#[test]
fn what_a_write_would_warm_is_told_to_a_person() {
    use crate::process::{command, output, stdout, written};
    let directory = tempfile::tempdir().expect("a directory");
    let address = "127.0.0.1:1".parse().expect("an address");
    let rules = written(
        directory.path(),
        &(crate::world::head(address, "memory:") + RULES),
    );
    let told = |method: &str, url: &str| {
        let mut explain = command();
        let rules = [std::ffi::OsStr::new("--rules"), rules.as_os_str()];
        stdout(&output(explain.args(["explain", method, url]).args(rules)))
    };
    let changed = told("PATCH", "/api/change/1");
    let is_told = |told: &str, text: &str| {
        assert!(
            told.lines().any(|line| line.contains(text)),
            "{text}: {told}"
        );
    };
    is_told(&changed, "warms       /api/thing/1  by changed (");
    is_told(&changed, "): an answer of thing");
    is_told(
        &told("PATCH", "/api/change/new"),
        "nothing: /api/thing/new, by changed (",
    );
    is_told(
        &told("POST", "/api/create"),
        "/api/thing/{response.data.id}  by created (",
    );
    is_told(&told("POST", "/api/create"), "): known with the answer");
}

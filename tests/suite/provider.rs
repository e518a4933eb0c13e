//! Redis as a provider rents it out: with an allowance, limits, commands that it lacks, and connections
//! that it closes.

mod fake; // a relay with terms
mod limits; // what it refuses is a state of its own, and no write is lost in it
mod line; // what happens to connections
mod told; // who is told of it, and how often

use crate::redis::{RedisServer, eventually};
use crate::world::{Asked, Origin, Reply, Sidecar};
use fake::{Mishap, Provider};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::SeqCst};

/// Bytes of the body of `GET /large/ID`.
const LARGE: usize = 60_000;

/// `GET /value/ID` is a number, `GET /large/ID` one with 60,000 bytes that no coding makes small.
const RULES: &str = r#"
[[cache]]
name = "value"
match = "GET /value/{id}"
key = "values:{id}"
query = []
ttl = "5m"
public = true

[[cache]]
name = "large"
match = "GET /large/{id}"
key = "large:{id}"
query = []
ttl = "5m"
public = true

[[invalidate]]
name = "raised"
on = "POST /raise/{id}"
drop = ["values:{id}", "large:{id}"]
"#;

/// An origin, a Redis with its provider before it, and sidecars of one fleet.
struct World {
    origin: Origin,
    redis: RedisServer,
    provider: Provider,
    sidecars: Vec<Sidecar>,
}

/// One number: `POST` raises it. Where much is asked for, what follows it no coding makes small.
async fn register() -> Origin {
    let value = Arc::new(AtomicI64::new(0));
    Origin::start(move |asked: Asked| {
        let value = value.clone();
        async move {
            let raised = i64::from(asked.method == "POST");
            let n = value.fetch_add(raised, SeqCst) + raised;
            let mut body = format!("{{\"n\": {n}, \"noise\": \"");
            if asked.target.starts_with("/large/") {
                let mut state = 88_172_645_463_325_252_u64;
                while body.len() < LARGE - 2 {
                    state ^= state << 13;
                    state ^= state >> 7;
                    state ^= state << 17;
                    body.push(char::from(b'a' + (state % 26) as u8));
                }
            }
            Reply::json(body + "\"}")
        }
    })
    .await
}

impl World {
    async fn of(sidecars: usize) -> World {
        World::with(sidecars, "").await
    }

    /// The same with more in `[store]`.
    async fn with(count: usize, store: &str) -> World {
        let redis = RedisServer::start_with(&["--maxmemory-policy", "noeviction"]);
        let provider = Provider::before(redis.port()).await;
        let origin = register().await;
        let mut sidecars = Vec::new();
        for _ in 0..count {
            let head = crate::world::head(origin.address, &provider.url());
            let head = head.replace("[store]", &format!("[store]\ntimeout = \"1s\"\n{store}"));
            sidecars.push(Sidecar::with_file(&format!("{head}{RULES}")).await);
        }
        let world = World {
            origin,
            redis,
            provider,
            sidecars,
        };
        for sidecar in &world.sidecars {
            is(sidecar, "up").await;
        }
        world
    }

    async fn raise(&self, by: usize) -> i64 {
        let got = self.sidecars[by].ask("POST", "/raise/a", &[], "").await;
        assert_eq!(got.status, 200);
        got.n()
    }
}

/// What the sidecar says of its store.
async fn state(sidecar: &Sidecar) -> String {
    let ready = sidecar.door("GET", "/readyz", "").await;
    assert_eq!(ready.status, 200, "the store is reported, not required");
    let told: serde_json::Value = serde_json::from_slice(&ready.body).expect("JSON");
    told["store"].as_str().expect("a word").to_owned()
}

/// Waits until it says so, at each of its doors.
async fn is(sidecar: &Sidecar, word: &str) {
    eventually(&format!("the store is {word}"), async || {
        state(sidecar).await == word
    })
    .await;
    let metrics = sidecar.door("GET", "/metrics", "").await.text();
    let line = format!("sidecache_store_state{{state=\"{word}\"}} 1\n");
    assert!(metrics.contains(&line), "{line}{metrics}");
    let states = metrics.matches("sidecache_store_state{").count();
    let held = metrics
        .lines()
        .filter(|line| line.starts_with("sidecache_store_state{") && line.ends_with(" 1"));
    assert_eq!((states, held.count()), (6, 1), "one of six holds");
}

async fn owed(sidecar: &Sidecar) -> u64 {
    let ready = sidecar.door("GET", "/readyz", "").await;
    let told: serde_json::Value = serde_json::from_slice(&ready.body).expect("JSON");
    told["invalidations_owed"].as_u64().expect("a number")
}

/// Asks until it is a hit.
async fn kept(sidecar: &Sidecar, target: &str) -> i64 {
    let mut n = 0;
    eventually("it is kept", async || {
        let got = sidecar.get(target).await;
        assert_eq!(got.status, 200);
        n = got.n();
        got.outcome() == "hit"
    })
    .await;
    n
}

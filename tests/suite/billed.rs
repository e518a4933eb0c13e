//! What providers bill: each command, and each call inside of a script. A real Redis counts the same calls
//! for itself.

use crate::redis::{RedisServer, eventually};
use crate::world::{Origin, Sidecar};

const RULES: &str = r#"
[[cache]]
name = "value"
match = "GET /value"
key = "values:one"
query = []
ttl = "5m"
local_ttl = "5s"
stale_while_revalidate = "1m"
public = true

[[cache]]
name = "list"
match = "GET /list"
key = "lists:{query}"
query = ["page"]
ttl = "5m"
public = true

[[invalidate]]
name = "changed"
on = "PATCH /value"
drop = ["lists:*", "values:*"]

[[invalidate]]
name = "touched"
on = "POST /touch"
drop = ["values:*", "lists:{query.page}"]
soft = true

[[limit]]
name = "lists"
match = "GET /list"
max = 10
window = "1h"
"#;

/// Commands that nobody bills, and those that only a test sends.
const FREE: [&str; 8] = [
    "ping", "info", "hello", "auth", "client", "config", "command", "keys",
];

/// What a Redis says that it carried out, in scripts and outside.
fn carried_out(redis: &RedisServer) -> u64 {
    let stats = redis.say("INFO commandstats");
    let lines = stats
        .lines()
        .filter_map(|line| line.strip_prefix("cmdstat_"));
    let billed = lines.filter(|line| {
        let name = line.split([':', '|']).next().unwrap_or_default();
        !FREE.contains(&name)
    });
    let calls = billed.filter_map(|line| {
        let (_, calls) = line.split_once("calls=")?;
        calls.split(',').next()?.parse::<u64>().ok()
    });
    calls.sum()
}

async fn billed(sidecars: &[Sidecar]) -> u64 {
    let mut sum = 0;
    for sidecar in sidecars {
        let metrics = sidecar.door("GET", "/metrics", "").await.text();
        let sample = metrics
            .lines()
            .find_map(|line| line.strip_prefix("sidecache_store_billed_total "));
        sum += sample.map_or(0, |count| count.parse::<u64>().expect("a count"));
    }
    sum
}

#[tokio::test]
async fn what_is_counted_as_billed_is_what_redis_carried_out() {
    let redis = RedisServer::start();
    let origin = Origin::register().await;
    let sidecars = [
        Sidecar::start(&origin, &redis.url(), RULES).await,
        Sidecar::start(&origin, &redis.url(), RULES).await,
    ];
    let mut before = 0;
    let agree = async |before: &mut u64, story: &str| {
        eventually(story, async || {
            carried_out(&redis) == billed(&sidecars).await
        })
        .await;
        let now = carried_out(&redis);
        assert!(now > *before, "{story} costs something");
        let spent = now - *before;
        *before = now;
        spent
    };
    for sidecar in &sidecars {
        sidecar.get("/value").await;
        sidecar.get("/list?page=2").await;
    }
    agree(&mut before, "misses, hits and limits").await;
    sidecars[0].ask("PATCH", "/value", &[], "").await;
    let write = agree(&mut before, "the first write, whose scripts are not known").await;
    eprintln!("the first write {write}");
    sidecars[0].ask("PATCH", "/value", &[], "").await;
    let write = agree(&mut before, "a write").await;
    eprintln!("a write of two nodes {write}");
    sidecars[1].get("/value").await;
    let miss = agree(&mut before, "a miss after a write").await;
    eprintln!("a miss after a write {miss}");
    sidecars[1].ask("POST", "/touch?page=2", &[], "").await;
    sidecars[1].get("/value").await;
    agree(&mut before, "a soft write").await;
    sidecars[0].purge(&["lists:*"]).await;
    sidecars[1].purge(&["*"]).await;
    sidecars[0].get("/list").await;
    agree(&mut before, "a purge").await;
    for sidecar in &sidecars {
        sidecar.server.step().await;
        sidecar.door("GET", "/api/stats", "").await;
    }
    agree(&mut before, "statistics").await;
}

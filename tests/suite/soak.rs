//! Hours of abuse in seconds: connections by the thousand that are dropped, reset, or never finish a
//! request, rules that are reloaded every second, a Redis and an origin that come and go, limits and
//! alerts. Meanwhile no answer is wrong, and afterwards memory, open files and tasks are what they were.
//!
//! `SIDECACHE_SOAK_SECONDS` sets how long, beside a third of that which warms up.

mod crowd; // clients that behave badly
mod patrons; // clients that check what they are told
mod weather; // reloads, and what the sidecar relies on coming and going

use crate::process::Process;
use crate::redis::{RedisServer, eventually};
use crate::world;
use crowd::Crowd;
use patrons::Patrons;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use weather::{Flapping, Weather};

/// How long, where nobody says so.
const SECONDS: u64 = 6;

/// What memory may grow by from one such time to the next, and what of its half: what an allocator holds
/// on to varies by as much.
const GROWTH: f64 = 8.0 * 1024.0 * 1024.0;

/// Connections, the admin door's among them, by which it is asked.
const AT_REST: f64 = 1.0;

/// Connections that come at once, beside those of the crowd, so that a leak of 1 KiB for each shows: a few
/// seconds' worth in a build that is not optimised.
const RUSH: usize = 20_000;

/// Threads that may be more: those that wait for a disk or a resolver end by themselves, in ten seconds.
const THREADS: usize = 2;

/// Open files that may be more: connections to the origin and to Redis at that moment.
const FILES: f64 = 8.0;

fn rules(origin: SocketAddr, store: &str, limit: u32) -> String {
    let head = world::head(origin, store).replace(
        "origin_timeout = \"5s\"",
        "origin_timeout = \"2s\"\nhead_timeout = \"1s\"\nclient_idle_timeout = \"2s\"",
    );
    format!(
        r#"{head}
[alerts]
hit_rate_below = 0.5
min_requests = 20
window = "30s"

[[limit]]
name = "all"
match = "GET /limited"
per = "{{client_ip}}"
max = {limit}
window = "1s"

[[cache]]
name = "number"
match = "GET /number/{{id}}"
key = "numbers:{{id}}"
query = []
ttl = "{limit}s"
public = true

[[cache]]
name = "large"
match = "GET /large/{{id}}"
key = "large:{{id}}"
query = []
ttl = "1s"
public = true

[[invalidate]]
name = "raised"
on = "POST /raise/{{id}}"
drop = ["numbers:{{id}}"]
"#
    )
}

/// What a process holds when nobody asks anything of it.
#[derive(Clone, Copy, Debug)]
struct Holds {
    memory: f64,
    files: f64,
    threads: usize,
}

/// Waits until nothing is under way.
async fn at_rest(process: &Process) -> Holds {
    let gauges = [
        ("connections", AT_REST),
        ("fills_in_flight", 0.0),
        ("invalidations_owed", 0.0),
    ];
    for (gauge, most) in gauges {
        let name = format!("sidecache_{gauge} ");
        eventually(&name, async || process.metric(&name).await <= most).await;
    }
    eventually("the store is used", async || {
        process.metric("sidecache_store_up ").await == 1.0
    })
    .await;
    Holds {
        memory: process.metric("process_resident_memory_bytes ").await,
        files: process.metric("process_open_fds ").await,
        threads: process.threads(),
    }
}

/// All of it for so long, then a rush of so many: how many connections were made, and how many answers were
/// checked.
async fn abused(
    process: &Process,
    weather: &mut Weather,
    time: Duration,
    rush: usize,
) -> (usize, usize) {
    let until = Instant::now() + time;
    let crowd = Crowd::gather(process.proxy());
    let patrons = Patrons::come(process.proxy());
    while Instant::now() < until {
        weather.change(process).await;
    }
    weather.clear().await;
    let connections = crowd.scatter().await;
    crowd::rush(process.proxy(), rush).await;
    (connections + rush, patrons.leave().await)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_hours_of_abuse_everything_is_as_before_and_no_answer_was_wrong() {
    let seconds = std::env::var("SIDECACHE_SOAK_SECONDS").ok();
    let seconds = seconds
        .and_then(|text| text.parse().ok())
        .unwrap_or(SECONDS);
    let redis = RedisServer::start();
    let origin = Flapping::start().await;
    let process = Process::start(&rules(origin.address(), &redis.url(), 60));
    let mut weather = Weather::over(origin, redis);
    let time = Duration::from_secs(seconds);
    let warm = abused(&process, &mut weather, time.div_f64(3.0), 0).await;
    let base = at_rest(&process).await;
    let (connections, checked) = abused(&process, &mut weather, time, RUSH).await;
    let mut after = base;
    eventually("all is as before", async || {
        after = at_rest(&process).await;
        after.files <= base.files + FILES
            && after.threads <= base.threads + THREADS
            && after.memory <= 1.5 * base.memory + GROWTH
    })
    .await;
    println!(
        "{seconds} s after {warm:?}: {connections} connections, {checked} answers; before {base:?}, after {after:?}"
    );
    assert!(
        connections > RUSH + 500 && checked > 50,
        "{connections}, {checked}"
    );
    let logged = process.logged();
    assert!(!logged.contains("panicked"), "{logged}");
    assert!(!logged.contains("could not be accepted"), "{logged}");
    assert!(logged.matches("the rules were reloaded").count() > 1);
}

//! The promise, held against real processes: sidecars that are killed, a Redis that hangs, forgets and
//! restarts, an origin that loses answers, clients that leave. Readers and writers go on all the time,
//! and afterwards no read may have returned less than a write that was due.
//!
//! `SIDECACHE_CHAOS_SECONDS` sets how long faults are injected, `SIDECACHE_CHAOS_SEED` which.

mod actors; // readers, writers, those who ask how the sidecars are
mod checker; // which reads were too old
mod checker_tests; // that it finds them
mod dice; // chance that can be had again
mod history; // what happened, by one clock
mod link; // a way to Redis that can be cut
mod origin; // registers
mod report; // what is told of a run
mod torment; // faults

use crate::process::Process;
use crate::redis::{RedisServer, eventually};
use crate::world;
use history::{History, Records};
use link::Link;
use origin::Origin;
use report::Report;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tempfile::TempDir;
use tokio::time::sleep;

const SIDECARS: usize = 3;
/// The first are written often, the last seldom: what is dropped all the time shows no lease.
const REGISTERS: usize = 24;
const READERS: u64 = 10;
const WRITERS: u64 = 6;
const POLL_EVERY: Duration = Duration::from_millis(25);

/// `[proxy] origin_timeout`.
const ORIGIN_TIMEOUT: Duration = Duration::from_secs(1);
/// `[store] write_lease`: short enough to end within a run, longer than any write of a run takes to
/// be committed.
const LEASE: Duration = Duration::from_millis(1500);
/// `[store] timeout`.
const STORE_TIMEOUT: Duration = Duration::from_millis(250);
/// Of what is kept.
const TTL: Duration = Duration::from_secs(4);
/// From a fill's reading at the origin until it is kept.
const LONGEST_FILL: Duration = Duration::from_secs(2);

/// How long faults are injected before everything is begun anew, by the next seed.
const ROUND: Duration = Duration::from_secs(12);
/// Quiet at the end of a round, so that leases end and what is owed is paid.
const QUIET: Duration = Duration::from_secs(2);

/// What a write drops, the second by its answer.
const SETS: &str = r#"drop = ["registers:{register}", "pages:{response.register}:*"]"#;
/// The same with the wrong names: bumps that reach nothing.
const WRONG_SETS: &str = r#"drop = ["registers:none", "pages:none:*"]"#;

/// Where a sidecar is to be found now.
#[derive(Clone, Copy)]
struct Doors {
    /// Counts the processes at this place.
    incarnation: u64,
    proxy: SocketAddr,
    admin: SocketAddr,
}

/// What all actors of a round share.
struct Fleet {
    history: Arc<History>,
    origin: Origin,
    doors: [Mutex<Option<Doors>>; SIDECARS],
    /// The number of the next write.
    writes: AtomicU64,
    /// No more faults, no more writes.
    quiet: AtomicBool,
    over: AtomicBool,
    /// From each sidecar to Redis.
    links: Vec<Link>,
    sets: &'static str,
    home: TempDir,
}

impl Fleet {
    fn doors(&self, of: usize) -> Doors {
        let doors = self.doors[of].lock().expect("not poisoned");
        doors.expect("it was started before the actors")
    }

    fn over(&self) -> bool {
        self.over.load(SeqCst)
    }
}

fn rules(origin: SocketAddr, store: &str, journal: &Path, sets: &str) -> String {
    let head = world::head(origin, store).replace("\"5s\"", "\"1s\"");
    let (ttl, lease, journal) = (TTL.as_secs(), LEASE.as_millis(), journal.display());
    format!(
        r#"{head}write_lease = "{lease}ms"
journal = "{journal}"

[[cache]]
name = "register"
match = "GET /one/{{register}}"
key = "registers:{{register}}"
query = []
ttl = "{ttl}s"
public = true

[[cache]]
name = "page"
match = "GET /page/{{register}}"
key = "pages:{{register}}:{{query}}"
query = ["p"]
ttl = "{ttl}s"
public = true

[[invalidate]]
name = "raised"
on = "PATCH /raise/{{register}}"
{sets}
"#
    )
}

/// One round.
struct Round {
    seed: u64,
    lasting: Duration,
    sets: &'static str,
    torment: bool,
}

impl Round {
    async fn run(&self) -> Report {
        let mut redis = RedisServer::start();
        let history = Arc::new(History::new(self.seed, SIDECARS));
        let link = || Link::open(redis.port());
        let fleet = Arc::new(Fleet {
            origin: Origin::start(REGISTERS, history.clone()).await,
            history,
            doors: Default::default(),
            writes: AtomicU64::new(0),
            quiet: AtomicBool::new(false),
            over: AtomicBool::new(false),
            links: vec![link().await, link().await, link().await],
            sets: self.sets,
            home: tempfile::tempdir().expect("a directory"),
        });
        let mut processes: Vec<Process> = (0..SIDECARS).map(|whom| fleet.start(whom)).collect();
        for (whom, process) in processes.iter().enumerate() {
            fleet.admit(whom, process);
        }
        let actors = act(&fleet);
        if self.torment {
            let ended = async {
                sleep(self.lasting).await;
                fleet.quiet.store(true, SeqCst);
            };
            let dice = |actor| fleet.history.dice(actor);
            tokio::join!(
                ended,
                torment::redis(&fleet, &mut redis, dice(1001)),
                torment::others(&fleet, &mut processes, dice(1002)),
            );
        } else {
            sleep(self.lasting).await;
            fleet.quiet.store(true, SeqCst);
        }
        settle(&fleet).await;
        fleet.over.store(true, SeqCst);
        for actor in actors {
            actor.await.expect("an actor carries on to the end");
        }
        Report::of(self.seed, self.lasting, &recorded(&fleet))
    }
}

fn act(fleet: &Arc<Fleet>) -> Vec<tokio::task::JoinHandle<()>> {
    let mut actors = Vec::new();
    for through in 0..SIDECARS {
        let fleet = fleet.clone();
        actors.push(tokio::spawn(
            async move { actors::poll(&fleet, through).await },
        ));
    }
    for number in 0..READERS {
        let fleet = fleet.clone();
        actors.push(tokio::spawn(async move {
            actors::read(&fleet, fleet.history.dice(number)).await
        }));
    }
    for number in 0..WRITERS {
        let fleet = fleet.clone();
        actors.push(tokio::spawn(async move {
            actors::write(&fleet, fleet.history.dice(100 + number)).await
        }));
    }
    actors
}

/// Reads go on while leases end and what is owed is paid.
async fn settle(fleet: &Fleet) {
    sleep(QUIET).await;
    let quiet = fleet.history.now();
    eventually(
        "every sidecar has Redis again and owes nothing",
        async || {
            let mut calm = true;
            fleet.history.note(|records| {
                calm = records.polls.iter().all(|polls| {
                    polls
                        .last()
                        .is_some_and(|poll| poll.begun >= quiet && poll.is_calm())
                });
            });
            calm
        },
    )
    .await;
}

fn recorded(fleet: &Fleet) -> Records {
    let mut records = fleet.history.take();
    let commits = fleet.origin.registers.commits();
    for write in &mut records.writes {
        write.commit = commits.get(&write.id).copied();
    }
    records
}

fn variable(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().expect("a number"))
}

fn any_seed() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.expect("later than 1970").as_millis() as u64 % 1_000_000
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_read_is_older_than_a_write_that_its_client_was_told_of() {
    let seed = variable("SIDECACHE_CHAOS_SEED").unwrap_or_else(any_seed);
    let seconds = variable("SIDECACHE_CHAOS_SECONDS").map(Duration::from_secs);
    let mut left = seconds.unwrap_or(ROUND);
    let mut whole = Report::default();
    for seed in seed.. {
        let round = Round {
            seed,
            lasting: left.min(ROUND),
            sets: SETS,
            torment: true,
        };
        eprintln!("chaos: SIDECACHE_CHAOS_SEED={seed}");
        let report = round.run().await;
        assert!(report.verdict.stale.is_empty(), "{report}");
        whole.add(report);
        left = left.saturating_sub(ROUND);
        if left.is_zero() {
            break;
        }
    }
    eprintln!("{whole}");
    assert!(whole.reads > 1000, "it was read");
    assert!(whole.hits * 4 > whole.reads, "the cache answered");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bumps_that_reach_nothing_are_found() {
    let round = Round {
        seed: 1,
        lasting: Duration::from_secs(3),
        sets: WRONG_SETS,
        torment: false,
    };
    let report = round.run().await;
    assert!(report.verdict.stale.len() > 20, "{report}");
}

//! The promise, held against real processes: sidecars that are killed, a Redis that hangs, forgets and
//! restarts, an origin that loses answers, clients that leave. Readers and writers go on all the time,
//! and afterwards no read may have returned less than a write that was due.
//!
//! `SIDECACHE_CHAOS_SECONDS` sets how long faults are injected, `SIDECACHE_CHAOS_SEED` which.

mod actors; // readers, writers, those who ask how the sidecars are
mod checker; // which reads were too old
mod checker_tests; // that it finds them
mod client; // one connection
mod cold; // what many want at once
mod dice; // chance that can be had again
mod due; // from when on a write must be seen
mod fleet; // what all actors share
mod history; // what happened, by one clock
mod link; // a way to Redis that can be cut
mod origin; // registers
mod plan; // writes before they are sent
mod report; // what is told of a run
mod rules; // two editions of a rules file
mod strikes; // faults at a chosen moment
mod torment; // faults

use crate::local_ttl::muffler::Muffler;
use crate::process::Process;
use crate::redis::{RedisServer, eventually};
pub use dice::Dice;
use fleet::Fleet;
use history::{Fault, History, Records};
use link::Link;
use origin::Origin;
use report::Report;
use rules::{Edition, Flaw};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::sleep;

const SIDECARS: usize = 3;
/// The first are written often, the last seldom: what is dropped all the time shows no lease.
const REGISTERS: usize = 24;
/// Registers behind those, which are written only to strike a sidecar.
const SELDOM: Range<usize> = REGISTERS..REGISTERS + 4;
/// From here on registers are read once and never written.
const FIRST_COLD: usize = 1000;
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
/// Of one rule. A sidecar is stopped for longer.
const LOCAL_TTL: Duration = Duration::from_millis(300);
/// From a fill's reading at the origin until it is kept: the sidecar may be stopped, then Redis.
const LONGEST_FILL: Duration = Duration::from_secs(3);
/// What the origin takes for a read while many wait for it.
const FETCH: Duration = Duration::from_millis(150);
/// How long a fetch takes whose holder was killed: nobody waits longer for another than
/// `origin_timeout`, then fetches himself, and meanwhile Redis hangs, twice.
const LONGEST_WAIT: Duration = Duration::from_millis(2500);

/// How long faults are injected before everything is begun anew, by the next seed.
const ROUND: Duration = Duration::from_secs(12);
/// A round lasts until so much was read, and answered by the cache: else it tells nothing.
const ENOUGH_READS: usize = 1000;
const ENOUGH_HITS: usize = 250;
/// Quiet at the end of a round, so that what is owed is paid; then a lease more.
const QUIET: Duration = Duration::from_secs(1);

/// One round.
struct Round {
    seed: u64,
    lasting: Duration,
    flaw: Option<Flaw>,
    /// What is done to sidecars and the origin.
    faults: &'static [Fault],
    /// Whether Redis is tormented as well.
    torments_redis: bool,
}

impl Round {
    /// One in which all is wrong that can be, but the rules.
    fn of(seed: u64, lasting: Duration) -> Round {
        Round {
            seed,
            lasting,
            flaw: None,
            faults: &torment::TO_OTHERS,
            torments_redis: true,
        }
    }

    /// One of a few seconds in which nothing is wrong but `flaw` and what is done to sidecars.
    fn flawed(flaw: Flaw, faults: &'static [Fault]) -> Round {
        Round {
            seed: 1,
            lasting: Duration::from_secs(3),
            flaw: Some(flaw),
            faults,
            torments_redis: false,
        }
    }

    async fn run(&self) -> Report {
        let mut redis = RedisServer::start();
        let muffler = Muffler::open(redis.port()).await;
        let fleet = self.fleet(&redis, &muffler).await;
        let start = |whom| fleet.start(whom, Edition::Old);
        let mut processes: Vec<Process> = (0..SIDECARS).map(start).collect();
        for (whom, process) in processes.iter().enumerate() {
            fleet.admit(whom, process, Edition::Old);
        }
        let cold = cold::read(&fleet).await;
        let actors = act(&fleet);
        if self.flaw == Some(Flaw::Memory) {
            muffler.muffle();
        }
        self.torment(&fleet, &mut redis, &mut processes).await;
        settle(&fleet).await;
        if !matches!(self.flaw, Some(Flaw::Drops | Flaw::Memory)) {
            strikes::last(&fleet, &mut processes, fleet.history.dice(1003)).await;
        }
        fleet.over.store(true, SeqCst);
        for actor in actors {
            actor.await.expect("an actor carries on to the end");
        }
        Report::of(self.seed, self.lasting, cold, &recorded(&fleet))
    }

    async fn fleet(&self, redis: &RedisServer, muffler: &Muffler) -> Arc<Fleet> {
        let history = Arc::new(History::new(self.seed, SIDECARS));
        let port = match self.flaw {
            Some(Flaw::Memory) => muffler.address.port(),
            _ => redis.port(),
        };
        let link = || Link::open(port);
        let links = vec![link().await, link().await, link().await];
        let origin = Origin::start(history.clone()).await;
        Arc::new(Fleet::new(history, origin, links, self.flaw))
    }

    async fn torment(
        &self,
        fleet: &Arc<Fleet>,
        redis: &mut RedisServer,
        processes: &mut [Process],
    ) {
        let dice = |actor| fleet.history.dice(actor);
        let ended = async {
            sleep(self.lasting).await;
            if self.flaw.is_none() {
                read_enough(fleet).await;
            }
            fleet.quiet.store(true, SeqCst);
        };
        let tormented = async {
            if self.torments_redis {
                torment::redis(fleet, redis, dice(1001)).await;
            }
        };
        let others = async {
            if !self.faults.is_empty() {
                torment::others(fleet, processes, self.faults, dice(1002)).await;
            }
        };
        tokio::join!(ended, tormented, others);
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

/// A busy machine takes longer.
async fn read_enough(fleet: &Fleet) {
    eventually("it was read, and the cache answered", async || {
        let (mut reads, mut hits) = (0, 0);
        fleet.history.note(|records| {
            reads = records.reads.len();
            hits = records.reads.iter().filter(|read| read.hit).count();
        });
        reads > ENOUGH_READS && hits > ENOUGH_HITS
    })
    .await;
}

/// Reads go on while what is owed is paid.
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
        eprintln!("chaos: SIDECACHE_CHAOS_SEED={seed}");
        let report = Round::of(seed, left.min(ROUND)).run().await;
        assert!(report.verdict.stale.is_empty(), "{report}");
        whole.add(report);
        left = left.saturating_sub(ROUND);
        if left.is_zero() {
            break;
        }
    }
    eprintln!("{whole}");
    assert!(whole.longest_orphan() <= LONGEST_WAIT, "{whole}");
    assert!(whole.cold.fetches < whole.cold.registers * 2, "{whole}");
}

/// Rounds in which a flaw may be found as often as it has to be: a machine that is given little time gets
/// few reads into one.
const FLAWED_ROUNDS: usize = 4;

async fn is_found(flaw: Flaw, faults: &'static [Fault], at_least: usize) {
    let mut whole = Report::default();
    for _ in 0..FLAWED_ROUNDS {
        whole.add(Round::flawed(flaw, faults).run().await);
        if whole.verdict.stale.len() >= at_least {
            return;
        }
    }
    panic!("found too seldom: {whole}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bumps_that_reach_nothing_are_found() {
    is_found(Flaw::Drops, &[], 20).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_that_ends_too_late_is_found() {
    is_found(Flaw::Lease, &[], 5).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_that_is_believed_too_long_is_found_where_messages_are_lost() {
    is_found(Flaw::Memory, &[], 20).await;
}

//! Seeded runs of the whole: several real sidecars over one simulated Redis before a scripted origin,
//! on paused time. Whatever takes time may go wrong, by draws that all follow from the seed; no read may
//! return less than a write that was due (see [`checker`]).
//!
//! `SIDECACHE_SIMULATION_SEEDS` sets how many seeds are run, `SIDECACHE_SIMULATION_SEED` runs one and
//! tells what happens in it.

mod actors; // those who read and write
mod checker; // what a read may return
mod day; // a day within a budget of commands
mod dice; // chance that can be had again
mod fleet; // the sidecars
mod history; // what happens
mod origin; // registers
mod recovery; // what must hold afterwards
mod redis; // Redis and the lines to it
mod report; // what came of it
mod sabotage; // what would be wrong
mod torment; // what befalls processes

use checker::Checker;
use dice::Dice;
use fleet::Fleet;
use history::{Fault, History, Likely};
use origin::Origin;
use redis::Redis;
use report::Report;
use sabotage::Sabotage;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use tokio::time::{Duration, sleep};

/// Run where no other number is asked for.
const SEEDS: u64 = 2000;

/// In so many every fault is drawn.
const SEEDS_FOR_ALL_FAULTS: u64 = 400;

const SIDECARS: usize = 3;
const REGISTERS: usize = 2;
const READERS: u64 = 4;
const WRITERS: u64 = 2;

/// How long things go wrong in a run: long enough for some thirty reads, so that thousands of seeds
/// are run in a minute.
const LASTING: Duration = Duration::from_millis(250);
/// `[proxy] origin_timeout`.
const ORIGIN_TIMEOUT: Duration = Duration::from_millis(200);
/// By what a late commit comes later than that, at most: within the lease.
const LATE: Duration = Duration::from_millis(100);
/// `[store] write_lease`.
const LEASE: Duration = Duration::from_millis(450);
/// Of what is kept for long: longer than any run.
const LONG_TTL: Duration = Duration::from_secs(3600);
/// And for short, with the time in which it may be served stale.
const SHORT_TTL: Duration = Duration::from_secs(1);
/// For which one rule may be answered from memory.
const LOCAL_TTL: Duration = Duration::from_millis(200);
/// For which one rule's answers may be served after a soft drop.
const WINDOW: Duration = Duration::from_millis(60);
/// From a fill's reading at the origin until it is kept: an answer's head, then three pieces.
const LONGEST_FILL: Duration = Duration::from_secs(1);
/// Until nothing of a write that its client gave up is under way any more.
const LONGEST_WRITE: Duration = Duration::from_secs(2);

const RULES: &str = r#"
namespace = "sim"

[proxy]
listen = "127.0.0.1:0"
origin = "http://127.0.0.1:1"
origin_timeout = "200ms"
hosts = ["api.test"]

[store]
url = "redis://127.0.0.1:1"
timeout = "60ms"
write_lease = "450ms"

[local]
max = "1MB"

[[cache]]
name = "one"
match = "GET /one/{register}"
key = "items:{register}"
query = []
ttl = "1h"
public = true
coalesce = "fleet"

[[cache]]
name = "page"
match = "GET /page/{register}"
key = "pages:{register}:{query}"
query = ["p"]
ttl = "50ms"
stale_while_revalidate = "900ms"
stale_if_error = "950ms"
public = true

[[cache]]
name = "all"
match = "GET /all"
key = "lists:all"
query = []
ttl = "1h"
public = true

[[cache]]
name = "spoken"
match = "GET /spoken/{register}"
key = "spoken:{register}"
query = []
ttl = "1h"
local_ttl = "200ms"
public = true

[[cache]]
name = "grouped"
match = "GET /grouped/{register}"
key = "grouped:{register}"
query = []
ttl = "1h"
local_ttl = "200ms"
public = true

[[cache]]
name = "counted"
match = "GET /counted/{register}"
key = "counted:{register}"
query = []
ttl = "1h"
stale_while_revalidate = "60ms"
public = true

[[invalidate]]
name = "raised"
on = ["PATCH /raise/{register}", "PATCH /force/{register}"]
drop = ["items:{register}", "spoken:{register}", "lists:*", "pages:{response.register}:*"]

[[invalidate]]
name = "softly"
on = "PATCH /raise/{register}"
drop = ["counted:{register}"]
soft = true

[[invalidate]]
name = "forced"
on = "PATCH /force/{register}"
drop = ["counted:*"]
"#;

/// The same, and after each write something is asked for that no reader waits for.
fn warming_rules() -> String {
    let warm = |rules: String, set: &str, paths: &str| {
        let name = format!("name = \"{set}\"\n");
        assert!(rules.contains(&name), "{set} is a set");
        rules.replace(&name, &format!("{name}warm = {paths}\n"))
    };
    let paths =
        r#"["/one/{register}", "/all", "/page/{response.register}?p=1", "/spoken/{register}"]"#;
    let rules = warm(RULES.to_owned(), "raised", paths);
    warm(rules, "softly", r#""/counted/{register}""#)
}

/// One run.
struct Run {
    seed: u64,
    sabotage: Option<Sabotage>,
    warms: bool,
}

/// What it came to.
struct Ran {
    report: Report,
    told: Vec<String>,
    digest: u64,
}

impl Run {
    fn of(seed: u64) -> Run {
        Run {
            seed,
            sabotage: None,
            warms: false,
        }
    }

    fn warming(seed: u64) -> Run {
        let warms = true;
        Run {
            warms,
            ..Run::of(seed)
        }
    }

    fn run(&self) -> Ran {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build();
        runtime.expect("a runtime").block_on(self.carry_out())
    }

    async fn carry_out(&self) -> Ran {
        let likely = Likely::drawn(&mut Dice::new(self.seed, 0));
        let history = Arc::new(History::new(likely));
        let checker = Arc::new(Checker::new(history.clone()));
        let redis = Redis::new(history.clone(), checker.clone(), self.sabotage);
        let dice = Dice::new(self.seed, 1);
        let origin = Origin::new(history.clone(), checker.clone(), dice);
        let mut fleet = Fleet::new(self.seed, history, checker, redis.into(), origin.into());
        if self.warms {
            fleet.rules = warming_rules();
        }
        let fleet = Arc::new(fleet);
        fleet.report.lock().expect("not poisoned").clocks_jump = likely.clocks;
        for place in 0..SIDECARS {
            fleet.start(place).await;
        }
        let actors = self.act(&fleet);
        sleep(LASTING).await;
        fleet.quiet.store(true, SeqCst);
        for actor in actors {
            actor.await.expect("an actor carries on to the end");
        }
        fleet.history.calm_down();
        recovery::recover(&fleet).await;
        fleet.redis.kill(); // it holds who listens, and they hold it
        fleet.ran()
    }

    fn act(&self, fleet: &Arc<Fleet>) -> Vec<tokio::task::JoinHandle<()>> {
        let dice = |actor| Dice::new(self.seed, actor);
        let mut actors = vec![tokio::spawn(torment::torment(fleet.clone(), dice(2)))];
        for reader in 0..READERS {
            actors.push(tokio::spawn(actors::read(fleet.clone(), dice(10 + reader))));
        }
        for writer in 0..WRITERS {
            actors.push(tokio::spawn(actors::write(
                fleet.clone(),
                dice(100 + writer),
            )));
        }
        actors
    }
}

impl Fleet {
    fn ran(&self) -> Ran {
        let mut report = std::mem::take(&mut *self.report.lock().expect("not poisoned"));
        report.seeds = 1;
        report.writes = self.checker.count() as u64;
        report.faults = self.history.faults();
        report.warmed = self.warmed();
        let (told, digest) = self.history.told();
        Ran {
            report,
            told,
            digest,
        }
    }
}

fn variable(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().expect("a number"))
}

/// Runs these seeds; what it all came to. Ends at the first that goes wrong.
fn explore(seeds: std::ops::Range<u64>, run: impl Fn(u64) -> Run) -> Report {
    let mut whole = Report::default();
    for seed in seeds {
        let ran = run(seed).run();
        assert!(
            ran.report.wrong.is_empty(),
            "SIDECACHE_SIMULATION_SEED={seed}\n{}",
            ran.report
        );
        whole.add(ran.report);
    }
    eprintln!("{whole}");
    let drawn = Fault::all().filter(|_| !drawn_few(&whole));
    for fault in drawn {
        assert!(
            whole.faults.contains_key(&fault),
            "{fault:?} never happened"
        );
    }
    assert!(whole.hits * 10 > whole.reads, "the cache answered");
    let softened = whole.softened > 0 || drawn_few(&whole);
    assert!(softened, "nothing was served after a soft drop");
    whole
}

/// Whether too little happened for all of it to have happened.
fn drawn_few(whole: &Report) -> bool {
    whole.seeds < SEEDS_FOR_ALL_FAULTS
}

/// How many seeds each of two tests runs, which may be beside each other.
fn half() -> u64 {
    variable("SIDECACHE_SIMULATION_SEEDS").unwrap_or(SEEDS) / 2
}

#[test]
fn no_read_is_older_than_what_was_due() {
    let Some(seed) = variable("SIDECACHE_SIMULATION_SEED") else {
        explore(0..half(), Run::of);
        return;
    };
    let ran = Run::of(seed).run();
    eprintln!("{}\n{}", ran.told.join("\n"), ran.report);
    assert!(ran.report.wrong.is_empty(), "seed {seed}");
}

#[test]
fn no_read_is_older_than_what_was_due_by_other_seeds() {
    if variable("SIDECACHE_SIMULATION_SEED").is_none() {
        explore(half()..2 * half(), Run::of);
    }
}

#[test]
fn no_read_is_older_than_what_was_due_where_writes_warm() {
    let seed = variable("SIDECACHE_SIMULATION_SEED");
    let seeds = seed.map_or(0..half() / 2, |seed| seed..seed + 1);
    let whole = explore(seeds, Run::warming);
    assert!(whole.warmed > 0 || drawn_few(&whole), "nothing was warmed");
}

#[test]
fn a_seed_tells_the_same_story_each_time() {
    for seed in 0..25 {
        let (first, second) = (Run::warming(seed).run(), Run::warming(seed).run());
        assert_eq!(first.told, second.told, "seed {seed}");
        assert_eq!(first.digest, second.digest, "seed {seed}");
    }
}

/// Most seeds that it may take to find a protocol that is wrong.
const SEEDS_TO_FIND: u64 = 400;

/// The first seed by which a sabotaged protocol is found to be wrong.
fn found(sabotage: Sabotage) -> Option<u64> {
    let is_wrong = |seed: &u64| {
        let run = Run {
            sabotage: Some(sabotage),
            ..Run::of(*seed)
        };
        run.run().report.is_stale()
    };
    let found = (0..SEEDS_TO_FIND).find(is_wrong);
    eprintln!("{sabotage:?} is found by seed {found:?}");
    found
}

#[test]
fn a_protocol_that_bumps_too_early_or_not_at_all_is_found() {
    assert_ne!(found(Sabotage::NoBump), None);
    assert_ne!(found(Sabotage::BumpBeforeTheOrigin), None);
}

#[test]
fn versions_that_come_back_are_found() {
    assert_ne!(found(Sabotage::VersionsComeBack), None);
}

#[test]
fn groups_whose_drops_leave_no_trace_for_fills_under_way_are_found() {
    assert_ne!(found(Sabotage::GroupsUnseen), None);
}

#[test]
fn soft_drops_of_what_is_to_be_forgotten_are_found() {
    assert_ne!(found(Sabotage::HardIsSoft), None);
}

#[test]
fn soft_drops_that_put_off_the_end_of_earlier_ones_are_found() {
    assert_ne!(found(Sabotage::OnlyTheLastMoment), None);
}

#[test]
fn servers_that_come_back_with_what_they_once_held_are_found() {
    assert_ne!(found(Sabotage::ServersAreAlike), None);
}

#[test]
fn leases_that_are_missing_or_not_counted_are_found() {
    assert_ne!(found(Sabotage::NoLease), None);
    assert_ne!(found(Sabotage::OneSettlesAll), None);
}

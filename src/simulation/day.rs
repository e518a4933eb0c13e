//! A simulated day within a budget: two real sidecars over one simulated Redis that counts what a provider would
//! bill, on paused time.
//!
//! What is assumed of the clinic ([`traffic`]): 100,000 reads and 100 writes a day and 10,000 commands for it; a tenth
//! of the mean at night and twice the mean at eleven and at four; four in ten reads for lists and details of doctors, a
//! third for one's own session, profile, appointments and dashboard by ten people who stay for twenty minutes at one
//! sidecar, the rest for specialties, reviews, suggestions and patients; which of its keys a read is for is drawn by
//! Zipf's law, and which sidecar the others go through by lot. Every tenth second is judged, every minute told (a process
//! does so each second, and each ten seconds: nothing else is scaled). Without a budget 79 % of such a day are hits, for
//! 171,000 commands.

mod traffic; // who asks for what, and when
mod world; // sidecars, a Redis and an origin without faults

use traffic::Traffic;
use world::World;

/// What a free plan once had.
const BUDGET: u64 = 10_000;

const READS: u64 = 100_000;
const WRITES: u64 = 100;

/// What came of a day.
#[derive(Debug, Default)]
struct Day {
    reads: u64,
    hits: u64,
    writes: u64,
    /// What Redis carried out, as a provider bills it.
    billed: u64,
    /// What of it both sidecars counted.
    counted: u64,
    /// Of those, what was spent for writes and accounts.
    due: u64,
    /// What the fleet's account stood at in the end.
    account: u64,
    origin: u64,
    /// The longest after a write's answer that a read was answered from before it.
    stalest_ms: u64,
    /// Reads of that kind.
    stale: u64,
    /// Writes that could not be leased, and nodes that were owed.
    unleased: u64,
    owed: usize,
    /// Seconds at each level, through the first sidecar.
    levels: [u64; 4],
}

impl Day {
    fn hit_rate(&self) -> f64 {
        self.hits as f64 / self.reads as f64
    }
}

fn lived(budget: Option<u64>, reads: u64) -> Day {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build();
    let day = runtime.expect("a runtime").block_on(async {
        let world = World::new(budget).await;
        world.live(Traffic::new(7, reads, WRITES)).await
    });
    eprintln!(
        "{budget:?} for {reads} reads: {:.3} {day:?}",
        day.hit_rate()
    );
    // What is counted is what is billed; no message is lost, so nothing is stale; no write was held back.
    assert_eq!(day.counted, day.billed);
    assert_eq!(day.stale, 0, "who is told at once forgets at once: {day:?}");
    assert_eq!((day.writes, day.unleased, day.owed), (WRITES, 0, 0));
    day
}

#[test]
fn a_clinics_day_fits_into_its_budget_and_no_write_is_held_back() {
    let day = lived(Some(BUDGET), READS);
    assert!(day.billed <= BUDGET, "{day:?}");
    assert!(day.hit_rate() > 0.7, "{day:?}");
    assert!(
        day.billed > BUDGET * 9 / 10,
        "nor is it left unspent: {day:?}"
    );
    // The account knows of all but what was not told yet.
    assert!(
        day.account <= day.billed && day.account + 200 > day.billed,
        "{day:?}"
    );
}

#[test]
fn without_a_budget_a_quarter_of_the_day_costs_twice_as_much() {
    let day = lived(None, READS / 4);
    assert!(day.billed > 2 * BUDGET, "{day:?}");
}

#[test]
fn a_day_that_no_budget_is_enough_for_stays_within_it_and_every_write_is_done() {
    let day = lived(Some(BUDGET / 2), READS / 2);
    assert!(day.billed <= BUDGET / 2, "{day:?}");
    assert!(day.levels[3] > 0, "the store is not read any more: {day:?}");
}

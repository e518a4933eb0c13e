//! Sidecars that are killed or stopped at a moment of our choosing, so that every run has it.

use super::actors::{read_near, read_once, write_once};
use super::client::Client;
use super::dice::Dice;
use super::fleet::Fleet;
use super::history::Fault;
use super::plan::Plan;
use super::torment::replace;
use super::{FETCH, LEASE, LOCAL_TTL, SELDOM, SIDECARS};
use crate::process::Process;
use crate::redis::eventually;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// How long a strike waits for its moment: a sidecar may refuse or be late.
const MOMENT: Duration = Duration::from_secs(1);

/// Readers of what a holder fetches, through each other sidecar.
const WAITING: usize = 2;

/// Kills a sidecar between the commit of writes and the deletion: their leases alone end what others
/// kept. Nobody else writes these registers, so that nothing else ends it either.
pub async fn writer(fleet: &Arc<Fleet>, processes: &mut [Process], dice: &mut Dice) {
    let whom = dice.below(SIDECARS);
    read_seldom(fleet, (whom + 1) % SIDECARS).await;
    let from = fleet.history.now();
    let mut ids = Vec::new();
    let mut writes = JoinSet::new();
    for register in SELDOM {
        let plan = Plan::plain(fleet.next_write(), register, whom, dice.ms(300, 400));
        ids.push(plan.id);
        let (fleet, mut dice) = (fleet.clone(), dice.another());
        writes.spawn(async move {
            write_once(&fleet, &mut Client::default(), &plan, &mut dice).await;
        });
    }
    let origin = &fleet.origin.registers;
    moment(async || ids.iter().all(|id| origin.has_committed(*id))).await;
    processes[whom].signal("-KILL");
    writes.join_all().await;
    let edition = fleet.edition(whom);
    replace(fleet, &mut processes[whom], whom, edition, dice.ms(0, 400)).await;
    fleet
        .history
        .injected(Fault::WriterKilled, Some(whom), from);
}

/// When all is well again: a sidecar is asked for what it has in memory the moment that a write
/// through it is told, and nothing but the lease can save the readers from what another one leaves.
pub async fn last(fleet: &Arc<Fleet>, processes: &mut [Process], mut dice: Dice) {
    for (through, register) in (0..SIDECARS).zip(SELDOM) {
        let mut client = Client::default();
        read_near(fleet, &mut client, register, through).await;
        let plan = Plan::plain(fleet.next_write(), register, through, Duration::ZERO);
        write_once(fleet, &mut client, &plan, &mut dice).await;
        read_near(fleet, &mut client, register, through).await;
    }
    writer(fleet, processes, &mut dice).await;
    sleep(LEASE).await; // the lease itself
    for through in 0..SIDECARS {
        read_seldom(fleet, through).await;
    }
}

async fn read_seldom(fleet: &Fleet, through: usize) {
    let mut client = Client::default();
    for register in SELDOM {
        read_once(fleet, &mut client, "one", register, through).await;
    }
}

/// Kills a sidecar that fetches for the fleet while others wait for it.
pub async fn holder(fleet: &Arc<Fleet>, processes: &mut [Process], dice: &mut Dice) {
    let from = fleet.history.now();
    let (whom, register) = (dice.below(SIDECARS), fleet.next_cold());
    let origin = fleet.origin.registers.clone();
    origin.slow.store(FETCH.as_millis() as u64, SeqCst);
    let mut readers = JoinSet::new();
    let read = |through: usize| {
        let fleet = fleet.clone();
        async move { read_once(&fleet, &mut Client::default(), "one", register, through).await }
    };
    readers.spawn(read(whom));
    moment(async || origin.fetches(&format!("/one/{register}")) > 0).await;
    let others = (0..SIDECARS).filter(|one| *one != whom);
    for through in others.flat_map(|one| [one; WAITING]) {
        readers.spawn(read(through));
    }
    sleep(dice.ms(20, 150)).await; // some wait by then
    processes[whom].signal("-KILL");
    let edition = fleet.edition(whom);
    replace(fleet, &mut processes[whom], whom, edition, dice.ms(0, 400)).await;
    let reads = readers.join_all().await;
    origin.slow.store(0, SeqCst);
    let lengths = reads
        .into_iter()
        .flatten()
        .map(|read| read.ended - read.begun);
    fleet
        .history
        .note(|records| records.orphaned.extend(lengths));
    fleet
        .history
        .injected(Fault::HolderKilled, Some(whom), from);
}

/// Stops a sidecar that has an answer in memory, writes through another, and reads through the stopped
/// one when the answer is too old: once it goes on, it has the message, the request and the old answer
/// all at once.
pub async fn pause(fleet: &Arc<Fleet>, processes: &mut [Process], mut dice: Dice) {
    let whom = dice.below(SIDECARS);
    let register = SELDOM.start + dice.below(SELDOM.len());
    let mut client = Client::default();
    read_near(fleet, &mut client, register, whom).await;
    let from = fleet.history.now();
    processes[whom].signal("-STOP");
    let writer = (whom + 1 + dice.below(SIDECARS - 1)) % SIDECARS;
    let plan = Plan::plain(fleet.next_write(), register, writer, Duration::ZERO);
    let mut other = Client::default();
    let write = write_once(fleet, &mut other, &plan, &mut dice);
    let _ = timeout(MOMENT, write).await; // a client who gives up, if Redis hangs
    sleep(LOCAL_TTL + dice.ms(20, 100)).await; // the age itself
    let mut readers = JoinSet::new();
    for _ in 0..SIDECARS {
        let fleet = fleet.clone();
        readers.spawn(async move {
            read_once(&fleet, &mut Client::default(), "near", register, whom).await
        });
    }
    sleep(dice.ms(1, 20)).await; // the requests lie there
    processes[whom].signal("-CONT");
    fleet
        .history
        .injected(Fault::SidecarPaused, Some(whom), from);
    readers.join_all().await;
}

/// Waits for the moment to strike, but not for long: one who is too late strikes as well.
async fn moment(came: impl AsyncFnMut() -> bool) {
    let _ = timeout(MOMENT, eventually("the moment to strike", came)).await;
}

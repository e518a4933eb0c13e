//! Those who read, who write, and who ask the sidecars how they are.

use super::client::Client;
use super::dice::Dice;
use super::fleet::Fleet;
use super::history::{Connected, Fault, Poll, Read, Write};
use super::plan::Plan;
use super::{POLL_EVERY, SELDOM, SIDECARS};
use crate::world::request;
use tokio::time::sleep;

/// A miss, a hit that asks Redis, and one that does not.
const NEAR_AT_ONCE: usize = 3;

/// Reads registers through all sidecars until the run is over.
pub async fn read(fleet: &Fleet, mut dice: Dice) {
    let mut clients: [Client; SIDECARS] = Default::default();
    while !fleet.is_over() {
        let (register, through) = (dice.below(SELDOM.end), dice.below(SIDECARS));
        let rule = ["one", "one", "one", "near", "near", "near", "page", "other"][dice.below(8)];
        // What one sidecar fetched the next may have to answer from Redis.
        for through in [through, (through + 1) % SIDECARS] {
            read_once(fleet, &mut clients[through], rule, register, through).await;
        }
        sleep(dice.ms(1, 5)).await; // so many clients, and no more
    }
}

/// One read by a rule, which is noted and returned if it was answered.
pub async fn read_once(
    fleet: &Fleet,
    client: &mut Client,
    rule: &str,
    register: usize,
    through: usize,
) -> Option<Read> {
    let doors = fleet.doors(through);
    let begun = fleet.history.now();
    let get = request("GET", &format!("/{rule}/{register}"), &[], "");
    let got = client.ask(doors.proxy, get).await;
    let read = got.filter(|got| got.status == 200).map(|got| Read {
        register,
        through,
        edition: doors.rules.until(fleet.doors(through).rules),
        is_near: rule == "near",
        begun,
        ended: fleet.history.now(),
        value: u64::try_from(got.n()).expect("registers hold no less than 0"),
        hit: got.outcome() == "hit",
    });
    fleet.history.note(|records| match read {
        Some(read) => records.reads.push(read),
        None => records.unanswered += 1,
    });
    read
}

/// Writes registers through all sidecars until the writing is over.
pub async fn write(fleet: &Fleet, mut dice: Dice) {
    let mut clients: [Client; SIDECARS] = Default::default();
    while !fleet.is_quiet() {
        let plan = Plan::drawn(&mut dice, fleet.next_write());
        // Now and then some sidecar, also that of the write, has the answer in memory and is asked for
        // it the moment the write is told.
        let chased = dice.once_in(3).then(|| dice.below(SIDECARS));
        if let Some(through) = chased {
            read_near(fleet, &mut clients[through], plan.register, through).await;
        }
        write_once(fleet, &mut clients[plan.through], &plan, &mut dice).await;
        if let Some(through) = chased {
            read_near(fleet, &mut clients[through], plan.register, through).await;
        }
        sleep(dice.ms(10, 100)).await;
    }
}

/// Reads until the answer comes from memory, if nothing comes between.
pub async fn read_near(fleet: &Fleet, client: &mut Client, register: usize, through: usize) {
    for _ in 0..NEAR_AT_ONCE {
        read_once(fleet, client, "near", register, through).await;
    }
}

/// One write, which is noted.
pub async fn write_once(fleet: &Fleet, client: &mut Client, plan: &Plan, dice: &mut Dice) {
    let doors = fleet.doors(plan.through);
    let begun = fleet.history.now();
    let got = match plan.fault {
        Some(Fault::ClientLeft) => {
            plan.leave(doors.proxy, dice).await;
            None
        }
        _ => client.ask(doors.proxy, plan.request()).await,
    };
    let answered = got.map(|got| (fleet.history.now(), got.status));
    if let Some(fault) = plan.fault {
        fleet.history.injected(fault, Some(plan.through), begun);
    }
    let write = Write {
        id: plan.id,
        register: plan.register,
        through: plan.through,
        edition: doors.rules.until(fleet.doors(plan.through).rules),
        lifts: plan.lifts,
        begun,
        answered,
        commit: None,
        fault: plan.fault,
    };
    fleet.history.note(|records| records.writes.push(write));
}

/// Asks one sidecar how it is until the run is over.
pub async fn poll(fleet: &Fleet, through: usize) {
    let mut client = Client::default();
    while !fleet.is_over() {
        let doors = fleet.doors(through);
        let begun = fleet.history.now();
        let metrics = request("GET", "/metrics", &[("host", "localhost")], "");
        let got = client.ask(doors.admin, metrics).await;
        let poll = Poll {
            begun,
            ended: fleet.history.now(),
            connected: got.and_then(|got| connected(&got.text(), doors.incarnation)),
        };
        fleet
            .history
            .note(|records| records.polls[through].push(poll));
        sleep(POLL_EVERY).await;
    }
}

/// What the metrics tell of the connection to Redis, where there is one.
fn connected(metrics: &str, incarnation: u64) -> Option<Connected> {
    let metric = |name: &str| -> u64 {
        let value = metrics.lines().find_map(|line| line.strip_prefix(name));
        value.map_or(0, |value| value.trim().parse().expect("a number"))
    };
    (metric("sidecache_store_up ") == 1).then(|| Connected {
        incarnation,
        pings: metric("sidecache_store_commands_total{command=\"ping\"} "),
        owed: metric("sidecache_invalidations_owed "),
    })
}

use super::*;
use crate::clock::{Clock, simulated};
use std::sync::atomic::AtomicBool;

const A: Version = [1; 16];
const B: Version = [2; 16];
const SPAN: Duration = Duration::from_secs(2);

/// What is known, by a clock that a test sets.
struct World {
    known: Known,
    machine: simulated::Clock,
    clock: Clock,
}

impl World {
    /// The fleet is heard.
    fn new() -> World {
        let machine = simulated::Clock::right();
        let world = World {
            known: Known::new(),
            clock: machine.clone().into(),
            machine,
        };
        world.known.hear();
        world
    }

    fn sight<'w>(&'w self, nodes: &'w [String]) -> Sight<'w> {
        self.known.sight(nodes, self.clock.reading())
    }

    /// Redis shows that every node has the version `A`.
    fn learn(&self, nodes: &[String]) {
        self.sight(nodes).note(nodes.iter().map(|_| Some(A)));
    }

    fn vouches(&self, nodes: &[String], version: Version) -> bool {
        let versions = vec![version; nodes.len()];
        self.known
            .vouches(nodes, &versions, SPAN, &self.clock.reading())
    }
}

fn nodes(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| name.to_string()).collect()
}

#[tokio::test(start_paused = true)]
async fn only_what_was_seen_of_every_node_is_vouched_for() {
    let world = World::new();
    let (all, first) = (nodes(&["a", "b"]), nodes(&["a"]));
    world.learn(&first);
    assert!(world.vouches(&first, A));
    assert!(!world.vouches(&first, B), "another version");
    assert!(!world.vouches(&all, A), "one was never seen");
    world.sight(&all).note([Some(A), None]);
    assert!(!world.vouches(&all, A), "one was absent");
    assert!(!world.vouches(&[], A));
    let now = world.clock.reading();
    assert!(!world.known.vouches(&first, &[A, A], SPAN, &now));
    assert!(!world.known.vouches(&first, &[A], Duration::ZERO, &now));
}

#[tokio::test(start_paused = true)]
async fn a_version_is_vouched_for_no_longer_than_its_rule_says_by_either_clock() {
    let world = World::new();
    let a = nodes(&["a"]);
    let sight = world.sight(&a);
    tokio::time::advance(Duration::from_millis(500)).await;
    sight.note([Some(A)]);
    tokio::time::advance(Duration::from_millis(1499)).await;
    assert!(world.vouches(&a, A));
    tokio::time::advance(Duration::from_millis(1)).await;
    assert!(!world.vouches(&a, A), "reckoned from before it was asked");
    world.learn(&a);
    world.machine.set_ahead_ms(2000);
    assert!(!world.vouches(&a, A), "the machine was suspended");
    world.machine.set_ahead_ms(-1);
    assert!(!world.vouches(&a, A), "the clock was set back");
}

#[tokio::test(start_paused = true)]
async fn a_reply_from_before_a_deletion_is_not_believed_whenever_it_comes() {
    let world = World::new();
    let a = nodes(&["a"]);
    world.learn(&a);
    let (in_flight, later) = (world.sight(&a), nodes(&["a"]));
    world.known.forget(["a"]);
    assert!(!world.vouches(&a, A), "noted before");
    in_flight.note([Some(A)]);
    assert!(!world.vouches(&a, A), "in flight");
    world.sight(&later).note([Some(B)]);
    assert!(world.vouches(&a, B), "asked after it");
}

#[tokio::test(start_paused = true)]
async fn a_deletion_costs_other_nodes_little() {
    let world = World::new();
    let many: Vec<String> = (0..1000).map(|number| format!("node:{number}")).collect();
    world.learn(&many);
    world.known.forget(["node:0"]);
    let known = many
        .iter()
        .filter(|node| world.vouches(std::slice::from_ref(*node), A));
    assert!(known.count() > 990);
}

#[tokio::test(start_paused = true)]
async fn nothing_seen_while_the_fleet_is_not_heard_is_ever_believed() {
    let world = World::new();
    let a = nodes(&["a"]);
    world.learn(&a);
    let in_flight = world.sight(&a);
    world.known.hear_no_more();
    assert!(!world.vouches(&a, A));
    let deaf = world.sight(&a);
    world.learn(&a);
    assert!(!world.vouches(&a, A));
    world.known.hear();
    in_flight.note([Some(A)]);
    assert!(!world.vouches(&a, A), "asked when it was heard before");
    deaf.note([Some(A)]);
    assert!(!world.vouches(&a, A), "asked when nothing was heard");
    world.learn(&a);
    assert!(world.vouches(&a, A));
}

#[tokio::test(start_paused = true)]
async fn everything_can_be_forgotten_whether_or_not_the_fleet_is_heard() {
    let world = World::new();
    let a = nodes(&["a"]);
    let in_flight = world.sight(&a);
    world.known.forget_all();
    in_flight.note([Some(A)]);
    assert!(!world.vouches(&a, A));
    world.learn(&a);
    assert!(world.vouches(&a, A));
    world.known.hear_no_more();
    world.known.forget_all();
    world.learn(&a);
    assert!(!world.vouches(&a, A));
}

#[tokio::test(start_paused = true)]
async fn what_is_known_is_bounded() {
    let world = World::new();
    let name = |number: usize| format!("{number:0>200}");
    for number in 0..50_000 {
        world.learn(&[name(number)]);
    }
    assert!(world.known.seen.weight() <= MAX_BYTES);
    assert!(world.known.seen.len() > 10_000);
}

/// How often a believed version is held against the deletions finished before.
const READS: usize = 20_000;

/// Threads look and delete as fast as they can. `deleted` counts deletions that Redis executed,
/// `finished` those whose caller was told; a look shows the former, and may never be believed once the
/// latter has passed it.
#[test]
fn no_order_of_looks_and_deletions_makes_an_old_version_believed() {
    let (known, clock, node) = (Known::new(), Clock::default(), nodes(&["a"]));
    known.hear();
    let (deleted, finished) = (AtomicU64::new(0), AtomicU64::new(0));
    let is_over = AtomicBool::new(false);
    let delete = || {
        let count = deleted.fetch_add(1, SeqCst) + 1;
        known.forget(["a"]);
        finished.store(count, SeqCst);
        std::thread::yield_now();
    };
    let look = || {
        let sight = known.sight(&node, clock.reading());
        let shown = u128::from(deleted.load(SeqCst)).to_le_bytes();
        sight.note([Some(shown)]);
    };
    let read = || {
        let before = finished.load(SeqCst);
        let Some(Seen { version, .. }) = known.seen.get("a") else {
            return;
        };
        if known.vouches(&node, &[version], 1800 * SPAN, &clock.reading()) {
            let shown = u128::from_le_bytes(version);
            assert!(shown >= before.into(), "{shown} is believed after {before}");
        }
    };
    let until_over = |work: &dyn Fn()| {
        while !is_over.load(SeqCst) {
            work();
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(|| until_over(&delete));
        scope.spawn(|| until_over(&look));
        scope.spawn(|| until_over(&look));
        let reads = scope.spawn(|| (0..READS).for_each(|_| read()));
        let read = reads.join();
        is_over.store(true, SeqCst);
        read.expect("nothing old is believed");
    });
    assert!(finished.load(SeqCst) > 0);
}

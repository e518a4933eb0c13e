//! The consistency protocol as a model: two writes, two readers, one key, and every order in which
//! their steps, crashes, deadlines and evictions can happen. The right protocol has no stale read in
//! any of them; each wrong one has at least one, which the search must find.
//!
//! A store's script is one step, as the store runs it atomically; so is the instant at which the
//! origin commits or reads. Between steps anything may happen. Readers read for ever. Left out is
//! what no step can see or what some other step stands for: bytes and headers (a value is how many
//! writes came before it), lost requests (they stay under way), two sidecars for two readers (they
//! never have to join a flight), and a store that cannot be reached.

mod memory;
mod protocol;
mod steps;
mod store;

use memory::{Lapse, Memory, NEVER_OLDER};
use protocol::{NEVER_STALE, Protocol, Settled};
use stateright::{Checker, HasDiscoveries, Model};
use steps::{Action, Flaw, Step};

/// The protocol as specified, with one node per key, held to the promise.
const SPECIFIED: Protocol<1> = specified();

/// The same, with `N` nodes.
const fn specified<const N: usize>() -> Protocol<N> {
    Protocol {
        flaw: None,
        settled: Settled::OnceAnswered,
        intents_may_be_lost: false,
        watches: false,
    }
}

/// Explores all states and returns their number. Breadth first, so that a counterexample is short.
fn explore_all<const N: usize>(protocol: Protocol<N>) -> usize {
    let checker = protocol.checker().spawn_bfs().join();
    let states = checker.unique_state_count();
    println!("{states} states, {N} node(s): {protocol:?}");
    checker.assert_properties();
    states
}

/// Looks for a stale read, and shows it.
fn find_stale_read(protocol: Protocol<1>) -> impl Checker<Protocol<1>> {
    let checker = protocol
        .checker()
        .finish_when(HasDiscoveries::AnyFailures)
        .spawn_bfs()
        .join();
    let states = checker.unique_state_count();
    let path = checker.assert_any_discovery(NEVER_STALE).into_actions();
    println!("stale after {states} states: {protocol:?}: {path:?}");
    checker
}

fn has_a_stale_read(flaw: Flaw) {
    find_stale_read(Protocol {
        flaw: Some(flaw),
        ..SPECIFIED
    });
}

/// The flaws of leases cannot break what was answered, since a write is answered after its bump: a
/// store that loses intents at any moment does not either. They break what leases add.
fn leaves_a_dead_write_unsettled(flaw: Flaw) -> impl Checker<Protocol<1>> {
    find_stale_read(Protocol {
        flaw: Some(flaw),
        settled: Settled::AtTheDeadlineToo,
        ..SPECIFIED
    })
}

#[test]
fn the_protocol_has_no_stale_read() {
    let states = explore_all(Protocol {
        settled: Settled::AtTheDeadlineToo,
        ..SPECIFIED
    });
    assert!(states > 100_000, "{states} states are too few to be all");
}

#[test]
fn the_protocol_has_no_stale_read_under_two_nodes() {
    let states = explore_all(Protocol::<2> {
        settled: Settled::AtTheDeadlineToo,
        ..specified()
    });
    assert!(states > 300_000, "{states} states are too few to be all");
}

#[test]
fn a_store_that_loses_intents_keeps_the_promise_but_not_what_leases_add() {
    let forgetful = Protocol {
        intents_may_be_lost: true,
        ..SPECIFIED
    };
    explore_all(forgetful);
    find_stale_read(Protocol {
        settled: Settled::AtTheDeadlineToo,
        ..forgetful
    });
}

#[test]
fn what_the_model_would_prove_nothing_without_is_possible() {
    let checker = Protocol {
        settled: Settled::AtTheDeadlineToo,
        watches: true,
        ..SPECIFIED
    }
    .checker()
    .spawn_bfs()
    .join();
    checker.assert_properties();
}

/// The order of events in which the flaw was found first.
#[test]
fn uncounted_intents_leave_a_dead_write_unsettled() {
    use Step::{Forward, Lease, Settle};
    leaves_a_dead_write_unsettled(Flaw::UncountedIntents).assert_discovery(
        NEVER_STALE,
        vec![
            Action::Next(0, Lease),
            Action::Next(0, Forward),
            Action::Commit(0),
            Action::Next(1, Lease),
            Action::Next(0, Settle), // and forgets the intent of write 1
            Action::Next(1, Forward),
            Action::Crash(1),
            Action::Look(0),
            Action::Snapshot(0), // with the full lifetime
            Action::Fetch(0),
            Action::Commit(1),
            Action::Keep(0),
            Action::Deadline(1), // the node should have died here
            Action::Look(1),
        ],
    );
}

#[test]
fn nodes_that_outlive_pending_intents_leave_a_dead_write_unsettled() {
    leaves_a_dead_write_unsettled(Flaw::NewNodesOutliveIntents);
}

#[test]
fn an_unknown_outcome_that_lifts_its_intent_leaves_the_write_unsettled() {
    leaves_a_dead_write_unsettled(Flaw::UnknownLiftsItsIntent);
}

#[test]
fn a_flight_joined_by_key_alone_has_a_stale_read() {
    has_a_stale_read(Flaw::FlightByKeyAlone);
}

#[test]
fn versions_read_when_storing_have_a_stale_read() {
    has_a_stale_read(Flaw::VersionsReadWhenStoring);
}

#[test]
fn a_bump_before_the_origin_acts_has_a_stale_read() {
    has_a_stale_read(Flaw::BumpBeforeTheOrigin);
}

#[test]
fn an_answer_before_the_bump_has_a_stale_read() {
    has_a_stale_read(Flaw::AnswerBeforeTheBump);
}

#[test]
fn memory_is_never_older_than_what_the_sidecar_was_answered_or_told() {
    let checker = Memory(None).checker().spawn_bfs().join();
    let states = checker.unique_state_count();
    println!("{states} states");
    checker.assert_properties();
    assert!(states > 10_000, "{states} states are too few to be all");
}

#[test]
fn each_lapse_of_memory_has_an_older_read() {
    use Lapse::{AnswersTooEarly, BelievesLateReplies, ForgetsTooEarly};
    for lapse in [BelievesLateReplies, ForgetsTooEarly, AnswersTooEarly] {
        let checker = Memory(Some(lapse))
            .checker()
            .finish_when(HasDiscoveries::AnyFailures)
            .spawn_bfs()
            .join();
        let path = checker.assert_any_discovery(NEVER_OLDER).into_actions();
        println!("{lapse:?}: {path:?}");
    }
}

//! Short histories with a known verdict.

use super::checker::{Terms, check};
use super::history::{At, Commit, Connected, Fault, Injected, Poll, Read, Records, Write};
use super::{LEASE, SIDECARS, TTL};
use std::time::Duration;

fn ms(ms: u64) -> At {
    Duration::from_millis(ms)
}

/// Where the write of each history goes through, and another sidecar.
const OWN: usize = 0;
const OTHER: usize = 1;

/// A write through `OWN`, begun at 1 s, committed at 1.1 s.
fn write(answered: Option<(u64, u16)>) -> Write {
    Write {
        id: 0,
        register: 0,
        through: OWN,
        begun: ms(1000),
        answered: answered.map(|(at, status)| (ms(at), status)),
        commit: Some(Commit {
            arrived: ms(1010),
            committed: ms(1100),
            value: 1,
        }),
        fault: None,
    }
}

/// A poll every 100 ms that finds all well, but for what `trouble` says.
fn history(write: Write, trouble: impl Fn(u64) -> Option<Connected>) -> Records {
    let polls = (0..100).map(|number| Poll {
        begun: ms(number * 100),
        ended: ms(number * 100 + 10),
        connected: trouble(number * 100),
    });
    Records {
        writes: vec![write],
        polls: vec![polls.collect(); SIDECARS],
        ..Records::default()
    }
}

fn well(_: u64) -> Option<Connected> {
    Some(Connected {
        incarnation: 0,
        pings: 1,
        owed: 0,
    })
}

/// Whether reading the old value is an error: through a sidecar, from a moment on.
fn is_stale(records: &mut Records, through: usize, begun: u64) -> bool {
    records.reads = vec![Read {
        register: 0,
        through,
        begun: ms(begun),
        value: 0,
        hit: true,
    }];
    !check(records).stale.is_empty()
}

#[test]
fn a_write_is_due_through_every_sidecar_when_it_is_answered() {
    let mut records = history(write(Some((1200, 200))), well);
    for through in [OWN, OTHER] {
        assert!(!is_stale(&mut records, through, 1199));
        assert!(is_stale(&mut records, through, 1200));
    }
    records.reads[0].value = 1;
    assert!(check(&records).stale.is_empty(), "it was seen");
    let mut failed = history(write(Some((1200, 500))), well);
    assert!(is_stale(&mut failed, OTHER, 1200), "500 is an answer");
}

#[test]
fn what_is_owed_is_due_at_once_here_and_elsewhere_when_it_is_paid() {
    let trouble = |at| match at {
        0..1150 => well(at),
        1150..2000 => None,
        _ => Some(Connected {
            pings: 2,
            owed: u64::from(at < 2500),
            ..well(at)?
        }),
    };
    let mut records = history(write(Some((1200, 200))), trouble);
    assert!(is_stale(&mut records, OWN, 1200));
    assert!(!is_stale(&mut records, OTHER, 2500));
    let verdict = check(&records);
    let [((terms, _), older)] = verdict.older.iter().collect::<Vec<_>>()[..] else {
        panic!("{verdict:?}")
    };
    assert_eq!((*terms, older.longest), (Terms::Payment, ms(1300)));
    assert!(is_stale(&mut records, OTHER, 2510));
}

#[test]
fn a_connection_that_was_made_anew_between_two_polls_may_have_left_a_debt() {
    let trouble = |at| {
        Some(Connected {
            pings: 1 + u64::from(at > 1150),
            ..well(at)?
        })
    };
    let mut records = history(write(Some((1200, 200))), trouble);
    assert!(!is_stale(&mut records, OTHER, 1205));
    assert!(
        is_stale(&mut records, OTHER, 1210),
        "the next poll saw it paid"
    );
}

#[test]
fn a_write_that_nobody_was_told_of_is_due_at_the_deadline_of_its_lease() {
    let deadline = 1010 + LEASE.as_millis() as u64;
    for answered in [None, Some((1050, 504)), Some((1200, 504))] {
        let mut records = history(write(answered), well);
        assert!(!is_stale(&mut records, OWN, deadline));
        assert!(is_stale(&mut records, OWN, deadline + 20));
        assert!(is_stale(&mut records, OTHER, deadline + 20));
    }
}

#[test]
fn a_write_whose_lease_was_lost_is_due_when_what_was_kept_has_expired() {
    let deadline = 1010 + LEASE.as_millis() as u64 + 20;
    for fault in [Fault::RedisFlushed, Fault::RedisRestarted, Fault::RedisHung] {
        let mut records = history(write(None), well);
        records.injected.push(Injected {
            fault,
            whom: None,
            from: ms(1005),
            to: ms(1006),
        });
        assert!(!is_stale(&mut records, OWN, deadline), "{fault:?}");
        let expired = 1100 + 3000 + TTL.as_millis() as u64;
        assert!(is_stale(&mut records, OWN, expired), "{fault:?}");
    }
    let mut records = history(write(None), well);
    records.injected.push(Injected {
        fault: Fault::NodesEvicted,
        whom: None,
        from: ms(1005),
        to: ms(1006),
    });
    assert!(is_stale(&mut records, OWN, deadline), "intents stayed");
}

#[test]
fn a_death_excuses_no_write_that_was_answered_before_it() {
    let trouble = |at| (at < 1150).then(|| well(at)).flatten();
    let mut records = history(write(Some((1200, 200))), trouble);
    assert!(
        !is_stale(&mut records, OTHER, 1210),
        "not known why it went"
    );
    records.injected.push(Injected {
        fault: Fault::SidecarKilled,
        whom: Some(OWN),
        from: ms(1205),
        to: ms(1900),
    });
    assert!(is_stale(&mut records, OTHER, 1210));
}

//! Short histories with a known verdict.

use super::checker::check;
use super::due::Terms;
use super::history::{At, Commit, Connected, Fault, Injected, Poll, Read, Records, Write};
use super::rules::Edition;
use super::{LEASE, LOCAL_TTL, LONGEST_FILL, SIDECARS, TTL};
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
        edition: Some(Edition::Old),
        lifts: false,
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
    is_stale_read(records, old_read(through, begun))
}

fn is_stale_read(records: &mut Records, read: Read) -> bool {
    records.reads = vec![read];
    !check(records).stale.is_empty()
}

/// A read of the old value.
fn old_read(through: usize, begun: u64) -> Read {
    Read {
        register: 0,
        through,
        edition: Some(Edition::Old),
        is_near: false,
        begun: ms(begun),
        ended: ms(begun + 1),
        value: 0,
        hit: true,
    }
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
    assert_eq!((*terms, older.longest()), (Terms::Payment, ms(1300)));
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
        let expired = 1100 + 20 + (LONGEST_FILL + TTL).as_millis() as u64;
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
fn an_answer_from_memory_may_miss_a_write_of_another_sidecar_for_local_ttl_and_none_of_its_own() {
    let mut records = history(write(Some((1200, 200))), well);
    let bound = 1200 + LOCAL_TTL.as_millis() as u64;
    let near = |through, begun| Read {
        is_near: true,
        ..old_read(through, begun)
    };
    assert!(is_stale_read(&mut records, near(OWN, 1200)));
    assert!(!is_stale_read(&mut records, near(OTHER, bound - 1)));
    assert!(is_stale_read(&mut records, near(OTHER, bound)));
    let deadline = 1010 + LEASE.as_millis() as u64 + 20;
    let mut untold = history(write(None), well);
    for through in [OWN, OTHER] {
        let bound = deadline + LOCAL_TTL.as_millis() as u64;
        assert!(!is_stale_read(&mut untold, near(through, bound - 1)));
        assert!(
            is_stale_read(&mut untold, near(through, bound)),
            "Redis tells nobody"
        );
    }
}

#[test]
fn the_age_of_an_answer_from_memory_is_told_beside_what_made_the_sidecar_deaf() {
    for fault in [
        None,
        Some((Fault::SubscribersDropped, None)),
        Some((Fault::SidecarPaused, Some(OTHER))),
    ] {
        let mut records = history(write(Some((1200, 200))), well);
        records.injected.extend(fault.map(|(fault, whom)| Injected {
            fault,
            whom,
            from: ms(1205),
            to: ms(1206),
        }));
        records.reads = vec![Read {
            is_near: true,
            ..old_read(OTHER, 1230)
        }];
        let verdict = check(&records);
        let class = (Terms::Memory, fault.map(|(fault, _)| fault));
        assert_eq!(verdict.older[&class].longest(), ms(30), "{verdict:?}");
        assert!(verdict.stale.is_empty());
    }
}

#[test]
fn a_write_that_both_files_name_is_due_through_every_sidecar_whatever_its_rules() {
    let mut records = history(write(Some((1200, 200))), well);
    for edition in [Some(Edition::New), None] {
        for through in [OWN, OTHER] {
            let read = |begun| Read {
                edition,
                ..old_read(through, begun)
            };
            assert!(!is_stale_read(&mut records, read(1199)));
            assert!(is_stale_read(&mut records, read(1200)));
        }
    }
}

#[test]
fn a_write_that_only_the_new_file_names_is_due_by_the_new_rules_and_by_all_if_they_forwarded_it() {
    let lift = |edition| Write {
        edition,
        lifts: true,
        ..write(Some((1200, 200)))
    };
    let read = |edition| Read {
        edition,
        ..old_read(OTHER, 1200)
    };
    let (old, new) = (Some(Edition::Old), Some(Edition::New));
    for (forwarded, by, expected) in [
        (old, old, false),
        (old, new, true),
        (old, None, false),
        (new, old, true),
        (new, new, true),
        (None, old, false),
        (None, new, true),
    ] {
        let mut records = history(lift(forwarded), well);
        let found = is_stale_read(&mut records, read(by));
        assert_eq!(found, expected, "{forwarded:?} {by:?}");
    }
    let away = |at| (at < 1150).then(|| well(at)).flatten();
    let mut records = history(lift(old), away);
    assert!(
        !is_stale_read(&mut records, read(new)),
        "Redis was not there to be asked"
    );
}

#[test]
fn a_lease_ends_the_answers_of_the_same_rules_alone() {
    let deadline = 1010 + LEASE.as_millis() as u64 + 20;
    let read = Read {
        edition: Some(Edition::New),
        ..old_read(OTHER, deadline)
    };
    let mut records = history(write(None), well);
    assert!(!is_stale_read(&mut records, read));
    assert!(is_stale(&mut records, OTHER, deadline));
    records.injected.push(Injected {
        fault: Fault::RulesReloaded,
        whom: Some(OWN),
        from: ms(1005),
        to: ms(1006),
    });
    assert!(
        !is_stale(&mut records, OTHER, deadline),
        "which rules forwarded it is not known"
    );
}

#[test]
fn a_lease_that_ends_before_the_commit_ends_nothing() {
    let mut late = write(None);
    late.commit = Some(Commit {
        arrived: ms(1010),
        committed: late.begun + LEASE,
        value: 1,
    });
    let mut records = history(late, well);
    let deadline = 1010 + LEASE.as_millis() as u64 + 20;
    assert!(!is_stale(&mut records, OTHER, deadline));
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

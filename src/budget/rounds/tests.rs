use super::*;
use crate::key::CacheKey;
use std::time::Duration;

const RULES: Digest = Digest([1; 16]);
const OTHERS: Digest = Digest([2; 16]);
const LONG: Duration = Duration::from_secs(1800);
const VERSION: Version = [7; 16];

fn key(n: usize) -> CacheKey {
    CacheKey {
        entry: format!("ns:a:{n}"),
        nodes: vec!["ns:*".to_owned(), format!("ns:a:{n}!")],
        binding: Digest([0; 16]),
    }
}

fn want<'w>(
    layout: Digest,
    key: &'w CacheKey,
    flag: Option<&'w str>,
    within: Duration,
) -> Want<'w> {
    Want {
        layout,
        key,
        any_group: None,
        flag,
        within,
    }
}

/// With so much to spend.
fn rich(left: f64) -> Inner {
    Inner {
        purse: Purse {
            left,
            filled_ms: Some(0),
        },
        ..Inner::default()
    }
}

fn all_shown(inner: &mut Inner, raised: bool) {
    let plan = inner.wanted.plan().expect("something is wanted");
    let versions = plan.nodes.into_iter().map(|node| (node, VERSION)).collect();
    let raised = vec![raised; plan.flags.len()];
    inner.show(RULES, versions, (&plan.flags, &raised), 0, 1_000);
}

#[test]
fn what_a_round_showed_is_for_the_rules_that_it_was_shown_to_and_never_beside_a_raised_flag() {
    let (key, mut inner) = (key(1), rich(30.0));
    let flagged = want(RULES, &key, Some("ns:!quarantine:a"), LONG);
    inner.wanted.note(&flagged, true, 0);
    all_shown(&mut inner, false);
    assert_eq!(inner.shown.versions(&flagged), Some(vec![VERSION; 2]));
    assert_eq!(inner.shown.versions(&want(OTHERS, &key, None, LONG)), None);
    let unread = want(RULES, &key, Some("ns:!quarantine:b"), LONG);
    assert_eq!(inner.shown.versions(&unread), None);
    all_shown(&mut inner, true);
    assert_eq!(inner.shown.versions(&flagged), None);
}

#[test]
fn a_round_is_made_for_who_lacks_something_and_not_for_who_was_served() {
    let (key, mut inner) = (key(1), rich(30.0));
    let short = want(RULES, &key, None, Duration::from_secs(2));
    inner.wanted.note(&short, false, 0);
    assert_eq!(inner.plan(1_000_000), None, "a short belief is not renewed");
    inner.wanted.note(&short, true, 1_000_000);
    assert_eq!(inner.plan(1_000_000), None, "one may be the last");
    for _ in 0..3 {
        inner.wanted.note(&short, true, 1_000_000);
    }
    assert!(inner.plan(1_000_000).is_some());
    all_shown(&mut inner, false);
    assert_eq!(inner.plan(1_001_000), None, "nobody has asked since");
}

#[test]
fn what_is_half_forgotten_is_renewed_if_it_is_asked_for_still() {
    let (key, mut inner) = (key(1), rich(30.0));
    let long = want(RULES, &key, None, LONG);
    inner.wanted.note(&long, true, 0);
    all_shown(&mut inner, false); // at 1 s
    assert_eq!(inner.plan(901_000), None, "nobody asks");
    inner.wanted.note(&long, false, 900_000);
    assert_eq!(inner.plan(900_000), None, "not yet");
    assert!(inner.plan(901_000).is_some());
}

#[test]
fn what_cannot_be_paid_for_is_waited_for() {
    let mut purse = Purse {
        left: 6.0,
        filled_ms: Some(0),
    };
    assert_eq!(purse.pay_for(5, false), 3);
    assert_eq!((purse.left, purse.pay_for(2, false)), (0.0, 0));
    let allowance = Allowance {
        per_s: 10_000.0 / 86_400.0,
        own: 0.5,
    };
    purse.earn(allowance, 60_000);
    assert!((2.0..3.0).contains(&purse.left), "{purse:?}");
    purse.earn(allowance, 86_400_000);
    assert_eq!(purse.left, AT_ONCE);

    let (key, mut inner) = (key(1), rich(3.0));
    inner.wanted.note(&want(RULES, &key, None, LONG), true, 0);
    for _ in 0..9 {
        inner.wanted.note(&want(RULES, &key, None, LONG), true, 0);
    }
    inner.shown.left = 2;
    assert_eq!(inner.plan(1_000), None, "it would only be asked for again");
    inner.purse.left = 6.0;
    assert!(inner.plan(1_000).is_some());
}

#[test]
fn what_is_wanted_is_bounded_and_what_nobody_asks_for_makes_room() {
    let mut inner = rich(30.0);
    for n in 0..1_100 {
        let key = key(n);
        inner.wanted.note(&want(RULES, &key, None, LONG), false, 0);
    }
    assert_eq!(inner.wanted.nodes().len(), 1_025);
    let late = key(5_000);
    for _ in 0..4 {
        inner
            .wanted
            .note(&want(RULES, &late, None, LONG), true, 61_000);
    }
    assert!(inner.wanted.nodes().contains(&late.nodes[1]));
    assert_eq!(inner.wanted.nodes().len(), 1_025);
    let plan = inner.plan(61_000).expect("it lacks something");
    assert_eq!(plan.nodes[1], late.nodes[1], "what is lacked comes first");
    assert!(plan.nodes.len() <= 512);
    let mut long = key(1);
    long.entry = "x".repeat(2_000);
    inner.wanted.forget(OTHERS, 61_000);
    inner
        .wanted
        .note(&want(RULES, &long, None, LONG), true, 61_000);
    assert!(inner.wanted.nodes().is_empty());
}

use super::*;
use crate::suspects::{Cause, Possible};
use std::sync::Arc;

fn case(is_stale: bool, age_s: u64, routes: &[&str]) -> Case {
    let cause = |route: &&str| {
        let cause = Cause {
            parts: Vec::new(),
            route: (*route).to_owned(),
            is_there: false,
        };
        Possible {
            cause: Arc::new(cause),
            at_ms: 0,
            values: 0,
        }
    };
    Case {
        rule: "list".to_owned(),
        at_ms: 1,
        age_ms: age_s * 1000,
        differs: is_stale,
        is_hit: true,
        places: Vec::new(),
        count: 1,
        causes: routes.iter().map(cause).collect(),
    }
}

fn gathered(cases: Vec<Case>) -> Gathered {
    let stale = cases.iter().filter(|case| case.is_stale()).count() as u64;
    let mut tally = Tally::default();
    (tally.stale, tally.fresh) = (stale, cases.len() as u64 - stale);
    Gathered {
        tallies: [("list".to_owned(), tally)].into(),
        cases,
        is_alone: false,
        not_heard: 0,
    }
}

#[test]
fn staleness_before_which_nobody_wrote_is_said_with_a_ttl_that_would_bound_it() {
    let cases = [40, 90, 60].map(|age| case(true, age, &[]));
    let gathered = gathered(cases.into());
    let unexplained: Vec<&Case> = gathered.cases.iter().collect();
    let found = without_write(&gathered, ("list", false), &unexplained, 3).expect("a finding");
    assert_eq!(found["evidence"]["soonest_s"], 40);
    assert_eq!(found["evidence"]["latest_s"], 90);
    let advice = found["advice"].as_str().expect("a text");
    assert!(advice.contains("`ttl = \"20s\"`"), "{advice}");
    assert!(without_write(&gathered, ("list", false), &unexplained[..2], 3).is_none());
}

#[test]
fn what_may_still_turn_out_to_have_a_cause_is_not_said_to_have_none() {
    let mut cases: Vec<Case> = (0..40).map(|age| case(true, age, &["POST /a"])).collect();
    let found = |cases: &[Case]| {
        let gathered = gathered(cases.to_vec());
        let unexplained: Vec<&Case> = gathered.cases.iter().collect();
        without_write(&gathered, ("list", false), &unexplained, cases.len())
    };
    assert!(found(&cases).is_none());
    cases.extend([1, 2, 3].map(|age| case(true, age, &[])));
    assert!(found(&cases).is_none(), "three of many: by accident");
    cases.extend([4, 5].map(|age| case(true, age, &[])));
    assert_eq!(found(&cases).expect("no accident")["evidence"]["stale"], 5);
}

#[test]
fn a_rate_is_shown_with_its_bounds() {
    let mut cases: Vec<Case> = (0..14).map(|age| case(true, age, &[])).collect();
    cases.extend((0..86).map(|age| case(false, age, &[])));
    let shown = by_rule(&gathered(cases));
    assert_eq!(shown["list"]["rate"], 0.14);
    let bound = |name: &str| shown["list"][name].as_f64().expect("a number");
    assert!((0.08..0.09).contains(&bound("rate_low")), "{shown}");
    assert!((0.22..0.23).contains(&bound("rate_high")), "{shown}");
}

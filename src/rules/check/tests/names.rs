//! Names that are taken, and keys that may meet.

use super::refused::refused;
use super::*;
use crate::rules::problem::Problem;

#[test]
fn no_set_is_called_as_drops_without_a_set_are_counted() {
    for label in ["auto", "groups", "rollout", "purge"] {
        let set = set("PUT /a", "doctors:*").replace("\"set\"", &format!("\"{label}\""));
        refused(&(doctor("") + &set), label, "drops that no set names");
    }
}

#[test]
fn keys_that_may_meet_are_found_whatever_they_begin_with_and_the_first_rule_is_named() {
    let rule = |name: &str, key: &str| {
        let route = format!("GET /{name}/{{a}}/{{b}}");
        rule(name, &route, key, "query = []\npublic = true")
    };
    let cases = [
        (["x:{a}:{b}", "y:{a}:{b}", "z:{a}:{b}"], None),
        (["x:{a}:{b}", "y:{a}:{b}", "y:{a}-{b}"], None),
        (["x:{a}:{b}", "y:{a}:{b}", "y:{b}:{a}"], Some(1)),
        (["x:{a}:{b}", "y:{a}:{b}", "{a}:{b}:1"], Some(0)),
        (["{a}:{b}:1", "y:{a}:{b}:1", "y:{b}:{a}"], Some(0)),
        (["y:{a}:{b}", "{a}:q:{b}:1", "y:{b}:{a}"], Some(0)),
    ];
    for (keys, named) in cases {
        let names = ["r0", "r1", "r2"];
        let rules = names.iter().zip(keys).map(|(name, key)| rule(name, key));
        let text = rules.collect::<String>();
        match named {
            Some(at) => refused(&text, keys[2], &format!("can be one of `r{at}`")),
            None => {
                let problems = check(&text).problems;
                let met = |problem: &Problem| problem.message.contains("can be one of");
                assert!(!problems.iter().any(met), "{keys:?}");
            }
        }
    }
}

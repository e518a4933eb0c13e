//! Of what came of verifying, the latest.

use crate::suspects::Case;
use std::collections::BTreeMap;

/// Cases of a rule from which it is inferred. What follows from the latest two thousand follows from ten thousand, too, and
/// the time that inferring takes grows with them.
const MAX_OF_RULE: usize = 2048;

/// The latest cases of each rule.
#[derive(Default)]
pub(super) struct Latest(BTreeMap<String, Vec<Case>>);

impl Latest {
    pub(super) fn add(&mut self, case: Case) {
        let known = self.0.get_mut(&case.rule);
        let Some(cases) = known else {
            self.0.insert(case.rule.clone(), vec![case]);
            return;
        };
        cases.push(case);
        if cases.len() >= 2 * MAX_OF_RULE {
            cut(cases);
        }
    }

    /// By rule, the latest last.
    pub(super) fn all(mut self) -> Vec<Case> {
        self.0.values_mut().for_each(cut);
        self.0.into_values().flatten().collect()
    }
}

fn cut(cases: &mut Vec<Case>) {
    cases.sort_by_key(|case| case.at_ms); // stable
    cases.drain(..cases.len().saturating_sub(MAX_OF_RULE));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(rule: &str, at_ms: u64) -> Case {
        Case {
            rule: rule.to_owned(),
            at_ms,
            age_ms: 0,
            differs: false,
            is_hit: true,
            places: Vec::new(),
            count: 1,
            causes: Vec::new(),
        }
    }

    #[test]
    fn of_each_rule_the_latest_are_left_whoever_told_them_first() {
        let mut latest = Latest::default();
        let many = 3 * MAX_OF_RULE as u64;
        (0..many).rev().for_each(|at| latest.add(case("busy", at)));
        (0..3).for_each(|at| latest.add(case("quiet", at)));
        let all = latest.all();
        let times = |rule: &str| {
            let of_rule = all.iter().filter(|case| case.rule == rule);
            of_rule.map(|case| case.at_ms).collect::<Vec<_>>()
        };
        let expected: Vec<u64> = (many - MAX_OF_RULE as u64..many).collect();
        assert_eq!(times("busy"), expected);
        assert_eq!(times("quiet"), [0, 1, 2]);
    }
}

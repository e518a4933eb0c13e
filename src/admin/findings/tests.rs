//! What is inferred where much is remembered.

use super::*;
use crate::rules::check::compile;
use crate::rules::table::Table;
use crate::suspects::{Case, Cause, Possible};
use crate::witness::Gathered;
use std::fmt::Write as _;
use std::path::Path;

/// As many as the backend has, about.
const RULES: u64 = 18;
const ROUTES: u64 = 40;

fn table() -> Table {
    let mut text = r#"
        namespace = "n"
        [proxy]
        listen = "127.0.0.1:0"
        origin = "http://127.0.0.1:1"
        [store]
        url = "memory:"
    "#
    .to_owned();
    for rule in 0..RULES {
        let rule = format!(
            "[[cache]]\nname = \"r{rule}\"\nmatch = \"GET /r{rule}/{{id}}\"\nkey = \"r{rule}:{{id}}:{{query}}\"\n\
             query = [\"page\"]\nttl = \"5m\"\npublic = true\n"
        );
        text.write_str(&rule).expect("a string takes it");
    }
    let checked = compile(text.as_bytes(), &|_| None, Path::new("."));
    checked.table.expect("rules that can be used")
}

/// Numbers that follow from a seed (SplitMix64).
struct Lot(u64);

impl Lot {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % bound
    }
}

/// Cases of `rules` rules: up to thirty routes were written to before each, of which every fifth makes such a rule stale
/// at a place of its own, by what the path or the body names.
fn cases(count: u64, rules: u64) -> Vec<Case> {
    let mut lot = Lot(7);
    let parts = [
        "",
        "{id}",
        "{body.id}",
        "{response.data.id}",
        "{claims.email}",
    ];
    let causes: Vec<Vec<Arc<Cause>>> = (0..ROUTES)
        .map(|route| {
            let cause = |part: &&str| {
                let parts = Some(*part).filter(|part| !part.is_empty());
                Arc::new(Cause {
                    parts: parts.map(|part| (*part).to_owned()).into_iter().collect(),
                    route: format!("POST /r{route}/{{id}}"),
                    is_there: false,
                })
            };
            parts.iter().map(cause).collect()
        })
        .collect();
    let mut one = |at_ms: u64| {
        let (rule, writes) = (lot.below(rules), lot.below(30));
        let mut of: Vec<Possible> = Vec::new();
        let mut places: Vec<Arc<str>> = Vec::new();
        for _ in 0..writes {
            let (route, part) = (lot.below(ROUTES), 1 + lot.below(4));
            let is_named = lot.below(4) == 0;
            let write_ms = at_ms.saturating_sub(lot.below(300_000));
            let all = &causes[route as usize];
            let mut found = vec![all[0].clone()];
            if is_named {
                found.push(all[part as usize].clone());
            }
            of.extend(found.into_iter().map(|cause| Possible {
                cause,
                at_ms: write_ms,
                values: lot.below(99) as u16,
            }));
            if (route + rule) % 5 == 0 && (is_named || route % 2 == 0) && lot.below(10) < 9 {
                places.push(format!("/data/field{}", route % 12).into());
            }
        }
        of.sort_by(|a, b| a.cause.cmp(&b.cause));
        of.dedup_by(|a, b| a.cause == b.cause);
        places.sort();
        places.dedup();
        Case {
            rule: format!("r{rule}"),
            at_ms,
            age_ms: 1_000 + lot.below(300_000),
            differs: !places.is_empty(),
            is_hit: true,
            places,
            count: 1,
            causes: of,
        }
    };
    (0..count).map(&mut one).collect()
}

#[test]
fn what_one_process_remembers_is_inferred_from() {
    let gathered = Gathered {
        cases: cases(4_096, RULES),
        ..Gathered::default()
    };
    assert!(!verified::findings(&table(), &gathered).is_empty());
}

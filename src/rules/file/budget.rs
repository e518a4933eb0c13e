//! `budget` of `[store]`, and what of `[[cache]]` is only of use with one.

use super::rule::Draft;
use crate::rules::problem::Problem;
use crate::rules::section::Section;
use crate::rules::settings::{BudgetSettings, Per, StoreSettings, StoreUrl};

/// Fewer commands would not even do for a process's own accounts.
const LEAST: i64 = 1_000;

const EXAMPLE: &str = "budget = { commands = 500000, per = \"month\" }";

/// `budget = { commands = 500000, per = "month" }`
pub(super) fn settings(s: &Section<'_>, url: &StoreUrl) -> Option<BudgetSettings> {
    let at = s.span_of("budget");
    let budget = s.section("budget", "`budget`")?;
    for (key, example) in [
        ("commands", "commands = 500000"),
        ("per", "per = \"month\""),
    ] {
        if !budget.has(key) {
            budget.missing(key, example);
        }
    }
    let commands = budget.number("commands").filter(|commands| {
        let is_enough = *commands >= LEAST;
        if !is_enough {
            let message = format!("a budget must be of {LEAST} commands at least");
            let problem = Problem::error(budget.span_of("commands"), message, "too few", EXAMPLE);
            s.reader.report(problem);
        }
        is_enough
    });
    let per = budget.choice("per", &[("day", Per::Day), ("month", Per::Month)]);
    budget.finish(&[]);
    if *url == StoreUrl::Memory {
        let message = "`budget` is of no use with `memory:`: nobody bills it";
        let help = "leave it out, or name a Redis with `url`";
        s.reader
            .report(Problem::warning(at, message, "never spent", help));
    }
    let commands = u64::try_from(commands?).ok()?;
    Some(BudgetSettings {
        commands,
        per: per?,
    })
}

/// Tells of each `local_ttl_max` that nothing will ever go up to.
pub(super) fn note_idle(root: &Section<'_>, store: &StoreSettings, caches: &[Draft]) {
    if store.budget.is_some() || store.url == StoreUrl::Memory {
        return;
    }
    for at in caches
        .iter()
        .filter_map(|draft| draft.local_ttl_max_at.clone())
    {
        let message = "`local_ttl_max` is of no use without a `budget`";
        let help = format!("leave it out, or write `{EXAMPLE}` into [store]");
        root.reader
            .report(Problem::warning(at, message, "never reached", help));
    }
}

//! A request that may use its rule: whether it is answered from what is kept.

use super::explanation::Explanation;
use super::reasons::Context;
use super::{Case, dropped, kept, shared};
use crate::asked::Asked;
use crate::outcome::Detail;
use crate::part::Single;
use crate::rules::table::Stage;

/// What it comes to, with all that is known of what would be kept for it.
pub(super) fn told(case: &Case<'_>, asked: &Asked) -> Explanation {
    let context = Context {
        case,
        rule: &asked.rule,
    };
    let hindrances = hindrances(case, asked);
    let first = hindrances.first().copied();
    let (verdict, summary) = summed_up(asked, first);
    // What is fetched for others, and kept.
    let is_filled = first != Some(Detail::Range);
    let may_keep = is_filled && first != Some(Detail::StoreDown);
    Explanation {
        reasons: hindrances.iter().map(|one| context.reason(*one)).collect(),
        key: Some(kept::place(case, asked)),
        shared_by: Some(shared::by(case, asked)),
        fill: is_filled.then(|| kept::fill(case, asked)),
        kept_if: match may_keep {
            true => kept::conditions(case, asked),
            false => Vec::new(),
        },
        dropped_by: dropped::by(case, asked),
        notes: kept::notes(case, asked),
        ..Explanation::of(verdict, summary)
    }
}

/// What keeps it from what is kept, or its answer from being kept: first what the proxy says of it.
fn hindrances(case: &Case<'_>, asked: &Asked) -> Vec<Detail> {
    let live = case.live;
    let is_down = !live.ground.store.up();
    let down = is_down.then_some(Detail::StoreDown);
    let is_observed = asked.rule.stage == Stage::Observe;
    if !is_observed && live.holds(&asked.rule) {
        return vec![Detail::Quarantined];
    }
    let is_lost = asked.wants_part && part(case, asked).is_none();
    let range = is_lost.then_some(Detail::Range);
    let observed = is_observed.then_some(Detail::Observe);
    range.into_iter().chain(down).chain(observed).collect()
}

/// The range that it asks for, if the answer to that alone would be kept.
pub(super) fn part(case: &Case<'_>, asked: &Asked) -> Option<Single> {
    let may_be = case.live.ground.store.up() && asked.rule.stage != Stage::Observe;
    asked.keepable_part().filter(|_| may_be)
}

fn summed_up(asked: &Asked, first: Option<Detail>) -> (&'static str, &'static str) {
    let is_observed = asked.rule.stage == Stage::Observe;
    match first {
        Some(Detail::Quarantined) => (
            "quarantined",
            "the rule is in quarantine and passes everything: its answers were seen to differ by who asks",
        ),
        Some(Detail::Range) if is_observed => (
            "bypass",
            "it asks for a range, and the rule only observes: it goes to the origin as it is, and nothing is kept",
        ),
        _ if is_observed => (
            "observed",
            "it would be answered from what is kept, were the rule's stage \"on\": now it goes to the origin, and is counted",
        ),
        Some(Detail::Range) => (
            "cacheable",
            "it asks for a range: answered from the whole if that is kept; if not, it goes to the origin as it is, and nothing is kept",
        ),
        Some(Detail::StoreDown) => (
            "cacheable",
            "the store cannot be asked now: it is answered by a fill, and nothing is kept",
        ),
        _ => (
            "cacheable",
            "it is answered from what is kept, or by a fill that is kept for the next",
        ),
    }
}

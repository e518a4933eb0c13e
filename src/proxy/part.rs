//! A request for a range of what is not kept as a whole: answered from the part that is, or by the
//! origin, whose answer is kept in its turn.

use super::read::told;
use super::{Answer, Exchange};
use crate::asked::Asked;
use crate::flights::Snapshot;
use crate::freshness::{self, Use};
use crate::look::{Found, KeptPart};
use crate::outcome::{Detail, Outcome, Why};
use crate::part::{Part, Single};
use crate::reply;
use std::sync::Arc;

impl Exchange {
    /// What is kept in part, if it will do and holds what is asked for.
    pub(super) fn part_answer(&self, asked: &Asked, found: &Found) -> Option<Answer> {
        let KeptPart { part, served } = found.part.as_ref().filter(|_| asked.wants_part)?;
        let stale = &part.entry().stale;
        let way = freshness::use_of(*served, stale, &asked.demand, asked.may_be_stale);
        if way != Use::Serve {
            return None;
        }
        let (verdict, age) = told(*served);
        Some(Answer {
            response: reply::of_part(part, age, &self.head)?,
            verdict,
            rule: Some(asked.rule.clone()),
        })
    }

    /// Asks the origin for the range, on behalf of all where its answer may be kept.
    pub(super) async fn fetch_part(self, asked: &Arc<Asked>, found: Found) -> Answer {
        let Some(range) = self.keepable(asked, &found) else {
            return self.bypass(asked.rule.clone(), Detail::Range).await;
        };
        let mut fill = self.fill(asked, &found.place, None);
        fill.range = Some(range);
        let mut answer = self.miss(fill, None, Outcome::Miss, None).await;
        if found.part.is_some() {
            answer.verdict.forwarded = Why::Partial;
        }
        answer
    }

    /// The range, if the answer to it can be kept. Where a whole is kept that this client does not want, no
    /// part takes its place.
    fn keepable(&self, asked: &Asked, found: &Found) -> Option<Single> {
        let is_known = matches!(found.place.snapshot, Snapshot::Known(_));
        let may_be = found.kept.is_none() && is_known;
        may_be.then(|| asked.keepable_part())?
    }
}

/// A kept part that the whole may be made of for this request: not for one that wants nothing of what
/// is kept, and not where the origin is asked on conditions of the client's.
pub(super) fn completable(asked: &Asked, kept: KeptPart) -> Option<Part> {
    let may_be = asked.demand.is_content() && !asked.demand.no_store && !asked.is_conditional();
    may_be.then_some(kept.part)
}

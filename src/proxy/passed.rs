//! What passes because no rule is there for it, looked at: for proposals of rules.

use super::{Answer, Exchange};
use crate::live::Live;
use crate::outcome::{Outcome, Verdict};
use crate::passing::Look;

impl Exchange {
    /// Whether it is one that is looked at.
    pub(super) fn look(&self) -> Option<Look> {
        let Live { table, ground, .. } = &*self.live;
        if table.audit.propose == 0.0 || self.head.methods().len() > 1 {
            return None;
        }
        let now = ground.clock.now_ms();
        ground.passing.look(table, &self.head, now)
    }

    /// Forwards what is looked at, as what is not.
    pub(super) async fn pass_seen(self, look: Look) -> Answer {
        let mut answer = self.forward(None, Verdict::plain(Outcome::Pass)).await;
        if answer.verdict.outcome == Outcome::Pass {
            answer.response = look.answered(answer.response);
        }
        answer
    }
}

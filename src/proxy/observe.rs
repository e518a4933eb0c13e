//! A rule that is only observed: what it would have done is counted, and nothing is served of it.
//!
//! Where it would have hit, the origin's answer shows for free what the hit would have been worth: the two are
//! held against each other while the answer passes. One that differs means that a write is missing from the
//! sets, that something shapes the answer which the key does not hold, or that no two answers are alike.

use super::{Answer, Exchange};
use crate::asked::Asked;
use crate::body::Body;
use crate::entry::Entry;
use crate::fill::Fill;
use crate::live::Live;
use crate::look::{Kept, look};
use crate::metrics::{OBSERVED, OBSERVED_DIFFERS, OBSERVED_SAME};
use crate::outcome::{Detail, Outcome, Verdict};
use hyper::header::CONTENT_ENCODING;
use hyper::{Method, Response};
use std::sync::Arc;

/// Statuses that tell how the origin is at the moment, not what its answer is: time-outs, limits, failures.
const OF_THE_MOMENT: [u16; 6] = [408, 429, 500, 502, 503, 504];

impl Exchange {
    /// Computes and counts, serves nothing: the client's own request passes, its answer is copied.
    pub(super) async fn observe(mut self, asked: Arc<Asked>) -> Answer {
        if asked.wants_part {
            return self.bypass(asked.rule.clone(), Detail::Range).await;
        }
        let found = look(&self.live, &asked, None).await;
        if let Some(entry) = found.kept.as_ref().and_then(Kept::fresh) {
            return self.would_hit(&asked, entry.clone()).await;
        }
        let fill = self.fill(&asked, &found.place, None);
        // Made last: who is let speak before the answer is whoever was let last.
        let own = self.own_request(self.head.corrected());
        let fill = Fill {
            own: Some(Box::new(own)),
            ..fill
        };
        let mut answer = self.miss(fill, None, Outcome::WouldMiss, None).await;
        answer.verdict.detail.get_or_insert(Detail::Observe);
        answer
    }

    async fn would_hit(self, asked: &Asked, entry: Arc<Entry>) -> Answer {
        // An answer to a condition is about what the client has; one to HEAD has no body.
        let is_whole = self.head.parts.method != Method::HEAD && !asked.is_conditional();
        let live = self.live.clone();
        let verdict = Verdict::because(Outcome::WouldHit, Detail::Observe);
        let mut answer = self.forward(Some(asked.rule.clone()), verdict).await;
        if is_whole && answer.verdict.outcome == Outcome::WouldHit {
            answer.response = compared(answer.response, &entry, live, asked);
        }
        answer
    }
}

/// The origin's answer, held against what would have been served.
fn compared(
    response: Response<Body>,
    entry: &Entry,
    live: Arc<Live>,
    asked: &Asked,
) -> Response<Body> {
    let coding = response.headers().get(CONTENT_ENCODING);
    let is_of_the_moment = OF_THE_MOMENT.contains(&response.status().as_u16());
    if is_of_the_moment || coding != entry.headers.get(CONTENT_ENCODING) {
        return response;
    }
    let rule = asked.rule.clone();
    let tell = move |is_same: bool| {
        let result = match is_same {
            true => OBSERVED_SAME,
            false => OBSERVED_DIFFERS,
        };
        live.ground.metrics.audited(&rule.name, OBSERVED, result);
    };
    if response.status() != entry.status {
        tell(false);
        return response;
    }
    let other = entry.body.clone();
    response.map(|body| body.compared(other, tell))
}

//! A request that limits match: counted before anything is done for it, and refused if it is one too many.

use super::{Answer, Exchange};
use crate::body::{self, Body, Read};
use crate::limits;
use crate::outcome::{Detail, Outcome, Verdict};
use crate::reply;
use crate::targets::Target;
use bytes::Bytes;
use std::sync::Arc;

impl Exchange {
    /// Sets out if it is within its limits, or if nobody can tell. Whoever is told of them is told of all that
    /// match, on each answer.
    pub(super) async fn set_out_within_limits(mut self, recalled: Option<Arc<Target>>) -> Answer {
        let body = match limits::ask_for_body(&self.live.table, &self.head) {
            true => self.read_counted_body().await,
            false => Ok(None),
        };
        let standing = match body {
            Ok(body) => limits::count(&self.live, &self.head, body.as_ref()).await,
            Err(detail) => return Answer::failed(detail, None, self.head.trace()),
        };
        let Some(standing) = standing else {
            return self.set_out(recalled).finish().await;
        };
        let mut answer = match standing.retry_after {
            Some(seconds) => Answer::limited(seconds),
            None => self.set_out(recalled).finish().await,
        };
        standing.onto(answer.response.headers_mut());
        answer
    }

    /// The body, as far as it may say whom to count: one that is longer than keys may be made of says nothing.
    async fn read_counted_body(&mut self) -> Result<Option<Bytes>, Detail> {
        let limit = self.live.table.proxy.max_keyed_body;
        let (read, body) = match body::read_up_to(std::mem::take(&mut self.body), limit).await {
            Read::Whole(bytes) => (Ok(Some(bytes.clone())), Body::full(bytes)),
            Read::Longer(body) => (Ok(None), body),
            Read::Broken(error) => (Err(error.detail()), Body::empty()),
        };
        self.body = body;
        read
    }
}

impl Answer {
    fn limited(retry_after: u64) -> Answer {
        Answer {
            response: reply::too_many(retry_after),
            verdict: Verdict::because(Outcome::Limited, Detail::Limited),
            rule: None,
        }
    }
}

//! Parts: a whole is completed by asking for the rest of it, and what the origin sends of an answer is
//! kept beside what was kept of it.
//!
//! Nothing is ever joined but what hangs on the same versions of the same nodes: a drop in between
//! parts what was before it from what comes after, whatever the origin's validators say.

use super::Fill;
use super::fetch::{Heard, Times};
use crate::body::{self, Body, Read};
use crate::freshness::{self, Arrived, Terms};
use crate::groups::Groups;
use crate::headers;
use crate::key::CacheKey;
use crate::look::{KeptPart, Reach, look};
use crate::origin::{Failure, UntilClose};
use crate::outcome::Detail;
use crate::part::{Joined, Part, Piece, Single};
use bytes::Bytes;
use hyper::body::Body as _;
use hyper::header::CONTENT_RANGE;
use hyper::http::response::Parts;
use hyper::{Response, StatusCode};

impl Fill {
    /// Asks for the rest of what is kept in part. `None` where nothing is, or what the origin sends does
    /// not make it whole: then it is to be asked for all of it.
    pub(super) async fn complete(&mut self) -> Result<Option<Heard>, Failure> {
        let max = self.live.table.store.max_entry;
        let Some(part) = self.part.take().filter(|part| part.whole() <= max) else {
            return Ok(None);
        };
        let Some(rest) = part.rest() else {
            return Ok(None);
        };
        let heard = self.ask(Some(&rest)).await?;
        match heard.response.status() {
            StatusCode::PARTIAL_CONTENT => Ok(self.completed(&part, &rest, heard).await),
            _ if is_whole(&heard.response) => Ok(Some(heard)), // it changed
            _ => Ok(None),
        }
    }

    /// The whole, if this answer is all of what is missing, and of the same state of the resource. It
    /// is read before anything of it is sent: a client would be left with half an answer else.
    async fn completed(&self, part: &Part, rest: &Single, heard: Heard) -> Option<Heard> {
        let (head, body) = heard.response.into_parts();
        let piece = Piece::of(&head.headers).filter(|piece| rest.is(piece))?;
        if head.extensions.get::<UntilClose>().is_some() {
            return None;
        }
        let patience = self.live.table.proxy.origin_timeout;
        let read = body::read_in_time(body, piece.span.len(), patience).await;
        let Read::Whole(bytes) = read else {
            return None;
        };
        let joined = part.joined(&piece, &bytes, &head.headers)?;
        if !joined.is_whole {
            return None;
        }
        let anew = headers::dated(&head.headers, heard.times.arrived_ms);
        let mut response = Response::new(Body::full(joined.body.clone()));
        *response.headers_mut() = joined.describe(&part.headers_with(&anew));
        Some(Heard { response, ..heard })
    }

    /// Whether an answer is one to what was asked: what is said to a range may be of that alone.
    pub(super) fn is_of_what_was_asked(&self, response: &Response<Body>) -> bool {
        self.range.is_none() || is_whole(response)
    }

    /// The terms for a 206 to the range that was asked for. It is judged as the whole that it is of.
    pub(super) fn part_terms(&self, heard: &Heard, arrived: &Arrived<'_>) -> Result<Terms, Detail> {
        let response = &heard.response;
        let piece = Piece::of(response.headers()).ok_or(Detail::Range)?;
        let length = response.body().size_hint().exact();
        let is_wished = |single: &Single| single.admits(&piece);
        let is_kept = self.range.as_ref().is_some_and(is_wished)
            && length.is_none_or(|length| length == piece.span.len() as u64);
        match is_kept {
            true => {
                let rules = self.keep_rules(StatusCode::OK);
                freshness::part_terms(&rules, heard.whose, arrived)
            }
            false => Err(Detail::Range),
        }
    }

    /// Keeps what the origin sent of an answer, with what is kept of it under the same versions and of
    /// the same state; alone where that cannot be told, or is more than may be kept. A whole that was
    /// kept meanwhile stays.
    pub(super) async fn keep_part(
        &self,
        key: &CacheKey,
        head: &Parts,
        bytes: Bytes,
        terms: &Terms,
        times: Times,
    ) {
        let Some(piece) = Piece::of(&head.headers).filter(|piece| piece.span.len() == bytes.len())
        else {
            return;
        };
        if self.reach != Reach::Fleet {
            return;
        }
        let found = look(&self.live, &self.asked, None).await;
        let place = &found.place;
        let is_as_it_was =
            *place.key == *key && place.snapshot == self.snapshot && place.reach == Reach::Fleet;
        if !is_as_it_was || found.kept.is_some() {
            return;
        }
        let max = self.live.table.store.max_entry;
        let joined = found.part.as_ref().and_then(|KeptPart { part, .. }| {
            let joined = part.joined(&piece, &bytes, &head.headers)?;
            joined.fits(max).then_some((part, joined))
        });
        let anew = headers::dated(&head.headers, times.arrived_ms);
        let (headers, joined) = match joined {
            Some((part, joined)) => (part.headers_with(&anew), joined),
            None => (anew.into_owned(), Joined::alone(&piece, bytes)),
        };
        let mut head = head.clone();
        head.headers = joined.describe(&headers);
        if joined.is_whole {
            head.status = StatusCode::OK;
        }
        let entry = self.entry(key, &head, joined.body, Groups::default(), terms, times);
        // A store that refuses is counted there; the next reader asks again.
        let _ = self.live.ground.store.keep(&key.entry, entry).await;
    }
}

/// Whether an answer to a request for a range is the whole, by all that it says.
fn is_whole(response: &Response<Body>) -> bool {
    response.status() == StatusCode::OK && !response.headers().contains_key(CONTENT_RANGE)
}

//! What passes because no rule is there for it, as far as `[audit] propose` has it looked at: remembered in marks, and
//! told to nobody but who asks for a proposal ([`crate::propose`]).
//!
//! It is not each request that is looked at by chance: nearly all is learnt by holding one answer against another to
//! the same request, so all requests for a path are looked at, or none. Which paths is drawn anew every few minutes,
//! so that each has its turn.

mod ear; // an answer's body while it passes
mod memory; // what is remembered

use crate::body::Body;
use crate::clock::Clock;
use crate::head::Head;
use crate::propose::{Asking, LONGEST_WRITE, Marks, Seen, Sight, Written};
use crate::route;
use crate::rules::table::Table;
use ear::Ear;
use hyper::header::{self, HeaderValue};
use hyper::{Method, Response, StatusCode};
use memory::Memory;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How long the same paths are looked at: twice the longest `ttl` that is proposed for what was not seen to change.
const TURN_MS: u64 = 10 * 60 * 1000;

/// Answers that are copied at a time to be looked into: 4 MiB at most, however many pass.
const MAX_COPIED: usize = 64;

/// Longest path that is looked at, in bytes: what is longer is no name of a thing.
const MAX_PATH: usize = 1024;

/// Longest query, in bytes: as much as is put into keys is shorter.
const MAX_QUERY: usize = 2048;

/// What one process saw pass. It outlives a reload that leaves the share as it is; clones are the same.
#[derive(Clone, Default)]
pub struct Passing(Arc<Inner>);

struct Inner {
    /// None without randomness: nothing is remembered then.
    marks: Option<Marks>,
    memory: Mutex<Memory>,
    copies: Arc<Semaphore>,
    /// To make a proposal takes as much memory as all that is remembered, and a processor for a while.
    proposals: Arc<Semaphore>,
}

impl Default for Inner {
    fn default() -> Inner {
        Inner {
            marks: Marks::new(),
            memory: Mutex::default(),
            copies: Arc::new(Semaphore::new(MAX_COPIED)),
            proposals: Arc::new(Semaphore::new(1)),
        }
    }
}

impl Passing {
    /// This share of all paths is looked at from now on. What was seen of another share is forgotten.
    pub fn begin(&self, share: f64, now_ms: u64) {
        let mut memory = self.memory();
        if memory.share != share {
            let forgotten = std::mem::replace(&mut *memory, Memory::of(share, now_ms));
            drop(memory); // nobody waits for so much to be freed
            drop(forgotten);
        }
    }

    /// Looks at a request that has no rule, no body and only one method, if it is its turn; to be asked only where
    /// something is looked at.
    pub fn look(&self, table: &Table, head: &Head, now_ms: u64) -> Option<Look> {
        let share = table.audit.propose; // above 0
        let (parts, path) = (&head.parts, head.parts.uri.path());
        // A part says nothing of the whole, and an upgrade is no answer.
        let is_plain = parts.method == Method::GET
            && head.offered.is_none()
            && !parts.headers.contains_key(header::RANGE);
        if !is_plain || !self.is_their_turn(share, path, now_ms) {
            return None;
        }
        let query = parts.uri.query().unwrap_or_default();
        let marks = self.0.marks.as_ref()?;
        // What has no name is a value, be it one that a programmer gave; and what has no value may be one, as the
        // end of base64 is (`?c2VjcmV0==`).
        let is_named = |pair: &str| match pair.split_once('=') {
            Some((_, value)) => !value.is_empty() && !value.starts_with('='),
            None => pair.is_empty(),
        };
        let is_odd = !query.split('&').all(is_named);
        if is_odd || path.len() > MAX_PATH || query.len() > MAX_QUERY {
            self.memory().leave_out();
            return None;
        }
        let asking = Asking {
            path,
            query,
            headers: &parts.headers,
            at_ms: now_ms,
        };
        let sight = Sight::of(marks, asking, table.identity.as_ref());
        if !sight.is_discreet() {
            self.memory().leave_out();
            return None;
        }
        Some(Look {
            passing: self.clone(),
            share,
            sight,
            begun: Instant::now(),
        })
    }

    /// A request sets out that may change something; `None` where nothing is looked at.
    pub fn sets_out(
        &self,
        table: &Table,
        method: &Method,
        path: &str,
        clock: &Clock,
    ) -> Option<Writing> {
        if table.audit.propose == 0.0 || path.len() > MAX_PATH {
            return None;
        }
        let at_ms = clock.now_ms();
        Some(Writing {
            passing: self.clone(),
            clock: clock.clone(),
            written: Some(Written {
                at_ms,
                until_ms: at_ms + LONGEST_WRITE,
                route: route::of(table, method, path).text.into(),
            }),
        })
    }

    /// All that is remembered; `None` where nothing is looked at.
    pub fn seen(&self, now_ms: u64) -> Option<Seen> {
        let shown = self.memory().shown()?; // the lock is given back here
        Some(shown.seen(now_ms))
    }

    /// Leave to make a proposal of it, as long as it is held; `None` while somebody else has it.
    pub fn to_propose(&self) -> Option<OwnedSemaphorePermit> {
        self.0.proposals.clone().try_acquire_owned().ok()
    }

    fn is_their_turn(&self, share: f64, path: &str, now_ms: u64) -> bool {
        if share >= 1.0 {
            return true;
        }
        let turn = (now_ms / TURN_MS).to_le_bytes();
        let drawn = self.0.marks.as_ref().and_then(|marks| {
            let mark = marks.of("turn", &[&turn, path.as_bytes()]);
            mark.0.first_chunk().copied()
        });
        let drawn = drawn.map_or(u32::MAX, u32::from_le_bytes);
        f64::from(drawn) / f64::from(u32::MAX) < share
    }

    fn remember(&self, share: f64, sight: Sight) {
        let mut memory = self.memory();
        if memory.share == share {
            memory.add(sight);
        }
    }

    fn copy(&self) -> Option<OwnedSemaphorePermit> {
        self.0.copies.clone().try_acquire_owned().ok()
    }

    /// Nothing that holds the lock can panic.
    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.0.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that is looked at.
pub struct Look {
    passing: Passing,
    share: f64,
    sight: Sight,
    begun: Instant,
}

impl Look {
    /// The origin's answer, which is passed on as it comes.
    pub fn answered(mut self, response: Response<Body>) -> Response<Body> {
        let status = response.status();
        if status == StatusCode::SWITCHING_PROTOCOLS || status == StatusCode::PARTIAL_CONTENT {
            return response;
        }
        let passing = self.passing.clone();
        let Some(marks) = passing.0.marks.as_ref() else {
            return response;
        };
        let took = u64::try_from(self.begun.elapsed().as_millis()).ok();
        let headers = response.headers();
        self.sight.answered(marks, status, headers, took);
        if !self.sight.has_good_body() {
            passing.remember(self.share, self.sight);
            return response;
        }
        let coding = headers.get(header::CONTENT_ENCODING);
        if let Some(coding) = coding.filter(|coding| **coding != PLAIN) {
            self.sight.packed(marks, coding.as_bytes());
        }
        let ear = Ear::new(passing.clone(), marks, self.share, self.sight);
        response.map(|body| body.heard_by(Box::new(ear)))
    }
}

const PLAIN: HeaderValue = HeaderValue::from_static("identity");

/// A write that is under way. One that nobody waits for is remembered as one that may take a while yet.
pub struct Writing {
    passing: Passing,
    clock: Clock,
    /// Until it is known to have changed nothing.
    written: Option<Written>,
}

impl Writing {
    /// It was answered, if there is a status. What was refused has changed nothing.
    pub fn answered(mut self, status: Option<StatusCode>) {
        if status.is_some_and(|status| status.is_client_error()) {
            self.written = None;
        }
        if let Some(written) = self.written.as_mut().filter(|_| status.is_some()) {
            written.until_ms = self.clock.now_ms();
        }
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        if let Some(written) = self.written.take() {
            self.passing.memory().wrote(written);
        }
    }
}

#[cfg(test)]
mod tests;

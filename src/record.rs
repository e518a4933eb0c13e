//! What passes, written down: each request with its answer, once both are over.

mod redact; // what nobody else is to know

use crate::body::{Body, Heard};
use crate::clock::Clock;
use crate::headers;
use crate::reply::Ours;
use crate::traffic::recording::Recorder;
use crate::traffic::{Answered, Exchange};
use bytes::Bytes;
use hyper::header::{self, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use redact::Redactor;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Longest body that is written down: those of APIs are shorter, and uploads are of no use to learn from.
pub const MAX_BODY: usize = 4 << 20;

/// What is written down, and how.
#[derive(Clone, Copy, Debug, Default)]
pub struct Taste {
    /// No bodies.
    pub no_bodies: bool,
    /// Credentials and secrets are replaced.
    pub redact: bool,
}

/// What was written down so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Exchanges in the file.
    pub recorded: usize,
    /// Of those: with a body that was left out, because it is too long or breaks off.
    pub without_body: usize,
    /// Exchanges that came to no answer of the origin, or became a tunnel.
    pub unanswered: usize,
    /// Exchanges that the disk had no room for.
    pub lost: usize,
}

/// A recording that is being made.
pub struct Tape {
    reel: Mutex<Reel>,
    clock: Clock,
    taste: Taste,
}

struct Reel {
    recorder: Recorder,
    redactor: Option<Redactor>,
    tally: Tally,
}

impl Tape {
    /// Goes on with a recording.
    pub fn new(recorder: Recorder, taste: Taste) -> Arc<Tape> {
        Arc::new(Tape {
            reel: Mutex::new(Reel {
                recorder,
                redactor: taste.redact.then(Redactor::new),
                tally: Tally::default(),
            }),
            clock: Clock::default(),
            taste,
        })
    }

    /// Listens to a request. The origin is asked for a plain body: packed ones tell nobody anything.
    pub fn request(self: &Arc<Tape>, request: Request<Body>) -> (Request<Body>, Take) {
        let most = self.most();
        let take = Take(Arc::new(Half {
            begun: Instant::now(),
            heard: Mutex::new(HeardSoFar {
                exchange: asked(&request, self.clock.now_ms()),
                is_request_whole: false,
                left_out: false,
            }),
            tape: self.clone(),
        }));
        let half = take.0.clone();
        let mut request = request.map(|body| body.overheard(most, move |heard| half.sent(heard)));
        let plain = HeaderValue::from_static("identity");
        request.headers_mut().insert(header::ACCEPT_ENCODING, plain);
        (request, take)
    }

    /// What is in the file, once that is all there.
    ///
    /// # Errors
    /// What the disk says.
    pub fn finish(&self) -> io::Result<Tally> {
        let mut reel = self.reel();
        reel.recorder.flush()?;
        Ok(reel.tally)
    }

    fn most(&self) -> usize {
        match self.taste.no_bodies {
            true => 0,
            false => MAX_BODY,
        }
    }

    /// Nothing that holds the lock can panic.
    fn reel(&self) -> MutexGuard<'_, Reel> {
        self.reel.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reel {
    /// Each exchange is given to the system at once, so that a crash loses no more than the last; a page in
    /// its memory takes no time that anybody would notice.
    fn write(&mut self, exchange: &mut Exchange, left_out: bool) {
        if let Some(redactor) = &mut self.redactor {
            redactor.redact(exchange);
        }
        let written = self.recorder.write(exchange);
        match written.and_then(|()| self.recorder.flush()) {
            Ok(()) => {
                self.tally.recorded += 1;
                self.tally.without_body += usize::from(left_out);
            }
            Err(error) => {
                if self.tally.lost == 0 {
                    tracing::error!(%error, "the recording cannot be written: what passes now is lost to it");
                }
                self.tally.lost += 1;
            }
        }
    }
}

/// A request that is being answered.
pub struct Take(Arc<Half>);

/// An exchange, shared by its two bodies: whichever is over last, it is written down then.
struct Half {
    begun: Instant,
    heard: Mutex<HeardSoFar>,
    tape: Arc<Tape>,
}

struct HeardSoFar {
    exchange: Exchange,
    is_request_whole: bool,
    /// A body is left out.
    left_out: bool,
}

impl Take {
    /// Listens to the answer. What is answered in the origin's place is not recorded.
    pub fn answered(self, response: Response<Body>) -> Response<Body> {
        let is_switch = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        if is_switch || response.extensions().get::<Ours>().is_some() {
            return response;
        }
        let half = self.0;
        let most = half.tape.most();
        let took = u64::try_from(half.begun.elapsed().as_millis()).ok();
        let mut headers = response.headers().clone();
        headers::remove_hop_by_hop(&mut headers);
        {
            let mut heard = half.heard();
            heard.exchange.took_ms = took;
            heard.exchange.answer = Some(Answered {
                status: response.status().as_u16(),
                headers,
                body: None,
            });
        }
        response.map(|body| body.overheard(most, move |heard| half.received(heard)))
    }
}

impl Half {
    fn sent(&self, heard: Heard) {
        let mut so_far = self.heard();
        so_far.is_request_whole = heard.is_whole;
        if heard.bytes.is_none() {
            // Whoever reads this later has to know that there was one.
            let length = HeaderValue::from(heard.length);
            let headers = &mut so_far.exchange.headers;
            headers.insert(header::CONTENT_LENGTH, length);
            so_far.left_out = true;
        }
        so_far.exchange.body = heard.bytes.unwrap_or_default();
    }

    fn received(&self, heard: Heard) {
        let mut so_far = self.heard();
        let bytes = heard.bytes.filter(|_| heard.is_whole);
        so_far.left_out |= bytes.is_none();
        let is_head = so_far.exchange.method == Method::HEAD;
        if let Some(answer) = &mut so_far.exchange.answer {
            // These have none by their kind, and say nothing of the one that there is.
            answer.body = bytes.filter(|_| !is_head && answer.status != 304);
        }
    }

    /// Nothing that holds the lock can panic.
    fn heard(&self) -> MutexGuard<'_, HeardSoFar> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Half {
    fn drop(&mut self) {
        let heard = self.heard.get_mut().unwrap_or_else(PoisonError::into_inner);
        let mut reel = self
            .tape
            .reel
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // A request of which a part came was not the one that its client would have made.
        if heard.exchange.answer.is_none() || !heard.is_request_whole {
            reel.tally.unanswered += 1;
            return;
        }
        reel.write(&mut heard.exchange, heard.left_out);
    }
}

/// A request before its body, its headers end to end.
fn asked(request: &Request<Body>, at_ms: u64) -> Exchange {
    let mut headers = request.headers().clone();
    headers::remove_hop_by_hop(&mut headers);
    // HTTP/2 has no Host, and an absolute target counts before it.
    let host = request.uri().authority();
    let host = host.and_then(|host| HeaderValue::from_str(host.as_str()).ok());
    host.and_then(|host| headers.insert(header::HOST, host));
    let target = request.uri().path_and_query();
    Exchange {
        at_ms,
        took_ms: None,
        method: request.method().clone(),
        target: target.map_or("/", |target| target.as_str()).to_owned(),
        headers,
        body: Bytes::new(),
        answer: None,
    }
}

#[cfg(test)]
mod tests;

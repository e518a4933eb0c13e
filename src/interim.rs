//! Interim answers: what an origin says before it answers (RFC 9110 §15.2), told to the client as well.
//!
//! hyper's server cannot send them. But they are nothing but a head between two answers, and the stream
//! below hyper knows when it is between two: hyper flushes only what it has written, so a flush finds
//! nothing of an answer half written. What cannot be said before the answer begins is not said at all:
//! an interim answer is a courtesy, and one in the middle of an answer would be a wreck.

use crate::headers;
use bytes::{BufMut, Bytes, BytesMut};
use hyper::header::CONTENT_LENGTH;
use hyper::{HeaderMap, StatusCode};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

/// Bytes of interim answers to one request. A page hints at a few dozen files at most; what is beyond is
/// passed over.
const MAX_SAID: usize = 16 * 1024;

/// What an HTTP/1.1 connection has to say of interim answers, to the request that it is answering. But
/// for [`Interim::say`], all of it is for the one task that reads and writes the connection.
#[derive(Default)]
pub struct Outlet {
    state: Mutex<State>,
    /// Something may be said, or waits to be. While it is not, nobody need look at the state: most
    /// answers are made here, and nothing is ever said before them.
    is_stirred: AtomicBool,
}

#[derive(Default)]
struct State {
    /// Of the request that is being answered.
    number: u64,
    waiting: BytesMut,
    /// Bytes that were said to it, or wait to be.
    said: usize,
    /// The answer itself is next.
    is_over: bool,
    /// The task that writes.
    writer: Option<Waker>,
}

/// Where the interim answers to one request go.
#[derive(Clone)]
pub struct Interim {
    outlet: Arc<Outlet>,
    number: u64,
}

impl Outlet {
    /// Lets somebody speak before the answer to the request that is being answered. What was not said of
    /// the one before is left unsaid.
    pub fn open(self: &Arc<Outlet>) -> Interim {
        let mut state = self.state();
        self.is_stirred.store(true, Relaxed);
        state.number += 1;
        state.waiting.clear();
        state.said = 0;
        state.is_over = false;
        Interim {
            outlet: self.clone(),
            number: state.number,
        }
    }

    /// What is to be written now, between two answers.
    pub fn take(&self) -> Bytes {
        if !self.is_stirred.load(Relaxed) {
            return Bytes::new();
        }
        let mut state = self.state();
        self.is_stirred.store(!state.is_over, Relaxed);
        state.waiting.split().freeze()
    }

    /// The answer is next: who was let speak is late from now on.
    pub fn close(&self) {
        if self.is_stirred.load(Relaxed) {
            self.state().is_over = true;
        }
    }

    /// An answer is being written: if it is the one of the request that is being answered, it is too
    /// late to say more.
    pub fn pass_over(&self) {
        if !self.is_stirred.load(Relaxed) {
            return;
        }
        let mut state = self.state();
        if state.is_over {
            state.waiting.clear();
        }
    }

    /// Wakes this task when there is something to say.
    pub fn wake(&self, cx: &Context<'_>) {
        if !self.is_stirred.load(Relaxed) {
            return;
        }
        let mut state = self.state();
        let is_known = |writer: &Waker| writer.will_wake(cx.waker());
        if !state.writer.as_ref().is_some_and(is_known) {
            state.writer = Some(cx.waker().clone());
        }
    }

    /// Nothing that holds the lock can panic.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Interim {
    /// Has an interim answer sent, unless the answer itself has begun or too much was said already. 100 is
    /// left out: hyper says it when the body is wanted. So is 101, which ends what HTTP has to say.
    pub fn say(&self, status: StatusCode, headers: &HeaderMap) {
        let is_between = status.is_informational()
            && ![StatusCode::CONTINUE, StatusCode::SWITCHING_PROTOCOLS].contains(&status);
        if !is_between {
            return;
        }
        let head = head(status, headers);
        let mut state = self.outlet.state();
        let is_late = state.is_over || state.number != self.number;
        if is_late || state.said + head.len() > MAX_SAID {
            return;
        }
        state.said += head.len();
        state.waiting.extend_from_slice(&head);
        if let Some(writer) = &state.writer {
            writer.wake_by_ref();
        }
    }
}

fn head(status: StatusCode, headers: &HeaderMap) -> BytesMut {
    let mut headers = headers.clone();
    headers::remove_hop_by_hop(&mut headers);
    headers.remove(CONTENT_LENGTH); // RFC 9110 §8.6: a client might take it for a body's
    let mut head = BytesMut::new();
    head.put_slice(b"HTTP/1.1 ");
    head.put_slice(status.as_str().as_bytes());
    head.put_u8(b' ');
    head.put_slice(status.canonical_reason().unwrap_or_default().as_bytes());
    for (name, value) in &headers {
        head.put_slice(b"\r\n");
        head.put_slice(name.as_str().as_bytes());
        head.put_slice(b": ");
        head.put_slice(value.as_bytes());
    }
    head.put_slice(b"\r\n\r\n");
    head
}

#[cfg(test)]
mod tests {
    use super::*;

    const HINTS: StatusCode = StatusCode::EARLY_HINTS;

    fn link() -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("link", "</a>".parse().expect("a value"));
        headers.insert("connection", "close".parse().expect("a value"));
        headers.insert("content-length", "5".parse().expect("a value"));
        headers
    }

    #[test]
    fn interim_answers_are_heads_without_what_concerns_one_hop_or_a_body() {
        let outlet = Arc::new(Outlet::default());
        let interim = outlet.open();
        interim.say(HINTS, &link());
        interim.say(StatusCode::PROCESSING, &HeaderMap::new());
        let said = outlet.take();
        let wanted =
            "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n";
        assert_eq!(said, wanted);
        assert!(outlet.take().is_empty());
    }

    #[test]
    fn what_is_no_interim_answer_of_ours_is_not_said() {
        let outlet = Arc::new(Outlet::default());
        let interim = outlet.open();
        for status in [100, 101, 200, 404] {
            let status = StatusCode::from_u16(status).expect("a status");
            interim.say(status, &link());
        }
        assert!(outlet.take().is_empty());
    }

    #[test]
    fn nothing_is_said_once_the_answer_is_next_nor_of_an_earlier_request() {
        let outlet = Arc::new(Outlet::default());
        let first = outlet.open();
        first.say(HINTS, &link());
        outlet.pass_over();
        assert!(!outlet.take().is_empty(), "an earlier answer was written");
        first.say(HINTS, &link());
        outlet.close();
        first.say(HINTS, &link());
        outlet.pass_over();
        assert!(outlet.take().is_empty(), "the answer has begun");
        first.say(HINTS, &link());
        assert!(
            outlet.take().is_empty(),
            "nor for a request in which nobody is let speak"
        );
        let second = outlet.open();
        first.say(HINTS, &link());
        assert!(outlet.take().is_empty());
        second.say(HINTS, &link());
        assert!(!outlet.take().is_empty());
    }

    #[test]
    fn what_is_said_to_a_request_is_bounded() {
        let outlet = Arc::new(Outlet::default());
        let interim = outlet.open();
        let mut said = 0;
        for _ in 0..10_000 {
            interim.say(HINTS, &link());
            said += outlet.take().len();
        }
        assert!((1..=MAX_SAID).contains(&said), "{said}");
    }
}

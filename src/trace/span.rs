//! Pieces of work, told of when they are over: to the log, and to a collector where there is one. Nothing is
//! made for a request whose trace is not recorded.

use super::{Shown, SpanId, Trace, new_span};
use crate::outcome::Detail;
use hyper::{HeaderMap, Method, StatusCode};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tracing::Level;

/// What spans are logged under: `SIDECACHE_LOG=sidecache::span=trace`.
macro_rules! target {
    () => {
        "sidecache::span"
    };
}

/// What is done for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// All of it, until the head of its answer.
    Request,
    /// One look at the store.
    Look,
    /// One fetch of what may be kept, until it is.
    Fill,
    /// One request to the origin, until the head of its answer.
    Origin,
    /// One write and what it drops.
    Write,
    /// The store is told what a write drops.
    Bump,
    /// What a write's sets have asked for afterwards, until it is kept.
    Warm,
}

impl Work {
    /// The word.
    pub fn word(self) -> &'static str {
        match self {
            Work::Request => "request",
            Work::Look => "look",
            Work::Fill => "fill",
            Work::Origin => "origin",
            Work::Write => "write",
            Work::Bump => "bump",
            Work::Warm => "warm",
        }
    }
}

/// What became of a piece of work: words and numbers of ours, and names from the rules file. Nothing that its
/// client said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// One that is registered; any other is `_OTHER`.
    pub method: Option<&'static str>,
    /// The pattern of the rule's that the path fits.
    pub route: Option<String>,
    /// The rule.
    pub rule: Option<String>,
    /// What it came to, in a word.
    pub outcome: Option<&'static str>,
    /// Why, in a word.
    pub detail: Option<&'static str>,
    /// Of the answer.
    pub status: Option<u16>,
    /// How many nodes are dropped.
    pub dropped: Option<usize>,
    /// It failed.
    pub is_failure: bool,
}

impl Facts {
    /// Says what a request asks to have done.
    pub fn asks(&mut self, method: &Method) {
        self.method = Some(registered(method));
    }

    /// Says what it was answered.
    pub fn answered(&mut self, status: StatusCode) {
        self.status = Some(status.as_u16());
        self.is_failure |= status.is_server_error();
    }

    /// Says what went wrong.
    pub fn failed(&mut self, why: Detail) {
        self.detail = Some(why.word());
        self.is_failure = true;
    }
}

/// A method may be any word of its client's.
fn registered(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        Method::TRACE => "TRACE",
        Method::CONNECT => "CONNECT",
        _ => "_OTHER",
    }
}

/// A piece of work that is over.
#[derive(Clone, Debug)]
pub struct Finished {
    /// What was done.
    pub work: Work,
    /// Its trace; the span is its own.
    pub trace: Trace,
    /// What it was part of, here or elsewhere.
    pub parent: Option<SpanId>,
    /// When it was begun.
    pub begun: SystemTime,
    /// How long it took.
    pub took: Duration,
    /// What became of it.
    pub facts: Facts,
}

/// Takes spans away, to a collector of them.
pub trait Export: Send + Sync {
    /// Whether a trace is recorded, of which nothing is yet here.
    fn samples(&self, trace: &Trace) -> bool;

    /// Takes one. Never waits: what there is no room for is lost.
    fn export(&self, span: &Finished);

    /// Sends what it has, within this time. Blocks.
    fn flush(&self, patience: Duration);
}

/// Whom spans are told.
#[derive(Clone, Default)]
pub struct Tracer(Option<Arc<dyn Export>>);

impl Tracer {
    /// The log, and this one.
    pub fn to(export: Option<Arc<dyn Export>>) -> Tracer {
        Tracer(export)
    }

    /// A request, with the headers that it came with: nothing where nobody listens, and `is_logged` says that
    /// nobody wants to know its trace either.
    pub fn request(&self, headers: &HeaderMap, is_logged: bool) -> Span {
        let is_told = tracing::enabled!(target: target!(), Level::TRACE);
        if self.0.is_none() && !is_logged && !is_told {
            return Span(None);
        }
        let came = Trace::of(headers);
        let sampled = self.0.as_ref().map(|export| export.samples(&came));
        let trace = sampled.map_or(came, |is_sampled| came.sampled(is_sampled));
        match is_told || sampled == Some(true) {
            true => {
                let parent = (!came.is_begun).then_some(came.span);
                self.open(Work::Request, parent, trace.within(new_span()))
            }
            false => self.open(Work::Request, None, trace),
        }
    }

    /// What is done as a part of another piece of work, if that is recorded.
    pub fn part(&self, of: Option<&Trace>, work: Work) -> Span {
        match of.filter(|trace| trace.is_recorded) {
            Some(trace) => self.open(work, Some(trace.span), trace.within(new_span())),
            None => Span(None),
        }
    }

    fn open(&self, work: Work, parent: Option<SpanId>, trace: Trace) -> Span {
        let finished = Finished {
            work,
            trace,
            parent,
            begun: SystemTime::now(),
            took: Duration::ZERO,
            facts: Facts::default(),
        };
        Span(Some(Box::new(Open {
            tracer: self.clone(),
            begun: Instant::now(),
            finished,
        })))
    }

    /// Has what is not sent yet sent, at the end. Returns when it is, or after `patience`.
    pub async fn flush(&self, patience: Duration) {
        let Some(export) = self.0.clone() else { return };
        let flushed = tokio::task::spawn_blocking(move || export.flush(patience));
        let _ = tokio::time::timeout(patience, flushed).await; // what is late is lost
    }
}

/// A piece of work under way, told of when this is dropped: also where nobody waits for it any more.
#[must_use = "it ends when it is dropped"]
pub struct Span(Option<Box<Open>>);

struct Open {
    tracer: Tracer,
    begun: Instant,
    finished: Finished,
}

impl Span {
    /// The trace, for what is part of this piece of work, if anybody wants to know it.
    pub fn trace(&self) -> Option<Trace> {
        self.0.as_ref().map(|open| open.finished.trace)
    }

    /// Notes what became of it, if it is told of.
    pub fn note(&mut self, say: impl FnOnce(&mut Facts)) {
        if let Some(open) = &mut self.0
            && open.finished.trace.is_recorded
        {
            say(&mut open.finished.facts);
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let span = &mut self.finished;
        if !span.trace.is_recorded {
            return;
        }
        span.took = self.begun.elapsed();
        log(span);
        if let Some(export) = &self.tracer.0
            && span.trace.is_sampled()
        {
            export.export(span);
        }
    }
}

fn log(span: &Finished) {
    let facts = &span.facts;
    tracing::trace!(
        target: target!(),
        trace_id = %span.trace,
        span_id = %Shown(span.trace.span),
        parent_id = span.parent.map(Shown).map(tracing::field::display),
        method = facts.method,
        route = facts.route,
        rule = facts.rule,
        outcome = facts.outcome,
        detail = facts.detail,
        status = facts.status,
        dropped = facts.dropped,
        took_ms = span.took.as_secs_f64() * 1000.0,
        "{}", span.work.word()
    );
}

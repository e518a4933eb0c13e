//! One request, start to finish: hit | fill | write | pass.

mod behind; // a fetch that no client waits for
mod limit; // whether it is one too many
mod observe; // what a rule would answer
mod part; // what it answers to a range
mod passed; // what no rule is there for, looked at
mod read; // what a rule answers
mod warm; // what is asked for after a write

use crate::asked::Asked;
use crate::body::{self, Body, Read};
use crate::client::Client;
use crate::groups;
use crate::head::Head;
use crate::headers::{self, Seen};
use crate::limits;
use crate::live::{Ground, Live};
use crate::outcome::{Detail, Outcome, Verdict};
use crate::refuse::{self, Refusal};
use crate::reply;
use crate::rules::table::{Rule, Stage};
use crate::targets::Target;
use crate::trace::{Span, Trace};
use crate::way::{self, Way};
use crate::write::{self, NoAnswer, Write};
use bytes::Bytes;
use hyper::body::Body as _;
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;
use tracing::Level;

/// RFC 9211.
const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// A request with what the connection knows of it.
struct Exchange {
    live: Arc<Live>,
    client: Client,
    head: Arc<Head>,
    body: Body,
}

/// An answer and how it came about.
struct Answer {
    response: Response<Body>,
    verdict: Verdict,
    rule: Option<Arc<Rule>>,
}

/// What an exchange comes to: an answer that is at hand, as most are, or one that has to be waited for,
/// set apart on the heap so that the others do not pay for its size.
#[expect(
    clippy::large_enum_variant,
    reason = "one a request, and the large one is the usual"
)]
enum Course {
    Answered(Option<Answer>),
    Goes(Pin<Box<dyn Future<Output = Answer> + Send>>),
}

/// A request that is being answered.
pub struct Answering {
    live: Arc<Live>,
    begun: Instant,
    span: Span,
    course: Course,
}

/// Answers one request.
pub fn answer(live: Arc<Live>, client: Client, request: Request<Body>) -> Answering {
    let begun = Instant::now();
    let max_body = live.table.proxy.limits.max_body;
    let seen = Seen::of(request.headers());
    let tracer = &live.ground.tracer;
    let mut span = tracer.request(request.headers(), tracing::enabled!(Level::DEBUG));
    span.note(|facts| facts.asks(request.method()));
    let course = match refuse::admit(request, seen, client.standing, max_body) {
        Ok(request) => Exchange::new(live.clone(), client, request, seen, span.trace()).begin(),
        Err(refusal) => Course::answered(Answer::refused(&refusal)),
    };
    Answering {
        live,
        begun,
        span,
        course,
    }
}

impl Future for Answering {
    type Output = Response<Body>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Response<Body>> {
        let answer = match &mut self.course {
            Course::Answered(answer) => answer.take().expect("what has ended is polled no more"),
            Course::Goes(exchange) => std::task::ready!(exchange.as_mut().poll(cx)),
        };
        answer.tell(&mut self.span);
        Poll::Ready(answer.counted_and_labelled(&self.live, self.begun, &self.span))
    }
}

impl Course {
    fn answered(answer: Answer) -> Course {
        Course::Answered(Some(answer))
    }

    fn goes(exchange: impl Future<Output = Answer> + Send + 'static) -> Course {
        Course::Goes(Box::pin(exchange))
    }

    async fn finish(self) -> Answer {
        match self {
            Course::Answered(answer) => answer.expect("it was not polled yet"),
            Course::Goes(exchange) => exchange.await,
        }
    }
}

impl Exchange {
    /// Part of a `trace`, if that is known already.
    fn new(
        live: Arc<Live>,
        client: Client,
        request: Request<Body>,
        seen: Seen,
        trace: Option<Trace>,
    ) -> Exchange {
        let (parts, body) = request.into_parts();
        let (proxy, identity) = (&live.table.proxy, live.table.identity.as_ref());
        let body = body.within(proxy.limits.max_body, proxy.limits.body_timeout);
        let mut head = Head::of(parts, seen, client.peer.clone(), proxy, identity);
        head.join(trace);
        let head = Arc::new(head);
        Exchange {
            live,
            client,
            head,
            body,
        }
    }

    /// Answers what can be answered without waiting, once it is known to be within its limits.
    fn begin(self) -> Course {
        let recalled = self.recalled();
        let is_limited = match &recalled {
            Some(target) => target.is_limited,
            None => limits::concern(&self.live.table, &self.head),
        };
        match is_limited {
            true => Course::goes(self.set_out_within_limits(recalled)),
            false => self.set_out(recalled),
        }
    }

    /// Goes the way that its head says, or that was worked out of its target before.
    fn set_out(self, recalled: Option<Arc<Target>>) -> Course {
        let (live, head) = (self.live.clone(), self.head.clone());
        let has_body = !self.body.is_end_stream();
        if let Some(target) = recalled {
            let asked = Asked::again(&live, target.clone(), &head);
            return self.hold(&target.rule, asked);
        }
        match Way::of(&live.table, &head, has_body) {
            Way::EndsHere => Course::answered(self.end_here()),
            Way::Read(matched) if !has_body => {
                let asked = Asked::of(&live, &matched, &head, None);
                self.hold(matched.what, asked)
            }
            Way::Read(_) => Course::goes(self.hold_with_body()),
            Way::Write(outcome) => Course::goes(self.write(outcome)),
            Way::Bypass(rule, detail) => Course::goes(self.bypass(rule.clone(), detail)),
            Way::Pass if !has_body => match self.look() {
                Some(look) => Course::goes(self.pass_seen(look)),
                None => Course::goes(self.forward(None, Verdict::plain(Outcome::Pass))),
            },
            Way::Tunnel | Way::Pass => {
                Course::goes(self.forward(None, Verdict::plain(Outcome::Pass)))
            }
        }
    }

    /// What was worked out of its target before. Only what a rule is there for was, and with nothing about
    /// the request that could lead it another way.
    fn recalled(&self) -> Option<Arc<Target>> {
        let head = &self.head;
        let has_body = !self.body.is_end_stream();
        let is_plain = head.methods().len() == 1 && head.offered.is_none();
        let reads = is_plain && !has_body && !head.ends_here;
        reads.then(|| self.live.recall(&head.parts)).flatten()
    }

    /// Goes by a rule, if the request may use it.
    fn hold(self, rule: &Arc<Rule>, asked: Result<Asked, Detail>) -> Course {
        match asked {
            Ok(asked) if rule.stage == Stage::Observe => {
                Course::goes(self.observe(Arc::new(asked)))
            }
            Ok(asked) => self.read(asked),
            Err(detail) => Course::goes(self.bypass(rule.clone(), detail)),
        }
    }

    async fn hold_with_body(mut self) -> Answer {
        let (live, head) = (self.live.clone(), self.head.clone());
        let Some(matched) = live.table.read(&head.parts.method, head.parts.uri.path()) else {
            unreachable!("it matched before its body was read");
        };
        let body = self.read_keyed_body().await;
        let asked = body.and_then(|body| Asked::of(&live, &matched, &head, body.as_ref()));
        let course = self.hold(matched.what, asked);
        course.finish().await
    }

    /// Answers in the origin's place (RFC 9110 §7.6.2). A TRACE is not reflected: it would show what
    /// proxies before us have added, and credentials to whoever made a page send it.
    fn end_here(&self) -> Answer {
        match self.head.parts.method {
            Method::OPTIONS => Answer {
                response: Response::new(Body::empty()),
                verdict: Verdict::plain(Outcome::Pass),
                rule: None,
            },
            _ => Answer::refused(&Refusal {
                status: StatusCode::NOT_IMPLEMENTED,
                why: "TRACE is not answered here",
            }),
        }
    }

    async fn bypass(self, rule: Arc<Rule>, detail: Detail) -> Answer {
        if let Detail::ClientGone | Detail::ClientSlow | Detail::RequestTooLarge = detail {
            return Answer::failed(detail, Some(rule), self.head.trace());
        }
        let verdict = Verdict::because(Outcome::Bypass, detail);
        self.forward(Some(rule), verdict).await
    }

    /// A body on a GET shapes nothing that a key holds; elsewhere it may, up to a size.
    async fn read_keyed_body(&mut self) -> Result<Option<Bytes>, Detail> {
        if write::is_safe(&self.head.parts.method) {
            return Err(Detail::UnkeyedBody);
        }
        let limit = self.live.table.proxy.max_keyed_body;
        let (read, body) = match body::read_up_to(std::mem::take(&mut self.body), limit).await {
            Read::Whole(bytes) => (Ok(Some(bytes.clone())), Body::full(bytes)),
            Read::Longer(body) => (Err(Detail::BodyTooLarge), body),
            Read::Broken(error) => (Err(error.detail()), Body::empty()),
        };
        self.body = body;
        read
    }

    async fn write(self, outcome: Outcome) -> Answer {
        let head = self.head;
        let mut parts = head.parts.clone();
        parts.headers = head.corrected();
        let Ground { passing, clock, .. } = &self.live.ground;
        let (method, path) = (&parts.method, parts.uri.path());
        let writing = passing.sets_out(&self.live.table, method, path, clock);
        let write = Write {
            then: Some(warm::after(&self.live, &head)),
            live: self.live,
            body: self.body,
            forwarding: head.forwarding().clone(),
            trace: *head.trace(),
            methods: head.methods().to_vec(),
            interim: self.client.interim(parts.version),
            on_behalf: self.client.on_behalf(),
            parts,
            begun_ms: 0,
        };
        let answer = write.begin().await;
        if let Some(writing) = writing {
            let answer = answer.as_ref().ok().and_then(|answer| answer.as_ref().ok());
            writing.answered(answer.map(Response::status));
        }
        match answer {
            Ok(Ok(response)) => Answer {
                response,
                verdict: Verdict::plain(outcome),
                rule: None,
            },
            Ok(Err(NoAnswer::Failed(failure))) => {
                Answer::failed(failure.detail(), None, head.trace())
            }
            Ok(Err(NoAnswer::StoreDown)) => Answer::store_down(),
            Err(_died) => Answer::failed(Detail::OriginBroken, None, head.trace()),
        }
    }

    /// Forwards the client's own request and keeps nothing.
    async fn forward(mut self, rule: Option<Arc<Rule>>, verdict: Verdict) -> Answer {
        let has_body = !self.body.is_end_stream();
        let may_switch = rule.is_none() && way::may_switch(&self.live.table, &self.head, has_body);
        let headers = Head::take_corrected(&mut self.head);
        let mut request = self.own_request(headers);
        self.head.forwarding().onto(request.headers_mut());
        if let Some(offered) = self.head.offered.clone().filter(|_| may_switch) {
            headers::offer_switch(request.headers_mut(), offered);
        }
        let trace = *self.head.trace();
        let answer = self.live.ask(request, rule.as_deref(), trace).await;
        let methods = self.head.methods();
        if write::may_change(methods) {
            write::heed_others(&self.live, &answer).await;
        }
        if let Ok(answer) = &answer {
            groups::heed(&self.live, methods, answer).await;
        }
        match answer {
            Ok(response) => Answer {
                response,
                verdict,
                rule,
            },
            Err(failure) => Answer::failed(failure.detail(), rule, &trace),
        }
    }

    /// The client's own request, with these headers of it.
    fn own_request(&mut self, headers: HeaderMap) -> Request<Body> {
        let mut request = Request::new(std::mem::take(&mut self.body));
        let parts = &self.head.parts;
        *request.method_mut() = parts.method.clone();
        *request.uri_mut() = parts.uri.clone();
        *request.headers_mut() = headers;
        let interim = self.client.interim(parts.version);
        interim.and_then(|interim| request.extensions_mut().insert(interim));
        request
    }
}

impl Answer {
    fn refused(refusal: &Refusal) -> Answer {
        let mut response = reply::error(refusal.status, refusal.why, Detail::Refused);
        response
            .headers_mut()
            .insert(header::CONNECTION, HeaderValue::from_static("close"));
        Answer {
            response,
            verdict: Verdict::because(Outcome::Error, Detail::Refused),
            rule: None,
        }
    }

    /// A write that `on_down = "refuse"` keeps from happening unseen by the fleet.
    fn store_down() -> Answer {
        let verdict = Verdict::because(Outcome::Error, Detail::StoreDown);
        Answer {
            response: reply::try_later(),
            verdict,
            rule: None,
        }
    }

    fn nothing_kept(rule: Arc<Rule>) -> Answer {
        Answer {
            response: reply::nothing_kept(),
            verdict: Verdict::because(Outcome::Error, Detail::OnlyIfCached),
            rule: Some(rule),
        }
    }

    fn failed(detail: Detail, rule: Option<Arc<Rule>>, trace: &Trace) -> Answer {
        Answer {
            response: reply::origin_failed(detail, trace),
            verdict: Verdict::because(Outcome::Error, detail),
            rule,
        }
    }

    /// Says what the request came to. Of its path no more than the pattern that it fits.
    fn tell(&self, span: &mut Span) {
        span.note(|facts| {
            facts.answered(self.response.status());
            facts.outcome = Some(self.verdict.outcome.word());
            facts.detail = self.verdict.detail.map(Detail::word);
            if let Some(rule) = &self.rule {
                facts.rule = Some(rule.name.clone());
                facts.route = rule.only_pattern().map(ToString::to_string);
            }
        });
    }

    fn counted_and_labelled(mut self, live: &Live, begun: Instant, span: &Span) -> Response<Body> {
        let took = begun.elapsed();
        live.counts(self.rule.as_deref())
            .request(self.verdict.outcome, took);
        tracing::debug!(
            trace_id = span.trace().map(tracing::field::display),
            rule = self.rule.as_ref().map_or("-", |rule| &rule.name),
            outcome = self.verdict.outcome.word(),
            detail = self.verdict.detail.map(Detail::word),
            status = self.response.status().as_u16(),
            took_ms = took.as_secs_f64() * 1000.0,
            "answered"
        );
        if live.table.proxy.cache_status
            && let Ok(value) = HeaderValue::from_bytes(self.verdict.cache_status().as_bytes())
        {
            self.response.headers_mut().append(CACHE_STATUS, value);
        }
        self.response
    }
}

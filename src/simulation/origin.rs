//! The scripted origin: registers, each a number that `PATCH` raises by one and `GET` reads. It
//! carries on with a write whose connection broke, as a backend does that has begun its transaction.

use super::checker::Checker;
use super::dice::Dice;
use super::history::{Fault, History};
use super::{LATE, ORIGIN_TIMEOUT, REGISTERS};
use crate::body::{Body, BodySender};
use crate::origin::{Failure, FailureKind};
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Frame;
use hyper::http::response::Builder;
use hyper::{HeaderMap, Request, Response};
use std::future::pending;
use std::io;
use std::sync::{Arc, Mutex};
use tokio::time::{Duration, sleep, timeout};
use tokio_util::sync::CancellationToken;

/// The number of a write.
pub const WRITE: &str = "x-write";

/// The query of pages that have a tag: a 304 says of them that they still hold.
pub const VALIDATED: &str = "p=1";

type Answer = Result<Response<Body>, Failure>;

/// The origin.
pub struct Origin {
    registers: Mutex<[u64; REGISTERS]>,
    dice: Mutex<Dice>,
    history: Arc<History>,
    checker: Arc<Checker>,
}

/// What becomes of one exchange.
struct Plan {
    fault: Option<Fault>,
    /// Until the request is there.
    there: Duration,
    /// Until it is carried out.
    before: Duration,
    /// Until it is answered.
    after: Duration,
    body: Shape,
}

/// How the body of an answer is sent.
#[derive(Clone, Copy)]
enum Shape {
    /// At once.
    Whole,
    /// In pieces, with or without a declared length.
    Pieces { has_length: bool, pause: Duration },
}

impl Plan {
    fn drawn(dice: &mut Dice, history: &History, faults: &[Fault]) -> Plan {
        let is_faulty = dice.in_thousand(history.likely().origin);
        let fault = is_faulty.then(|| dice.one_of(faults));
        if let Some(fault) = fault {
            history.injected(fault);
        }
        let slow = matches!(fault, Some(Fault::Slow | Fault::CommittedLate));
        let pieces = Shape::Pieces {
            has_length: dice.in_thousand(500),
            pause: dice.ms(0, 15),
        };
        Plan {
            fault,
            there: dice.ms(0, 4),
            before: dice.ms(0, 8),
            after: if slow {
                dice.ms(40, 250)
            } else {
                dice.ms(0, 12)
            },
            body: dice.one_of(&[Shape::Whole, pieces]),
        }
    }
}

impl Origin {
    pub fn new(history: Arc<History>, checker: Arc<Checker>, dice: Dice) -> Origin {
        Origin {
            registers: Mutex::new([0; REGISTERS]),
            dice: Mutex::new(dice),
            history,
            checker,
        }
    }

    /// Answers a sidecar's request, unless that is killed meanwhile.
    pub async fn ask(
        self: Arc<Origin>,
        death: CancellationToken,
        request: Request<Body>,
    ) -> Answer {
        let answered = timeout(ORIGIN_TIMEOUT, self.answer(death.clone(), request));
        tokio::select! {
            biased;
            () = death.cancelled() => pending().await,
            answered = answered => {
                answered.unwrap_or_else(|_| Err(Failure::after(FailureKind::Timeout, None)))
            }
        }
    }

    async fn answer(self: Arc<Origin>, death: CancellationToken, request: Request<Body>) -> Answer {
        let is_read = request.method() == "GET";
        let faults = match is_read {
            true => &Fault::OF_READS[..],
            false => &Fault::OF_WRITES,
        };
        let plan = {
            let mut dice = self.dice.lock().expect("not poisoned");
            Plan::drawn(&mut dice, &self.history, faults)
        };
        if plan.fault == Some(Fault::Unreachable) {
            let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
            return Err(Failure::before(FailureKind::Connect, refused));
        }
        sleep(plan.there).await;
        match is_read {
            true => self.read(death, request, plan).await,
            false => self.write(death, request, plan).await,
        }
    }

    async fn read(&self, death: CancellationToken, request: Request<Body>, plan: Plan) -> Answer {
        let (made, values) = (
            self.history.now().as_millis(),
            *self.registers.lock().expect("not poisoned"),
        );
        let path = request.uri().path().to_owned();
        let language = language(request.headers());
        self.history
            .tell(format!("origin: {path} {language} is {values:?}"));
        sleep(plan.before + plan.after).await;
        let head = Response::builder().header("content-type", "text/plain");
        let values = values.map(|value| value.to_string()).join(",");
        let tag = format!("\"{values}\"");
        let can_be_validated = request.uri().query() == Some(VALIDATED);
        let head = match path.starts_with("/spoken/") {
            true => head.header("vary", "accept-language"),
            false if path.starts_with("/grouped/") => {
                let register = path.rsplit('/').next().unwrap_or_default();
                head.header("cache-groups", format!("\"{register}\", \"all\""))
            }
            false if can_be_validated => head.header("etag", &tag),
            false => head,
        };
        // Twice, so that a mixture of two answers shows.
        let text = format!("{made}|{language}|{values}|{made}|{language}|{values}");
        match plan.fault {
            Some(Fault::Failed) => Ok(sent(head.status(500), "failed".into(), &plan, death)),
            Some(Fault::LostAfterCommit) => Err(Failure::after(FailureKind::Closed, None)),
            _ if request
                .headers()
                .get("if-none-match")
                .is_some_and(|theirs| *theirs == *tag) =>
            {
                let head = head.status(304).body(Body::empty());
                Ok(head.expect("the head is well-formed"))
            }
            _ => Ok(sent(head, text, &plan, death)),
        }
    }

    async fn write(
        self: Arc<Origin>,
        death: CancellationToken,
        request: Request<Body>,
        plan: Plan,
    ) -> Answer {
        let id = number(request.headers(), WRITE);
        let path = request.uri().path();
        let register = path.rsplit('/').next().and_then(|last| last.parse().ok());
        let register: usize = register.expect("a register");
        if request.into_body().collect().await.is_err() {
            return Err(Failure::after(FailureKind::RequestBody, None));
        }
        let uncommitted = match plan.fault {
            Some(Fault::Refused) => Some(Ok(409)),
            Some(Fault::LostBeforeCommit) => Some(Err(())),
            _ => None,
        };
        let value = match uncommitted {
            Some(_) => {
                sleep(plan.before).await;
                0
            }
            None => self.committed(id, register, &plan).await,
        };
        sleep(plan.after).await;
        let status = match (uncommitted, plan.fault) {
            (Some(Ok(status)), _) => status,
            (Some(Err(())), _) | (_, Some(Fault::LostAfterCommit)) => {
                return Err(Failure::after(FailureKind::Closed, None));
            }
            (_, Some(Fault::FailedAfterCommit)) => 500,
            _ => 200,
        };
        let head = Response::builder()
            .header("content-type", "application/json")
            .header("cache-group-invalidation", format!("\"{register}\""));
        let text = format!("{{\"n\":{value},\"register\":\"{register}\"}}");
        Ok(sent(head.status(status), text, &plan, death))
    }

    /// Commits though nobody may wait for it any more.
    async fn committed(self: &Arc<Origin>, id: u64, register: usize, plan: &Plan) -> u64 {
        let origin = self.clone();
        let before = match plan.fault {
            Some(Fault::CommittedLate) => ORIGIN_TIMEOUT + plan.after.min(LATE),
            _ => plan.before,
        };
        let commit = tokio::spawn(async move {
            sleep(before).await;
            let mut registers = origin.registers.lock().expect("not poisoned");
            registers[register] += 1;
            let value = registers[register];
            drop(registers);
            origin.checker.committed(id, value);
            value
        });
        commit.await.expect("it commits")
    }
}

fn sent(head: Builder, text: String, plan: &Plan, death: CancellationToken) -> Response<Body> {
    let text = Bytes::from(text);
    let breaks = plan.fault == Some(Fault::BodyBroken);
    let stalls = plan.fault == Some(Fault::BodyStalled);
    let shape = match plan.body {
        Shape::Whole if breaks || stalls => Shape::Pieces {
            has_length: true,
            pause: Duration::ZERO,
        },
        shape => shape,
    };
    let body = match shape {
        Shape::Whole => Body::full(text),
        Shape::Pieces { has_length, pause } => {
            let (sender, body) = Body::channel(has_length.then_some(text.len() as u64));
            let stall = if stalls {
                ORIGIN_TIMEOUT * 3 / 2
            } else {
                pause
            };
            tokio::spawn(async move {
                tokio::select! {
                    biased;
                    () = death.cancelled() => {}
                    () = pieces(sender, text, stall, breaks) => {}
                }
            });
            body
        }
    };
    head.body(body).expect("the head is well-formed")
}

/// Three pieces; the last does not come where it `breaks`.
async fn pieces(sender: BodySender, mut text: Bytes, pause: Duration, breaks: bool) {
    for rest in [2, 1] {
        let piece = text.split_to(text.len() / (rest + 1));
        sleep(pause).await;
        if sender.send(Frame::data(piece)).await.is_err() {
            return;
        }
    }
    sleep(pause).await;
    if breaks {
        return sender.abort();
    }
    let _ = sender.send(Frame::data(text)).await; // the reader may be gone
    sender.finish();
}

fn number(headers: &HeaderMap, name: &str) -> u64 {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    value.and_then(|text| text.parse().ok()).expect("a number")
}

fn language(headers: &HeaderMap) -> &str {
    let value = headers.get("accept-language");
    value.and_then(|value| value.to_str().ok()).unwrap_or("-")
}

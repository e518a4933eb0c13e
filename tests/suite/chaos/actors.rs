//! Those who read, who write, and who ask the sidecars how they are.

use super::dice::Dice;
use super::history::{Connected, Fault, Poll, Read, Write};
use super::origin::{AFTER, BEFORE, THEN, WRITE};
use super::{Fleet, ORIGIN_TIMEOUT, POLL_EVERY, REGISTERS, SIDECARS};
use crate::redis::PATIENCE;
use crate::world::{Got, request};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Error, Request};
use hyper_util::rt::TokioIo;
use std::net::SocketAddr;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_util::task::AbortOnDropHandle;

/// A client with one connection, kept alive. It has none again once anything went wrong.
#[derive(Default)]
struct Client(Option<Connection>);

struct Connection {
    to: SocketAddr,
    sender: SendRequest<Full<Bytes>>,
    _driver: AbortOnDropHandle<Result<(), Error>>,
}

impl Connection {
    async fn open(to: SocketAddr) -> Option<Connection> {
        let stream = TcpStream::connect(to).await.ok()?;
        stream.set_nodelay(true).ok()?;
        let (sender, driver) = handshake(TokioIo::new(stream)).await.ok()?;
        Some(Connection {
            to,
            sender,
            _driver: AbortOnDropHandle::new(tokio::spawn(driver)),
        })
    }

    async fn ask(&mut self, request: Request<Full<Bytes>>) -> Option<Got> {
        let response = self.sender.send_request(request).await.ok()?;
        let (head, body) = response.into_parts();
        Some(Got {
            status: head.status.as_u16(),
            headers: head.headers,
            body: body.collect().await.ok()?.to_bytes(),
        })
    }
}

impl Client {
    /// The whole answer, if there was one.
    async fn ask(&mut self, to: SocketAddr, request: Request<Full<Bytes>>) -> Option<Got> {
        let mut connection = match self.0.take() {
            Some(connection) if connection.to == to && !connection.sender.is_closed() => connection,
            _ => Connection::open(to).await?,
        };
        let got = timeout(PATIENCE, connection.ask(request)).await;
        let got = got.expect("neither an answer nor an end of the connection")?;
        self.0 = Some(connection);
        Some(got)
    }
}

/// Reads registers through all sidecars until the run is over.
pub async fn read(fleet: &Fleet, mut dice: Dice) {
    let mut clients: [Client; SIDECARS] = Default::default();
    while !fleet.over() {
        let (register, through) = (dice.below(REGISTERS), dice.below(SIDECARS));
        let target = match dice.once_in(3) {
            true => format!("/page/{register}?p={}", dice.below(2)),
            false => format!("/one/{register}"),
        };
        let to = fleet.doors(through).proxy;
        let begun = fleet.history.now();
        let got = clients[through]
            .ask(to, request("GET", &target, &[], ""))
            .await;
        let got = got.filter(|got| got.status == 200);
        fleet.history.note(|records| match got {
            Some(got) => records.reads.push(Read {
                register,
                through,
                begun,
                value: u64::try_from(got.n()).expect("registers hold no less than 0"),
                hit: got.outcome() == "hit",
            }),
            None => records.unanswered += 1,
        });
        sleep(dice.ms(1, 5)).await; // so many clients, and no more
    }
}

/// A write before it is sent: where, and what the origin and its client will do with it.
struct Plan {
    id: u64,
    register: usize,
    through: usize,
    fault: Option<Fault>,
    before: Duration,
    after: Duration,
}

impl Plan {
    fn drawn(dice: &mut Dice, id: u64) -> Plan {
        let fault = match dice.below(20) {
            0..=2 => Some(Fault::FailedAfterCommit),
            3 | 4 => Some(Fault::LostAfterCommit),
            5 | 6 => Some(Fault::ClientLeft),
            7 if dice.once_in(2) => Some(Fault::CommittedLate),
            _ => None,
        };
        let before = match fault {
            Some(Fault::CommittedLate) => ORIGIN_TIMEOUT + dice.ms(10, 300),
            _ => dice.ms(0, 10),
        };
        // Now and then there is time to be killed between commit and bump.
        let after = match dice.once_in(6) {
            true => dice.ms(100, 400),
            false => dice.ms(0, 10),
        };
        Plan {
            id,
            register: dice.mostly_small(REGISTERS),
            through: dice.below(SIDECARS),
            fault,
            before,
            after,
        }
    }

    fn target(&self) -> String {
        format!("/raise/{}", self.register)
    }

    fn headers(&self) -> [(&'static str, String); 4] {
        let then = match self.fault {
            Some(Fault::FailedAfterCommit) => "fail",
            Some(Fault::LostAfterCommit) => "lose",
            _ => "answer",
        };
        [
            (WRITE, self.id.to_string()),
            (BEFORE, self.before.as_millis().to_string()),
            (AFTER, self.after.as_millis().to_string()),
            (THEN, then.to_owned()),
        ]
    }

    fn request(&self) -> Request<Full<Bytes>> {
        let headers = self.headers();
        let headers: Vec<_> = headers
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        request("PATCH", &self.target(), &headers, BODY)
    }

    /// Sends all of it or half of its body, and leaves.
    async fn leave(&self, to: SocketAddr, dice: &mut Dice) -> Option<()> {
        let mut stream = TcpStream::connect(to).await.ok()?;
        let headers: String = self
            .headers()
            .iter()
            .map(|(name, value)| format!("{name}: {value}\r\n"))
            .collect();
        let (target, length) = (self.target(), BODY.len());
        let sent = if dice.once_in(4) { length / 2 } else { length };
        let text = format!(
            "PATCH {target} HTTP/1.1\r\nhost: api.test\r\n{headers}content-length: {length}\r\n\r\n{}",
            &BODY[..sent]
        );
        stream.write_all(text.as_bytes()).await.ok()?;
        sleep(dice.ms(0, 30)).await; // the moment of leaving is what is drawn
        Some(())
    }
}

const BODY: &str = r#"{"by": 1}"#;

/// Writes registers through all sidecars until the writing is over.
pub async fn write(fleet: &Fleet, mut dice: Dice) {
    let mut clients: [Client; SIDECARS] = Default::default();
    while !fleet.quiet.load(SeqCst) {
        let plan = Plan::drawn(&mut dice, fleet.writes.fetch_add(1, SeqCst));
        let to = fleet.doors(plan.through).proxy;
        let begun = fleet.history.now();
        let got = match plan.fault {
            Some(Fault::ClientLeft) => {
                plan.leave(to, &mut dice).await;
                None
            }
            _ => clients[plan.through].ask(to, plan.request()).await,
        };
        let answered = got.map(|got| (fleet.history.now(), got.status));
        if let Some(fault) = plan.fault {
            fleet.history.injected(fault, Some(plan.through), begun);
        }
        fleet.history.note(|records| {
            records.writes.push(Write {
                id: plan.id,
                register: plan.register,
                through: plan.through,
                begun,
                answered,
                commit: None,
                fault: plan.fault,
            });
        });
        sleep(dice.ms(10, 100)).await;
    }
}

/// Asks one sidecar how it is until the run is over.
pub async fn poll(fleet: &Fleet, through: usize) {
    let mut client = Client::default();
    while !fleet.over() {
        let doors = fleet.doors(through);
        let begun = fleet.history.now();
        let metrics = request("GET", "/metrics", &[("host", "localhost")], "");
        let got = client.ask(doors.admin, metrics).await;
        let poll = Poll {
            begun,
            ended: fleet.history.now(),
            connected: got.and_then(|got| connected(&got.text(), doors.incarnation)),
        };
        fleet
            .history
            .note(|records| records.polls[through].push(poll));
        sleep(POLL_EVERY).await;
    }
}

/// What the metrics tell of the connection to Redis, where there is one.
fn connected(metrics: &str, incarnation: u64) -> Option<Connected> {
    let metric = |name: &str| -> u64 {
        let value = metrics.lines().find_map(|line| line.strip_prefix(name));
        value.map_or(0, |value| value.trim().parse().expect("a number"))
    };
    (metric("sidecache_store_up ") == 1).then(|| Connected {
        incarnation,
        pings: metric("sidecache_store_commands_total{command=\"ping\"} "),
        owed: metric("sidecache_invalidations_owed "),
    })
}

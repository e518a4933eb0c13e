//! People who read through both sidecars, by connections that stay open, while one writes.

use super::super::world::{Call, Program};
use super::town::Town;
use crate::chaos::Dice;
use crate::world::{Got, request};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

/// Connections; every other one is to the same sidecar.
const READERS: u64 = 8;

/// Each asks so often, if it is answered in time: some hundreds a second are asked by all.
const ASKS_EVERY: Duration = Duration::from_millis(16);

/// What is asked for, and what came of it.
#[derive(Default)]
pub struct Traffic {
    reads: Mutex<Arc<Vec<Call>>>,
    is_over: AtomicBool,
    pub requests: AtomicU64,
    pub hits: AtomicU64,
}

impl Traffic {
    /// Reads until `writes` were made, one each time that `pause` has passed and the one before is answered: all
    /// kinds, in an order of the dice's.
    pub async fn pass(
        town: &mut Town<'_>,
        sidecars: &[Program; 2],
        kinds: &[&'static str],
        (writes, pause): (usize, Duration),
        dice: &mut Dice,
    ) -> (Arc<Traffic>, Duration) {
        let begun = Instant::now();
        let traffic = Arc::new(Traffic::default());
        traffic.reads_are(town.reads());
        let mut readers = JoinSet::new();
        for reader in 0..READERS {
            let sidecar = sidecars[(reader % 2) as usize].address;
            readers.spawn(traffic.clone().read(sidecar, dice.another()));
        }
        let (mut paced, mut deck) = (interval(pause), Vec::new());
        paced.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for number in 0..writes {
            paced.tick().await;
            let kind = dice.card(&mut deck, kinds);
            town.write(kind, sidecars[number % 2].address).await;
            traffic.reads_are(town.reads());
        }
        for _ in 0..3 {
            paced.tick().await; // what the last ones made stale is read, too
        }
        traffic.is_over.store(true, Relaxed);
        while let Some(ended) = readers.join_next().await {
            ended.expect("no panic");
        }
        (traffic, begun.elapsed())
    }

    fn reads_are(&self, reads: Vec<Call>) {
        *self.reads.lock().expect("not poisoned") = Arc::new(reads);
    }

    async fn read(self: Arc<Traffic>, from: SocketAddr, mut dice: Dice) {
        let (mut paced, mut line) = (interval(ASKS_EVERY), None);
        paced.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !self.is_over.load(Relaxed) {
            paced.tick().await;
            let reads = self.reads.lock().expect("not poisoned").clone();
            let call = &reads[dice.below(reads.len())];
            let got = asked(&mut line, from, call).await;
            assert_eq!(got.status, 200, "{}: {}", call.path, got.text());
            self.requests.fetch_add(1, Relaxed);
            let is_hit = u64::from(got.outcome() == "hit");
            self.hits.fetch_add(is_hit, Relaxed);
        }
    }
}

type Line = SendRequest<Full<Bytes>>;

/// Over the connection that is open, or another.
async fn asked(line: &mut Option<Line>, to: SocketAddr, call: &Call) -> Got {
    let headers = call.headers.iter();
    let headers: Vec<_> = headers
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let mut open = match line.take().filter(|line| !line.is_closed()) {
        Some(open) => open,
        None => connected(to).await,
    };
    open.ready().await.expect("a connection that stays open");
    let asked = request(call.method, &call.path, &headers, &call.body);
    let response = open.send_request(asked).await.expect("an answer");
    let (head, body) = response.into_parts();
    let body = body.collect().await.expect("a whole body").to_bytes();
    *line = Some(open);
    Got {
        status: head.status.as_u16(),
        headers: head.headers,
        body,
    }
}

async fn connected(to: SocketAddr) -> Line {
    let stream = TcpStream::connect(to).await.expect("a connection");
    let (line, connection) = handshake(TokioIo::new(stream)).await.expect("a handshake");
    tokio::spawn(connection); // it ends with the line
    line
}

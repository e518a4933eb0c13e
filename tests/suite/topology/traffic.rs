//! Readers and a writer, while something happens to the store: every read is answered, and none is older than a
//! write of its thing that was acknowledged before it began.

use super::*;
use crate::world::ask;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Things that are read and written; in a cluster their entries are at all shards.
pub const THINGS: usize = 12;

/// Between two requests of one client, so that the machine has time for the servers.
const PAUSE: Duration = Duration::from_millis(4);

/// What became of it so far.
#[derive(Default)]
pub struct Told {
    acknowledged: [AtomicI64; THINGS],
    reads: AtomicU64,
    hits: AtomicU64,
    writes: AtomicU64,
    refused: AtomicU64,
    /// While sidecars may be at different servers.
    parted: Mutex<Option<Parted>>,
    wrong: Mutex<Vec<String>>,
}

/// Sidecars that may be at different servers.
#[derive(Default)]
struct Parted {
    /// Until when, as soon as that is known.
    until: Option<Instant>,
    /// When the reads began that were older than a write which was acknowledged before.
    old: Vec<Instant>,
}

impl Parted {
    fn is_over(&self, at: Instant) -> bool {
        self.until.is_some_and(|until| at > until)
    }
}

impl Told {
    /// How many reads were hits.
    pub fn hits(&self) -> u64 {
        self.hits.load(SeqCst)
    }

    /// How many writes were answered by the origin.
    pub fn writes(&self) -> u64 {
        self.writes.load(SeqCst)
    }

    /// Whether a read that began then may be older than a write that was acknowledged before.
    fn may_be_old(&self, begun: Instant) -> bool {
        let mut parted = self.parted.lock().expect("not poisoned");
        let parted = parted.as_mut().filter(|parted| !parted.is_over(begun));
        parted.map(|parted| parted.old.push(begun)).is_some()
    }

    fn wrong(&self, what: String) {
        self.wrong.lock().expect("not poisoned").push(what);
    }
}

/// Clients that go on until they are told to end.
pub struct Traffic {
    pub told: Arc<Told>,
    stop: CancellationToken,
    clients: JoinSet<()>,
}

impl Traffic {
    /// Two readers at each sidecar, and one writer who takes them in turn.
    pub fn through(sidecars: &[&Sidecar]) -> Traffic {
        let (told, stop) = (Arc::<Told>::default(), CancellationToken::new());
        let doors: Vec<_> = sidecars.iter().map(|sidecar| sidecar.address()).collect();
        let mut clients = JoinSet::new();
        for (number, door) in doors.iter().chain(&doors).enumerate() {
            let reader = read(*door, number, told.clone());
            let stop = stop.clone();
            clients.spawn(async move {
                let _ = stop.run_until_cancelled(reader).await;
            });
        }
        let (writer, stopped) = (write(doors, told.clone(), stop.clone()), stop.clone());
        clients.spawn(async move {
            writer.await;
            stopped.cancelled().await;
        });
        Traffic {
            told,
            stop,
            clients,
        }
    }

    /// Ends it, and fails if anything was wrong.
    pub async fn end(mut self) {
        self.stop.cancel();
        while let Some(ended) = self.clients.join_next().await {
            ended.expect("no client panics");
        }
        let told = &self.told;
        let wrong = told.wrong.lock().expect("not poisoned").clone();
        let numbers = [&told.reads, &told.hits, &told.writes, &told.refused];
        eprintln!("reads, hits, writes, refused writes: {numbers:?}");
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    /// From now on sidecars may be parted: some may still be at a server that others have left. The README says for how
    /// long that is, and that nothing is promised then.
    pub fn may_be_parted(&self) {
        *self.told.parted.lock().expect("not poisoned") = Some(Parted::default());
    }

    /// They are together again `within` this time of a moment, at the latest: all is promised to reads that begin later.
    /// Returns once that is over.
    pub async fn are_together(&self, within: Duration, of: Instant) {
        let until = of + within;
        let old = {
            let mut parted = self.told.parted.lock().expect("not poisoned");
            let parted = parted.as_mut().expect("they may be parted");
            parted.until = Some(until);
            parted.old.clone()
        };
        for begun in old.iter().filter(|begun| **begun > until) {
            let late = *begun - of;
            self.told.wrong(format!("still parted after {late:?}"));
        }
        eventually("that time is over", async || Instant::now() > until).await;
        self.hits_again().await;
        let parted = self.told.parted.lock().expect("not poisoned").take();
        let old = parted.map(|parted| parted.old).unwrap_or_default();
        let last = old.last().map(|last| last.saturating_duration_since(of));
        eprintln!(
            "{} old answers, the last to a read that began after {last:?}",
            old.len()
        );
    }

    /// Waits until there are so many hits more.
    pub async fn hits_again(&self) {
        let before = self.told.hits();
        eventually("hits again", async || self.told.hits() > before + 50).await;
    }

    /// Waits until writes are answered again.
    pub async fn writes_again(&self) {
        let before = self.told.writes();
        eventually("writes again", async || self.told.writes() > before + 5).await;
    }
}

/// Never returns.
async fn read(door: SocketAddr, number: usize, told: Arc<Told>) {
    for thing in (number..).map(|turn| turn % THINGS) {
        let (floor, begun) = (told.acknowledged[thing].load(SeqCst), Instant::now());
        let got = ask(door, "GET", &format!("/api/thing/{thing}"), &[], "").await;
        told.reads.fetch_add(1, SeqCst);
        match got.status {
            200 if got.n() < floor && told.may_be_old(begun) => {}
            200 if got.n() < floor => {
                let (n, status) = (got.n(), got.cache_status());
                told.wrong(format!("thing {thing} is {n}, {floor} was told: {status}"));
            }
            200 if got.outcome() == "hit" => drop(told.hits.fetch_add(1, SeqCst)),
            200 => {}
            status => told.wrong(format!("a read was answered {status}")),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// A write that has begun is waited for.
async fn write(doors: Vec<SocketAddr>, told: Arc<Told>, stop: CancellationToken) {
    for (turn, door) in doors.iter().cycle().enumerate() {
        if stop.is_cancelled() {
            return;
        }
        let thing = turn * 5 % THINGS;
        let got = ask(*door, "PATCH", &format!("/api/change/{thing}"), &[], "").await;
        match got.status {
            200 => {
                told.acknowledged[thing].fetch_max(got.n(), SeqCst);
                told.writes.fetch_add(1, SeqCst);
            }
            503 => drop(told.refused.fetch_add(1, SeqCst)), // as the rules say
            status => told.wrong(format!("a write was answered {status}")),
        }
        tokio::time::sleep(10 * PAUSE).await;
    }
}

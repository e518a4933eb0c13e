use super::*;
use crate::rules::settings::Failover;
use crate::store::redis::simulated::{Eventually, Line, Reply, Server};
use crate::store::{Root, owed::Owed};
use bytes::Bytes;
use std::collections::VecDeque;
use std::future::{pending, ready};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use tokio::sync::broadcast;

/// A server that counts signs of life, the first of which are answered, and how often it was connected to.
#[derive(Default)]
struct Counting {
    connected: AtomicUsize,
    pinged: AtomicUsize,
    answered: usize,
    /// What it says to everything, where it refuses everything.
    refusal: Option<&'static str>,
    /// What it says of itself each time; nothing where it refuses to.
    infos: Mutex<VecDeque<&'static str>>,
}

struct Counted(Arc<Counting>);

impl Server for Counted {
    fn connect(&self) -> Eventually<Option<Arc<dyn Line>>> {
        self.0.connected.fetch_add(1, SeqCst);
        let line: Arc<dyn Line> = Arc::new(Counted(self.0.clone()));
        Box::pin(ready(Some(line)))
    }
}

impl Line for Counted {
    fn send(&self, words: Vec<Bytes>) -> Eventually<Option<Reply>> {
        if let Some(refusal) = self.0.refusal {
            return Box::pin(ready(Some(Reply::Refused(refusal))));
        }
        if words[0].as_ref() == b"INFO" {
            let mut infos = self.0.infos.lock().expect("not poisoned");
            let info = infos.pop_front().map(|info| Reply::Bytes(info.into()));
            return Box::pin(ready(info.or(Some(Reply::Refused("NOPERM")))));
        }
        if ["MGET", "SET"].contains(&str::from_utf8(&words[0]).expect("a word")) {
            let asked = words[0].as_ref() == b"MGET";
            let nothing = Reply::Many(vec![Reply::Nil, Reply::Nil]);
            return Box::pin(ready(Some(if asked { nothing } else { Reply::Done })));
        }
        let is_ping = words[0].as_ref() == b"PING";
        match is_ping && self.0.pinged.fetch_add(1, SeqCst) < self.0.answered {
            true => Box::pin(ready(Some(Reply::Done))),
            false => Box::pin(pending()),
        }
    }

    fn broken(&self) -> Eventually<()> {
        Box::pin(pending())
    }

    fn heard(&self) -> broadcast::Receiver<Bytes> {
        broadcast::channel(1).1
    }

    fn close(&self) {}
}

fn watched(server: &Arc<Counting>) -> (Arc<Breaker>, CancellationToken) {
    let metrics = Arc::new(Metrics::new());
    let root = Root::new("ns:*".into(), crate::digest::Digest([0; 16]));
    let owed = Owed::open(root.name().to_owned(), None).expect("there is no journal");
    let breaker = Arc::new(Breaker::new(owed, metrics.clone()));
    let address = Address::simulated(
        Arc::new(Counted(server.clone())),
        Duration::from_millis(250),
    );
    let mark = "ns:!server".to_owned();
    let warden = Warden {
        recognition: Recognition::new(mark, &root, Failover::Drop, metrics.clone()),
        address: Arc::new(address),
        breaker: breaker.clone(),
        channel: Arc::new(Channel::new("ns:!drops".into())),
        known: Arc::new(Known::new()),
        metrics,
    };
    let stop = CancellationToken::new();
    tokio::spawn(warden.run(stop.clone(), Duration::ZERO));
    (breaker, stop)
}

async fn until_up(breaker: &Breaker, is_up: bool) {
    let mut up = breaker.watch();
    up.wait_for(|up| *up == is_up)
        .await
        .expect("it is watched over");
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_gives_a_sign_of_life() {
    let server = Arc::new(Counting {
        answered: usize::MAX,
        ..Counting::default()
    });
    let (breaker, _stop) = watched(&server);
    until_up(&breaker, true).await;
    tokio::time::sleep(10 * PING_EVERY + PING_EVERY / 2).await;
    assert_eq!(server.pinged.load(SeqCst), 11, "the first when it was made");
    assert_eq!(server.connected.load(SeqCst), 1);
    assert!(breaker.connection().is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_became_a_replica_or_another_one_is_left_though_it_closes_no_connection() {
    const SAYS: [&str; 5] = [
        "run_id:a\r\nrole:master\r\n",
        "run_id:a\r\nrole:master\r\n",
        "run_id:a\r\nrole:slave\r\n",
        "run_id:a\r\nrole:master\r\n",
        "run_id:b\r\nrole:master\r\n",
    ];
    let server = Arc::new(Counting {
        answered: usize::MAX,
        infos: Mutex::new(SAYS.into()),
        ..Counting::default()
    });
    let (breaker, _stop) = watched(&server);
    until_up(&breaker, true).await;
    tokio::time::sleep(INFO_EVERY + INFO_EVERY / 2).await;
    assert!(breaker.connection().is_ok(), "it is the same");
    tokio::time::sleep(INFO_EVERY).await;
    assert_eq!(server.connected.load(SeqCst), 2, "it was a replica");
    assert!(breaker.connection().is_ok(), "and is a primary again");
    tokio::time::sleep(INFO_EVERY).await;
    assert!(server.connected.load(SeqCst) > 2, "it is another");
    assert!(server.infos.lock().expect("not poisoned").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_way_that_was_cut_without_a_word_is_found_out_before_anybody_asks() {
    let server = Arc::new(Counting {
        answered: 2,
        ..Counting::default()
    });
    let (breaker, _stop) = watched(&server);
    until_up(&breaker, true).await;
    tokio::time::sleep(PING_EVERY + PING_EVERY / 2).await;
    assert!(breaker.connection().is_ok(), "one was answered");
    until_up(&breaker, false).await;
    let pinged = server.pinged.load(SeqCst);
    assert!(
        (5..=6).contains(&pinged),
        "three in vain, then on a new connection: {pinged}"
    );
}

/// How often it is connected to within `time` by a process that owes, or does not.
async fn attempts(refusal: &'static str, owes: bool, time: Duration) -> usize {
    let server = Arc::new(Counting {
        refusal: Some(refusal),
        ..Counting::default()
    });
    let (breaker, _stop) = watched(&server);
    if owes {
        breaker.owe(vec!["ns:a!".into()], &crate::digest::Digest([0; 16]));
    }
    tokio::time::sleep(time + PROBE_EVERY / 2).await;
    assert!(breaker.connection().is_err());
    server.connected.load(SeqCst)
}

#[tokio::test(start_paused = true)]
async fn a_server_that_cannot_be_used_is_tried_every_half_second() {
    let minute = Duration::from_secs(60);
    for refusal in ["LOADING", "READONLY it is a replica"] {
        assert_eq!(attempts(refusal, false, minute).await, 121, "{refusal}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_spent_allowance_is_asked_after_every_five_seconds_and_by_who_owes_every_half_second() {
    let (spent, minute) = ("ERR max requests limit exceeded", Duration::from_secs(60));
    assert_eq!(attempts(spent, false, minute).await, 13);
    assert_eq!(attempts(spent, true, minute).await, 121);
}

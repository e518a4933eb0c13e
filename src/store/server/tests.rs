use super::*;
use crate::digest::Digest;
use crate::store::channel::Channel;
use crate::store::redis::Address;
use crate::store::redis::simulated::{self, Eventually, Held, Keys, Line, Reply};
use bytes::Bytes;
use std::future::{pending, ready};
use tokio::sync::broadcast;

const ROOT: &str = "ns:*";

/// A server that answers at once.
#[derive(Clone)]
struct Simulated(Arc<Mutex<Keys>>);

impl Simulated {
    /// One that holds what another does, as a replica that took over.
    fn after(other: &Simulated, process: u64) -> Simulated {
        Simulated(Arc::new(Mutex::new(other.keys().loaded_by(process))))
    }

    fn first() -> Simulated {
        let none = Simulated(Arc::default());
        Simulated::after(&none, 1)
    }

    fn keys(&self) -> MutexGuard<'_, Keys> {
        self.0.lock().expect("not poisoned")
    }

    /// As a sidecar's look makes it.
    fn create_root(&self) {
        let words =
            ["SET", ROOT, "token", "PX", "60000"].map(|word| Bytes::from_static(word.as_bytes()));
        self.keys().carry_out(&words, 0);
    }

    fn has_root(&self) -> bool {
        let all = self.keys().all(0);
        all.iter()
            .any(|(key, value, _)| key == ROOT && matches!(value, Held::Bytes(_)))
    }

    async fn seen_by(&self, process: &Recognition) {
        let address = Address::simulated(Arc::new(self.clone()), Duration::from_millis(250));
        let (channel, metrics) = (Arc::new(Channel::new("ns:!drops".into())), Metrics::new());
        let opened = Connection::open(&address, channel, Arc::new(metrics)).await;
        let (connection, _driver) = opened.expect("a connection");
        let seen = process.recognise(&connection).await;
        seen.expect("a primary");
    }
}

impl simulated::Server for Simulated {
    fn connect(&self) -> Eventually<Option<Arc<dyn Line>>> {
        let line: Arc<dyn Line> = Arc::new(self.clone());
        Box::pin(ready(Some(line)))
    }
}

impl Line for Simulated {
    fn send(&self, words: Vec<Bytes>) -> Eventually<Option<Reply>> {
        Box::pin(ready(Some(self.keys().carry_out(&words, 0))))
    }

    fn broken(&self) -> Eventually<()> {
        Box::pin(pending())
    }

    fn heard(&self) -> broadcast::Receiver<Bytes> {
        broadcast::channel(1).1
    }

    fn close(&self) {}
}

fn process() -> Recognition {
    let root = Root::new(ROOT.into(), Digest([0; 16]));
    let metrics = Arc::new(Metrics::new());
    Recognition::new("ns:!server".into(), &root, Failover::Drop, metrics)
}

#[tokio::test]
async fn who_comes_late_from_another_server_drops_everything_though_others_were_there_before() {
    let old = Simulated::first();
    let (early, late) = (process(), process());
    old.seen_by(&early).await;
    old.seen_by(&late).await;
    old.create_root();
    let new = Simulated::after(&old, 2);
    new.seen_by(&early).await;
    assert!(!new.has_root(), "the first who finds it drops what it held");
    new.create_root();
    new.seen_by(&early).await;
    new.seen_by(&process()).await;
    assert!(new.has_root(), "it has its mark");
    // What he deleted meanwhile, he told the old one alone.
    new.seen_by(&late).await;
    assert!(!new.has_root());
    new.create_root();
    new.keys().evict("ns:!server");
    new.seen_by(&late).await;
    assert!(new.has_root(), "a mark that was evicted costs nothing");
    new.seen_by(&late).await;
    old.seen_by(&late).await;
    assert!(!old.has_root(), "back to the first");
}

#[tokio::test]
async fn a_server_that_no_longer_says_who_it_is_may_be_any_other() {
    let server = Simulated::first();
    let (named, unnamed) = (process(), process());
    server.seen_by(&named).await;
    server.create_root();
    server.keys().hide();
    server.seen_by(&unnamed).await;
    assert!(server.has_root(), "there is nothing to compare");
    server.seen_by(&named).await;
    assert!(!server.has_root());
}

#[test]
fn a_server_is_known_by_what_it_drew_and_a_replica_by_its_role() {
    let info = "# Server\r\nrun_id:abc\r\n# Replication\r\nrole:master\r\nmaster_replid:def\r\n\
                master_replid2:000\r\n";
    let known = Server::of_info(info);
    assert_eq!(known.identity.as_deref(), Some("abc/def"));
    assert!(!known.is_replica);
    assert!(Server::of_info("role:slave\r\nrun_id:abc\r\n").is_replica);
    assert_eq!(Server::of_info("redis_version:7\r\n"), Server::default());
}

#[test]
fn what_a_server_says_of_itself_later_is_held_against_what_it_said_first() {
    let named = |name: &str| Server {
        identity: Some(name.to_owned()),
        is_replica: false,
    };
    let demoted = Server {
        is_replica: true,
        ..named("a")
    };
    let process = process();
    assert!(!process.is_another(&named("a"), &named("a")));
    assert!(process.is_another(&named("a"), &named("b")));
    assert!(process.is_another(&named("a"), &demoted));
}

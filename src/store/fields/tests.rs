use super::*;
use crate::digest::Digest;
use crate::metrics::Metrics;
use crate::rules::settings::{
    Compress, Failover, LocalSettings, OnDown, StoreSettings, StoreTls, StoreUrl,
};
use crate::store::redis::simulated::{Eventually, Line, Reply, Server};
use crate::store::{Opening, Root};
use std::future::{pending, ready};
use std::sync::Arc;
use tokio::sync::broadcast;

/// A server that says that it is there, and to all else nothing.
struct Mute;

impl Server for Mute {
    fn connect(&self) -> Eventually<Option<Arc<dyn Line>>> {
        let line: Arc<dyn Line> = Arc::new(Mute);
        Box::pin(ready(Some(line)))
    }
}

impl Line for Mute {
    fn send(&self, words: Vec<Bytes>) -> Eventually<Option<Reply>> {
        match words[0].as_ref() {
            b"PING" => Box::pin(ready(Some(Reply::Done))),
            b"INFO" if words.len() == 1 => Box::pin(ready(Some(Reply::Refused("NOPERM")))),
            _ => Box::pin(pending()),
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

async fn mute() -> Store {
    let settings = StoreSettings {
        url: StoreUrl::Memory,
        timeout: Duration::from_millis(250),
        max_entry: 1024,
        compress: Compress::Lz4,
        seal: None,
        tls: StoreTls::default(),
        write_lease: Duration::from_secs(35),
        on_down: OnDown::Forward,
        failover: Failover::Drop,
        journal: None,
        budget: None,
    };
    let opening = Opening {
        settings: &settings,
        local: &LocalSettings { max: 1024 },
        node_ttl: Duration::from_secs(60),
        namespace: "ns",
        root: Root::new("ns:*".into(), Digest([0; 16])),
        channel: "ns:!drops".into(),
        clock: Default::default(),
        metrics: Arc::new(Metrics::new()),
    };
    let store = Store::simulated(Arc::new(Mute), opening).expect("no journal that could be locked");
    assert!(store.connected().await);
    store
}

#[tokio::test(start_paused = true)]
async fn statistics_that_do_not_come_never_take_the_store_out_of_use() {
    let store = mute().await;
    for _ in 0..3 {
        assert!(store.field_names("ns:!stats").await.is_err());
        let some = vec!["1-a".to_owned()];
        assert!(store.fields("ns:!stats", some, 1000).await.is_err());
        let put = store.put_field("ns:!stats", "own", Bytes::new()).await;
        assert_eq!(put, Err(Down));
        assert_eq!(store.memory().await, Err(Unsaid::Down));
        assert!(store.up(), "answers are still looked for");
    }
}

#[test]
fn a_refusal_to_say_is_told_from_a_store_that_does_not_answer_now() {
    let of = |said: &str| Unsaid::of(&Fault::new(Kind::of_reply(said), said));
    for refused in [
        "NOPERM this user has no permissions",
        "ERR unknown command 'INFO'",
    ] {
        assert_eq!(of(refused), Unsaid::Refused, "{refused}");
    }
    for now in [
        "LOADING Redis is loading",
        "ERR max daily request limit exceeded",
        "BUSY",
    ] {
        assert_eq!(of(now), Unsaid::Down, "{now}");
    }
    assert_eq!(
        Unsaid::of(&Fault::new(Kind::Timeout, "no answer in time")),
        Unsaid::Down
    );
}

#[test]
fn the_memory_is_read_from_what_redis_says_of_itself() {
    let info = "# Memory\r\nused_memory:1048576\r\nused_memory_human:1.00M\r\nmaxmemory:0\r\n";
    let memory = StoreMemory::of_info(info);
    assert_eq!(
        memory,
        StoreMemory {
            used: Some(1 << 20),
            max: None
        }
    );
    assert_eq!(StoreMemory::of_info("maxmemory:5").max, Some(5));
    assert_eq!(StoreMemory::of_info("ERR"), StoreMemory::default());
}

#[test]
fn sums_come_first_and_then_who_began_last() {
    let names = ["5-b", "past", "70-a", "5-a", "past-2"].map(str::to_owned);
    let mut latest = names.to_vec();
    latest_first(&mut latest);
    assert_eq!(latest, ["past", "past-2", "70-a", "5-a", "5-b"]);
    let mut firsts = std::collections::BTreeSet::new();
    for _ in 0..200 {
        let mut any = names.to_vec();
        any_first(&mut any);
        assert_eq!(any[..2], ["past", "past-2"]);
        firsts.insert(any[2].clone());
        any.sort();
        latest.sort();
        assert_eq!(any, latest, "nobody is left out");
    }
    assert_eq!(firsts.len(), 3, "in time, each comes first");
}

#[test]
fn of_many_no_more_are_left_than_are_folded_at_a_time() {
    let processes = (0..20_000).map(|since| format!("{since}-a"));
    let mut names: Vec<String> = processes.chain(["past".to_owned()]).collect();
    any_first(&mut names);
    assert_eq!(names.len(), MAX_FOLDED);
    assert_eq!(names[0], "past");
}

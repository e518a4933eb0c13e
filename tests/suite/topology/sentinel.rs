//! One primary, two replicas, and three sentinels that say which is which.

use super::traffic::Traffic;
use super::*;
use crate::world::REGISTER_RULES;
use std::time::{Duration, Instant};

/// Servers, of which the first begins as the primary, and sentinels that watch over them.
struct Watched {
    servers: Vec<RedisServer>,
    sentinels: Vec<RedisServer>,
}

/// For how long after most sentinels name another primary a sidecar may still be at the old one, which lives. It asks them
/// a second after each answer (`SENTINELS_EVERY`), and an answer from just before does not tell: that second, and two
/// askings. The README calls it about a second, as an asking takes milliseconds where the sentinels answer or are gone; the
/// other second is that of a machine on which many tests run.
const PARTED: Duration = Duration::from_secs(2);

const LOGIN: [&str; 4] = ["--requirepass", "hunter2", "--masterauth", "hunter2"];

impl Watched {
    async fn start() -> Watched {
        let quick = ["--repl-diskless-sync-delay", "0"];
        let args = [&LOGIN[..], &quick].concat();
        let primary = RedisServer::start_with(&args);
        let port = primary.port().to_string();
        let follow = ["--replicaof", "127.0.0.1", &port];
        let replicas = (0..2).map(|_| RedisServer::start_with(&[&args[..], &follow].concat()));
        let servers: Vec<_> = std::iter::once(primary).chain(replicas).collect();
        let lines = format!(
            "requirepass watchword\nsentinel monitor main 127.0.0.1 {port} 2\n\
             sentinel auth-pass main hunter2\nsentinel down-after-milliseconds main 700\n\
             sentinel failover-timeout main 3000\nsentinel parallel-syncs main 2\n\
             sentinel sentinel-pass watchword"
        );
        let sentinels = (0..3).map(|_| RedisServer::sentinel(&lines)).collect();
        let watched = Watched { servers, sentinels };
        eventually("the sentinels know all", async || {
            let knows = |sentinel: &RedisServer| {
                let known = told(sentinel, "SENTINEL MASTER main");
                let counts = ["num-slaves\n2", "num-other-sentinels\n2", "flags\nmaster\n"];
                counts.iter().all(|count| known.contains(count))
            };
            watched.sentinels.iter().all(knows) && watched.are_synced()
        })
        .await;
        watched
    }

    fn are_synced(&self) -> bool {
        let replicas = self.servers[1..].iter();
        replicas
            .map(|server| server.say_as("hunter2", "INFO replication"))
            .all(|info| info.contains("master_link_status:up"))
    }

    fn url(&self) -> String {
        let hosts = self
            .sentinels
            .iter()
            .map(|sentinel| format!("127.0.0.1:{}", sentinel.port()));
        let hosts = hosts.collect::<Vec<_>>().join(",");
        format!(
            "redis-sentinel://:hunter2@{hosts}/0?sentinelServiceName=main&sentinelPassword=watchword"
        )
    }

    /// The place of the server that a sentinel takes for the primary.
    fn primary(&self) -> usize {
        let address = told(&self.sentinels[2], "SENTINEL GET-MASTER-ADDR-BY-NAME main");
        let mut servers = self.servers.iter();
        let port = |server: &RedisServer| address.ends_with(&format!("\n{}", server.port()));
        servers.position(port).expect("one of ours")
    }

    /// Cuts a server off from the sentinels, and from nobody else who is connected to it: they cannot log in any more.
    fn cut_off(&self, server: usize) {
        let server = &self.servers[server];
        assert_eq!(
            server.say_as("hunter2", "CONFIG SET requirepass cut-off"),
            "OK"
        );
        let clients = server.say_as("cut-off", "CLIENT LIST");
        let of_sentinels = clients
            .lines()
            .filter(|client| client.contains("name=sentinel-"));
        let ids = of_sentinels.filter_map(|client| client.split(' ').next()?.strip_prefix("id="));
        for id in ids {
            server.say_as("cut-off", &format!("CLIENT KILL ID {id}"));
        }
    }

    async fn is_no_longer(&self, primary: usize) {
        eventually("another primary", async || self.primary() != primary).await;
    }

    /// Waits until more than half of the sentinels, of which the first is away, name another primary.
    async fn most_name_another_than(&self, primary: usize) -> Instant {
        let port = format!("\n{}", self.servers[primary].port());
        let names_it = |sentinel: &RedisServer| {
            told(sentinel, "SENTINEL GET-MASTER-ADDR-BY-NAME main").ends_with(&port)
        };
        eventually("most name another", async || {
            !self.sentinels[1..].iter().any(names_it)
        })
        .await;
        Instant::now()
    }
}

fn told(sentinel: &RedisServer, command: &str) -> String {
    sentinel.say_as("watchword", command)
}

#[tokio::test]
async fn sentinels_lead_to_the_primary_and_to_the_next_one_when_it_dies_or_steps_down() {
    let mut watched = Watched::start().await;
    let origin = numbers().await;
    let limit = "[[limit]]\nname = \"few\"\nmatch = [\"GET /api/few\"]\nper = \"ip\"\nmax = 2\nwindow = \"1h\"\n";
    let rules = format!("{REGISTER_RULES}{limit}");
    let one = strict(&origin, &watched.url(), &rules).await;
    let two = strict(&origin, &watched.url(), &rules).await;
    hits(&one, THING).await;
    assert_eq!(two.get(THING).await.outcome(), "hit", "one Redis");
    let written = changed(&one).await;
    assert_eq!(two.get(THING).await.n(), written);
    let limited = [&one, &two, &one].map(|sidecar| sidecar.get("/api/few"));
    let [first, second, third] = limited;
    assert_eq!(
        (first.await.status, second.await.status, third.await.status),
        (200, 200, 429)
    );

    let traffic = Traffic::through(&[&one, &two]);
    traffic.hits_again().await;
    watched.servers[0].kill();
    watched.is_no_longer(0).await;
    traffic.hits_again().await;
    traffic.writes_again().await;

    // The first who would be asked is away; the primary steps down.
    watched.sentinels[0].kill();
    let before = watched.primary();
    traffic.may_be_parted(); // the old one lives, and is a primary until it hears
    eventually("a failover by hand", async || {
        told(&watched.sentinels[1], "SENTINEL FAILOVER main") == "OK"
    })
    .await;
    let named = watched.most_name_another_than(before).await;
    traffic.are_together(PARTED, named).await;
    traffic.hits_again().await;
    traffic.writes_again().await;
    traffic.end().await;
}

/// Whether a sidecar has given up the server at which it began.
async fn has_left(sidecar: &Sidecar) -> bool {
    let metrics = sidecar.door("GET", "/metrics", "").await.text();
    let is_elsewhere = metrics.contains("sidecache_invalidations_total{set=\"failover\"}");
    is_elsewhere || metrics.contains("sidecache_store_up 0")
}

#[tokio::test]
async fn an_old_primary_that_sentinels_cannot_reach_is_left_when_they_name_another() {
    let mut watched = Watched::start().await;
    let origin = numbers().await;
    let one = strict(&origin, &watched.url(), REGISTER_RULES).await;
    hits(&one, THING).await;
    // They ask the sentinels each second, and not at the same moment: between these they are parted.
    let begun = Instant::now();
    eventually("half of a second", async || {
        begun.elapsed().as_millis() > 500
    })
    .await;
    let two = strict(&origin, &watched.url(), REGISTER_RULES).await;
    hits(&two, THING).await;
    let traffic = Traffic::through(&[&one, &two]);
    traffic.hits_again().await;
    watched.sentinels[0].kill(); // who does not answer is no majority
    traffic.may_be_parted();
    watched.cut_off(0);
    let named = watched.most_name_another_than(0).await;
    let left = async |sidecar: &Sidecar| {
        eventually("it has left", async || has_left(sidecar).await).await;
        named.elapsed()
    };
    let left = tokio::join!(left(&one), left(&two));
    eprintln!("left after {left:?}");
    assert!(left.0.max(left.1) <= PARTED, "{left:?}");
    traffic.are_together(PARTED, named).await;
    let role = watched.servers[0].say_as("cut-off", "ROLE");
    assert!(role.starts_with("master"), "nobody could tell it: {role}");
    traffic.hits_again().await;
    traffic.writes_again().await;
    traffic.end().await;
}

#[tokio::test]
async fn a_replica_is_no_store_whoever_names_it() {
    let primary = RedisServer::start();
    let port = primary.port().to_string();
    let replica = RedisServer::start_with(&["--replicaof", "127.0.0.1", &port]);
    let origin = numbers().await;
    let sidecar = strict(&origin, &replica.url(), REGISTER_RULES).await;
    let is_refused = async || {
        let metrics = sidecar.door("GET", "/metrics", "").await.text();
        metrics.contains("sidecache_store_errors_total{kind=\"readonly\"}")
    };
    eventually("it is refused", is_refused).await;
    assert_eq!(sidecar.get(THING).await.detail(), Some("store-down"));
    let write = sidecar.ask("PATCH", "/api/change/1", &[], "").await;
    assert_eq!(write.status, 503);
    replica.say("REPLICAOF NO ONE");
    hits(&sidecar, THING).await;
}

//! Three primaries that share the keys, and three replicas.

use super::traffic::{THINGS, Traffic};
use super::*;
use crate::redis::free_port;
use crate::world::REGISTER_RULES;
use std::time::{Duration, Instant};

/// After which a node that does not answer is failed over.
const NODE_TIMEOUT: &str = "1000";

/// After which a node gives up a failover that was asked for: what Redis has for it, and a little.
const MANUAL_FAILOVER: Duration = Duration::from_millis(5500);

/// Things whose entries are at all shards.
const MANY: usize = 30;

struct Cluster {
    /// Three that begin as primaries, then their replicas in the same order.
    nodes: Vec<RedisServer>,
}

impl Cluster {
    /// With further arguments for each node.
    async fn start(args: &[&str], nodes: usize) -> Cluster {
        let node = || {
            let bus = free_port().to_string();
            let of_cluster = [
                "--cluster-enabled",
                "yes",
                "--cluster-port",
                &bus,
                "--cluster-node-timeout",
                NODE_TIMEOUT,
                "--cluster-replica-validity-factor",
                "0",
                "--cluster-require-full-coverage",
                "no",
                "--repl-diskless-sync-delay",
                "0",
            ];
            RedisServer::start_with(&[&of_cluster[..], args].concat())
        };
        let cluster = Cluster {
            nodes: (0..nodes).map(|_| node()).collect(),
        };
        for (number, slots) in ["0 5460", "5461 10922", "10923 16383"].iter().enumerate() {
            let primary = &cluster.nodes[number];
            assert_eq!(
                primary.say(&format!("CLUSTER SET-CONFIG-EPOCH {}", number + 1)),
                "OK"
            );
            assert_eq!(primary.say(&format!("CLUSTER ADDSLOTSRANGE {slots}")), "OK");
        }
        for node in &cluster.nodes[1..] {
            let bus = cluster
                .line(node, "myself")
                .split(['@', ' ', ','])
                .nth(2)
                .map(str::to_owned);
            let meet = format!(
                "CLUSTER MEET 127.0.0.1 {} {}",
                node.port(),
                bus.expect("a bus port")
            );
            assert_eq!(cluster.nodes[0].say(&meet), "OK");
        }
        let knows_all = |node: &RedisServer| {
            let lines = node.say("CLUSTER NODES");
            lines.lines().count() == nodes && !lines.contains("handshake")
        };
        eventually("all know all", async || cluster.nodes.iter().all(knows_all)).await;
        for (number, replica) in cluster.nodes.iter().enumerate().skip(3) {
            let id = cluster.nodes[number - 3].say("CLUSTER MYID");
            assert_eq!(replica.say(&format!("CLUSTER REPLICATE {id}")), "OK");
        }
        cluster.is_well(&[]).await;
        cluster
    }

    /// Waits until all but these are ready.
    async fn is_well(&self, dead: &[usize]) {
        let is_well = |node: &RedisServer| {
            let info = node.say("INFO replication");
            let is_synced = info.contains("role:master") || info.contains("master_link_status:up");
            is_synced && node.say("CLUSTER INFO").contains("cluster_state:ok")
        };
        let living = || {
            self.nodes
                .iter()
                .enumerate()
                .filter(|(at, _)| !dead.contains(at))
        };
        eventually("the cluster is well", async || {
            living().all(|(_, node)| is_well(node))
        })
        .await;
    }

    /// Makes a replica the home, while the primary lives. An attempt that comes to nothing within
    /// [`MANUAL_FAILOVER`] is made once more.
    async fn hands_over(&self, replica: usize, seen_by: usize) {
        let node = &self.nodes[replica];
        eventually("it follows", async || {
            node.say("INFO replication")
                .contains("master_link_status:up")
        })
        .await;
        let mut asked: Option<Instant> = None;
        eventually("it is the home", async || {
            if asked.is_none_or(|asked| asked.elapsed() > MANUAL_FAILOVER) {
                let is_begun = node.say("CLUSTER FAILOVER") == "OK";
                asked = is_begun.then(Instant::now);
            }
            self.primary_of(HOME, seen_by) == replica
        })
        .await;
    }

    /// The line of `CLUSTER NODES` that holds a word.
    fn line(&self, node: &RedisServer, word: &str) -> String {
        let lines = node.say("CLUSTER NODES");
        let line = lines.lines().find(|line| line.contains(word));
        line.expect("there is such a node").to_owned()
    }

    fn url(&self) -> String {
        let hosts = self
            .nodes
            .iter()
            .map(|node| format!("127.0.0.1:{}", node.port()));
        format!("redis-cluster://{}", hosts.collect::<Vec<_>>().join(","))
    }

    /// The place of the primary that has a key, as node `seen_by` sees it.
    fn primary_of(&self, key: &str, seen_by: usize) -> usize {
        let node = &self.nodes[seen_by];
        let slot: u16 = node
            .say(&format!("CLUSTER KEYSLOT {key}"))
            .parse()
            .expect("a slot");
        let slots = node.say("CLUSTER SLOTS");
        let mut lines = slots.lines().peekable();
        while let Some(line) = lines.next() {
            let (Ok(first), Some(last)) = (line.parse::<u16>(), lines.peek()) else {
                continue;
            };
            let Ok(last) = last.parse::<u16>() else {
                continue;
            };
            if (first..=last).contains(&slot) {
                let port = lines.nth(2).expect("a port behind the address");
                let is_at = |node: &RedisServer| node.port().to_string() == port;
                return self.nodes.iter().position(is_at).expect("one of ours");
            }
        }
        panic!("nobody has {key}");
    }
}

/// The mark of the server that has the versions.
const HOME: &str = "test:{test}:!server";

async fn metrics(sidecar: &Sidecar) -> String {
    sidecar.door("GET", "/metrics", "").await.text()
}

#[tokio::test]
async fn versions_are_together_entries_are_spread_and_a_hit_is_one_round_trip_to_both() {
    let cluster = Cluster::start(&[], 3).await;
    let origin = numbers().await;
    let one = strict(&origin, &cluster.url(), REGISTER_RULES).await;
    let two = strict(&origin, &cluster.url(), REGISTER_RULES).await;
    for thing in 0..MANY {
        hits(&one, &format!("/api/thing/{thing}")).await;
    }
    let home = cluster.primary_of(HOME, 0);
    assert!(stands(&cluster.nodes[home], "test:{test}:*"), "the root");
    let holds = |node: &RedisServer| {
        let keys = node.say("KEYS test:*");
        keys.lines()
            .filter(|key| key.starts_with("test:things:"))
            .count()
    };
    let entries: Vec<usize> = cluster.nodes.iter().map(holds).collect();
    assert_eq!(entries.iter().sum::<usize>(), MANY);
    assert!(entries.iter().all(|count| *count > 0), "{entries:?}");
    let tagged = |node: &RedisServer| node.say("KEYS test:{test}:*").contains("test:");
    let homes = cluster.nodes.iter().filter(|node| tagged(node)).count();
    assert_eq!(homes, 1);

    let thing = "test:things:details:1";
    let shard = cluster.primary_of(thing, 0);
    cluster
        .nodes
        .iter()
        .for_each(|node| drop(node.say("CONFIG RESETSTAT")));
    assert_eq!(two.get(THING).await.outcome(), "hit");
    let calls = |command: &str| {
        cluster
            .nodes
            .iter()
            .map(|node| node.calls(command))
            .sum::<u64>()
    };
    assert_eq!(
        (
            cluster.nodes[home].calls("mget"),
            cluster.nodes[shard].calls("get")
        ),
        (1, 1)
    );
    assert_eq!((calls("mget"), calls("get")), (1, 1));
    assert_eq!(two.get(THING).await.outcome(), "hit");
    assert_eq!(
        (calls("mget"), calls("get")),
        (2, 1),
        "its body is in memory now"
    );

    let written = changed(&one).await;
    assert_eq!(two.get(THING).await.n(), written);
    moves_away(&cluster, thing, shard, (shard + 1) % 3).await;
    let three = strict(&origin, &cluster.url(), REGISTER_RULES).await;
    hits(&three, THING).await;
    assert_eq!(three.get(THING).await.n(), written);
    eventually("the entry is read where it is now", async || {
        hits(&two, THING).await;
        changed(&one).await;
        hits(&one, THING).await;
        stands(&cluster.nodes[(shard + 1) % 3], thing)
    })
    .await;
    assert!(!metrics(&two).await.contains("sidecache_store_up 0"));
}

/// Gives the slot of a key, with all that is in it, to another primary.
async fn moves_away(cluster: &Cluster, key: &str, from: usize, to: usize) {
    let (source, target) = (&cluster.nodes[from], &cluster.nodes[to]);
    let slot = source.say(&format!("CLUSTER KEYSLOT {key}"));
    let [source_id, target_id] = [source, target].map(|node| node.say("CLUSTER MYID"));
    assert_eq!(
        target.say(&format!("CLUSTER SETSLOT {slot} IMPORTING {source_id}")),
        "OK"
    );
    assert_eq!(
        source.say(&format!("CLUSTER SETSLOT {slot} MIGRATING {target_id}")),
        "OK"
    );
    let keys = source.say(&format!("CLUSTER GETKEYSINSLOT {slot} 100"));
    for key in keys.lines().filter(|key| !key.is_empty()) {
        let moved = source.say(&format!("MIGRATE 127.0.0.1 {} {key} 0 5000", target.port()));
        assert_eq!(moved, "OK");
    }
    for node in [target, source] {
        assert_eq!(
            node.say(&format!("CLUSTER SETSLOT {slot} NODE {target_id}")),
            "OK"
        );
    }
    eventually("all know it", async || {
        (0..3).all(|seen_by| cluster.primary_of(key, seen_by) == to)
    })
    .await;
}

#[tokio::test]
async fn a_cluster_fails_over_under_traffic_and_nobody_is_served_what_is_old() {
    let mut cluster = Cluster::start(&[], 6).await;
    let origin = numbers().await;
    let limit = "[[limit]]\nname = \"few\"\nmatch = [\"GET /api/few\"]\nper = \"ip\"\nmax = 1\nwindow = \"1h\"\n";
    let rules = format!("{REGISTER_RULES}{limit}");
    let one = strict(&origin, &cluster.url(), &rules).await;
    let two = strict(&origin, &cluster.url(), &rules).await;
    hits(&one, THING).await;
    assert_eq!(one.get("/api/few").await.status, 200);
    assert_eq!(two.get("/api/few").await.status, 429);
    let traffic = Traffic::through(&[&one, &two]);
    traffic.hits_again().await;

    let home = cluster.primary_of(HOME, 0);
    cluster.nodes[home].kill();
    let seen_by = (home + 1) % 3;
    eventually("the home fails over", async || {
        cluster.primary_of(HOME, seen_by) != home
    })
    .await;
    traffic.hits_again().await;
    traffic.writes_again().await;

    // Another shard: its entries are misses, the store is not down.
    let keys = (0..THINGS).map(|thing| format!("test:things:details:{thing}"));
    let shard = (home + 2) % 3;
    assert_eq!(
        cluster.primary_of(HOME, seen_by),
        home + 3,
        "its replica took over"
    );
    let keys: Vec<_> = keys
        .filter(|key| cluster.primary_of(key, seen_by) == shard)
        .collect();
    assert!(!keys.is_empty(), "things are at all shards");
    cluster.nodes[shard].kill();
    assert!(metrics(&one).await.contains("sidecache_store_up 1"));
    eventually("the shard fails over", async || {
        cluster.primary_of(&keys[0], seen_by) != shard
    })
    .await;
    traffic.hits_again().await;

    // The home goes back by hand, while both live.
    cluster.nodes[home].restart();
    cluster.is_well(&[shard]).await;
    cluster.hands_over(home, seen_by).await;
    traffic.hits_again().await;
    traffic.writes_again().await;
    traffic.end().await;
}

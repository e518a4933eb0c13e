//! Claims that are taken along with nodes that a look found absent: where none is, and that one which turns
//! out to be of no use to anybody keeps nobody waiting.

use super::*;
use crate::raw::until;
use crate::redis::PATIENCE;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// The locks under which somebody is said to fetch.
fn held(redis: &RedisServer) -> Vec<String> {
    let names = locks(redis).into_iter().map(|(name, _)| name);
    let is_held = |name: &String| redis.say(&format!("GET {name}")) == "+";
    names.filter(is_held).collect()
}

/// Who has to wait for a claim looks more often than once.
fn looks(sidecar: &Sidecar) -> u64 {
    sent(sidecar, &["mget"])[0]
}

/// Whether Redis lets a script wait.
fn is_script_paused(redis: &RedisServer) -> bool {
    let clients = redis.say("CLIENT LIST");
    let is_paused = |client: &str| client.contains(" flags=b ") && client.contains(" cmd=eval");
    clients.lines().any(is_paused)
}

/// All that Redis is asked from now on.
async fn monitor(redis: &RedisServer) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", redis.port())).await;
    let mut stream = stream.expect("redis listens");
    stream.write_all(b"MONITOR\r\n").await.expect("it reads");
    until(&mut stream, "+OK\r\n").await;
    stream
}

/// Waits until the lock on this node's answer is released, which the end of its life is not.
async fn released(monitor: &mut TcpStream, node: &str) {
    let start = format!("\"UNLINK\" \"{node}");
    let is_lock = |name: &str| name.len() > 32 && name[..32].bytes().all(|b| b.is_ascii_hexdigit());
    let released = async {
        let mut line = String::new();
        while !line
            .split_once(&start)
            .is_some_and(|(_, rest)| is_lock(rest))
        {
            line = until(monitor, "\r\n").await;
        }
    };
    timeout(PATIENCE, released).await.expect("it is released");
}

#[tokio::test]
async fn a_fetch_that_is_one_readers_own_claims_nothing() {
    let redis = RedisServer::start();
    // What clients say to caches counts where the origin's word does, and their conditions go along.
    let rules = RULES.replacen("ttl = \"5m\"", "ttl = \"origin\"\nforward = \"all\"", 1);
    let answer = Reply::json("{\"n\": 0}").header("cache-control", "max-age=60");
    for own in [
        ("if-none-match", "\"1\""),
        ("cache-control", "no-store"),
        ("cache-control", "no-cache"),
        ("range", "bytes=0-1"),
    ] {
        let answer = answer.clone();
        let slow = Slow::answering(move |_| answer.clone()).await;
        let [one, other] = fleet_by(&slow, &redis, &rules).await;
        let first = read(&one, "/thing/other"); // makes the nodes above
        slow.was_asked(1).await;
        assert_eq!(held(&redis).len(), 1);
        let sets = redis.calls("set");
        let alone = read_with(&one, "/thing/a", &[own]);
        slow.was_asked(2).await;
        let made = redis.calls("set") - sets;
        assert_eq!(made, 1, "the node, and no lock beside it: {own:?}");
        assert_eq!(held(&redis).len(), 1, "{own:?}");
        let before = looks(&other);
        let shared = read(&other, "/thing/a");
        slow.was_asked(3).await;
        assert_eq!(looks(&other), before + 1, "it waits for nobody: {own:?}");
        slow.open();
        for reader in [first, alone, shared] {
            got(reader).await;
        }
        redis.say("FLUSHALL");
    }
}

#[tokio::test]
async fn a_hit_claims_nothing_although_a_node_beside_its_own_is_absent() {
    let redis = RedisServer::start();
    // A write that forgets a group, be it nobody's, drops a node that all looks ask for.
    let slow = Slow::answering(|asked| {
        let reply = Reply::json("{\"n\": 0}");
        match asked.method.as_str() {
            "GET" => reply,
            _ => reply.header("cache-group-invalidation", "\"nobody's\""),
        }
    })
    .await;
    slow.open();
    let [one] = fleet(&slow, &redis).await;
    one.get("/thing/a").await;
    eventually("it is kept, and no longer claimed", async || {
        one.get("/thing/a").await.outcome() == "hit" && locks(&redis).is_empty()
    })
    .await;
    one.ask("PATCH", "/change/other", &[], "").await;
    let before = sent(&one, &["evalsha", "unlink"]);
    let sets = redis.calls("set");
    assert_eq!(one.get("/thing/a").await.outcome(), "hit");
    let after = sent(&one, &["evalsha", "unlink"]);
    assert_eq!(after[0], before[0] + 1, "the node is made anew");
    assert_eq!(redis.calls("set"), sets + 1, "and no lock beside it");
    assert_eq!(locks(&redis), []);
}

/// While its nodes are being made the answer to an earlier request shows that nobody else can be given one.
#[tokio::test]
async fn a_claim_of_one_who_then_fetches_alone_is_given_up_at_once() {
    let redis = RedisServer::start();
    let slow = Slow::answering(|_| Reply::json("{}").header("cache-control", "no-store")).await;
    let [one, other] = fleet(&slow, &redis).await;
    slow.gate.add_permits(1);
    one.get("/thing/b").await; // teaches what happens once, with a write
    slow.gate.forget_permits(1);
    let early = read(&one, "/thing/a");
    slow.was_asked(2).await;
    one.ask("PATCH", "/change/a", &[], "").await; // whoever comes now does not wait for that one
    redis.say("CLIENT PAUSE 60000 WRITE");
    let late = read(&one, "/thing/a");
    eventually("its node is being made", async || is_script_paused(&redis)).await;
    slow.open();
    assert_eq!(got(early).await.status, 200);
    let mut told = monitor(&redis).await;
    redis.say("CLIENT UNPAUSE");
    assert_eq!(got(late).await.status, 200);
    released(&mut told, "test:things:a!").await;
    assert_eq!(held(&redis), [] as [String; 0]);
    let before = looks(&other);
    assert_eq!(other.get("/thing/a").await.status, 200);
    assert_eq!(looks(&other), before + 1, "it waits for nobody");
}

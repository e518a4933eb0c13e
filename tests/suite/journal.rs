//! Drops that are owed, over the death of the sidecar that owes them.

use crate::redis::{RedisServer, eventually, free_port};
use crate::world::{Got, Origin, REGISTER_RULES, ask, head};
use sidecache::server::Server;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// A sidecar in a process of its own, which can be killed.
struct Process {
    child: Child,
    proxy: SocketAddr,
    admin: SocketAddr,
}

impl Process {
    /// Starts one and waits until it listens. `store` is the rest of `[store]`.
    async fn start(home: &Path, origin: &Origin, redis: &RedisServer, store: &str) -> Process {
        let (proxy, admin) = (loopback(free_port()), loopback(free_port()));
        let text = head(origin.address, &redis.url())
            .replacen("127.0.0.1:0", &proxy.to_string(), 1)
            .replacen("127.0.0.1:0", &admin.to_string(), 1);
        let rules = home.join(format!("{}.toml", proxy.port()));
        std::fs::write(&rules, format!("{text}{store}{REGISTER_RULES}")).expect("a rules file");
        let child = Command::new(env!("CARGO_BIN_EXE_sidecache"))
            .arg("--rules")
            .arg(&rules)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let process = Process {
            child: child.expect("a sidecar"),
            proxy,
            admin,
        };
        eventually("the sidecar listens", async || {
            tokio::net::TcpStream::connect(admin).await.is_ok()
        })
        .await;
        process
    }

    /// SIGKILL.
    fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        // A process that has ended by itself cannot be killed; that is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    async fn thing(&self) -> Got {
        ask(self.proxy, "GET", "/api/thing/1", &[], "").await
    }

    async fn change(&self) -> Got {
        ask(self.proxy, "PATCH", "/api/change/1", &[], "").await
    }

    async fn ready(&self) -> serde_json::Value {
        let got = ask(self.admin, "GET", "/readyz", &[("host", "localhost")], "").await;
        serde_json::from_slice(&got.body).expect("JSON")
    }

    async fn up(&self) -> bool {
        self.ready().await["store"] == "up"
    }

    async fn owed(&self) -> u64 {
        let ready = self.ready().await;
        ready["invalidations_owed"].as_u64().expect("a number")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

fn home() -> (TempDir, PathBuf) {
    let home = tempfile::tempdir().expect("a directory");
    let journal = home.path().join("owed");
    (home, journal)
}

const JOURNAL: &str = "journal = \"owed\"\n";

/// Redis answers reads and keeps what it has, but can be told of no write.
fn refuse_drops(redis: &RedisServer) {
    redis.say("ACL SETUSER default -unlink -evalsha -eval");
}

fn allow_drops(redis: &RedisServer) {
    redis.say("ACL SETUSER default +unlink +evalsha +eval");
}

#[tokio::test]
async fn what_a_killed_sidecar_owes_is_paid_before_the_next_one_trusts_the_store() {
    let (home, journal) = home();
    let (origin, redis) = (Origin::register().await, RedisServer::start());
    let first = Process::start(home.path(), &origin, &redis, JOURNAL).await;
    eventually("the store is up", async || first.up().await).await;
    assert_eq!(first.thing().await.n(), 0);
    eventually("it is kept", async || {
        first.thing().await.outcome() == "hit"
    })
    .await;
    let empty = std::fs::metadata(&journal).expect("a journal").len();
    refuse_drops(&redis);
    assert_eq!(first.change().await.status, 200);
    let owed = first.owed().await;
    assert!(owed > 0);
    first.kill();

    // Another of the fleet shows that Redis still has the old answer under living nodes.
    let stranger = Process::start(home.path(), &origin, &redis, "").await;
    eventually("the store is up", async || stranger.up().await).await;
    let old = stranger.thing().await;
    assert_eq!((old.outcome(), old.n()), ("hit", 0));

    let next = Process::start(home.path(), &origin, &redis, JOURNAL).await;
    for _ in 0..3 {
        assert_eq!(next.thing().await.n(), 1, "it does not trust the store");
    }
    // And the root: the rules that named the rest may have been others.
    assert_eq!((next.up().await, next.owed().await), (false, owed + 1));
    allow_drops(&redis);
    eventually("the debt is paid", async || next.up().await).await;
    assert_eq!((next.thing().await.n(), stranger.thing().await.n()), (1, 1));
    assert_eq!(next.owed().await, 0);
    assert_eq!(std::fs::metadata(&journal).expect("there").len(), empty);
}

#[tokio::test]
async fn a_write_that_was_answered_stands_in_the_journal() {
    let (home, journal) = home();
    let (origin, redis) = (Origin::register().await, RedisServer::start());
    let sidecar = Process::start(home.path(), &origin, &redis, JOURNAL).await;
    eventually("the store is up", async || sidecar.up().await).await;
    redis.stop();
    assert_eq!(sidecar.change().await.status, 200);
    let bytes = std::fs::read(&journal).expect("a journal");
    let named = String::from_utf8_lossy(&bytes).into_owned();
    assert!(named.contains("test:things:details:1"), "{named}");
    let owed = sidecar.owed().await;
    sidecar.kill();
    let sidecar = Process::start(home.path(), &origin, &redis, JOURNAL).await;
    assert_eq!(sidecar.owed().await, owed + 1, "and the root");
    redis.cont();
    eventually("it is paid", async || sidecar.up().await).await;
    assert_eq!(sidecar.owed().await, 0);
}

#[tokio::test]
async fn a_torn_journal_costs_the_kept_answers_and_no_more() {
    let (home, journal) = home();
    let (origin, redis) = (Origin::register().await, RedisServer::start());
    let first = Process::start(home.path(), &origin, &redis, JOURNAL).await;
    eventually("the store is up", async || first.up().await).await;
    assert_eq!(first.thing().await.n(), 0);
    eventually("it is kept", async || {
        first.thing().await.outcome() == "hit"
    })
    .await;
    refuse_drops(&redis);
    assert_eq!(first.change().await.status, 200);
    first.kill();
    let mut bytes = std::fs::read(&journal).expect("a journal");
    bytes.pop();
    std::fs::write(&journal, bytes).expect("written");
    allow_drops(&redis);
    let next = Process::start(home.path(), &origin, &redis, JOURNAL).await;
    eventually("everything is paid", async || next.up().await).await;
    assert_eq!(next.thing().await.n(), 1);
    eventually("answers are kept again", async || {
        next.thing().await.outcome() == "hit"
    })
    .await;
}

#[tokio::test]
async fn two_sidecars_cannot_have_one_journal() {
    let (home, journal) = home();
    let (origin, redis) = (Origin::register().await, RedisServer::start());
    let _first = Process::start(home.path(), &origin, &redis, JOURNAL).await;
    let rules = home.path().join("second.toml");
    let text = head(origin.address, &redis.url());
    std::fs::write(&rules, format!("{text}{JOURNAL}{REGISTER_RULES}")).expect("a rules file");
    let refused = Server::start(&rules).await.err().expect("it is refused");
    assert!(refused.contains("another process uses it"), "{refused}");
    assert!(
        refused.contains(&journal.display().to_string()),
        "{refused}"
    );
}

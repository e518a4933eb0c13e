//! Names that do not resolve. The sidecar runs in a mount namespace of its own, with a list of hosts that
//! the test writes and a name server that does not answer.

use crate::process::Process;
use crate::redis::{RedisServer, eventually};
use crate::world::{self, Origin, REGISTER_RULES};
use std::path::PathBuf;

/// A list of hosts of a test's own.
struct Hosts {
    home: tempfile::TempDir,
}

impl Hosts {
    fn none() -> Hosts {
        let home = tempfile::tempdir().expect("a directory");
        let hosts = Hosts { home };
        hosts.list(&[]);
        let nobody = "nameserver 127.0.0.53\noptions timeout:1 attempts:1\n";
        std::fs::write(hosts.path("resolv.conf"), nobody).expect("written");
        hosts
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// From now on these names are known, and no others.
    fn list(&self, names: &[&str]) {
        let lines: String = names
            .iter()
            .map(|name| format!("127.0.0.1 {name}\n"))
            .collect();
        std::fs::write(self.path("hosts"), lines).expect("written");
    }

    /// A sidecar that knows no others. Who is root needs no namespace of users for that; who is not has one
    /// in which he is.
    fn sidecar(&self, rules: &str) -> Process {
        let bind = |name: &str| {
            let own = self.path(name);
            format!("mount --bind {} /etc/{name} && ", own.display())
        };
        let script = [bind("hosts"), bind("resolv.conf"), "exec \"$@\"".into()].concat();
        Process::start_by(
            &[&["unshare"], super::as_root(), &["sh", "-c", &script, "sh"]].concat(),
            rules,
        )
    }
}

fn rules(origin: &str, store: &str) -> String {
    let address = "127.0.0.1:1".parse().expect("an address");
    let head = world::head(address, store).replace("127.0.0.1:1\"", &format!("{origin}\""));
    format!("{head}{REGISTER_RULES}")
}

#[tokio::test]
async fn an_origin_whose_name_is_unknown_is_told_and_found_once_it_is_known() {
    let (hosts, origin) = (Hosts::none(), Origin::register().await);
    let named = format!("origin.clinic.test:{}", origin.address.port());
    let process = hosts.sidecar(&rules(&named, "memory:"));
    let ready = world::ask(process.door(), "GET", "/readyz", &[], "").await;
    assert_eq!(ready.status, 200, "it can be told of");
    let got = process.get("/api/thing/1").await;
    assert!([502, 504].contains(&got.status), "{}", got.text());
    assert!(got.text().contains("origin-"), "{}", got.text());
    let write = world::ask(process.proxy(), "PATCH", "/api/change/1", &[], "").await;
    assert!([502, 504].contains(&write.status), "{}", write.text());
    assert!(write.text().contains("origin-"), "{}", write.text());
    process.logs("origin").await;
    hosts.list(&["origin.clinic.test"]);
    eventually("it is found", async || {
        process.get("/api/thing/1").await.status == 200
    })
    .await;
    hosts.list(&[]);
    let kept = process.get("/api/thing/1").await;
    assert_eq!(kept.outcome(), "hit", "what is kept is served without it");
}

#[tokio::test]
async fn a_redis_whose_name_is_unknown_is_done_without_until_it_is_known() {
    let (hosts, origin) = (Hosts::none(), Origin::register().await);
    let mut redis = RedisServer::start();
    let url = format!("redis://redis.clinic.test:{}", redis.port());
    let process = hosts.sidecar(&rules(&origin.address.to_string(), &url));
    let up = async || process.metric("sidecache_store_up ").await == 1.0;
    for n in 0..3 {
        let got = process.get("/api/thing/1").await;
        assert_eq!((got.status, got.n()), (200, n));
        let raised = world::ask(process.proxy(), "PATCH", "/api/change/1", &[], "").await;
        assert_eq!(raised.status, 200);
    }
    process.logs("store cannot be used").await;
    hosts.list(&["redis.clinic.test"]);
    eventually("it is found", up).await;
    process.logs("store is up").await;
    eventually("it is kept", async || {
        let got = process.get("/api/thing/1").await;
        assert_eq!(got.n(), 3);
        got.outcome() == "hit"
    })
    .await;
    hosts.list(&[]);
    assert_eq!(
        process.get("/api/thing/1").await.outcome(),
        "hit",
        "it stays connected"
    );
    redis.restart();
    eventually("it is lost", async || !up().await).await;
    process.logs("store is down").await;
    assert_eq!(process.get("/api/thing/1").await.n(), 3);
    hosts.list(&["redis.clinic.test"]);
    eventually("it is found again", up).await;
}

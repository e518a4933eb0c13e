//! What a reload cannot change is named, and nothing else is refused.

use super::{Process, rules};
use crate::world::{Asked, Origin, Reply, Sidecar};

async fn hello() -> Origin {
    Origin::start(|_: Asked| async { Reply::json("{}") }).await
}

#[tokio::test]
async fn every_setting_that_takes_a_restart_is_named_at_once() {
    let origin = hello().await;
    let text = rules(origin.address, "memory:", "5m");
    let sidecar = Sidecar::with_file(&text).await;
    let changed = text
        .replacen(
            "namespace = \"test\"",
            "namespace = \"other\"\nlocal.max = \"1MiB\"",
            1,
        )
        .replacen("[proxy]", "[proxy]\nmax_connections = 7", 1)
        .replacen("[admin]", "[admin]\ntoken = \"sixteen-characters\"", 1)
        .replacen(
            "[store]",
            "[store]\ntimeout = \"9s\"\ncompress = \"zstd\"",
            1,
        );
    let refused = sidecar.reload(&changed).expect_err("it takes a restart");
    assert_eq!(
        refused,
        "namespace has changed, [proxy] max_connections has changed, [local] max has changed, \
         [admin] has changed (token), [store] has changed (timeout, compress), \
         which takes a restart; the old rules stay in force\n"
    );
    assert_eq!(sidecar.server.live().table.namespace, "test");
}

/// A write's lease is `origin_timeout` and a little: where that grows, nobody has changed the store.
#[tokio::test]
async fn what_is_asked_of_the_rules_and_not_of_the_store_needs_no_restart() {
    let origin = hello().await;
    let text = rules(origin.address, "memory:", "5m");
    let sidecar = Sidecar::with_file(&text).await;
    let longer = text.replacen("origin_timeout = \"5s\"", "origin_timeout = \"9s\"", 1);
    assert_ne!(longer, text);
    sidecar.reload(&longer).expect("no restart is needed");
    let other = longer.replacen(
        "[store]",
        "[store]\nmax_entry = \"10B\"\non_down = \"refuse\"\nwrite_lease = \"20s\"",
        1,
    );
    sidecar.reload(&other).expect("no restart is needed");
    sidecar.get("/kept").await;
    assert_eq!(
        sidecar.get("/kept").await.outcome(),
        "hit",
        "two bytes are below the limit"
    );
    let smaller = other.replacen("\"10B\"", "\"1B\"", 1);
    sidecar.reload(&smaller).expect("no restart is needed");
    sidecar.purge(&["*"]).await;
    let got = sidecar.get("/kept").await;
    assert_eq!(
        got.detail(),
        Some("too-large"),
        "it is in force: {}",
        got.cache_status()
    );
}

#[tokio::test]
async fn a_door_that_comes_or_goes_takes_a_restart() {
    let origin = hello().await;
    let text = rules(origin.address, "memory:", "5m");
    let without = text.replacen("[admin]\nlisten = \"127.0.0.1:0\"\n", "", 1);
    let sidecar = Sidecar::with_file(&text).await;
    let refused = sidecar.reload(&without).expect_err("it takes a restart");
    assert!(
        refused.starts_with("[admin] has changed (the whole table is gone)"),
        "{refused}"
    );
    let sidecar = Sidecar::with_file(&without).await;
    let refused = sidecar.reload(&text).expect_err("it takes a restart");
    assert!(
        refused.starts_with("[admin] has changed (the whole table is new)"),
        "{refused}"
    );
}

/// Whoever renews certificates is to know that they are not in use yet.
#[tokio::test]
async fn certificates_of_the_store_that_change_are_said_to_take_a_restart() {
    let origin = hello().await;
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("ca.pem");
    let renew = || {
        let made = rcgen::generate_simple_self_signed(["redis.test".to_owned()]).expect("made");
        std::fs::write(&file, made.cert.pem()).expect("a file");
    };
    renew();
    let ca = format!("[store]\nca = \"{}\"", file.display());
    let text = rules(origin.address, "memory:", "5m").replacen("[store]", &ca, 1);
    let process = Process::start(&text);
    renew();
    process
        .logs("ca, cert or key have changed, which takes a restart")
        .await;
    process.logs("the rules were reloaded").await;
}

use super::{RULES, World, run_with};
use crate::process::Process;
use crate::redis::eventually;
use crate::world::{Asked, Origin, Reply, Sidecar, head};
use tokio::io::AsyncWriteExt;

#[tokio::test]
async fn a_sidecar_that_answers_is_healthy_and_one_that_does_not_is_not() {
    let world = World::start().await;
    let url = world.door();
    let healthy = run_with(&["health", "--admin", &url], &[]).await.succeeds();
    assert_eq!(healthy.out, "ready: store up\n");
    assert!(world.sidecar.server.drain().await);
    run_with(&["health", "--admin", &url], &[])
        .await
        .fails("nothing answers at");
}

/// A container's health check has the environment of its container, or less; and somebody may be at work
/// on the file while the sidecar runs with what it was.
#[tokio::test]
async fn nothing_of_the_rules_counts_but_where_the_door_is() {
    let directory = tempfile::tempdir().expect("a directory");
    let socket = directory.path().join("door.sock");
    let listen = format!("listen = \"unix:{}\"", socket.display());
    let origin = Origin::start(|_: Asked| async { Reply::json("{}") }).await;
    let sound = head(origin.address, "memory:").replacen(
        "[admin]\nlisten = \"127.0.0.1:0\"",
        &format!("[admin]\n{listen}"),
        1,
    ) + RULES;
    let _sidecar = Sidecar::with_file(&sound).await;
    let path = directory.path().join("rules.toml");
    let check = async |text: &str| {
        std::fs::write(&path, text).expect("a rules file");
        run_with(&["health", "--rules", path.to_str().expect("a path")], &[]).await
    };
    let files = [
        sound,
        format!("[admin]\n{listen}\ntoken = \"${{UNSET}}\"\n[store]\nurl = \"${{UNSET}}\""),
        format!("[proxy]\nlisten = \n[admin]\n{listen}\n[[cache]]\nname = \"half"),
    ];
    for file in files {
        assert_eq!(check(&file).await.succeeds().out, "ready: store up\n");
    }
    check("[admin\nlisten = 1").await.fails("rules.toml:1");
    check("[admin]\nlisten = \"${UNSET}\"")
        .await
        .fails("`UNSET` is not set");
}

#[tokio::test]
async fn a_store_that_is_away_is_said_and_makes_nobody_unhealthy() {
    let redis = crate::redis::RedisServer::absent(&[]);
    let world = World::on(&redis.url(), RULES).await;
    world.sidecar.ask("POST", "/change/a", &[], "").await;
    let ended = run_with(&["health", "--admin", &world.door()], &[])
        .await
        .succeeds();
    assert_eq!(ended.out, "ready: store down, 1 invalidations owed\n");
}

#[tokio::test]
async fn a_draining_sidecar_is_not_healthy() {
    let origin = Origin::start(|_: Asked| async { Reply::json("{}") }).await;
    let process = Process::start(&(head(origin.address, "memory:") + RULES));
    // A request that is not whole yet holds up the end.
    let mut open = tokio::net::TcpStream::connect(process.proxy())
        .await
        .expect("it listens");
    open.write_all(b"GET /kept/a HTTP/1.1\r\nHost: api.test\r\n")
        .await
        .expect("sent");
    let url = format!("http://{}", process.door());
    run_with(&["health", "--admin", &url], &[]).await.succeeds();
    process.signal("-TERM");
    eventually("it drains", async || {
        let ended = run_with(&["health", "--admin", &url], &[]).await;
        ended.status == Some(1) && ended.err == "draining: store up\n"
    })
    .await;
}

/// Loopback may have no IPv6 where a door listens on all addresses.
#[tokio::test]
async fn a_door_on_all_addresses_is_found_by_ipv4_too() {
    let world = World::start().await;
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("rules.toml");
    let text = format!(
        "[admin]\nlisten = \"[::]:{}\"",
        world.sidecar.admin().port()
    );
    std::fs::write(&path, text).expect("a rules file");
    let health = ["health", "--rules", path.to_str().expect("a path")];
    assert_eq!(
        run_with(&health, &[]).await.succeeds().out,
        "ready: store up\n"
    );
}

use crate::process::Process;
use crate::redis::eventually;
use crate::world::{self, Origin, REGISTER_RULES};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Of which all but 64 are for clients and their requests to the origin.
const FILES: &str = "--nofile=128:128";

#[tokio::test]
async fn a_sidecar_that_runs_out_of_files_lets_clients_wait_and_stays_alive() {
    let origin = Origin::register().await;
    let head = world::head(origin.address, "memory:");
    let process = Process::start_by(&["prlimit", FILES], &format!("{head}{REGISTER_RULES}"));
    process.logs("32 clients are let in at a time").await;
    let mut idle = Vec::new();
    for _ in 0..200 {
        idle.push(
            TcpStream::connect(process.proxy())
                .await
                .expect("it listens"),
        );
    }
    eventually("as many are let in as may be", async || {
        process.metric("sidecache_connections ").await == 32.0 + 1.0 // by which this is asked
    })
    .await;
    assert!(process.metric("sidecache_connections_full_total ").await >= 1.0);
    let ready = world::ask(process.door(), "GET", "/readyz", &[], "").await;
    assert_eq!(ready.status, 200, "operators and health checks are let in");
    let first = &mut idle[0];
    let get = b"GET /api/thing/1 HTTP/1.1\r\nHost: api.test\r\n\r\n";
    first.write_all(get).await.expect("sent");
    let mut answer = [0; 15];
    first.read_exact(&mut answer).await.expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 200 OK", "who was let in is served");
    let last = idle.last_mut().expect("200");
    last.write_all(get)
        .await
        .expect("it waits with what was sent");
    let waiting = idle.split_off(199);
    drop(idle);
    for mut last in waiting {
        last.read_exact(&mut answer).await.expect("an answer");
        assert_eq!(&answer, b"HTTP/1.1 200 OK", "who waited is served");
    }
    assert_eq!(process.get("/api/thing/1").await.status, 200);
    assert!(!process.logged().contains("could not be accepted"));
}

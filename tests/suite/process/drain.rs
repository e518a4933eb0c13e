use super::{Process, is_refused, rules};
use crate::redis::{RedisServer, eventually};
use crate::world::{self, Asked, Origin, Reply};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

/// An origin whose answers to `/slow` and `/change` wait for a permit; every answer is its number.
async fn gated() -> (Origin, Arc<Semaphore>) {
    let gate = Arc::new(Semaphore::new(0));
    let (shared, count) = (gate.clone(), Arc::new(AtomicUsize::new(0)));
    let origin = Origin::start(move |asked: Asked| {
        let (gate, count) = (shared.clone(), count.clone());
        async move {
            if asked.target != "/kept" {
                gate.acquire().await.expect("never closed").forget();
            }
            let padding = "x".repeat(100_000);
            Reply::json(format!(
                r#"{{"n": {}, "padding": "{padding}"}}"#,
                count.fetch_add(1, SeqCst)
            ))
        }
    })
    .await;
    (origin, gate)
}

#[tokio::test]
async fn a_request_under_way_is_answered_whole_and_no_other_is_taken() {
    for signal in ["-TERM", "-INT"] {
        let (origin, gate) = gated().await;
        let mut process = Process::start(&rules(origin.address, "memory:", "5m"));
        let proxy = process.proxy();
        let slow = tokio::spawn(async move { world::ask(proxy, "GET", "/slow", &[], "").await });
        eventually("the origin is asked", async || origin.count() == 1).await;
        process.signal(signal);
        eventually("no more connections are taken", async || {
            is_refused(proxy).await
        })
        .await;
        assert!(
            process.child.try_wait().expect("ours").is_none(),
            "it waits for the answer"
        );
        let ready = world::ask(process.door(), "GET", "/readyz", &[], "").await;
        assert_eq!(ready.status, 503, "the door stays open and says so");
        assert!(ready.text().contains("draining"), "{}", ready.text());
        gate.add_permits(1);
        let got = slow.await.expect("no panic");
        assert_eq!((got.status, got.body.len() > 100_000), (200, true));
        assert_eq!(
            process.ended().await.code(),
            Some(0),
            "{}",
            process.logged()
        );
    }
}

#[tokio::test]
async fn a_write_under_way_drops_what_it_names_although_its_client_left() {
    let redis = RedisServer::start();
    let (origin, gate) = gated().await;
    let mut process = Process::start(&rules(origin.address, &redis.url(), "5m"));
    let other = Process::start(&rules(origin.address, &redis.url(), "5m"));
    eventually("it is kept", async || {
        process.get("/kept").await.outcome() == "hit"
    })
    .await;
    assert_eq!(other.get("/kept").await.outcome(), "hit");
    let mut client = TcpStream::connect(process.proxy()).await.expect("listens");
    let post = b"POST /change HTTP/1.1\r\nHost: api.test\r\nContent-Length: 0\r\n\r\n";
    client.write_all(post).await.expect("sent");
    eventually("the origin is asked", async || {
        origin.last().target == "/change"
    })
    .await;
    drop(client);
    process.signal("-TERM");
    eventually("no more connections are taken", async || {
        is_refused(process.proxy()).await
    })
    .await;
    gate.add_permits(1);
    assert_eq!(
        process.ended().await.code(),
        Some(0),
        "{}",
        process.logged()
    );
    assert_eq!(other.get("/kept").await.outcome(), "miss");
}

#[tokio::test]
async fn connections_that_ask_nothing_do_not_hold_it_up() {
    let (origin, _gate) = gated().await;
    let mut process = Process::start(&rules(origin.address, "memory:", "5m"));
    let mut silent = TcpStream::connect(process.proxy()).await.expect("listens");
    let mut kept = TcpStream::connect(process.proxy()).await.expect("listens");
    let get = b"GET /kept HTTP/1.1\r\nHost: api.test\r\n\r\n";
    kept.write_all(get).await.expect("sent");
    let mut begun = [0; 16];
    kept.read_exact(&mut begun).await.expect("an answer");
    process.signal("-TERM");
    assert_eq!(
        process.ended().await.code(),
        Some(0),
        "{}",
        process.logged()
    );
    assert_eq!(silent.read(&mut begun).await.unwrap_or(0), 0);
}

#[tokio::test]
async fn what_does_not_end_in_time_is_cut_off_and_said() {
    let (origin, _gate) = gated().await;
    let text = rules(origin.address, "memory:", "5m").replacen(
        "[proxy]",
        "[proxy]\ndrain_timeout = \"200ms\"",
        1,
    );
    let mut process = Process::start(&text);
    let proxy = process.proxy();
    let mut client = TcpStream::connect(proxy).await.expect("listens");
    let get = b"GET /slow HTTP/1.1\r\nHost: api.test\r\n\r\n";
    client.write_all(get).await.expect("sent");
    eventually("the origin is asked", async || origin.count() == 1).await;
    process.signal("-TERM");
    assert_eq!(process.ended().await.code(), Some(0));
    process.logs("drain_timeout").await;
}

/// Counts by id what was written to it, and answers everything after a moment.
async fn counting() -> Origin {
    let values: Arc<std::sync::Mutex<std::collections::HashMap<String, i64>>> = Arc::default();
    Origin::start(move |asked: Asked| {
        let values = values.clone();
        async move {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await; // so that some are under way
            let id = asked
                .target
                .rsplit('/')
                .next()
                .unwrap_or_default()
                .to_owned();
            let raised = i64::from(asked.method == "POST");
            let mut values = values.lock().expect("not poisoned");
            let n = values.entry(id).or_default();
            *n += raised;
            Reply::json(format!("{{\"n\": {n}}}"))
        }
    })
    .await
}

const COUNTED: &str = r#"
[[cache]]
name = "counted"
match = "GET /count/{id}"
key = "counts:{id}"
query = []
ttl = "5m"
public = true

[[invalidate]]
name = "raised"
on = "POST /raise/{id}"
drop = ["counts:{id}"]
"#;

/// A client that keeps its connection and writes to its own number and reads it, until the connection is
/// closed on it. What it was told last.
async fn goes_on(proxy: std::net::SocketAddr, id: usize, answered: Arc<AtomicUsize>) -> i64 {
    let Ok(mut stream) = TcpStream::connect(proxy).await else {
        return 0;
    };
    let mut told = 0;
    loop {
        for (method, path) in [("POST", "raise"), ("GET", "count")] {
            let request = format!(
                "{method} /{path}/{id} HTTP/1.1\r\nHost: api.test\r\nContent-Length: 0\r\n\r\n"
            );
            if stream.write_all(request.as_bytes()).await.is_err() {
                return told;
            }
            let Some(n) = answer(&mut stream).await else {
                return told;
            };
            assert!(n >= told, "{n} after {told}");
            told = n;
            answered.fetch_add(1, SeqCst);
        }
    }
}

/// The number in a whole answer, `None` where the connection was closed before any of it.
async fn answer(stream: &mut TcpStream) -> Option<i64> {
    let mut heard = Vec::new();
    loop {
        let mut bytes = [0; 2048];
        let text = String::from_utf8_lossy(&heard).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n")
            && body.ends_with('}')
        {
            assert!(head.starts_with("HTTP/1.1 200"), "{text}");
            let document: serde_json::Value = serde_json::from_str(body).expect("JSON");
            return document["n"].as_i64();
        }
        match stream.read(&mut bytes).await {
            Ok(length @ 1..) => heard.extend_from_slice(&bytes[..length]),
            _ => {
                assert!(heard.is_empty(), "cut off: {text}");
                return None;
            }
        }
    }
}

#[tokio::test]
async fn a_drain_under_load_loses_no_request_and_no_write() {
    const CLIENTS: usize = 200;
    let (redis, origin) = (RedisServer::start(), counting().await);
    let head = world::head(origin.address, &redis.url());
    let head = head.replace("[store]", "[store]\ntimeout = \"10s\"");
    let rules = format!("{head}{COUNTED}");
    let (mut leaving, staying) = (Process::start(&rules), Process::start(&rules));
    let answered = Arc::new(AtomicUsize::new(0));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|id| tokio::spawn(goes_on(leaving.proxy(), id, answered.clone())))
        .collect();
    eventually("they are at it", async || {
        answered.load(SeqCst) > 3 * CLIENTS
    })
    .await;
    leaving.signal("-TERM");
    let mut told = Vec::new();
    for client in clients {
        told.push(client.await.expect("no answer was cut off or went back"));
    }
    assert_eq!(
        leaving.ended().await.code(),
        Some(0),
        "{}",
        leaving.logged()
    );
    let forwarded = origin.asked();
    for (id, told) in told.into_iter().enumerate() {
        let target = format!("/raise/{id}");
        let raised = forwarded
            .iter()
            .filter(|asked| asked.target == target)
            .count();
        assert_eq!(
            told, raised as i64,
            "each write that the origin saw was answered"
        );
        assert_eq!(staying.get(&format!("/count/{id}")).await.n(), told);
    }
    assert!(
        !leaving.logged().contains("cut off"),
        "{}",
        leaving.logged()
    );
}

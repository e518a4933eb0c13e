//! What a reload replaces is closed: the connections to the origin of rules that are no longer in force.

use super::{Process, rules};
use crate::redis::eventually;
use crate::world;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// An origin that counts the connections which are open, and those that were.
#[derive(Clone, Default)]
struct Counted {
    open: Arc<AtomicUsize>,
    all: Arc<AtomicUsize>,
}

impl Counted {
    async fn start() -> (Counted, SocketAddr) {
        let counted = Counted::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let of_listener = counted.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let counted = of_listener.clone();
                counted.open.fetch_add(1, SeqCst);
                counted.all.fetch_add(1, SeqCst);
                tokio::spawn(async move {
                    answer(stream).await;
                    counted.open.fetch_sub(1, SeqCst);
                });
            }
        });
        (counted, address)
    }
}

/// Answers each request that has no body, until the other side closes.
async fn answer(mut stream: TcpStream) {
    let (mut heard, mut buffer) = (Vec::new(), [0; 4096]);
    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
        heard.extend_from_slice(&buffer[..count]);
        if heard.ends_with(b"\r\n\r\n") {
            heard.clear();
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
            if stream.write_all(answer).await.is_err() {
                return;
            }
        }
    }
}

#[tokio::test]
async fn twenty_reloads_under_load_fail_no_request_and_leave_no_connection_behind() {
    let (counted, address) = Counted::start().await;
    // So long that a connection which nobody closes is still there at the end.
    let patient = "idle_timeout = \"10m\"\norigin_timeout";
    let text = rules(address, "memory:", "5m").replacen("origin_timeout", patient, 1);
    let process = Process::start(&text);
    let done = Arc::new(AtomicBool::new(false));
    let load: Vec<_> = (0..4)
        .map(|_| {
            let (proxy, done) = (process.proxy(), done.clone());
            tokio::spawn(async move {
                let mut failed = Vec::new();
                while !done.load(SeqCst) {
                    for (method, target) in
                        [("GET", "/kept"), ("GET", "/pass"), ("DELETE", "/kept")]
                    {
                        let got = world::ask(proxy, method, target, &[], "").await;
                        failed.extend((got.status != 200).then_some(got.status));
                    }
                }
                failed
            })
        })
        .collect();
    let reloads = || process.logged().matches("the rules were reloaded").count();
    for number in 1..=20 {
        let seen = counted.all.load(SeqCst);
        process.write_rules(&text.replacen("\"5m\"", &format!("\"{number}m\""), 1));
        process.signal("-HUP");
        eventually("it is reloaded", async || reloads() >= number).await;
        // The pool of these rules is in use before the next ones come.
        eventually("it connects anew", async || counted.all.load(SeqCst) > seen).await;
    }
    done.store(true, SeqCst);
    for failed in load {
        assert_eq!(
            failed.await.expect("every request is answered"),
            Vec::<u16>::new()
        );
    }
    assert!(counted.all.load(SeqCst) > 20, "each pool had a connection");
    // Of the last pool at most as many as there were requests at a time.
    eventually("what was replaced is closed", async || {
        counted.open.load(SeqCst) <= 4
    })
    .await;
}

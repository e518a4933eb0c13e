//! What asking costs, counted in allocations on the asking thread.

use super::*;
use allocation_counter::{AllocationInfo, measure};
use std::io::{Read as _, Write as _};

/// Requests that are counted together, so that what is done once for many weighs little.
const REQUESTS: u64 = 100;

/// An origin on a thread of its own, which answers whatever ends in a blank line.
fn answering_elsewhere(answer: &'static [u8]) -> SocketAddr {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let listener = listener.expect("loopback has ports");
    let address = listener.local_addr().expect("bound");
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        let (mut space, mut heard) = ([0; 4096], Vec::new());
        while let Ok(length @ 1..) = stream.read(&mut space) {
            heard.extend_from_slice(&space[..length]);
            if heard.ends_with(b"\r\n\r\n") {
                heard.clear();
                stream.write_all(answer).expect("it is read");
            }
        }
    });
    address
}

/// What so many requests cost once a connection is open.
fn cost(answer: &'static [u8], request: impl Fn() -> Request<Body>) -> AllocationInfo {
    let origin = client(&http(answering_elsewhere(answer)));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let ask = |times| {
        runtime.block_on(async {
            for _ in 0..times {
                let answer = origin.ask(request()).await.expect("an answer");
                let mut body = answer.into_body();
                while let Some(frame) = body.frame().await {
                    assert!(frame.is_ok());
                }
            }
        });
    };
    ask(10); // the connection, its timer and its buffers
    let asked = measure(|| ask(REQUESTS));
    let made = measure(|| (0..REQUESTS).for_each(|_| drop(request())));
    AllocationInfo {
        count_total: asked.count_total - made.count_total,
        bytes_total: asked.bytes_total - made.bytes_total,
        ..asked
    }
}

#[test]
fn asking_on_a_kept_connection_costs_few_allocations() {
    let cost = cost(OK.as_bytes(), get);
    assert!(cost.count_total <= REQUESTS * 20, "{cost:?}");
}

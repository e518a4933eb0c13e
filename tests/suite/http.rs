//! What a connection carries, byte for byte: protocols, limits, tunnels, what is said between.

mod floods; // HTTP/2 that never ends, or is never read
mod flow; // bodies on their way: order, pace, ends
mod h2c; // HTTP/2 with prior knowledge
mod hops; // Max-Forwards, absolute targets, old clients
mod interim; // Expect, and what an origin says before it answers
mod limits; // who takes too long, or too much
mod origin; // what an origin may say that makes no sense
mod tunnels; // connections that change their protocol

use crate::raw::until_closed;
use crate::redis::PATIENCE;
use crate::world::{Sidecar, head};
use std::net::SocketAddr;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// A sidecar whose `[proxy]` says this too.
async fn sidecar(origin: SocketAddr, proxy: &str) -> Sidecar {
    let mut file = head(origin, "memory:").replace("[admin]", &format!("{proxy}\n[admin]"));
    if proxy.contains("origin_timeout") {
        file = file.replacen("origin_timeout = \"5s\"\n", "", 1);
    }
    Sidecar::with_file(&file).await
}

async fn connected(sidecar: &Sidecar) -> TcpStream {
    TcpStream::connect(sidecar.address())
        .await
        .expect("somebody listens")
}

/// Says these bytes.
async fn say(stream: &mut TcpStream, bytes: impl AsRef<[u8]>) {
    stream.write_all(bytes.as_ref()).await.expect("sent");
}

/// An origin that is a listener, for the test to play.
async fn stage(proxy: &str) -> (TcpListener, Sidecar) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let sidecar = sidecar(address, proxy).await;
    (listener, sidecar)
}

/// The next connection to the origin.
async fn accepted(listener: &TcpListener) -> TcpStream {
    let accepted = timeout(PATIENCE, listener.accept()).await;
    accepted.expect("asked in time").expect("a connection").0
}

/// The value of one of the metrics.
async fn metric(sidecar: &Sidecar, line: &str) -> Option<f64> {
    let text = sidecar.door("GET", "/metrics", "").await.text();
    let rest = text.lines().find_map(|found| found.strip_prefix(line))?;
    rest.trim().parse().ok()
}

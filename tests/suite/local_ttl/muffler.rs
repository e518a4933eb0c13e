//! A way to Redis on which connections stay open and messages get lost.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::AbortOnDropHandle;

/// What a client that subscribes sends.
const SUBSCRIBE: &[u8] = b"SUBSCRIBE";

/// A relay, for as long as this lives.
pub struct Muffler {
    pub address: SocketAddr,
    is_on: Arc<AtomicBool>,
    _acceptor: AbortOnDropHandle<()>,
}

impl Muffler {
    /// Opens one to Redis at `port`; at first everything passes.
    pub async fn open(port: u16) -> Muffler {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let is_on = Arc::new(AtomicBool::new(false));
        let muffled = is_on.clone();
        let acceptor = tokio::spawn(async move {
            loop {
                let (near, _) = listener.accept().await.expect("a connection");
                let far = TcpStream::connect(("127.0.0.1", port)).await;
                let (near_in, near_out) = near.into_split();
                let (far_in, far_out) = far.expect("redis listens").into_split();
                let is_subscriber = Arc::new(AtomicBool::new(false));
                tokio::spawn(pass_commands(near_in, far_out, is_subscriber.clone()));
                let muffled = muffled.clone();
                let lost = move || muffled.load(SeqCst) && is_subscriber.load(SeqCst);
                tokio::spawn(pass_replies(far_in, near_out, lost));
            }
        });
        Muffler {
            address,
            is_on,
            _acceptor: AbortOnDropHandle::new(acceptor),
        }
    }

    /// From now on subscribers hear nothing any more.
    pub fn muffle(&self) {
        self.is_on.store(true, SeqCst);
    }
}

async fn pass_commands(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, seen: Arc<AtomicBool>) {
    let mut bytes = [0; 4096];
    while let Ok(length @ 1..) = from.read(&mut bytes).await {
        let sent = &bytes[..length];
        if sent.windows(SUBSCRIBE.len()).any(|part| part == SUBSCRIBE) {
            seen.store(true, SeqCst);
        }
        if to.write_all(sent).await.is_err() {
            return;
        }
    }
}

async fn pass_replies(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, lost: impl Fn() -> bool) {
    let mut bytes = [0; 4096];
    while let Ok(length @ 1..) = from.read(&mut bytes).await {
        if !lost() && to.write_all(&bytes[..length]).await.is_err() {
            return;
        }
    }
}

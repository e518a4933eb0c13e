//! The way from one sidecar to Redis, which can be cut: the others keep theirs.

use std::net::SocketAddr;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

/// A relay, for as long as this lives.
pub struct Link {
    pub address: SocketAddr,
    is_cut: watch::Sender<bool>,
    _acceptor: AbortOnDropHandle<()>,
}

impl Link {
    /// Opens one to Redis at `port`.
    pub async fn open(port: u16) -> Link {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let is_cut = watch::Sender::new(false);
        let watched = is_cut.clone();
        let acceptor = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.expect("a connection");
                tokio::spawn(relay(stream, port, watched.subscribe()));
            }
        });
        Link {
            address,
            is_cut,
            _acceptor: AbortOnDropHandle::new(acceptor),
        }
    }

    /// Closes every connection, and each new one at once, until it is mended.
    pub fn cut(&self) {
        self.is_cut.send_replace(true);
    }

    /// Lets new connections pass.
    pub fn mend(&self) {
        self.is_cut.send_replace(false);
    }
}

async fn relay(mut near: TcpStream, port: u16, mut is_cut: watch::Receiver<bool>) {
    let relayed = async {
        let mut far = TcpStream::connect(("127.0.0.1", port)).await?;
        near.set_nodelay(true)?;
        far.set_nodelay(true)?;
        copy_bidirectional(&mut near, &mut far).await
    };
    tokio::select! {
        biased;
        _ = is_cut.wait_for(|is_cut| *is_cut) => {}
        _ = relayed => {} // however it ended: both ends are closed
    }
}

//! A listener and the connections that came in by it.

use super::watched::Watched;
use crate::refuse::Doubtful;
use crate::rules::settings::Listen;
use hyper::body::{Body as HttpBody, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Time for a request's head to arrive: generous for a person on a bad line, short for whoever
/// holds connections open on purpose.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// Bytes that a connection buffers in each direction, and so the longest head that is taken: four
/// times what Node takes. Without a bound hyper reads bodies in pieces of up to 400 KiB, and what
/// the allocator holds on to of those is most of the memory of a process that forwards uploads.
const MAX_BUFFER: usize = 64 * 1024;

/// Pause after an accept that failed, mostly for want of file descriptors: going on at once would
/// spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Where a listener really stands: port 0 is resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bound {
    /// An address.
    Tcp(SocketAddr),
    /// A socket file.
    Unix(PathBuf),
}

impl std::fmt::Display for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Bound::Tcp(address) => write!(f, "http://{address}"),
            Bound::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

pub(super) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

enum Accepted {
    Tcp(TcpStream, SocketAddr),
    Unix(UnixStream),
}

/// A listener with its connections: opened, and shut without cutting anything off.
pub(super) struct Gate {
    /// Where it stands.
    pub(super) bound: Bound,
    /// Cancelled when nobody more is let in.
    pub(super) closing: CancellationToken,
    acceptors: TaskTracker,
    connections: TaskTracker,
}

impl Gate {
    /// Takes requests from a listener until the gate is shut.
    pub(super) fn open<H, F, B>(
        (listener, bound): (Listener, Bound),
        closing: CancellationToken,
        handler: H,
    ) -> Gate
    where
        H: Fn(Option<IpAddr>, Request<Incoming>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response<B>> + Send + 'static,
        B: HttpBody<Data = bytes::Bytes> + Send + 'static,
        B::Error: std::error::Error + Send + Sync,
    {
        let gate = Gate {
            bound,
            closing,
            acceptors: TaskTracker::new(),
            connections: TaskTracker::new(),
        };
        let (closing, connections) = (gate.closing.clone(), gate.connections.clone());
        gate.acceptors.spawn(async move {
            while let Some(accepted) = closing.run_until_cancelled(listener.accept()).await {
                match accepted {
                    Ok(Accepted::Tcp(stream, peer)) => {
                        let _ = stream.set_nodelay(true); // without it answers are late, not wrong
                        let peer = Some(peer.ip().to_canonical());
                        connections.spawn(serve(stream, peer, handler.clone(), closing.clone()));
                    }
                    Ok(Accepted::Unix(stream)) => {
                        connections.spawn(serve(stream, None, handler.clone(), closing.clone()));
                    }
                    Err(error) => {
                        tracing::warn!(%error, "a connection could not be accepted");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                }
            }
        });
        gate
    }

    /// Lets nobody more in and waits until the connections that are there have finished what they
    /// began.
    pub(super) async fn shut(&self) {
        self.closing.cancel();
        for tracker in [&self.acceptors, &self.connections] {
            tracker.close();
            tracker.wait().await;
        }
        if let Bound::Unix(path) = &self.bound {
            let _ = std::fs::remove_file(path); // whoever starts next replaces it anyway
        }
    }
}

impl Listener {
    async fn accept(&self) -> std::io::Result<Accepted> {
        match self {
            Listener::Tcp(listener) => listener
                .accept()
                .await
                .map(|(stream, peer)| Accepted::Tcp(stream, peer)),
            Listener::Unix(listener) => listener
                .accept()
                .await
                .map(|(stream, _)| Accepted::Unix(stream)),
        }
    }
}

/// Binds what `[proxy] listen` or `[admin] listen`, named by `what`, says.
pub(super) async fn bind(listen: &Listen, what: &str) -> Result<(Listener, Bound), String> {
    match listen {
        Listen::Tcp(address) => {
            let failed = |error| {
                format!("{what} = \"{address}\": {error}; is another process listening there?")
            };
            let listener = TcpListener::bind(address).await.map_err(failed)?;
            let bound = Bound::Tcp(listener.local_addr().map_err(failed)?);
            Ok((Listener::Tcp(listener), bound))
        }
        Listen::Unix(path) => {
            remove_abandoned(path).await;
            let listener = UnixListener::bind(path)
                .map_err(|error| format!("{what} = \"unix:{}\": {error}", path.display()))?;
            Ok((Listener::Unix(listener), Bound::Unix(path.clone())))
        }
    }
}

/// A socket file that nobody listens on is left over from a process that was killed.
async fn remove_abandoned(path: &Path) {
    let refused = |error: std::io::Error| error.kind() == std::io::ErrorKind::ConnectionRefused;
    if tokio::net::UnixStream::connect(path)
        .await
        .err()
        .is_some_and(refused)
    {
        let _ = std::fs::remove_file(path); // binding will say so if it is still in the way
    }
}

async fn serve<S, H, F, B>(stream: S, peer: Option<IpAddr>, handler: H, closing: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    H: Fn(Option<IpAddr>, Request<Incoming>) -> F + Send + Sync + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: HttpBody<Data = bytes::Bytes> + Send + 'static,
    B::Error: std::error::Error + Send + Sync,
{
    let doubtful = Arc::new(AtomicBool::new(false));
    let io = TokioIo::new(Watched::new(stream, doubtful.clone()));
    let service = service_fn(move |mut request| {
        if doubtful.load(Relaxed) {
            request.extensions_mut().insert(Doubtful);
        }
        let answer = handler(peer, request);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .max_header_size(MAX_BUFFER)
        .max_buf_size(MAX_BUFFER)
        .header_read_timeout(HEAD_TIMEOUT);
    let mut connection = std::pin::pin!(builder.serve_connection(io, service));
    let ended = match closing.run_until_cancelled(connection.as_mut()).await {
        Some(ended) => ended,
        None => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

//! A listener and the connections that came in by it.

use super::connection::{self, Manners};
use super::room::{Place, Room};
use crate::client::Client;
use crate::keepalive;
use crate::metrics::Metrics;
use crate::rules::settings::{ClientLimits, Listen};
use hyper::body::{Body as HttpBody, Incoming};
use hyper::{Request, Response};
use socket2::{Domain, SockAddr, Socket, Type};
use std::fs::Permissions;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Pause after an accept that failed, mostly for want of file descriptors: going on at once would
/// spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Connections that may wait to be accepted, as far as the kernel allows (`net.core.somaxconn`).
const BACKLOG: i32 = 1024;

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

/// What a gate is opened with.
pub(super) struct Opening<L, H> {
    pub(super) listener: (Listener, Bound),
    pub(super) closing: CancellationToken,
    pub(super) metrics: Arc<Metrics>,
    /// Asked for each connection, so that a reload changes them.
    pub(super) limits: L,
    /// How many connections there may be at a time.
    pub(super) places: usize,
    pub(super) handler: H,
}

/// What its acceptor needs to let somebody in.
struct Porter<L, H> {
    closing: CancellationToken,
    connections: TaskTracker,
    metrics: Arc<Metrics>,
    room: Room,
    limits: L,
    handler: H,
}

impl Gate {
    /// Takes requests from a listener until the gate is shut.
    pub(super) fn open<L, H, F, B>(opening: Opening<L, H>) -> Gate
    where
        L: Fn() -> ClientLimits + Send + Sync + 'static,
        H: Fn(Client, Request<Incoming>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response<B>> + Send + 'static,
        B: HttpBody<Data = bytes::Bytes> + Send + Unpin + 'static,
        B::Error: std::error::Error + Send + Sync,
    {
        let (listener, bound) = opening.listener;
        let gate = Gate {
            bound,
            closing: opening.closing,
            acceptors: TaskTracker::new(),
            connections: TaskTracker::new(),
        };
        let closing = gate.closing.clone();
        let porter = Porter {
            closing: closing.clone(),
            connections: gate.connections.clone(),
            room: Room::new(opening.places, opening.metrics.clone()),
            metrics: opening.metrics,
            limits: opening.limits,
            handler: opening.handler,
        };
        gate.acceptors.spawn(async move {
            closing.run_until_cancelled(porter.receive(listener)).await;
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

impl<L, H, F, B> Porter<L, H>
where
    L: Fn() -> ClientLimits,
    H: Fn(Client, Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: HttpBody<Data = bytes::Bytes> + Send + Unpin + 'static,
    B::Error: std::error::Error + Send + Sync,
{
    /// Lets in one after the other, as long as there is room.
    async fn receive(&self, listener: Listener) {
        let mut is_failing = false; // one line of the log for each incident
        loop {
            let place = self.room.place().await;
            let accepted = listener.accept().await;
            let was_failing = std::mem::replace(&mut is_failing, accepted.is_err());
            match accepted {
                Ok(Accepted::Tcp(stream, peer)) => {
                    // Without them answers are late, and who is gone is noticed late: nothing is wrong.
                    let _ = stream.set_nodelay(true);
                    let _ = keepalive::ask(&stream);
                    self.let_in(stream, Some(peer.ip().to_canonical()), place);
                }
                Ok(Accepted::Unix(stream)) => self.let_in(stream, None, place),
                Err(error) => {
                    if !was_failing {
                        tracing::warn!(%error, "a connection could not be accepted; it is tried again");
                    }
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Serves a connection, unless its client has too many.
    fn let_in<S>(&self, stream: S, peer: Option<IpAddr>, mut place: Place)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let limits = (self.limits)();
        if !place.taken_by(peer, limits.max_connections_per_client) {
            self.metrics.connection_cut("too-many");
            return;
        }
        let manners = Manners {
            limits,
            metrics: self.metrics.clone(),
            closing: self.closing.clone(),
            tunnels: self.connections.clone(),
            place: Arc::new(place),
        };
        let serving = connection::serve(stream, peer, self.handler.clone(), manners);
        self.connections.spawn(serving);
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

/// Who may use a listener.
#[derive(Clone, Copy)]
pub(super) enum Access {
    /// Whoever reaches it; of a socket, whomever the umask lets.
    Anybody,
    /// Of a socket, only this process's user: nothing else is asked of who comes by it.
    OwnerOfSocket,
}

/// Binds what `[proxy] listen` or `[admin] listen`, named by `what`, says.
pub(super) async fn bind(
    listen: &Listen,
    what: &str,
    access: Access,
) -> Result<(Listener, Bound), String> {
    match listen {
        Listen::Tcp(address) => {
            let failed = |error| {
                format!("{what} = \"{address}\": {error}; is another process listening there?")
            };
            let listener = listening(*address).map_err(failed)?;
            let bound = Bound::Tcp(listener.local_addr().map_err(failed)?);
            Ok((Listener::Tcp(listener), bound))
        }
        Listen::Unix(path) => {
            remove_abandoned(path).await;
            let listener = socket(path, access)
                .map_err(|error| format!("{what} = \"unix:{}\": {error}", path.display()))?;
            Ok((Listener::Unix(listener), Bound::Unix(path.clone())))
        }
    }
}

/// As tokio binds an address, but for the backlog: past the 128 that it lets wait, who comes in a burst is
/// not heard before a second has passed.
fn listening(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG as u32)
}

/// Nobody can connect before it listens, so there is no moment at which others may use it.
fn socket(path: &Path, access: Access) -> std::io::Result<UnixListener> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.bind(&SockAddr::unix(path)?)?;
    if let Access::OwnerOfSocket = access {
        std::fs::set_permissions(path, Permissions::from_mode(0o600))?;
    }
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    UnixListener::from_std(OwnedFd::from(socket).into())
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

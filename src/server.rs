//! Listeners, reload, drain: one process from start to end.

mod watched; // connections whose heads are followed

use crate::admin::Door;
use crate::clock;
use crate::key;
use crate::live::{Ground, Live};
use crate::metrics::Metrics;
use crate::proxy;
use crate::refuse::Doubtful;
use crate::rules;
use crate::rules::settings::Listen;
use crate::rules::table::Table;
use crate::store::Store;
use arc_swap::ArcSwap;
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
use tokio::net::{TcpListener, UnixListener};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use watched::Watched;

/// Time for a request's head to arrive: generous for a person on a bad line, short for whoever
/// holds connections open on purpose.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// Bytes of a request's head. Node's own limit is 16 KiB; a head that we refuse it would refuse too.
const MAX_HEAD: usize = 64 * 1024;

/// Pause after an accept that failed, mostly for want of file descriptors: going on at once would
/// spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// By how much nodes outlive the longest entry. Entries kept towards a node's end die early, so
/// this is how rarely that happens; it costs nothing but the node's few bytes.
const NODE_MARGIN: Duration = Duration::from_secs(24 * 60 * 60);

/// A running sidecar.
pub struct Server {
    /// Where requests are taken.
    pub proxy: Bound,
    /// Where the admin door is.
    pub admin: Option<Bound>,
    rules: PathBuf,
    live: Arc<ArcSwap<Live>>,
    closing: CancellationToken,
    connections: TaskTracker,
    acceptors: TaskTracker,
}

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

enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// Reads and compiles a rules file.
///
/// # Errors
/// All its problems, rendered for a person.
pub fn load(path: &Path, color: bool) -> Result<(Table, String), String> {
    let text = std::fs::read(path).map_err(|error| {
        format!(
            "{} cannot be read: {error}; name a rules file: `sidecache check FILE`, `sidecache --rules FILE`\n",
            path.display()
        )
    })?;
    let base = path.parent().unwrap_or(Path::new("."));
    let checked = rules::check::compile(&text, &|name| std::env::var(name).ok(), base);
    let shown = checked.render(&path.display().to_string(), &text, color);
    let table = checked.table.ok_or_else(|| shown.clone())?;
    Store::check(&table.store)
        .map_err(|error| format!("{shown}error: {}: {error}\n", path.display()))?;
    Ok((table, shown))
}

impl Server {
    /// Starts with the rules of a file. Listens when this returns; the store may still be connecting.
    ///
    /// # Errors
    /// What keeps it from starting, and the remedy.
    pub async fn start(rules: &Path) -> Result<Server, String> {
        let (table, warnings) = load(rules, false)?;
        if !warnings.is_empty() {
            tracing::warn!("{warnings}");
        }
        let metrics = Arc::new(Metrics::new());
        let store = Store::open(
            &table.store,
            &table.local,
            node_ttl(&table),
            key::shallow_nodes(&table),
            metrics.clone(),
        )
        .map_err(|error| error.to_string())?;
        let (proxy_listener, proxy) = bind(&table.proxy.listen, "[proxy] listen").await?;
        let admin_listener = match &table.admin {
            Some(admin) => Some(bind(&admin.listen, "[admin] listen").await?),
            None => None,
        };
        if !store.connected().await {
            tracing::warn!(
                "the store does not answer yet: requests go to the origin until it does"
            );
        }
        metrics.rules_loaded(clock::now_ms());
        let ground = Ground {
            store,
            metrics,
            tasks: TaskTracker::new(),
            in_force: Arc::default(),
        };
        let admin_settings = table.admin.clone();
        let live = Live::new(table, ground)?;
        live.come_into_force();
        let live = Arc::new(ArcSwap::from_pointee(live));
        let mut server = Server {
            proxy,
            admin: None,
            rules: rules.to_owned(),
            live,
            closing: CancellationToken::new(),
            connections: TaskTracker::new(),
            acceptors: TaskTracker::new(),
        };
        server.take_requests(proxy_listener);
        if let (Some((listener, bound)), Some(settings)) = (admin_listener, admin_settings) {
            server.open_door(listener, settings);
            server.admin = Some(bound);
        }
        Ok(server)
    }

    fn take_requests(&self, listener: Listener) {
        let live = self.live.clone();
        self.accept(listener, move |peer, request| {
            let live = live.load_full();
            async move { proxy::answer(live, peer, request).await }
        });
    }

    fn open_door(&self, listener: Listener, settings: crate::rules::settings::AdminSettings) {
        let door = Arc::new(Door {
            live: self.live.clone(),
            settings,
            closing: self.closing.clone(),
        });
        self.accept(listener, move |_, request| {
            let door = door.clone();
            async move { door.answer(request).await }
        });
    }

    /// The rules in force.
    pub fn live(&self) -> Arc<Live> {
        self.live.load_full()
    }

    /// Reads the rules file again and puts it in force, all of it or nothing.
    ///
    /// # Errors
    /// What is wrong with it; the old rules stay.
    pub fn reload(&self) -> Result<(), String> {
        let old = self.live.load_full();
        let renewed = load(&self.rules, false).and_then(|(table, _)| {
            same_ground(&old.table, &table)?;
            Live::new(table, old.ground.clone())
        });
        match renewed {
            Ok(live) => {
                live.ground
                    .store
                    .renew(node_ttl(&live.table), key::shallow_nodes(&live.table));
                live.ground.metrics.rules_loaded(clock::now_ms());
                live.come_into_force();
                self.live.store(Arc::new(live));
                Ok(())
            }
            Err(error) => {
                old.ground.metrics.rules_reload_failed();
                Err(error)
            }
        }
    }

    /// Takes no more connections, lets those there finish what they began, then the writes and
    /// fills under way, at most `drain_timeout` in all; last the store is closed. True if nothing
    /// was cut off.
    pub async fn drain(self) -> bool {
        let live = self.live.load_full();
        self.closing.cancel();
        let finish = async {
            for tracker in [&self.acceptors, &self.connections, &live.ground.tasks] {
                tracker.close();
                tracker.wait().await;
            }
        };
        let finished = tokio::time::timeout(live.table.proxy.drain_timeout, finish)
            .await
            .is_ok();
        live.ground.store.close().await;
        for bound in [Some(&self.proxy), self.admin.as_ref()]
            .into_iter()
            .flatten()
        {
            if let Bound::Unix(path) = bound {
                let _ = std::fs::remove_file(path); // whoever starts next replaces it anyway
            }
        }
        finished
    }

    fn accept<H, F, B>(&self, listener: Listener, handler: H)
    where
        H: Fn(Option<IpAddr>, Request<Incoming>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response<B>> + Send + 'static,
        B: HttpBody<Data = bytes::Bytes> + Send + 'static,
        B::Error: std::error::Error + Send + Sync,
    {
        let (closing, connections) = (self.closing.clone(), self.connections.clone());
        self.acceptors.spawn(async move {
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
    }
}

/// How long nodes live: an entry dies with its nodes, so they outlive it by far, whenever in their
/// life it was kept.
fn node_ttl(table: &Table) -> Duration {
    table.longest_ttl() + NODE_MARGIN
}

/// What only a restart can change: requests under way would bump in one store what others keep in
/// the next.
fn same_ground(old: &Table, new: &Table) -> Result<(), String> {
    let changed = [
        ("namespace", old.namespace != new.namespace),
        ("[proxy] listen", old.proxy.listen != new.proxy.listen),
        ("[admin]", old.admin != new.admin),
        ("[local]", old.local != new.local),
        ("[store]", old.store != new.store),
    ];
    match changed.iter().find(|(_, changed)| *changed) {
        Some((name, _)) => Err(format!(
            "{name} has changed, which takes a restart; the old rules stay in force"
        )),
        None => Ok(()),
    }
}

enum Accepted {
    Tcp(tokio::net::TcpStream, SocketAddr),
    Unix(tokio::net::UnixStream),
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

async fn bind(listen: &Listen, what: &str) -> Result<(Listener, Bound), String> {
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
        .max_header_size(MAX_HEAD)
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

//! Listeners, reload, drain: one process from start to end.

mod answering; // an answer's body on its way
mod books; // what is done with what was counted
mod connection; // one connection, from its first byte to its last
mod exchanges; // the requests under way on a connection
mod gate; // a listener and its connections
mod parting; // a last answer to who never asked
mod preface; // HTTP/1 or HTTP/2
mod reload; // changed rules put in force
mod room; // how many connections there may be
mod stamps; // whether files have changed
mod stand; // a listener for one purpose
mod streams; // HTTP/2's, each in a task
mod tunnel; // connections that changed their protocol
mod watched; // HTTP/1 connections whose heads are followed

pub use gate::Bound;
pub use reload::Reloader;
pub use stand::Stand;

use crate::admin::Door;
use crate::alerts::Alerts;
use crate::audit;
use crate::body::Body;
use crate::budget::Budget;
use crate::clock::Clock;
use crate::jwks::{self, Issuers};
use crate::key;
use crate::live::{Ground, Live, root_of};
use crate::metrics::Metrics;
use crate::otlp;
use crate::passing::Passing;
use crate::proxy;
use crate::quarantine::Quarantine;
use crate::rules;
use crate::rules::check::Checked;
use crate::rules::disk;
use crate::rules::file::MAX_FILE;
use crate::rules::settings::{AdminSettings, ClientLimits, VerifyKey};
use crate::rules::table::Table;
use crate::stats::Stats;
use crate::store::{Opening, Store};
use crate::trace::Tracer;
use crate::verify;
use crate::warming::Warming;
use crate::witness::Witness;
use arc_swap::ArcSwap;
use gate::{Access, Gate, Listener, Opening as Gateway, bind};
use hyper::Request;
use hyper::body::Incoming;
use stamps::Stamps;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};
use zeroize::Zeroizing;

/// How long the admin door waits for its callers at the end: they ask for little.
const DOOR_PATIENCE: Duration = Duration::from_secs(1);

/// How long the end waits for a webhook to take what it has not been told yet. One that is there takes it in
/// less; one that is not has kept alerts waiting before.
const LAST_ATTEMPT: Duration = Duration::from_secs(3);
/// How long the last spans may take on their way to their collector: what is told of requests is not worth
/// a kill at the end of a grace period.
const SPANS_PATIENCE: Duration = Duration::from_secs(2);

/// By how much nodes outlive the longest entry. Entries kept towards a node's end die early, so
/// this is how rarely that happens; it costs nothing but the node's few bytes.
const NODE_MARGIN: Duration = Duration::from_secs(24 * 60 * 60);

/// A running sidecar.
pub struct Server {
    live: Arc<ArcSwap<Live>>,
    reloader: Arc<Reloader>,
    proxy: Gate,
    door: Option<Gate>,
    /// End with it.
    _bookkeeper: AbortOnDropHandle<()>,
    _treasurer: AbortOnDropHandle<()>,
    /// Who tells of alerts, and what has him come to an end.
    teller: (AbortOnDropHandle<()>, CancellationToken),
}

/// Reads and compiles a rules file.
///
/// # Errors
/// All its problems, rendered for a person.
pub fn load(path: &Path, color: bool) -> Result<(Table, String), String> {
    load_noting(path, color).0.map_err(NotLoaded::told)
}

/// Why there are no rules, for a person.
enum NotLoaded {
    /// A file could not be read, or not to its end; another time it may be.
    Unread(String),
    /// What is in it cannot be used.
    Wrong(String),
}

impl NotLoaded {
    fn told(self) -> String {
        match self {
            NotLoaded::Unread(why) | NotLoaded::Wrong(why) => why,
        }
    }
}

/// A table and what is to be said of it.
type Loaded = Result<(Table, String), NotLoaded>;

/// The same, and the files that the rules name, whether or not those can be used.
fn load_noting(path: &Path, color: bool) -> (Loaded, Vec<PathBuf>) {
    let text = match disk::read(path, MAX_FILE).map(Zeroizing::new) {
        Ok(text) => text,
        Err(error) => return (Err(NotLoaded::Unread(unread(path, &error))), Vec::new()),
    };
    let base = path.parent().unwrap_or(Path::new("."));
    let mut checked = rules::check::compile(&text, &|name| std::env::var(name).ok(), base);
    let files = std::mem::take(&mut checked.files);
    (finished(checked, path, &text, color), files)
}

/// What is said of a rules file that is not there.
pub fn unread(path: &Path, error: &std::io::Error) -> String {
    format!(
        "{} cannot be read: {error}; name a rules file: `sidecache check FILE`, `sidecache --rules FILE`\n",
        path.display()
    )
}

fn finished(checked: Checked, path: &Path, text: &[u8], color: bool) -> Loaded {
    let shown = checked.render(&path.display().to_string(), text, color);
    let why = match checked.unread {
        true => NotLoaded::Unread,
        false => NotLoaded::Wrong,
    };
    let table = checked.table.ok_or_else(|| why(shown.clone()))?;
    // What is said of other files may be another thing the next time, whatever it is: they are read here.
    let of_others =
        |error: String| NotLoaded::Unread(format!("{shown}error: {}: {error}\n", path.display()));
    // Only TLS can say whether certificates and keys that are well-formed fit each other.
    Store::check(&table.store)
        .map_err(|error| error.to_string())
        .and_then(|()| issuer_is_readable(&table))
        .map_err(of_others)?;
    Ok((table, shown))
}

impl Server {
    /// Starts with the rules of a file. Listens when this returns; the store may still be connecting.
    ///
    /// # Errors
    /// What keeps it from starting, and the remedy.
    pub async fn start(rules: &Path) -> Result<Server, String> {
        let (loaded, stamps) = reload::load_still(rules, &Stamps::default());
        let (table, warnings) = loaded.map_err(NotLoaded::told)?;
        if !warnings.is_empty() {
            tracing::warn!("{warnings}");
        }
        let metrics = Arc::new(Metrics::new());
        let clock = Clock::default();
        let store = Store::open(Opening {
            settings: &table.store,
            local: &table.local,
            node_ttl: node_ttl(&table),
            namespace: &table.namespace,
            root: root_of(&table),
            channel: key::drops_channel(&table.namespace),
            clock: clock.clone(),
            metrics: metrics.clone(),
        })
        .map_err(|error| error.to_string())?;
        store.listen(table.answers_from_memory());
        let proxy_listener = bind(&table.proxy.listen, "[proxy] listen", Access::Anybody).await?;
        let admin_listener = match &table.admin {
            Some(admin) => Some(bind(&admin.listen, "[admin] listen", access(admin)).await?),
            None => None,
        };
        if !store.connected().await {
            tracing::warn!(
                "the store does not answer yet: requests go to the origin until it does"
            );
        }
        metrics.rules_loaded(clock.now_ms());
        let ground = Ground {
            store,
            alerts: Alerts::new(&metrics),
            metrics,
            budget: Budget::default(),
            stats: Stats::new(&clock),
            tracer: Tracer::to(otlp::exporter()),
            failures: Arc::default(),
            witness: Witness::default(),
            passing: Passing::default(),
            warming: Warming::default(),
            clock,
            tasks: TaskTracker::new(),
            quarantine: Quarantine::default(),
            issuers: Issuers::default(),
        };
        let admin_settings = table.admin.clone();
        let live = Live::new(table, ground)?;
        audit::count_from_none(&live);
        verify::begin(&live);
        live.begin_to_look();
        let live = Arc::new(ArcSwap::from_pointee(live));
        let reloader = Arc::new(Reloader::new(rules, live.clone(), stamps));
        let proxy = take_requests(proxy_listener, live.clone());
        let closing = proxy.closing.clone();
        let door = admin_listener
            .zip(admin_settings)
            .map(|(listener, settings)| {
                let metrics = live.load().ground.metrics.clone();
                let reloader = reloader.clone();
                let reload = Box::new(move || reloader.reload());
                let door = Door::new(live.clone(), &settings, closing, rules, reload);
                open_door(listener, metrics, door)
            });
        let closing = CancellationToken::new();
        let teller = books::tell_of_alerts(live.clone(), closing.clone());
        Ok(Server {
            _bookkeeper: AbortOnDropHandle::new(tokio::spawn(books::keep(live.clone()))),
            _treasurer: AbortOnDropHandle::new(tokio::spawn(books::spend(live.clone()))),
            teller: (AbortOnDropHandle::new(tokio::spawn(teller)), closing),
            live,
            reloader,
            proxy,
            door,
        })
    }

    /// Where requests are taken.
    pub fn proxy(&self) -> &Bound {
        &self.proxy.bound
    }

    /// Where the admin door is, if there is one.
    pub fn admin(&self) -> Option<&Bound> {
        self.door.as_ref().map(|door| &door.bound)
    }

    /// The rules in force.
    pub fn live(&self) -> Arc<Live> {
        self.live.load_full()
    }

    /// What puts a changed rules file in force.
    pub fn reloader(&self) -> &Arc<Reloader> {
        &self.reloader
    }

    /// See [`Reloader::reload`].
    ///
    /// # Errors
    /// What is wrong with the file; the old rules stay.
    pub fn reload(&self) -> Result<(), String> {
        self.reloader.reload()
    }

    /// Reads the counters and judges the alerts, as is done every [`STEP`](crate::stats::STEP) by itself.
    pub async fn step(&self) {
        books::step(&self.live()).await;
    }

    /// Takes no more connections, lets those there finish what they began, then the writes and
    /// fills under way, at most `drain_timeout` in all; then the store is closed, and last the admin
    /// door, which says `draining` all the while. True if nothing was cut off.
    pub async fn drain(self) -> bool {
        let live = self.live.load_full();
        let (teller, closing) = self.teller;
        live.ground.warming.end();
        let finish = async {
            self.proxy.shut().await;
            live.ground.tasks.close();
            live.ground.tasks.wait().await;
        };
        let tell = async {
            closing.cancel();
            let _ = tokio::time::timeout(LAST_ATTEMPT, teller).await;
            live.ground.alerts.give_up();
        };
        let patience = live.table.proxy.drain_timeout;
        let finish = tokio::time::timeout(patience, finish);
        let finished = tokio::join!(finish, tell).0.is_ok();
        // What is not told in time was counted for nobody: the end does not wait for it.
        let _ = tokio::time::timeout(DOOR_PATIENCE, books::end(&live)).await;
        live.ground.store.close().await;
        live.ground.tracer.flush(SPANS_PATIENCE).await;
        if let Some(door) = &self.door {
            // Whoever holds a connection to the door open does not hold up the end.
            let _ = tokio::time::timeout(DOOR_PATIENCE, door.shut()).await;
        }
        finished
    }
}

/// Only the cryptography can say whether a file of keys holds one for the algorithm.
fn issuer_is_readable(table: &Table) -> Result<(), String> {
    let verify = table.identity.as_ref().and_then(|one| one.verify.as_ref());
    match verify.map(|verify| (&verify.key, verify.algorithm)) {
        Some((VerifyKey::Jwks(source), algorithm)) => jwks::at_hand(source, algorithm).map(|_| ()),
        _ => Ok(()),
    }
}

fn take_requests(listener: (Listener, Bound), live: Arc<ArcSwap<Live>>) -> Gate {
    let metrics = live.load().ground.metrics.clone();
    let in_force = live.clone();
    let places = room::places(in_force.load().table.proxy.limits.max_connections);
    Gate::open(Gateway {
        listener,
        closing: CancellationToken::new(),
        metrics,
        limits: move || in_force.load().table.proxy.limits,
        places,
        handler: move |client, request: Request<Incoming>| {
            proxy::answer(live.load_full(), client, request.map(Body::client))
        },
    })
}

fn open_door(listener: (Listener, Bound), metrics: Arc<Metrics>, door: Door) -> Gate {
    let door = Arc::new(door);
    Gate::open(Gateway {
        listener,
        closing: CancellationToken::new(),
        metrics,
        limits: ClientLimits::default,
        places: ClientLimits::default().max_connections,
        handler: move |client, request| {
            let door = door.clone();
            async move { door.answer(client, request).await }
        },
    })
}

/// Whoever has the token may come by any way there is.
fn access(admin: &AdminSettings) -> Access {
    match admin.token {
        Some(_) => Access::Anybody,
        None => Access::OwnerOfSocket,
    }
}

/// How long nodes live: an entry dies with its nodes, so they outlive it by far, whenever in their
/// life it was kept.
fn node_ttl(table: &Table) -> Duration {
    table.longest_ttl() + NODE_MARGIN
}

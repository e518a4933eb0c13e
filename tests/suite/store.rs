//! What a store promises, asked of its public face.

mod contract; // of memory and Redis alike
mod fields; // what processes say of themselves
mod lock; // taken by one, seen by all
mod lease; // writes that are never settled
mod moved; // a Redis whose keys are another's
mod outage; // Redis absent, killed, hung, emptied, full
mod root; // sidecars with other rules on the same store
mod storm; // readers and writers while Redis hangs and is emptied
mod wire; // which commands are sent, what foreign values do, TLS and sockets

use crate::redis::RedisServer;
use bytes::Bytes;
use hyper::{HeaderMap, StatusCode};
use sidecache::clock::{Clock, now_ms};
use sidecache::digest::Digest;
use sidecache::entry::{Entry, Stale, Version};
use sidecache::metrics::Metrics;
use sidecache::rules::settings::{
    Compress, Failover, LocalSettings, OnDown, SEAL_KEY_BYTES, SealSettings, StoreSettings,
    StoreTls, StoreUrl,
};
use sidecache::secret::Secret;
use sidecache::store::{Look, Opening, Root, Sought, Store};
use std::sync::Arc;
use std::time::Duration;

/// Short, so that an outage costs a test little; long for a loopback on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(1);
const NODE_TTL: Duration = Duration::from_secs(3600);
pub const KEY: &str = "clinic:entry:doctors";

pub fn settings(url: StoreUrl) -> StoreSettings {
    StoreSettings {
        url,
        timeout: TIMEOUT,
        max_entry: 1 << 20,
        compress: Compress::Lz4,
        seal: None,
        tls: StoreTls::default(),
        write_lease: Duration::from_secs(35),
        on_down: OnDown::Forward,
        failover: Failover::Drop,
        journal: None,
        budget: None,
    }
}

pub fn open_with(settings: &StoreSettings, metrics: Arc<Metrics>) -> Store {
    let local = LocalSettings { max: 16 << 20 };
    let opening = Opening {
        settings,
        local: &local,
        node_ttl: NODE_TTL,
        namespace: "clinic",
        root: root(1),
        channel: "clinic:!drops".to_owned(),
        clock: Clock::default(),
        metrics,
    };
    Store::open(opening).expect("opens")
}

pub fn sought(nodes: &[String]) -> Sought<'_> {
    Sought {
        entry: KEY,
        nodes,
        ..Sought::default()
    }
}

fn with_marker<'s>(nodes: &'s [String], marker: &'s str) -> Sought<'s> {
    Sought {
        marker: Some(marker),
        ..sought(nodes)
    }
}

pub fn redis_url(url: String) -> StoreUrl {
    StoreUrl::Redis(Secret::new(url))
}

fn open(url: String) -> Store {
    open_with(&settings(redis_url(url)), Arc::new(Metrics::new()))
}

pub async fn connected(redis: &RedisServer) -> Store {
    let store = open(redis.url());
    crate::redis::eventually("the store is up", async || store.connected().await).await;
    store
}

/// The same, sealing its values.
async fn sealed(redis: &RedisServer) -> Store {
    let mut settings = settings(redis_url(redis.url()));
    settings.seal = Some(SealSettings {
        current: Secret::new([7; SEAL_KEY_BYTES]),
        previous: Vec::new(),
    });
    let store = open_with(&settings, Arc::new(Metrics::new()));
    crate::redis::eventually("the store is up", async || store.connected().await).await;
    store
}

/// The root as entries of some layout see it.
fn root(layout: u8) -> Root {
    Root::new("clinic:*".to_owned(), Digest([layout; 16]))
}

pub fn nodes() -> Vec<String> {
    vec![
        "clinic:node:doctors".into(),
        "clinic:node:doctors:list".into(),
    ]
}

fn entry(versions: Vec<Version>, body: impl Into<Bytes>) -> Arc<Entry> {
    Arc::new(Entry {
        binding: Digest([9; 16]),
        versions,
        groups: Vec::new(),
        kept_at: now_ms(),
        ttl: 60_000,
        stale: Stale::default(),
        initial_age: 0,
        took: 0,
        status: StatusCode::OK,
        headers: HeaderMap::new(),
        body: body.into(),
    })
}

/// Fills: snapshot, then keep. Returns the entry kept.
pub async fn fill(store: &Store, body: &str) -> Arc<Entry> {
    let versions = store.snapshot(&nodes()).await.expect("store is up");
    let entry = entry(versions, body.to_owned());
    store.keep(KEY, entry.clone()).await.expect("store is up");
    entry
}

pub async fn look(store: &Store) -> Look {
    store.look(sought(&nodes())).await.expect("store is up")
}

/// The body a reader would be served: only if all versions match.
fn served(look: &Look) -> Option<Bytes> {
    let entry = look.entry.as_ref()?;
    let present: Option<Vec<_>> = look.versions.iter().copied().collect();
    (present? == entry.versions).then(|| entry.body.clone())
}

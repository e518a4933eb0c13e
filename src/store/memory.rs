//! The store that is this process's memory: for one sidecar, for tests, and to begin with. It has no
//! failures, no breaker and nothing owed. Nodes lie beside entries and are evicted like them, which
//! can only cause misses.

use super::lifetime::NodeTtl;
use super::tier::{Held, LINGER, Tier};
use super::windows::{Counted, Counters, Window};
use super::{Bump, Bumped, Examined, Lock, Look, Root, Sought, examine, local, node, token};
use crate::clock::{Clock, Reading};
use crate::digest::Digest;
use crate::entry::{Entry, Version};
use crate::metrics::Metrics;
use bytes::Bytes;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// What a node or marker costs beside its bytes: what counts their handles.
const SMALL_OVERHEAD: usize = 32;

/// An entry, and in what era its versions were last seen to be the present ones, as the layout sees them
/// under which it was kept.
struct Kept {
    entry: Arc<Entry>,
    layout: Digest,
    present_in: AtomicU64,
}

/// Before anything was seen.
const NO_ERA: u64 = u64::MAX;

impl Kept {
    fn new(entry: Arc<Entry>, layout: Digest) -> Arc<Kept> {
        Arc::new(Kept {
            entry,
            layout,
            present_in: AtomicU64::new(NO_ERA),
        })
    }
}

#[derive(Clone)]
enum Value {
    Entry(Arc<Kept>),
    /// Token and moments, or token and layouts, as in Redis: a reload leaves two layouts in one process.
    Node(Bytes),
    Marker(Bytes),
}

#[derive(Clone)]
struct Item {
    value: Value,
    until: Instant,
}

impl Held for Item {
    fn weight(&self) -> usize {
        match &self.value {
            Value::Entry(kept) => SMALL_OVERHEAD + size_of::<Kept>() + kept.entry.weight(),
            Value::Node(bytes) | Value::Marker(bytes) => SMALL_OVERHEAD + bytes.len(),
        }
    }

    fn has_ended(&self, now: &Reading) -> bool {
        now.monotonic() >= self.until
    }
}

/// Entries, nodes and markers by key.
pub struct Memory {
    items: Tier<Item>,
    /// Raised when something was dropped, before whoever dropped it is told so: while it stands, nothing
    /// has dropped what was present in it.
    era: AtomicU64,
    /// Held while absent nodes are created, so that two snapshots agree on them.
    creating: Mutex<()>,
    node_ttl: NodeTtl,
    /// Never evicted.
    flags: Mutex<HashMap<String, Bytes>>,
    counters: Counters,
    clock: Clock,
    /// When the clock of its soft drops began.
    began: Reading,
}

impl Memory {
    /// An empty store of at most `max` bytes.
    pub fn new(max: usize, node_ttl: Duration, clock: Clock, metrics: Arc<Metrics>) -> Memory {
        Memory {
            items: Tier::new(max, metrics),
            era: AtomicU64::new(0),
            creating: Mutex::new(()),
            node_ttl: NodeTtl::new(node_ttl),
            flags: Mutex::default(),
            counters: Counters::default(),
            began: clock.reading(),
            clock,
        }
    }

    /// See [`Tier::sweep`].
    pub fn sweep(&self) -> impl Future<Output = ()> + Send + use<> {
        self.items.sweep(self.clock.clone())
    }

    /// Microseconds since it was opened, a second more: no moment is 0.
    fn now_us(&self) -> u64 {
        let passed = self.clock.reading().since(&self.began) + Duration::from_secs(1);
        u64::try_from(passed.as_micros()).unwrap_or(u64::MAX)
    }

    /// See [`super::Store::renew`].
    pub fn renew(&self, node_ttl: Duration) {
        self.node_ttl.set(node_ttl);
    }

    fn flags(&self) -> MutexGuard<'_, HashMap<String, Bytes>> {
        self.flags.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// See [`super::Store::put_flag`].
    pub fn put_flag(&self, flag: &str, value: Bytes) {
        self.flags().insert(flag.to_owned(), value);
    }

    /// See [`super::Store::flags`].
    pub fn flag(&self, flag: &str) -> Option<Bytes> {
        self.flags().get(flag).cloned()
    }

    /// See [`super::Store::lower_flag`].
    pub fn lower_flag(&self, flag: &str) {
        self.flags().remove(flag);
    }

    /// See [`super::Store::count`].
    pub fn count(&self, windows: &[Window]) -> Counted {
        self.counters.count(windows, Instant::now())
    }

    /// See [`super::Store::look`].
    pub fn look(&self, sought: Sought, root: &Root) -> Look {
        let now = self.clock.reading();
        let entry = match self.get(sought.entry, &now) {
            Some(Value::Entry(kept)) => Some(kept.entry.clone()),
            _ => None,
        };
        let marker = match sought.marker.and_then(|key| self.get(key, &now)) {
            Some(Value::Marker(bytes)) => Some(bytes),
            _ => None,
        };
        let nodes = sought.nodes_of(entry.as_deref(), |name| name);
        let values: Vec<_> = nodes.iter().map(|node| self.node(node, &now)).collect();
        let versions = nodes.iter().zip(&values);
        let versions = versions.map(|(node, value)| root.version_of(node, value.as_ref()?));
        let versions: Vec<_> = versions.collect();
        let softened_ms = entry.as_ref().and_then(|entry| {
            let since = node::softened_since(&nodes, &entry.versions, &values, root)?;
            node::passed_ms(since, self.now_us())
        });
        if let Some(entry) = &entry
            && softened_ms.is_none()
            && !local::matches(entry, &versions)
        {
            self.end_soon(sought.entry, entry, &now);
        }
        Look {
            versions,
            entry,
            any_group: sought
                .any_group
                .and_then(|node| self.version(node, root, &now)),
            softened_ms,
            marker,
            lock: Lock::Free,
            is_flagged: sought.flag.is_some_and(|flag| self.flag(flag).is_some()),
        }
    }

    /// See [`super::Store::examine`].
    pub fn examine(&self, sought: Sought, root: &Root) -> Option<Examined> {
        let look = self.look(sought, root);
        let (entry, now) = (look.entry.clone()?, self.clock.reading());
        let nodes = sought.nodes_of(Some(&entry), |name| name);
        let values: Vec<_> = nodes.iter().map(|node| self.node(node, &now)).collect();
        Some(Examined {
            standings: examine::standings(&nodes, &entry.versions, &values, root),
            stored_bytes: entry.weight(),
            is_compressed: false,
            entry,
            look,
        })
    }

    /// See [`super::Store::at_once`]. The nodes are looked up once in an era.
    pub fn at_once(&self, sought: &Sought, root: &Root, now: &Reading) -> Option<Arc<Entry>> {
        let era = self.era.load(SeqCst); // before anything is looked at
        let Some(Value::Entry(kept)) = self.get(sought.entry, now) else {
            return None;
        };
        // Another layout's is nobody else's: what it was dropped by, the other cannot tell.
        if kept.layout != *root.layout() {
            return None;
        }
        if kept.present_in.load(SeqCst) != era {
            let nodes = sought.nodes_of(Some(&kept.entry), |name| name);
            let versions = nodes.iter().map(|node| self.version(node, root, now));
            if !local::matches(&kept.entry, &versions.collect::<Vec<_>>()) {
                return None;
            }
            kept.present_in.store(era, SeqCst);
        }
        Some(kept.entry.clone())
    }

    /// An entry was found to be dropped for good: it lingers for those who ask while another is fetched,
    /// and ends then.
    fn end_soon(&self, key: &str, dropped: &Arc<Entry>, now: &Reading) {
        let Some(until) = now.monotonic().checked_add(LINGER) else {
            return; // at the end of the clock
        };
        let item = self.items.get(key).filter(|item| item.until > until);
        if let Some(Value::Entry(kept)) = item.map(|item| item.value)
            && Arc::ptr_eq(&kept.entry, dropped)
        {
            let value = Value::Entry(kept);
            self.items.replace(key, Item { value, until });
        }
    }

    /// See [`super::Store::snapshot`].
    pub fn snapshot(&self, nodes: &[String], root: &Root) -> Vec<Version> {
        let _creating = self.creating.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.reading();
        let created = |node: &String| {
            let (version, value) = match node == root.name() {
                true => self.entered(root, &now),
                false => {
                    let version = token();
                    (version, Bytes::copy_from_slice(&version))
                }
            };
            self.put(node, Value::Node(value), self.node_ttl.get());
            version
        };
        nodes
            .iter()
            .map(|node| {
                self.version(node, root, &now)
                    .unwrap_or_else(|| created(node))
            })
            .collect()
    }

    fn entered(&self, root: &Root, now: &Reading) -> (Version, Bytes) {
        let present = self.node(root.name(), now);
        let value = root.entered(present.as_deref(), token());
        let version = root
            .version_of(root.name(), &value)
            .expect("its layout was entered just now");
        (version, Bytes::from(value))
    }

    fn node(&self, name: &str, now: &Reading) -> Option<Bytes> {
        match self.get(name, now) {
            Some(Value::Node(bytes)) => Some(bytes),
            _ => None,
        }
    }

    /// See [`super::Store::keep`].
    pub fn keep(&self, key: &str, entry: Arc<Entry>, root: &Root) {
        let ttl = entry.lifetime();
        self.put(key, Value::Entry(Kept::new(entry, *root.layout())), ttl);
    }

    /// See [`super::Store::put_marker`].
    pub fn put_marker(&self, key: &str, value: Bytes) {
        self.put(key, Value::Marker(value), self.node_ttl.get());
    }

    /// See [`super::Store::bump`] and [`super::Store::bump_others`].
    pub fn bump(&self, bump: &Bump, root: &Root) -> Bumped {
        // Else a layout could be entered between the look at the register and its end.
        let _creating = self.creating.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.reading();
        bump.hard.iter().for_each(|node| self.items.remove(node));
        bump.soft.iter().for_each(|node| self.soften(node, &now));
        let bumped = match self.is_shared(root, &now) {
            true => {
                self.items.remove(root.name());
                Bumped::Everything
            }
            false => Bumped::Done,
        };
        self.era.fetch_add(1, SeqCst);
        bumped
    }

    /// See [`super::Store::holds_other_layouts`].
    pub fn holds_other_layouts(&self, root: &Root) -> bool {
        self.is_shared(root, &self.clock.reading())
    }

    fn is_shared(&self, root: &Root, now: &Reading) -> bool {
        let register = self.node(root.name(), now);
        register.is_some_and(|value| root.is_shared(&value))
    }

    fn soften(&self, name: &str, now: &Reading) {
        let softened = self
            .node(name, now)
            .and_then(|value| node::softened(&value, self.now_us()));
        match (softened, self.items.get(name)) {
            (Some(value), Some(Item { until, .. })) => {
                let value = Value::Node(value.into());
                self.items.put(name, Item { value, until });
            }
            _ => self.items.remove(name),
        }
    }

    fn version(&self, node: &str, root: &Root, now: &Reading) -> Option<Version> {
        root.version_of(node, &self.node(node, now)?)
    }

    fn get(&self, key: &str, now: &Reading) -> Option<Value> {
        let item = self.items.get(key)?;
        if item.has_ended(now) {
            self.items.remove_if(key, |item| item.has_ended(now));
            return None;
        }
        Some(item.value)
    }

    /// A lifetime past the end of the clock is not kept: nothing sensible lives that long.
    fn put(&self, key: &str, value: Value, ttl: Duration) {
        if let Some(until) = Instant::now().checked_add(ttl) {
            self.items.put(key, Item { value, until });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::{HeaderMap, StatusCode};

    fn entry(versions: Vec<Version>) -> Arc<Entry> {
        Arc::new(Entry {
            binding: Digest([7; 16]),
            versions,
            groups: Vec::new(),
            kept_at: Clock::default().now_ms(),
            ttl: 3_600_000,
            stale: Default::default(),
            initial_age: 0,
            took: 0,
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            body: Bytes::new(),
        })
    }

    #[tokio::test(start_paused = true)]
    async fn an_entry_that_is_found_dropped_gives_its_memory_back_long_before_its_end() {
        let metrics = Arc::new(Metrics::new());
        let memory = Memory::new(
            1 << 20,
            Duration::from_secs(7200),
            Clock::default(),
            metrics.clone(),
        );
        let _sweeper = tokio::spawn(memory.sweep());
        let nodes = ["node".to_owned()];
        let root = Root::new("root".into(), Digest([0; 16]));
        memory.keep("entry", entry(memory.snapshot(&nodes, &root)), &root);
        let sought = Sought {
            entry: "entry",
            nodes: &nodes,
            ..Sought::default()
        };
        let held = |count| {
            metrics
                .encode()
                .contains(&format!("local_entries {count}\n"))
        };
        tokio::time::sleep(Duration::from_secs(120)).await;
        assert!(memory.look(sought, &root).entry.is_some());
        assert!(held(2), "entry and node");
        assert_eq!(memory.bump(&Bump::hard(nodes.clone()), &root), Bumped::Done);
        assert!(held(1));
        assert!(memory.look(sought, &root).entry.is_some(), "it lingers");
        tokio::time::sleep(Duration::from_secs(65)).await;
        assert!(held(0));
    }

    #[tokio::test(start_paused = true)]
    async fn entries_and_nodes_expire_by_themselves() {
        let memory = Memory::new(
            1 << 20,
            Duration::from_secs(60),
            Clock::default(),
            Arc::new(Metrics::new()),
        );
        let nodes = ["node".to_owned()];
        let sought = Sought {
            entry: "entry",
            nodes: &nodes,
            marker: Some("marker"),
            ..Sought::default()
        };
        let root = Root::new("root".into(), Digest([0; 16]));
        let versions = memory.snapshot(&nodes, &root);
        memory.put_marker("marker", Bytes::from_static(b"m"));
        tokio::time::advance(Duration::from_secs(59)).await;
        let look = memory.look(sought, &root);
        assert_eq!(
            (look.versions[0], look.marker.is_some()),
            (Some(versions[0]), true)
        );
        tokio::time::advance(Duration::from_secs(1)).await;
        let look = memory.look(sought, &root);
        assert_eq!((look.versions[0], look.marker), (None, None));
        assert_ne!(memory.snapshot(&nodes, &root), versions);
    }
}

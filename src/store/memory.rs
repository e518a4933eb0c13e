//! The store that is this process's memory: for one sidecar, for tests, and to begin with. It has no
//! failures, no breaker and nothing owed. Nodes lie beside entries and are evicted like them, which
//! can only cause misses.

use super::tier::{Tier, Weighs};
use super::{Bumped, Lock, Look, NodeTtl, Root, Sought, token};
use crate::entry::{Entry, Version};
use crate::metrics::Metrics;
use bytes::Bytes;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// What a node or marker costs beside its bytes: key, table slot, handles.
const SMALL_OVERHEAD: usize = 256;

#[derive(Clone)]
enum Value {
    Entry(Arc<Entry>),
    Node(Version),
    /// Token and layouts, as in Redis: a reload leaves two layouts in one process.
    Root(Bytes),
    Marker(Bytes),
}

#[derive(Clone)]
struct Item {
    value: Value,
    until: Instant,
}

impl Weighs for Item {
    fn weight(&self) -> usize {
        match &self.value {
            Value::Entry(entry) => entry.weight(),
            Value::Node(version) => SMALL_OVERHEAD + version.len(),
            Value::Root(bytes) | Value::Marker(bytes) => SMALL_OVERHEAD + bytes.len(),
        }
    }
}

/// Entries, nodes and markers by key.
pub struct Memory {
    items: Tier<Item>,
    /// Held while absent nodes are created, so that two snapshots agree on them.
    creating: Mutex<()>,
    node_ttl: NodeTtl,
    /// Never evicted.
    flags: Mutex<HashMap<String, Bytes>>,
}

impl Memory {
    /// An empty store of at most `max` bytes.
    pub fn new(max: usize, node_ttl: Duration, metrics: Arc<Metrics>) -> Memory {
        Memory {
            items: Tier::new(max, metrics),
            creating: Mutex::new(()),
            node_ttl: NodeTtl::new(node_ttl),
            flags: Mutex::default(),
        }
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

    /// See [`super::Store::flag`].
    pub fn flag(&self, flag: &str) -> Option<Bytes> {
        self.flags().get(flag).cloned()
    }

    /// See [`super::Store::lower_flag`].
    pub fn lower_flag(&self, flag: &str) {
        self.flags().remove(flag);
    }

    /// See [`super::Store::look`].
    pub fn look(&self, sought: Sought, root: &Root) -> Look {
        let entry = match self.get(sought.entry) {
            Some(Value::Entry(entry)) => Some(entry),
            _ => None,
        };
        let marker = match sought.marker.and_then(|key| self.get(key)) {
            Some(Value::Marker(bytes)) => Some(bytes),
            _ => None,
        };
        let nodes = sought.nodes_of(entry.as_deref(), |name| name);
        let versions = nodes.iter().map(|node| self.version(node, root));
        Look {
            versions: versions.collect(),
            entry,
            any_group: sought.any_group.and_then(|node| self.version(node, root)),
            marker,
            lock: Lock::Free,
            is_flagged: sought.flag.is_some_and(|flag| self.flag(flag).is_some()),
        }
    }

    /// See [`super::Store::snapshot`].
    pub fn snapshot(&self, nodes: &[String], root: &Root) -> Vec<Version> {
        let _creating = self.creating.lock().unwrap_or_else(PoisonError::into_inner);
        let created = |node: &String| {
            let (version, value) = match node == root.name() {
                true => self.entered(root),
                false => {
                    let version = token();
                    (version, Value::Node(version))
                }
            };
            self.put(node, value, self.node_ttl.get());
            version
        };
        nodes
            .iter()
            .map(|node| self.version(node, root).unwrap_or_else(|| created(node)))
            .collect()
    }

    fn entered(&self, root: &Root) -> (Version, Value) {
        let present = self.root(root);
        let value = root.entered(present.as_deref(), token());
        let version = root
            .version_of(root.name(), &value)
            .expect("its layout was entered just now");
        (version, Value::Root(Bytes::from(value)))
    }

    fn root(&self, root: &Root) -> Option<Bytes> {
        match self.get(root.name()) {
            Some(Value::Root(bytes)) => Some(bytes),
            _ => None,
        }
    }

    /// See [`super::Store::keep`].
    pub fn keep(&self, key: &str, entry: Arc<Entry>) {
        let ttl = entry.lifetime();
        self.put(key, Value::Entry(entry), ttl);
    }

    /// See [`super::Store::put_marker`].
    pub fn put_marker(&self, key: &str, value: Bytes) {
        self.put(key, Value::Marker(value), self.node_ttl.get());
    }

    /// See [`super::Store::bump`] and [`super::Store::bump_others`].
    pub fn bump(&self, nodes: &[String], root: &Root) -> Bumped {
        // Else a layout could be entered between the look at the register and its end.
        let _creating = self.creating.lock().unwrap_or_else(PoisonError::into_inner);
        nodes.iter().for_each(|node| self.items.remove(node));
        match self.root(root).is_some_and(|value| root.is_shared(&value)) {
            true => {
                self.items.remove(root.name());
                Bumped::Everything
            }
            false => Bumped::Done,
        }
    }

    fn version(&self, node: &str, root: &Root) -> Option<Version> {
        match self.get(node) {
            Some(Value::Node(version)) => Some(version),
            Some(Value::Root(bytes)) => root.version_of(node, &bytes),
            _ => None,
        }
    }

    fn get(&self, key: &str) -> Option<Value> {
        let item = self.items.get(key)?;
        (Instant::now() < item.until).then_some(item.value)
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
    use crate::digest::Digest;

    #[tokio::test(start_paused = true)]
    async fn entries_and_nodes_expire_by_themselves() {
        let memory = Memory::new(1 << 20, Duration::from_secs(60), Arc::new(Metrics::new()));
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

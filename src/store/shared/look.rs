//! A look: an entry and the versions that it depends on, from Redis and what is before it.

use super::Shared;
use crate::clock::Reading;
use crate::entry::{Entry, Version};
use crate::store::fault::{Down, Fault, Kind};
use crate::store::local;
use crate::store::node;
use crate::store::redis::Connection;
use crate::store::root::Root;
use crate::store::{Lock, Look, Sought};
use bytes::Bytes;
use std::borrow::Cow;
use std::sync::Arc;
use tokio::time::Instant;

/// How Redis is asked once more within the time that a look has.
#[derive(Clone, Copy)]
pub(super) struct Line<'l> {
    connection: &'l Arc<Connection>,
    pub(super) by: Instant,
    /// When it was asked first.
    asked: &'l Reading,
    root: &'l Root,
}

impl<'l> Line<'l> {
    pub(super) fn to(
        connection: &'l Arc<Connection>,
        asked: &'l Reading,
        root: &'l Root,
    ) -> Line<'l> {
        let by = connection.deadline();
        Line {
            connection,
            by,
            asked,
            root,
        }
    }
}

/// What stands in Redis.
struct Values {
    entry: Option<Bytes>,
    nodes: Vec<Option<Bytes>>,
}

/// The versions of nodes by their values, as the layout sees them.
pub(super) fn versions_of<'v>(
    root: &Root,
    nodes: &[String],
    values: impl Iterator<Item = Option<&'v Bytes>>,
) -> Vec<Option<Version>> {
    let valued = nodes.iter().zip(values);
    valued
        .map(|(node, value)| root.version_of(node, value?))
        .collect()
}

impl Shared {
    /// See [`crate::store::Store::look`].
    pub async fn look(&self, sought: Sought<'_>, root: &Root) -> Result<Look, Down> {
        let connection = &self.breaker.connection()?;
        let now = self.clock.reading();
        let line = Line::to(connection, &now, root);
        let local = self.local.get(sought.entry, &now);
        if let Some(remembered) = self.remembered(&sought, &now, root) {
            return Ok(remembered);
        }
        let nodes = self.nodes_of(&sought, local.as_deref());
        let any_group = sought.any_group.map_or(&[][..], std::slice::from_ref);
        let sights = [&nodes, any_group].map(|nodes| self.known.sight(nodes, now));
        // In this order; the entry only where it is not in memory, and there is one place for all.
        let absent = local.is_none().then_some(sought.entry);
        let entry = absent.filter(|_| self.shards.is_none());
        let beside = [sought.marker, sought.lock, sought.flag];
        let named = nodes.iter().chain(any_group).map(String::as_str);
        let keys = entry
            .into_iter()
            .chain(named)
            .chain(beside.into_iter().flatten());
        let (told, apart) = match (&self.shards, absent) {
            (Some(shards), Some(key)) => {
                let asked = (connection.look(keys, line.by), shards.get(key, line.by));
                Box::pin(async { tokio::join!(asked.0, asked.1) }).await
            }
            _ => (connection.look(keys, line.by).await, None),
        };
        let told = self.breaker.note(connection, told)?;
        let mut values = told.values();
        let remote = entry.and_then(|_| values.next().flatten());
        let versions = versions_of(root, &nodes, values.by_ref());
        let any_group = versions_of(root, any_group, values.by_ref());
        for (sight, versions) in sights.into_iter().zip([&versions, &any_group]) {
            sight.note(versions.iter().copied());
        }
        // Copied, because a slice would keep the whole read buffer alive.
        let marker = sought
            .marker
            .and_then(|marker| Some((marker, values.next().flatten()?)))
            .and_then(|(marker, value)| Some(self.opened(marker, value)?.into_owned().into()));
        let lock = sought
            .lock
            .map_or(Lock::Free, |_| Lock::of(values.next().flatten().cloned()));
        let is_flagged = values.next().flatten().is_some();
        let is_present = local
            .as_ref()
            .is_some_and(|entry| local::matches(entry, &versions));
        let look = Look {
            entry: local,
            versions,
            any_group: any_group.first().copied().flatten(),
            softened_ms: None,
            marker,
            lock,
            is_flagged,
        };
        if is_present {
            return Ok(look);
        }
        let after_entry = usize::from(entry.is_some());
        let present = told.values().skip(after_entry).take(nodes.len());
        let values = Values {
            entry: apart.or_else(|| remote.cloned()),
            nodes: present.map(Option::<&Bytes>::cloned).collect(),
        };
        // Set apart, so that what every request holds while it waits for the store stays small.
        Box::pin(self.settled(look, values, sought, line)).await
    }

    /// See [`crate::store::Store::at_once`].
    pub fn at_once(&self, sought: &Sought<'_>, now: &Reading, root: &Root) -> Option<Arc<Entry>> {
        self.breaker.connection().ok()?; // while nothing may be believed, this is not either
        let entry = self.local.get_own(sought.entry, root.layout(), now)?;
        self.is_vouched_for(sought, &entry, now).then_some(entry)
    }

    /// The nodes of an entry, by the names that they have in Redis.
    pub(super) fn nodes_of<'n>(
        &self,
        sought: &'n Sought<'_>,
        entry: Option<&Entry>,
    ) -> Cow<'n, [String]> {
        sought.nodes_of(entry, |name| self.names.owned(name))
    }

    /// What need not be asked.
    fn remembered(&self, sought: &Sought<'_>, now: &Reading, root: &Root) -> Option<Look> {
        let within = sought.local_ttl;
        if sought.marker.is_some() || within.is_zero() {
            return None;
        }
        let entry = &self.local.get_own(sought.entry, root.layout(), now)?;
        let any_group = match sought.any_group {
            Some(node) => Some(self.known.version(node, within, now)?),
            None => None,
        };
        let is_vouched_for = self.is_vouched_for(sought, entry, now);
        is_vouched_for.then(|| Look::remembered(entry, any_group))
    }

    /// Whether the versions of its nodes are known to be the present ones.
    fn is_vouched_for(&self, sought: &Sought<'_>, entry: &Entry, now: &Reading) -> bool {
        let nodes = self.nodes_of(sought, Some(entry));
        self.known
            .vouches(&nodes, &entry.versions, sought.local_ttl, now)
    }

    /// The look with the entry that is in Redis, and the versions of its groups, where the local one is
    /// absent or was kept under other versions than the present ones; and since when it is softly
    /// dropped, if it is.
    async fn settled(
        &self,
        mut look: Look,
        mut values: Values,
        sought: Sought<'_>,
        line: Line<'_>,
    ) -> Result<Look, Down> {
        let own = sought.nodes.len();
        look.entry = match look.entry {
            None => self.decoded(sought.entry, values.entry),
            // Nothing in Redis can match an absent node either.
            Some(entry) if look.versions[..own].contains(&None) => {
                self.local.end_soon(sought.entry, &entry, line.asked);
                Some(entry)
            }
            Some(entry) => {
                self.local.forget(sought.entry, &entry);
                self.newer(line, sought.entry).await?
            }
        };
        look.versions.truncate(own);
        values.nodes.truncate(own);
        let Some(entry) = &look.entry else {
            return Ok(look);
        };
        let recorded = entry.versions.get(..own).unwrap_or_default();
        let is_dropped = !local::begins_with(entry, &look.versions)
            && node::softened_since(sought.nodes, recorded, &values.nodes, line.root).is_none();
        let nodes = self.nodes_of(&sought, Some(entry));
        if !is_dropped && !entry.groups.is_empty() {
            let groups = self.values(line, &nodes[own..]).await?;
            look.versions.extend(versions_of(
                line.root,
                &nodes[own..],
                groups.iter().map(Option::as_ref),
            ));
            values.nodes.extend(groups);
        }
        if local::matches(entry, &look.versions) {
            let now = self.clock.reading();
            let layout = line.root.layout();
            self.local.put(sought.entry, entry.clone(), layout, &now);
        } else if let Some(since) =
            node::softened_since(&nodes, &entry.versions, &values.nodes, line.root)
        {
            look.softened_ms = self.passed_ms(line, since).await?;
        }
        Ok(look)
    }

    /// The values of nodes that were not known before.
    pub(super) async fn values(
        &self,
        line: Line<'_>,
        nodes: &[String],
    ) -> Result<Vec<Option<Bytes>>, Down> {
        let sight = self.known.sight(nodes, self.clock.reading());
        let keys = nodes.iter().map(|node| Bytes::from(node.clone()));
        let values = line.connection.mget(keys.collect(), line.by).await;
        let values = self.breaker.note(line.connection, values)?;
        sight.note(versions_of(
            line.root,
            nodes,
            values.iter().map(Option::as_ref),
        ));
        Ok(values)
    }

    /// How long ago a moment was on Redis's clock, at most.
    pub(super) async fn passed_ms(
        &self,
        line: Line<'_>,
        since_us: u64,
    ) -> Result<Option<u64>, Down> {
        let now_us = line.connection.clock_us(line.asked, line.by).await;
        let now_us = self.breaker.note(line.connection, now_us)?;
        Ok(node::passed_ms(since_us, now_us))
    }

    /// The entry in Redis, where the local one was kept under other versions than the present.
    async fn newer(&self, line: Line<'_>, key: &str) -> Result<Option<Arc<Entry>>, Down> {
        if let Some(shards) = &self.shards {
            return Ok(self.decoded(key, shards.get(key, line.by).await));
        }
        let value = match line.connection.get(key, line.by).await {
            Err(fault) if fault.kind == Kind::Protocol => {
                self.foreign(&fault);
                return Ok(None);
            }
            other => self.breaker.note(line.connection, other)?,
        };
        Ok(self.decoded(key, value))
    }

    /// A value that is not an entry is a miss: another release's, or damaged.
    pub(super) fn decoded(&self, key: &str, value: Option<Bytes>) -> Option<Arc<Entry>> {
        match Entry::decode(&self.opened(key, &value?)?) {
            Ok(entry) => Some(Arc::new(entry)),
            Err(undecodable) => {
                self.foreign(&Fault::new(Kind::Protocol, &undecodable.to_string()));
                None
            }
        }
    }
}

//! A look: an entry and the versions that it depends on, from Redis and what is before it.

use super::Shared;
use crate::clock::Reading;
use crate::entry::{Entry, Version};
use crate::store::fault::{Down, Fault, Kind};
use crate::store::local;
use crate::store::redis::Connection;
use crate::store::root::Root;
use crate::store::{Lock, Look, Sought};
use bytes::Bytes;
use std::borrow::Cow;
use std::sync::Arc;
use tokio::time::Instant;

/// How Redis is asked once more within the time that a look has.
#[derive(Clone, Copy)]
struct Line<'l> {
    connection: &'l Arc<Connection>,
    by: Instant,
    root: &'l Root,
}

/// The versions of nodes by their values, as the layout sees them.
fn versions(
    root: &Root,
    nodes: &[String],
    values: impl IntoIterator<Item = Option<Bytes>>,
) -> Vec<Option<Version>> {
    let valued = nodes.iter().zip(values);
    valued
        .map(|(node, value)| root.version_of(node, &value?))
        .collect()
}

impl Shared {
    /// See [`crate::store::Store::look`].
    pub async fn look(&self, sought: Sought<'_>, root: &Root) -> Result<Look, Down> {
        let connection = &self.breaker.connection()?;
        let by = connection.deadline();
        let now = self.clock.reading();
        let local = self.local.get(sought.entry, &now);
        if let Some(remembered) = self.remembered(&sought, local.as_ref(), &now) {
            return Ok(remembered);
        }
        let nodes = self.nodes_of(&sought, local.as_deref());
        let any_group = sought.any_group.map_or(&[][..], std::slice::from_ref);
        let sights = [&nodes, any_group].map(|nodes| self.known.sight(nodes, now));
        let asked = local.is_none().then_some(sought.entry).into_iter();
        let named = nodes.iter().chain(any_group).map(String::as_str);
        let beside = sought
            .marker
            .into_iter()
            .chain(sought.lock)
            .chain(sought.flag);
        let keys = asked.chain(named).chain(beside).collect();
        let values = connection.mget(keys, by).await;
        let mut values = self.breaker.note(connection, values)?.into_iter();
        let remote = match local {
            None => values.next().flatten(),
            Some(_) => None,
        };
        let [versions, any_group] = [&nodes, any_group]
            .map(|nodes| versions(root, nodes, values.by_ref().take(nodes.len())));
        for (sight, versions) in sights.into_iter().zip([&versions, &any_group]) {
            sight.note(versions.iter().copied());
        }
        // Copied, because a slice would keep the whole read buffer alive.
        let marker = sought
            .marker
            .and_then(|marker| Some((marker, values.next().flatten()?)))
            .and_then(|(marker, value)| Some(self.opened(marker, &value)?.into_owned().into()));
        let lock = sought
            .lock
            .map_or(Lock::Free, |_| Lock::of(values.next().flatten()));
        let is_flagged = values.next().flatten().is_some();
        let is_present = local
            .as_ref()
            .is_some_and(|entry| local::matches(entry, &versions));
        let look = Look {
            entry: local,
            versions,
            any_group: any_group.first().copied().flatten(),
            marker,
            lock,
            is_flagged,
        };
        if is_present {
            return Ok(look);
        }
        let line = Line {
            connection,
            by,
            root,
        };
        // Set apart, so that what every request holds while it waits for the store stays small.
        Box::pin(self.settled(look, remote, sought, line)).await
    }

    /// The nodes of an entry, by the names that they have in Redis.
    fn nodes_of<'n>(&self, sought: &'n Sought<'_>, entry: Option<&Entry>) -> Cow<'n, [String]> {
        sought.nodes_of(entry, |name| match &self.seal {
            Some(seal) => seal.name(&name),
            None => name,
        })
    }

    /// What need not be asked.
    fn remembered(
        &self,
        sought: &Sought<'_>,
        local: Option<&Arc<Entry>>,
        now: &Reading,
    ) -> Option<Look> {
        let within = sought.local_ttl;
        let entry = local.filter(|_| sought.marker.is_none() && !within.is_zero())?;
        let nodes = self.nodes_of(sought, Some(entry));
        let any_group = match sought.any_group {
            Some(node) => Some(self.known.version(node, within, now)?),
            None => None,
        };
        let vouched = self.known.vouches(&nodes, &entry.versions, within, now);
        vouched.then(|| Look::remembered(entry, any_group))
    }

    /// The look with the entry that is in Redis, and the versions of its groups, where the local one is
    /// absent or was kept under other versions than the present ones.
    async fn settled(
        &self,
        mut look: Look,
        remote: Option<Bytes>,
        sought: Sought<'_>,
        line: Line<'_>,
    ) -> Result<Look, Down> {
        let own = sought.nodes.len();
        look.entry = match look.entry {
            None => self.decoded(sought.entry, remote),
            // Nothing in Redis can match an absent node either.
            Some(entry) if look.versions[..own].contains(&None) => Some(entry),
            Some(_) => self.newer(line, sought.entry).await?,
        };
        look.versions.truncate(own);
        let Some(entry) = &look.entry else {
            return Ok(look);
        };
        let is_dropped = !local::begins_with(entry, &look.versions);
        if !is_dropped && !entry.groups.is_empty() {
            let groups = &self.nodes_of(&sought, Some(entry))[own..];
            let versions = self.versions(line, groups).await?;
            look.versions.extend(versions);
        }
        if local::matches(entry, &look.versions) {
            let now = self.clock.reading();
            self.local.put(sought.entry, entry.clone(), &now);
        }
        Ok(look)
    }

    async fn versions(
        &self,
        line: Line<'_>,
        nodes: &[String],
    ) -> Result<Vec<Option<Version>>, Down> {
        let sight = self.known.sight(nodes, self.clock.reading());
        let keys = nodes.iter().map(String::as_str).collect();
        let values = line.connection.mget(keys, line.by).await;
        let values = self.breaker.note(line.connection, values)?;
        let versions = versions(line.root, nodes, values);
        sight.note(versions.iter().copied());
        Ok(versions)
    }

    /// The entry in Redis, where the local one was kept under other versions than the present.
    async fn newer(&self, line: Line<'_>, key: &str) -> Result<Option<Arc<Entry>>, Down> {
        self.local.remove(key);
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
    fn decoded(&self, key: &str, value: Option<Bytes>) -> Option<Arc<Entry>> {
        match Entry::decode(&self.opened(key, &value?)?) {
            Ok(entry) => Some(Arc::new(entry)),
            Err(undecodable) => {
                self.foreign(&Fault::new(Kind::Protocol, &undecodable.to_string()));
                None
            }
        }
    }
}

//! See [`crate::store::Store::examine`].

use super::Shared;
use super::look::{Line, versions_of};
use crate::rules::settings::Compress;
use crate::store::examine::standings;
use crate::store::fault::Down;
use crate::store::node;
use crate::store::root::Root;
use crate::store::{Examined, Lock, Look, Sought};
use bytes::Bytes;

impl Shared {
    /// See [`crate::store::Store::examine`]. Names are as they stand in Redis.
    pub async fn examine(&self, sought: Sought<'_>, root: &Root) -> Result<Option<Examined>, Down> {
        let connection = &self.breaker.connection()?;
        let now = self.clock.reading();
        let line = Line::to(connection, &now, root);
        let here = self.shards.is_none().then_some(sought.entry);
        let named = here
            .into_iter()
            .chain(sought.nodes.iter().map(String::as_str));
        let keys = named.chain(sought.marker);
        let keys = keys.map(|key| Bytes::copy_from_slice(key.as_bytes()));
        let values = connection.mget(keys.collect(), line.by).await;
        let mut values = self.breaker.note(connection, values)?.into_iter();
        let stored = match &self.shards {
            None => values.next().flatten(),
            Some(shards) => shards.get(sought.entry, line.by).await,
        };
        let mut nodes: Vec<Option<Bytes>> = values.by_ref().take(sought.nodes.len()).collect();
        let marker = sought
            .marker
            .and_then(|marker| Some((marker, values.next().flatten()?)))
            .and_then(|(marker, value)| Some(self.opened(marker, &value)?.into_owned().into()));
        let Some(stored) = stored else {
            return Ok(None);
        };
        let stored_bytes = stored.len();
        let opened_bytes = self.opened(sought.entry, &stored).map(|value| value.len());
        let Some(entry) = self.decoded(sought.entry, Some(stored)) else {
            return Ok(None);
        };
        let named = self.nodes_of(&sought, Some(&entry)).into_owned();
        if !entry.groups.is_empty() {
            nodes.extend(self.values(line, &named[sought.nodes.len()..]).await?);
        }
        let softened_ms = match node::softened_since(&named, &entry.versions, &nodes, root) {
            Some(since) => self.passed_ms(line, since).await?,
            None => None,
        };
        let look = Look {
            entry: Some(entry.clone()),
            versions: versions_of(root, &named, nodes.iter().map(Option::as_ref)),
            any_group: None,
            softened_ms,
            marker,
            lock: Lock::Free,
            is_flagged: false,
        };
        Ok(Some(Examined {
            standings: standings(&named, &entry.versions, &nodes, root),
            look,
            stored_bytes,
            is_compressed: opened_bytes < Some(entry.encode(Compress::None).len()),
            entry,
        }))
    }
}

//! What a look asks for, and what it finds.

use super::Lock;
use crate::entry::{Entry, Version};
use crate::key;
use bytes::Bytes;
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

/// What a look asks for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sought<'s> {
    /// The namespace, in which the nodes of an entry's groups have their names.
    pub namespace: &'s str,
    /// The key of the entry.
    pub entry: &'s str,
    /// Its nodes, but for those of its groups.
    pub nodes: &'s [String],
    /// The node that is dropped along with whichever group is, to be read along with them.
    pub any_group: Option<&'s String>,
    /// A marker to be read along with them.
    pub marker: Option<&'s str>,
    /// A lock to be read along with them.
    pub lock: Option<&'s str>,
    /// A flag to be read along with them.
    pub flag: Option<&'s str>,
    /// How long ago its versions may have been asked for at most, where the entry is in this process's
    /// memory and no marker is sought; zero asks each time. A store that is memory has no need of it.
    pub local_ttl: Duration,
}

impl Sought<'_> {
    /// The nodes of an entry: its own, then those of its groups, which stand in the store as `named`.
    pub(super) fn nodes_of(
        &self,
        entry: Option<&Entry>,
        named: impl Fn(String) -> String,
    ) -> Cow<'_, [String]> {
        let groups = entry.map_or(&[][..], |entry| &entry.groups);
        if groups.is_empty() {
            return Cow::Borrowed(self.nodes);
        }
        let groups = groups
            .iter()
            .map(|group| named(key::group_node(self.namespace, group)));
        Cow::Owned(self.nodes.iter().cloned().chain(groups).collect())
    }
}

/// What a look found.
#[derive(Clone, Debug)]
pub struct Look {
    /// The entry, whether or not its versions are the present ones: that is for the caller to judge.
    pub entry: Option<Arc<Entry>>,
    /// The present version of each node asked for, in that order, then of each of the entry's groups;
    /// `None` where it is absent. Those of the groups are left out where the others show already that
    /// the entry was dropped.
    pub versions: Vec<Option<Version>>,
    /// The version of [`Sought::any_group`], if that was asked for and is there.
    pub any_group: Option<Version>,
    /// How many milliseconds ago, on the store's own clock, the entry was softly dropped first; `None`
    /// where there is none, where it was not, or where it was dropped for good, be it with a group.
    pub softened_ms: Option<u64>,
    /// The marker, if one was asked for and is there.
    pub marker: Option<Bytes>,
    /// The lock, if one was asked for.
    pub lock: Lock,
    /// Whether the flag is raised, if one was asked for. An answer from this process's memory alone was
    /// kept, and not dropped since, while it was not.
    pub is_flagged: bool,
}

impl Look {
    /// An entry whose versions are known to be the present ones.
    pub(super) fn remembered(entry: &Arc<Entry>, any_group: Option<Version>) -> Look {
        Look {
            entry: Some(entry.clone()),
            versions: entry.versions.iter().copied().map(Some).collect(),
            any_group,
            softened_ms: None,
            marker: None,
            lock: Lock::Free,
            is_flagged: false,
        }
    }
}

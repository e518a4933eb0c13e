//! What stands under a key, for a person: beside what a look finds, how it stands there.

use super::Look;
use super::node;
use super::root::Root;
use crate::entry::{Entry, Version};
use std::sync::Arc;

/// An entry as it stands in the store.
#[derive(Clone, Debug)]
pub struct Examined {
    /// The entry.
    pub entry: Arc<Entry>,
    /// What a look would find, without the lock and the flag.
    pub look: Look,
    /// Bytes that it takes there, its name aside; in memory, all that it takes of it.
    pub stored_bytes: usize,
    /// Whether its body is compressed there.
    pub is_compressed: bool,
    /// How each of its nodes stands to the version that it recorded: its own, then those of its groups.
    pub standings: Vec<Standing>,
}

/// How a node stands to the version of it that an entry recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is as it was.
    Holds,
    /// It was softly dropped since.
    Softened,
    /// It was dropped for good since, and used again.
    Dropped,
    /// It is not there: dropped, evicted, or never asked for since.
    Absent,
}

/// How each node stands to what was recorded of it; `values` are those of the nodes now.
pub(super) fn standings(
    nodes: &[String],
    recorded: &[Version],
    values: &[Option<impl AsRef<[u8]>>],
    root: &Root,
) -> Vec<Standing> {
    let all = nodes.iter().zip(values).enumerate();
    let standing = |(at, (node, value)): (usize, (&String, &Option<_>))| {
        let (Some(value), recorded) = (value, recorded.get(at)) else {
            return Standing::Absent;
        };
        let value = AsRef::<[u8]>::as_ref(value);
        let recorded = recorded.map_or(&[][..], std::slice::from_ref);
        let node = std::slice::from_ref(node);
        match root.version_of(&node[0], value).as_ref() == recorded.first() {
            true => Standing::Holds,
            false if node::softened_since(node, recorded, &[Some(value)], root).is_some() => {
                Standing::Softened
            }
            false => Standing::Dropped,
        }
    };
    all.map(standing).collect()
}

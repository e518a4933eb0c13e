//! The root: the one node that every entry has, `namespace:*`, and the register of whose entries live
//! under it.
//!
//! A fleet does not always go by one rules file: a rolling deploy mixes two, a reload leaves requests
//! under way with the old one. Sidecars of different *layouts* do not know each other's nodes, nor
//! which of them a write drops. So the root's value is a random token and, behind it, each layout
//! whose entries may live under that token. Two rules keep every reader right:
//!
//! - **No entry is used unless its own layout stands in the register.** A sidecar that is not in it
//!   takes the root for absent, and its snapshot enters it, before its fill asks the origin.
//! - **Whoever drops nodes drops the root as well if a layout other than his own stands in it.** He
//!   cannot tell what those entries are, so he drops them all.
//!
//! An entry from before a write therefore lives under a token beside which its layout stands: the
//! writer is of that layout, and knows its nodes, or sees it, and drops the root. What a layout sees
//! as the root's version is the token and the layout together, so that no entry is ever used under
//! another layout than its own: a write before that one came could not have known what it would drop.
//!
//! The register cleans itself: a dropped root comes back with the layouts that ask from then on, and
//! an evicted one costs misses alone. A fleet of one layout never drops it.

use super::fault::Fault;
use super::node;
use super::redis::Connection;
use crate::digest::{DIGEST_BYTES, Digest};
use crate::entry::Version;

/// Most layouts that stand in one register; one more begins a new register, which drops everything.
/// A fleet has one, during a deploy two or three; this bounds what every hit reads to a kilobyte.
pub const MAX_LAYOUTS: usize = 64;

/// Bytes of the token and of each layout behind it.
const WIDTH: usize = DIGEST_BYTES;

/// The root as one layout sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root {
    name: String,
    layout: Digest,
}

impl Root {
    /// The node called `name`, for entries of this layout.
    pub fn new(name: String, layout: Digest) -> Root {
        Root { name, layout }
    }

    /// The same by another name.
    pub fn called(&self, name: String) -> Root {
        Root::new(name, self.layout)
    }

    /// The store key.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What tells entries that one may know from those that are others'.
    pub fn layout(&self) -> &Digest {
        &self.layout
    }

    /// The version of any node, by its value. The root has one only where this layout is entered.
    pub fn version_of(&self, node: &str, value: &[u8]) -> Option<Version> {
        if node != self.name {
            return node::version(value);
        }
        let (token, layouts) = parts(value)?;
        let is_entered = layouts.chunks(WIDTH).any(|layout| layout == self.layout.0);
        is_entered.then(|| self.seen(token))
    }

    /// The versions that a snapshot took, as this layout sees them.
    pub fn all_seen(&self, nodes: &[String], mut versions: Vec<Version>) -> Vec<Version> {
        let roots = nodes.iter().zip(&mut versions);
        roots
            .filter(|(node, _)| **node == self.name)
            .for_each(|(_, version)| *version = self.seen(*version));
        versions
    }

    /// The versions of nodes that are created with these tokens, as this layout sees them.
    pub fn created(&self, nodes: &[String], tokens: &[Version]) -> Vec<Version> {
        let of_nodes = tokens.iter().filter_map(|token| node::version(token));
        self.all_seen(nodes, of_nodes.collect())
    }

    /// Tokens are random, so two layouts see one version as rarely as two tokens are equal.
    fn seen(&self, mut token: Version) -> Version {
        token
            .iter_mut()
            .zip(self.layout.0)
            .for_each(|(byte, layout)| *byte ^= layout);
        token
    }

    /// Whether entries of other layouts may live under a root of this value.
    pub fn is_shared(&self, value: &[u8]) -> bool {
        value.get(WIDTH..) != Some(&self.layout.0[..])
    }

    /// The value with this layout entered: what the snapshot's script does, for a store in memory.
    pub fn entered(&self, value: Option<&[u8]>, token: Version) -> Vec<u8> {
        let known = value.filter(|value| parts(value).is_some());
        match known {
            Some(value) if self.version_of(&self.name, value).is_some() => value.to_vec(),
            Some(value) if value.len() < full() => [value, &self.layout.0].concat(),
            _ => [token, self.layout.0].concat(),
        }
    }

    /// Whether Redis holds entries of other layouts: one command.
    ///
    /// # Errors
    /// Redis did not say.
    pub async fn is_shared_in(&self, connection: &Connection) -> Result<bool, Fault> {
        let values = connection
            .mget(vec![self.name.clone().into()], connection.deadline())
            .await?;
        Ok(values.iter().flatten().any(|value| self.is_shared(value)))
    }

    /// Deletes `nodes` and, where entries of other layouts live there, the root: says whether it did.
    /// Two commands in one round trip, and a third for the root.
    ///
    /// # Errors
    /// Redis could not be told all of it.
    pub async fn drop_in(&self, connection: &Connection, nodes: &[String]) -> Result<bool, Fault> {
        if nodes.contains(&self.name) {
            connection.unlink(nodes).await?;
            return Ok(false);
        }
        let (unlinked, shared) =
            tokio::join!(connection.unlink(nodes), self.is_shared_in(connection));
        unlinked?;
        self.drop_if(shared?, connection).await
    }

    /// Deletes the root where entries of other layouts live there: says whether it did.
    ///
    /// # Errors
    /// Redis could not be told, or did not say.
    pub async fn drop_shared_in(&self, connection: &Connection) -> Result<bool, Fault> {
        let shared = self.is_shared_in(connection).await?;
        self.drop_if(shared, connection).await
    }

    async fn drop_if(&self, shared: bool, connection: &Connection) -> Result<bool, Fault> {
        if shared {
            connection.unlink(std::slice::from_ref(&self.name)).await?;
        }
        Ok(shared)
    }
}

/// The length of a register that takes no more.
pub const fn full() -> usize {
    WIDTH * (1 + MAX_LAYOUTS)
}

/// Token and layouts; `None` where the value is no register.
fn parts(value: &[u8]) -> Option<(Version, &[u8])> {
    let (token, layouts) = value.split_first_chunk::<WIDTH>()?;
    let is_whole = !layouts.is_empty() && layouts.len().is_multiple_of(WIDTH);
    is_whole.then_some((*token, layouts))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: Version = [7; WIDTH];

    fn root(layout: u8) -> Root {
        Root::new("ns:*".into(), Digest([layout; WIDTH]))
    }

    fn version(layout: u8, value: &[u8]) -> Option<Version> {
        root(layout).version_of("ns:*", value)
    }

    #[test]
    fn a_layout_sees_the_root_only_once_it_is_entered_and_none_sees_what_another_sees() {
        let one = root(1).entered(None, TOKEN);
        assert!(version(1, &one).is_some() && version(2, &one).is_none());
        let both = root(2).entered(Some(&one), [8; WIDTH]);
        assert_eq!(version(1, &both), version(1, &one), "the token stays");
        assert!(version(2, &both).is_some());
        assert_ne!(version(1, &both), version(2, &both));
        assert_eq!(root(1).entered(Some(&both), [8; WIDTH]), both);
        assert_eq!(root(1).version_of("ns:a:*", &TOKEN), Some(TOKEN));
    }

    #[test]
    fn a_root_is_shared_unless_its_only_layout_is_ones_own() {
        let one = root(1).entered(None, TOKEN);
        let both = root(2).entered(Some(&one), TOKEN);
        assert!(!root(1).is_shared(&one) && root(2).is_shared(&one));
        assert!(root(1).is_shared(&both) && root(2).is_shared(&both));
        for malformed in [&b""[..], b"short", &one[..31], &TOKEN] {
            assert!(root(1).is_shared(malformed) && version(1, malformed).is_none());
            assert_eq!(root(1).entered(Some(malformed), TOKEN), one, "replaced");
        }
    }

    #[test]
    fn a_register_that_is_full_begins_anew() {
        let mut value = root(0).entered(None, TOKEN);
        for layout in 1..MAX_LAYOUTS as u8 {
            value = root(layout).entered(Some(&value), [9; WIDTH]);
        }
        assert_eq!((value.len(), &value[..WIDTH]), (full(), &TOKEN[..]));
        let anew = root(200).entered(Some(&value), [9; WIDTH]);
        assert_eq!(anew, [[9; WIDTH], [200; WIDTH]].concat());
    }
}

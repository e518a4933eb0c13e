//! Names as they stand in the store: as they are, or hidden by the seal, and in a cluster, tagged.
//!
//! The scripts take several keys, and a look reads all versions at once, so in a cluster everything but the
//! entries has to be in one slot: the *home*. A name `shop:doctors:*` therefore stands there as
//! `shop:{shop}:doctors:*`, of which a cluster hashes only what is in the braces. Entries have no tag, so that
//! what fills the memory is spread over all shards.

use super::root::Root;
use super::seal::Seal;
use std::borrow::Cow;
use std::sync::Arc;

/// From names to names in the store. Nobody further inward knows others.
pub struct Names {
    seal: Option<Arc<Seal>>,
    namespace: String,
    /// What begins the names of the home in the place of the namespace.
    tagged: Option<String>,
    /// What sidecars of all layouts and keys must find, and says nothing: it is not hidden.
    root: String,
}

impl Names {
    /// Hidden by the seal, if there is one; tagged in a cluster. No namespace has braces of its own.
    pub fn new(seal: Option<Arc<Seal>>, namespace: &str, root: &Root, is_cluster: bool) -> Names {
        Names {
            seal,
            namespace: namespace.to_owned(),
            tagged: is_cluster.then(|| format!("{namespace}:{{{namespace}}}")),
            root: root.name().to_owned(),
        }
    }

    /// Anything's but an entry's.
    pub fn one<'n>(&self, name: &'n str) -> Cow<'n, str> {
        match &self.seal {
            Some(seal) if name != self.root => match &self.tagged {
                None => Cow::Owned(seal.name(name)),
                Some(_) => Cow::Owned(self.at_home(&seal.name(name)).into_owned()),
            },
            _ => self.at_home(name),
        }
    }

    /// The same of one that nobody else needs.
    pub fn owned(&self, name: String) -> String {
        match self.one(&name) {
            Cow::Owned(named) => named,
            Cow::Borrowed(_) => name,
        }
    }

    /// Several.
    pub fn all<'n>(&self, names: &'n [String]) -> Cow<'n, [String]> {
        match (&self.seal, &self.tagged) {
            (None, None) => Cow::Borrowed(names),
            _ => names
                .iter()
                .map(|name| self.one(name).into_owned())
                .collect(),
        }
    }

    /// An entry's.
    pub fn entry<'n>(&self, name: &'n str) -> Cow<'n, str> {
        match &self.seal {
            Some(seal) => Cow::Owned(seal.name(name)),
            None => Cow::Borrowed(name),
        }
    }

    /// The root by its name in the store.
    pub fn root(&self, root: &Root) -> Root {
        root.called(self.one(root.name()).into_owned())
    }

    /// The mark of the server: as the root, it is not hidden.
    pub fn mark(&self) -> String {
        let namespace = self.tagged.as_ref().unwrap_or(&self.namespace);
        format!("{namespace}:!server")
    }

    fn at_home<'n>(&self, name: &'n str) -> Cow<'n, str> {
        match &self.tagged {
            None => Cow::Borrowed(name),
            Some(tagged) => {
                let rest = name.strip_prefix(&self.namespace).unwrap_or(name);
                Cow::Owned(format!("{tagged}{rest}"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;
    use fred::util::redis_keyslot;

    fn names(is_cluster: bool) -> Names {
        let root = Root::new("ns:*".into(), Digest([0; 16]));
        Names::new(None, "ns", &root, is_cluster)
    }

    #[test]
    fn in_a_cluster_all_but_entries_share_a_slot_and_the_namespace_comes_first() {
        let names = names(true);
        let slot = |name: &str| redis_keyslot(name.as_bytes());
        let home = slot(&names.mark());
        for name in ["ns:*", "ns:doctors:*", "ns:doctors:{x}:*!", "ns:!stats2"] {
            let named = names.one(name);
            assert!(named.starts_with("ns:{ns}:"), "{named}");
            assert_eq!(slot(&named), home, "{named}");
        }
        assert_eq!(names.one("ns:doctors:*"), "ns:{ns}:doctors:*");
        assert_eq!(names.entry("ns:doctors:42"), "ns:doctors:42");
        assert_ne!(slot("ns:doctors:42"), slot("ns:doctors:43"));
    }

    #[test]
    fn elsewhere_names_are_as_they_are_and_cost_nothing() {
        let names = names(false);
        let all = ["ns:*".to_owned(), "ns:doctors:*".to_owned()];
        assert!(matches!(names.all(&all), Cow::Borrowed(_)));
        assert!(matches!(names.one("ns:doctors:*"), Cow::Borrowed(_)));
        assert_eq!(names.mark(), "ns:!server");
    }
}

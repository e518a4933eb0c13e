//! Nodes whose deletion is owed: the store could not be told yet that a write happened.

use super::fault::OpenError;
use super::journal::Journal;
use super::root::Root;
use crate::digest::Digest;
use std::collections::HashMap;
use std::path::Path;

/// Most nodes owed one by one. At some 100 bytes each that is about a megabyte, and one deletion
/// of them all stays a matter of milliseconds. Past it the root is owed instead: it stands above
/// everything, so forgetting it forgets more, never less.
pub const MAX_OWED: usize = 10_000;

/// What is owed, each node once, with the moment when it was last owed.
pub struct Owed {
    nodes: HashMap<String, Moment>,
    /// The node that every entry has.
    root: String,
    /// Of the rules that named the nodes.
    layout: Option<Digest>,
    everything: bool,
    now: Moment,
    /// Holds all that is owed, and perhaps what was, unless it says that it cannot.
    journal: Option<Journal>,
}

/// Counts additions. A deletion sent at one moment pays nothing that was owed later, though it be
/// the same node: the deletion may have come before the write.
pub type Moment = u64;

impl Owed {
    /// Nothing is owed but what stands in the journal. The `root` is owed too if anything does: the
    /// rules that named it may have been others, and a piece of it may be unreadable.
    ///
    /// # Errors
    /// The journal cannot be used.
    pub fn open(root: String, journal: Option<&Path>) -> Result<Owed, OpenError> {
        let mut owed = Owed {
            nodes: HashMap::new(),
            root,
            layout: None,
            everything: false,
            now: 0,
            journal: None,
        };
        let Some(path) = journal else {
            return Ok(owed);
        };
        let (journal, replayed) = Journal::open(path)?;
        let nodes = replayed.nodes.len();
        let at_home = replayed
            .nodes
            .into_iter()
            .filter(|node| owed.is_at_home(node));
        let at_home: Vec<_> = at_home.collect();
        owed.note(at_home);
        owed.journal = Some(journal);
        let (unreadable, journal) = (replayed.unreadable, path.display());
        if nodes > 0 || unreadable > 0 {
            owed.add_everything();
        }
        if unreadable > 0 {
            tracing::warn!(
                %journal,
                readable = nodes,
                bytes = unreadable,
                "the journal is torn or damaged behind its readable records: everything is owed"
            );
        } else if nodes > 0 {
            tracing::info!(%journal, nodes, "invalidations are owed from before the start");
        }
        Ok(owed)
    }

    /// Owes these too, which rules of this layout named. When this returns the journal has them. What
    /// rules of two layouts named is everything: whoever pays can only tell one from others.
    pub fn add(&mut self, nodes: impl IntoIterator<Item = String>, layout: &Digest) {
        self.now += 1;
        let fresh = match self.everything {
            true => self.note([self.root.clone()]),
            false => self.note(nodes),
        };
        let is_other = *self.layout.get_or_insert(*layout) != *layout;
        if !self.everything && (is_other || self.nodes.len() > MAX_OWED) {
            self.nodes.clear();
            self.add_everything();
        } else if let Some(journal) = &mut self.journal {
            journal.record(&fresh, self.nodes.keys());
        }
    }

    /// Whether a name can be told of together with the root. In a cluster what the journal of another kind of
    /// store names is in other slots; the root, which is owed with it, stands for that.
    fn is_at_home(&self, node: &str) -> bool {
        let tag = self.root.rfind('}').map(|end| &self.root[..=end]);
        tag.is_none_or(|tag| node.starts_with(tag))
    }

    /// Notes the moment of each, and tells which were not owed before.
    fn note(&mut self, nodes: impl IntoIterator<Item = String>) -> Vec<String> {
        let now = self.now;
        let owed = &mut self.nodes;
        nodes
            .into_iter()
            .filter(|node| owed.insert(node.clone(), now).is_none())
            .collect()
    }

    /// Owes the root, and from here on nothing else.
    fn add_everything(&mut self) {
        self.everything = true;
        self.note([self.root.clone()]);
        if let Some(journal) = &mut self.journal {
            journal.replace(self.nodes.keys());
        }
    }

    /// How many nodes are owed.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// All of them, as of now; they stay owed until [`Owed::paid`].
    pub fn debts(&self) -> (Vec<String>, Moment) {
        (self.nodes.keys().cloned().collect(), self.now)
    }

    /// The root as those rules see it that named what is owed; `None` where it is owed itself.
    pub fn root(&self) -> Option<Root> {
        let layout = self.layout.filter(|_| !self.everything)?;
        Some(Root::new(self.root.clone(), layout))
    }

    /// Whether what is owed outlives this process.
    pub fn journalled(&self) -> bool {
        self.journal.is_some()
    }

    /// These were deleted by a command sent after they were read at `moment`.
    pub fn paid(&mut self, nodes: &[String], moment: Moment) {
        for node in nodes {
            if self.nodes.get(node).is_some_and(|owed| *owed <= moment) {
                self.nodes.remove(node);
            }
        }
        if self.nodes.is_empty() {
            self.everything = false;
            self.layout = None;
            self.journal.iter_mut().for_each(Journal::clear);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(number: usize) -> String {
        format!("clinic:node:{number}")
    }

    const ROOT: &str = "clinic:*";
    const LAYOUT: Digest = Digest([1; 16]);
    const OTHER: Digest = Digest([2; 16]);

    fn owing() -> Owed {
        Owed::open(ROOT.into(), None).expect("there is no journal that could refuse")
    }

    fn sorted(owed: &Owed) -> Vec<String> {
        let mut nodes = owed.debts().0;
        nodes.sort();
        nodes
    }

    #[test]
    fn a_node_is_owed_once_however_often_it_was_written() {
        let mut owed = owing();
        owed.add([node(1), node(2), node(1)], &LAYOUT);
        assert_eq!(owed.len(), 2);
        owed.paid(&[node(1)], owed.debts().1);
        assert_eq!(sorted(&owed), [node(2)]);
    }

    #[test]
    fn a_node_written_again_while_it_is_being_paid_stays_owed() {
        let mut owed = owing();
        owed.add([node(1), node(2)], &LAYOUT);
        let (nodes, moment) = owed.debts();
        owed.add([node(1)], &LAYOUT);
        owed.paid(&nodes, moment);
        assert_eq!(sorted(&owed), [node(1)]);
    }

    #[test]
    fn past_the_bound_the_root_is_owed_instead() {
        let mut owed = owing();
        owed.add((0..MAX_OWED).map(node), &LAYOUT);
        assert_eq!(owed.len(), MAX_OWED);
        owed.add([node(MAX_OWED)], &LAYOUT);
        assert_eq!(sorted(&owed), [ROOT]);
        let (nodes, moment) = owed.debts();
        owed.add([node(MAX_OWED + 1)], &LAYOUT);
        owed.paid(&nodes, moment);
        assert_eq!(sorted(&owed), [ROOT], "owed again after they were read");
        owed.paid(&nodes, owed.debts().1);
        owed.add([node(7)], &LAYOUT);
        assert_eq!(sorted(&owed), [node(7)]);
    }

    #[test]
    fn what_rules_of_two_layouts_named_is_everything() {
        let mut owed = owing();
        assert_eq!(owed.root(), None, "nothing to look for");
        owed.add([node(1)], &LAYOUT);
        assert_eq!(owed.root(), Some(Root::new(ROOT.into(), LAYOUT)));
        owed.add([node(2)], &OTHER);
        assert_eq!((sorted(&owed), owed.root()), (vec![ROOT.to_owned()], None));
        owed.paid(&[ROOT.to_owned()], owed.debts().1);
        owed.add([node(3)], &OTHER);
        assert_eq!(owed.root(), Some(Root::new(ROOT.into(), OTHER)));
    }

    fn journalled(path: &Path) -> Owed {
        Owed::open(ROOT.into(), Some(path)).expect("a journal")
    }

    fn size(path: &Path) -> u64 {
        std::fs::metadata(path).expect("a file").len()
    }

    #[test]
    fn what_is_owed_outlives_its_owner_until_all_of_it_is_paid() {
        let home = tempfile::tempdir().expect("a directory");
        let path = home.path().join("journal");
        let mut owed = journalled(&path);
        let empty = size(&path);
        owed.add([node(1), node(2)], &LAYOUT);
        drop(owed);
        let mut owed = journalled(&path);
        let all = [ROOT.to_owned(), node(1), node(2)];
        assert_eq!(sorted(&owed), all, "other rules may have named them");
        owed.paid(&[node(1)], owed.debts().1);
        owed.add([node(3)], &LAYOUT);
        assert_eq!(sorted(&owed), [ROOT.to_owned(), node(2)], "all is said");
        drop(owed);
        let mut owed = journalled(&path);
        assert_eq!(sorted(&owed), all, "one was paid");
        let (nodes, moment) = owed.debts();
        owed.paid(&nodes, moment);
        assert_eq!(size(&path), empty);
        drop(owed);
        assert_eq!(journalled(&path).len(), 0);
    }

    #[test]
    fn in_a_cluster_the_root_stands_for_what_a_plain_redis_was_owed() {
        let home = tempfile::tempdir().expect("a directory");
        let path = home.path().join("journal");
        let tagged = "clinic:{clinic}:node:3";
        journalled(&path).add([node(1), node(2), tagged.to_owned()], &LAYOUT);
        let root = "clinic:{clinic}:*";
        let owed = Owed::open(root.into(), Some(&path)).expect("a journal");
        assert_eq!(sorted(&owed), [root, tagged]);
    }

    #[test]
    fn a_node_that_stands_in_the_journal_is_not_written_again_unless_it_was_paid() {
        let home = tempfile::tempdir().expect("a directory");
        let path = home.path().join("journal");
        let mut owed = journalled(&path);
        owed.add([node(1), node(2)], &LAYOUT);
        let once = size(&path);
        owed.add([node(1)], &LAYOUT);
        assert_eq!(size(&path), once);
        owed.paid(&[node(1)], owed.debts().1);
        owed.add([node(1)], &LAYOUT);
        assert!(size(&path) > once);
        drop(owed);
        let all = [ROOT.to_owned(), node(1), node(2)];
        assert_eq!(sorted(&journalled(&path)), all);
    }

    #[test]
    fn past_the_bound_the_journal_holds_the_root_alone() {
        let home = tempfile::tempdir().expect("a directory");
        let path = home.path().join("journal");
        let mut owed = journalled(&path);
        owed.add((0..MAX_OWED).map(node), &LAYOUT);
        assert!(size(&path) > 100_000);
        owed.add([node(MAX_OWED)], &LAYOUT);
        assert!(size(&path) < 100);
        owed.add([node(7)], &LAYOUT);
        drop(owed);
        assert_eq!(sorted(&journalled(&path)), [ROOT]);
    }

    #[test]
    fn what_cannot_be_read_of_the_journal_may_be_anything() {
        let home = tempfile::tempdir().expect("a directory");
        let path = home.path().join("journal");
        let mut owed = journalled(&path);
        owed.add([node(1), node(2)], &LAYOUT);
        drop(owed);
        let mut bytes = std::fs::read(&path).expect("a file");
        bytes.pop();
        std::fs::write(&path, bytes).expect("written");
        for _ in 0..2 {
            let owed = journalled(&path);
            let all = [ROOT, "clinic:node:1"];
            assert_eq!(sorted(&owed), all, "also after another crash");
        }
    }
}

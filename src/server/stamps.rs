//! How files are told from what they were, without reading them.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// How some files are. A link stands for the file that it leads to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stamps(BTreeMap<PathBuf, Option<Stamp>>);

/// What changes whenever a file is written, replaced, or brought back with its old date. Times are
/// seconds and nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamps {
    /// Of these files, now. One that cannot be looked at is as one that is not there.
    pub fn of(files: Vec<PathBuf>) -> Stamps {
        let stamped = files.into_iter().map(|file| {
            let stamp = Stamp::of(&file);
            (file, stamp)
        });
        Stamps(stamped.collect())
    }

    /// The files.
    pub fn files(&self) -> impl Iterator<Item = &PathBuf> {
        self.0.keys()
    }

    /// The same files, now.
    pub fn now(&self) -> Stamps {
        Stamps::of(self.files().cloned().collect())
    }

    /// Those of these files alone.
    pub fn only(mut self, files: &[PathBuf]) -> Stamps {
        self.0.retain(|file, _| files.contains(file));
        self
    }

    /// Whether these are of all those files.
    pub fn are_of(&self, files: &[PathBuf]) -> bool {
        files.iter().all(|file| self.0.contains_key(file))
    }
}

impl Stamp {
    fn of(file: &Path) -> Option<Stamp> {
        // Nothing else is read.
        let metadata = std::fs::metadata(file).ok().filter(Metadata::is_file)?;
        Some(Stamp {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_written_replaced_removed_or_linked_elsewhere_is_another() {
        let directory = tempfile::tempdir().expect("a directory");
        let at = |name: &str| directory.path().join(name);
        let write = |name: &str, text: &str| std::fs::write(at(name), text).expect("a file");
        let link = |to: &str| {
            std::os::unix::fs::symlink(at(to), at("new-link")).expect("a link");
            std::fs::rename(at("new-link"), at("link")).expect("turned");
        };
        write("one", "a");
        write("two", "a");
        link("one");
        let stamps = || Stamps::of(vec![at("link"), at("absent")]);
        let mut before = stamps();
        assert_eq!(stamps(), before, "nothing happened");
        let mut is_other = |what: &str| {
            let now = stamps();
            assert_ne!(now, before, "{what}");
            before = now;
        };
        write("one", "ab");
        is_other("written");
        write("three", "ab");
        std::fs::rename(at("three"), at("one")).expect("replaced");
        is_other("replaced by one of its length");
        link("two");
        is_other("a link turned to another file");
        std::fs::remove_file(at("two")).expect("removed");
        is_other("removed");
        write("absent", "");
        is_other("a file that was not there");
    }
}

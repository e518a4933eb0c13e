//! Where in the file things stand, for whoever is told what a request comes to.

/// Lines of a table of the file and of its keys, counted from 1. Of a table that is left out, none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lines {
    table: Option<usize>,
    keys: Vec<(Box<str>, usize)>,
}

impl Lines {
    /// Of a table that begins there, with its keys.
    pub fn new(table: usize, keys: Vec<(Box<str>, usize)>) -> Lines {
        Lines {
            table: Some(table),
            keys,
        }
    }

    /// Where the table begins.
    pub fn table(&self) -> Option<usize> {
        self.table
    }

    /// Where a key stands; where it is left out, the table that it would stand in.
    pub fn of(&self, key: &str) -> Option<usize> {
        let written = self.keys.iter().find(|(name, _)| **name == *key);
        written.map(|(_, line)| *line).or(self.table)
    }

    /// Whether a key is written.
    pub fn has(&self, key: &str) -> bool {
        self.keys.iter().any(|(name, _)| **name == *key)
    }
}

/// Lines of the tables of which there is one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places {
    /// `[proxy]`
    pub proxy: Lines,
    /// `[store]`
    pub store: Lines,
    /// `[identity]`
    pub identity: Lines,
    /// `[audit]`
    pub audit: Lines,
}

//! The matrix: by route of write and rule, how many reads were changed, and how many of those nothing drops.

use super::{Measured, Unmeasured, Write};
use std::collections::{BTreeMap, BTreeSet};

/// Which writes change which reads.
pub struct Matrix {
    /// By route, in the order in which they first came.
    pub rows: Vec<Row>,
}

/// All writes of a route.
pub struct Row {
    /// The route.
    pub route: String,
    /// How many writes were measured.
    pub measured: usize,
    /// Why the others were not.
    pub unmeasured: Vec<Unmeasured>,
    /// By the position of a rule of which reads were asked.
    pub cells: BTreeMap<usize, Cell>,
}

/// What the writes of a route did to the reads of a rule.
#[derive(Clone, Debug, Default)]
pub struct Cell {
    /// Reads that were held against what they said before.
    pub asked: usize,
    /// Those that say something else.
    pub changed: usize,
    /// Of these, those that no line of the rules drops.
    pub missing: usize,
    /// Where they differ.
    pub at: BTreeSet<String>,
}

/// What is said of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judged {
    /// All that changed is dropped.
    Covered,
    /// Something changed that nothing drops.
    Missing,
    /// Nothing changed.
    Unchanged,
    /// Nothing is known.
    Unmeasured,
}

impl Judged {
    /// The sign for it in a table.
    pub fn sign(self) -> &'static str {
        match self {
            Judged::Covered => "✓",
            Judged::Missing => "✗",
            Judged::Unchanged => "·",
            Judged::Unmeasured => "?",
        }
    }
}

impl Cell {
    fn judged(&self) -> Judged {
        match (self.asked, self.changed, self.missing) {
            (0, ..) => Judged::Unmeasured,
            (_, 0, _) => Judged::Unchanged,
            (_, _, 0) => Judged::Covered,
            _ => Judged::Missing,
        }
    }
}

impl Row {
    /// What is said of a rule.
    pub fn judged(&self, rule: usize) -> Judged {
        let cell = self.cells.get(&rule);
        cell.map_or(Judged::Unmeasured, Cell::judged)
    }

    fn add(&mut self, write: &Write) {
        match &write.unmeasured {
            Some(why) => self.unmeasured.push(why.clone()),
            None => self.measured += 1,
        }
        for case in &write.cases {
            let cell = self.cells.entry(case.rule).or_default();
            cell.asked += 1;
            cell.changed += usize::from(case.is_changed());
            cell.missing += usize::from(case.is_changed() && case.dropped_by.is_empty());
            cell.at.extend(case.at.iter().cloned());
        }
    }
}

impl Matrix {
    /// That of what was measured.
    pub fn of(measured: &Measured) -> Matrix {
        let mut rows: Vec<Row> = Vec::new();
        for write in &measured.writes {
            let at = rows.iter().position(|row| row.route == write.route);
            let at = at.unwrap_or_else(|| {
                rows.push(Row {
                    route: write.route.clone(),
                    measured: 0,
                    unmeasured: Vec::new(),
                    cells: BTreeMap::new(),
                });
                rows.len() - 1
            });
            rows[at].add(write);
        }
        Matrix { rows }
    }

    /// Whether anything changed that nothing drops.
    pub fn lacks_something(&self) -> bool {
        let mut cells = self.rows.iter().flat_map(|row| row.cells.values());
        cells.any(|cell| cell.missing > 0)
    }
}

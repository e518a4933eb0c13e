//! What stands in the keys of what was verified: of a write, no other values can name an entry, and no others are told.

use crate::suspects::{Mark, Write};
use std::collections::HashSet;
use std::sync::Arc;

/// Marks that are remembered: those of more keys than are verified in hours.
const MAX_SEGMENTS: usize = 16_384;

/// Some of them.
#[derive(Default)]
pub(super) struct Segments(HashSet<Mark>);

impl Segments {
    /// Those of a key that was verified.
    pub(super) fn add(&mut self, segments: &[Mark]) {
        if self.0.len() + segments.len() > MAX_SEGMENTS {
            self.0.clear(); // those that are in use come again
        }
        self.0.extend(segments);
    }

    /// Writes, each with its number, without the parts that stand in no key.
    pub(super) fn without_others(&self, writes: Vec<(u64, Arc<Write>)>) -> Vec<(u64, Arc<Write>)> {
        let told = |write: &Write| {
            let parts = write.parts.iter();
            Arc::new(Write {
                at_ms: write.at_ms,
                took_ms: write.took_ms,
                route: write.route.clone(),
                parts: parts
                    .filter(|(_, mark)| self.0.contains(mark))
                    .cloned()
                    .collect(),
                drops: write.drops.clone(),
            })
        };
        let writes = writes.into_iter();
        writes
            .map(|(number, write)| (number, told(&write)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_no_key_is_not_told() {
        let mut segments = Segments::default();
        segments.add(&[1, 2]);
        let parts = [("{body.password}", 7), ("{body.doctorId}", 2)];
        let write = Write {
            at_ms: 5,
            took_ms: 1,
            route: "POST /review".to_owned(),
            parts: parts.map(|(name, mark)| (name.to_owned(), mark)).to_vec(),
            drops: vec![8],
        };
        let told = segments.without_others(vec![(9, Arc::new(write))]);
        assert_eq!(told[0].0, 9);
        assert_eq!(told[0].1.parts, [("{body.doctorId}".to_owned(), 2)]);
        assert_eq!(told[0].1.drops, [8]);
    }

    #[test]
    fn no_more_are_remembered_than_there_is_room_for() {
        let mut segments = Segments::default();
        (0..3 * MAX_SEGMENTS as u64).for_each(|mark| segments.add(&[mark]));
        assert!(segments.0.len() <= MAX_SEGMENTS);
    }
}

//! Fields whose process is no more, or has nothing to say.
//!
//! Of one that can be read it is known when it was written. One that cannot be, because it is damaged, sealed with
//! another key or of another release, goes where its process began long ago and it stands as it stood when it was last
//! tidied up: a process of a newer release that has news writes it meanwhile. Where one had none for so long, little is
//! lost: with its next news it tells all of it anew. What is longer than any of ours is not read, so nobody can tell
//! whether it is written: it stays. So does what has no process's name: it may be a sum, which nobody tells anew.

use super::told::{self, Found};
use crate::digest::Digest;
use crate::store::{Field, told_since};
use std::collections::BTreeMap;

/// The process of a field that cannot be read began so long ago, or, by its clock, is about to.
const BEGAN_MS: u64 = 24 * 60 * 60 * 1000;

/// A field from further ahead than this was written by no clock that anybody should go by.
const MAX_AHEAD_MS: u64 = 60 * 60 * 1000;

/// Fields that cannot be read have to stand unchanged for so long; a little less than it takes until it is tidied up
/// again.
const UNCHANGED_MS: u64 = 55 * 60 * 1000;

/// Fields that are remembered because they cannot be read.
const MAX_UNREAD: usize = 256;

/// What stood in fields that could not be read, and since when it was seen to.
#[derive(Default)]
pub(super) struct Silent(BTreeMap<(String, String), (Digest, u64)>);

impl Silent {
    /// Of these fields of a hash, which are others', those that are to go: silent for so long, or not to be read by
    /// anybody who is there.
    pub(super) fn among(
        &mut self,
        hash: &str,
        fields: Vec<Field>,
        silent_ms: u64,
        now_ms: u64,
    ) -> Vec<Field> {
        let is_silent = |field: &Field| match told_at(field, now_ms) {
            Some(at) => at.saturating_add(silent_ms) < now_ms,
            None => self.is_dead(hash, field, now_ms),
        };
        fields.into_iter().filter(is_silent).collect()
    }

    fn is_dead(&mut self, hash: &str, field: &Field, now_ms: u64) -> bool {
        let Some((began, held)) = told_since(&field.name).zip(field.held()) else {
            return false;
        };
        let is_recent =
            began <= now_ms.saturating_add(MAX_AHEAD_MS) && now_ms.saturating_sub(began) < BEGAN_MS;
        if is_recent {
            return false;
        }
        let name = (hash.to_owned(), field.name.clone());
        match self.0.get(&name) {
            Some((before, since)) if *before == held => {
                // A clock that was set back begins anew.
                let unchanged = now_ms.checked_sub(*since);
                if unchanged.is_some_and(|unchanged| unchanged >= UNCHANGED_MS) {
                    self.0.remove(&name);
                    return true;
                }
                if unchanged.is_some() {
                    return false;
                }
            }
            Some(_) => {}
            None if self.0.len() >= MAX_UNREAD => self.0.clear(), // they go some hours later
            None => {}
        }
        self.0.insert(name, (held, now_ms));
        false
    }
}

/// When a field was told; `None` where nobody here can read it.
fn told_at(field: &Field, now_ms: u64) -> Option<u64> {
    let value = field.value.as_ref()?;
    let of_writes = told::writes(value).map(|(at, _)| at);
    let at = of_writes.or_else(|| Found::read(value).map(|found| found.at))?;
    (at <= now_ms.saturating_add(MAX_AHEAD_MS)).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 60 * 60 * 1000;
    const NOW: u64 = 1_800_000_000_000;

    fn names(silent: &mut Silent, fields: &[(&str, &[u8])], now_ms: u64) -> Vec<String> {
        let fields = fields.iter().map(|(name, value)| Field::of(name, value));
        let gone = silent.among("writes", fields.collect(), HOUR, now_ms);
        gone.into_iter().map(|field| field.name).collect()
    }

    #[test]
    fn what_can_be_read_goes_by_when_it_was_written_however_old_its_process_is() {
        let (mut silent, told) = (Silent::default(), told::of_writes(NOW, &[]));
        let old = [("1000-a", told.as_ref())];
        for later in [0, HOUR] {
            assert!(names(&mut silent, &old, NOW + later).is_empty());
        }
        assert_eq!(names(&mut silent, &old, NOW + HOUR + 1), ["1000-a"]);
    }

    #[test]
    fn what_cannot_be_read_goes_where_it_is_old_and_stands_unchanged() {
        let mut silent = Silent::default();
        let young = format!("{}-a", NOW - HOUR);
        let fields: [(&str, &[u8]); 5] = [
            ("1000-a", b"damaged"),
            ("1000-b", b"of another release"),
            (&young, b"damaged"),
            ("a-sum", b"of another release"),
            ("1000-long", b""),
        ];
        assert!(names(&mut silent, &fields, NOW).is_empty());
        let mut later = fields;
        later[1].1 = b"of another release, which writes it";
        assert!(names(&mut silent, &later, NOW + UNCHANGED_MS - 1).is_empty());
        assert_eq!(names(&mut silent, &later, NOW + HOUR), ["1000-a"]);
        later[0].1 = b"written again";
        assert_eq!(names(&mut silent, &later, NOW + 2 * HOUR), ["1000-b"]);
        assert!(
            names(&mut silent, &later, NOW - 9 * HOUR).is_empty(),
            "a clock that was set back"
        );
        let day = NOW + 24 * HOUR;
        let gone = names(&mut silent, &later, day);
        assert_eq!(gone, ["1000-a", "1000-b", &young]);
    }

    #[test]
    fn a_clock_that_is_far_ahead_does_not_keep_a_field_for_ever() {
        let mut silent = Silent::default();
        let (name, told) = (
            format!("{}-a", NOW + 900 * HOUR),
            told::of_writes(NOW + 900 * HOUR, &[]),
        );
        let ahead = [(name.as_str(), told.as_ref())];
        assert!(names(&mut silent, &ahead, NOW).is_empty());
        assert_eq!(names(&mut silent, &ahead, NOW + HOUR), [&*name]);
    }
}

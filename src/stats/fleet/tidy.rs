//! Folds what silent processes told into one field, and takes away what nobody could read for long.

use super::super::day::DAY_MS;
use super::SILENT_MS;
use super::told::{Counts, Sum, Told};
use crate::store::{Down, Field, Store, any_first};
use bytes::Bytes;
use std::collections::BTreeMap;

/// The fields of what was folded; no process has such a name. Where the first cannot be read, because it is sealed
/// with another key or of another release, it is left to those who can, and the next one is begun.
const PASTS: [&str; 3] = ["past", "past-2", "past-3"];

/// Bytes of fields that are read to tidy up: those of some hundred processes.
const TIDIED_BYTES: usize = 1 << 20;

/// A field that could not be read for so long is taken away. Its process, if there is one, writes it anew.
const UNREADABLE_MS: u64 = 30 * 24 * 60 * 60 * 1000;

/// Fields that cannot be read of which it is known since when, and bytes of such a name.
const MAX_UNREADABLE: usize = 32;
const MAX_NAME: usize = 64;

pub(super) fn is_past(field: &Field) -> bool {
    PASTS.contains(&field.name.as_str())
}

/// Does it, and has all stand for another while.
pub(super) async fn tidy(store: &Store, name: &str, own: &str, now: u64) -> Result<(), Down> {
    let mut others = store.field_names(name).await?;
    others.retain(|field| field != own);
    any_first(&mut others); // what this one has no room for another reads, or the next time
    let fields = store.fields(name, others, TIDIED_BYTES).await?;
    match folded(&fields.all, own, now) {
        Some((into, value, read)) => store.fold_fields(name, into, value, &read).await,
        None => store.renew_fields(name).await,
    }
}

/// Which field is to hold what, and the fields that are gone then; `None` where there is nothing to do.
pub(super) fn folded(
    fields: &[Field],
    own: &str,
    now: u64,
) -> Option<(&'static str, Bytes, Vec<Field>)> {
    let others = fields.iter().filter(|field| field.name != own);
    let (told, unread): (Vec<_>, Vec<_>) = others
        .map(|field| (field, read(field, now)))
        .partition(|(_, told)| told.is_some());
    let is_lost = |past: &str| unread.iter().any(|(field, _)| field.name == past);
    let into = PASTS.into_iter().find(|past| !is_lost(past))?;
    let told = told
        .into_iter()
        .filter_map(|(field, told)| Some((field, told?)));
    let is_silent = |told: &Told| told.at.saturating_add(SILENT_MS) < now;
    let (gone, told): (Vec<&Field>, Vec<Told>) = told
        .filter(|(field, told)| is_past(field) || is_silent(told))
        .unzip();
    let past = gone.iter().position(|field| field.name == into);
    let known = past
        .map(|past| told[past].unreadable.clone())
        .unwrap_or_default();
    let unread = unread.into_iter().map(|(field, _)| field);
    let (unreadable, expired) = unreadable(unread, &known, now);
    let is_alone = gone.iter().all(|field| field.name == into);
    if is_alone && expired.is_empty() && unreadable == known {
        return None;
    }
    let value = sum(&told, unreadable, now).bytes();
    let read = gone.into_iter().cloned().chain(expired);
    Some((into, value, read.collect()))
}

fn read(field: &Field, now: u64) -> Option<Told> {
    Told::read(field.value.as_ref()?, now)
}

/// What several fields say at this time. The commands of today still count.
fn sum(all: &[Told], unreadable: BTreeMap<String, u64>, now: u64) -> Told {
    let today = now / DAY_MS;
    let (mut sum, mut commands) = (Sum::default(), 0_u64);
    for told in all {
        sum.add(&told.counts);
        if told.day == today {
            commands = commands.saturating_add(told.commands);
        }
    }
    Told {
        at: now,
        day: today,
        commands,
        counts: Counts::of(&sum),
        unreadable,
        ..Told::default()
    }
}

/// Since when fields cannot be read, and those for which that is too long.
fn unreadable<'f>(
    fields: impl Iterator<Item = &'f Field>,
    known: &BTreeMap<String, u64>,
    now: u64,
) -> (BTreeMap<String, u64>, Vec<Field>) {
    let (mut kept, mut expired) = (BTreeMap::new(), Vec::new());
    for field in fields.filter(|field| field.name.len() <= MAX_NAME) {
        let since = known.get(&field.name).copied().unwrap_or(now).min(now);
        if now - since > UNREADABLE_MS {
            expired.push(field.clone());
        } else if kept.len() < MAX_UNREADABLE {
            kept.insert(field.name.clone(), since);
        }
    }
    (kept, expired)
}

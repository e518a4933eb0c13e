//! What one field says, as it stands in the store.
//!
//! Writes are many, and told in few bytes: a head in JSON, which holds the routes and the names of parts, then each
//! write, the latest first.
//!
//! ```text
//! format   1 byte
//! head     4 bytes   length, then so many bytes of JSON
//! write    8 bytes   when, milliseconds of Unix time
//!          8 bytes   its number
//!          2 bytes   route
//!          1 byte    how many parts, and for each:
//!                    2 bytes name, 8 bytes mark
//! ```
//! All numbers little-endian.

use super::tally::Tally;
use crate::digest::Digest;
use crate::suspects::{Case, Cause, Write};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Bytes that a field may take: what the store takes, less some for the seal.
const MAX_BYTES: usize = 30 << 10;

/// Bytes of a head at most. More routes are no program's.
const MAX_HEAD: usize = 12 << 10;

/// Bytes that the tallies of a process may take.
const MAX_TALLIES: usize = 10 << 10;

/// The first byte of writes.
const FORMAT: u8 = 1;

/// Numbers a set of texts as they come.
#[derive(Default)]
struct Numbered {
    numbers: HashMap<String, u16>,
    all: Vec<String>,
    bytes: usize,
}

impl Numbered {
    /// The number of a text; `None` where there is no room for it.
    fn number(&mut self, text: &str, room: usize) -> Option<u16> {
        if let Some(number) = self.numbers.get(text) {
            return Some(*number);
        }
        let number = u16::try_from(self.all.len()).ok()?;
        let bytes = text.len() + r#""","#.len();
        if self.bytes + bytes > room {
            return None;
        }
        self.bytes += bytes;
        self.numbers.insert(text.to_owned(), number);
        self.all.push(text.to_owned());
        Some(number)
    }
}

#[derive(Serialize, Deserialize)]
struct Head {
    at: u64,
    routes: Vec<String>,
    names: Vec<String>,
}

/// What a process tells of writes, the latest first, as far as there is room.
pub(super) fn of_writes(now_ms: u64, writes: &[(u64, Arc<Write>)]) -> Bytes {
    let (mut routes, mut names) = (Numbered::default(), Numbered::default());
    let mut rows: Vec<u8> = Vec::new();
    for (number, write) in writes {
        let Some(route) = routes.number(&write.route, MAX_HEAD / 2) else {
            continue;
        };
        let parts = write.parts.iter().take(u8::MAX.into());
        let parts = parts.filter_map(|(name, mark)| {
            let name = names.number(name, MAX_HEAD / 2)?;
            Some((name, mark))
        });
        let parts: Vec<(u16, &u64)> = parts.collect();
        let length = 19 + 10 * parts.len();
        if MAX_HEAD + rows.len() + length > MAX_BYTES {
            break;
        }
        rows.extend(write.at_ms.to_le_bytes());
        rows.extend(number.to_le_bytes());
        rows.extend(route.to_le_bytes());
        rows.push(parts.len() as u8); // no more were taken
        for (name, mark) in parts {
            rows.extend(name.to_le_bytes());
            rows.extend(mark.to_le_bytes());
        }
    }
    let head = Head {
        at: now_ms,
        routes: routes.all,
        names: names.all,
    };
    let head = serde_json::to_vec(&head).expect("texts and a number are JSON");
    let length = (head.len() as u32).to_le_bytes(); // it has its bound
    Bytes::from([&[FORMAT][..], &length, &head, &rows].concat())
}

/// When a field was told, and the writes that it tells, each with its number; `None` where a sidecar would not have
/// told it.
pub(super) fn writes(value: &[u8]) -> Option<(u64, Vec<(u64, Write)>)> {
    let (format, rest) = value.split_first()?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let (head, rows) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    let head: Head = serde_json::from_slice(head)
        .ok()
        .filter(|_| *format == FORMAT)?;
    let (mut rows, mut writes) = (Rows(rows), Vec::new());
    while !rows.0.is_empty() {
        let (at_ms, number) = (rows.long()?, rows.long()?);
        let route = head.routes.get(rows.short()?)?.clone();
        let mut parts = Vec::new();
        for _ in 0..rows.byte()? {
            let name = head.names.get(rows.short()?)?.clone();
            parts.push((name, rows.long()?));
        }
        let write = Write {
            at_ms,
            route,
            parts,
        };
        writes.push((number, write));
    }
    Some((head.at, writes))
}

/// What is left to be read.
struct Rows<'r>(&'r [u8]);

impl Rows<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take::<1>().map(|[byte]| byte)
    }

    fn short(&mut self) -> Option<usize> {
        self.take().map(|bytes| u16::from_le_bytes(bytes).into())
    }

    fn long(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }
}

/// What came of verifying, as a process tells it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Found {
    /// When it was told.
    pub(super) at: u64,
    /// The layout of the rules that it is of.
    pub(super) layout: String,
    pub(super) tallies: BTreeMap<String, Tally>,
    rules: Vec<String>,
    /// Route, then parts.
    causes: Vec<Vec<String>>,
    places: Vec<String>,
    /// Rule, when, age, stale or not, how many, how many places; then the places; then, in turn, a cause and how long
    /// before.
    cases: Vec<Vec<u64>>,
}

impl Found {
    /// The latest cases as far as there is room.
    pub(super) fn of<'c>(
        at: u64,
        layout: &Digest,
        tallies: &BTreeMap<String, Tally>,
        latest_first: impl Iterator<Item = &'c Case>,
    ) -> Found {
        let mut found = Found {
            at,
            layout: layout.to_string(),
            ..Found::default()
        };
        let mut room = MAX_BYTES;
        for (rule, tally) in tallies {
            let bytes = rule.len() + length(tally);
            if room.saturating_sub(bytes) >= MAX_BYTES - MAX_TALLIES {
                room -= bytes;
                found.tallies.insert(rule.clone(), tally.clone());
            }
        }
        let mut known: HashMap<Arc<Cause>, usize> = HashMap::new();
        for case in latest_first {
            let (row, more) = found.row(case, &mut known);
            let bytes = length(&row) + 1 + more;
            if bytes > room {
                break;
            }
            room -= bytes;
            found.cases.push(row);
        }
        found
    }

    /// A case, and how many bytes it takes besides.
    fn row(&mut self, case: &Case, known: &mut HashMap<Arc<Cause>, usize>) -> (Vec<u64>, usize) {
        let mut more = 0;
        let rule = self.rules.iter().position(|rule| *rule == case.rule);
        let rule = rule.unwrap_or_else(|| {
            more += case.rule.len() + 3;
            self.rules.push(case.rule.clone());
            self.rules.len() - 1
        });
        let (stale, count) = (u64::from(case.is_stale), u64::from(case.count));
        let places = case.places.len() as u64;
        let mut row = vec![rule as u64, case.at_ms, case.age_ms, stale, count, places];
        for place in &case.places {
            let known = self.places.iter().position(|known| **known == **place);
            let number = known.unwrap_or_else(|| {
                more += place.len() + 3;
                self.places.push(place.to_string());
                self.places.len() - 1
            });
            row.push(number as u64);
        }
        for (cause, since) in &case.causes {
            let number = known.get(cause).copied().unwrap_or_else(|| {
                let route = std::iter::once(cause.route.clone());
                let texts: Vec<String> = route.chain(cause.parts.iter().cloned()).collect();
                more += length(&texts) + 1;
                self.causes.push(texts);
                known.insert(cause.clone(), self.causes.len() - 1);
                self.causes.len() - 1
            });
            row.extend([number as u64, *since]);
        }
        (row, more)
    }

    /// As it stands in a field.
    pub(super) fn bytes(&self) -> Bytes {
        Bytes::from(serde_json::to_vec(self).expect("numbers and texts are JSON"))
    }

    /// What a field says; nothing where a sidecar would not have said that.
    pub(super) fn read(value: &[u8]) -> Option<Found> {
        serde_json::from_slice(value).ok()
    }

    /// The cases; those that make no sense are left out.
    pub(super) fn cases(&self) -> Vec<Case> {
        let cause = |texts: &Vec<String>| {
            let (route, parts) = texts.split_first()?;
            let (route, parts) = (route.clone(), parts.to_vec());
            Some(Arc::new(Cause { parts, route }))
        };
        let causes: Vec<Option<Arc<Cause>>> = self.causes.iter().map(cause).collect();
        let case = |row: &Vec<u64>| {
            let ([rule, at_ms, age_ms, stale, count, places], told) =
                row.split_first_chunk::<6>()?;
            let (places, told) = told.split_at_checked(usize::try_from(*places).ok()?)?;
            let place = |number: &u64| {
                let place = self.places.get(usize::try_from(*number).ok()?)?;
                Some(place.as_str().into())
            };
            let by = told.chunks_exact(2).map(|pair| {
                let cause = causes.get(usize::try_from(pair[0]).ok()?)?;
                Some((cause.clone()?, pair[1]))
            });
            Some(Case {
                rule: self.rules.get(usize::try_from(*rule).ok()?)?.clone(),
                at_ms: *at_ms,
                age_ms: *age_ms,
                is_stale: *stale == 1,
                places: places.iter().map(place).collect::<Option<_>>()?,
                count: u32::try_from(*count).ok()?,
                causes: by.collect::<Option<_>>()?,
            })
        };
        self.cases.iter().filter_map(case).collect()
    }
}

fn length(value: &impl Serialize) -> usize {
    serde_json::to_vec(value).map_or(MAX_BYTES, |bytes| bytes.len())
}

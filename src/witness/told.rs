//! What one field says, as it stands in the store.
//!
//! Writes and cases are many, and told in few bytes: a head in JSON, which holds what is the same in many of them, then
//! each, the latest first.
//!
//! ```text
//! format   1 byte
//! head     4 bytes   length, then so many bytes of JSON
//!
//! write    8 bytes   when, milliseconds of Unix time
//!          4 bytes   how long it took until it was answered, milliseconds
//!          8 bytes   its number
//!          2 bytes   route
//!          1 byte    how many parts, and for each:
//!                    2 bytes name, 8 bytes mark
//!          1 byte    how many nodes it dropped, and for each: 8 bytes mark
//!
//! case     number    rule
//!          number    1 where it differs, and 2 where it was a hit
//!          number    how many were like it
//!          number    when, milliseconds before the head
//!          number    age, milliseconds
//!          number    how many places, and for each its number
//!          number    how many causes, and for each:
//!                    number, milliseconds from the write to a minute after the case; where it has parts, 2 bytes values
//! ```
//! Bytes are little-endian, a number has seven bits in each byte, the lowest first, and the eighth bit in all but the
//! last.

use super::tally::Tally;
use super::writes::LONGEST_MS;
use crate::digest::Digest;
use crate::suspects::{Case, Cause, EVERYTHING, Possible, Write};
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

/// Bytes of a text that is read: each stands in memory once for each write or case that names it. Longer routes and names
/// are not told.
const MAX_TEXT: usize = 512;

/// The first byte.
const FORMAT: u8 = 2;

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
        if text.len() > MAX_TEXT {
            return None;
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
        let drops: &[u64] = match u8::try_from(write.drops.len()) {
            Ok(_) => &write.drops,
            Err(_) => &[EVERYTHING],
        };
        let length = 24 + 10 * parts.len() + 8 * drops.len();
        if MAX_HEAD + rows.len() + length > MAX_BYTES {
            break;
        }
        rows.extend(write.at_ms.to_le_bytes());
        rows.extend(write.took_ms.to_le_bytes());
        rows.extend(number.to_le_bytes());
        rows.extend(route.to_le_bytes());
        rows.push(parts.len() as u8); // no more were taken
        for (name, mark) in parts {
            rows.extend(name.to_le_bytes());
            rows.extend(mark.to_le_bytes());
        }
        rows.push(drops.len() as u8); // no more are
        drops
            .iter()
            .for_each(|mark| rows.extend(mark.to_le_bytes()));
    }
    let head = Head {
        at: now_ms,
        routes: routes.all,
        names: names.all,
    };
    with_head(&head, &rows)
}

fn with_head(head: &impl Serialize, rows: &[u8]) -> Bytes {
    let head = serde_json::to_vec(head).expect("texts and numbers are JSON");
    let length = (head.len() as u32).to_le_bytes(); // it has its bound
    Bytes::from([&[FORMAT][..], &length, &head, rows].concat())
}

/// What stands in a field: a head, and what comes after it.
fn headed<'v, H: Deserialize<'v>>(value: &'v [u8]) -> Option<(H, Rows<'v>)> {
    let (format, rest) = value.split_first()?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let length = u32::from_le_bytes(*length) as usize;
    let (head, rows) = rest
        .split_at_checked(length)
        .filter(|_| length <= MAX_BYTES)?;
    let head = serde_json::from_slice(head).ok();
    Some((head.filter(|_| *format == FORMAT)?, Rows(rows)))
}

/// When a field was told, and the writes that it tells, each with its number; `None` where a sidecar would not have
/// told it.
pub(super) fn writes(value: &[u8]) -> Option<(u64, Vec<(u64, Write)>)> {
    let (head, mut rows): (Head, Rows) = headed(value)?;
    let mut texts = head.routes.iter().chain(&head.names);
    if !texts.all(|text| text.len() <= MAX_TEXT) {
        return None;
    }
    let mut writes = Vec::new();
    while !rows.0.is_empty() {
        let at_ms = rows.long()?;
        let took_ms = u32::from_le_bytes(rows.take()?);
        let number = rows.long()?;
        let route = head.routes.get(rows.short()?)?.clone();
        let mut parts = Vec::new();
        for _ in 0..rows.byte()? {
            let name = head.names.get(rows.short()?)?.clone();
            parts.push((name, rows.long()?));
        }
        let dropped = rows.byte()?;
        let drops = (0..dropped).map(|_| rows.long()).collect::<Option<_>>()?;
        let write = Write {
            at_ms,
            took_ms,
            route,
            parts,
            drops,
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

    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for place in (0..u64::BITS).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << place;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    fn position(&mut self) -> Option<usize> {
        self.number()?.try_into().ok()
    }
}

fn push(row: &mut Vec<u8>, mut number: u64) {
    while number > 0x7f {
        row.push(number as u8 | 0x80);
        number >>= 7;
    }
    row.push(number as u8);
}

/// What came of verifying, as a process tells it.
#[derive(Debug, Default, Serialize, Deserialize)]
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
    /// Positions of those causes that did drop what they could have.
    there: Vec<usize>,
    places: Vec<String>,
    #[serde(skip)]
    pub(super) cases: Vec<Case>,
    /// The cases as they are told.
    #[serde(skip)]
    rows: Vec<u8>,
}

/// Which numbers the texts of a [`Found`] have.
#[derive(Default)]
struct Known<'c> {
    rules: HashMap<&'c str, u64>,
    places: HashMap<&'c str, u64>,
    causes: HashMap<&'c Cause, u64>,
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
        let mut known = Known::default();
        for case in latest_first.filter(|case| is_told(case)) {
            let (row, more) = found.row(case, &mut known);
            if row.len() + more > room {
                break;
            }
            room -= row.len() + more;
            found.rows.extend(row);
        }
        found
    }

    /// A case, and how many bytes it takes besides.
    fn row<'c>(&mut self, case: &'c Case, known: &mut Known<'c>) -> (Vec<u8>, usize) {
        let (mut row, mut more) = (Vec::new(), 0);
        let mut text =
            |all: &mut Vec<String>, numbers: &mut HashMap<&'c str, u64>, text: &'c str| {
                *numbers.entry(text).or_insert_with(|| {
                    more += text.len() + r#""","#.len();
                    all.push(text.to_owned());
                    all.len() as u64 - 1
                })
            };
        push(
            &mut row,
            text(&mut self.rules, &mut known.rules, &case.rule),
        );
        push(
            &mut row,
            u64::from(case.differs) | u64::from(case.is_hit) << 1,
        );
        push(&mut row, case.count.into());
        push(&mut row, self.at.saturating_sub(case.at_ms));
        push(&mut row, case.age_ms);
        push(&mut row, case.places.len() as u64);
        for place in &case.places {
            push(&mut row, text(&mut self.places, &mut known.places, place));
        }
        push(&mut row, case.causes.len() as u64);
        for possible in &case.causes {
            let cause = &*possible.cause;
            let number = *known.causes.entry(cause).or_insert_with(|| {
                let route = std::iter::once(cause.route.clone());
                let texts: Vec<String> = route.chain(cause.parts.iter().cloned()).collect();
                more += length(&texts) + 1;
                if cause.is_there {
                    more += "1234,".len();
                    self.there.push(self.causes.len());
                }
                self.causes.push(texts);
                self.causes.len() as u64 - 1
            });
            push(&mut row, number);
            let until = case.at_ms.saturating_add(LONGEST_MS);
            push(&mut row, until.saturating_sub(possible.at_ms));
            if !cause.parts.is_empty() {
                row.extend(possible.values.to_le_bytes());
            }
        }
        (row, more)
    }

    /// As it stands in a field.
    pub(super) fn bytes(&self) -> Bytes {
        with_head(self, &self.rows)
    }

    /// What a field says; nothing where a sidecar would not have said that.
    pub(super) fn read(value: &[u8]) -> Option<Found> {
        let (mut found, mut rows): (Found, Rows) = headed(value)?;
        let causes = found.causes.iter().flatten();
        let mut texts = found.rules.iter().chain(causes).chain(&found.places);
        if !texts.all(|text| text.len() <= MAX_TEXT) {
            return None;
        }
        let causes = found.causes.iter().enumerate().map(|(at, texts)| {
            let (route, parts) = texts.split_first()?;
            Some(Arc::new(Cause {
                parts: parts.to_vec(),
                route: route.clone(),
                is_there: found.there.contains(&at),
            }))
        });
        let causes: Vec<Arc<Cause>> = causes.collect::<Option<_>>()?;
        let places = found.places.iter().map(|place| place.as_str().into());
        let places: Vec<Arc<str>> = places.collect();
        let mut cases = Vec::new();
        while !rows.0.is_empty() {
            cases.push(found.case(&mut rows, &places, &causes)?);
        }
        found.cases = cases;
        Some(found)
    }

    fn case(
        &self,
        rows: &mut Rows<'_>,
        places: &[Arc<str>],
        causes: &[Arc<Cause>],
    ) -> Option<Case> {
        let rule = self.rules.get(rows.position()?)?.clone();
        let flags = rows.number()?;
        let count = rows.number()?.try_into().ok()?;
        let at_ms = self.at.checked_sub(rows.number()?)?;
        let age_ms = rows.number()?;
        let mut case = Case {
            rule,
            at_ms,
            age_ms,
            differs: flags & 1 == 1,
            is_hit: flags & 2 == 2,
            places: Vec::new(),
            count,
            causes: Vec::new(),
        };
        for _ in 0..rows.number()? {
            case.places.push(places.get(rows.position()?)?.clone());
        }
        for _ in 0..rows.number()? {
            let cause = causes.get(rows.position()?)?.clone();
            let until = at_ms.saturating_add(LONGEST_MS);
            let at_ms = until.checked_sub(rows.number()?)?;
            let values = match cause.parts.is_empty() {
                true => 0,
                false => u16::from_le_bytes(rows.take()?),
            };
            case.causes.push(Possible {
                cause,
                at_ms,
                values,
            });
        }
        Some(case)
    }
}

fn is_told(case: &Case) -> bool {
    let causes = case.causes.iter().map(|possible| &*possible.cause);
    let texts = causes.flat_map(|cause| cause.parts.iter().chain([&cause.route]));
    let mut lengths = texts.map(String::len);
    let mut places = case.places.iter();
    case.rule.len() <= MAX_TEXT
        && lengths.all(|length| length <= MAX_TEXT)
        && places.all(|place| place.len() <= MAX_TEXT)
}

fn length(value: &impl Serialize) -> usize {
    serde_json::to_vec(value).map_or(MAX_BYTES, |bytes| bytes.len())
}

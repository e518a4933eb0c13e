//! How kept answers ended, and whether what was fetched next said the same: drops that never changed anything, and
//! answers that could have been kept for longer.
//!
//! An answer is remembered by the process that fetched it: what is fetched next through another one is not held against
//! it. Of large ones, and where there are many, only digests are.

use super::pace::Id;
use super::writes::Known;
use crate::digest::{Digest, Digester};
use crate::entry::Version;
use crate::rules::table::{Drop, Rule, Set, Table, Ttl};
use crate::rules::template::{Segment, Template};
use crate::suspects::{Mark, Write};
use bytes::Bytes;
use hyper::StatusCode;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

/// Answers that are remembered, in two generations of so many: when the younger is full, the older is forgotten.
const MAX_KEPT: usize = 8192;

/// Bytes of whole answers that are remembered in each generation, and of one of them: lists of some hundred rows.
const MAX_BYTES: usize = 4 << 20;
const MAX_ONE: usize = 128 << 10;

/// Answers that differ and are held against each other in a second, to see where: it takes a millisecond each.
const COMPARED_A_SECOND: u32 = 20;

/// Ends that wait until it is known which writes were before them. One too many is left out.
const MAX_WAITING: usize = 1024;

/// An answer that was fetched, as far as it is held against the one before it and the one after.
#[derive(Clone, Copy, Debug)]
pub struct Fetched {
    /// What its key is bound to.
    pub binding: Digest,
    /// What it says, without what is known to be restless of it.
    pub said: u64,
    /// What is known to be restless of it: without the same, two cannot be compared.
    pub restless: u64,
    /// The versions of its own nodes.
    pub versions: u64,
    /// When it was asked for, and when it was kept, in milliseconds of Unix time.
    pub asked_at_ms: u64,
    /// See `asked_at_ms`.
    pub kept_at_ms: u64,
    /// How long it is fresh, in milliseconds.
    pub ttl_ms: u64,
    /// Whom it was fetched for, where several people share it.
    pub by: Option<u64>,
}

/// The first 64 bits of the digest of these parts: enough not to take two answers of one key for the same by chance.
pub fn short<'p>(parts: impl IntoIterator<Item = &'p [u8]>) -> u64 {
    let mut digester = Digester::new("fetched");
    for part in parts {
        digester.part(part);
    }
    let [a, b, c, d, e, f, g, h, ..] = digester.finish().0;
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

/// The same of versions.
pub fn short_of(versions: &[Version]) -> u64 {
    short(versions.iter().map(|version| version.as_slice()))
}

/// Answers that one line of a set ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dropped {
    /// That were fetched again, and could be compared.
    pub dropped: u64,
    /// That said something else then.
    pub changed: u64,
}

/// Answers that were fetched again because they had been kept for as long as their rule has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expired {
    /// For how long, in milliseconds: what was seen under another `ttl` says nothing.
    pub ttl_ms: u64,
    /// How many.
    pub expired: u64,
    /// That said something else then.
    pub changed: u64,
    /// That were asked for again before twice the `ttl` was over: with that they would have been hits.
    pub soon: u64,
}

impl Dropped {
    /// Adds what others saw.
    pub(super) fn add(&mut self, other: &Dropped) {
        self.dropped = self.dropped.saturating_add(other.dropped);
        self.changed = self.changed.saturating_add(other.changed);
    }
}

impl Expired {
    pub(super) fn is_none(&self) -> bool {
        self.expired == 0
    }

    /// Adds what others saw. Of two `ttl`s the one of which more was seen counts.
    pub(super) fn add(&mut self, other: &Expired) {
        if self.ttl_ms == other.ttl_ms {
            self.expired = self.expired.saturating_add(other.expired);
            self.changed = self.changed.saturating_add(other.changed);
            self.soon = self.soon.saturating_add(other.soon);
        } else if other.expired > self.expired {
            *self = *other;
        }
    }

    /// One more; what was seen under another `ttl` is forgotten.
    pub(super) fn note(&mut self, one: Expired) {
        if self.ttl_ms != one.ttl_ms {
            *self = Expired::default();
            self.ttl_ms = one.ttl_ms;
        }
        self.add(&one);
    }
}

/// What a line of a set is called among what it dropped of a rule.
pub fn line(set: &str, drop: &Template) -> String {
    format!("{set}: {drop}")
}

/// An answer that was dropped, and fetched anew.
pub(super) struct Ended {
    rule: Arc<Rule>,
    segments: Vec<Mark>,
    /// The writes between these moments dropped it, in milliseconds of Unix time.
    after_ms: u64,
    until_ms: u64,
    has_changed: bool,
}

/// How an answer ended.
pub(super) enum End {
    Dropped,
    Expired(Expired),
}

/// An answer that was fetched, held against the one that was fetched before it.
pub(super) struct Again {
    /// When that one was asked for, in milliseconds of Unix time.
    pub(super) after_ms: u64,
    pub(super) has_changed: bool,
    /// What it said, where it differs, that is remembered, and there is time to hold both against each other.
    pub(super) before: Option<Answer>,
    /// How that one ended, if it can be told.
    pub(super) end: Option<End>,
}

/// What an answer said.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its body.
    pub body: Bytes,
}

/// An answer as it is remembered.
#[derive(Clone)]
struct Remembered {
    fetched: Fetched,
    answer: Option<Answer>,
}

#[derive(Default)]
pub(super) struct Ends {
    kept: HashMap<Digest, Remembered>,
    older: HashMap<Digest, Remembered>,
    /// Of the answers in `kept`.
    bytes: usize,
    /// A second of Unix time, and how many answers were held against each other in it.
    compared: (u64, u32),
    waiting: VecDeque<Ended>,
}

impl Ends {
    /// What became of what was kept before this, if that is known and both can be compared. An answer that was dropped
    /// and would have expired by now is nobody's: no drop ended it.
    pub(super) fn before(&mut self, now: Fetched, answer: &Answer, ttl: Ttl) -> Option<Again> {
        let known = self.kept.get(&now.binding);
        let before = known.or_else(|| self.older.get(&now.binding)).cloned();
        let kept_at_ms = before.as_ref().map(|before| before.fetched.kept_at_ms);
        if kept_at_ms.is_some_and(|kept_at_ms| kept_at_ms >= now.kept_at_ms) {
            return None; // it was overtaken by what is known
        }
        self.remember(now, answer);
        let Remembered {
            fetched: before,
            answer,
        } = before.filter(|before| before.fetched.restless == now.restless)?;
        let has_changed = before.said != now.said;
        let age_ms = now.asked_at_ms.saturating_sub(before.kept_at_ms);
        let is_expired = age_ms >= before.ttl_ms;
        let end = match (before.versions == now.versions, is_expired, ttl) {
            (false, false, _) => Some(End::Dropped),
            (true, true, Ttl::Fixed(ttl)) => {
                let ttl_ms = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
                Some(End::Expired(Expired {
                    ttl_ms,
                    expired: 1,
                    changed: has_changed.into(),
                    soon: (!has_changed && age_ms < ttl_ms.saturating_mul(2)).into(),
                }))
            }
            _ => None,
        };
        Some(Again {
            after_ms: before.asked_at_ms,
            has_changed,
            before: answer.filter(|_| has_changed && self.may_compare(now.kept_at_ms)),
            end,
        })
    }

    /// Whom an answer was fetched for, if that is known and matters.
    pub(super) fn fetched_for(&self, (binding, kept_at_ms): Id) -> Option<u64> {
        let known = self.kept.get(&binding).or_else(|| self.older.get(&binding));
        let fetched = &known?.fetched;
        fetched.by.filter(|_| fetched.kept_at_ms == kept_at_ms)
    }

    fn may_compare(&mut self, now_ms: u64) -> bool {
        let second = now_ms / 1000;
        let count = match self.compared {
            (last, count) if last == second => count,
            _ => 0,
        };
        self.compared = (second, count + 1);
        count < COMPARED_A_SECOND
    }

    fn remember(&mut self, now: Fetched, answer: &Answer) {
        if self.kept.len() >= MAX_KEPT || self.bytes >= MAX_BYTES {
            self.older = std::mem::take(&mut self.kept);
            self.bytes = 0;
        }
        let length = answer.body.len();
        let answer = (length <= MAX_ONE).then(|| answer.clone());
        self.bytes += answer.as_ref().map_or(0, |_| length);
        let fetched = Remembered {
            fetched: now,
            answer,
        };
        let replaced = self.kept.insert(now.binding, fetched);
        let replaced = replaced.and_then(|replaced| replaced.answer);
        self.bytes -= replaced.map_or(0, |answer| answer.body.len());
    }

    /// One that was dropped waits until it is known which writes did it.
    pub(super) fn wait(&mut self, ended: Ended) {
        if self.waiting.len() < MAX_WAITING {
            self.waiting.push_back(ended);
        }
    }

    /// Takes out those of which all writes before are known when all up to this moment are.
    pub(super) fn due(&mut self, known_ms: u64) -> Vec<Ended> {
        let all = std::mem::take(&mut self.waiting).into_iter();
        let (due, waiting) = all.partition(|one| one.until_ms <= known_ms);
        self.waiting = waiting;
        Vec::from(due)
    }
}

/// By rule and line, what dropped these, by the writes that are known. It may take a while.
pub(super) fn attributed(due: Vec<Ended>, table: &Table, writes: &Known) -> Vec<Attributed> {
    if due.is_empty() {
        return Vec::new();
    }
    let sets = by_route(table);
    let attributed = due.into_iter().map(|ended| Attributed {
        lines: ended.lines(&sets, writes),
        rule: ended.rule.name.clone(),
        has_changed: ended.has_changed,
    });
    attributed.filter(|one| !one.lines.is_empty()).collect()
}

/// The lines that dropped an answer of a rule, each once.
pub(super) struct Attributed {
    pub(super) rule: String,
    pub(super) lines: Vec<String>,
    pub(super) has_changed: bool,
}

type Sets<'t> = HashMap<String, Vec<&'t Set>>;

fn by_route(table: &Table) -> Sets<'_> {
    let mut sets: Sets = HashMap::new();
    for set in &table.sets {
        for route in &set.routes {
            let text = format!("{} {}", route.method, route.pattern);
            sets.entry(text).or_default().push(set);
        }
    }
    sets
}

impl Ended {
    pub(super) fn new(
        rule: Arc<Rule>,
        segments: Vec<Mark>,
        (after_ms, until_ms): (u64, u64),
        has_changed: bool,
    ) -> Ended {
        Ended {
            rule,
            segments,
            after_ms,
            until_ms,
            has_changed,
        }
    }

    fn lines(&self, sets: &Sets, writes: &Known) -> Vec<String> {
        let mut lines = Vec::new();
        for write in writes.between(self.after_ms, self.until_ms) {
            for set in sets.get(&write.route).into_iter().flatten() {
                let drops = set.drops.iter().filter(|drop| self.is_named(drop, &write));
                lines.extend(drops.map(|drop| line(&set.name, &drop.template)));
            }
        }
        lines.sort();
        lines.dedup();
        lines
    }

    /// Whether a line, as this write fills it in, names the answer. Where that cannot be told, as where it was widened
    /// because the write has no such part, it is left out.
    fn is_named(&self, drop: &Drop, write: &Write) -> bool {
        let key = &self.rule.key.segments;
        let mut both = drop.template.segments.iter().zip(key).zip(&self.segments);
        drop.rules.contains(&self.rule.index)
            && both.all(|((segment, own), mark)| match own.literal() {
                Some(_) => true, // else the rule would not be among those that the line can name
                None => is_it(segment, *mark, write),
            })
    }
}

/// Whether a segment of a line comes to this value. Where lower case makes no difference, the spelling as it is stands
/// for both.
fn is_it(segment: &Segment, mark: Mark, write: &Write) -> bool {
    let text = segment.to_string();
    let parts = |text: &str| {
        let parts = write.parts.iter().filter(|(name, _)| name == text);
        parts.map(|(_, mark)| *mark).collect::<Vec<Mark>>()
    };
    let found = parts(&text);
    match (found.is_empty(), text.strip_suffix(" | lower}")) {
        (true, Some(plain)) => parts(&format!("{plain}}}")).contains(&mark),
        _ => found.contains(&mark),
    }
}

/// Counts an attributed end, by line. What has changed nobody can tell the doer of where several lines dropped it: it
/// counts for those that are known to drop what changes, and where none is known yet, for all.
pub(super) fn count(counts: &mut BTreeMap<String, Dropped>, one: &Attributed, room: usize) {
    let is_known = |line: &String| counts.get(line).is_some_and(|count| count.changed > 0);
    let known: Vec<bool> = one.lines.iter().map(is_known).collect();
    for (line, is_known) in one.lines.iter().zip(&known) {
        let is_doer = *is_known || !known.contains(&true);
        if (one.has_changed && !is_doer) || (counts.len() >= room && !counts.contains_key(line)) {
            continue;
        }
        counts.entry(line.clone()).or_default().add(&Dropped {
            dropped: 1,
            changed: one.has_changed.into(),
        });
    }
}

#[cfg(test)]
mod tests;

//! What is told of a run.

use super::checker::{self, Verdict};
use super::cold::Cold;
use super::due::Terms;
use super::history::{Fault, Records};
use super::{LEASE, LOCAL_TTL, LONGEST_FILL, LONGEST_WAIT, TTL};
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// Stale reads that are told one by one.
const TOLD: usize = 5;

/// The figures of one round, or of several.
#[derive(Debug, Default)]
pub struct Report {
    seeds: Vec<u64>,
    lasting: Duration,
    reads: u64,
    hits: u64,
    unanswered: u64,
    near: u64,
    pub cold: Cold,
    longest: Duration,
    /// How long readers took whose fetch's holder was killed.
    pub orphaned: Vec<Duration>,
    injected: BTreeMap<Fault, u64>,
    pub verdict: Verdict,
}

impl Report {
    /// Checks what was recorded.
    pub fn of(seed: u64, lasting: Duration, cold: Cold, records: &Records) -> Report {
        let mut injected: BTreeMap<Fault, u64> = BTreeMap::new();
        for one in &records.injected {
            *injected.entry(one.fault).or_default() += 1;
        }
        let reads = records.reads.iter();
        let lengths = reads.map(|read| read.ended - read.begun);
        Report {
            seeds: vec![seed],
            lasting,
            reads: records.reads.len() as u64,
            hits: records.reads.iter().filter(|read| read.hit).count() as u64,
            unanswered: records.unanswered,
            near: records.reads.iter().filter(|read| read.is_near).count() as u64,
            cold,
            longest: lengths.max().unwrap_or_default(),
            orphaned: records.orphaned.clone(),
            injected,
            verdict: checker::check(records),
        }
    }

    /// Adds another round.
    pub fn add(&mut self, other: Report) {
        self.seeds.extend(other.seeds);
        self.lasting += other.lasting;
        self.reads += other.reads;
        self.hits += other.hits;
        self.unanswered += other.unanswered;
        self.near += other.near;
        self.cold.add(other.cold);
        self.longest = self.longest.max(other.longest);
        self.orphaned.extend(other.orphaned);
        for (fault, count) in other.injected {
            *self.injected.entry(fault).or_default() += count;
        }
        self.verdict.add(other.verdict);
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seeds, seconds) = (&self.seeds, self.lasting.as_secs_f64());
        writeln!(f, "chaos: {seconds:.0} s of faults, seeds {seeds:?}")?;
        let (reads, hits, unanswered) = (self.reads, self.hits, self.unanswered);
        writeln!(
            f,
            "  {reads} reads checked, {hits} hits; {unanswered} were not answered"
        )?;
        let (near, longest) = (self.near, self.longest);
        writeln!(
            f,
            "  {near} of them by a rule with local_ttl; the longest took {longest:.1?}"
        )?;
        writeln!(f, "  {}", self.cold)?;
        let (orphaned, waited) = (self.orphaned.len(), self.longest_orphan());
        writeln!(
            f,
            "  {orphaned} reads of what a killed sidecar was fetching took up to {waited:.1?} of {LONGEST_WAIT:.1?}"
        )?;
        write!(f, "  committed writes, by what they are due:")?;
        for (terms, count) in &self.verdict.writes {
            write!(f, " {count} {}", terms.word())?;
        }
        writeln!(f, "\n  fault                 injected  stale")?;
        for (fault, count) in &self.injected {
            let stale = self.stale_after(Some(*fault));
            writeln!(f, "  {:<20} {count:>9} {stale:>6}", format!("{fault:?}"))?;
        }
        writeln!(
            f,
            "  {:<20} {:>9} {:>6}",
            "none",
            "",
            self.stale_after(None)
        )?;
        writeln!(f, "  older answers before a write was due:")?;
        for ((terms, cause), older) in &self.verdict.older {
            let cause = cause.map_or("none".to_owned(), |fault| format!("{fault:?}"));
            let (reads, p99, longest) = (older.reads(), older.p99(), older.longest());
            let bound = terms.bound();
            writeln!(
                f,
                "  {cause:<20} {reads:>9} reads, 99% up to {p99:.1?}, all up to {longest:.1?} of {bound}"
            )?;
        }
        self.verdict
            .stale
            .iter()
            .take(TOLD)
            .try_for_each(|stale| writeln!(f, "  STALE {stale}"))
    }
}

impl Report {
    /// The longest read of what a killed sidecar was fetching.
    pub fn longest_orphan(&self) -> Duration {
        self.orphaned.iter().max().copied().unwrap_or_default()
    }

    fn stale_after(&self, fault: Option<Fault>) -> usize {
        let stale = self.verdict.stale.iter();
        stale.filter(|stale| stale.cause == fault).count()
    }
}

impl Terms {
    fn word(self) -> &'static str {
        match self {
            Terms::Answer => "by their answer,",
            Terms::Payment => "by their answer here and by payment elsewhere,",
            Terms::Lease => "by their lease,",
            Terms::Lifetime => "by lifetime",
            Terms::Memory => "from memory",
        }
    }

    /// What is documented.
    fn bound(self) -> String {
        match self {
            Terms::Answer => "0 s (the answer)".to_owned(),
            Terms::Payment => "what is owed being paid (other sidecars)".to_owned(),
            Terms::Lease => format!("{LEASE:?} (write_lease)"),
            Terms::Lifetime => format!("{:?} (ttl and a fill)", TTL + LONGEST_FILL),
            Terms::Memory => format!("{LOCAL_TTL:?} (local_ttl)"),
        }
    }
}

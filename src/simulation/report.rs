//! What came of a run, and of many.

use super::actors::{Route, Wish};
use super::history::{At, Fault};
use super::{LONGEST_FILL, REGISTERS};
use std::collections::BTreeMap;
use std::fmt;

/// How the worst begins.
const STALE: &str = "stale";

/// An answer to a reader, and what it may be.
#[derive(Clone, Debug)]
pub struct Read {
    pub wish: Wish,
    pub through: usize,
    pub ended: At,
    /// The least and the most that each register may be.
    pub floor: [u64; REGISTERS],
    /// The least that it may be if no drop were soft.
    pub hard_floor: [u64; REGISTERS],
    pub ceiling: [u64; REGISTERS],
    pub is_hit: bool,
    pub body: String,
}

/// Sums, and everything that was wrong.
#[derive(Debug, Default)]
pub struct Report {
    pub seeds: u64,
    pub reads: u64,
    pub hits: u64,
    /// Reads that only a soft drop allows.
    pub softened: u64,
    pub writes: u64,
    /// Sidecars that kept something after a write for which no reader had asked.
    pub warmed: u64,
    pub faults: BTreeMap<Fault, u64>,
    pub wrong: Vec<String>,
    /// Whether clocks jumped: then nobody can say how old a hit may be.
    pub clocks_jump: bool,
}

impl Read {
    /// The values, where the body is whole and of one piece.
    fn values(&self) -> Option<(u64, [u64; REGISTERS])> {
        let parts: Vec<&str> = self.body.split('|').collect();
        let [
            made,
            language,
            values,
            made_again,
            language_again,
            values_again,
        ] = parts[..]
        else {
            return None;
        };
        let is_one = (made, language, values) == (made_again, language_again, values_again);
        let numbers: Option<Vec<u64>> = values.split(',').map(|text| text.parse().ok()).collect();
        let numbers = numbers?.try_into().ok()?;
        is_one.then_some((made.parse().ok()?, numbers))
    }

    /// Whether it is older than a write that had been answered when it began.
    fn is_softened(&self) -> bool {
        let register = self.wish.register;
        let value = self.values().map(|(_, values)| values[register]);
        self.wish.route == Route::Counted && value < Some(self.hard_floor[register])
    }

    /// What is wrong with it.
    fn wrong(&self, clocks_jump: bool) -> Option<String> {
        let Some((made, values)) = self.values() else {
            return Some("not one whole answer".into());
        };
        let shown = match self.wish.route {
            Route::All => 0..REGISTERS,
            _ => self.wish.register..self.wish.register + 1,
        };
        for register in shown {
            let (value, floor, ceiling) = (
                values[register],
                self.floor[register],
                self.ceiling[register],
            );
            if value < floor {
                return Some(format!(
                    "{STALE}: register {register} is {value}, {floor} was due"
                ));
            }
            if value > ceiling {
                return Some(format!(
                    "from the future: {value}, but {ceiling} was committed"
                ));
            }
        }
        let is_spoken = self.wish.route == Route::Spoken;
        if is_spoken && !self.body.contains(self.wish.language) {
            return Some("in the wrong language".into());
        }
        if self.wish.is_validated() {
            return None; // as old as the last change, however often the origin said that it holds
        }
        let oldest = self.wish.route.ttl() + LONGEST_FILL;
        let age = self.ended.saturating_sub(At::from_millis(made));
        (!clocks_jump && age > oldest).then(|| format!("too old: {age:?}"))
    }
}

impl Report {
    pub fn judge(&mut self, read: &Read) {
        self.reads += 1;
        self.hits += u64::from(read.is_hit);
        self.softened += u64::from(read.is_softened());
        if let Some(wrong) = read.wrong(self.clocks_jump) {
            self.complain(format!("{wrong}: {read:?}"));
        }
    }

    /// Whether a read was older than what was due.
    pub fn is_stale(&self) -> bool {
        self.wrong.iter().any(|wrong| wrong.starts_with(STALE))
    }

    /// Something else is not as it should be.
    pub fn complain(&mut self, wrong: String) {
        self.wrong.push(wrong);
    }

    pub fn add(&mut self, other: Report) {
        self.seeds += other.seeds;
        self.reads += other.reads;
        self.hits += other.hits;
        self.softened += other.softened;
        self.writes += other.writes;
        self.warmed += other.warmed;
        self.wrong.extend(other.wrong);
        for (fault, times) in other.faults {
            *self.faults.entry(fault).or_default() += times;
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report {
            seeds,
            reads,
            hits,
            softened,
            writes,
            warmed,
            faults,
            wrong,
            clocks_jump: _,
        } = self;
        writeln!(
            f,
            "simulation: {seeds} seeds, {reads} reads checked ({hits} hits, {softened} after a soft drop), {writes} writes, \
             {warmed} sidecars that warmed"
        )?;
        for (fault, times) in faults {
            writeln!(f, "  {times:>8}  {fault:?}")?;
        }
        wrong.iter().try_for_each(|wrong| writeln!(f, "  {wrong}"))
    }
}

//! Who asks for what, and when: drawn from a seed.

use super::super::dice::Dice;

pub(super) const DAY_MS: u64 = 86_400_000;

/// How busy each hour is.
const HOURS: [u64; 24] = [
    2, 1, 1, 1, 1, 2, 6, 14, 24, 34, 40, 42, 30, 26, 32, 40, 42, 34, 26, 22, 18, 14, 8, 4,
];

/// What is read: its name, of a thousand reads how many are for it, how many keys it has, and whether each visitor
/// has one of his own.
const READS: [(&str, u64, usize, bool); 10] = [
    ("list", 200, 30, false),
    ("details", 190, 40, false),
    ("specialties", 120, 4, false),
    ("reviews", 90, 30, false),
    ("suggestion", 40, 100, false),
    ("patient", 20, 100, false),
    ("session", 170, VISITORS, true),
    ("profile", 60, VISITORS, true),
    ("appointments", 60, VISITORS, true),
    ("dashboard", 50, VISITORS, true),
];

/// How many people are there at a time, and for how long.
const VISITORS: usize = 10;
const VISIT_MS: u64 = 20 * 60 * 1000;

/// What is written, of a hundred writes how many, and which reads are different afterwards.
pub(super) const WRITES: [(&str, u64, &[&str]); 6] = [
    (
        "book",
        36,
        &["list", "details", "appointments", "dashboard"],
    ),
    ("status", 30, &["appointments", "dashboard"]),
    ("slots", 14, &["list", "details"]),
    (
        "review",
        10,
        &[
            "list",
            "details",
            "reviews",
            "appointments",
            "dashboard",
            "profile",
            "session",
        ],
    ),
    (
        "doctor",
        6,
        &[
            "list",
            "details",
            "appointments",
            "reviews",
            "profile",
            "session",
        ],
    ),
    ("specialty", 4, &["specialties", "list", "details"]),
];

/// One request.
pub(super) enum Act {
    Read {
        what: &'static str,
        key: usize,
    },
    Write {
        what: &'static str,
        changes: &'static [&'static str],
    },
}

/// Of one day, in order.
pub(super) struct Traffic {
    acts: Vec<(u64, usize, Act)>,
}

impl Traffic {
    pub(super) fn new(seed: u64, reads: u64, writes: u64) -> Traffic {
        let mut dice = Dice::new(seed, 0);
        let zipfs: Vec<Zipf> = READS
            .iter()
            .map(|(_, _, keys, _)| Zipf::of(*keys))
            .collect();
        let mut acts = Vec::new();
        for _ in 0..reads {
            let place = drawn(&mut dice, READS.iter().map(|(_, share, ..)| *share));
            let (what, _, keys, is_ones_own) = READS[place];
            let (at, drawn) = (moment(&mut dice), zipfs[place].draw(&mut dice));
            let visit = if is_ones_own { at / VISIT_MS } else { 0 };
            let key = visit as usize * keys + drawn;
            let through = if is_ones_own { key % 2 } else { dice.below(2) };
            acts.push((at, through, Act::Read { what, key }));
        }
        for _ in 0..writes {
            let place = drawn(&mut dice, WRITES.iter().map(|(_, share, _)| *share));
            let (what, _, changes) = WRITES[place];
            acts.push((
                moment(&mut dice),
                dice.below(2),
                Act::Write { what, changes },
            ));
        }
        acts.sort_by_key(|(at, _, _)| *at);
        Traffic { acts }
    }
}

impl IntoIterator for Traffic {
    type Item = (u64, usize, Act);
    type IntoIter = std::vec::IntoIter<Self::Item>;

    /// When in the day, through which sidecar, and what.
    fn into_iter(self) -> Self::IntoIter {
        self.acts.into_iter()
    }
}

fn moment(dice: &mut Dice) -> u64 {
    let hour = drawn(dice, HOURS.into_iter()) as u64;
    (hour * 3600 + dice.below(3600) as u64) * 1000 + dice.below(1000) as u64
}

/// A place, by how much is at each.
fn drawn(dice: &mut Dice, shares: impl Iterator<Item = u64> + Clone) -> usize {
    let all: u64 = shares.clone().sum();
    let mut left = dice.below(all as usize) as u64;
    for (place, share) in shares.enumerate() {
        if left < share {
            return place;
        }
        left -= share;
    }
    unreachable!("less than all was drawn")
}

/// The first key is asked for twice as often as the second, and so on.
struct Zipf(Vec<f64>);

impl Zipf {
    fn of(keys: usize) -> Zipf {
        let mut sum = 0.0;
        let sums = (1..=keys).map(|rank| {
            sum += 1.0 / rank as f64;
            sum
        });
        Zipf(sums.collect())
    }

    fn draw(&self, dice: &mut Dice) -> usize {
        let all = self.0.last().copied().unwrap_or_default();
        let point = dice.below(1_000_000) as f64 / 1e6 * all;
        self.0.partition_point(|sum| *sum <= point)
    }
}

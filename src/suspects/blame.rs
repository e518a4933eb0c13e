//! Which causes are needed to explain what was seen.
//!
//! Each cause in the window of an answer makes it stale with a probability of its own, independently of the others;
//! an answer is fresh if none did. Without any write an answer may have become stale by its age alone. Those
//! probabilities are fitted (expectation and maximisation), causes are taken one by one as long as what was seen
//! becomes much likelier, and afterwards those are let go that the others make needless.

use super::{AGES, Case, Cause, LEAST_GAIN, LEAST_WRITES, age};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Steps of a fit. It has come close enough long before.
const STEPS: usize = 25;

/// The best candidates by a rough measure are fitted in full.
const FITTED: usize = 4;

/// Causes of one rule. More are no oversight but another table.
const MAX_CHOSEN: usize = 24;

/// So many fresh answers of each age are taken for seen from the beginning: that data changes by itself has to be
/// shown, too.
const TAKEN_FOR_FRESH: f64 = 4.0;

/// Probabilities stay away from 0 and 1 by this.
const EDGE: f64 = 1e-3;

/// Of two that are equally likely within this, the first is taken.
const TIE: f64 = 0.05;

pub(super) struct Model<'s> {
    /// Without those of which it is not known where they differ, if it is of one place.
    seen: Vec<&'s Case>,
    /// By observation.
    differs: Vec<bool>,
    ages: Vec<usize>,
    /// Those by which something that differs could be explained, and what fits them.
    causes: Vec<(&'s Arc<Cause>, Vec<Fitting>)>,
}

/// An observation that fits a cause.
struct Fitting {
    /// Its position.
    at: usize,
    /// When the write was that it fits by, in milliseconds of Unix time.
    write_ms: u64,
}

/// Probabilities, and how likely all that was seen is by them.
#[derive(Clone)]
struct Fit {
    by_age: Vec<f64>,
    by_cause: Vec<f64>,
    /// By observation: how likely it is to be fresh.
    fresh: Vec<f64>,
    likelihood: f64,
}

fn log(probability: f64) -> f64 {
    probability.clamp(EDGE, 1.0).ln()
}

impl<'s> Model<'s> {
    /// Of what differs at one place, or at any, and of what does not.
    pub(super) fn new(seen: &[&'s Case], place: Option<&str>) -> Model<'s> {
        let is_unknown = |case: &Case| case.differs && case.places.is_empty();
        let seen = seen.iter().copied();
        let seen: Vec<&'s Case> = seen
            .filter(|case| place.is_none() || !is_unknown(case))
            .collect();
        let differs: Vec<bool> = seen.iter().map(|case| case.differs_at(place)).collect();
        let ages = seen.iter().map(|case| age(case)).collect();
        let differing = seen.iter().zip(&differs).filter(|(_, differs)| **differs);
        let explaining: BTreeSet<&Arc<Cause>> = differing
            .flat_map(|(case, _)| case.causes.iter().map(|possible| &possible.cause))
            .collect();
        let mut fits: BTreeMap<&Arc<Cause>, Vec<Fitting>> = BTreeMap::new();
        for (at, case) in seen.iter().enumerate() {
            let causes = case.causes.iter();
            for possible in causes.filter(|possible| explaining.contains(&possible.cause)) {
                let write_ms = possible.at_ms;
                let fitting = fits.entry(&possible.cause).or_default();
                fitting.push(Fitting { at, write_ms });
            }
        }
        let mut causes: Vec<(&Arc<Cause>, Vec<Fitting>)> = fits.into_iter().collect();
        causes.sort_by_key(|(cause, _)| cause.rank()); // stable: by their parts, then routes, besides
        Model {
            seen,
            differs,
            ages,
            causes,
        }
    }

    /// The causes that are needed.
    pub(super) fn chosen(&self) -> Vec<Arc<Cause>> {
        let mut chosen = Vec::new();
        let mut fit = self.fit(&chosen);
        while chosen.len() < MAX_CHOSEN {
            let Some((next, with)) = self.best(&chosen, &fit) else {
                break;
            };
            if with.likelihood - fit.likelihood < LEAST_GAIN {
                break;
            }
            chosen.push(next);
            fit = with;
        }
        let needed = self.let_go(chosen, fit).into_iter();
        needed.map(|at| self.causes[at].0.clone()).collect()
    }

    /// The cause that makes most likely what was seen, of those that are not chosen yet.
    fn best(&self, chosen: &[usize], fit: &Fit) -> Option<(usize, Fit)> {
        let others = (0..self.causes.len()).filter(|at| !chosen.contains(at));
        let mut rough: Vec<(f64, usize)> =
            others.map(|at| (self.rough_gain(at, fit), at)).collect();
        rough.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let promising = rough.into_iter().filter(|(gain, _)| *gain > 0.0);
        let mut fitted: Vec<(usize, Fit)> = promising
            .take(FITTED)
            .map(|(_, at)| (at, self.fit(&[chosen, &[at]].concat())))
            .collect();
        let most = fitted
            .iter()
            .map(|(_, fit)| fit.likelihood)
            .reduce(f64::max)?;
        fitted.retain(|(_, fit)| fit.likelihood >= most - TIE);
        fitted.into_iter().min_by_key(|(at, _)| *at)
    }

    /// By how much a cause makes more likely what was seen if nothing else changes.
    fn rough_gain(&self, cause: usize, fit: &Fit) -> f64 {
        let by = |probability: f64| {
            let fitting = self.causes[cause].1.iter();
            let gains = fitting.map(|fitting| {
                let fresh = fit.fresh[fitting.at];
                let gain = match self.differs[fitting.at] {
                    true => log(1.0 - fresh * (1.0 - probability)) - log(1.0 - fresh),
                    false => log(1.0 - probability),
                };
                self.count(fitting.at) * gain
            });
            gains.sum::<f64>()
        };
        let some = [0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.97, 0.995];
        some.into_iter().map(by).fold(f64::MIN, f64::max)
    }

    /// Lets go, one by one, what the others make needless.
    fn let_go(&self, mut chosen: Vec<usize>, mut fit: Fit) -> Vec<usize> {
        loop {
            let without = (0..chosen.len()).map(|place| {
                let mut others = chosen.clone();
                others.remove(place);
                let other = self.fit(&others);
                let writes = self.writes(chosen[place], fit.by_cause[place], &fit);
                let gain = match writes + 0.5 < f64::from(LEAST_WRITES) {
                    true => f64::MIN,
                    false => fit.likelihood - other.likelihood,
                };
                (gain, others, other)
            });
            let weakest = without.min_by(|a, b| a.0.total_cmp(&b.0));
            match weakest {
                Some((gain, others, other)) if gain < LEAST_GAIN => (chosen, fit) = (others, other),
                _ => return chosen,
            }
        }
    }

    /// How many writes a cause accounts for what differs by: what one write did is one, however often it was seen.
    fn writes(&self, cause: usize, probability: f64, fit: &Fit) -> f64 {
        let mut shares: BTreeMap<u64, f64> = BTreeMap::new();
        for fitting in &self.causes[cause].1 {
            let share = self.share(fitting.at, probability, fit);
            let most = shares.entry(fitting.write_ms).or_default();
            *most = most.max(share);
        }
        shares.values().sum()
    }

    /// Of an observation that differs, how much something accounts for that acts with this probability.
    fn share(&self, at: usize, probability: f64, fit: &Fit) -> f64 {
        match self.differs[at] {
            true => (probability / (1.0 - fit.fresh[at]).max(EDGE)).min(1.0),
            false => 0.0,
        }
    }

    fn count(&self, at: usize) -> f64 {
        f64::from(self.seen[at].count)
    }

    /// The probabilities by which what was seen is most likely, with these causes and no others.
    fn fit(&self, chosen: &[usize]) -> Fit {
        let mut fit = Fit {
            by_age: vec![0.1; AGES],
            by_cause: vec![0.5; chosen.len()],
            fresh: vec![1.0; self.seen.len()],
            likelihood: 0.0,
        };
        self.weigh(&mut fit, chosen);
        for _ in 0..STEPS {
            self.step(&mut fit, chosen);
            self.weigh(&mut fit, chosen);
        }
        fit
    }

    fn weigh(&self, fit: &mut Fit, chosen: &[usize]) {
        for (fresh, age) in fit.fresh.iter_mut().zip(&self.ages) {
            *fresh = 1.0 - fit.by_age[*age];
        }
        for (place, at) in chosen.iter().enumerate() {
            for one in &self.causes[*at].1 {
                fit.fresh[one.at] *= 1.0 - fit.by_cause[place];
            }
        }
        let seen = self.seen.iter().zip(&self.differs).zip(&fit.fresh);
        let likely = seen.map(|((case, differs), fresh)| {
            let likely = match differs {
                true => log(1.0 - fresh),
                false => log(*fresh),
            };
            f64::from(case.count) * likely
        });
        let taken = fit.by_age.iter();
        let taken = taken.map(|by_age| TAKEN_FOR_FRESH * log(1.0 - by_age));
        fit.likelihood = likely.sum::<f64>() + taken.sum::<f64>();
    }

    fn step(&self, fit: &mut Fit, chosen: &[usize]) {
        let share = |at: usize, probability: f64, fit: &Fit| {
            self.count(at) * self.share(at, probability, fit)
        };
        let (mut accounts, mut of) = ([0.0; AGES], [TAKEN_FOR_FRESH; AGES]);
        for (at, age) in self.ages.iter().enumerate() {
            accounts[*age] += share(at, fit.by_age[*age], fit);
            of[*age] += self.count(at);
        }
        let fitted = chosen.iter().zip(&fit.by_cause).map(|(at, by_cause)| {
            let fits = &self.causes[*at].1;
            let accounts: f64 = fits.iter().map(|one| share(one.at, *by_cause, fit)).sum();
            let of: f64 = fits.iter().map(|one| self.count(one.at)).sum();
            (accounts / of).clamp(EDGE, 1.0 - EDGE)
        });
        fit.by_cause = fitted.collect();
        for (by_age, (accounts, of)) in fit.by_age.iter_mut().zip(accounts.iter().zip(of)) {
            *by_age = (accounts / of).clamp(EDGE, 1.0 - EDGE);
        }
    }
}

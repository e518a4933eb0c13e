//! What the fleet has spent in a period, as one process knows it: what the store said last, what this process
//! has spent since, and what the others are likely to have.

use crate::metrics::Billed;

/// What a process spends before it tells the fleet: telling costs one command, so a fiftieth of what is spent.
pub(super) const TELL_EACH: u64 = 50;

/// It is told no oftener than this, however much is spent,
const SOONEST_MS: u64 = 10_000;

/// and no more rarely, so that what others spend is heard of: 96 commands a day.
const LATEST_MS: u64 = 15 * 60 * 1000;

/// After a telling that failed.
const AGAIN_MS: u64 = 60_000;

/// Which part of what is spent is taken to be one's own before anything is known of others.
const UNKNOWN_SHARE: f64 = 0.5;

/// For so long what others spent lately is taken to go on.
const OTHERS_FOR_MS: u64 = 2 * LATEST_MS;

/// The account.
#[derive(Clone, Debug, Default)]
pub(super) struct Account {
    /// By name; none before it was first told anything.
    period: String,
    /// What the fleet had spent when the store was last told, if it was in this period.
    total: u64,
    heard_ms: Option<u64>,
    /// What the store has forgotten of it: an account that was evicted or flushed begins anew.
    lost: u64,
    tried_ms: Option<u64>,
    /// What this process had spent, since it began, of which the store knows.
    told: u64,
    /// A millisecond, of all other processes.
    others_rate: f64,
    /// What was spent in this period before this process told anything, and what it told.
    before: u64,
    own: u64,
}

impl Account {
    /// Goes over to a new period, if it is another. What was not told of the last one is told of this one: no more
    /// than [`TELL_EACH`], where the store could be told.
    pub(super) fn turn(&mut self, period: &str) {
        if self.period != period {
            *self = Account {
                period: period.to_owned(),
                told: self.told,
                ..Account::default()
            };
        }
    }

    /// Whether the store has said in this period what was spent.
    pub(super) fn is_heard(&self) -> bool {
        self.heard_ms.is_some()
    }

    /// What the store has not been told of.
    pub(super) fn untold(&self, own: Billed) -> u64 {
        own.all.saturating_sub(self.told)
    }

    /// Whether it is to be told now.
    pub(super) fn is_due(&self, own: Billed, now_ms: u64) -> bool {
        let since = |at: Option<u64>| at.map_or(u64::MAX, |at| now_ms.saturating_sub(at));
        let (heard, tried) = (since(self.heard_ms), since(self.tried_ms));
        if tried < heard {
            return tried >= AGAIN_MS;
        }
        heard >= LATEST_MS || (heard >= SOONEST_MS && self.untold(own) >= TELL_EACH)
    }

    /// It is about to be told.
    pub(super) fn tries(&mut self, now_ms: u64) {
        self.tried_ms = Some(now_ms);
    }

    /// It was told of so much, and says that the fleet has spent so much with it. Whether it has forgotten some.
    pub(super) fn heard(&mut self, added: u64, total: u64, now_ms: u64) -> bool {
        if self.heard_ms.is_none() {
            self.before = total.saturating_sub(added);
        }
        self.own += added;
        let known = self.total + added;
        if total < known {
            (self.before, self.own) = (total.saturating_sub(added), added); // it began anew
        }
        self.lost += known.saturating_sub(total);
        if let Some(before) = self.heard_ms.filter(|before| *before < now_ms) {
            let others = total.saturating_sub(self.total).saturating_sub(added);
            self.others_rate = others as f64 / (now_ms - before) as f64;
        }
        self.told += added;
        (self.total, self.heard_ms) = (total, Some(now_ms));
        self.tried_ms = self.heard_ms;
        total < known
    }

    /// What the fleet has spent by now, as far as can be known.
    pub(super) fn used(&self, own: Billed, now_ms: u64) -> f64 {
        let since = self.heard_ms.map_or(0, |at| now_ms.saturating_sub(at));
        let others = self.others_rate * since.min(OTHERS_FOR_MS) as f64;
        (self.total + self.lost + self.untold(own)) as f64 + others
    }

    /// Which part of what the fleet spent in this period, since this process first told of any, is its own.
    pub(super) fn own_share(&self) -> f64 {
        let all = self.total.saturating_sub(self.before);
        match all {
            0 => UNKNOWN_SHARE,
            all => (self.own as f64 / all as f64).min(1.0),
        }
    }

    /// What others spend in a second.
    pub(super) fn others_rate_s(&self) -> f64 {
        self.others_rate * 1000.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn billed(all: u64) -> Billed {
        Billed { all, due: 0 }
    }

    #[test]
    fn telling_costs_a_fiftieth_of_what_is_spent_and_a_hundred_commands_a_day() {
        let (mut account, mut spent, mut tellings) = (Account::default(), 0, 0);
        account.turn("2026-11-23");
        for second in 0..86_400 {
            spent += u64::from(second % 4 == 0);
            if account.is_due(billed(spent), second * 1000) {
                let untold = account.untold(billed(spent));
                account.heard(untold, spent, second * 1000);
                tellings += 1;
            }
        }
        assert!((400..=440).contains(&tellings), "{tellings} of {spent}");
        assert_eq!(account.used(billed(spent), 86_400_000), spent as f64);
    }

    #[test]
    fn what_others_spend_is_reckoned_with_between_two_tellings() {
        let mut account = Account::default();
        account.turn("2026-11-23");
        assert!(
            account.is_due(billed(0), 0),
            "what was spent before is asked for at once"
        );
        account.heard(0, 3_000, 0);
        account.heard(60, 3_360, 100_000);
        assert_eq!(account.others_rate_s(), 3.0);
        assert_eq!(account.used(billed(70), 120_000), 3_360.0 + 10.0 + 60.0);
        account.turn("2026-11-24");
        assert_eq!(account.used(billed(70), 120_000), 10.0, "a new day");
    }

    #[test]
    fn what_the_store_forgets_was_spent_all_the_same() {
        let mut account = Account::default();
        account.turn("2026-11-23");
        assert!(!account.heard(0, 5_000, 0));
        assert!(account.heard(60, 60, 60_000), "it began anew");
        assert_eq!(account.used(billed(60), 60_000), 5_060.0);
        assert!(!account.heard(40, 100, 120_000));
        assert_eq!(account.used(billed(100), 120_000), 5_100.0);
    }

    #[test]
    fn a_store_that_cannot_be_told_is_not_asked_each_second() {
        let mut account = Account::default();
        account.turn("2026-11-23");
        account.tries(5_000);
        assert!(!account.is_due(billed(900), 6_000));
        assert!(account.is_due(billed(900), 5_000 + AGAIN_MS));
    }
}

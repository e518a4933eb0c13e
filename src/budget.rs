//! A budget of commands, and what the store may still be asked within it.
//!
//! Some providers bill each command, calls inside of scripts too. With `[store] budget` every process adds what it
//! spent to the fleet's account in the store, hears what all have spent, and judges each second how far the store
//! may still be asked. What is given up is told by the [`Level`]; writes, and what is owed to them, never are.

mod account; // what the fleet has spent
mod governor; // how far the store may be asked
mod missed; // which keys were asked for lately
mod period; // days and months
mod rounds; // the versions that many answers hang on
mod wanted; // which keys are asked for

use crate::clock::Clock;
use crate::entry::Version;
use crate::key;
use crate::metrics::{Billed, Metrics};
use crate::rules::settings::{BudgetSettings, Per};
use crate::rules::table::{Rule, Table};
use crate::store::{Kind, Store};
use account::Account;
use governor::{Facts, Governor, Judged, Rate};
use missed::Missed;
use period::Period;
pub use rounds::Flags;
use rounds::{Allowance, Rounds};
use serde_json::{Value as Json, json};
use std::sync::atomic::{AtomicU8, AtomicU16, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
pub use wanted::Want;

/// How often it is judged.
pub const STEP: Duration = Duration::from_secs(1);

/// How long a provider's word that nothing is left is believed before it is tried again.
const SPENT_MS: u64 = 60_000;

/// How long the log says nothing more of a level that was entered: some come and go.
const SAID_MS: u64 = 60 * 60 * 1000;

/// By how much the account of a period outlives it.
const ACCOUNT_LIFE: Duration = Duration::from_secs(24 * 60 * 60);

/// What a process tells of itself, its statistics for one, may cost a hundredth of the budget,
const TELLING_SHARE: f64 = 0.01;

/// and is told thrice an hour in any case.
const TELLING_LATEST: Duration = Duration::from_secs(20 * 60);

/// How far the store may be asked: each gives up what those before it do, and more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// As the rules say.
    #[default]
    Within,
    /// `local_ttl` goes towards `local_ttl_max`, and fetches are not claimed for the fleet.
    Longer,
    /// Besides, only what is asked for again is sought in the store, and kept there; versions are asked for in rounds.
    Sparing,
    /// Nothing is: what this process's memory does not answer, the origin does. Rounds go on.
    Memory,
}

impl Level {
    const ALL: [Level; 4] = [Level::Within, Level::Longer, Level::Sparing, Level::Memory];

    /// The word.
    pub fn word(self) -> &'static str {
        match self {
            Level::Within => "within",
            Level::Longer => "longer",
            Level::Sparing => "sparing",
            Level::Memory => "memory",
        }
    }

    fn of(number: u8) -> Level {
        Level::ALL
            .get(usize::from(number))
            .copied()
            .unwrap_or_default()
    }
}

/// What one process knows of the budget. It outlives a reload; clones are the same.
#[derive(Clone, Default)]
pub struct Budget(Arc<Inner>);

#[derive(Default)]
struct Inner {
    level: AtomicU8,
    /// Of a thousand.
    stretch: AtomicU16,
    missed: Missed,
    rounds: Rounds,
    books: Mutex<Books>,
    /// Held by who tells the store: two at once would tell it twice.
    telling: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Books {
    account: Account,
    governor: Governor,
    rate: Rate,
    due_rate: Rate,
    judged: Judged,
    /// By level: when the log said last that it was entered.
    said_ms: [u64; Level::ALL.len()],
    used: u64,
    /// Failures of the provider's quota, by the last count, and until when it is taken to be spent.
    quota_failures: u64,
    spent_until_ms: u64,
}

impl Budget {
    fn books(&self) -> MutexGuard<'_, Books> {
        self.0.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How far the store may be asked now.
    pub fn level(&self) -> Level {
        Level::of(self.0.level.load(Relaxed))
    }

    /// For how long this process may answer by a rule without asking the store.
    pub fn local_ttl(&self, rule: &Rule) -> Duration {
        match self.0.stretch.load(Relaxed) {
            0 => rule.local_ttl,
            stretch => {
                let beyond = rule.local_ttl_max.saturating_sub(rule.local_ttl);
                rule.local_ttl + beyond * u32::from(stretch) / 1000
            }
        }
    }

    /// Whether a fetch is claimed for the fleet, where its rule says so.
    pub fn claims(&self) -> bool {
        self.level() == Level::Within
    }

    /// Whether nobody has missed this key here within `life`; it is missed now.
    pub fn is_cold(&self, key: &str, life: Duration, clock: &Clock) -> bool {
        !self.0.missed.again(key, life, clock.now_ms())
    }

    /// The key was served from memory: what it hangs on is renewed in rounds, where they are made.
    pub fn touch(&self, want: &Want<'_>, clock: &Clock) {
        if self.makes_rounds_for(want) {
            self.0.rounds.touch(want, clock.now_ms());
        }
    }

    /// The key is asked for now, and its versions are to be known by rounds: what they showed of them, where they are
    /// made and it is still `believed`.
    pub fn want(
        &self,
        want: &Want<'_>,
        believed: impl FnOnce(&[Version]) -> bool,
        clock: &Clock,
    ) -> Option<Vec<Version>> {
        let is_wanted = self.makes_rounds_for(want);
        is_wanted.then(|| self.0.rounds.want(want, believed, clock.now_ms()))?
    }

    fn makes_rounds_for(&self, want: &Want<'_>) -> bool {
        self.level() >= Level::Sparing && !want.within.is_zero()
    }

    /// Judges, and tells the store what was spent if that is due: one command, two when a period begins; and makes a
    /// round, if there is to be one: what that learnt of quarantines. To be called each [`STEP`].
    pub async fn step(
        &self,
        store: &Store,
        metrics: &Metrics,
        table: &Table,
        clock: &Clock,
    ) -> Flags {
        let settings = table.store.budget.filter(|_| store.is_shared());
        let Some(settings) = settings else {
            self.0.level.store(0, Relaxed);
            self.0.stretch.store(0, Relaxed);
            metrics.budget(None);
            return Flags::new();
        };
        let period = Period::of(settings.per, clock.now_ms());
        self.books().account.turn(&period.name);
        let (own, now) = (metrics.billed(), clock.now_ms());
        let is_due = self.books().account.is_due(own, now);
        if is_due && store.up() {
            self.tell(store, metrics, (&table.namespace, &period), clock)
                .await;
        }
        let allowance = self.judge(metrics, settings, &period, clock.now_ms());
        let Some(allowance) = allowance.filter(|_| store.up()) else {
            return Flags::new();
        };
        let rounds = &self.0.rounds;
        rounds
            .make(store, table.layout, allowance, clock.now_ms())
            .await
    }

    /// Tells the store what has not been told, at the end of a process.
    pub async fn end(&self, store: &Store, metrics: &Metrics, table: &Table, clock: &Clock) {
        if let Some(settings) = table
            .store
            .budget
            .filter(|_| store.is_shared() && store.up())
        {
            let period = Period::of(settings.per, clock.now_ms());
            self.books().account.turn(&period.name);
            self.tell(store, metrics, (&table.namespace, &period), clock)
                .await;
        }
    }

    async fn tell(
        &self,
        store: &Store,
        metrics: &Metrics,
        (namespace, period): (&str, &Period),
        clock: &Clock,
    ) {
        let _alone = self.0.telling.lock().await;
        let (untold, is_first) = {
            let mut books = self.books();
            books.account.tries(clock.now_ms());
            let untold = books.account.untold(metrics.billed());
            (untold, !books.account.is_heard())
        };
        let left = Duration::from_secs_f64(period.left_s(clock.now_ms()));
        let life = is_first.then_some(left + ACCOUNT_LIFE);
        let name = key::budget(namespace, &period.name);
        if let Ok(total) = store.spend(&name, untold, life).await {
            let is_lost = {
                let mut books = self.books();
                books.spent_until_ms = 0;
                books.account.heard(untold, total, clock.now_ms())
            };
            if is_lost {
                // It has no end any more. Where this is refused, the next telling that finds less tries again.
                let _ = store.spend(&name, 0, Some(left + ACCOUNT_LIFE)).await;
            }
        }
    }

    /// What rounds may cost, where there may be any.
    fn judge(
        &self,
        metrics: &Metrics,
        settings: BudgetSettings,
        period: &Period,
        now_ms: u64,
    ) -> Option<Allowance> {
        let mut books = self.books();
        let own = metrics.billed();
        books.heed_quota(metrics, now_ms);
        let facts = books.facts(own, settings, period, now_ms);
        let judged = books.governor.judge(&facts);
        let before = std::mem::replace(&mut books.judged, judged);
        books.used = facts.used as u64;
        self.0.level.store(judged.level as u8, Relaxed);
        self.0
            .stretch
            .store((judged.stretch * 1000.0) as u16, Relaxed);
        metrics.budget(Some([books.used, judged.forecast, judged.level as u64]));
        let said_ms = &mut books.said_ms[judged.level as usize];
        if before.level != judged.level && now_ms.saturating_sub(*said_ms) >= SAID_MS {
            *said_ms = now_ms;
            tell_of(before.level, judged, books.used, settings.commands);
        }
        (judged.level >= Level::Sparing && judged.may_round).then(|| Allowance {
            per_s: facts.commands / period.whole_s(),
            own: books.own_share(period.whole_s()),
        })
    }

    /// As JSON; `null` without a budget.
    pub fn shown(&self, settings: Option<BudgetSettings>) -> Json {
        let Some(settings) = settings else {
            return Json::Null;
        };
        let books = self.books();
        json!({
            "commands": settings.commands,
            "per": settings.per.word(),
            "used": books.used,
            "forecast": books.judged.forecast,
            "level": self.level().word(),
        })
    }
}

impl Books {
    /// Takes notice of what the provider says of its quota. It counts as spent for a while, then one command tries.
    fn heed_quota(&mut self, metrics: &Metrics, now_ms: u64) {
        let failures = metrics.failures(Kind::Quota.word());
        if failures > self.quota_failures {
            self.spent_until_ms = now_ms + SPENT_MS;
        }
        self.quota_failures = failures;
    }

    /// Which part of all that is spent this process spends: in this period, or lately if that is more.
    fn own_share(&self, whole_s: f64) -> f64 {
        let own = self.rate.per_s(whole_s);
        let all = own + self.account.others_rate_s();
        let lately = if all > 0.0 { own / all } else { 0.0 };
        lately.max(self.account.own_share())
    }

    fn facts(
        &mut self,
        own: Billed,
        settings: BudgetSettings,
        period: &Period,
        now_ms: u64,
    ) -> Facts {
        let whole_s = period.whole_s();
        self.rate.note(own.all, now_ms, whole_s);
        self.due_rate.note(own.due, now_ms, whole_s);
        let (rate, due) = (self.rate.per_s(whole_s), self.due_rate.per_s(whole_s));
        let others = self.account.others_rate_s();
        // Of what others spend, as much is due as of one's own.
        let due_share = if rate > 0.0 {
            (due / rate).min(1.0)
        } else {
            0.0
        };
        Facts {
            now_ms,
            commands: settings.commands as f64,
            passed: period.passed(now_ms),
            left_s: period.left_s(now_ms),
            used: self.account.used(own, now_ms),
            rate: rate + others,
            due_rate: (rate + others) * due_share,
            is_spent: now_ms < self.spent_until_ms,
        }
    }
}

/// How often a process may tell what is not needed for any answer.
pub fn pace(settings: Option<BudgetSettings>, usual: Duration) -> Duration {
    let Some(settings) = settings else {
        return usual;
    };
    let days = match settings.per {
        Per::Day => 1.0,
        Per::Month => 30.0,
    };
    let a_day = settings.commands as f64 / days * TELLING_SHARE;
    let pace = Duration::from_secs_f64((86_400.0 / a_day).max(1.0));
    pace.clamp(usual, TELLING_LATEST)
}

fn tell_of(before: Level, judged: Judged, used: u64, commands: u64) {
    let (level, before, forecast) = (judged.level.word(), before.word(), judged.forecast);
    match judged.level {
        Level::Sparing | Level::Memory => {
            tracing::warn!(
                level,
                before,
                used,
                forecast,
                commands,
                "the budget of commands"
            );
        }
        Level::Within | Level::Longer => {
            tracing::info!(
                level,
                before,
                used,
                forecast,
                commands,
                "the budget of commands"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_level_is_found_by_its_number() {
        for level in Level::ALL {
            assert_eq!(Level::of(level as u8), level);
        }
    }

    #[test]
    fn what_a_process_tells_of_itself_costs_a_hundredth_of_the_budget() {
        let usual = Duration::from_secs(10);
        let of = |commands, per| pace(Some(BudgetSettings { commands, per }), usual).as_secs();
        assert_eq!(of(10_000, Per::Day), 864);
        assert_eq!(of(500_000, Per::Month), 518);
        assert_eq!(of(1_000, Per::Day), 1_200);
        assert_eq!(of(10_000_000, Per::Day), 10);
        assert_eq!(pace(None, usual), usual);
    }
}

//! Tells the fleet of one process.

use super::super::pause::Pause;
use super::super::{Tallies, day::Day};
use super::told::{Counts, Sum, Told};
use super::{HEARTBEAT_MS, SILENT_MS, counted, tidy};
use crate::key;
use crate::store::{Down, Store, own_field};
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;

/// How often it is looked for fields to be folded, and the lifetime of all is renewed; also at the end of a
/// process, when nobody's answer waits behind it.
const TIDY_EVERY_MS: u64 = 60 * 60 * 1000;

/// And once for so many tellings, where those are rare.
const TIDY_EACH: u64 = 40;

/// So rarely every step tells its news.
const SHORTEST_MS: u64 = 10_000;

/// Its part of the fleet, as one process knows it.
#[derive(Clone, Default)]
pub(in crate::stats) struct Own {
    /// Its field; empty before it has one.
    pub(super) field: String,
    /// What it counted that other fields tell.
    pub(super) base: Arc<Tallies>,
}

/// Tells the fleet of one process.
#[derive(Default)]
pub(in crate::stats) struct Teller {
    own: Own,
    /// Whether its field was surely written.
    is_written: bool,
    /// When it was last tried to write it.
    tried_at: u64,
    /// What it told last.
    told: Arc<Tallies>,
    told_at: u64,
    /// When it tidies up next; drawn by lot at first, so that a fleet that starts as one does not do it as one.
    tidies_at: Option<u64>,
    pause: Pause,
    /// Whether it told its last.
    is_over: bool,
}

/// What a process is about to tell.
pub(in crate::stats) struct News<'n> {
    pub(in crate::stats) tallies: &'n Tallies,
    pub(in crate::stats) day: Day,
    pub(in crate::stats) now: u64,
    /// Whether it is the last.
    pub(in crate::stats) is_last: bool,
    /// How often there may be any.
    pub(in crate::stats) every: Duration,
}

impl Teller {
    /// Tells what is news, and now and then that there is none.
    pub(in crate::stats) async fn tell(&mut self, store: &Store, namespace: &str, news: &News<'_>) {
        // The last word is tried in any case: there will be no other.
        let pauses = self.pause.holds(news.now) && !news.is_last;
        if self.is_over || pauses || !self.is_due(news) {
            return;
        }
        self.is_over = news.is_last;
        let name = key::stats(namespace);
        let told = self.try_telling(store, &name, news).await;
        self.pause.note(news.now, told.is_ok());
        let lot = || {
            let lot = crate::random::bytes().map_or(0, u64::from_le_bytes);
            news.now + lot % TIDY_EVERY_MS
        };
        let tidies_at = *self.tidies_at.get_or_insert_with(lot);
        if told.is_ok() && (news.is_last || tidies_at <= news.now) {
            let every = u64::try_from(news.every.as_millis()).unwrap_or(u64::MAX);
            self.tidies_at = Some(news.now + TIDY_EVERY_MS.max(TIDY_EACH * every));
            // What is not tidied up now is by somebody, some other time.
            let _ = tidy::tidy(store, &name, &self.own.field, news.now).await;
        }
    }

    pub(super) fn is_due(&self, news: &News<'_>) -> bool {
        let is_news = counted(news.tallies) != counted(&self.told);
        // What was told at a time to come was told before the clock was set back.
        let silent = news.now.checked_sub(self.told_at).unwrap_or(u64::MAX);
        let every = u64::try_from(news.every.as_millis()).unwrap_or(u64::MAX);
        let is_silent = silent >= HEARTBEAT_MS.max(every);
        // A step may come a moment early.
        let may_be = every <= SHORTEST_MS || silent >= every;
        (is_news && may_be) || is_silent || news.is_last
    }

    async fn try_telling(
        &mut self,
        store: &Store,
        name: &str,
        news: &News<'_>,
    ) -> Result<(), Down> {
        let value = self.draft(news).ok_or(Down)?;
        let is_new = store.put_field(name, &self.own.field, value).await?;
        if is_new {
            // Whoever made it anew may end before it is tidied up, and nothing is to stand for ever. Where this is
            // refused the counts are told all the same.
            let _ = store.renew_fields(name).await;
        }
        if self.wrote(is_new) {
            let value = self.draft(news).ok_or(Down)?;
            store.put_field(name, &self.own.field, value).await?;
        }
        self.told(news);
        Ok(())
    }

    /// All of it stands in the fleet's hash.
    pub(super) fn told(&mut self, news: &News<'_>) {
        (self.told, self.told_at) = (Arc::new(news.tallies.clone()), news.now);
    }

    /// What its field is to say: a new one after a long silence, as the old one may have been folded.
    pub(super) fn draft(&mut self, news: &News<'_>) -> Option<Bytes> {
        if self.own.field.is_empty() || self.was_silent(news.now) {
            let field = own_field(news.now)?;
            let base = self.told.clone();
            (self.own, self.is_written) = (Own { field, base }, false);
        }
        self.tried_at = news.now;
        let mut sum = Sum::default();
        for (rule, since) in self.own.since(news.tallies) {
            sum.add_rule(rule, &since);
        }
        let told = Told {
            at: news.now,
            ended: news.is_last,
            day: news.day.number(),
            commands: news.day.commands,
            forecast: news.day.forecast(news.now),
            counts: Counts::of(&sum),
            ..Told::default()
        };
        Some(told.bytes())
    }

    fn was_silent(&self, now: u64) -> bool {
        now.saturating_sub(self.tried_at) > SILENT_MS / 2
    }

    /// Its field was written; `is_new` says that it was not there. True if it is to be written once more: it had
    /// been there, so all was lost, and what was told before is to be told again.
    pub(super) fn wrote(&mut self, is_new: bool) -> bool {
        let is_lost = is_new && self.is_written;
        if is_lost {
            self.own.base = Arc::default();
        }
        self.is_written = true;
        is_lost
    }

    /// Its part, for who reads the others'.
    pub(in crate::stats) fn own(&self, now: u64) -> Own {
        match self.was_silent(now) {
            false => self.own.clone(),
            true => Own {
                field: String::new(),
                base: self.told.clone(),
            },
        }
    }

    /// Takes notice of whether its field is among those read. If it is not though it was, all was lost: then
    /// nothing counts as told, and all is told at the next step.
    pub(in crate::stats) fn saw_own(&mut self, is_there: bool, now: u64) {
        if !is_there && self.is_written && !self.was_silent(now) {
            self.own.base = Arc::default();
            self.is_written = false;
            (self.told, self.told_at) = (Arc::default(), 0);
        }
    }
}

impl Own {
    /// What it counted that only its own field tells, or none does yet.
    pub(super) fn since<'t>(
        &self,
        tallies: &'t Tallies,
    ) -> impl Iterator<Item = (&'t String, crate::metrics::Tally)> {
        tallies.iter().filter_map(|(rule, tally)| {
            let base = self.base.get(rule);
            let since = base.map_or_else(|| tally.clone(), |base| tally.since(base));
            (!since.is_empty()).then_some((rule, since))
        })
    }
}

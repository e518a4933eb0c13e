//! What processes tell each other: each keeps one field of a hash in the store, with all that it counted
//! since that field began. So nothing is counted twice however often it is told, and the counts of a process
//! outlive it. Fields that nobody has written for a while are folded into one; who was silent for half of that
//! goes on in a new one, so that whether his old one was folded makes no difference. Whoever reads the others'
//! adds his own as he has it: what he has not told, or had no room for, is never missing where he is asked.

mod teller; // writes a process's own field
mod tidy; // folds what silent processes told
mod told; // what a field says

use super::day::{DAY_MS, Day};
use super::{Tallies, shown};
use crate::key;
use crate::metrics::{Tally, Times, UNRULED};
use crate::store::{Down, Field, Store, latest_first};
use serde_json::{Map, Value as Json, json};
use std::time::Duration;
pub(super) use teller::{News, Own, Teller};
use told::{Sum, Told};

/// After so long without a word a field is folded.
const SILENT_MS: u64 = 60 * 60 * 1000;

/// A process that has no news says so this often: 20 commands an hour.
const HEARTBEAT_MS: u64 = 3 * 60 * 1000;

/// A process that told something within this time, and not that it ends, counts as running: one word of it may
/// get lost.
const RUNNING_MS: u64 = 2 * HEARTBEAT_MS + 60_000;

/// Bytes of fields that are read where somebody asks: those of a thousand processes with a dozen rules each.
const HEARD_BYTES: usize = 4 << 20;

fn requests(tally: &Tally) -> u64 {
    let times = tally.requests.iter().chain([&tally.origin]);
    times.map(Times::count).fold(0, u64::saturating_add)
}

/// What is news when it grows: what no rule is for is told along with the rest, not for its own sake.
fn counted(tallies: &Tallies) -> u64 {
    let ruled = tallies.iter().filter(|(rule, _)| *rule != UNRULED);
    ruled.fold(0, |sum, (_, tally)| sum.saturating_add(requests(tally)))
}

/// What a fleet did.
#[derive(Clone, Debug, Default)]
pub(super) struct Fleet {
    sum: Sum,
    processes: usize,
    commands: u64,
    forecast: u64,
    /// Fields that cannot be read.
    unread: usize,
}

/// What the others told, and whether the own field is there. Nothing where there is too much to be read.
pub(super) async fn heard(
    store: &Store,
    namespace: &str,
    own: &Own,
    (now, every): (u64, Duration),
) -> Result<(Fleet, bool), Down> {
    let name = key::stats(namespace);
    let mut names = store.field_names(&name).await?;
    let all = names.len();
    names.retain(|field| *field != own.field);
    let is_there = names.len() < all;
    latest_first(&mut names);
    let fields = store.fields(&name, names, HEARD_BYTES).await?;
    match fields.is_whole() {
        true => Ok((
            Fleet::of_others(&fields.all, &own.field, (now, every)),
            is_there,
        )),
        false => Err(Down),
    }
}

impl Fleet {
    /// Each tells something at least so often, or when it should by [`HEARTBEAT_MS`].
    fn of_others(fields: &[Field], own: &str, (now, every): (u64, Duration)) -> Fleet {
        let every = u64::try_from(every.as_millis()).unwrap_or(u64::MAX);
        let running = RUNNING_MS.max(2 * every + 60_000);
        let mut fleet = Fleet::default();
        for field in fields.iter().filter(|field| field.name != own) {
            let read = field.value.as_ref();
            match read.and_then(|value| Told::read(value, now)) {
                Some(told) => fleet.add(&told, tidy::is_past(field), (now, running)),
                None => fleet.unread += 1,
            }
        }
        fleet
    }

    fn add(&mut self, told: &Told, is_past: bool, (now, running): (u64, u64)) {
        let is_recent = told.at.saturating_add(running) >= now;
        let is_running = is_recent && !told.ended && !is_past;
        self.processes += usize::from(is_running);
        self.sum.add(&told.counts);
        if told.day == now / DAY_MS {
            // Of a process that is no more, what it was going to send is not sent.
            let foretold = if is_running {
                told.forecast
            } else {
                told.commands
            };
            self.commands = self.commands.saturating_add(told.commands);
            self.forecast = self.forecast.saturating_add(foretold);
        }
    }

    /// With the process that asks, which runs whether or not it has told anything.
    pub(super) fn with(mut self, own: &Own, tallies: &Tallies, (day, now): (Day, u64)) -> Fleet {
        for (rule, since) in own.since(tallies) {
            self.sum.add_rule(rule, &since);
        }
        self.processes += 1;
        self.commands = self.commands.saturating_add(day.commands);
        self.forecast = self.forecast.saturating_add(day.forecast(now));
        self
    }

    /// As JSON. `is_alone` says that nobody else could be heard.
    pub(super) fn shown(&self, is_alone: bool) -> Json {
        let ruled = self.sum.rules.iter().filter(|(rule, _)| *rule != UNRULED);
        let rules: Map<String, Json> = ruled
            .map(|(rule, tally)| (rule.clone(), Json::Object(shown::rule(tally))))
            .collect();
        let others = (!self.sum.others.is_empty()).then(|| shown::rule(&self.sum.others));
        json!({
            "rules": rules,
            "other_rules": others,
            "rules_not_told": self.sum.others_count,
            "total": shown::total(&self.sum.rules, &self.sum.others),
            "processes": self.processes,
            "only_this_process": is_alone,
            "unread": self.unread,
            "store": { "commands_today": self.commands, "commands_forecast": self.forecast },
        })
    }
}

#[cfg(test)]
mod tests;

//! What processes tell each other: each keeps one field of a hash in the store, with all that it counted
//! since it began. So nothing is counted twice however often it is told, and the counts of a process
//! outlive it. Fields of processes that fell silent are folded into one.

use super::day::Day;
use super::{Tallies, shown};
use crate::key;
use crate::metrics::{Tally, Times, UNRULED};
use crate::store::{Down, Store};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};
use std::collections::BTreeMap;

/// A process that told nothing for so long is taken to be no more.
const SILENT_MS: u64 = 24 * 60 * 60 * 1000;

/// A process that told something within this time counts as running.
const RUNNING_MS: u64 = 60_000;

/// The field of processes that are no more. No process has this name.
const PAST: &str = "past";

/// What one field says.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Told {
    at: u64,
    day: u64,
    commands: u64,
    forecast: u64,
    rules: BTreeMap<String, Numbers>,
}

/// A tally as numbers, by outcome in the order of [`crate::outcome::Outcome::ALL`].
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Numbers {
    requests: Vec<Vec<u64>>,
    origin: Vec<u64>,
    failed: u64,
    collapsed: u64,
}

impl Numbers {
    fn of(tally: &Tally) -> Numbers {
        Numbers {
            requests: tally.requests.iter().map(Times::to_numbers).collect(),
            origin: tally.origin.to_numbers(),
            failed: tally.failed,
            collapsed: tally.collapsed,
        }
    }

    fn tally(&self) -> Tally {
        let mut tally = Tally::default();
        for (times, numbers) in tally.requests.iter_mut().zip(&self.requests) {
            *times = Times::of_numbers(numbers);
        }
        tally.origin = Times::of_numbers(&self.origin);
        tally.failed = self.failed;
        tally.collapsed = self.collapsed;
        tally
    }
}

impl Told {
    fn of(tallies: &Tallies, day: Day, now: u64) -> Told {
        let counted = tallies.iter().filter(|(_, tally)| !tally.is_empty());
        Told {
            at: now,
            day: day.number(),
            commands: day.commands,
            forecast: day.forecast(now),
            rules: counted
                .map(|(rule, tally)| (rule.clone(), Numbers::of(tally)))
                .collect(),
        }
    }

    fn bytes(&self) -> Bytes {
        Bytes::from(serde_json::to_vec(self).expect("numbers by names are JSON"))
    }
}

/// Tells the fleet of one process.
#[derive(Default)]
pub(super) struct Teller {
    /// Its field; empty before it has told anything.
    field: String,
    /// What it told last.
    told: Tallies,
    /// What was told under its field before that was taken for a dead process's.
    base: Tallies,
}

impl Teller {
    /// Tells what is news.
    pub(super) async fn tell(
        &mut self,
        store: &Store,
        namespace: &str,
        tallies: Tallies,
        (now, day): (u64, Day),
    ) -> Result<(), Down> {
        if counted(&tallies) == counted(&self.told) {
            return Ok(());
        }
        let name = key::stats(namespace);
        let is_first = self.field.is_empty();
        if is_first {
            let drawn: [u8; 8] = crate::random::bytes().ok_or(Down)?;
            self.field = format!("{now}-{:016x}", u64::from_le_bytes(drawn));
            tidy(store, &name, now).await?;
        }
        let is_new = self.put(store, &name, &tallies, (now, day)).await?;
        if is_new && !is_first {
            self.base = std::mem::take(&mut self.told);
            self.put(store, &name, &tallies, (now, day)).await?;
        }
        self.told = tallies;
        Ok(())
    }

    async fn put(
        &self,
        store: &Store,
        name: &str,
        tallies: &Tallies,
        (now, day): (u64, Day),
    ) -> Result<bool, Down> {
        let since = tallies.iter().map(|(rule, tally)| {
            let base = self.base.get(rule);
            (
                rule.clone(),
                base.map_or_else(|| tally.clone(), |base| tally.since(base)),
            )
        });
        let told = Told::of(&since.collect(), day, now);
        store.put_field(name, &self.field, told.bytes()).await
    }
}

fn counted(tallies: &Tallies) -> u64 {
    let all = tallies
        .values()
        .flat_map(|tally| tally.requests.iter().chain([&tally.origin]));
    all.map(Times::count).sum()
}

async fn read(store: &Store, name: &str) -> Result<Vec<(String, Told)>, Down> {
    let fields = store.fields(name).await?;
    let parsed =
        |(field, value): (String, Bytes)| Some((field, serde_json::from_slice(&value).ok()?));
    Ok(fields.into_iter().filter_map(parsed).collect())
}

/// Folds what silent processes told.
async fn tidy(store: &Store, name: &str, now: u64) -> Result<(), Down> {
    let all = read(store, name).await?;
    let is_silent =
        |(field, told): &&(String, Told)| field != PAST && told.at.saturating_add(SILENT_MS) < now;
    let silent: Vec<String> = all
        .iter()
        .filter(is_silent)
        .map(|(field, _)| field.clone())
        .collect();
    let folded = all
        .iter()
        .filter(|(field, _)| field == PAST || silent.contains(field));
    let past = Told {
        at: now,
        rules: sum(folded.map(|(_, told)| told))
            .iter()
            .map(|(rule, tally)| (rule.clone(), Numbers::of(tally)))
            .collect(),
        ..Told::default()
    };
    store.fold_fields(name, PAST, past.bytes(), &silent).await
}

fn sum<'t>(all: impl Iterator<Item = &'t Told>) -> Tallies {
    let mut tallies = Tallies::new();
    for (rule, numbers) in all.flat_map(|told| &told.rules) {
        let tally = tallies.entry(rule.clone()).or_default();
        *tally = tally.plus(&numbers.tally());
    }
    tallies
}

/// What a fleet did.
#[derive(Clone, Debug, Default)]
pub(super) struct Fleet {
    tallies: Tallies,
    processes: usize,
    commands: u64,
    forecast: u64,
}

/// What all processes told.
pub(super) async fn heard(store: &Store, namespace: &str, now: u64) -> Result<Fleet, Down> {
    let all = read(store, &key::stats(namespace)).await?;
    let running = all
        .iter()
        .filter(|(field, told)| field != PAST && told.at.saturating_add(RUNNING_MS) >= now);
    let today = now / (24 * 60 * 60 * 1000);
    let of_today = || all.iter().filter(|(_, told)| told.day == today);
    Ok(Fleet {
        tallies: sum(all.iter().map(|(_, told)| told)),
        processes: running.count(),
        commands: of_today().map(|(_, told)| told.commands).sum(),
        forecast: of_today().map(|(_, told)| told.forecast).sum(),
    })
}

impl Fleet {
    /// A fleet of one.
    pub(super) fn of_one(tallies: &Tallies, day: Day, now: u64) -> Fleet {
        Fleet {
            tallies: tallies.clone(),
            processes: 1,
            commands: day.commands,
            forecast: day.forecast(now),
        }
    }

    /// As JSON. `is_alone` says that nobody else could be heard.
    pub(super) fn shown(&self, is_alone: bool) -> Json {
        let ruled = self.tallies.iter().filter(|(rule, _)| *rule != UNRULED);
        let rules: Map<String, Json> = ruled
            .map(|(rule, tally)| (rule.clone(), Json::Object(shown::rule(tally))))
            .collect();
        json!({
            "rules": rules,
            "total": shown::total(&self.tallies),
            "processes": self.processes,
            "only_this_process": is_alone,
            "store": { "commands_today": self.commands, "commands_forecast": self.forecast },
        })
    }
}

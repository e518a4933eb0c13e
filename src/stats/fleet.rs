//! What processes tell each other: each keeps one field of a hash in the store, with all that it counted
//! since that field began. So nothing is counted twice however often it is told, and the counts of a process
//! outlive it. Fields that nobody has written for a while are folded into one; who was silent for half of that
//! goes on in a new one, so that whether his old one was folded makes no difference.

use super::day::{DAY_MS, Day};
use super::{Tallies, shown};
use crate::key;
use crate::metrics::{Tally, Times, UNRULED};
use crate::store::{Down, Field, Store};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};
use std::collections::BTreeMap;

/// After so long without a word a field is folded.
const SILENT_MS: u64 = 60 * 60 * 1000;

/// How often it is looked for fields to be folded, and the lifetime of all is renewed.
const TIDY_EVERY_MS: u64 = 60 * 60 * 1000;

/// A process that told something within this time counts as running.
const RUNNING_MS: u64 = 60_000;

/// After a refusal it is tried again so much later, twice as long after each: what the store does not take
/// it is not asked for ten thousand times a day.
const FIRST_PAUSE_MS: u64 = 20_000;
const LONGEST_PAUSE_MS: u64 = 60 * 60 * 1000;

/// Bytes of a field: some hundred rules, of which those asked most are told. A store is not to spend its time
/// on statistics, nor a reply of them to hold up answers.
const MAX_TOLD: usize = 128 * 1024;

/// The field of what was folded. No process has this name.
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
    fn bytes(&self) -> Bytes {
        Bytes::from(serde_json::to_vec(self).expect("numbers by names are JSON"))
    }

    /// No more than a field may have: the rules that are asked most.
    fn bounded(mut self) -> Bytes {
        loop {
            let bytes = self.bytes();
            if bytes.len() <= MAX_TOLD {
                return bytes;
            }
            let mut by_traffic: Vec<(u64, String)> = self
                .rules
                .iter()
                .map(|(rule, numbers)| (requests(&numbers.tally()), rule.clone()))
                .collect();
            by_traffic.sort_unstable();
            for (_, rule) in by_traffic.iter().take(by_traffic.len().div_ceil(2)) {
                self.rules.remove(rule);
            }
        }
    }
}

/// Tells the fleet of one process.
#[derive(Default)]
pub(super) struct Teller {
    /// Its field; empty before it has told anything.
    field: String,
    /// What it told last, and when.
    told: Tallies,
    told_at: u64,
    /// What it counted before its field began.
    base: Tallies,
    tidied_at: u64,
    /// After a refusal: not before then, and for how long it was paused.
    paused: Option<(u64, u64)>,
}

impl Teller {
    /// Tells what is news.
    pub(super) async fn tell(
        &mut self,
        store: &Store,
        namespace: &str,
        tallies: &Tallies,
        (now, day): (u64, Day),
    ) {
        let is_paused = self.paused.is_some_and(|(until, _)| now < until);
        if is_paused || counted(tallies) == counted(&self.told) {
            return;
        }
        let told = self
            .try_telling(store, &key::stats(namespace), tallies, (now, day))
            .await;
        self.paused = match (told, self.paused) {
            (Ok(()), _) => None,
            (Err(Down), paused) => {
                let pause = paused.map_or(FIRST_PAUSE_MS, |(_, pause)| {
                    (2 * pause).min(LONGEST_PAUSE_MS)
                });
                Some((now + pause, pause))
            }
        };
    }

    async fn try_telling(
        &mut self,
        store: &Store,
        name: &str,
        tallies: &Tallies,
        (now, day): (u64, Day),
    ) -> Result<(), Down> {
        if self.field.is_empty() || now.saturating_sub(self.told_at) > SILENT_MS / 2 {
            let drawn: [u8; 8] = crate::random::bytes().ok_or(Down)?;
            self.field = format!("{now}-{:016x}", u64::from_le_bytes(drawn));
            self.base = self.told.clone();
        }
        let since = tallies.iter().filter_map(|(rule, tally)| {
            let base = self.base.get(rule);
            let since = base.map_or_else(|| tally.clone(), |base| tally.since(base));
            (!since.is_empty()).then(|| (rule.clone(), Numbers::of(&since)))
        });
        let told = Told {
            at: now,
            day: day.number(),
            commands: day.commands,
            forecast: day.forecast(now),
            rules: since.collect(),
        };
        store.put_field(name, &self.field, told.bounded()).await?;
        (self.told, self.told_at) = (tallies.clone(), now);
        if now.saturating_sub(self.tidied_at) > TIDY_EVERY_MS {
            tidy(store, name, now).await?;
            self.tidied_at = now;
        }
        Ok(())
    }
}

impl Teller {
    /// What it told last.
    pub(super) fn told(&self) -> &Tallies {
        &self.told
    }
}

fn requests(tally: &Tally) -> u64 {
    tally
        .requests
        .iter()
        .chain([&tally.origin])
        .map(Times::count)
        .sum()
}

/// What is news when it grows: what no rule is for is told along with the rest, not for its own sake.
fn counted(tallies: &Tallies) -> u64 {
    let ruled = tallies.iter().filter(|(rule, _)| *rule != UNRULED);
    ruled.map(|(_, tally)| requests(tally)).sum()
}

/// A field and what it says; `None` where that cannot be read: sealed with another key, or of another release.
async fn read(store: &Store, name: &str) -> Result<Vec<(Field, Option<Told>)>, Down> {
    let fields = store.fields(name).await?.into_iter();
    let parsed = |field: Field| {
        let told = field
            .value
            .as_ref()
            .and_then(|value| serde_json::from_slice(value).ok());
        (field, told)
    };
    Ok(fields.map(parsed).collect())
}

/// Folds what silent processes told, unless what was folded before cannot be read; and has all stand for
/// another while.
async fn tidy(store: &Store, name: &str, now: u64) -> Result<(), Down> {
    let all = read(store, name).await?;
    let is_past = |field: &Field| field.name == PAST;
    let is_lost = all
        .iter()
        .any(|(field, told)| is_past(field) && told.is_none());
    let is_silent = |told: &Told| told.at.saturating_add(SILENT_MS) < now;
    let known = all
        .iter()
        .filter_map(|(field, told)| Some((field, told.as_ref()?)));
    let (folded, told): (Vec<&Field>, Vec<&Told>) = known
        .filter(|(field, told)| is_past(field) || is_silent(told))
        .unzip();
    let others: Vec<Field> = folded.into_iter().cloned().collect();
    if is_lost || others.iter().all(is_past) {
        return store.renew_fields(name).await;
    }
    let rules = sum(told.into_iter());
    let rules = rules
        .iter()
        .map(|(rule, tally)| (rule.clone(), Numbers::of(tally)));
    let past = Told {
        at: now,
        rules: rules.collect(),
        ..Told::default()
    };
    store.fold_fields(name, PAST, past.bounded(), &others).await
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
    let all: Vec<(Field, Told)> = all
        .into_iter()
        .filter_map(|(field, told)| Some((field, told?)))
        .collect();
    let is_running = |field: &Field, told: &Told| {
        field.name != PAST && told.at.saturating_add(RUNNING_MS) >= now
    };
    let of_today = || all.iter().filter(|(_, told)| told.day == now / DAY_MS);
    // Of a process that is no more, what it was going to send is not sent.
    let foretold = |(field, told): &(Field, Told)| match is_running(field, told) {
        true => told.forecast,
        false => told.commands,
    };
    Ok(Fleet {
        tallies: sum(all.iter().map(|(_, told)| told)),
        // Who asks runs, whether or not he has told anything.
        processes: all
            .iter()
            .filter(|(field, told)| is_running(field, told))
            .count()
            .max(1),
        commands: of_today().map(|(_, told)| told.commands).sum(),
        forecast: of_today().map(foretold).sum(),
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

    /// With what one of its processes has counted and not told yet.
    pub(super) fn with(mut self, counted: &Tallies, told: &Tallies) -> Fleet {
        for (rule, tally) in counted {
            let untold = told
                .get(rule)
                .map_or_else(|| tally.clone(), |told| tally.since(told));
            let sum = self.tallies.entry(rule.clone()).or_default();
            *sum = sum.plus(&untold);
        }
        self
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;
    use crate::outcome::Outcome;
    use std::time::Duration;

    #[test]
    fn what_is_too_much_for_a_field_leaves_out_the_rules_asked_least() {
        let metrics = Metrics::new();
        for number in 0..400_u64 {
            let rule = metrics.rule(&format!("a rule with a name of its own, number {number}"));
            for step in 0..=number {
                rule.request(Outcome::Hit, Duration::from_millis(step));
            }
        }
        let tallies: Tallies = metrics.tallies().into_iter().collect();
        let rules = tallies
            .iter()
            .map(|(rule, tally)| (rule.clone(), Numbers::of(tally)));
        let all = Told {
            rules: rules.collect(),
            ..Told::default()
        };
        // What one counts is the same for all: no bound is reached by what is short.
        assert!(all.clone().bytes().len() < MAX_TOLD);
        assert_eq!(all.clone().bounded(), all.bytes());
        let mut longer = all.clone();
        for (name, numbers) in &all.rules {
            (0..5).for_each(|copy| {
                longer
                    .rules
                    .insert(format!("{copy} {name}"), numbers.clone());
            });
        }
        let told: Told = serde_json::from_slice(&longer.bounded()).expect("JSON");
        let least = told
            .rules
            .values()
            .map(|numbers| requests(&numbers.tally()))
            .min();
        assert!(least > Some(100), "{least:?} of {}", told.rules.len());
        assert!(told.rules.keys().any(|name| name.ends_with("number 399")));
    }
}

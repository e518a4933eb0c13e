//! What the processes of a fleet tell each other: which writes each saw, and what came of its verifying. Each keeps
//! a field of two hashes in the store, written at the pace of the statistics and only where there is news.
//!
//! However many they are, a step costs each the same: of what others told it hears so many bytes, and goes on from
//! there with its next step. What waits for it waits until all have been heard who were there when it began to hear
//! them, and is dropped where a process no longer told all of what was before (see [`super::writes`]).

use super::latest::Latest;
use super::silent::Silent;
use super::told::{self, Found};
use super::{Books, Gathered, Tally, Witness, ends};
use crate::budget;
use crate::digest::Digest;
use crate::key;
use crate::rules::table::Table;
use crate::stats;
use crate::store::{Down, Field, Store, any_first, latest_first, own_field, told_since};
use crate::suspects::Case;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::{Arc, MutexGuard};
use std::time::Duration;
use tokio::task::spawn_blocking;

/// By how much longer than its pace a process may take to tell something.
const MARGIN_MS: u64 = 2_000;

/// Bytes of what others told of writes that are heard in a step. All of a thousand processes together then have the
/// store send 50 MB a second at most, and hear all of each other within two minutes where each tells 6 KiB.
const HEARD_BYTES: usize = 512 << 10;

/// Bytes of what came of others' verifying that are read where somebody asks: some thousand cases, from which no more
/// follows than from all.
const GATHERED_BYTES: usize = 4 << 20;

/// Bytes that are read to tidy up.
const TIDIED_BYTES: usize = 1 << 20;

/// A write is told until it is so much older than any answer that is kept: by then all others have heard it. So what a
/// field takes hangs on how much is written, not on how long its process has run.
const TOLD_FOR: Duration = Duration::from_secs(10 * 60);

/// A field that nobody has written for so long is taken away: its process is no more, or has nothing to say. What came
/// of verifying is of use for a day; writes, only to who waits for them.
const SILENT_MS: u64 = 24 * 60 * 60 * 1000;
const SILENT_WRITES_MS: u64 = 60 * 60 * 1000;

/// How often it is looked for such fields.
const TIDY_EVERY_MS: u64 = 60 * 60 * 1000;

/// What was told by those who are silent is folded into this field, which says nothing. No process has such a name.
const GONE: &str = "gone";

/// A clock that is set back by more than this makes a time to come of what is remembered by its times. By less, what is
/// due is late by as much.
const SET_BACK_MS: u64 = 60_000;

/// Tells the fleet of one process, and hears the others.
#[derive(Default)]
pub(super) struct Teller {
    /// The name of its fields; empty before it has any.
    field: String,
    /// How many writes there were when they were told.
    told_writes: u64,
    /// When it was called last, whether or not it was time for anything.
    called_at: u64,
    stepped_at: u64,
    tidied_at: u64,
    round: Option<Round>,
    silent: Silent,
}

/// One hearing of all others, which may take several steps.
struct Round {
    /// All of the writes up to this moment are known when it has ended, in milliseconds of Unix time.
    known_ms: u64,
    /// Those who have not been heard yet.
    left: Vec<String>,
}

impl Teller {
    fn field(&mut self, now_ms: u64) -> Result<String, Down> {
        if self.field.is_empty() {
            self.field = own_field(now_ms).ok_or(Down)?;
        }
        Ok(self.field.clone())
    }

    /// Whether the clock was set back since it was called last, so far that it matters.
    fn is_set_back(&mut self, now_ms: u64) -> bool {
        let before = std::mem::replace(&mut self.called_at, now_ms);
        before > now_ms.saturating_add(SET_BACK_MS)
    }

    /// Of these fields, those of other processes.
    fn others(&self, mut names: Vec<String>) -> Vec<String> {
        names.retain(|name| *name != self.field && told_since(name).is_some());
        names
    }
}

impl Witness {
    /// Tells the fleet what is news, hears what others told if anything waits for it, and attributes what waited long
    /// enough: at most one command for each kind of news, and to hear one and a script for each 64 KiB, at most
    /// half a mebibyte. To be called every [`STEP`](stats::STEP). Nothing where nothing is verified.
    pub async fn step(&self, store: &Store, table: &Table, now_ms: u64) {
        if table.audit.verify == 0.0 {
            return;
        }
        let mut teller = self.0.teller.lock().await;
        if teller.is_set_back(now_ms) {
            self.begin_anew();
            *teller = Teller {
                called_at: now_ms,
                ..Teller::default()
            };
        }
        if !store.is_shared() {
            return self.attribute(table, now_ms).await;
        }
        let since = now_ms.saturating_sub(teller.stepped_at);
        let is_early = since.saturating_add(MARGIN_MS) < pace_ms(table);
        if is_early || !store.up() {
            return;
        }
        teller.stepped_at = now_ms;
        // What is not told now is at the next step.
        let _ = self.tell_writes(&mut teller, store, table, now_ms).await;
        let _ = self.hear_if_due(&mut teller, store, table, now_ms).await;
        let _ = self.tell_cases(&mut teller, store, table, now_ms).await;
        if teller.tidied_at.saturating_add(TIDY_EVERY_MS) <= now_ms {
            teller.tidied_at = now_ms;
            let _ = tidy(store, table, &mut teller, now_ms).await;
        }
    }

    /// Forgets what hangs on the times at which it was. What was told stays in the fleet's hashes, as another
    /// process's: this one goes on in another field.
    fn begin_anew(&self) {
        let mut books = self.books();
        *books = Books {
            layout: books.layout,
            segments: std::mem::take(&mut books.segments),
            ..Books::default()
        };
        tracing::warn!("the clock was set back: what was witnessed by its times is forgotten");
    }

    /// All writes up to this moment are known: what waited is attributed to them. Requests wait for the books, so they are
    /// closed meanwhile; what is found under rules that are no more by then is left out.
    async fn attribute(&self, table: &Table, known_ms: u64) {
        let (sightings, ended, writes) = {
            let mut books = self.books();
            if books.layout != Some(table.layout) {
                return;
            }
            let due = (books.cases.due(known_ms), books.ends.due(known_ms));
            (due.0, due.1, books.writes.known())
        };
        for one in ends::attributed(ended, table, &writes) {
            if let Some(mut books) = self.books_under(table.layout) {
                books.tallies.note_dropped(&one);
            }
        }
        let (witness, layout) = (self.clone(), table.layout);
        // Hundreds of them, each with hundreds of writes before it, take a while, in which others are to be answered.
        let attributed = spawn_blocking(move || {
            for sighting in sightings {
                let (pair, case) = (sighting.pair(&writes), sighting.case(&writes));
                if let Some(mut books) = witness.books_under(layout) {
                    pair.iter().for_each(|pair| books.persons.note(pair));
                    case.into_iter().for_each(|case| books.cases.add(case));
                }
            }
        });
        let _ = attributed.await; // it does not panic; if it did, what waited would be left out
    }

    /// The books, if they are of these rules.
    fn books_under(&self, layout: Digest) -> Option<MutexGuard<'_, Books>> {
        Some(self.books()).filter(|books| books.layout == Some(layout))
    }

    async fn tell_writes(
        &self,
        teller: &mut Teller,
        store: &Store,
        table: &Table,
        now_ms: u64,
    ) -> Result<(), Down> {
        let (count, own) = {
            let books = self.books();
            (books.writes.count(), books.writes.own())
        };
        if count == teller.told_writes {
            return Ok(());
        }
        let since_ms = told_since_ms(table, now_ms);
        let lately = own.into_iter().filter(|(_, write)| write.at_ms >= since_ms);
        let own = self.books().segments.without_others(lately.collect());
        let value = told::of_writes(now_ms, &own);
        put(teller, store, &key::writes(&table.namespace), value, now_ms).await?;
        teller.told_writes = count;
        Ok(())
    }

    async fn tell_cases(
        &self,
        teller: &mut Teller,
        store: &Store,
        table: &Table,
        now_ms: u64,
    ) -> Result<(), Down> {
        let told = {
            let mut books = self.books();
            let is_news = [books.cases.take_news(), books.tallies.take_news()];
            let layout = books.layout.filter(|_| is_news.contains(&true));
            let known = |layout| (layout, books.tallies.all().clone(), books.latest_first());
            layout.map(known)
        };
        match told {
            Some((layout, tallies, cases)) => {
                let cases = cases.iter().map(AsRef::as_ref);
                let found = Found::of(now_ms, &layout, &tallies, cases);
                let name = key::verified(&table.namespace);
                put(teller, store, &name, found.bytes(), now_ms).await
            }
            None => Ok(()),
        }
    }

    /// Goes on hearing the others, or begins to where something waits for it, and attributes what waited when all have
    /// been heard.
    async fn hear_if_due(
        &self,
        teller: &mut Teller,
        store: &Store,
        table: &Table,
        now_ms: u64,
    ) -> Result<(), Down> {
        let known_ms = now_ms.saturating_sub(pace_ms(table).saturating_add(MARGIN_MS));
        let first = self.books().cases.first_waiting();
        let name = key::writes(&table.namespace);
        let Round { known_ms, left } = match teller.round.take() {
            Some(round) => round,
            None if first.is_some_and(|first| first <= known_ms) => {
                let mut left = teller.others(store.field_names(&name).await?);
                latest_first(&mut left);
                Round { known_ms, left }
            }
            None => return Ok(()),
        };
        let fields = store.fields(&name, left, HEARD_BYTES).await?;
        self.hear(&fields.all, now_ms);
        match fields.is_whole() {
            true => self.attribute(table, known_ms).await,
            false => {
                let left = fields.left;
                teller.round = Some(Round { known_ms, left });
            }
        }
        Ok(())
    }

    fn hear(&self, fields: &[Field], now_ms: u64) {
        for field in fields {
            let told = field.value.as_ref().and_then(|value| told::writes(value));
            if let Some((_, writes)) = told {
                self.books().writes.hear(&field.name, writes, now_ms);
            }
        }
    }

    /// What the fleet witnessed under these rules: what others told, the latest of them first and as far as
    /// 4 MiB go, and all that this process knows. One command and a script for each 64 KiB, and what a step
    /// costs where something waits for what others saw.
    pub async fn gather(&self, store: &Store, table: &Table, now_ms: u64) -> Gathered {
        if !store.is_shared() {
            self.attribute(table, now_ms).await;
        }
        let mut teller = self.0.teller.lock().await;
        let (mut gathered, mut latest) = match store.is_shared() {
            true => {
                let heard = self.others(&mut teller, store, table, now_ms).await;
                heard.unwrap_or_else(|Down| (Gathered::of_nobody(), Latest::default()))
            }
            false => Default::default(),
        };
        let (tallies, cases) = {
            let books = self.books();
            match books.layout == Some(table.layout) {
                true => (books.tallies.all().clone(), books.latest_first()),
                false => Default::default(),
            }
        };
        gathered.add(&tallies);
        let latest_last = cases.iter().rev();
        latest_last.for_each(|case| latest.add(Case::clone(case)));
        gathered.cases = latest.all();
        gathered
    }

    /// What others told.
    async fn others(
        &self,
        teller: &mut Teller,
        store: &Store,
        table: &Table,
        now_ms: u64,
    ) -> Result<(Gathered, Latest), Down> {
        if !store.up() {
            return Err(Down);
        }
        // Where that cannot be, what waits goes on waiting.
        let _ = self.hear_if_due(teller, store, table, now_ms).await;
        let name = key::verified(&table.namespace);
        let mut others = teller.others(store.field_names(&name).await?);
        latest_first(&mut others);
        let fields = store.fields(&name, others, GATHERED_BYTES).await?;
        let layout = table.layout.to_string();
        // To read thousands of cases takes a while, in which others are to be answered.
        let read = spawn_blocking(move || {
            let (mut gathered, mut latest) = (Gathered::default(), Latest::default());
            gathered.not_heard = fields.left.len();
            gathered.is_alone = !fields.is_whole();
            for field in &fields.all {
                let found = field.value.as_ref().and_then(|value| Found::read(value));
                if let Some(found) = found.filter(|found| found.layout == layout) {
                    gathered.add(&found.tallies);
                    found.cases.into_iter().for_each(|case| latest.add(case));
                }
            }
            (gathered, latest)
        });
        read.await.map_err(|_| Down)
    }
}

impl Gathered {
    fn of_nobody() -> Gathered {
        Gathered {
            is_alone: true,
            ..Gathered::default()
        }
    }

    fn add(&mut self, tallies: &BTreeMap<String, Tally>) {
        for (rule, tally) in tallies {
            self.tallies.entry(rule.clone()).or_default().add(tally);
        }
    }
}

impl Books {
    /// The cases, for who takes his time.
    fn latest_first(&self) -> Vec<Arc<Case>> {
        self.cases.all().rev().cloned().collect()
    }
}

/// Writes before this moment are not told any more, in milliseconds of Unix time: no answer that is kept is as old.
pub(super) fn told_since_ms(table: &Table, now_ms: u64) -> u64 {
    let told_for = table.longest_ttl().saturating_add(TOLD_FOR).as_millis();
    now_ms.saturating_sub(u64::try_from(told_for).unwrap_or(u64::MAX))
}

/// How often a process tells what is news.
fn pace_ms(table: &Table) -> u64 {
    let every = budget::pace(table.store.budget, stats::STEP);
    u64::try_from(every.as_millis()).unwrap_or(u64::MAX)
}

async fn put(
    teller: &mut Teller,
    store: &Store,
    name: &str,
    value: Bytes,
    now_ms: u64,
) -> Result<(), Down> {
    let field = teller.field(now_ms)?;
    if store.put_field(name, &field, value).await? {
        // Nothing is to stand for ever. Where this is refused, it is told all the same.
        let _ = store.renew_fields(name).await;
    }
    Ok(())
}

/// Takes away what silent processes told long ago.
async fn tidy(store: &Store, table: &Table, teller: &mut Teller, now_ms: u64) -> Result<(), Down> {
    for (name, silent_ms) in [
        (key::writes(&table.namespace), SILENT_WRITES_MS),
        (key::verified(&table.namespace), SILENT_MS),
    ] {
        let mut names = store.field_names(&name).await?;
        names.retain(|field| *field != teller.field);
        any_first(&mut names); // what this one has no room for another reads, or the next time
        let fields = store.fields(&name, names, TIDIED_BYTES).await?.all;
        let (gone, others): (Vec<Field>, Vec<Field>) =
            fields.into_iter().partition(|field| field.name == GONE);
        let old = teller.silent.among(&name, others, silent_ms, now_ms);
        match old.is_empty() {
            true => store.renew_fields(&name).await?,
            false => {
                let (nothing, read) = (Bytes::from_static(b"{}"), [gone, old].concat());
                store.fold_fields(&name, GONE, nothing, &read).await?;
            }
        }
    }
    Ok(())
}

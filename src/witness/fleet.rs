//! What the processes of a fleet tell each other: which writes each saw, and what came of its verifying. Each keeps
//! a field of two hashes in the store, written at the pace of the statistics and only where there is news.

use super::cases::Cases;
use super::tally::Tallies;
use super::told::{self, Found};
use super::{Gathered, Witness};
use crate::budget;
use crate::digest::Digest;
use crate::key;
use crate::rules::table::Table;
use crate::stats;
use crate::store::{Down, Field, Store};
use bytes::Bytes;

/// By how much longer than its pace a process may take to tell something.
const MARGIN_MS: u64 = 2_000;

/// A field that nobody has written for so long is taken away: its process is no more, or has nothing to say. What came
/// of verifying is of use for a day; writes, only to who waits for them.
const SILENT_MS: u64 = 24 * 60 * 60 * 1000;
const SILENT_WRITES_MS: u64 = 60 * 60 * 1000;

/// How often it is looked for such fields.
const TIDY_EVERY_MS: u64 = 60 * 60 * 1000;

/// What was told by those who are silent is folded into this field, which says nothing. No process has such a name.
const GONE: &str = "gone";

/// Tells the fleet of one process, and hears the others.
#[derive(Default)]
pub(super) struct Teller {
    /// The name of its fields; empty before it has any.
    field: String,
    /// How many writes there were when they were told.
    told_writes: u64,
    stepped_at: u64,
    tidied_at: u64,
}

impl Teller {
    fn field(&mut self, now_ms: u64) -> Result<String, Down> {
        if self.field.is_empty() {
            let drawn: [u8; 8] = crate::random::bytes().ok_or(Down)?;
            self.field = format!("{now_ms}-{:016x}", u64::from_le_bytes(drawn));
        }
        Ok(self.field.clone())
    }
}

impl Witness {
    /// Tells the fleet what is news, hears what others told if anything waits for it, and attributes what waited long
    /// enough: at most one command for each kind of news, and one script to hear. To be called every
    /// [`STEP`](stats::STEP). Nothing where nothing is verified.
    pub async fn step(&self, store: &Store, table: &Table, now_ms: u64) {
        if table.audit.verify == 0.0 {
            return;
        }
        if !store.is_shared() {
            return self.attribute(table, now_ms);
        }
        let mut teller = self.0.teller.lock().await;
        let next = teller.stepped_at.saturating_add(pace_ms(table));
        let is_early = next > now_ms.saturating_add(MARGIN_MS);
        if is_early || !store.up() {
            return;
        }
        teller.stepped_at = now_ms;
        // What is not told now is at the next step.
        let _ = self.tell_writes(&mut teller, store, table, now_ms).await;
        self.hear_if_due(&teller, store, table, now_ms).await;
        let _ = self.tell_cases(&mut teller, store, table, now_ms).await;
        if teller.tidied_at.saturating_add(TIDY_EVERY_MS) <= now_ms {
            teller.tidied_at = now_ms;
            let _ = tidy(store, table, &teller, now_ms).await;
        }
    }

    fn attribute(&self, table: &Table, known_ms: u64) {
        let mut books = self.books();
        let super::Books {
            layout,
            cases,
            writes,
            tallies,
            ends,
            ..
        } = &mut *books;
        cases.attribute(writes, known_ms);
        if *layout == Some(table.layout) {
            let attributed = ends.attribute(table, writes, known_ms);
            attributed.iter().for_each(|one| tallies.note_dropped(one));
        }
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
        let own = self.books().segments.without_others(own);
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
            layout.map(|layout| found(&books.cases, &books.tallies, layout, now_ms))
        };
        match told {
            Some(found) => {
                let name = key::verified(&table.namespace);
                put(teller, store, &name, found.bytes(), now_ms).await
            }
            None => Ok(()),
        }
    }

    /// Attributes what waited until others had told what they saw: one script, if anything did.
    async fn hear_if_due(&self, teller: &Teller, store: &Store, table: &Table, now_ms: u64) {
        let known_ms = now_ms.saturating_sub(pace_ms(table) + MARGIN_MS);
        let first = self.books().cases.first_waiting();
        if first.is_some_and(|first| first <= known_ms)
            && self.hear(teller, store, table, now_ms).await.is_ok()
        {
            self.attribute(table, known_ms);
        }
    }

    async fn hear(
        &self,
        teller: &Teller,
        store: &Store,
        table: &Table,
        now_ms: u64,
    ) -> Result<(), Down> {
        let name = key::writes(&table.namespace);
        let fields = store.fields(&name, &teller.field).await?;
        if !fields.is_whole {
            return Err(Down); // who knows what the others saw
        }
        let mut books = self.books();
        for field in fields.all.iter().filter(|field| field.name != teller.field) {
            let told = field.value.as_ref().and_then(|value| told::writes(value));
            if let Some((_, writes)) = told {
                books.writes.hear(&field.name, writes, now_ms);
            }
        }
        Ok(())
    }

    /// What the fleet witnessed under these rules: what others told, and all that this process knows. One script, and
    /// one more where something waits for what others saw.
    pub async fn gather(&self, store: &Store, table: &Table, now_ms: u64) -> Gathered {
        if !store.is_shared() {
            self.attribute(table, now_ms);
        }
        let teller = self.0.teller.lock().await;
        let fields = match store.is_shared() && store.up() {
            true => {
                self.hear_if_due(&teller, store, table, now_ms).await;
                let name = key::verified(&table.namespace);
                store.fields(&name, &teller.field).await.ok()
            }
            false => None,
        };
        let is_alone = store.is_shared() && !fields.as_ref().is_some_and(|all| all.is_whole);
        let mut gathered = Gathered {
            is_alone,
            ..Gathered::default()
        };
        let layout = table.layout.to_string();
        for field in fields.iter().flat_map(|fields| &fields.all) {
            let value = field.value.as_ref().filter(|_| field.name != teller.field);
            let found = value.and_then(|value| Found::read(value));
            if let Some(found) = found.filter(|found| found.layout == layout) {
                gathered.add(found);
            }
        }
        let books = self.books();
        if books.layout == Some(table.layout) {
            for (rule, tally) in books.tallies.all() {
                gathered.tallies.entry(rule.clone()).or_default().add(tally);
            }
            gathered.cases.extend(books.cases.all().cloned());
        }
        gathered
    }
}

impl Gathered {
    fn add(&mut self, found: Found) {
        for (rule, tally) in &found.tallies {
            self.tallies.entry(rule.clone()).or_default().add(tally);
        }
        self.cases.extend(found.cases);
    }
}

/// How often a process tells what is news.
fn pace_ms(table: &Table) -> u64 {
    let every = budget::pace(table.store.budget, stats::STEP);
    u64::try_from(every.as_millis()).unwrap_or(u64::MAX)
}

fn found(cases: &Cases, tallies: &Tallies, layout: Digest, now_ms: u64) -> Found {
    Found::of(now_ms, &layout, tallies.all(), cases.all().rev())
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
async fn tidy(store: &Store, table: &Table, teller: &Teller, now_ms: u64) -> Result<(), Down> {
    let told_at = |field: &Field| {
        let value = field.value.as_ref()?;
        let of_writes = told::writes(value).map(|(at, _)| at);
        of_writes.or_else(|| Found::read(value).map(|found| found.at))
    };
    for (name, silent_ms) in [
        (key::writes(&table.namespace), SILENT_WRITES_MS),
        (key::verified(&table.namespace), SILENT_MS),
    ] {
        let fields = store.fields(&name, &teller.field).await?;
        let is_old =
            |field: &&Field| told_at(field).is_some_and(|at| at.saturating_add(silent_ms) < now_ms);
        let others = fields.all.iter().filter(|field| field.name != teller.field);
        let old = others.filter(|field| field.name == GONE || is_old(field));
        let old: Vec<Field> = old.cloned().collect();
        if old.iter().any(|field| field.name != GONE) {
            let nothing = Bytes::from_static(b"{}");
            store.fold_fields(&name, GONE, nothing, &old).await?;
        } else {
            store.renew_fields(&name).await?;
        }
    }
    Ok(())
}

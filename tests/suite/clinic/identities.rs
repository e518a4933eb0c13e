//! Half a hundred identities, honest, mistaken and hostile, read every route of the clinic in random
//! order through two sidecars while others write, and each answer is held against what the clinic
//! itself gives that very caller at that moment.
//!
//! `SIDECACHE_IDENTITIES_SEED` draws another order, `SIDECACHE_IDENTITIES_SECONDS` makes it last longer.

mod people; // who asks
mod routes; // what they ask, and what changes meanwhile
mod tokens; // tokens that the clinic never signed, too

use super::world::{Call, Clinic, Program};
use crate::chaos::Dice;
use crate::redis::{RedisServer, holds};
use crate::world::Got;
use people::{Identity, everybody};
use routes::{Changes, reads};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::RwLock;
use tokio::task::JoinSet;

const SEED: u64 = 20_261_122;
/// At a time, so that fills, hits and writes of different people meet.
const WORKERS: usize = 6;
/// A worker writes after so many reads.
const READS_FOR_A_WRITE: usize = 24;
/// A read that a write overtook is asked again; so many in a row would be no accident.
const MOST_OVERTAKEN: usize = 100;
/// What of an answer's head depends on who asks, or on what the body is.
const COMPARED: [&str; 7] = [
    "content-type",
    "content-length",
    "etag",
    "vary",
    "access-control-allow-origin",
    "access-control-allow-credentials",
    "set-cookie",
];
/// Of people, their addresses and what they suffer from: in keys, answers, or both.
const PERSONAL: [&str; 6] = [
    "patient1@clinic",
    "doctor1@clinic",
    "admin@clinic",
    "Rahman",
    "Lindgren",
    routes::COMPLAINT,
];
const SEAL: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

struct Ward {
    clinic: Clinic,
    sidecars: [Program; 2],
    redis: RedisServer,
    people: Vec<Identity>,
    changes: Changes,
    /// Reads that are compared hold it for reading; half of the writes have it for themselves.
    quiet: RwLock<()>,
    begun: AtomicU64,
    ended: AtomicU64,
    compared: AtomicUsize,
    hits: AtomicUsize,
}

/// The same wherever it comes from: nothing of the body is left out, of the head what is compared.
/// The other fields tell of one exchange (`Date`, `Age`, limits).
fn seen(got: &Got) -> (u16, Vec<Option<&[u8]>>, String) {
    let fields = COMPARED.map(|name| got.headers.get(name).map(|value| value.as_bytes()));
    (got.status, fields.to_vec(), got.text())
}

impl Ward {
    async fn open(sealed: bool, planted: &[(&str, &str)]) -> Ward {
        let (clinic, redis) = (Clinic::start().await, RedisServer::start());
        let key = if sealed { SEAL } else { "" };
        let store = format!("seal = \"{key}\"\ncompress = \"none\"");
        let sealing = ("seal = \"${SIDECACHE_SEAL_KEY:-}\"", store.as_str());
        let changes = [&[sealing], planted].concat();
        let sidecars = [
            Program::start_with(&clinic, &redis, &changes).await,
            Program::start_with(&clinic, &redis, &changes).await,
        ];
        Ward {
            people: everybody(),
            changes: Changes::of(&clinic),
            clinic,
            sidecars,
            redis,
            quiet: RwLock::new(()),
            begun: AtomicU64::new(0),
            ended: AtomicU64::new(0),
            compared: AtomicUsize::new(0),
            hits: AtomicUsize::new(0),
        }
    }

    /// Asks as this person until no write was under way meanwhile.
    async fn compare(&self, person: &Identity, read: &Call, dice: &mut Dice) {
        let read = routes::respelt(read, dice);
        for _ in 0..MOST_OVERTAKEN {
            let call = person.asks(&read);
            let _quiet = self.quiet.read().await;
            let ended = self.ended.load(SeqCst);
            let before = self.clinic.answers(&call).await;
            let got = self.sidecars[dice.below(2)].answers(&call).await;
            let after = self.clinic.answers(&call).await;
            let overtaken = self.begun.load(SeqCst) != ended;
            let told = || {
                let (place, outcome) = (&person.name, got.cache_status());
                let asked = format!("{} {} {:?}", call.method, call.path, call.headers);
                format!("{place}: {asked}: {outcome}\n{before:?}\n{got:?}\n{after:?}")
            };
            if overtaken {
                let statuses = [before.status, after.status];
                assert!(statuses.contains(&got.status), "{}", told());
                assert!(routes::same_owner(&call, &before, &got), "{}", told());
                continue;
            }
            // Only a token that expired in between makes the clinic's own two answers differ.
            let fits = seen(&got) == seen(&before) || seen(&got) == seen(&after);
            assert!(fits, "{}", told());
            self.compared.fetch_add(1, SeqCst);
            self.hits.fetch_add((got.outcome() == "hit").into(), SeqCst);
            return;
        }
        panic!("{} {} is always overtaken", person.name, read.path);
    }

    async fn write(&self, dice: &mut Dice) {
        let call = self.changes.draw(&self.people, dice);
        let alone = match dice.once_in(2) {
            true => Some(self.quiet.write().await),
            false => None,
        };
        self.begun.fetch_add(1, SeqCst);
        self.sidecars[dice.below(2)].answers(&call).await;
        self.ended.fetch_add(1, SeqCst);
        drop(alone);
    }
}

/// Everybody asks each of these once, in the order that the seed says: every other pair of the two,
/// those of `half`. Returns how many workers saw something wrong, which they have told.
async fn round(ward: &Arc<Ward>, reads: Vec<Call>, seed: u64, half: u64) -> usize {
    let mut dice = Dice::new(seed, 0);
    let reads = Arc::new(reads);
    let pairs =
        (0..ward.people.len()).flat_map(|who| (0..reads.len()).map(move |what| (who, what)));
    let mut deck: Vec<_> = pairs.collect();
    for last in (1..deck.len()).rev() {
        deck.swap(last, dice.below(last + 1));
    }
    let mut nth = half as usize;
    deck.retain(|_| {
        nth += 1;
        nth.is_multiple_of(2)
    });
    let deck = Arc::new(Mutex::new(deck));
    let mut workers = JoinSet::new();
    for _ in 0..WORKERS {
        let (ward, reads, deck) = (ward.clone(), reads.clone(), deck.clone());
        let mut dice = dice.another();
        workers.spawn(async move {
            let next = || deck.lock().expect("not poisoned").pop();
            while let Some((who, what)) = next() {
                ward.compare(&ward.people[who], &reads[what], &mut dice)
                    .await;
                if dice.once_in(READS_FOR_A_WRITE) {
                    ward.write(&mut dice).await;
                }
            }
        });
    }
    let mut wrong = 0;
    while let Some(worker) = workers.join_next().await {
        wrong += usize::from(worker.is_err());
    }
    wrong
}

fn number(variable: &str, default: u64) -> u64 {
    let set = std::env::var(variable).ok();
    set.map_or(default, |text| text.parse().expect("a number"))
}

async fn everybody_asks_everything(sealed: bool) -> Arc<Ward> {
    let began = Instant::now();
    let lasts = Duration::from_secs(number("SIDECACHE_IDENTITIES_SECONDS", 0));
    let mut seed = number("SIDECACHE_IDENTITIES_SEED", SEED);
    let ward = Arc::new(Ward::open(sealed, &[]).await);
    assert!(ward.people.len() >= 50);
    let mut half = u64::from(sealed); // what one does not ask now, the other does
    loop {
        eprintln!("SIDECACHE_IDENTITIES_SEED={seed}, sealed: {sealed}");
        let wrong = round(&ward, reads(&ward.clinic), seed, half).await;
        assert_eq!(wrong, 0, "said above");
        (seed, half) = (seed + 1, 1 - half);
        if began.elapsed() >= lasts {
            break;
        }
    }
    let (compared, hits) = (ward.compared.load(SeqCst), ward.hits.load(SeqCst));
    let (writes, took) = (ward.ended.load(SeqCst), began.elapsed());
    eprintln!("{compared} answers compared, {hits} of them hits, {writes} writes, {took:.0?}");
    assert!(
        hits * 10 > compared,
        "{hits} hits of {compared}: hardly a cache"
    );
    ward
}

fn personal(ward: &Ward) -> Vec<&'static str> {
    let dump = ward.redis.dump();
    let found = PERSONAL.into_iter().filter(|word| holds(&dump, word));
    found.collect()
}

#[tokio::test]
async fn fifty_identities_get_what_the_origin_gives_them_and_a_dump_shows_who_they_are() {
    let ward = everybody_asks_everything(false).await;
    assert_eq!(personal(&ward), PERSONAL, "the search finds what is there");
}

#[tokio::test]
async fn fifty_identities_get_what_the_origin_gives_them_and_a_sealed_dump_shows_nobody() {
    let ward = everybody_asks_everything(true).await;
    assert_eq!(personal(&ward), Vec::<&str>::new());
    let kept = ward.redis.say("DBSIZE").parse::<usize>().expect("a count");
    assert!(kept > 100, "{kept} keys");
}

/// That the comparison finds what it is for.
#[tokio::test]
async fn a_key_that_lacks_the_person_would_be_seen() {
    let sound = "key   = \"dashboard:{claims.role | lower}:{claims.email}\"";
    let planted = "key   = \"dashboard:{claims.role | lower}:all\"";
    let ward = Arc::new(Ward::open(true, &[(sound, planted)]).await);
    let dashboard = vec![Call::get("/api/v1/meta")];
    assert_ne!(round(&ward, dashboard, SEED, 0).await, 0);
}

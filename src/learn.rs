//! Which writes change which reads: measured against a test environment, by making every recorded write once
//! more and asking the recorded reads before and after it.
//!
//! The reads are those that rules keep, one of each key, asked as the proxy would ask them. Each is asked twice
//! after each write, so that what of an answer is restless is known; what they said after one write is what they
//! are held against after the next. Before the first write they are asked in two moments a second apart, so that
//! what changes with time alone is known as well.

mod asking; // the origin, asked as the proxy asks it
mod carried; // values that the origin made anew
mod matrix; // which writes change which reads
mod naming; // what a drop is named by
mod proposal; // the sets to write down
mod reads; // what is asked again and again
mod routes; // what writes are called
mod writes; // what is made once

pub use matrix::{Cell, Judged, Matrix, Row};
pub use proposal::{Missing, Proposal, Useless};
pub use writes::Unmeasured;

use crate::digest::{Digest, Digester};
use crate::live::Live;
use crate::rules::settings::OriginAddress;
use crate::traffic::{Exchange, Source, Traffic};
use asking::Asker;
use carried::Carried;
use hyper::header::HeaderValue;
use reads::{Looked, Reads, Recorded, Seen, Sight};
use routes::Ids;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;
use writes::{Line, Made};

/// Between the two moments in which reads are asked before any write: a clock that shows seconds has gone on.
const MOMENTS: Duration = Duration::from_millis(1100);

/// How much longer than usual a write is waited for that changed nothing at first sight.
const SECOND_SIGHT: u32 = 4;

/// Recorded requests of a rule that are looked at for each key that is asked: the others are of keys that there
/// is no room for, or of the same ones by other tokens.
const LOOKED_AT: usize = 16;

/// How it is measured.
pub struct Settings {
    /// The origin.
    pub origin: OriginAddress,
    /// The `Host` that it is asked with.
    pub host: HeaderValue,
    /// Reads that are asked at a time.
    pub jobs: usize,
    /// How long an origin is left alone after a write.
    pub settle: Duration,
    /// Most keys of a rule.
    pub keys: usize,
    /// Most writes of a route that are measured.
    pub writes: usize,
}

/// A measurement under way, with what it has come to so far.
pub struct Learning {
    live: Arc<Live>,
    asker: Arc<Asker>,
    settings: Settings,
    source: Source,
    writes: Vec<(usize, Exchange)>,
    ids: Ids,
    reads: Reads,
    carried: Carried,
    /// Something was written since the reads were asked last.
    is_behind: bool,
    /// The route of the write that is being made or measured: where that breaks off, the origin may have done it.
    pub under_way: Option<String>,
    /// What was measured.
    pub measured: Measured,
}

/// What was measured.
#[derive(Default)]
pub struct Measured {
    /// Every write that was made or was to be, in the order of the traffic.
    pub writes: Vec<Write>,
    /// By rule: how many of its keys were asked.
    pub keys: BTreeMap<usize, usize>,
    /// By rule: keys that there was no room for.
    pub left_out: BTreeMap<usize, usize>,
    /// By rule: where answers differ without a write.
    pub restless: BTreeMap<usize, BTreeSet<String>>,
    /// Reads that the origin did not answer at some time, as `rule#digest`.
    pub unanswered: BTreeSet<String>,
    /// Recorded requests of rules that may not use them as they are: without a valid credential, or with
    /// parameters that no key holds. By rule.
    pub unusable: BTreeMap<usize, usize>,
}

/// A write, and what became of the reads.
pub struct Write {
    /// Its route.
    pub route: String,
    /// What a drop can be named by.
    pub parts: Vec<(String, String)>,
    /// Why nothing is said of it.
    pub unmeasured: Option<Unmeasured>,
    /// The reads that were held against what they said before.
    pub cases: Vec<Case>,
}

/// A read around a write.
pub struct Case {
    /// Position of its rule.
    pub rule: usize,
    /// `rule#digest`.
    pub label: String,
    /// The segments of its key.
    pub segments: Vec<String>,
    /// Where it differs; empty: it does not.
    pub at: Vec<String>,
    /// The lines of the rules that drop it.
    pub dropped_by: Vec<Line>,
}

impl Learning {
    /// Takes the reads and writes of a recording apart. Nothing is asked yet.
    ///
    /// # Errors
    /// That there is nothing to measure, or nobody to ask.
    pub fn new(live: Arc<Live>, traffic: Traffic, settings: Settings) -> Result<Learning, String> {
        let asker = Arc::new(Asker::new(&settings.origin, settings.host.clone())?);
        let source = traffic.source;
        let carried = Carried::among(traffic.exchanges.iter().map(Exchange::path));
        let is_write = |exchange: &&Exchange| writes::is_write(&live, &asker, exchange);
        let exchanges = &traffic.exchanges;
        let ids = Ids::of(exchanges.iter().filter(is_write), exchanges.iter());
        let (mut recorded, mut writes) = (Vec::new(), Vec::new());
        let mut measured = Measured::default();
        let (mut known, mut counts) = (BTreeSet::new(), BTreeMap::new());
        for (position, exchange) in traffic.exchanges.into_iter().enumerate() {
            if is_write(&&exchange) {
                writes.push((position, exchange));
            } else if let Some(matched) = live.table.read(&exchange.method, exchange.path()) {
                if reads::usable(&live, &asker, &exchange).is_none() {
                    *measured.unusable.entry(matched.what.index).or_default() += 1;
                }
                let is_related = ids.is_about_a_write(&exchange);
                let count = counts.entry((matched.what.index, is_related)).or_insert(0);
                if *count < settings.keys * LOOKED_AT && known.insert(spelt(&exchange)) {
                    *count += 1;
                    recorded.push(Recorded {
                        position,
                        exchange,
                        is_related,
                    });
                }
            }
        }
        if writes.is_empty() {
            return Err("the traffic holds no writes (POST, PUT, PATCH, DELETE): record some visits in which \
                        something is changed"
                .to_owned());
        }
        if recorded.is_empty() {
            return Err("the traffic holds no requests that a [[cache]] rule matches: is this the right rules \
                        file, and are its paths those of the traffic?"
                .to_owned());
        }
        Ok(Learning {
            reads: Reads::new(recorded, settings.keys),
            carried,
            is_behind: false,
            under_way: None,
            ids,
            live,
            asker,
            settings,
            source,
            writes,
            measured,
        })
    }

    /// How many steps there are: one for each write, and one before them.
    pub fn steps(&self) -> usize {
        self.writes.len() + 1
    }

    /// Measures everything; `told` hears of each step that is done. May be dropped half way: what was measured
    /// by then is there.
    ///
    /// # Errors
    /// That nobody answers. Nothing was written then.
    pub async fn measure(&mut self, told: &mut dyn FnMut()) -> Result<(), String> {
        self.baseline().await?;
        told();
        for at in 0..self.writes.len() {
            let (position, exchange) = self.writes[at].clone();
            self.write(position, &exchange).await;
            told();
        }
        Ok(())
    }

    /// Before the first write: what changes with time alone.
    async fn baseline(&mut self) -> Result<(), String> {
        let looked = self.look(0, Sight::Last).await;
        let asked = self.reads.kept.len();
        if asked > 0 && looked.unanswered.len() == asked {
            return Err(format!(
                "nothing answers at {}: is the origin running there?",
                self.settings.origin
            ));
        }
        sleep(MOMENTS).await;
        let looked = self.look(0, Sight::Last).await;
        self.reads.forgive(&looked);
        self.note();
        Ok(())
    }

    async fn look(&mut self, position: usize, sight: Sight) -> Looked {
        let (live, asker, jobs) = (&self.live, &self.asker, self.settings.jobs);
        let looked = self
            .reads
            .look(live, asker, &self.carried, position, sight, jobs)
            .await;
        let unanswered = looked.unanswered.iter().cloned();
        self.measured.unanswered.extend(unanswered);
        looked
    }

    async fn write(&mut self, position: usize, exchange: &Exchange) {
        let route = self.ids.route(&self.live, exchange, exchange.path()).text;
        let before = self.measured.writes.iter();
        let measured = before.filter(|one| one.route == route && one.unmeasured.is_none());
        let is_measured = measured.count() < self.settings.writes;
        if is_measured && self.is_behind {
            self.look(position, Sight::Last).await;
        }
        self.under_way = Some(route.clone());
        let (live, asker, carried) = (&self.live, &self.asker, &mut self.carried);
        let made = writes::make(live, asker, carried, &self.ids, exchange, self.source).await;
        self.is_behind |= !matches!(made, Err(Unmeasured::NoBody));
        sleep(self.settings.settle).await;
        let (parts, unmeasured, cases) = match made {
            Err(why) => (Vec::new(), Some(why), Vec::new()),
            Ok(made) if !is_measured => (made.parts, Some(Unmeasured::Enough), Vec::new()),
            Ok(made) => {
                let cases = self.measure_one(position, &made).await;
                (made.parts, None, cases)
            }
        };
        self.measured.writes.push(Write {
            route,
            parts,
            unmeasured,
            cases,
        });
        self.under_way = None;
        self.note();
    }

    /// Holds all reads against what they said before a write. Where nothing has changed, or something is changing
    /// still, the origin is given some more time: it may go on working when it has answered.
    async fn measure_one(&mut self, position: usize, made: &Made) -> Vec<Case> {
        let mut looked = self.look(position, Sight::First).await;
        if !looked.is_clear() {
            sleep(self.settings.settle * SECOND_SIGHT).await;
            let second = self.look(position, Sight::Last).await;
            looked = looked.followed_by(second);
        }
        self.is_behind = false;
        self.cases(&looked, made)
    }

    fn cases(&self, looked: &Looked, made: &Made) -> Vec<Case> {
        let seen = looked.seen.iter();
        let seen = seen.filter_map(|(entry, seen)| Some((self.reads.kept.get(entry)?, seen)));
        let case = |(kept, seen): (&reads::Kept, &Seen)| {
            let dropped = made.dropped.iter();
            let by =
                dropped.filter(|(_, nodes)| kept.nodes.iter().any(|node| nodes.contains(node)));
            Case {
                rule: kept.rule,
                label: kept.label.clone(),
                segments: kept.segments.clone(),
                at: match seen {
                    Seen::Changed(at) => at.clone(),
                    Seen::Unchanged | Seen::Unsettled => Vec::new(),
                },
                dropped_by: by.map(|(line, _)| *line).collect(),
            }
        };
        seen.map(case).collect()
    }

    /// Says how many keys there are, and what of their answers is restless.
    fn note(&mut self) {
        let measured = &mut self.measured;
        measured.keys.clear();
        for kept in self.reads.kept.values() {
            *measured.keys.entry(kept.rule).or_default() += 1;
        }
        let left_out = self.reads.left_out.iter();
        measured.left_out = left_out.map(|(rule, keys)| (*rule, keys.len())).collect();
        measured.restless = self.reads.restless.clone();
    }
}

impl Case {
    /// Whether it was changed.
    pub fn is_changed(&self) -> bool {
        !self.at.is_empty()
    }
}

/// Headers that say something of one request, and nothing that shapes an answer.
const OF_THE_MOMENT: [&str; 9] = [
    "traceparent",
    "tracestate",
    "x-request-id",
    "x-correlation-id",
    "if-none-match",
    "if-modified-since",
    "x-forwarded-for",
    "referer",
    "date",
];

/// By what a recorded request is told from one that may be answered otherwise.
fn spelt(exchange: &Exchange) -> Digest {
    let mut digester = Digester::new("recorded");
    digester.part(exchange.method.as_str().as_bytes());
    digester.part(exchange.target.as_bytes());
    digester.part(&exchange.body);
    let headers = exchange.headers.iter();
    for (name, value) in headers.filter(|(name, _)| !OF_THE_MOMENT.contains(&name.as_str())) {
        digester
            .part(name.as_str().as_bytes())
            .part(value.as_bytes());
    }
    digester.finish()
}

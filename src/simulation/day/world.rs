//! Two sidecars, a Redis that counts, and an origin whose answers say when they were made.

use super::traffic::{Act, DAY_MS, Traffic};
use super::{Day, WRITES};
use crate::alerts::Alerts;
use crate::body::Body;
use crate::budget::{Budget, Level};
use crate::client::Client;
use crate::clock::{Clock, simulated as clocks};
use crate::jwks::Issuers;
use crate::key;
use crate::live::{self, Ground, Live};
use crate::metrics::Metrics;
use crate::origin::{self, SimulatedAnswer};
use crate::passing::Passing;
use crate::proxy;
use crate::quarantine::Quarantine;
use crate::rules::check;
use crate::rules::table::Table;
use crate::stats::Stats;
use crate::store::simulated::{self, Eventually, Keys, Line, Reply, Server};
use crate::store::{Opening, Store};
use crate::trace::Tracer;
use crate::warming::Warming;
use crate::witness::Witness;
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::{Request, Response};
use std::collections::HashMap;
use std::future::{pending, ready};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::broadcast;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::task::TaskTracker;

const SIDECARS: usize = 2;

/// How often it is judged, and told.
const JUDGED_MS: u64 = 10_000;
const TOLD_MS: u64 = 60_000;

/// What the origin takes.
const ORIGIN_TAKES: Duration = Duration::from_millis(20);

const NODE_TTL: Duration = Duration::from_secs(2 * 86_400);

/// From the clocks' beginning to the next midnight.
const TO_MIDNIGHT_MS: u64 = DAY_MS - 1_790_000_000_000 % DAY_MS;

/// The rules of the clinic, but that people stand in the query, not in a token: neither is known to a write by its
/// path. Of each rule: what its path and its query are, `key` and `ttl`.
const RULES: [(&str, &str, &str); 10] = [
    ("list", "doctors:list:{query}", "5m"),
    ("details", "doctors:details:{n}", "5m"),
    ("specialties", "specialties:list:{query}", "30m"),
    ("reviews", "reviews:list:{query}", "10m"),
    ("suggestion", "ai:query:{query}", "24h"),
    ("patient", "patients:details:{n}", "10m"),
    ("session", "sessions:user:{query}", "10m"),
    ("profile", "profiles:user:{query}", "10m"),
    ("appointments", "appointments:patient:{query}", "1m"),
    ("dashboard", "dashboard:patient:{query}", "2m"),
];

fn in_path(key: &str) -> bool {
    key.contains("{n}")
}

fn rules(budget: Option<u64>) -> String {
    let budget = budget.map_or(String::new(), |commands| {
        format!("budget = {{ commands = {commands}, per = \"day\" }}\n")
    });
    let mut text = format!(
        "namespace = \"day\"\n[proxy]\nlisten = \"127.0.0.1:0\"\norigin = \"http://127.0.0.1:1\"\n\
         hosts = [\"api.test\"]\n[store]\nurl = \"redis://127.0.0.1:1\"\n{budget}"
    );
    for (name, key, ttl) in RULES {
        text += &format!(
            "[[cache]]\nname = \"{name}\"\nmatch = \"GET /{name}{}\"\nkey = \"{key}\"\nquery = [{}]\n\
             ttl = \"{ttl}\"\nlocal_ttl_max = \"30m\"\npublic = true\n",
            if in_path(key) { "/{n}" } else { "" },
            if in_path(key) { "" } else { "\"n\"" },
        );
    }
    for (name, _, changes) in super::traffic::WRITES {
        let beginning = |rule: &&str| {
            let (_, key, _) = RULES
                .into_iter()
                .find(|(name, ..)| name == rule)
                .expect("a rule");
            let (beginning, _) = key.split_once('{').expect("a placeholder");
            format!("\"{beginning}*\"")
        };
        let drops: Vec<String> = changes.iter().map(beginning).collect();
        text += &format!(
            "[[invalidate]]\nname = \"{name}\"\non = \"POST /{name}\"\ndrop = [{}]\n",
            drops.join(", ")
        );
    }
    text
}

/// A Redis without faults, which counts what a provider bills.
struct Redis {
    keys: Mutex<Keys>,
    began: Instant,
    billed: AtomicU64,
    fields: Mutex<u64>,
    heard: broadcast::Sender<Bytes>,
}

impl Redis {
    fn carry_out(&self, words: &[Bytes]) -> Reply {
        let reply = match simulated::name(words) {
            "HSET" => {
                let mut fields = self.fields.lock().expect("not poisoned");
                *fields += 1;
                Reply::Number(i64::from(*fields <= SIDECARS as u64))
            }
            "HKEYS" => Reply::Many(Vec::new()), // fields are shown to nobody
            // Of the scripts only that of the fleet's fields has no double: it shows none.
            "EVALSHA" | "EVAL" => {
                let none = Reply::Many(vec![Reply::Bytes("0".into())]);
                Reply::Many(vec![none, Reply::Number(1)])
            }
            _ => {
                let now = 1_790_000_000_000 + self.began.elapsed().as_millis() as u64;
                let mut keys = self.keys.lock().expect("not poisoned");
                let reply = keys.carry_out(words, now);
                for (_, message) in keys.published() {
                    let _ = self.heard.send(message); // perhaps nobody listens
                }
                reply
            }
        };
        let inner = match (simulated::name(words), &reply) {
            ("PING" | "INFO", _) => return reply,
            ("SNAPSHOT" | "LEASE" | "SETTLE" | "EVAL" | "EVALSHA", Reply::Many(told)) => {
                match told.last() {
                    Some(Reply::Number(calls)) => *calls as u64,
                    _ => 0,
                }
            }
            _ => 0,
        };
        self.billed.fetch_add(1 + inner, Relaxed);
        reply
    }
}

#[derive(Clone)]
struct Way(Arc<Redis>);

impl Server for Way {
    fn connect(&self) -> Eventually<Option<Arc<dyn Line>>> {
        let line: Arc<dyn Line> = Arc::new(self.clone());
        Box::pin(ready(Some(line)))
    }
}

impl Line for Way {
    fn send(&self, words: Vec<Bytes>) -> Eventually<Option<Reply>> {
        Box::pin(ready(Some(self.0.carry_out(&words))))
    }

    fn broken(&self) -> Eventually<()> {
        Box::pin(pending())
    }

    fn heard(&self) -> broadcast::Receiver<Bytes> {
        self.0.heard.subscribe()
    }

    fn close(&self) {}
}

/// All of it.
pub(super) struct World {
    redis: Arc<Redis>,
    sidecars: Vec<Arc<Live>>,
    /// Midnight.
    began: Instant,
    asked: Arc<AtomicU64>,
    has_budget: bool,
}

fn target(what: &str, n: usize) -> String {
    let mut rules = RULES.iter();
    let (_, key, _) = rules.find(|(name, ..)| *name == what).expect("a rule");
    match in_path(key) {
        true => format!("/{what}/{n}"),
        false => format!("/{what}?n={n}"),
    }
}

fn table(budget: Option<u64>) -> Table {
    let text = rules(budget);
    let checked = check::compile(text.as_bytes(), &|_| None, Path::new("."));
    let shown = checked.render("rules", text.as_bytes(), false);
    checked.table.expect(&shown)
}

impl World {
    pub(super) async fn new(budget: Option<u64>) -> World {
        let began = Instant::now();
        let redis = Arc::new(Redis {
            keys: Mutex::default(),
            began,
            billed: AtomicU64::new(0),
            fields: Mutex::default(),
            heard: broadcast::Sender::new(1024),
        });
        let clock = clocks::Clock::right();
        clock.set_ahead_ms(TO_MIDNIGHT_MS as i64);
        let asked = Arc::new(AtomicU64::new(0));
        let mut sidecars = Vec::new();
        for _ in 0..SIDECARS {
            let sidecar = sidecar(table(budget), &redis, clock.clone().into(), (began, &asked));
            sidecar.ground.store.connected().await;
            sidecars.push(Arc::new(sidecar));
        }
        let has_budget = budget.is_some();
        World {
            redis,
            sidecars,
            began,
            asked,
            has_budget,
        }
    }

    fn now_ms(&self) -> u64 {
        self.began.elapsed().as_millis() as u64
    }

    /// A day of it.
    pub(super) async fn live(self, traffic: Traffic) -> Day {
        let mut day = Day::default();
        let mut changed: HashMap<&str, u64> = HashMap::new();
        let (mut judged, mut told) = (0, 0);
        for (at, through, act) in traffic {
            while judged <= at {
                sleep_until(self.began + Duration::from_millis(judged)).await;
                self.judge(&mut day, judged >= told).await;
                told += if judged >= told { TOLD_MS } else { 0 };
                judged += JUDGED_MS;
            }
            sleep_until(self.began + Duration::from_millis(at)).await;
            match act {
                Act::Read { what, key } => self.read(&mut day, &changed, through, what, key).await,
                Act::Write { what, changes } => {
                    let got = self.ask(through, Request::post(format!("/{what}"))).await;
                    day.writes += u64::from(got.0 == 200);
                    changes.iter().for_each(|rule| {
                        changed.insert(*rule, self.now_ms());
                    });
                }
            }
        }
        sleep_until(self.began + Duration::from_millis(DAY_MS - 1)).await;
        self.ended(day)
    }

    async fn judge(&self, day: &mut Day, tells: bool) {
        for live in &self.sidecars {
            let Ground {
                store,
                metrics,
                clock,
                budget,
                stats,
                ..
            } = &live.ground;
            budget.step(store, metrics, &live.table, clock).await;
            if tells && self.has_budget {
                stats.note_and_tell(metrics, store, &live.table).await;
            }
        }
        day.levels[self.level() as usize] += JUDGED_MS / 1000;
    }

    fn level(&self) -> Level {
        self.sidecars[0].ground.budget.level()
    }

    async fn read(
        &self,
        day: &mut Day,
        changed: &HashMap<&str, u64>,
        through: usize,
        what: &str,
        key: usize,
    ) {
        let begun = self.now_ms();
        let (status, verdict, body) = self.ask(through, Request::get(target(what, key))).await;
        assert_eq!(status, 200);
        day.reads += 1;
        day.hits += u64::from(verdict.contains("; hit"));
        let made: u64 = body.parse().expect("when it was made");
        if let Some(changed) = changed.get(what).filter(|changed| made < **changed) {
            day.stale += 1;
            day.stalest_ms = day.stalest_ms.max(begun - changed);
        }
    }

    async fn ask(
        &self,
        through: usize,
        request: hyper::http::request::Builder,
    ) -> (u16, String, String) {
        let request = request.header("host", "api.test").body(Body::empty());
        let live = self.sidecars[through].clone();
        let answer = proxy::answer(live, Client::at(None), request.expect("a request")).await;
        let (head, body) = answer.into_parts();
        let body = body.collect().await.expect("a whole body").to_bytes();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let verdict = head.headers.get("cache-status").expect("it is told");
        (head.status.as_u16(), text(verdict.as_bytes()), text(&body))
    }

    fn ended(self, mut day: Day) -> Day {
        day.billed = self.redis.billed.load(Relaxed);
        day.origin = self.asked.load(Relaxed) - WRITES;
        for live in &self.sidecars {
            let billed = live.ground.metrics.billed();
            day.counted += billed.all;
            day.due += billed.due;
            day.owed += live.ground.store.owed();
            let refused = "sidecache_write_leases_total{result=\"refused\"}";
            day.unleased += u64::from(live.ground.metrics.encode().contains(refused));
        }
        let now = 1_790_000_000_000 + self.redis.began.elapsed().as_millis() as u64;
        let all = self.redis.keys.lock().expect("not poisoned").all(now);
        let account = all
            .iter()
            .find(|(name, ..)| name.starts_with("day:!budget:"));
        if let Some((_, simulated::Held::Bytes(sum), Some(_))) = account {
            day.account = String::from_utf8_lossy(sum).parse().expect("a sum");
        }
        day
    }
}

fn sidecar(
    table: Table,
    redis: &Arc<Redis>,
    clock: Clock,
    (began, asked): (Instant, &Arc<AtomicU64>),
) -> Live {
    let metrics = Arc::new(Metrics::new());
    let store = Store::simulated(
        Arc::new(Way(redis.clone())),
        Opening {
            settings: &table.store,
            local: &table.local,
            node_ttl: NODE_TTL,
            namespace: &table.namespace,
            root: live::root_of(&table),
            channel: key::drops_channel(&table.namespace),
            clock: clock.clone(),
            metrics: metrics.clone(),
        },
    );
    let store = store.expect("no journal that could be locked");
    store.listen(table.answers_from_memory());
    let ground = Ground {
        store,
        alerts: Alerts::new(&metrics),
        metrics,
        stats: Stats::new(&clock),
        clock,
        tasks: TaskTracker::new(),
        quarantine: Quarantine::default(),
        budget: Budget::default(),
        issuers: Issuers::default(),
        tracer: Tracer::default(),
        failures: Arc::default(),
        witness: Witness::default(),
        passing: Passing::default(),
        warming: Warming::default(),
    };
    let mut live = Live::new(table, ground).expect("nothing to set up");
    let asked = asked.clone();
    let answer = move |_| -> SimulatedAnswer {
        asked.fetch_add(1, Relaxed);
        Box::pin(async move {
            let made = began.elapsed().as_millis();
            sleep(ORIGIN_TAKES).await;
            Ok(Response::new(Body::full(Bytes::from(made.to_string()))))
        })
    };
    live.origin =
        origin::Origin::simulated(&live.table.proxy, Box::new(answer)).expect("no TLS to set up");
    live
}

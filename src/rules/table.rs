//! The compiled form: everything a request asks of the rules, answered without parsing.

mod limit; // how often who may ask

pub use limit::{COUNTERS, Limit};

use super::lines::{Lines, Places};
use super::pattern::{Captures, Pattern};
use super::router::{Router, Target, captures};
use super::settings::{
    AdminSettings, AlertSettings, AuditSettings, IdentitySettings, LocalSettings, ProxySettings,
    StoreSettings,
};
use super::template::Template;
use super::units::counted;
use super::warm::WarmPath;
use crate::digest::Digest;
use hyper::Method;
use hyper::header::HeaderName;
use std::sync::Arc;
use std::time::Duration;

/// A method and a pattern.
#[derive(Clone, Debug)]
pub struct Route {
    /// Compared exactly; HEAD also finds GET routes of cache rules.
    pub method: Method,
    /// The path.
    pub pattern: Pattern,
}

/// Which names of a query or a JSON body shape the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shaping {
    /// Not declared: every name must be in the key, or the request passes.
    Undeclared,
    /// Exactly these; others are irrelevant.
    Only(Vec<String>),
}

/// Who shares a fill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coalesce {
    /// One fill per key in the whole fleet.
    Fleet,
    /// One fill per key and process.
    Local,
    /// Everyone asks for himself.
    Off,
}

/// What of the filling client's request the origin sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forward {
    /// What is keyed.
    Keyed,
    /// All end-to-end headers.
    All,
}

/// How far a rule is switched on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Serves.
    On,
    /// Computes and counts, serves nothing.
    Observe,
    /// As if it were not written.
    Off,
}

/// A place in a rule's keys at which some drop can name them; each has a version in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NodeAt {
    /// Everything below the first `n` segments: `doctors:list:*` is depth 2. Depth 0 is `*`.
    Below(usize),
    /// The exact key.
    Exact,
}

/// A response header that is not kept: a name, or the beginning of one (`ratelimit*`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StripName {
    /// Lower case.
    pub text: String,
    /// Whether `text` is only the beginning.
    pub prefix: bool,
}

impl StripName {
    /// Whether a header, named in lower case, is not kept.
    pub fn matches(&self, name: &str) -> bool {
        if self.prefix {
            name.starts_with(&self.text)
        } else {
            name == self.text
        }
    }
}

/// How long an answer is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ttl {
    /// So long, whatever the origin says of it.
    Fixed(Duration),
    /// As long as the origin's headers say to a shared cache (RFC 9111 §4.2).
    Origin,
}

/// Longest time that an origin's word for an answer's freshness is taken: nodes outlive the longest
/// entry, and what nobody has asked for in a month is not worth a place.
pub const LONGEST_ORIGIN_TTL: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// How long an answer is kept beyond its freshness only to be validated. A day's visitors come back
/// within it.
pub const VALIDATED_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// Longest time that an origin's word for stale use is taken.
pub const LONGEST_ORIGIN_STALE: Duration = Duration::from_secs(7 * 24 * 60 * 60);

impl Ttl {
    /// The longest freshness that it can come to.
    pub fn longest(self) -> Duration {
        match self {
            Ttl::Fixed(ttl) => ttl,
            Ttl::Origin => LONGEST_ORIGIN_TTL,
        }
    }

    /// How long an answer that can be validated is kept beyond its freshness. With a fixed one as long
    /// again at most, so that what nobody asks for fills the store no more than twice as long.
    pub fn validated_for(self) -> Duration {
        match self {
            Ttl::Fixed(ttl) => ttl.min(VALIDATED_FOR),
            Ttl::Origin => VALIDATED_FOR,
        }
    }
}

/// A `[[cache]]` table, compiled.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Position in [`Table::rules`].
    pub index: usize,
    /// The label in metrics and logs.
    pub name: String,
    /// At least one.
    pub routes: Vec<Route>,
    /// How keys are made.
    pub key: Template,
    /// How long an answer is served.
    pub ttl: Ttl,
    /// The same for 404 and 410; `ttl` where left out.
    pub negative_ttl: Ttl,
    /// For how long this process may answer without asking the store; zero: it asks for each hit.
    pub local_ttl: Duration,
    /// What that may become where a budget runs short; never less than it is.
    pub local_ttl_max: Duration,
    /// How long past its freshness an answer is served while it is fetched anew. `None`, where left
    /// out, is the origin's to say with `ttl = "origin"`, else zero.
    pub stale_while_revalidate: Option<Duration>,
    /// The same where fetching it fails.
    pub stale_if_error: Option<Duration>,
    /// How eagerly an answer is fetched anew before its freshness ends; 0 is not at all, 1 the usual
    /// (see [`crate::freshness::is_due`]).
    pub refresh_ahead: f64,
    /// Credentials do not shape the answer.
    pub public: bool,
    /// Role claims that are served; empty: all.
    pub roles: Vec<String>,
    /// Query parameters that shape the answer.
    pub query: Shaping,
    /// Body fields that shape the answer.
    pub body: Shaping,
    /// JSON pointers (RFC 6901), as unescaped reference tokens, that must lead to something.
    pub store_if: Vec<Vec<String>>,
    /// Status codes that are kept. `None`, with `ttl = "origin"` where left out: those that RFC 9111
    /// allows.
    pub statuses: Option<Vec<u16>>,
    /// Who shares a fill.
    pub coalesce: Coalesce,
    /// Whether `no-store` and its kin are disregarded.
    pub ignore_origin_cache_control: bool,
    /// Response headers not kept.
    pub strip: Vec<StripName>,
    /// Request headers that shape the answer, beside those that `Vary` teaches.
    pub vary: Vec<HeaderName>,
    /// What a fill carries.
    pub forward: Forward,
    /// How far it is switched on.
    pub stage: Stage,
    /// Where its keys can be dropped: the root first, `Below` ascending, `Exact` last.
    pub nodes: Vec<NodeAt>,
    /// Digest of all that decides what an entry of this rule means: entries kept under another
    /// definition are misses.
    pub fingerprint: Digest,
    /// Where it stands in the file.
    pub lines: Lines,
}

impl Rule {
    /// The pattern that all paths of its requests fit, where it has but one.
    pub fn only_pattern(&self) -> Option<&Pattern> {
        let (first, others) = self.routes.split_first()?;
        let is_same = |other: &Route| other.pattern.to_string() == first.pattern.to_string();
        others.iter().all(is_same).then_some(&first.pattern)
    }
}

/// One template of a set's `drop`.
#[derive(Clone, Debug)]
pub struct Drop {
    /// The template, perhaps with a wildcard.
    pub template: Template,
    /// Indices of the rules whose keys it can name; never empty.
    pub rules: Vec<usize>,
}

/// Which answers to a write count as done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commits {
    /// First digits, e.g. `[2, 3, 5]`.
    pub classes: Vec<u8>,
    /// Whole status codes, e.g. 409.
    pub statuses: Vec<u16>,
}

impl Default for Commits {
    /// Everything but 4xx: an origin that says 5xx may have committed before.
    fn default() -> Commits {
        Commits {
            classes: vec![2, 3, 5],
            statuses: Vec::new(),
        }
    }
}

impl Commits {
    /// Whether an answer with this status counts as done.
    pub fn counts(&self, status: u16) -> bool {
        self.classes.contains(&((status / 100) as u8)) || self.statuses.contains(&status)
    }
}

/// What drops are counted as that no set names: those of a rule's own path, those of groups, those because of
/// other rules, and those because of another server. No set is called so.
pub const WITHOUT_SET: [&str; 5] = [AUTOMATIC, GROUPS, ROLLOUT, FAILOVER, VERIFIED];

/// Drops of what a rule keeps for the path of an unsafe method.
pub const AUTOMATIC: &str = "auto";

/// Drops of groups.
pub const GROUPS: &str = "groups";

/// Drops of everything, made because sidecars with other rules keep answers in the store.
pub const ROLLOUT: &str = "rollout";

/// Drops of what was found stale when a hit was verified.
pub const VERIFIED: &str = "verify";

/// Drops of everything, made because the store is not the server that it was.
pub const FAILOVER: &str = "failover";

/// An `[[invalidate]]` table, compiled.
#[derive(Clone, Debug)]
pub struct Set {
    /// Position in [`Table::sets`].
    pub index: usize,
    /// The label in metrics and logs.
    pub name: String,
    /// At least one.
    pub routes: Vec<Route>,
    /// At least one.
    pub drops: Vec<Drop>,
    /// Default 2xx, 3xx, 5xx.
    pub commits: Commits,
    /// What it drops may be served stale where that is allowed while it is fetched anew.
    pub soft: bool,
    /// What is asked for once it is dropped.
    pub warm: Vec<WarmPath>,
    /// Where it stands in the file.
    pub lines: Lines,
}

/// A rule that a request matched.
#[derive(Clone, Debug)]
pub struct Matched<'t, 'p, T> {
    /// The rule or set.
    pub what: &'t Arc<T>,
    /// Which of its routes.
    pub route: usize,
    /// The path parameters.
    pub captures: Captures<'t, 'p>,
}

/// The whole file, compiled.
#[derive(Debug)]
pub struct Table {
    /// First in every store key.
    pub namespace: String,
    /// `[proxy]`
    pub proxy: ProxySettings,
    /// `[admin]`; `None` where the table is left out: there is no admin door then.
    pub admin: Option<AdminSettings>,
    /// `[local]`
    pub local: LocalSettings,
    /// `[store]`
    pub store: StoreSettings,
    /// `[identity]`
    pub identity: Option<IdentitySettings>,
    /// `[audit]`
    pub audit: AuditSettings,
    /// `[alerts]`; `None` where the table is left out: nothing is watched then.
    pub alerts: Option<AlertSettings>,
    /// `[[cache]]`
    pub rules: Vec<Arc<Rule>>,
    /// `[[invalidate]]`
    pub sets: Vec<Arc<Set>>,
    /// `[[limit]]`
    pub limits: Vec<Arc<Limit>>,
    /// What automatic invalidation drops, by position of the rule: its key as far as path
    /// parameters alone decide it, then `*`.
    pub auto_drops: Vec<Drop>,
    /// Digest of all that decides which nodes an entry has and which nodes a write drops: sidecars
    /// with different ones do not know what the other's entries hang on.
    pub layout: Digest,
    /// Where the tables stand in the file of which there is one.
    pub places: Places,
    /// What somebody should look at in the file, though it can be used.
    pub warnings: Vec<String>,
    /// The routes of `rules`.
    pub(super) readers: Router,
    /// The routes of `sets`.
    pub(super) writers: Router,
    /// The routes of `limits`.
    pub(super) limited: Router,
}

impl Table {
    /// The cache rule for a request, the most specific first. HEAD finds GET routes where no HEAD
    /// route matches. Rules with `stage = "off"` are not found.
    pub fn read<'t, 'p>(&'t self, method: &Method, path: &'p str) -> Option<Matched<'t, 'p, Rule>> {
        let get = || {
            (method == Method::HEAD)
                .then(|| self.read_as(&Method::GET, path))
                .flatten()
        };
        self.read_as(method, path).or_else(get)
    }

    fn read_as<'t, 'p>(&'t self, method: &Method, path: &'p str) -> Option<Matched<'t, 'p, Rule>> {
        let (target, ranges) = self.readers.best(method, path)?;
        let what = &self.rules[target.owner];
        let captures = captures(&what.routes[target.route], path, ranges);
        Some(Matched {
            what,
            route: target.route,
            captures,
        })
    }

    /// Every set with a route that matches, each once, in the file's order. HEAD is also a GET: an
    /// origin that acts on GET runs the same handler for it, and Express does so by itself.
    pub fn writes<'t, 'p>(&'t self, method: &Method, path: &'p str) -> Vec<Matched<'t, 'p, Set>> {
        let mut found = self.writers.all(method, path);
        if method == Method::HEAD {
            found.extend(self.writers.all(&Method::GET, path));
        }
        found.sort_by_key(|(target, _)| target.owner); // Stable: the most specific route stays first.
        found.dedup_by_key(|(target, _)| target.owner);
        let matched = |(target, ranges): (Target, _)| {
            let what = &self.sets[target.owner];
            let captures = captures(&what.routes[target.route], path, ranges);
            Matched {
                what,
                route: target.route,
                captures,
            }
        };
        found.into_iter().map(matched).collect()
    }

    /// Every rule that keeps something for this path, whatever the method: what an unsafe method on
    /// the path makes stale (RFC 9111 §4.4).
    pub fn kept_at<'t, 'p>(&'t self, path: &'p str) -> Vec<Matched<'t, 'p, Rule>> {
        let methods = self.readers.methods();
        let mut found: Vec<_> = methods
            .filter_map(|method| self.read_as(method, path))
            .collect();
        found.sort_by_key(|matched| matched.what.index);
        found.dedup_by_key(|matched| matched.what.index);
        found
    }

    /// How much it holds, for a person.
    pub fn holds(&self) -> String {
        let limits = match self.limits.len() {
            0 => String::new(),
            count => format!(", {}", counted(count, "limit")),
        };
        let (rules, sets) = (self.rules.len(), self.sets.len());
        let (rules, sets) = (counted(rules, "rule"), counted(sets, "set"));
        format!("{rules}, {sets}{limits}")
    }

    /// The longest time an entry of any rule lives, stale or to be validated at its end.
    pub fn longest_ttl(&self) -> Duration {
        self.rules
            .iter()
            .map(|rule| rule.longest_life())
            .max()
            .unwrap_or_default()
    }

    /// Whether some rule may be answered without asking the store.
    pub fn answers_from_memory(&self) -> bool {
        let longest = |rule: &Arc<Rule>| match self.store.budget {
            Some(_) => rule.local_ttl_max,
            None => rule.local_ttl,
        };
        let may = |rule: &Arc<Rule>| rule.stage != Stage::Off && !longest(rule).is_zero();
        self.rules.iter().any(may)
    }

    /// Which nodes of which rules a drop or purge pattern names, once it is rendered and escaped:
    /// `segments`, and everything below them if `wildcard`. Each rule that it can name is there
    /// once, with its nearest tracked node at or above the pattern. `candidates` are the only rules
    /// asked; `None` asks all.
    pub fn named(
        &self,
        segments: &[String],
        wildcard: bool,
        candidates: Option<&[usize]>,
    ) -> Vec<(usize, NodeAt)> {
        let named = |rule: &Arc<Rule>| {
            let can_be = rule.key.can_be(segments, wildcard);
            can_be.then(|| (rule.index, rule.nearest_node(segments.len(), wildcard)))
        };
        match candidates {
            // Looked up one by one: a write asks so for each rule that its drops name.
            Some(asked) => {
                let asked = asked.iter().filter_map(|index| self.rules.get(*index));
                asked.filter_map(named).collect()
            }
            None => self.rules.iter().filter_map(named).collect(),
        }
    }
}

impl Rule {
    /// What `ttl` or `negative_ttl` says of an answer with this status.
    pub fn ttl_of(&self, status: u16) -> Ttl {
        match status {
            404 | 410 => self.negative_ttl,
            _ => self.ttl,
        }
    }

    fn longest_life(&self) -> Duration {
        let by_origin = match (self.ttl, self.negative_ttl) {
            (Ttl::Fixed(_), Ttl::Fixed(_)) => Duration::ZERO,
            _ => LONGEST_ORIGIN_STALE,
        };
        let stale = [self.stale_while_revalidate, self.stale_if_error];
        let beyond = [self.ttl, self.negative_ttl].map(Ttl::validated_for);
        let fresh = self.ttl.longest().max(self.negative_ttl.longest());
        let beyond = beyond.into_iter().chain(stale.into_iter().flatten());
        fresh + beyond.fold(by_origin, Duration::max)
    }

    /// The nearest tracked node at or above a pattern of so many segments.
    fn nearest_node(&self, depth: usize, wildcard: bool) -> NodeAt {
        if !wildcard && self.nodes.contains(&NodeAt::Exact) {
            return NodeAt::Exact;
        }
        let above = |node: &&NodeAt| matches!(node, NodeAt::Below(at) if *at <= depth);
        let nearest = self.nodes.iter().rev().find(above);
        *nearest.expect("every rule tracks the root, which is above all: `nodes_of` begins with it")
    }
}

//! Which nodes a write drops: those that its sets name, and those of what is kept for the paths that it
//! concerns.

use super::{Write, is_automatic, warmed};
use crate::groups;
use crate::identity::Claims;
use crate::inputs::{Inputs, Query};
use crate::key;
use crate::rules::pattern::Captures;
use crate::rules::table::{AUTOMATIC, Commits, Drop, GROUPS, Rule, Set, Ttl};
use crate::store::Bump;
use crate::warming::Warm;
use hyper::header::HeaderName;
use hyper::{HeaderMap, StatusCode, Uri, header};
use serde_json::Value as Json;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The write is yet to happen (RFC 9110 §15.3.3).
const ACCEPTED: u16 = StatusCode::ACCEPTED.as_u16();

/// How a write ended, as far as the rules care.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Settled {
    Answered(u16),
    Unknown,
}

impl Settled {
    /// Whether the origin is asked for something right after: not where it has just failed, nor where it will act later
    /// and would tell what was before. What was dropped because nobody knows may be dropped once more, when the lease
    /// ends.
    fn may_warm(self) -> bool {
        match self {
            Settled::Answered(status) => status < 500 && status != ACCEPTED,
            Settled::Unknown => false,
        }
    }
}

/// The nodes that a write drops, by who names them.
#[derive(Default)]
pub(super) struct Named {
    pub(super) hard: BTreeSet<String>,
    soft: BTreeSet<String>,
    pub(super) automatic: BTreeSet<String>,
    /// What is asked for then.
    pub(super) warm: Vec<Warm>,
}

impl Named {
    /// Of two sets the one that does not say `soft` has its way. What is dropped for the path alone is
    /// left to a set that says it.
    pub(super) fn bump(self) -> Bump {
        let automatic = self.automatic.difference(&self.soft);
        let hard: BTreeSet<String> = automatic.chain(&self.hard).cloned().collect();
        Bump {
            soft: self.soft.difference(&hard).cloned().collect(),
            hard: hard.into_iter().collect(),
        }
    }
}

/// What a write drops, once it is settled.
pub(super) struct Drops<'w> {
    pub(super) write: &'w Write,
    pub(super) document: Option<&'w Json>,
    pub(super) claims: Option<&'w Claims>,
}

impl Drops<'_> {
    /// Every node that the write may come to drop, whatever its answer.
    pub(super) fn possible(&self) -> BTreeSet<String> {
        let sets = self.write.sets();
        let listed = sets.iter().flat_map(|(set, captures)| {
            set.drops
                .iter()
                .flat_map(|drop| self.nodes_of(drop, captures, None))
        });
        let mut nodes: BTreeSet<String> = listed.collect();
        if is_automatic(&self.write.live.table, &self.write.methods) {
            nodes.extend(self.kept_at(self.write.parts.uri.path(), |_| true));
        }
        nodes
    }

    /// The nodes that its sets and its own path name.
    pub(super) fn named(&self, settled: Settled, answered: Option<&Json>) -> Named {
        let write = self.write;
        let table = &write.live.table;
        let mut named = Named::default();
        for (set, captures) in write.sets() {
            if counts(settled, &set.commits) {
                let dropped = set
                    .drops
                    .iter()
                    .flat_map(|drop| self.nodes_of(drop, &captures, answered));
                match set.soft {
                    true => named.soft.extend(dropped),
                    false => named.hard.extend(dropped),
                }
                if settled.may_warm() {
                    named.warm.extend(self.warm_of(set, &captures, answered));
                }
                write.live.ground.metrics.invalidated(&set.name);
                let rules = set.drops.iter().flat_map(|drop| &drop.rules);
                rules.for_each(|rule| write.live.dropped(*rule));
            }
        }
        if is_automatic(table, &write.methods) {
            named.automatic = self.kept_at(write.parts.uri.path(), |rule| {
                let is_done = counts(settled, &automatic_commits(rule));
                if is_done {
                    write.live.dropped(rule.index);
                }
                is_done
            });
        }
        if !named.automatic.is_empty() {
            write.live.ground.metrics.invalidated(AUTOMATIC);
        }
        named
    }

    /// The nodes of what is kept under same-origin `Location` and `Content-Location` (RFC 9111 §4.4).
    pub(super) fn located(&self, status: u16, answered: &HeaderMap) -> BTreeSet<String> {
        let is_error = !(200..400).contains(&status);
        if is_error || !is_automatic(&self.write.live.table, &self.write.methods) {
            return BTreeSet::new();
        }
        let locations = PLACES
            .iter()
            .filter_map(|name| answered.get(name)?.to_str().ok())
            .filter_map(|reference| resolved(reference, self.write.parts.uri.path()));
        locations
            .filter(|uri| self.is_same_origin(uri))
            .flat_map(|uri| self.kept_at(uri.path(), |_| true))
            .collect()
    }

    /// The nodes of the groups that the origin says are to be forgotten (RFC 9875).
    pub(super) fn grouped(&self, status: u16, answered: &HeaderMap) -> BTreeSet<String> {
        let write = self.write;
        let nodes = groups::dropped(&write.live.table, &write.methods, status, answered);
        if !nodes.is_empty() {
            write.live.ground.metrics.invalidated(GROUPS);
        }
        nodes
    }

    /// The host of the request, or one whose answers are the same.
    fn is_same_origin(&self, uri: &Uri) -> bool {
        let Some(authority) = uri.authority() else {
            return true;
        };
        let named = authority.as_str().to_ascii_lowercase();
        let asked = self.write.parts.headers.get(header::HOST);
        let hosts = &self.write.live.table.proxy.hosts;
        asked.is_some_and(|host| host.as_bytes().eq_ignore_ascii_case(named.as_bytes()))
            || hosts.as_ref().is_some_and(|hosts| hosts.contains(&named))
    }

    fn kept_at(&self, path: &str, concerned: impl Fn(&Rule) -> bool) -> BTreeSet<String> {
        let table = &self.write.live.table;
        let of_rule = |rule: &Rule, captures: &Captures| {
            self.nodes_of(&table.auto_drops[rule.index], captures, None)
        };
        table
            .kept_at(path)
            .iter()
            .filter(|matched| concerned(matched.what))
            .flat_map(|matched| of_rule(matched.what, &matched.captures))
            .collect()
    }

    /// The nodes that one line names.
    pub(super) fn nodes_of(
        &self,
        drop: &Drop,
        captures: &Captures,
        answered: Option<&Json>,
    ) -> BTreeSet<String> {
        let named = |inputs: &Inputs| key::dropped_nodes(&self.write.live.table, drop, inputs);
        self.by(captures, answered, named)
    }

    /// What a set has asked for afterwards.
    pub(super) fn warm_of(
        &self,
        set: &Arc<Set>,
        captures: &Captures,
        answered: Option<&Json>,
    ) -> Vec<Warm> {
        let warm = |inputs: &Inputs| {
            let paths = set.warm.iter();
            let warm = paths.map(|path| Warm {
                set: set.clone(),
                target: warmed::target(path, inputs),
            });
            warm.collect()
        };
        self.by(captures, answered, warm)
    }

    /// Has something made of what the write, and its answer, hold.
    fn by<T>(
        &self,
        captures: &Captures,
        answered: Option<&Json>,
        make: impl FnOnce(&Inputs) -> T,
    ) -> T {
        let parts = &self.write.parts;
        let query = Query::parse(parts.uri.query()).ok();
        make(&Inputs {
            method: &parts.method,
            captures,
            headers: &parts.headers,
            query: query.as_ref(),
            body: self.document,
            claims: self.claims,
            token: None,
            response: answered,
        })
    }
}

/// Headers of an answer that name where a write has changed something.
const PLACES: [HeaderName; 2] = [header::LOCATION, header::CONTENT_LOCATION];

/// Whether an answer names any.
pub(super) fn names_a_place(answered: &HeaderMap) -> bool {
    PLACES.iter().any(|name| answered.contains_key(name))
}

/// A URI reference held against the path of the request (RFC 3986 §5.2), as far as paths go.
fn resolved(reference: &str, path: &str) -> Option<Uri> {
    let reference = reference.split('#').next().unwrap_or_default();
    if let Some(network) = reference.strip_prefix("//") {
        return format!("http://{network}").parse().ok();
    }
    let (before_query, _) = reference.split_once('?').unwrap_or((reference, ""));
    if before_query.starts_with('/') || before_query.contains("://") {
        return reference.parse().ok();
    }
    let folder = path.rfind('/').map_or("/", |slash| &path[..=slash]);
    let mut segments: Vec<&str> = folder.split('/').collect();
    for step in before_query.split('/') {
        segments.pop();
        match step {
            "." => segments.push(""),
            ".." => {
                segments.pop();
                segments.push("");
            }
            _ => segments.extend([step, ""]),
        }
    }
    segments.pop();
    format!("/{}", segments.join("/").trim_start_matches('/'))
        .parse()
        .ok()
}

/// Which answers make stale what a rule keeps for the path of a write. Where the origin says how long
/// answers are fresh it is taken at its word, and an error changed nothing (RFC 9111 §4.4).
fn automatic_commits(rule: &Rule) -> Commits {
    match rule.ttl {
        Ttl::Fixed(_) => Commits::default(),
        Ttl::Origin => Commits {
            classes: vec![2, 3],
            statuses: Vec::new(),
        },
    }
}

fn counts(settled: Settled, commits: &Commits) -> bool {
    match settled {
        Settled::Answered(status) => commits.counts(status),
        Settled::Unknown => true,
    }
}

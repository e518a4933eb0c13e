//! How often who may ask.

use super::{Matched, Route, Table, captures};
use crate::rules::lines::Lines;
use crate::rules::router::Target;
use crate::rules::template::{Source, Template};
use hyper::Method;
use std::time::Duration;

/// The word behind the namespace with which the names of all counters begin.
pub const COUNTERS: &str = "rate-limit";

/// A `[[limit]]` table, compiled.
#[derive(Clone, Debug)]
pub struct Limit {
    /// Position in [`Table::limits`].
    pub index: usize,
    /// The label in metrics and logs, and part of the names of its counters.
    pub name: String,
    /// At least one.
    pub routes: Vec<Route>,
    /// Whose requests are counted together.
    pub per: Template,
    /// So many of them in a window, at least one.
    pub max: u64,
    /// How long a window is, from the first request that is counted in it.
    pub window: Duration,
    /// Where it stands in the file.
    pub lines: Lines,
}

impl Limit {
    /// Whether something of the request's body says whose it is.
    pub fn asks_for_body(&self) -> bool {
        self.per
            .placeholders()
            .any(|placeholder| matches!(placeholder.source, Source::BodyField(_)))
    }
}

impl Table {
    /// Every limit with a route that matches one of these methods, each once, in the file's order. HEAD is
    /// also a GET: an origin does the same for it.
    pub fn limits_of<'t, 'p>(
        &'t self,
        methods: &[Method],
        path: &'p str,
    ) -> Vec<Matched<'t, 'p, Limit>> {
        if self.limits.is_empty() {
            return Vec::new();
        }
        let as_get = methods.contains(&Method::HEAD).then_some(&Method::GET);
        let methods = methods.iter().chain(as_get);
        let mut found: Vec<_> = methods
            .flat_map(|method| self.limited.all(method, path))
            .collect();
        found.sort_by_key(|(target, _)| target.owner); // Stable: the most specific route stays first.
        found.dedup_by_key(|(target, _)| target.owner);
        let matched = |(target, ranges): (Target, _)| {
            let what = &self.limits[target.owner];
            Matched {
                what,
                route: target.route,
                captures: captures(&what.routes[target.route], path, ranges),
            }
        };
        found.into_iter().map(matched).collect()
    }
}

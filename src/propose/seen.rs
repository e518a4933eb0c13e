//! What was seen, wherever it was: the one thing that a judgement is made of.

use super::sight::{Asking, Good, Marks, Sight};
use super::{SELDOM, SEVERAL};
use crate::route;
use crate::rules::table::Table;
use crate::traffic::{Exchange, Source, Traffic};
use hyper::{HeaderMap, Method, StatusCode};
use std::sync::Arc;

/// Where it was seen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Place {
    /// In a file.
    File(Source),
    /// Passing a running sidecar, which looks at this share of all paths, above 0, at a time.
    Sidecar {
        /// Up to 1.
        share: f64,
    },
}

/// A write that may have changed something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// When it was asked for, in milliseconds of Unix time.
    pub at_ms: u64,
    /// When it was answered.
    pub until_ms: u64,
    /// `PATCH /api/v1/doctor/{doctorId}`
    pub route: Arc<str>,
}

impl Written {
    /// Bytes that it takes, about.
    pub fn weight(&self) -> usize {
        size_of::<Written>() + self.route.len()
    }
}

/// All that was seen.
#[derive(Debug)]
pub struct Seen {
    /// Where.
    pub place: Place,
    /// Reads for which there is no rule, in their order.
    pub reads: Vec<Sight>,
    /// In their order.
    pub writes: Vec<Written>,
    /// Reads for which there is a rule already.
    pub ruled: usize,
    /// What could not be read, or was not looked at although it would have been its turn.
    pub left_out: usize,
    /// Requests in all.
    pub count: usize,
    /// How long it was looked, in milliseconds.
    pub span_ms: u64,
}

impl Seen {
    /// What a file holds. What the table has a rule for is counted.
    pub fn of(traffic: &Traffic, table: Option<&Table>, marks: &Marks) -> Seen {
        let exchanges = &traffic.exchanges;
        let (first, last) = (exchanges.first(), exchanges.last());
        let span = first
            .zip(last)
            .map(|(first, last)| last.at_ms - first.at_ms);
        let mut seen = Seen {
            place: Place::File(traffic.source),
            reads: Vec::new(),
            writes: Vec::new(),
            ruled: 0,
            left_out: traffic.skipped,
            count: exchanges.len(),
            span_ms: span.unwrap_or(0),
        };
        for exchange in exchanges {
            let (method, path) = (&exchange.method, exchange.path());
            let has_rule = || table.is_some_and(|table| table.read(method, path).is_some());
            match *method {
                _ if !method.is_safe() => seen.writes.extend(written(exchange, table)),
                Method::GET if has_rule() => seen.ruled += 1,
                Method::GET => seen.reads.push(sight(exchange, table, marks)),
                _ => {}
            }
        }
        seen
    }

    /// How often a route was asked for, at least, if it is told of.
    pub(super) fn least(&self) -> usize {
        match self.place {
            Place::File(_) => 0,
            Place::Sidecar { .. } => SELDOM,
        }
    }

    /// How many people had a cookie, at least, if it is told of.
    pub(super) fn least_people(&self) -> usize {
        match self.place {
            Place::File(_) => 0,
            Place::Sidecar { .. } => SEVERAL,
        }
    }

    /// Without the reads for whose routes the table has a rule by now.
    pub fn without_ruled(mut self, table: &Table) -> Seen {
        let before = self.reads.len();
        self.reads.retain(|sight| {
            let path = sight.route.split_once(' ').map_or("/", |(_, path)| path);
            table.read(&Method::GET, path).is_none()
        });
        self.ruled += before - self.reads.len();
        self
    }
}

fn written(exchange: &Exchange, table: Option<&Table>) -> Option<Written> {
    let status = exchange.answer.as_ref().map(|answer| answer.status);
    if status.is_some_and(|status| (400..500).contains(&status)) {
        return None;
    }
    let route = match table {
        Some(table) => route::of(table, &exchange.method, exchange.path()),
        None => route::generalised(&exchange.method, exchange.path()),
    };
    Some(Written {
        at_ms: exchange.at_ms,
        until_ms: exchange.at_ms + exchange.took_ms.unwrap_or(0),
        route: route.text.into(),
    })
}

/// A read of a file, whose bodies are plain whatever their headers say.
fn sight(exchange: &Exchange, table: Option<&Table>, marks: &Marks) -> Sight {
    let asking = Asking {
        path: exchange.path(),
        query: exchange.query(),
        headers: &exchange.headers,
        at_ms: exchange.at_ms,
    };
    let settings = table.and_then(|table| table.identity.as_ref());
    let mut sight = Sight::of(marks, asking, settings);
    let none = HeaderMap::new();
    let answer = exchange.answer.as_ref();
    let headers = answer.map_or(&none, |answer| &answer.headers);
    let status = answer.and_then(|answer| StatusCode::from_u16(answer.status).ok());
    if let Some(status) = status {
        sight.answered(marks, status, headers, exchange.took_ms);
    }
    let body = answer.and_then(|answer| answer.body.as_ref());
    if let Some(body) = body {
        sight.ended(body.len(), Some(Good::of(marks, body)));
    }
    sight
}

//! What was asked and answered, by route: as much of it as a judgement needs, and no bodies.

use super::person::{People, Person};
use crate::digest::{Digest, Digester};
use crate::freshness::CacheControl;
use crate::route;
use crate::rules::table::Table;
use crate::traffic::{Answered, Exchange};
use hyper::header::{CONTENT_TYPE, ETAG, HeaderValue, SET_COOKIE, VARY};
use hyper::{HeaderMap, Method};
use serde_json::Value as Json;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

/// A read.
pub(super) struct Ask<'t> {
    pub(super) at_ms: u64,
    pub(super) took_ms: Option<u64>,
    pub(super) path: &'t str,
    /// Decoded, by name; values of one name in their order.
    pub(super) params: Vec<(Cow<'t, str>, Cow<'t, str>)>,
    pub(super) who: Option<Person>,
    pub(super) status: u16,
    /// Of a 200 whose body is known.
    pub(super) good: Option<Good>,
    pub(super) length: usize,
    pub(super) sets_cookie: bool,
    /// `no-store`, or `Vary: *`.
    pub(super) forbids: bool,
    /// `private`, or varies by a credential.
    pub(super) says_private: bool,
    pub(super) is_stream: bool,
}

/// A good answer's body.
#[derive(Clone, Copy)]
pub(super) struct Good {
    pub(super) body: Digest,
    /// There is nothing in it: an empty list is the same for everybody, and so is a counter at zero.
    pub(super) is_hollow: bool,
    /// Its top is an object with something under `data`.
    pub(super) has_data: bool,
}

/// A write that may have changed something.
pub(super) struct Written {
    pub(super) at_ms: u64,
    pub(super) until_ms: u64,
    pub(super) route: String,
}

/// All that was asked.
pub(super) struct AskedFor<'t> {
    /// By route; a rule is there for none of them.
    pub(super) routes: BTreeMap<String, Vec<Ask<'t>>>,
    /// Reads for which there is a rule already.
    pub(super) ruled: usize,
    /// In their order.
    pub(super) writes: Vec<Written>,
    pub(super) people: People,
}

/// Longest that a write is thought to take where that is not known.
const LONGEST_WRITE: u64 = 30_000;

impl<'t> AskedFor<'t> {
    pub(super) fn of(exchanges: &'t [Exchange], table: Option<&Table>) -> AskedFor<'t> {
        let mut asked = AskedFor {
            routes: BTreeMap::new(),
            ruled: 0,
            writes: Vec::new(),
            people: People::default(),
        };
        let settings = table.and_then(|table| table.identity.as_ref());
        let mut tagged: HashMap<(&str, HeaderValue), Good> = HashMap::new();
        for exchange in exchanges {
            let (method, path) = (&exchange.method, exchange.path());
            if !method.is_safe() {
                asked.written(exchange, table);
                continue;
            }
            if method != Method::GET {
                continue;
            }
            if table.is_some_and(|table| table.read(method, path).is_some()) {
                asked.ruled += 1;
                continue;
            }
            let who = asked.people.of(&exchange.headers, settings);
            let ask = Ask::of(exchange, who, &mut tagged);
            let route = route::generalised(method, path).text;
            asked.routes.entry(route).or_default().push(ask);
        }
        asked
    }

    fn written(&mut self, exchange: &Exchange, table: Option<&Table>) {
        let refused = |answer: &Answered| (400..500).contains(&answer.status);
        if exchange.answer.as_ref().is_some_and(refused) {
            return;
        }
        let route = match table {
            Some(table) => route::of(table, &exchange.method, exchange.path()),
            None => route::generalised(&exchange.method, exchange.path()),
        };
        self.writes.push(Written {
            at_ms: exchange.at_ms,
            until_ms: exchange.at_ms + exchange.took_ms.unwrap_or(0),
            route: route.text,
        });
    }

    /// Whether a write may have changed something between two reads.
    pub(super) fn has_write_between(&self, earlier: &Ask<'_>, later: &Ask<'_>) -> bool {
        self.writes_between(earlier.at_ms, later.until_ms())
            .next()
            .is_some()
    }

    /// The writes that were under way between two moments.
    pub(super) fn writes_between(
        &self,
        from_ms: u64,
        to_ms: u64,
    ) -> impl Iterator<Item = &Written> {
        let end = self.writes.partition_point(|write| write.at_ms <= to_ms);
        let earliest = from_ms.saturating_sub(LONGEST_WRITE);
        let near = self.writes[..end].iter().rev();
        near.take_while(move |write| write.at_ms >= earliest)
            .filter(move |write| write.until_ms >= from_ms)
    }
}

impl<'t> Ask<'t> {
    fn of(
        exchange: &'t Exchange,
        who: Option<Person>,
        tagged: &mut HashMap<(&'t str, HeaderValue), Good>,
    ) -> Ask<'t> {
        let none = HeaderMap::new();
        let answer = exchange.answer.as_ref();
        let headers = answer.map_or(&none, |answer| &answer.headers);
        let body = answer.and_then(|answer| answer.body.as_ref());
        let mut status = answer.map_or(0, |answer| answer.status);
        let mut good = body.filter(|_| status == 200).map(|body| Good::of(body));
        if let Some(tag) = headers.get(ETAG) {
            let key = (exchange.target.as_str(), tag.clone());
            match good {
                Some(good) => {
                    tagged.insert(key, good);
                }
                // What its client had is what somebody was sent before.
                None if status == 304 => {
                    good = tagged.get(&key).copied();
                    status = good.map_or(status, |_| 200);
                }
                None => {}
            }
        }
        let said = CacheControl::read(headers);
        let varies = |word: &str| {
            let lines = headers.get_all(VARY).iter();
            let mut lines = lines.filter_map(|line| line.to_str().ok());
            lines.any(|line| {
                line.split(',')
                    .any(|one| one.trim().eq_ignore_ascii_case(word))
            })
        };
        let kind = headers
            .get(CONTENT_TYPE)
            .and_then(|kind| kind.to_str().ok());
        Ask {
            at_ms: exchange.at_ms,
            took_ms: exchange.took_ms,
            path: exchange.path(),
            params: params(exchange.query()),
            who,
            status,
            good,
            length: body.map_or(0, |body| body.len()),
            sets_cookie: headers.contains_key(SET_COOKIE),
            forbids: said.no_store || varies("*"),
            says_private: said.private || varies("cookie") || varies("authorization"),
            is_stream: kind.is_some_and(|kind| kind.starts_with("text/event-stream")),
        }
    }

    /// When its answer was there.
    pub(super) fn until_ms(&self) -> u64 {
        self.at_ms + self.took_ms.unwrap_or(0)
    }

    /// The values of a parameter.
    pub(super) fn values(&self, name: &str) -> Vec<&str> {
        let named = self.params.iter().filter(|(other, _)| other == name);
        named.map(|(_, value)| value.as_ref()).collect()
    }
}

impl Good {
    fn of(body: &[u8]) -> Good {
        let document: Option<Json> = serde_json::from_slice(body).ok();
        let data = document.as_ref().and_then(|document| document.get("data"));
        let mut digester = Digester::new("answer");
        digester.part(body);
        Good {
            body: digester.finish(),
            is_hollow: body.is_empty() || data.or(document.as_ref()).is_some_and(is_hollow),
            has_data: data.is_some_and(|data| !data.is_null()),
        }
    }
}

/// Whether it holds nothing but zeros, `false`, `null` and what is empty.
fn is_hollow(value: &Json) -> bool {
    match value {
        Json::Null | Json::Bool(false) => true,
        Json::Bool(true) => false,
        Json::Number(number) => number.as_f64() == Some(0.0),
        Json::String(text) => text.is_empty(),
        Json::Array(items) => items.iter().all(is_hollow),
        Json::Object(members) => members.values().all(is_hollow),
    }
}

fn params(query: &str) -> Vec<(Cow<'_, str>, Cow<'_, str>)> {
    let decoded = |text: &str| {
        let text = text.replace('+', " ");
        let text = percent_encoding::percent_decode_str(&text);
        Cow::<str>::Owned(text.decode_utf8_lossy().into_owned())
    };
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let mut params: Vec<_> = pairs
        .map(|(name, value)| (decoded(name), decoded(value)))
        .collect();
    params.sort_by(|(one, _), (other, _)| one.cmp(other)); // stable: repeated ones stay in their order
    params
}

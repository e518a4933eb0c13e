//! Values that the origin made anew. What a recorded answer held stands for what the answer of now holds in its
//! place, so later recorded requests are asked with the latter: the id of what was just made, the token of who
//! just logged in.
//!
//! A long value is replaced wherever it stands. A short one, such as the id `17`, only where it is the id of the
//! same kind of thing: `orders/17` and `orderId`, once `POST /orders` had answered with it.

use crate::traffic::{Answered, Exchange};
use bytes::Bytes;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};

/// Shortest text that is replaced wherever it stands as a whole value.
const LONG: usize = 8;

/// Shortest text that is replaced also where it is a part of a value, as in a URL or behind `Bearer`.
const UNMISTAKABLE: usize = 16;

/// Names of a thing's own id.
const OWN_ID: [&str; 4] = ["id", "_id", "ID", "Id"];

/// What stands in an escaped value as it is.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~')
    .remove(b'@');

/// What recorded values have become.
#[derive(Default)]
pub struct Carried {
    /// Words that are the last of some path: what things are called, and not where all of them are.
    things: BTreeSet<String>,
    /// Long ones.
    everywhere: BTreeMap<String, String>,
    /// Those of them that are replaced also within values, by how they begin.
    beginnings: BTreeMap<[u8; LONG], BTreeSet<String>>,
    /// Ids, by what they are ids of.
    ids: BTreeMap<(String, String), String>,
    /// What was asked with before: no later answer made it.
    known: BTreeSet<String>,
    known_ids: BTreeSet<(String, String)>,
}

impl Carried {
    /// Nothing yet, in traffic of these paths.
    pub fn among<'p>(paths: impl Iterator<Item = &'p str>) -> Carried {
        let things = paths.filter_map(|path| words(path).pop());
        Carried {
            things: things.collect(),
            ..Carried::default()
        }
    }

    /// What the words of a path say of ids in it: `/api/v1/orders/17` is about orders.
    fn words(&self, path: &str) -> Vec<String> {
        let words = words(path).into_iter();
        words.filter(|word| self.things.contains(word)).collect()
    }

    /// Takes note of a recorded request: what it holds was there before.
    pub fn requested(&mut self, exchange: &Exchange) {
        let words = self.words(exchange.path());
        let mut note = |kinds: Vec<String>, value: &str| {
            if value.len() >= LONG {
                self.known.insert(value.to_owned());
            }
            for kind in kinds {
                self.known_ids.insert((kind, value.to_owned()));
            }
        };
        for segment in exchange.path().split('/') {
            note(words.clone(), &decoded(segment));
        }
        for (name, value) in pairs(exchange.query()) {
            note(kinds(&[name], &words), &decoded(value));
        }
        if let Ok(body) = serde_json::from_slice::<Json>(&exchange.body) {
            scalars(&body, &mut Vec::new(), &mut |names, value| {
                note(kinds(names, &words), value);
            });
        }
    }

    /// Holds the answer that a request got against the recorded one.
    pub fn answered(&mut self, path: &str, recorded: &Answered, headers: &HeaderMap, body: &Bytes) {
        let words = self.words(path);
        let before = recorded
            .body
            .as_ref()
            .map(|body| serde_json::from_slice(body));
        if let (Some(Ok(before)), Ok(now)) = (before, serde_json::from_slice::<Json>(body)) {
            differing(&before, &now, &mut Vec::new(), &mut |names, before, now| {
                self.carry(kinds(names, &words), before, now);
            });
        }
        let cookies = cookies(headers);
        for (name, before) in self::cookies(&recorded.headers) {
            if let Some((_, now)) = cookies.iter().find(|(other, _)| *other == name) {
                self.carry(Vec::new(), before, now);
            }
        }
        let location = |headers: &HeaderMap| {
            let value = headers.get(header::LOCATION)?.to_str().ok()?;
            Some(value.split('?').next().unwrap_or_default().to_owned())
        };
        if let (Some(before), Some(now)) = (location(&recorded.headers), location(headers)) {
            for (one, other) in before.split('/').zip(now.split('/')) {
                self.carry(self.words(&before), &decoded(one), &decoded(other));
            }
        }
    }

    fn carry(&mut self, kinds: Vec<String>, before: &str, now: &str) {
        if before == now || now.is_empty() {
            return;
        }
        if is_long(before) && !self.known.contains(before) {
            self.everywhere.insert(before.to_owned(), now.to_owned());
            if let Some(beginning) = before.as_bytes().first_chunk()
                && before.len() >= UNMISTAKABLE
            {
                let held = self.beginnings.entry(*beginning).or_default();
                held.insert(before.to_owned());
            }
        }
        for kind in kinds {
            let id = (kind, before.to_owned());
            if !self.known_ids.contains(&id) {
                self.ids.insert(id, now.to_owned());
            }
        }
    }

    /// A recorded request as it is to be asked now.
    pub fn applied(&self, exchange: &Exchange) -> Exchange {
        let mut applied = exchange.clone();
        if self.everywhere.is_empty() && self.ids.is_empty() {
            return applied;
        }
        let words = self.words(exchange.path());
        let path: Vec<String> = exchange
            .path()
            .split('/')
            .map(|segment| self.escaped(segment, &words))
            .collect();
        applied.target = path.join("/");
        if exchange.target.contains('?') {
            applied.target.push('?');
            applied
                .target
                .push_str(&self.form(exchange.query(), &words));
        }
        for (name, value) in applied.headers.iter_mut() {
            self.header(name, value);
        }
        applied.body = self.body(exchange, &words);
        applied
    }

    /// What a whole value has become, if it has.
    fn value(&self, kinds: &[String], value: &str) -> Option<String> {
        let whole = self.everywhere.get(value).cloned();
        let id = || {
            let of_kind = |kind: &String| self.ids.get(&(kind.clone(), value.to_owned()));
            kinds.iter().find_map(of_kind).cloned()
        };
        whole.or_else(id).or_else(|| self.within(value))
    }

    /// A text with what is unmistakable in it replaced, if there is any.
    fn within(&self, text: &str) -> Option<String> {
        let mut replaced = String::new();
        let (mut at, mut copied) = (0, 0);
        while at + UNMISTAKABLE <= text.len() {
            match self.beginning_at(text, at) {
                Some((before, now)) => {
                    replaced.push_str(&text[copied..at]);
                    replaced.push_str(now);
                    at += before.len();
                    copied = at;
                }
                None => at += 1,
            }
        }
        replaced.push_str(&text[copied..]);
        (replaced != text).then_some(replaced)
    }

    /// The longest value that stands there, and what it has become.
    fn beginning_at(&self, text: &str, at: usize) -> Option<(&str, &str)> {
        let rest = text.as_bytes().get(at..)?;
        let mut held = self.beginnings.get(rest.first_chunk()?)?.iter();
        // Sorted, so that of two of which one begins the other the longer one is the last.
        let before = held.rfind(|before| rest.starts_with(before.as_bytes()))?;
        let now = self.everywhere.get(before)?;
        Some((before, now))
    }

    fn escaped(&self, raw: &str, kinds: &[String]) -> String {
        match self.value(kinds, &decoded(raw)) {
            Some(now) => utf8_percent_encode(&now, ESCAPED).to_string(),
            None => raw.to_owned(),
        }
    }

    fn form(&self, form: &str, words: &[String]) -> String {
        let pair = |raw: &str| match raw.split_once('=') {
            Some((name, value)) => {
                let kinds = kinds(&[name], words);
                format!("{name}={}", self.escaped(value, &kinds))
            }
            None => raw.to_owned(),
        };
        form.split('&').map(pair).collect::<Vec<_>>().join("&")
    }

    fn header(&self, name: &HeaderName, value: &mut HeaderValue) {
        const BETWEEN: [char; 6] = [' ', ';', ',', '=', '"', '\t'];
        let Ok(text) = value.to_str() else {
            return;
        };
        if *name == header::HOST || *name == header::CONTENT_LENGTH {
            return;
        }
        let long = self.within(text).unwrap_or_else(|| text.to_owned());
        let pieces = long.split_inclusive(BETWEEN).map(|piece| {
            let bare = piece.trim_end_matches(BETWEEN);
            match self.everywhere.get(bare) {
                Some(now) => format!("{now}{}", &piece[bare.len()..]),
                None => piece.to_owned(),
            }
        });
        let replaced: String = pieces.collect();
        if replaced != text
            && let Ok(mut now) = HeaderValue::try_from(replaced)
        {
            now.set_sensitive(value.is_sensitive());
            *value = now;
        }
    }

    fn body(&self, exchange: &Exchange, words: &[String]) -> Bytes {
        let body = &exchange.body;
        if let Ok(mut json) = serde_json::from_slice::<Json>(body) {
            let changed = self.json(&mut json, &mut Vec::new(), words);
            return if changed {
                json.to_string().into()
            } else {
                body.clone()
            };
        }
        let kind = exchange.headers.get(header::CONTENT_TYPE);
        let is_form =
            kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/x-www-form"));
        match std::str::from_utf8(body) {
            Ok(text) if is_form => self.form(text, words).into(),
            Ok(text) => self.within(text).map_or_else(|| body.clone(), Bytes::from),
            Err(_) => body.clone(),
        }
    }

    /// Whether anything in it has become something else.
    fn json(&self, json: &mut Json, names: &mut Vec<String>, words: &[String]) -> bool {
        match json {
            Json::Array(items) => {
                let changed = items.iter_mut().map(|item| self.json(item, names, words));
                changed.fold(false, |any, one| any | one)
            }
            Json::Object(members) => {
                let changed = members.iter_mut().map(|(name, value)| {
                    names.push(name.clone());
                    let changed = self.json(value, names, words);
                    names.pop();
                    changed
                });
                changed.fold(false, |any, one| any | one)
            }
            Json::String(text) => {
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                let now = self.value(&kinds(&names, words), text);
                let changed = now.is_some();
                now.into_iter().for_each(|now| *text = now);
                changed
            }
            Json::Number(number) => {
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                let now = self.value(&kinds(&names, words), &number.to_string());
                let now = now.and_then(|now| now.parse::<serde_json::Number>().ok());
                let changed = now.is_some();
                now.into_iter().for_each(|now| *number = now);
                changed
            }
            Json::Null | Json::Bool(_) => false,
        }
    }
}

/// Long enough, and no words: ids, tokens, times.
fn is_long(value: &str) -> bool {
    let has_digit = value.bytes().any(|byte| byte.is_ascii_digit());
    let has_space = value.contains(char::is_whitespace);
    (value.len() >= LONG && has_digit) || (value.len() >= UNMISTAKABLE && !has_space)
}

fn decoded(raw: &str) -> String {
    percent_decode_str(raw).decode_utf8_lossy().into_owned()
}

fn pairs(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query.split('&').filter_map(|pair| pair.split_once('='))
}

fn words(path: &str) -> Vec<String> {
    let is_word = |segment: &&str| {
        segment.len() > 2
            && segment
                .bytes()
                .all(|b| b.is_ascii_alphabetic() || b"-_".contains(&b))
    };
    path.split('/').filter(is_word).map(singular).collect()
}

/// What a value is the id of, by the names that lead to it: nothing where it is no id.
fn kinds(names: &[&str], words: &[String]) -> Vec<String> {
    let Some((last, above)) = names.split_last() else {
        return Vec::new();
    };
    if OWN_ID.contains(last) {
        const WRAPPERS: [&str; 5] = ["data", "result", "item", "items", "payload"];
        return match above.iter().rev().find(|name| !WRAPPERS.contains(name)) {
            Some(thing) => vec![singular(thing)],
            None => words.to_vec(),
        };
    }
    let endings = ["Id", "_id", "-id", "ID"];
    let thing = endings.iter().find_map(|ending| last.strip_suffix(ending));
    thing.map(singular).into_iter().collect()
}

fn singular(word: &str) -> String {
    let lower = word.to_ascii_lowercase();
    if let Some(stem) = lower.strip_suffix("ies") {
        return format!("{stem}y");
    }
    lower.strip_suffix('s').unwrap_or(&lower).to_owned()
}

/// Every text and number of a document, with the names that lead to it.
fn scalars<'j>(json: &'j Json, names: &mut Vec<&'j str>, tell: &mut impl FnMut(&[&str], &str)) {
    match json {
        Json::Array(items) => items.iter().for_each(|item| scalars(item, names, tell)),
        Json::Object(members) => members.iter().for_each(|(name, value)| {
            names.push(name);
            scalars(value, names, tell);
            names.pop();
        }),
        Json::String(text) => tell(names, text),
        Json::Number(number) => tell(names, &number.to_string()),
        Json::Null | Json::Bool(_) => {}
    }
}

/// Texts and numbers that differ at the same place of two documents.
fn differing<'j>(
    before: &'j Json,
    now: &Json,
    names: &mut Vec<&'j str>,
    tell: &mut impl FnMut(&[&str], &str, &str),
) {
    match (before, now) {
        (Json::Array(before), Json::Array(now)) => {
            let items = before.iter().zip(now);
            items.for_each(|(before, now)| differing(before, now, names, tell));
        }
        (Json::Object(before), Json::Object(now)) => {
            for (name, before) in before {
                if let Some(now) = now.get(name) {
                    names.push(name);
                    differing(before, now, names, tell);
                    names.pop();
                }
            }
        }
        (Json::String(before), Json::String(now)) if before != now => tell(names, before, now),
        (Json::Number(before), Json::Number(now)) if before != now => {
            tell(names, &before.to_string(), &now.to_string());
        }
        _ => {}
    }
}

/// Names and values of the cookies that an answer sets.
fn cookies(headers: &HeaderMap) -> Vec<(&str, &str)> {
    let lines = headers.get_all(header::SET_COOKIE).iter();
    let lines = lines.filter_map(|line| line.to_str().ok());
    let pairs = lines.filter_map(|line| line.split(';').next()?.split_once('='));
    pairs
        .map(|(name, value)| (name.trim(), value.trim()))
        .collect()
}

#[cfg(test)]
mod tests;

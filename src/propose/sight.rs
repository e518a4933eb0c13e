//! A read, as much of it as a judgement needs: its route, the names of what it was asked with, and marks in the
//! place of every value. A mark is a keyed digest: two of them can be compared, and that is all.

use super::person::Who;
use crate::digest::{Digest, Digester, KEY_BYTES};
use crate::freshness::CacheControl;
use crate::random;
use crate::route;
use crate::rules::check::personal::{PERSONAL, words};
use crate::rules::settings::IdentitySettings;
use hyper::header::{CONTENT_TYPE, ETAG, SET_COOKIE, VARY};
use hyper::{HeaderMap, Method, StatusCode};
use serde_json::Value as Json;
use std::borrow::Cow;
use zeroize::Zeroizing;

/// Longest name of a parameter or a cookie that is taken for one that a programmer gave.
const LONGEST_NAME: usize = 64;

/// What browsers ask of names of cookies, which is none of a programmer's words.
const PREFIXES: [&str; 2] = ["__Secure-", "__Host-"];

/// Bytes of a packed answer from which on there is something in it: nothing but zeros packs smaller.
const NOT_HOLLOW: usize = 1024;

/// The secret of marks. It never leaves the process, and no other has the same.
pub struct Marks(Zeroizing<[u8; KEY_BYTES]>);

impl Marks {
    /// A new one; `None` without a source of randomness.
    pub fn new() -> Option<Marks> {
        random::bytes().map(Zeroizing::new).map(Marks)
    }

    /// The mark of something of a kind.
    pub fn of(&self, kind: &str, parts: &[&[u8]]) -> Digest {
        let mut digester = self.begin(kind);
        for part in parts {
            digester.part(part);
        }
        digester.finish()
    }

    /// The beginning of a mark.
    pub fn begin(&self, kind: &str) -> Digester {
        Digester::keyed(&self.0, kind)
    }
}

/// What is asked.
#[derive(Clone, Copy)]
pub struct Asking<'r> {
    /// Without the query.
    pub path: &'r str,
    /// As it was sent.
    pub query: &'r str,
    /// Of the request.
    pub headers: &'r HeaderMap,
    /// Milliseconds of Unix time.
    pub at_ms: u64,
}

/// A GET and its answer.
#[derive(Clone, Debug)]
pub struct Sight {
    /// When it was asked, in milliseconds of Unix time.
    pub at_ms: u64,
    pub(super) took_ms: Option<u64>,
    /// `GET /api/v1/doctor/{doctorId}`
    pub(super) route: Box<str>,
    /// Of its path, and of how the answer is packed.
    pub(super) page: Digest,
    /// Names and marks, by name; those of one name in their order.
    pub(super) params: Vec<(Box<str>, Digest)>,
    pub(super) who: Option<Box<Who>>,
    /// A word of its path that speaks of whoever asks.
    pub(super) personal: Option<&'static str>,
    /// 0 is no answer at all.
    pub(super) status: u16,
    /// Of a 200 whose body is known.
    pub(super) good: Option<Good>,
    /// Of the body, in bytes.
    pub(super) length: usize,
    /// Of what was asked and the answer's `ETag`.
    pub(super) tag: Option<Digest>,
    pub(super) sets_cookie: bool,
    /// `no-store`, or `Vary: *`.
    pub(super) forbids: bool,
    /// `private`, or varies by a credential.
    pub(super) says_private: bool,
    pub(super) is_stream: bool,
    pub(super) is_packed: bool,
}

/// A good answer's body.
#[derive(Clone, Copy, Debug)]
pub struct Good {
    /// Its mark.
    pub body: Digest,
    /// There is nothing in it, as far as is known: an empty list is the same for everybody, and so is a counter
    /// at zero.
    pub is_hollow: bool,
    /// Its top is an object with something under `data`, where that is known.
    pub has_data: Option<bool>,
}

impl Sight {
    /// A request, of which nothing was answered yet.
    pub fn of(marks: &Marks, asking: Asking<'_>, settings: Option<&IdentitySettings>) -> Sight {
        let Asking {
            path,
            query,
            headers,
            at_ms,
        } = asking;
        let params = params(query).into_iter();
        let params = params.map(|(name, value)| {
            let mark = marks.of("value", &[value.as_bytes()]);
            (name.into(), mark)
        });
        let mut words = path.split('/').flat_map(words);
        Sight {
            at_ms,
            took_ms: None,
            route: route::generalised(&Method::GET, path).text.into(),
            page: marks.of("page", &[path.as_bytes()]),
            params: params.collect(),
            who: Who::of(marks, headers, settings).map(Box::new),
            personal: words.find_map(|word| PERSONAL.into_iter().find(|one| *one == word)),
            status: 0,
            good: None,
            length: 0,
            tag: None,
            sets_cookie: false,
            forbids: false,
            says_private: false,
            is_stream: false,
            is_packed: false,
        }
    }

    /// Its answer has come, all but the body, this long after it was asked.
    pub fn answered(
        &mut self,
        marks: &Marks,
        status: StatusCode,
        headers: &HeaderMap,
        took_ms: Option<u64>,
    ) {
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
        self.took_ms = took_ms;
        self.status = status.as_u16();
        self.tag = headers
            .get(ETAG)
            .map(|tag| self.tagged(marks, tag.as_bytes()));
        self.sets_cookie = headers.contains_key(SET_COOKIE);
        self.forbids = said.no_store || varies("*");
        self.says_private = said.private || varies("cookie") || varies("authorization");
        self.is_stream = kind.is_some_and(|kind| kind.starts_with("text/event-stream"));
    }

    fn tagged(&self, marks: &Marks, tag: &[u8]) -> Digest {
        let mut digester = marks.begin("tag");
        digester.part(&self.page.0);
        for (name, value) in &self.params {
            digester.part(name.as_bytes()).part(&value.0);
        }
        digester.part(tag).finish()
    }

    /// Its body is packed like this, as `Content-Encoding` has it. It is compared with those that are packed so too.
    pub fn packed(&mut self, marks: &Marks, coding: &[u8]) {
        self.page = marks.of("packed", &[&self.page.0, coding]);
        self.is_packed = true;
    }

    /// Its body has come to its end, after so many bytes. Of a 200, `good` is what it was.
    pub fn ended(&mut self, length: usize, good: Option<Good>) {
        self.length = length;
        self.good = good.filter(|_| self.status == 200);
        if let Some(good) = self.good.as_mut().filter(|_| self.is_packed) {
            good.is_hollow |= length < NOT_HOLLOW;
            good.has_data = None;
        }
    }

    /// Whether its answer is packed.
    pub fn is_packed(&self) -> bool {
        self.is_packed
    }

    /// Whether its answer's body is to be looked at.
    pub fn has_good_body(&self) -> bool {
        self.status == 200 && !self.is_stream
    }

    /// Whether it was answered with something that is never kept, and that says nothing of whose the answer is.
    pub fn has_failed(&self) -> bool {
        ![200, 304, 401, 403].contains(&self.status)
    }

    /// Whether the parameters have names that a programmer gave: others are values, which are not to be known.
    pub fn is_discreet(&self) -> bool {
        self.params.iter().all(|(name, _)| is_a_name(name))
    }

    /// Bytes that it takes, about.
    pub fn weight(&self) -> usize {
        let params = self.params.iter().map(|(name, _)| name.len());
        let params = params.sum::<usize>() + size_of_val(self.params.as_slice());
        let who = self.who.as_deref().map_or(0, Who::weight);
        size_of::<Sight>() + self.route.len() + params + who
    }

    /// When its answer was there.
    pub(super) fn until_ms(&self) -> u64 {
        self.at_ms + self.took_ms.unwrap_or(0)
    }

    /// The marks of a parameter's values.
    pub(super) fn values(&self, name: &str) -> Vec<Digest> {
        let named = self.params.iter().filter(|(other, _)| **other == *name);
        named.map(|(_, value)| *value).collect()
    }

    /// Who asked; nobody in particular without a credential.
    pub(super) fn person(&self) -> Option<Digest> {
        self.who.as_ref().map(|who| who.person)
    }
}

impl Good {
    /// A whole body.
    pub fn of(marks: &Marks, body: &[u8]) -> Good {
        let mut digester = marks.begin("answer");
        digester.piece(body);
        Good::looked_into(digester.finish(), body)
    }

    /// The same where its mark is made already.
    pub fn looked_into(mark: Digest, body: &[u8]) -> Good {
        let document: Option<Json> = serde_json::from_slice(body).ok();
        let data = document.as_ref().and_then(|document| document.get("data"));
        Good {
            body: mark,
            is_hollow: body.is_empty() || data.or(document.as_ref()).is_some_and(is_hollow),
            has_data: Some(data.is_some_and(|data| !data.is_null())),
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

/// Whether this is a name that a programmer gave (`filter[city]`, `sort-by`), and no value.
pub(super) fn is_a_name(name: &str) -> bool {
    let begins = |c: char| c.is_ascii_alphabetic() || c == '_' || c == '$';
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_$-.[]".contains(c);
    let own = PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix));
    let mut words = own.unwrap_or(name).split(['.', '[', ']']);
    name.len() <= LONGEST_NAME
        && name.starts_with(begins)
        && name.chars().all(is_plain)
        && words.all(|word| !route::names_a_thing(word)) // nor is one of them longer than a word
}

/// Decoded, by name; values of one name in their order.
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

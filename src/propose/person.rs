//! Who asked, as far as credentials tell people apart. Nothing is verified: this is about what was seen, and
//! serves nobody. Of credentials and claims there are marks alone.

use super::sight::{Marks, is_a_name};
use crate::digest::Digest;
use crate::identity::cookie;
use crate::rules::check::personal::{SESSIONS, words};
use crate::rules::settings::{IdentitySettings, TokenSource};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hyper::HeaderMap;
use hyper::header::{AUTHORIZATION, COOKIE, HeaderValue};
use serde_json::{Map, Value as Json};
use std::collections::{BTreeMap, HashMap, HashSet};

/// Which of the people, by the mark of what tells them apart.
pub(super) type Person = Digest;

/// Cookies that tell nobody apart as far as an API is concerned, by how their names begin.
const HARMLESS: [&str; 16] = [
    "_ga",
    "_gid",
    "_gat",
    "_gcl",
    "_fbp",
    "_hj",
    "_clck",
    "_clsk",
    "ajs_",
    "amp_",
    "amplitude",
    "consent",
    "lang",
    "locale",
    "next_locale",
    "theme",
];

/// Claims that change from token to token of one person.
const OF_ONE_TOKEN: [&str; 6] = ["iat", "exp", "nbf", "jti", "auth_time", "nonce"];

/// Claims that only one person has, the surest first.
const ONES_OWN: [&str; 8] = [
    "sub", "userId", "user_id", "uid", "id", "email", "username", "name",
];

/// A source counts that one in so many of the requests and of the people had which the commonest had: what a few
/// strangers send decides nothing, however well it can be read.
const RARE: usize = 10;

/// The claim that says what a person may do.
pub(super) const ROLE: &str = "role";

/// Who asked, as far as his credentials tell.
#[derive(Clone, Debug)]
pub struct Who {
    pub(super) person: Person,
    /// What his token says of him, where it can be read.
    claims: Vec<(&'static str, Digest)>,
    /// Where credentials were: `header:authorization`, `cookie:accessToken`; and whether they can be read.
    sources: Vec<(Box<str>, bool)>,
    bearers: usize,
    raw: usize,
}

impl Who {
    /// Who made a request; nobody in particular without a credential. With `settings` it is they who say what is
    /// one.
    pub(super) fn of(
        marks: &Marks,
        headers: &HeaderMap,
        settings: Option<&IdentitySettings>,
    ) -> Option<Who> {
        let (mut bearers, mut raw) = (0, 0);
        let mut found = Vec::new();
        for value in headers.get_all(AUTHORIZATION) {
            let value = text(value);
            let bearer = value
                .get(..7)
                .filter(|word| word.eq_ignore_ascii_case("bearer "));
            match bearer {
                Some(_) => bearers += 1,
                None => raw += 1,
            }
            let token = bearer.map_or(value.as_str(), |_| value[7..].trim());
            found.push(("header:authorization".to_owned(), token.to_owned()));
        }
        match settings {
            Some(settings) => found.extend(named(settings, headers)),
            None => found.extend(cookies(headers)),
        }
        found.retain(|(_, token)| !token.is_empty());
        let read: Vec<_> = found.iter().map(|(_, token)| claims(token)).collect();
        let first = read.iter().flatten().next();
        let said = first.map_or(Vec::new(), |first| told(marks, first));
        let sources = found.iter().zip(&read);
        let sources = sources.filter(|((source, _), _)| {
            let (_, own) = source.split_once(':').unwrap_or(("", source));
            is_a_name(own) // else it may be a value
        });
        Some(Who {
            person: person(marks, &found, &read)?,
            claims: said,
            sources: sources
                .map(|((source, _), read)| (source.as_str().into(), read.is_some()))
                .collect(),
            bearers,
            raw,
        })
    }

    /// Bytes that it takes, about.
    pub(super) fn weight(&self) -> usize {
        let names = self.sources.iter().map(|(name, _)| name.len());
        size_of::<Who>()
            + size_of_val(self.claims.as_slice())
            + size_of_val(self.sources.as_slice())
            + names.sum::<usize>()
    }
}

/// The mark of whoever has these credentials and claims: nobody's without any.
fn person(
    marks: &Marks,
    found: &[(String, String)],
    read: &[Option<Map<String, Json>>],
) -> Option<Person> {
    if found.is_empty() {
        return None;
    }
    let mut digester = marks.begin("person");
    match read.iter().any(Option::is_some) {
        false => found.iter().for_each(|(source, text)| {
            digester.part(source.as_bytes()).part(text.as_bytes());
        }),
        // The same person with another token.
        true => read.iter().flatten().for_each(|one| {
            digester.part(Json::Object(one.clone()).to_string().as_bytes());
        }),
    }
    Some(digester.finish())
}

/// What a token says that is asked for later.
fn told(marks: &Marks, claims: &Map<String, Json>) -> Vec<(&'static str, Digest)> {
    let asked_for = ONES_OWN.into_iter().chain([ROLE]);
    let told = asked_for.filter_map(|name| {
        let value = match claims.get(name)? {
            Json::String(text) => text.clone(),
            Json::Number(number) => number.to_string(),
            Json::Bool(flag) => flag.to_string(),
            _ => return None,
        };
        Some((name, marks.of("claim", &[value.as_bytes()])))
    });
    told.collect()
}

fn text(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).trim().to_owned()
}

/// Where credentials were.
#[derive(Default)]
struct Source {
    requests: usize,
    people: HashSet<Person>,
    /// Some of them can be read.
    is_read: bool,
}

/// Everybody who asked.
#[derive(Default)]
pub(super) struct People {
    /// By person.
    claims: HashMap<Person, Vec<(&'static str, Digest)>>,
    sources: BTreeMap<String, Source>,
    bearers: usize,
    raw: usize,
}

impl People {
    /// One more who asked, or who asked once more.
    pub(super) fn add(&mut self, who: &Who) {
        for (source, is_read) in &who.sources {
            let source = self.sources.entry(source.to_string()).or_default();
            source.requests += 1;
            source.people.insert(who.person);
            source.is_read |= is_read;
        }
        self.bearers += who.bearers;
        self.raw += who.raw;
        let claims = || who.claims.clone();
        self.claims.entry(who.person).or_insert_with(claims);
    }

    /// What `[identity] token` would be: of what many asked with, where tokens were that can be read, else what is
    /// named like a credential, else whatever may be one. What only fetches new ones is left out, and so are cookies
    /// of fewer than `least` people: one alone may be called by a value.
    pub(super) fn sources(&self, least: usize) -> Vec<&str> {
        let of_use: Vec<_> = self
            .sources
            .iter()
            .rev() // headers first, as origins read them
            .filter(|(name, _)| !name.to_ascii_lowercase().contains("refresh"))
            .filter(|(name, source)| name.starts_with("header:") || source.people.len() >= least)
            .collect();
        let most_people = of_use.iter().map(|(_, source)| source.people.len()).max();
        let most_requests = of_use.iter().map(|(_, source)| source.requests).max();
        let is_common = |source: &Source| {
            Some(source.people.len() * RARE) >= most_people
                && Some(source.requests * RARE) >= most_requests
        };
        let common = || of_use.iter().filter(|(_, source)| is_common(source));
        let most = common().map(|(name, source)| source.telling(name)).max();
        let best = common().filter(|(name, source)| Some(source.telling(name)) == most);
        best.map(|(name, _)| name.as_str()).collect()
    }

    /// Whether some usual claim tells that these are more than one: one who has several cookies has no such claim.
    pub(super) fn are_several(&self, people: &[Person]) -> bool {
        ONES_OWN.into_iter().any(|name| {
            let mut values = people.iter().filter_map(|one| self.claim(*one, name));
            let first = values.next();
            values.any(|value| Some(value) != first)
        })
    }

    /// What `[identity] scheme` would be.
    pub(super) fn scheme(&self) -> &'static str {
        match (self.bearers, self.raw) {
            (0, _) => "raw",
            (_, 0) => "bearer",
            _ => "either",
        }
    }

    /// The mark of what the token of a person says under a name.
    pub(super) fn claim(&self, person: Person, name: &str) -> Option<Digest> {
        let claims = self.claims.get(&person)?.iter();
        let mut named = claims.filter(|(other, _)| *other == name);
        named.next().map(|(_, value)| *value)
    }

    /// The claim that tells every one of these people from the others; none where tokens cannot be read, or no
    /// usual claim does.
    pub(super) fn telling(&self, people: &[Person]) -> Option<&'static str> {
        ONES_OWN.into_iter().find(|name| {
            let mut values: Vec<_> = people.iter().map(|one| self.claim(*one, name)).collect();
            values.sort();
            values.dedup();
            !people.is_empty() && values.len() == people.len() && values.iter().all(Option::is_some)
        })
    }

    /// Whether every one of these has a claim of this name.
    pub(super) fn all_have(&self, people: &[Person], name: &str) -> bool {
        !people.is_empty() && people.iter().all(|one| self.claim(*one, name).is_some())
    }
}

impl Source {
    /// How surely it tells who asks: as one that can be read, as one that is called like it, or not at all.
    fn telling(&self, name: &str) -> u8 {
        let (place, own) = name.split_once(':').unwrap_or(("", name));
        let is_named = place == "header" || words(own).iter().any(|word| is_session(word));
        (2 * u8::from(self.is_read)).max(u8::from(is_named))
    }
}

/// Whether a word is one by which cookies and headers of sessions are named.
fn is_session(word: &str) -> bool {
    SESSIONS.contains(&word) || word.contains("sess")
}

/// What settings name, but for `Authorization`, which counts anyway.
fn named<'h>(
    settings: &'h IdentitySettings,
    headers: &'h HeaderMap,
) -> impl Iterator<Item = (String, String)> + 'h {
    settings
        .token
        .iter()
        .filter_map(move |source| match source {
            TokenSource::Header(name) if *name == AUTHORIZATION => None,
            TokenSource::Header(name) => {
                let value = headers.get(name)?;
                let text = String::from_utf8_lossy(value.as_bytes());
                Some((format!("header:{name}"), text.trim().to_owned()))
            }
            TokenSource::Cookie(name) => {
                Some((format!("cookie:{name}"), cookie::get(headers, name)?))
            }
        })
}

/// All cookies that may tell people apart.
fn cookies(headers: &HeaderMap) -> Vec<(String, String)> {
    let lines = headers.get_all(COOKIE).iter();
    let lines: Vec<String> = lines
        .map(|line| String::from_utf8_lossy(line.as_bytes()).into_owned())
        .collect();
    let pairs = lines.iter().flat_map(|line| line.split(';'));
    let pairs = pairs.filter_map(|pair| pair.trim().split_once('='));
    let telling = pairs.filter(|(name, _)| {
        let name = name.to_ascii_lowercase();
        !HARMLESS.iter().any(|harmless| name.starts_with(harmless))
    });
    telling
        .map(|(name, value)| (format!("cookie:{name}"), value.to_owned()))
        .collect()
}

/// What a token says, without what only this one says.
fn claims(token: &str) -> Option<Map<String, Json>> {
    let mut parts = token.split('.');
    let (header, payload, signature) = (parts.next()?, parts.next()?, parts.next());
    if !header.starts_with("eyJ") || signature.is_none() {
        return None;
    }
    let json = URL_SAFE_NO_PAD.decode(payload).ok()?;
    let mut claims: Map<String, Json> = serde_json::from_slice(&json).ok()?;
    claims.retain(|name, _| !OF_ONE_TOKEN.contains(&name.as_str()));
    Some(claims)
}

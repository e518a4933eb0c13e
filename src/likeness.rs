//! Whether a kept answer still says what the origin says, and what of an answer never says the same twice.
//! Pure.

use bytes::Bytes;
use serde_json::{Map, Value as Json};
use std::collections::{BTreeMap, BTreeSet};

/// Places that are told of one answer, at most. One that differs everywhere is no better known by more.
pub const MAX_PLACES: usize = 64;

/// Longest member name that stands in a place as it is: longer ones are data.
const MAX_NAME: usize = 40;

/// Digits from which on a member's name is taken for data: a number, a date, a piece of an id.
const DIGITS_OF_DATA: usize = 4;

/// The place of what is no part of a body.
pub const STATUS: &str = "status";

/// Members that tell the items of a list apart, the most telling first.
const IDENTITIES: [&str; 7] = ["id", "_id", "uuid", "key", "slug", "code", "email"];

/// What became of an answer.
///
/// Places are JSON pointers (RFC 6901). An index is written `*`, and so is a member's name that looks like
/// data (an id, an e-mail address): places are shown to people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Likeness {
    /// All three are alike.
    Same,
    /// What differs, at these places, differs also between two answers of the same moment.
    Restless(Vec<String>),
    /// The origin says something else now.
    Differs {
        /// Where.
        at: Vec<String>,
        /// Where two answers of the same moment differ, which says nothing.
        restless: Vec<String>,
    },
}

impl Likeness {
    /// Whether the origin says something else now.
    pub fn is_stale(&self) -> bool {
        matches!(self, Likeness::Differs { .. })
    }

    /// Where two answers of the same moment differ.
    pub fn restless(&self) -> &[String] {
        match self {
            Likeness::Same => &[],
            Likeness::Restless(restless) | Likeness::Differs { restless, .. } => restless,
        }
    }

    /// The same where these places are known to be restless from other answers: what differs just there says
    /// nothing.
    pub fn knowing(self, known: &BTreeSet<String>) -> Likeness {
        let Likeness::Differs { at, restless } = self else {
            return self;
        };
        let (rest, left): (Vec<String>, Vec<String>) =
            at.into_iter().partition(|place| known.contains(place));
        match left.is_empty() {
            true => Likeness::Restless(restless.into_iter().chain(rest).collect()),
            false => Likeness::Differs { at: left, restless },
        }
    }
}

/// Holds the body of a kept answer against two answers that were asked for one after the other. What differs
/// between those two, be it a value, the order of a list, or whether something is there at all, is restlessness
/// and does not count against the kept one. Items of lists are compared by their ids where they have them. Where
/// one of them is not JSON, their bytes are compared.
pub fn differences(kept: &Bytes, now: &Bytes, again: &Bytes) -> Likeness {
    if kept == now && now == again {
        return Likeness::Same;
    }
    let parsed = |bytes: &Bytes| serde_json::from_slice::<Json>(bytes).ok();
    let (Some(kept_json), Some(now_json), Some(again_json)) =
        (parsed(kept), parsed(now), parsed(again))
    else {
        let whole = vec![String::new()];
        return match now == again {
            false => Likeness::Restless(whole),
            true => Likeness::Differs {
                at: whole,
                restless: Vec::new(),
            },
        };
    };
    let mut found = Found::default();
    found.compare(Some(&kept_json), Some(&now_json), Some(&again_json));
    // One of the two that were asked for now says what is kept.
    if kept == now || kept == again {
        found.differing.clear();
    }
    found.likeness()
}

/// A body without the values at these places, in one spelling: two are alike if they differ only there. As it stands
/// where no place is named. `None` where there is more than a value at one of them, or it is not JSON.
pub fn without(body: &Bytes, places: &[String]) -> Option<Bytes> {
    if places.is_empty() {
        return Some(body.clone());
    }
    let mut json: Json = serde_json::from_slice(body).ok()?;
    clear(&mut json, "", places).then(|| Bytes::from(json.to_string()))
}

/// Whether nothing but values were at these places, which are null now.
fn clear(json: &mut Json, at: &str, places: &[String]) -> bool {
    let is_named = places.iter().any(|place| place == at);
    match json {
        Json::Object(_) | Json::Array(_) if is_named => false,
        Json::Object(members) => members.iter_mut().all(|(name, value)| {
            let name = if is_a_field(name) { name } else { "*" };
            clear(value, &format!("{at}/{name}"), places)
        }),
        Json::Array(items) => {
            let at = format!("{at}/*");
            items.iter_mut().all(|item| clear(item, &at, places))
        }
        value => {
            if is_named {
                *value = Json::Null;
            }
            true
        }
    }
}

/// Where they differ, while they are gone through.
#[derive(Default)]
struct Found {
    /// The place that is looked at.
    place: String,
    differing: BTreeSet<String>,
    restless: BTreeSet<String>,
}

impl Found {
    fn likeness(self) -> Likeness {
        let restless: Vec<String> = self.restless.iter().cloned().collect();
        let at = self.differing.into_iter();
        let at: Vec<String> = at.filter(|place| !self.restless.contains(place)).collect();
        match (at.is_empty(), restless.is_empty()) {
            (true, true) => Likeness::Same,
            (true, false) => Likeness::Restless(restless),
            (false, _) => Likeness::Differs { at, restless },
        }
    }

    fn differs(&mut self) {
        if self.differing.len() < MAX_PLACES {
            self.differing.insert(self.place.clone());
        }
    }

    fn is_restless(&mut self) {
        if self.restless.len() < MAX_PLACES {
            self.restless.insert(self.place.clone());
        }
    }

    /// Goes on one step below.
    fn below(&mut self, name: &str, go_on: impl FnOnce(&mut Found)) {
        let length = self.place.len();
        self.place.push('/');
        match is_a_field(name) {
            true => self.place.push_str(name), // holds neither `~` nor `/`
            false => self.place.push('*'),
        }
        go_on(self);
        self.place.truncate(length);
    }

    fn compare(&mut self, kept: Option<&Json>, now: Option<&Json>, again: Option<&Json>) {
        if kept == now && now == again {
            return;
        }
        match (kept, now, again) {
            (_, None, None) => self.differs(),
            (_, Some(_), None) | (_, None, Some(_)) => self.is_restless(),
            (Some(Json::Object(kept)), Some(Json::Object(now)), Some(Json::Object(again))) => {
                self.objects(kept, now, again);
            }
            (Some(Json::Array(kept)), Some(Json::Array(now)), Some(Json::Array(again))) => {
                self.lists(kept, now, again);
            }
            (_, Some(Json::Object(_)), Some(Json::Object(_)))
            | (_, Some(Json::Array(_)), Some(Json::Array(_))) => {
                self.differs();
                self.compare(now, now, again); // what of it is restless
            }
            _ if now != again => self.is_restless(),
            _ => self.differs(),
        }
    }

    fn objects(
        &mut self,
        kept: &Map<String, Json>,
        now: &Map<String, Json>,
        again: &Map<String, Json>,
    ) {
        let names: BTreeSet<&String> = [kept, now, again].into_iter().flat_map(Map::keys).collect();
        for name in names {
            self.below(name, |found| {
                found.compare(kept.get(name), now.get(name), again.get(name));
            });
        }
    }

    fn lists(&mut self, kept: &[Json], now: &[Json], again: &[Json]) {
        let identity = IDENTITIES.into_iter().find_map(|name| {
            let told = |items| ids(items, name);
            Some((told(kept)?, told(now)?, told(again)?))
        });
        match identity {
            Some((kept_ids, now_ids, again_ids)) => {
                self.order(&kept_ids, &now_ids, &again_ids);
                let (before, other) = (by_id(&kept_ids, kept), by_id(&again_ids, again));
                for (id, one) in now_ids.iter().zip(now) {
                    if let (Some(before), Some(other)) = (before.get(id), other.get(id)) {
                        self.below("*", |found| {
                            found.compare(Some(before), Some(one), Some(other));
                        });
                    }
                }
            }
            None => self.unnamed(kept, now, again),
        }
    }

    /// Which items there are, and in which order.
    fn order(&mut self, kept: &[String], now: &[String], again: &[String]) {
        if now == again {
            if kept != now {
                self.differs();
            }
            return;
        }
        let set = |ids: &[String]| ids.iter().cloned().collect::<BTreeSet<String>>();
        let is_same_set = |one: &[String], other: &[String]| set(one) == set(other);
        // Restless membership: a page of a list whose order is left to chance shows now these, now those.
        let is_order_alone = is_same_set(now, again);
        if is_order_alone && !is_same_set(kept, now) {
            self.below("*", Found::differs);
        }
        self.is_restless();
    }

    /// Items without ids.
    fn unnamed(&mut self, kept: &[Json], now: &[Json], again: &[Json]) {
        if now != again && sorted(now) == sorted(again) {
            self.is_restless();
            if sorted(kept) != sorted(now) {
                self.below("*", Found::differs);
            }
        } else if now.len() != again.len() {
            self.is_restless();
        } else {
            let is_as_long = kept.len() == now.len();
            if !is_as_long {
                self.differs();
            }
            let before = if is_as_long { kept } else { now };
            for ((before, one), other) in before.iter().zip(now).zip(again) {
                self.below("*", |found| {
                    found.compare(Some(before), Some(one), Some(other));
                });
            }
        }
    }
}

/// The ids of all items under one name; `None` where an item has none, or two have the same.
fn ids(items: &[Json], name: &str) -> Option<Vec<String>> {
    let id = |item: &Json| {
        let id = item.get(name)?;
        (id.is_string() || id.is_number()).then(|| id.to_string())
    };
    let ids: Vec<String> = items.iter().map(id).collect::<Option<_>>()?;
    let different: BTreeSet<&String> = ids.iter().collect();
    (different.len() == ids.len()).then_some(ids)
}

fn by_id<'j>(ids: &'j [String], items: &'j [Json]) -> BTreeMap<&'j String, &'j Json> {
    ids.iter().zip(items).collect()
}

fn sorted(items: &[Json]) -> Vec<String> {
    let mut texts: Vec<String> = items.iter().map(ToString::to_string).collect();
    texts.sort();
    texts
}

/// Whether a member's name is one that a programmer gave, and no value.
fn is_a_field(name: &str) -> bool {
    let begins = |c: char| c.is_ascii_alphabetic() || c == '_' || c == '$';
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_$-".contains(c);
    let digits = name.bytes().filter(u8::is_ascii_digit).count();
    name.len() <= MAX_NAME
        && name.starts_with(begins)
        && name.chars().all(is_plain)
        && digits < DIGITS_OF_DATA
}

#[cfg(test)]
mod tests;

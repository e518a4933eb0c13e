//! The routes of writes. What no set or rule names is generalised from its path, with the help of all that was
//! recorded: a piece of a path that some message calls an id is one, however much it looks like a word.

use crate::live::Live;
use crate::route::{self, Route};
use crate::traffic::Exchange;
use percent_encoding::percent_decode_str;
use serde_json::Value as Json;
use std::collections::BTreeSet;

/// Names under which a thing's id stands in a message, beside those that end in `Id`.
const IDS: [&str; 6] = ["id", "_id", "uuid", "slug", "key", "code"];

/// What stands for an id in a path, to whom the path alone is shown.
const AN_ID: &str = "00000000-0000-4000-8000-000000000000";

/// Shortest value of a write by which a read is taken to be about the same thing: shorter ones stand everywhere.
const TELLING: usize = 6;

/// What the traffic says of values in it.
#[derive(Default)]
pub struct Ids {
    /// Pieces of paths of writes that are ids.
    ids: BTreeSet<String>,
    /// What writes hold in their paths, bodies and answers.
    written: BTreeSet<String>,
}

impl Ids {
    /// Those among the pieces of the paths of `writes` that a message of the traffic calls so.
    pub fn of<'e>(
        writes: impl Iterator<Item = &'e Exchange>,
        all: impl Iterator<Item = &'e Exchange>,
    ) -> Ids {
        let (mut pieces, mut ids) = (BTreeSet::new(), Ids::default());
        for write in writes {
            pieces.extend(write.path().split('/').map(decoded));
            documents(write).for_each(|json| values(&json, &mut ids.written));
        }
        for json in all.flat_map(documents) {
            gather(&json, &pieces, &mut ids.ids);
        }
        let telling = pieces.into_iter().filter(|piece| is_telling(piece));
        ids.written.extend(telling);
        ids
    }

    /// Whether a read's path or query holds what some write holds.
    pub fn is_about_a_write(&self, read: &Exchange) -> bool {
        let words = read.target.split(['/', '?', '&', '=']).map(decoded);
        let is_value = |word: &String| word.bytes().any(|b| b.is_ascii_digit() || b == b'@');
        let mut values = words.filter(is_value);
        values.any(|value| self.written.contains(&value))
    }

    /// The route of a recorded write, with what this path of the same write holds.
    pub fn route(&self, live: &Live, recorded: &Exchange, path: &str) -> Route {
        let method = &recorded.method;
        let known = route::of(&live.table, method, path);
        let is_id = |piece: &str| self.ids.contains(&decoded(piece));
        let is_guessed = known.text == route::generalised(method, path).text;
        if !is_guessed || !recorded.path().split('/').any(is_id) {
            return known;
        }
        let pieces = || recorded.path().split('/').zip(path.split('/'));
        let plain = pieces().map(|(before, piece)| if is_id(before) { AN_ID } else { piece });
        let mut route = route::generalised(method, &plain.collect::<Vec<_>>().join("/"));
        let mut held = pieces().filter(|(before, _)| is_id(before));
        for (_, value) in route.params.iter_mut().filter(|(_, value)| value == AN_ID) {
            let piece = held.next().map(|(_, piece)| decoded(piece));
            *value = piece.unwrap_or_default(); // there are as many
        }
        route
    }
}

fn decoded(piece: &str) -> String {
    percent_decode_str(piece).decode_utf8_lossy().into_owned()
}

/// The bodies of a request and of its answer, where they are JSON.
fn documents(exchange: &Exchange) -> impl Iterator<Item = Json> {
    let answer = exchange
        .answer
        .as_ref()
        .and_then(|answer| answer.body.as_ref());
    let bodies = [Some(&exchange.body), answer].into_iter().flatten();
    let documents = bodies.filter_map(|body| serde_json::from_slice(body).ok());
    documents.collect::<Vec<_>>().into_iter()
}

fn is_telling(value: &str) -> bool {
    value.len() >= TELLING
}

/// All texts that may tell what a message is about.
fn values(json: &Json, told: &mut BTreeSet<String>) {
    match json {
        Json::Array(items) => items.iter().for_each(|item| values(item, told)),
        Json::Object(members) => members.values().for_each(|value| values(value, told)),
        Json::String(text) if is_telling(text) => {
            told.insert(text.clone());
        }
        _ => {}
    }
}

fn gather(json: &Json, pieces: &BTreeSet<String>, ids: &mut BTreeSet<String>) {
    match json {
        Json::Array(items) => items.iter().for_each(|item| gather(item, pieces, ids)),
        Json::Object(members) => {
            for (name, value) in members {
                let is_id =
                    IDS.contains(&name.as_str()) || name.ends_with("Id") || name.ends_with("_id");
                match value.as_str() {
                    Some(text) if is_id && pieces.contains(text) => {
                        ids.insert(text.to_owned());
                    }
                    _ => gather(value, pieces, ids),
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::check::compile;
    use crate::traffic::Answered;
    use hyper::{HeaderMap, Method};
    use std::path::Path;

    fn exchange(target: &str, answered: &str) -> Exchange {
        Exchange {
            at_ms: 0,
            took_ms: None,
            method: Method::DELETE,
            target: target.to_owned(),
            headers: HeaderMap::new(),
            body: bytes::Bytes::new(),
            answer: Some(Answered {
                status: 200,
                headers: HeaderMap::new(),
                body: Some(answered.to_owned().into()),
            }),
        }
    }

    #[tokio::test]
    async fn what_some_message_calls_an_id_is_one() {
        let rules = b"namespace = \"t\"\n[proxy]\norigin = \"http://127.0.0.1:1\"\n[store]\nurl = \"memory:\"\n";
        let table = compile(rules, &|_| None, Path::new("."))
            .table
            .expect("rules");
        let live = Live::apart(table).expect("live");
        let slot = exchange(
            "/slots/slot%2D2/now",
            r#"[{"slotId": "slot-2", "word": "now"}]"#,
        );
        let ids = Ids::of([&slot].into_iter(), [&slot].into_iter());
        let route = ids.route(&live, &slot, "/slots/slot-7/now");
        assert_eq!(route.text, "DELETE /slots/{slotsId}/now");
        assert_eq!(route.params, [("slotsId".to_owned(), "slot-7".to_owned())]);
    }
}

//! What of a write a drop can be named by: each value that it holds, under the placeholder that stands for it.
//! Pure.

use crate::digest::{Digester, KEY_BYTES};
use crate::identity::Claims;
use crate::inputs::{Query, Value};
use crate::key::{is_safe_integer, plain};
use crate::rules::pattern::is_name;
use crate::suspects::Mark;
use serde_json::Value as Json;

/// Parts of one write, at most: a drop is named by what stands near the top of a document.
pub const MAX_PARTS: usize = 64;

/// How deep a part may stand in a body or an answer: `{response.data.doctor.id}` is 3.
const MAX_DEPTH: usize = 4;

/// Longest value in bytes: longer ones name nothing.
const MAX_VALUE: usize = 128;

/// Claims that say when a token was made, or which one it is, and of nothing else.
pub const OF_THE_TOKEN: [&str; 4] = ["iat", "exp", "nbf", "jti"];

/// All parts of a write, each as its placeholder (`{doctorId}`, `{query.id}`, `{body.a.b}`,
/// `{response.data.id}`, `{claims.email}`) and its value as it stands in a key that is made of it. Those that
/// name best come first: the route's, then claims, the query, the body and the answer, whose fields nearer the
/// top come before deeper ones. A value that `lower` changes is there in both spellings. Left out are items of lists,
/// since a write of one item shows nothing of one of two, values that are empty or longer than 128 bytes, and
/// fields whose names cannot stand in a template.
pub fn of_write(
    route_params: &[(String, String)],
    query: Option<&Query>,
    body: Option<&Json>,
    answer: Option<&Json>,
    claims: Option<&Claims>,
) -> Vec<(String, String)> {
    let mut parts = Parts(Vec::new());
    for (name, value) in route_params {
        parts.add(name, value);
    }
    for name in claims.iter().flat_map(|claims| claims.names()) {
        let value = claims.and_then(|claims| claims.text(name));
        if let Some(value) = value.filter(|_| is_name(name) && !OF_THE_TOKEN.contains(&name)) {
            parts.add(&format!("claims.{name}"), &value);
        }
    }
    for (name, value) in query
        .map(|query| query.sorted(|_| true))
        .unwrap_or_default()
    {
        let is_repeated = query.is_some_and(|query| matches!(query.values(name), Value::List(_)));
        if is_name(name) && !is_repeated {
            parts.add(&format!("query.{name}"), value);
        }
    }
    parts.of_document("body", body, MAX_PARTS - MAX_PARTS / 3);
    parts.of_document("response", answer, MAX_PARTS);
    parts.0
}

/// What a value of a write and one of a key are compared by: alike where the values are, and nothing to
/// anybody who does not hold the secret.
pub fn mark(value: &str, secret: &[u8; KEY_BYTES]) -> Mark {
    let digest = Digester::keyed(secret, "part")
        .part(value.as_bytes())
        .finish();
    let [a, b, c, d, e, f, g, h, ..] = digest.0;
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

struct Parts(Vec<(String, String)>);

impl Parts {
    fn add(&mut self, name: &str, value: &str) {
        self.add_within(MAX_PARTS, name, value);
    }

    fn add_within(&mut self, most: usize, name: &str, value: &str) {
        if value.is_empty() || value.len() > MAX_VALUE {
            return;
        }
        let lower = value.to_lowercase();
        let is_other = lower != value;
        let spellings = [
            Some((format!("{{{name}}}"), plain(value))),
            is_other.then(|| (format!("{{{name} | lower}}"), plain(&lower))),
        ];
        let room = most.saturating_sub(self.0.len());
        self.0.extend(spellings.into_iter().flatten().take(room));
    }

    /// Level by level, so that what is left out for want of room is what stands deepest. There are `most` parts
    /// afterwards: the body leaves some room to the answer.
    fn of_document(&mut self, name: &str, document: Option<&Json>, most: usize) {
        let mut level: Vec<(String, &Json)> = document
            .map(|document| (name.to_owned(), document))
            .into_iter()
            .collect();
        for _ in 0..MAX_DEPTH {
            let mut next = Vec::new();
            for (name, members) in &level {
                let members = members.as_object().into_iter().flatten();
                for (field, value) in members.filter(|(field, _)| is_name(field)) {
                    let name = format!("{name}.{field}");
                    match scalar(value) {
                        Some(text) => self.add_within(most, &name, &text),
                        None => next.push((name, value)),
                    }
                }
            }
            level = next;
        }
    }
}

/// A value as a key made of a path would hold it.
fn scalar(json: &Json) -> Option<String> {
    match Value::of(json) {
        Value::Text(text) => Some(text),
        Value::Number(number) if is_safe_integer(&number) => Some(number),
        Value::Bool(truth) => Some(truth.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests;

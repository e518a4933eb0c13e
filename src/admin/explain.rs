//! `POST /api/explain {"method", "url", "headers", "body"}`: what a request would come to, under the rules
//! in force.

use super::{Answer, Denied};
use crate::explain::{Question, explain};
use crate::live::Live;
use crate::reply;
use bytes::Bytes;
use hyper::StatusCode;
use serde::Deserialize;
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::sync::Arc;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    #[serde(default = "get")]
    method: String,
    url: String,
    #[serde(default)]
    headers: BTreeMap<String, Lines>,
    /// A text as it is, anything else as JSON.
    #[serde(default)]
    body: Json,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Lines {
    One(String),
    Many(Vec<String>),
}

fn get() -> String {
    "GET".to_owned()
}

/// Asks nobody and changes nothing.
pub(super) fn told(live: &Arc<Live>, body: &[u8]) -> Answer {
    let bad = |why: String| Denied::new(StatusCode::BAD_REQUEST, why);
    let asked: Asked = serde_json::from_slice(body).map_err(|error| {
        bad(format!(
            "the body is to be {{\"method\": \"GET\", \"url\": \"/path\", \"headers\": {{…}}, \"body\": …}}: {error}"
        ))
    })?;
    let pairs = asked.headers.into_iter().flat_map(|(name, lines)| {
        let lines = match lines {
            Lines::One(line) => vec![line],
            Lines::Many(lines) => lines,
        };
        lines.into_iter().map(move |line| (name.clone(), line))
    });
    let pairs: Vec<(String, String)> = pairs.collect();
    let sent = match asked.body {
        Json::Null => Bytes::new(),
        Json::String(text) => Bytes::from(text),
        document => Bytes::from(document.to_string()),
    };
    let question = Question::new(&live.table, &asked.method, &asked.url, &pairs, sent);
    let told = explain(live, question.map_err(bad)?);
    let told = serde_json::to_value(&told).expect("plain texts and numbers are JSON");
    Ok(reply::json(StatusCode::OK, &told))
}

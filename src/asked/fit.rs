//! Whether everything about a request that can shape its answer is in the key, or declared irrelevant.

use crate::headers::Seen;
use crate::inputs::{Query, is_plain_json};
use crate::outcome::Detail;
use crate::rules::table::{Rule, Shaping, Table};
use crate::rules::template::{Source, Template};
use bytes::Bytes;
use hyper::HeaderMap;
use hyper::header::{self, HeaderValue};
use serde_json::Value as Json;

pub(super) fn fit_host(table: &Table, headers: &HeaderMap) -> Result<HeaderValue, Detail> {
    let host = headers.get(header::HOST).ok_or(Detail::Host)?;
    let host = match host.as_bytes().iter().any(u8::is_ascii_uppercase) {
        true => HeaderValue::from_bytes(&host.as_bytes().to_ascii_lowercase()),
        false => Ok(host.clone()),
    };
    let host = host.map_err(|_| Detail::Host)?;
    let text = host.to_str().map_err(|_| Detail::Host)?;
    match &table.proxy.hosts {
        Some(hosts) if !hosts.iter().any(|listed| listed == text) => Err(Detail::Host),
        _ => Ok(host),
    }
}

/// Headers that change which handler the origin runs, or make a condition that only it can judge.
pub(super) fn refuse_what_no_key_can_carry(seen: Seen) -> Result<(), Detail> {
    match seen.has(Seen::TARGET_OVERRIDE | Seen::METHOD_OVERRIDE | Seen::PRECONDITION) {
        true => Err(Detail::UnkeyedHeader),
        false => Ok(()),
    }
}

pub(super) fn fit_query(rule: &Rule, query: &Query) -> Result<(), Detail> {
    let Shaping::Undeclared = rule.query else {
        return Ok(());
    };
    let all_are_keyed = rule
        .key
        .placeholders()
        .any(|placeholder| placeholder.source == Source::Query);
    let keyed = |name: &str| all_are_keyed || names_query(&rule.key, name);
    if query.names().all(keyed) {
        Ok(())
    } else {
        Err(Detail::UnkeyedQuery)
    }
}

fn names_query(template: &Template, name: &str) -> bool {
    template
        .placeholders()
        .any(|placeholder| matches!(&placeholder.source, Source::QueryName(keyed) if keyed == name))
}

/// The JSON body restricted to what shapes the answer; `None` where there is no body.
pub(super) fn fit_body(
    rule: &Rule,
    headers: &HeaderMap,
    body: Option<&Bytes>,
) -> Result<Option<Json>, Detail> {
    let keyed = keyed_fields(&rule.key);
    let whole_is_keyed = keyed.iter().any(|path| path.is_empty());
    // No body and one without any of the fields are two requests, which fields cannot tell apart.
    let Some(bytes) = body.filter(|bytes| !bytes.is_empty()) else {
        return match keyed.is_empty() || whole_is_keyed {
            true => Ok(None),
            false => Err(Detail::UnkeyedBody),
        };
    };
    let is_irrelevant = rule.body != Shaping::Undeclared;
    if !is_plain_json(headers) || (keyed.is_empty() && !is_irrelevant) {
        return Err(Detail::UnkeyedBody);
    }
    let mut document: Json = serde_json::from_slice(bytes).map_err(|_| Detail::UnkeyedBody)?;
    if let (Shaping::Only(names), Json::Object(members)) = (&rule.body, &mut document) {
        members.retain(|name, _| names.contains(name));
    }
    if covered(&document, &keyed) {
        Ok(Some(document))
    } else {
        Err(Detail::UnkeyedBody)
    }
}

/// The body fields that a template holds, as paths; `{body}` is the empty path.
fn keyed_fields(template: &Template) -> Vec<&[String]> {
    let path = |source| match source {
        &Source::Body => Some(&[] as &[String]),
        Source::BodyField(path) => Some(path.as_slice()),
        _ => None,
    };
    template
        .placeholders()
        .filter_map(|placeholder| path(&placeholder.source))
        .collect()
}

/// Whether every field of a document is in the key.
fn covered(document: &Json, keyed: &[&[String]]) -> bool {
    if keyed.iter().any(|path| path.is_empty()) {
        return true;
    }
    let Json::Object(members) = document else {
        return false;
    };
    members.iter().all(|(name, value)| {
        let below: Vec<&[String]> = keyed
            .iter()
            .filter_map(|path| path.split_first())
            .filter(|(first, _)| *first == name)
            .map(|(_, rest)| rest)
            .collect();
        !below.is_empty() && covered(value, &below)
    })
}

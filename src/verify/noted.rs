//! The writes that are seen: what a drop could name by them, as marks, and nothing else.

use crate::body::Body;
use crate::identity::Claims;
use crate::inputs::Query;
use crate::live::Live;
use crate::parts;
use crate::route;
use crate::suspects::{self, EVERYTHING};
use crate::witness;
use hyper::body::Body as _;
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method, StatusCode, header};
use serde_json::Value as Json;

/// Whether a body may be read for what a drop could be named by: JSON as it stands, whose length is known and not above
/// `limit`. Uploads and streams of events are left alone.
pub fn may_read(headers: &HeaderMap, body: &Body, limit: usize) -> bool {
    let kind = headers.get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    let is_json = essence.eq_ignore_ascii_case("application/json") || essence.ends_with("+json");
    let length = body.size_hint().exact();
    is_json
        && !headers.contains_key(header::CONTENT_ENCODING)
        && length.is_some_and(|length| length > 0 && length <= limit as u64)
}

/// What is known of a write when it was answered, or when nobody knows what became of it.
pub struct Done<'w> {
    /// The method that it was carried out as.
    pub method: &'w Method,
    /// Its head.
    pub parts: &'w Parts,
    /// Its body, where it was read.
    pub document: Option<&'w Json>,
    /// Its answer's body, where that was read.
    pub answered: Option<&'w Json>,
    /// Who wrote.
    pub claims: Option<&'w Claims>,
    /// When it set out, in milliseconds of Unix time.
    pub begun_ms: u64,
    /// The nodes that it drops.
    pub dropped: &'w [String],
}

/// Nodes of one write that are remembered. One that drops more of them is taken to drop all.
const MAX_DROPS: usize = 64;

/// A write was answered with this status, or may have been carried out (`None`). What was refused changed nothing, and
/// an error of the server's so rarely that it would be in the way of those that did.
pub fn wrote(live: &Live, status: Option<StatusCode>, done: &Done<'_>) {
    if status.is_some_and(|status| !status.is_success() && !status.is_redirection()) {
        return;
    }
    let (table, uri) = (&live.table, &done.parts.uri);
    let route = route::of(table, done.method, uri.path());
    let query = Query::parse(uri.query()).ok();
    let named = parts::of_write(
        &route.params,
        query.as_ref(),
        done.document,
        done.answered,
        done.claims,
    );
    let secret = witness::secret(&table.namespace, table.store.seal.as_ref());
    let marked = named.into_iter();
    let nodes = done.dropped.iter();
    let drops = match done.dropped.len() {
        0..=MAX_DROPS => nodes.map(|node| parts::mark(node, &secret)).collect(),
        _ => vec![EVERYTHING],
    };
    let at_ms = live.ground.clock.now_ms();
    let took_ms = at_ms.saturating_sub(done.begun_ms);
    live.ground.witness.wrote(suspects::Write {
        at_ms,
        took_ms: u32::try_from(took_ms).unwrap_or(u32::MAX),
        route: route.text,
        parts: marked
            .map(|(name, value)| (name, parts::mark(&value, &secret)))
            .collect(),
        drops,
    });
}

//! How often who may ask: a request is counted by every limit that matches it, before anything else is
//! done for it. The counters are the store's, so all sidecars on it count together and by its clock.

use crate::digest::{Digest, Digester};
use crate::head::Head;
use crate::headers;
use crate::identity::{self, Claims, Presented};
use crate::inputs::{Inputs, Query, Value, is_plain_json, plain_json};
use crate::key;
use crate::live::Live;
use crate::rules::table::{Limit, Matched, Table};
use crate::rules::template::{Filter, Placeholder, Source};
use crate::secret::Secret;
use crate::store::{Count, Counted, Down, Window};
use bytes::Bytes;
use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// What there is for whom, and what of it is left (draft-ietf-httpapi-ratelimit-headers).
const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// How a request that was counted stands with its limits.
pub struct Standing {
    /// It is one too many: seconds after which it would not be.
    pub retry_after: Option<u64>,
    policy: HeaderValue,
    left: HeaderValue,
}

impl Standing {
    /// Tells the client. Beside what the origin says of limits of its own.
    pub fn onto(self, headers: &mut HeaderMap) {
        headers.append(RATELIMIT_POLICY, self.policy);
        headers.append(RATELIMIT, self.left);
    }
}

/// Whether a request is to be counted.
pub fn concern(table: &Table, head: &Head) -> bool {
    !table.limits.is_empty() && !of(table, head).is_empty()
}

/// Whether something of its body says by which counters. Of one that is not plain JSON the origin may read something
/// else than we would, so nothing of it is believed, nor is it waited for.
pub fn ask_for_body(table: &Table, head: &Head) -> bool {
    let limits = of(table, head);
    let is_asked = limits.iter().any(|matched| matched.what.asks_for_body());
    is_asked && is_plain_json(&head.parts.headers)
}

/// The limits that match a request, whichever of its methods it is taken for.
pub fn of<'t, 'h>(table: &'t Table, head: &'h Head) -> Vec<Matched<'t, 'h, Limit>> {
    table.limits_of(head.methods(), head.parts.uri.path())
}

/// Counts a request by the limits that match it: by all of them, or, where it is over one, by none. One
/// command. `body` is what was read of its body. `None` where the store could not be asked: it goes on then.
pub async fn count(live: &Live, head: &Head, body: Option<&Bytes>) -> Option<Standing> {
    let matched = of(&live.table, head);
    let windows = windows(live, head, body, &matched);
    let limits: Vec<&Arc<Limit>> = matched.iter().map(|matched| matched.what).collect();
    match live.ground.store.count(&windows).await {
        Ok(counted) => Some(standing(live, head, &limits, &counted)),
        Err(Down) => {
            for limit in limits {
                live.limited[limit.index].unenforced();
                tracing::debug!(
                    trace_id = %head.trace(),
                    limit = limit.name,
                    "not enforced: the store did not count"
                );
            }
            None
        }
    }
}

fn windows(
    live: &Live,
    head: &Head,
    body: Option<&Bytes>,
    matched: &[Matched<'_, '_, Limit>],
) -> Vec<Window> {
    let (table, parts) = (&live.table, &head.parts);
    let who = Who::of(live, &parts.headers, matched);
    let query = Query::parse(parts.uri.query()).ok();
    let document = body.and_then(|body| plain_json(&parts.headers, body));
    let client = head.client_address(&table.proxy.trusted_proxies);
    let window = |matched: &Matched<'_, '_, Limit>| {
        let inputs = Inputs {
            method: &parts.method,
            captures: &matched.captures,
            headers: &parts.headers,
            query: query.as_ref(),
            body: document.as_ref(),
            claims: who.claims.as_ref(),
            token: who.token.as_ref().map(|token| token.reveal().as_str()),
            response: None,
        };
        let limit = matched.what;
        let identifier = identifier(limit, &inputs, client);
        Window {
            name: key::counter(&table.namespace, limit, &identifier),
            max: limit.max,
            length: limit.window,
        }
    };
    matched.iter().map(window).collect()
}

/// Whose counter it is. What says so is digested: counters name nobody. What a request lacks is made up for by
/// where its client is, told apart from everything that a client could say in its place.
fn identifier(limit: &Limit, inputs: &Inputs<'_>, client: Option<IpAddr>) -> Digest {
    let mut digester = Digester::new("limit");
    digester.part(limit.per.to_string().as_bytes());
    for placeholder in limit.per.placeholders() {
        match told(placeholder, inputs) {
            Some(text) => digester.part(b"told").part(text.as_bytes()),
            None => {
                let address = client.map(headers::network);
                let address = address.map_or_else(String::new, |address| address.to_string());
                digester.part(b"at").part(address.as_bytes())
            }
        };
    }
    digester.finish()
}

/// What a request says, if it is one plain value: lists and structures can be spelt in many ways that come to
/// the same, and nothing is said by an empty text.
fn told(placeholder: &Placeholder, inputs: &Inputs<'_>) -> Option<String> {
    let text = match inputs.value(&placeholder.source) {
        Value::Text(text) | Value::Number(text) => text,
        Value::Bool(truth) => truth.to_string(),
        Value::Absent | Value::Null | Value::List(_) | Value::Structure(_) => return None,
    };
    let text = placeholder.filters.iter().fold(text, Filter::apply);
    let may_be_empty = matches!(placeholder.source, Source::Path(_)); // the rest of a path
    (may_be_empty || !text.is_empty()).then_some(text)
}

/// Who asks, as far as limits care.
#[derive(Default)]
struct Who {
    claims: Option<Claims>,
    /// Where tokens are verified, only one that was: of others a client has as many as he likes.
    token: Option<Secret<String>>,
}

impl Who {
    fn of(live: &Live, headers: &HeaderMap, matched: &[Matched<'_, '_, Limit>]) -> Who {
        let mut placeholders = matched
            .iter()
            .flat_map(|matched| matched.what.per.placeholders());
        let asks = placeholders.any(|one| matches!(one.source, Source::Claim(_) | Source::Token));
        let Some(settings) = live.table.identity.as_ref().filter(|_| asks) else {
            return Who::default();
        };
        let Presented::One(credential) = identity::presented(settings, headers) else {
            return Who::default();
        };
        let now = live.ground.clock.now_ms() / 1000;
        let verifier = live.verifier.as_ref();
        let claims = verifier.map(|one| one.verify(credential.token.reveal(), now).ok());
        match claims {
            Some(None) => Who::default(),
            claims => Who {
                claims: claims.flatten(),
                token: Some(credential.token),
            },
        }
    }
}

fn standing(live: &Live, head: &Head, limits: &[&Arc<Limit>], counted: &Counted) -> Standing {
    let counts = || limits.iter().zip(&counted.counts);
    let is_over = |limit: &Limit, count: &Count| !counted.fits && count.used >= limit.max;
    let mut retry_after = (!counted.fits).then_some(1);
    for (limit, count) in counts() {
        let counts = &live.limited[limit.index];
        if counted.fits {
            counts.allowed();
        } else if is_over(limit, count) {
            counts.limited();
            retry_after = retry_after.max(Some(seconds(count.left)));
            tracing::debug!(
                trace_id = %head.trace(),
                limit = limit.name,
                "one request too many"
            );
        }
    }
    let policy = counts().map(|(limit, _)| {
        let window = seconds(limit.window);
        format!("\"{}\";q={};w={window}", limit.name, limit.max)
    });
    let left = counts().map(|(limit, count)| {
        let remaining = limit.max.saturating_sub(count.used);
        format!("\"{}\";r={remaining};t={}", limit.name, seconds(count.left))
    });
    Standing {
        retry_after,
        policy: list(policy),
        left: list(left),
    }
}

/// In whole seconds, the begun one included.
fn seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

/// A list of structured fields (RFC 9651 §3.1).
fn list(members: impl Iterator<Item = String>) -> HeaderValue {
    let members: Vec<String> = members.collect();
    let list = HeaderValue::try_from(members.join(", "));
    list.expect("names of limits are letters, digits and signs that need no escape")
}

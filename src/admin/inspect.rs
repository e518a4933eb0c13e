//! `POST /api/inspect {"key": "doctors:details:42"}`: what is kept under a key, and what that is worth.

use super::purge::parse;
use super::{Answer, Denied};
use crate::entry::Entry;
use crate::freshness::{self, Gone, Served};
use crate::key;
use crate::live::Live;
use crate::part;
use crate::reply;
use crate::rules::table::{Rule, Stage, Ttl};
use crate::store::{Down, Examined, Sought, Standing};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::StatusCode;
use hyper::header::HeaderName;
use serde::Deserialize;
use serde_json::{Value as Json, json};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    /// Without the namespace; `#` and a digest behind it name a variant.
    key: String,
    /// Whether the body is to be shown too.
    #[serde(default)]
    body: bool,
}

/// One look at the store for each rule that can make such a key, which is one but for odd rules files. A
/// rule whose entry it is is told from others by what the entry is bound to. Bodies are shown by a door that
/// `knows_callers`: without a token anybody on this machine comes in, and they may be anybody's answers.
pub(super) async fn inspect(live: &Live, knows_callers: bool, body: &[u8]) -> Answer {
    let wanted: Wanted = serde_json::from_slice(body).map_err(|error| {
        bad(format!(
            "the body is to be {{\"key\": \"a:b\", \"body\": false}}: {error}"
        ))
    })?;
    if wanted.body && !knows_callers {
        let why = "a door without a token shows no bodies, since anybody on this machine comes in: set [admin] token";
        return Err(Denied::new(StatusCode::FORBIDDEN, why));
    }
    let (place, variant) = match wanted.key.split_once('#') {
        Some((place, variant)) => (place, Some(variant)),
        None => (wanted.key.as_str(), None),
    };
    let segments = segments(live, place, variant)?;
    let named = live.table.named(&segments, false, None);
    if named.is_empty() {
        return Err(bad(no_rule(live, place)));
    }
    let mut kept = Json::Null;
    for (rule, _) in &named {
        let rule = &live.table.rules[*rule];
        let found = Found::at(live, rule, &segments, &wanted.key).await;
        let Some(found) = found.map_err(not_now)? else {
            continue;
        };
        let is_own = found.state() != OTHERS;
        kept = found.shown(variant, wanted.body);
        if is_own {
            break;
        }
    }
    let rules = named.iter().map(|(rule, _)| &live.table.rules[*rule].name);
    let answer = json!({ "key": wanted.key, "rules": rules.collect::<Vec<_>>(), "kept": kept });
    Ok(reply::json(StatusCode::OK, &answer))
}

fn segments(live: &Live, place: &str, variant: Option<&str>) -> Result<Vec<String>, Denied> {
    let pattern = parse(place).map_err(|_| bad(no_rule(live, place)))?;
    let is_digest = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if pattern.wildcard || !variant.is_none_or(is_digest) {
        let why = "one key is wanted, `doctors:details:42`, or one variant of it, `…#91c1…`";
        return Err(bad(why.to_owned()));
    }
    Ok(pattern.segments)
}

/// An entry that is kept, and what its rule makes of it now.
struct Found<'l> {
    live: &'l Live,
    rule: &'l Rule,
    nodes: Vec<String>,
    entry: std::sync::Arc<Entry>,
    examined: Examined,
    /// The headers that it is known to vary by; `None` where it is bound to others.
    vary: Option<Vec<HeaderName>>,
    served: Served,
}

impl<'l> Found<'l> {
    async fn at(
        live: &'l Live,
        rule: &'l Rule,
        segments: &[String],
        key: &str,
    ) -> Result<Option<Found<'l>>, Down> {
        let namespace = &live.table.namespace;
        let stored = format!("{namespace}:{key}");
        let nodes = rule.nodes.iter();
        let nodes: Vec<String> = nodes
            .map(|at| key::node_name(namespace, segments, *at))
            .collect();
        let marker = match rule.ttl {
            Ttl::Origin => key::vary_marker_of(place_of(&stored)),
            Ttl::Fixed(_) => key::vary_marker(namespace, rule),
        };
        let sought = Sought {
            namespace,
            entry: &stored,
            nodes: &nodes,
            marker: Some(&marker),
            ..Sought::default()
        };
        let Some(examined) = live.ground.store.examine(sought).await? else {
            return Ok(None);
        };
        // As a request does, whose key hangs on what is known in this process now.
        let known = live.vary[rule.index].known(place_of(&stored));
        let names = known.with_marker(examined.look.marker.as_deref());
        let entry = examined.entry.clone();
        let whole = key::binding(&stored, &nodes, rule, &names);
        let is_bound = entry.binding == whole || entry.binding == part::binding(whole);
        let vary = is_bound.then(|| names.to_vec());
        let (look, now) = (&examined.look, live.ground.clock.now_ms());
        let served = match &vary {
            None => Served::Gone(Gone::Binding),
            // Bound to what it says itself: that is known to be right.
            Some(_) => {
                let binding = &entry.binding;
                freshness::judge_entry(&entry, &look.versions, look.softened_ms, binding, now)
            }
        };
        Ok(Some(Found {
            live,
            rule,
            nodes,
            entry,
            examined,
            vary,
            served,
        }))
    }

    /// What a request would make of it, in one word.
    fn state(&self) -> &'static str {
        match self.served {
            Served::Fresh { .. } => "fresh",
            Served::Stale { .. } => "stale",
            Served::Softened { .. } => "softly-dropped",
            Served::Gone(Gone::Dropped) => "dropped",
            Served::Gone(Gone::Expired) => "expired",
            Served::Gone(Gone::Future) => "from-the-future",
            Served::Gone(Gone::Binding) => OTHERS,
        }
    }

    fn shown(&self, variant: Option<&str>, with_body: bool) -> Json {
        let entry = &self.entry;
        let (now, stale) = (self.live.ground.clock.now_ms(), &entry.stale);
        let resident = now.saturating_sub(entry.kept_at);
        let headers = entry.headers.iter();
        let headers = headers.map(|(name, value)| {
            let value: String = value.as_bytes().iter().map(|byte| *byte as char).collect();
            json!([name.as_str(), value])
        });
        let names = |names: &Vec<HeaderName>| names.iter().map(ToString::to_string).collect();
        let vary: Option<Vec<String>> = self.vary.as_ref().map(names);
        let mut shown = json!({
            "rule": self.rule.name,
            "state": self.state(),
            "notes": self.notes(),
            "variant": variant,
            "vary": vary,
            "status": entry.status.as_u16(),
            "headers": headers.collect::<Vec<_>>(),
            "kept_at_ms": entry.kept_at,
            "age_s": u64::from(entry.initial_age) + resident / 1000,
            "ttl_s": entry.ttl / 1000,
            "ttl_left_s": signed_s(entry.ttl, resident),
            "stale": {
                "allowed": stale.allowed,
                "while_revalidate_s": stale.while_revalidate / 1000,
                "if_error_s": stale.if_error / 1000,
                "kept_s": stale.kept / 1000,
            },
            "took_ms": entry.took,
            "nodes": self.nodes_shown(),
            "groups": entry.groups.len(),
            "is_part": entry.is_part(),
            "body_bytes": entry.body.len(),
            "stored_bytes": self.examined.stored_bytes,
            "compressed": self.examined.is_compressed,
        });
        if with_body {
            let (name, body) = match std::str::from_utf8(&entry.body) {
                Ok(text) => ("body", text.to_owned()),
                Err(_) => ("body_base64", STANDARD.encode(&entry.body)),
            };
            shown[name] = Json::String(body);
        }
        shown
    }

    /// Why requests may not be answered from it whatever its state.
    fn notes(&self) -> Vec<&'static str> {
        let stage = match self.rule.stage {
            Stage::On => None,
            Stage::Observe => Some("its rule has stage = \"observe\": nothing is answered from it"),
            Stage::Off => Some("its rule has stage = \"off\": nothing is answered from it"),
        };
        let held = self.live.holds(self.rule).then_some(
            "its rule is in quarantine: nothing is answered from it; see `sidecache audit`",
        );
        let part = self.entry.is_part().then_some(
            "it is a part of an answer: only requests for ranges within it are answered from it",
        );
        stage.into_iter().chain(held).chain(part).collect()
    }

    /// Whether each of its nodes is what it was before the fill; those of groups have no names here.
    fn nodes_shown(&self) -> Vec<Json> {
        let namespace = format!("{}:", self.live.table.namespace);
        let own = self.nodes.iter();
        let own = own.map(|node| node.strip_prefix(&namespace).unwrap_or(node));
        let names = own.chain(std::iter::repeat("(a group)"));
        let standings = self.examined.standings.iter();
        let nodes = names.zip(standings).map(|(name, standing)| {
            let state = match standing {
                Standing::Holds => "holds",
                Standing::Softened => "softly-dropped",
                Standing::Dropped => "dropped",
                Standing::Absent => "absent",
            };
            json!({ "name": name, "state": state })
        });
        nodes.collect()
    }
}

/// A stored key without what stands for a variant.
fn place_of(stored: &str) -> &str {
    stored.split('#').next().unwrap_or_default()
}

/// Kept under other rules, or by what the origin said its answers vary by at another time.
const OTHERS: &str = "other-rules";

/// Whole seconds that are left, or over: negative then.
fn signed_s(ttl_ms: u64, resident_ms: u64) -> i64 {
    let seconds = |ms: u64| i64::try_from(ms / 1000).unwrap_or(i64::MAX);
    match ttl_ms.checked_sub(resident_ms) {
        Some(left) => seconds(left),
        None => -seconds(resident_ms - ttl_ms),
    }
}

fn no_rule(live: &Live, place: &str) -> String {
    let namespace = &live.table.namespace;
    let rest = place.strip_prefix(namespace.as_str());
    match rest.and_then(|rest| rest.strip_prefix(':')) {
        Some(rest) => format!("no rule makes such a key: leave the namespace out, `{rest}`"),
        None => format!(
            "`{place}` is no key that a rule makes: write it as in the store, after the namespace"
        ),
    }
}

fn bad(why: String) -> Denied {
    Denied::new(StatusCode::BAD_REQUEST, why)
}

fn not_now(_: Down) -> Denied {
    let why = "the store cannot be asked now: see /readyz and the log";
    Denied::new(StatusCode::SERVICE_UNAVAILABLE, why)
}

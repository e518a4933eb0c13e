//! What a request comes to, and why, told without sending it: by the same code that would answer it.
//!
//! Nothing is asked and nothing is changed, in the store or at the origin. A token signed with a key that is
//! not known yet may have its issuer's keys read again, as in a request.

mod dropped; // which writes end an entry
mod explanation; // what is told
mod kept; // where an answer is kept, and what is asked of it
mod near; // rules that a request just missed
mod question; // what is asked about
mod reasons; // why a request may not use its rule
mod shared; // who is served the same
mod shown; // as text for a person
mod usable; // a request that may use its rule
mod written; // what a write drops

pub use explanation::{
    DroppedBy, Drops, Explanation, FillShown, KeyShown, LimitShown, PartShown, Reason, RuleShown,
    Warms,
};
pub use question::Question;

use crate::asked::Asked;
use crate::body::Body;
use crate::head::Head;
use crate::headers::{Peer, Seen};
use crate::limits;
use crate::live::Live;
use crate::outcome::Detail;
use crate::refuse::{self, Standing};
use crate::rules::table::{Limit, Matched, Route, Rule, Stage};
use crate::rules::units::written;
use crate::way::Way;
use crate::write::is_safe;
use bytes::Bytes;
use hyper::{Method, Request};
use reasons::Context;
use std::sync::Arc;

/// A request that was let in, and the rules that it is held against.
struct Case<'c> {
    live: &'c Arc<Live>,
    head: &'c Arc<Head>,
    body: &'c Bytes,
}

/// Explains a request under the rules in force.
pub fn explain(live: &Arc<Live>, question: Question) -> Explanation {
    let request = format!("{} {}", question.method, question.target);
    let assumed = question.assumed.clone();
    let body = question.body.clone();
    let told = match admitted(live, question) {
        Ok(head) => {
            let (head, body) = (&Arc::new(head), &body);
            Explanation {
                limits: limits::of(&live.table, head).iter().map(limit).collect(),
                ..Case { live, head, body }.told()
            }
        }
        Err(why) => Explanation::of("refused", why),
    };
    Explanation {
        request,
        assumed,
        ..told
    }
}

fn admitted(live: &Live, question: Question) -> Result<Head, String> {
    let seen = Seen::of(&question.headers);
    let mut request = Request::new(Body::full(question.body));
    *request.method_mut() = question.method;
    *request.uri_mut() = question.target;
    *request.headers_mut() = question.headers;
    let (proxy, identity) = (&live.table.proxy, live.table.identity.as_ref());
    // What it says of its way is believed, as it would be of a trusted proxy, if there is any.
    let peer = proxy.trusted_proxies.first();
    let peer = peer.map(|network| Peer::at(network.addr()));
    let admitted = refuse::admit(request, seen, Standing::Plain, proxy.limits.max_body);
    let request = admitted
        .map_err(|refusal| format!("refused with {}: {}", refusal.status.as_u16(), refusal.why))?;
    Ok(Head::of(
        request.into_parts().0,
        seen,
        peer,
        proxy,
        identity,
    ))
}

impl Case<'_> {
    fn told(&self) -> Explanation {
        let table = &self.live.table;
        match Way::of(table, self.head, !self.body.is_empty()) {
            Way::EndsHere if self.head.parts.method == Method::TRACE => {
                Explanation::of("refused", "refused with 501: TRACE is not answered here")
            }
            Way::EndsHere => Explanation::of(
                "pass",
                "answered here in the origin's place: `Max-Forwards` is 0",
            ),
            Way::Tunnel => Explanation::of(
                "pass",
                "it offers to change the protocol: it goes to the origin and may become a tunnel",
            ),
            Way::Read(matched) => self.read(&matched),
            Way::Bypass(rule, detail) => Explanation {
                rule: rule.routes.first().map(|route| RuleShown::of(rule, route)),
                ..self.bypassed(rule, &[detail])
            },
            Way::Write(_) => written::told(self),
            Way::Pass => Explanation {
                notes: near::misses(table, &self.head.parts.method, self.head.parts.uri.path()),
                ..Explanation::of(
                    "pass",
                    "no rule matches: it goes to the origin as it is, and nothing is kept",
                )
            },
        }
    }

    fn read(&self, matched: &Matched<'_, '_, Rule>) -> Explanation {
        let rule = matched.what;
        let body = self.keyed_body();
        let obstacles = Asked::obstacles(self.live, matched, self.head, body);
        let asked = Asked::of(self.live, matched, self.head, body.unwrap_or_default());
        let told = match asked {
            Ok(asked) if obstacles.is_empty() => usable::told(self, &asked),
            Ok(_) => self.bypassed(rule, &obstacles),
            Err(first) if obstacles.is_empty() => self.bypassed(rule, &[first]),
            Err(_) => self.bypassed(rule, &obstacles),
        };
        Explanation {
            rule: Some(RuleShown::of(rule, &rule.routes[matched.route])),
            ..told
        }
    }

    /// The body as far as keys may hold it, as the proxy reads it.
    fn keyed_body(&self) -> Result<Option<&Bytes>, Detail> {
        match self.body {
            body if body.is_empty() => Ok(None),
            _ if is_safe(&self.head.parts.method) => Err(Detail::UnkeyedBody),
            body if body.len() > self.live.table.proxy.max_keyed_body => Err(Detail::BodyTooLarge),
            body => Ok(Some(body)),
        }
    }

    fn bypassed(&self, rule: &Rule, obstacles: &[Detail]) -> Explanation {
        let context = Context { case: self, rule };
        Explanation {
            reasons: obstacles
                .iter()
                .map(|detail| context.reason(*detail))
                .collect(),
            ..Explanation::of(
                "bypass",
                "a rule matches, but this request may not use it: it goes to the origin as it is, and nothing is kept",
            )
        }
    }
}

impl Explanation {
    fn of(verdict: &'static str, summary: impl Into<String>) -> Explanation {
        Explanation {
            verdict,
            summary: summary.into(),
            ..Explanation::default()
        }
    }
}

fn limit(matched: &Matched<'_, '_, Limit>) -> LimitShown {
    let limit = matched.what;
    LimitShown {
        name: limit.name.clone(),
        line: limit.lines.table(),
        per: limit.per.to_string(),
        max: limit.max,
        window: written(limit.window),
    }
}

impl RuleShown {
    fn of(rule: &Rule, route: &Route) -> RuleShown {
        RuleShown {
            name: rule.name.clone(),
            line: rule.lines.table(),
            route: shown_route(route),
            stage: match rule.stage {
                Stage::On => "on",
                Stage::Observe => "observe",
                Stage::Off => "off",
            },
        }
    }
}

fn shown_route(route: &Route) -> String {
    format!("{} {}", route.method, route.pattern.text())
}

#[cfg(test)]
mod tests;

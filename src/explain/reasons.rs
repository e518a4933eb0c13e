//! Why a request may not use its rule, each with the line that decides it and what would change it.

mod body; // what its body has that no key holds
mod who; // who asks

use super::Case;
use super::explanation::Reason;
use crate::headers::{METHOD_OVERRIDES, TARGET_OVERRIDES};
use crate::inputs::{MAX_QUERY_PARAMETERS, Query};
use crate::outcome::Detail;
use crate::rules::table::{Rule, Shaping, Table, Ttl};
use crate::rules::template::Source;
use hyper::header::{self, HeaderName};

/// A request and the rule that it may not use.
pub(super) struct Context<'c> {
    pub(super) case: &'c Case<'c>,
    pub(super) rule: &'c Rule,
}

/// What is said of one.
struct Told {
    why: String,
    line: Option<usize>,
    remedy: String,
}

impl Told {
    fn new(why: impl Into<String>, line: Option<usize>, remedy: impl Into<String>) -> Told {
        Told {
            why: why.into(),
            line,
            remedy: remedy.into(),
        }
    }
}

impl Context<'_> {
    /// What is to be said of one reason.
    pub(super) fn reason(&self, detail: Detail) -> Reason {
        let Told { why, line, remedy } = self.told(detail);
        Reason {
            detail: detail.word(),
            why,
            line,
            remedy,
        }
    }

    fn table(&self) -> &Table {
        &self.case.live.table
    }

    fn told(&self, detail: Detail) -> Told {
        match detail {
            Detail::Host => self.host(),
            Detail::UnkeyedHeader => self.header(),
            Detail::UnkeyedPath => Told::new(
                "a parameter of the path is not percent-encoded UTF-8, or holds an encoded slash where the rest of the path is taken",
                self.rule.lines.of("match"),
                "nothing to do: readers of the path differ on what it means",
            ),
            Detail::UnkeyedQuery => self.query(),
            Detail::UnkeyedBody => self.body(),
            Detail::BodyTooLarge => self.body_too_large(),
            Detail::Credential => self.credential(),
            Detail::BadToken => self.bad_token(),
            Detail::NoIdentity => self.no_identity(),
            Detail::Role => self.role(),
            Detail::Range => self.range(),
            Detail::Observe => Told::new(
                "the rule only observes: its requests pass, and what would have become of them is counted",
                self.rule.lines.of("stage"),
                "`stage = \"on\"`, once `sidecache stats` shows what is wanted",
            ),
            Detail::Quarantined => Told::new(
                "an audit saw its answers differ by who asks, while it is `public`",
                self.rule.lines.of("public"),
                format!(
                    "take `public` away or mend the origin, then POST /api/release {{\"rule\": \"{}\"}}",
                    self.rule.name
                ),
            ),
            Detail::StoreDown => Told::new(
                "the store cannot be asked now: what is kept there is not known, and nothing is kept",
                self.table().places.store.of("url"),
                "nothing to do here: it is tried until it answers; /readyz and the log tell of it",
            ),
            other => Told::new(
                format!("`{}`", other.word()),
                self.rule.lines.table(),
                "see the table of details in the README",
            ),
        }
    }

    fn host(&self) -> Told {
        let host = self.case.head.parts.headers.get(header::HOST);
        let host = host.map(|host| String::from_utf8_lossy(host.as_bytes()).into_owned());
        Told::new(
            format!(
                "its Host is `{}`, which `[proxy] hosts` does not list",
                host.unwrap_or_default()
            ),
            self.table().places.proxy.of("hosts"),
            "list it, with its port, if its answers are the same as those of the others",
        )
    }

    fn range(&self) -> Told {
        let why = match self.rule.ttl {
            Ttl::Origin => {
                "it asks for a range, of which no part is kept: several ranges, a condition on them, `store_if`, `no-store`, a stage or a store that keeps nothing now"
            }
            Ttl::Fixed(_) => {
                "it asks for a range, and where the file says how long, only wholes are kept"
            }
        };
        let remedy =
            "a request without `Range` keeps the whole, from which ranges are answered then";
        Told::new(why, self.rule.lines.of("ttl"), remedy)
    }

    fn header(&self) -> Told {
        let asked = |name: &&HeaderName| self.case.head.parts.headers.contains_key(*name);
        let known = METHOD_OVERRIDES.iter().chain(&TARGET_OVERRIDES);
        let known = known.chain(&[header::IF_MATCH, header::IF_UNMODIFIED_SINCE]);
        let found: Vec<&str> = known.filter(asked).map(HeaderName::as_str).collect();
        Told::new(
            format!(
                "it has {}, by which the origin may do something else than its method and path say",
                listed(&found)
            ),
            None,
            "leave the header out: no rule can key it",
        )
    }

    fn query(&self) -> Told {
        let line = self.rule.lines.of("query");
        let Ok(query) = Query::parse(self.case.head.parts.uri.query()) else {
            return Told::new(
                format!(
                    "its query has a `;`, broken percent-encoding or more than {MAX_QUERY_PARAMETERS} parameters: readers differ on what it means"
                ),
                line,
                "nothing to do, but to write the URL otherwise",
            );
        };
        let mut names: Vec<&str> = query
            .names()
            .filter(|name| !self.keys_parameter(name))
            .collect();
        names.dedup();
        let key_of = |name: &&str| format!("\"{}\"", name.escape_debug());
        let example: Vec<String> = names.iter().map(key_of).collect();
        let verb = if names.len() > 1 { "shape" } else { "shapes" };
        Told::new(
            format!("nothing says whether {} {verb} the answer", listed(&names)),
            line,
            format!(
                "if it does: `query = [{}, …]` with every parameter that does, and `{{query}}` in the key; if not: `query = [...]` without it, and it is ignored",
                example.join(", ")
            ),
        )
    }

    fn keys_parameter(&self, name: &str) -> bool {
        let is_listed = self.rule.query != Shaping::Undeclared;
        let mut keyed = self.rule.key.placeholders();
        is_listed
            || keyed.any(|one| match &one.source {
                Source::Query => true,
                Source::QueryName(known) => known == name,
                _ => false,
            })
    }
}

/// Names in backquotes, joined as people join them.
pub(super) fn listed(names: &[&str]) -> String {
    let quoted: Vec<String> = names
        .iter()
        .map(|name| format!("`{}`", name.escape_debug()))
        .collect();
    match quoted.as_slice() {
        [] => "something".to_owned(),
        [one] => one.clone(),
        [others @ .., last] => format!("{} and {last}", others.join(", ")),
    }
}

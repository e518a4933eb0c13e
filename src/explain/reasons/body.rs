//! What a body has that no key holds.

use super::{Context, Told, listed};
use crate::rules::table::Shaping;
use crate::rules::template::Source;
use crate::write::is_safe;
use hyper::header;
use serde_json::Value as Json;

impl Context<'_> {
    pub(super) fn body(&self) -> Told {
        let line = self.rule.lines.of("body");
        let (parts, body) = (&self.case.head.parts, self.case.body);
        if is_safe(&parts.method) && !body.is_empty() {
            let why = format!("it is a {} with a body, which no key holds", parts.method);
            return Told::new(
                why,
                line,
                "send none: a body means nothing there (RFC 9110 §9.3.1)",
            );
        }
        if body.is_empty() {
            let why = "the key holds fields of the body, and there is no body";
            return Told::new(
                why,
                self.rule.lines.of("key"),
                "nothing to do: the origin will refuse it",
            );
        }
        let kind = parts
            .headers
            .get(header::CONTENT_TYPE)
            .and_then(|kind| kind.to_str().ok());
        let is_json = kind.is_some_and(|kind| {
            kind.trim_start()
                .to_ascii_lowercase()
                .starts_with("application/json")
        });
        let document = serde_json::from_slice(body);
        let Some(document) = document.ok().filter(|_| is_json) else {
            let why = "its body is not JSON that is declared as application/json, in UTF-8 and not encoded";
            return Told::new(why, line, "nothing to do: only JSON can be keyed");
        };
        self.fields(&document)
    }

    fn fields(&self, document: &Json) -> Told {
        let line = self.rule.lines.of("body");
        let keyed: Vec<String> = self.keyed_fields();
        let members = document
            .as_object()
            .into_iter()
            .flat_map(|members| members.keys());
        let counts = |name: &&str| match &self.rule.body {
            Shaping::Only(names) => names.iter().any(|listed| listed == name),
            Shaping::Undeclared => true,
        };
        let unkeyed = members.map(String::as_str).filter(counts);
        let unkeyed: Vec<&str> = unkeyed
            .filter(|name| !keyed.iter().any(|field| field == name))
            .collect();
        Told::new(
            format!(
                "the key lacks {} of its body, or something within",
                listed(&unkeyed)
            ),
            line,
            "if it shapes the answer: `{body}` or `{body.FIELD}` in the key; if not: `body = [...]` with the fields that do",
        )
    }

    /// The members that the key holds whole.
    fn keyed_fields(&self) -> Vec<String> {
        let sources = self.rule.key.placeholders().map(|one| &one.source);
        let member = |source: &Source| match source {
            Source::BodyField(path) if path.len() == 1 => path.first().cloned(),
            _ => None,
        };
        sources.filter_map(member).collect()
    }

    pub(super) fn body_too_large(&self) -> Told {
        let most = self.table().proxy.max_keyed_body;
        Told::new(
            format!(
                "its body has {} bytes, more than the {most} that are read to make a key",
                self.case.body.len()
            ),
            self.table().places.proxy.of("max_keyed_body"),
            "raise `[proxy] max_keyed_body`: each such request takes that much memory",
        )
    }
}

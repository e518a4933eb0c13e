//! What a write drops.

use super::explanation::{Drops, Explanation, Warms};
use super::{Case, near};
use crate::body::Body;
use crate::key;
use crate::rules::table::{Commits, Stage, Table};
use crate::write::{Asks, Cause, Foretold, Write};
use bytes::Bytes;
use hyper::Method;

/// What a request that may change something comes to.
pub(super) fn told(case: &Case<'_>) -> Explanation {
    let (head, table) = (case.head, &case.live.table);
    let mut parts = head.parts.clone();
    parts.headers = head.corrected();
    let write = Write {
        live: case.live.clone(),
        body: Body::empty(),
        forwarding: head.forwarding().clone(),
        trace: *head.trace(),
        methods: head.methods().to_vec(),
        interim: None,
        on_behalf: None,
        then: None,
        parts,
        begun_ms: 0,
    };
    let body = Some(case.body);
    let body = body.filter(|body| !body.is_empty() && body.len() <= table.proxy.max_keyed_body);
    let foretold = write.foretold(body);
    if foretold.is_empty() {
        return Explanation {
            notes: near::writes(table, head.methods(), head.parts.uri.path()),
            ..Explanation::of(
                "write",
                "a write that drops nothing: no set names it, and no rule keeps anything for its path",
            )
        };
    }
    Explanation {
        notes: unread(&write, body, &foretold)
            .into_iter()
            .chain(notes(&foretold))
            .collect(),
        drops: foretold.iter().map(|one| drops(table, one)).collect(),
        warms: write
            .foretold_warm(body)
            .iter()
            .map(|one| warms(table, one))
            .collect(),
        ..Explanation::of(
            "write",
            "a write: what it drops is dropped before its client hears that it is done",
        )
    }
}

fn drops(table: &Table, foretold: &Foretold) -> Drops {
    let (set, line) = match &foretold.cause {
        Cause::Set(set) => (Some(set.name.clone()), set.lines.table()),
        Cause::Path(rule) => (None, rule.lines.table()),
    };
    let pattern = |node: &String| key::as_pattern(&table.namespace, node).to_owned();
    let name = |index: &usize| table.rules[*index].name.clone();
    Drops {
        set,
        line,
        drop: foretold.template.clone(),
        nodes: foretold.nodes.iter().map(pattern).collect(),
        rules: foretold.rules.iter().map(name).collect(),
    }
}

fn warms(table: &Table, asks: &Asks) -> Warms {
    let read = |path: &str| {
        let matched = table.read(&Method::GET, path)?;
        let serves_all = matched.what.public && matched.what.stage == Stage::On;
        serves_all.then(|| matched.what.name.clone())
    };
    Warms {
        set: asks.set.name.clone(),
        line: asks.set.lines.table(),
        path: asks.template.clone(),
        asks: asks.target.as_ref().map(ToString::to_string),
        rule: asks.target.as_ref().and_then(|target| read(target.path())),
    }
}

/// That a line takes something from a body which there is none of, or which cannot be read.
fn unread(write: &Write, body: Option<&Bytes>, foretold: &[Foretold]) -> Option<String> {
    let is_of_body = |one: &Foretold| one.template.contains("{body");
    let is_read = body.is_some_and(|body| write.reads(body));
    let text = "it has no body that can be read (JSON, not encoded, no longer than max_keyed_body): what a line \
                takes from it is not known, and dropped as wide as it can be";
    let is_meant = !is_read && foretold.iter().any(is_of_body);
    is_meant.then(|| text.to_owned())
}

fn notes(foretold: &[Foretold]) -> Vec<String> {
    let mut notes = Vec::new();
    if foretold
        .iter()
        .any(|one| one.template.contains("{response."))
    {
        notes.push("what a line takes from the answer is not known yet: it is shown as wide as it can become".to_owned());
    }
    for one in foretold {
        let Cause::Set(set) = &one.cause else {
            continue;
        };
        let soft = set.soft.then(|| {
            format!(
                "`{}` drops softly: what it drops may be served stale where a rule allows it",
                set.name
            )
        });
        notes.extend(soft);
        if set.commits != Commits::default() {
            notes.push(format!(
                "`{}` drops only for the answers that its `commits` lists",
                set.name
            ));
        }
    }
    notes.dedup();
    notes
}

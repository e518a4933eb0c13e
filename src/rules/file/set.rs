//! `[[invalidate]]`, for itself.

use super::route::{name, routes, template};
use crate::rules::lines::Lines;
use crate::rules::problem::Problem;
use crate::rules::read::Text;
use crate::rules::section::{Doubts, Section};
use crate::rules::table::{Commits, Route};
use crate::rules::template::{Beginning, Template, Use};
use crate::rules::warm::WarmPath;
use std::ops::Range;

/// Paths that a set has asked for after a write. Each is a request to the origin for each write: to fetch more is the
/// work of `sidecache warm`.
const MAX_WARM: usize = 16;

/// An `[[invalidate]]` table with its places in the file, as far as it could be read.
#[derive(Clone, Debug)]
pub struct SetDraft {
    /// Its name, if it has one.
    pub name: Option<Text>,
    /// Its routes, and where they stand.
    pub routes: Vec<(Route, Range<usize>)>,
    /// Its drops, and where they stand.
    pub drops: Vec<(Template, Text)>,
    /// How the drops begin that could not be read.
    pub unread: Vec<Beginning>,
    /// Which answers count as done.
    pub commits: Commits,
    /// Whether its drops are soft.
    pub soft: bool,
    /// What it has asked for afterwards, and where that stands.
    pub warm: Vec<(WarmPath, Text)>,
    /// Where it stands.
    pub lines: Lines,
    /// Which of its values could not be read.
    pub doubts: Doubts,
}

/// An `[[invalidate]]` table. What is missing or unreadable in it was reported.
pub fn set(s: Section<'_>) -> SetDraft {
    let name = name(&s);
    let mut routes = routes(&s, "on", "on = [\"PATCH /api/v1/doctor/{doctorId}\"]");
    let (mut drops, mut unread) = drops(&s);
    let commits = commits(&s);
    let soft = s.flag("soft", false);
    let mut warm = warm(&s);
    let lines = s.lines();
    let doubts = s.finish(&[]);
    if doubts.torn {
        routes.clear();
        drops.clear();
        warm.clear();
    }
    if doubts.of("drop") && unread.is_empty() {
        unread.push(Beginning::default());
    }
    SetDraft {
        name,
        routes,
        drops,
        unread,
        commits,
        soft,
        warm,
        lines,
        doubts,
    }
}

fn drops(s: &Section<'_>) -> (Vec<(Template, Text)>, Vec<Beginning>) {
    if !s.has("drop") {
        s.missing("drop", "drop = [\"doctors:list:*\"]");
    }
    if s.is_empty("drop") {
        let help = "name a key, or remove the set";
        let message = "`drop` names nothing";
        s.reader
            .report(Problem::error(s.span_of("drop"), message, "empty", help));
    }
    let (mut drops, mut unread) = (Vec::new(), Vec::new());
    for text in s.text_or_texts("drop").unwrap_or_default() {
        match template(s, &text, Use::Drop) {
            Ok(template) => drops.push((template, text)),
            Err(beginning) => unread.push(beginning),
        }
    }
    (drops, unread)
}

fn warm(s: &Section<'_>) -> Vec<(WarmPath, Text)> {
    let texts = s.text_or_texts("warm").unwrap_or_default();
    if texts.len() > MAX_WARM {
        let message = format!("`warm` names {} paths, more than {MAX_WARM}", texts.len());
        let help = "name those that are asked for most; `sidecache warm FILE` asks for many, once";
        s.reader
            .report(Problem::error(s.span_of("warm"), message, "too many", help));
    }
    let mut paths = Vec::new();
    for text in texts {
        match WarmPath::parse(&text.value) {
            Ok(path) => paths.push((path, text)),
            Err(faults) => faults
                .into_iter()
                .for_each(|fault| s.reader.fault(&text, fault)),
        }
    }
    paths
}

fn commits(s: &Section<'_>) -> Commits {
    let Some(texts) = s.texts("commits") else {
        return Commits {
            classes: vec![2, 3, 5],
            statuses: Vec::new(),
        };
    };
    let mut commits = Commits {
        classes: Vec::new(),
        statuses: Vec::new(),
    };
    for text in texts {
        let class = ["1xx", "2xx", "3xx", "4xx", "5xx"]
            .iter()
            .position(|class| *class == *text.value);
        let status = text
            .value
            .parse()
            .ok()
            .filter(|status| (200..600).contains(status));
        match (class, status) {
            (Some(at), _) if at > 0 => commits.classes.push(at as u8 + 1),
            (_, Some(status)) => commits.statuses.push(status),
            _ => {
                let help = "write a class, \"2xx\", or a whole code, \"409\"";
                let message = "this is not a status";
                s.reader
                    .report(Problem::error(text.span, message, "here", help));
            }
        }
    }
    if s.is_empty("commits") {
        let message = "no answer would count as done";
        let help = "write `[\"2xx\", \"3xx\", \"5xx\"]`";
        s.reader
            .report(Problem::error(s.span_of("commits"), message, "empty", help));
    }
    commits
}

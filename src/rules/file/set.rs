//! `[[invalidate]]`, for itself.

use super::route::{name, routes, template};
use crate::rules::problem::Problem;
use crate::rules::read::Text;
use crate::rules::section::Section;
use crate::rules::table::{Commits, Route};
use crate::rules::template::{Template, Use};
use std::ops::Range;

/// An `[[invalidate]]` table with its places in the file.
#[derive(Clone, Debug)]
pub struct SetDraft {
    /// Its name.
    pub name: Text,
    /// Its routes, and where they stand.
    pub routes: Vec<(Route, Range<usize>)>,
    /// Its drops, and where they stand.
    pub drops: Vec<(Template, Text)>,
    /// Which answers count as done.
    pub commits: Commits,
}

/// An `[[invalidate]]` table. `None` where something it cannot do without is missing or
/// unreadable, which was reported then.
pub fn set(s: Section<'_>) -> Option<SetDraft> {
    let name = name(&s);
    let routes = routes(&s, "on", "on = [\"PATCH /api/v1/doctor/{doctorId}\"]");
    if !s.has("drop") {
        s.missing("drop", "drop = [\"doctors:list:*\"]");
    }
    let texts = s.text_or_texts("drop");
    if texts.as_ref().is_some_and(Vec::is_empty) {
        let message = "`drop` names nothing";
        s.reader.report(Problem::error(
            s.span_of("drop"),
            message,
            "empty",
            "name a key, or remove the set",
        ));
    }
    let drop = |text: Text| template(&s, &text, Use::Drop).map(|template| (template, text));
    let drops: Vec<_> = texts
        .unwrap_or_default()
        .into_iter()
        .filter_map(drop)
        .collect();
    let commits = commits(&s);
    s.finish(&[
        ("soft", "leave it out: what is dropped is forgotten"),
        ("warm", "leave it out: the next reader fills"),
    ]);
    (!routes.is_empty() && !drops.is_empty()).then_some(SetDraft {
        name: name?,
        routes,
        drops,
        commits,
    })
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
            .position(|class| *class == text.value);
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
    if commits.classes.is_empty() && commits.statuses.is_empty() {
        let message = "no answer would count as done";
        let help = "write `[\"2xx\", \"3xx\", \"5xx\"]`";
        s.reader
            .report(Problem::error(s.span_of("commits"), message, "empty", help));
    }
    commits
}

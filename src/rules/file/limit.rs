//! `[[limit]]`, for itself.

use super::route::{name, routes, template};
use crate::rules::lines::Lines;
use crate::rules::problem::Problem;
use crate::rules::read::Text;
use crate::rules::section::{Doubts, Section};
use crate::rules::table::Route;
use crate::rules::template::{Part, Placeholder, Segment, Source, Template, Use};
use crate::rules::units::written;
use std::ops::Range;
use std::time::Duration;

/// Largest `max`: more requests than any sidecar serves in the longest window. Far below what Redis counts
/// to.
const MOST_REQUESTS: i64 = 1_000_000_000;

/// Shortest `window`: clients are told of it in whole seconds (`RateLimit-Policy`).
const SHORTEST_WINDOW: Duration = Duration::from_secs(1);

/// Longest `window`: who is over his limit waits until its end, and no counter stands for longer than the
/// longest month.
const LONGEST_WINDOW: Duration = Duration::from_secs(31 * 24 * 60 * 60);

/// A `[[limit]]` table with its places in the file, as far as it could be read: stand-ins are there for the
/// rest, which `doubts` names.
#[derive(Clone, Debug)]
pub struct LimitDraft {
    /// Its name, if it has one.
    pub name: Option<Text>,
    /// Its routes, and where they stand.
    pub routes: Vec<(Route, Range<usize>)>,
    /// Whose requests are counted together.
    pub per: Template,
    /// The text of `per`; where it is left out, that of its default at the place of the table.
    pub per_text: Text,
    /// How many requests.
    pub max: u64,
    /// In which time.
    pub window: Duration,
    /// Where it stands.
    pub lines: Lines,
    /// Which of its values could not be read.
    pub doubts: Doubts,
}

/// A `[[limit]]` table. What is missing or unreadable in it was reported.
pub fn limit(s: Section<'_>) -> LimitDraft {
    let name = name(&s);
    let mut routes = routes(&s, "match", "match = \"POST /api/v1/auth/login\"");
    let per_text = s.text("per");
    let per = per_text
        .as_ref()
        .and_then(|text| template(&s, text, Use::Limit).ok());
    let per_text = per_text.unwrap_or_else(|| Text::unread(s.span.clone()));
    let max = max(&s);
    let window = window(&s);
    let lines = s.lines();
    let doubts = s.finish(&[]);
    if doubts.torn {
        routes.clear();
    }
    LimitDraft {
        name,
        routes,
        per: per.unwrap_or_else(by_client),
        per_text,
        max: max.unwrap_or(1),
        window: window.unwrap_or(SHORTEST_WINDOW),
        lines,
        doubts,
    }
}

/// `{client_ip}`
fn by_client() -> Template {
    let client = Placeholder {
        source: Source::ClientIp,
        filters: Vec::new(),
    };
    Template {
        segments: vec![Segment {
            parts: vec![Part::Value(client)],
        }],
        wildcard: false,
    }
}

fn max(s: &Section<'_>) -> Option<u64> {
    if !s.has("max") {
        s.missing("max", "max = 100");
    }
    let number = s.number("max")?;
    if (1..=MOST_REQUESTS).contains(&number) {
        return u64::try_from(number).ok();
    }
    let message = format!("`max` must be between 1 and {MOST_REQUESTS}");
    let help = match number {
        0 => "to refuse every request is for the origin, or for what stands before it",
        _ => "",
    };
    let problem = Problem::error(s.span_of("max"), message, "out of bounds", help);
    s.reader.report(problem);
    None
}

fn window(s: &Section<'_>) -> Option<Duration> {
    if !s.has("window") {
        s.missing("window", "window = \"1m\"");
    }
    let window = s.duration("window")?;
    if (SHORTEST_WINDOW..=LONGEST_WINDOW).contains(&window) {
        return Some(window);
    }
    let (least, most) = (written(SHORTEST_WINDOW), written(LONGEST_WINDOW));
    let message = format!("`window` must be between {least} and {most}");
    let problem = Problem::error(s.span_of("window"), message, "out of bounds", "");
    s.reader.report(problem);
    None
}

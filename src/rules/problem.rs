//! What is wrong with a rules file: where, why, and what to do about it.

use crate::secret::Secret;
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use std::ops::Range;

/// Whether a file can be used in spite of a problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The file is refused.
    Error,
    /// The file is used; somebody should look.
    Warning,
}

/// One thing that is wrong with a file. Once it is told, its texts hold no value of a variable: that
/// may be a secret, and stand where none belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Error or warning.
    pub severity: Severity,
    /// Bytes of the file that are meant; `None` for the file as a whole.
    pub span: Option<Range<usize>>,
    /// What is wrong.
    pub message: String,
    /// A few words at the caret.
    pub label: String,
    /// What to do; empty where the message says it all.
    pub help: String,
}

/// What is wrong with a piece of text, before anybody knows where in a file it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Bytes of the piece.
    pub range: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// A few words at the caret.
    pub label: String,
    /// What to do.
    pub help: String,
}

impl Fault {
    /// A fault at some bytes of a piece of text.
    pub fn new(
        range: Range<usize>,
        message: impl Into<String>,
        label: impl Into<String>,
        help: impl Into<String>,
    ) -> Fault {
        Fault {
            range,
            message: message.into(),
            label: label.into(),
            help: help.into(),
        }
    }
}

impl Problem {
    /// Something for which the file is refused.
    pub fn error(
        span: Range<usize>,
        message: impl Into<String>,
        label: impl Into<String>,
        help: impl Into<String>,
    ) -> Problem {
        Problem {
            severity: Severity::Error,
            span: Some(span),
            message: message.into(),
            label: label.into(),
            help: help.into(),
        }
    }

    /// Something to look at.
    pub fn warning(
        span: Range<usize>,
        message: impl Into<String>,
        label: impl Into<String>,
        help: impl Into<String>,
    ) -> Problem {
        Problem {
            severity: Severity::Warning,
            ..Problem::error(span, message, label, help)
        }
    }

    /// Puts `${NAME}` wherever a text shows the value of a variable.
    pub fn conceal(&mut self, variables: &[Variable]) {
        for variable in variables {
            for text in [&mut self.message, &mut self.label, &mut self.help] {
                variable.hide_in(text);
            }
        }
    }

    /// The line of the file that is meant, counted from 1; none for the file as a whole.
    pub fn line(&self, text: &[u8]) -> Option<usize> {
        let start = self.span.as_ref()?.start.min(text.len());
        let before = text[..start].iter().filter(|byte| **byte == b'\n');
        Some(before.count() + 1)
    }

    /// An error of the file as a whole.
    pub fn of_file(message: impl Into<String>, help: impl Into<String>) -> Problem {
        Problem {
            span: None,
            ..Problem::error(0..0, message, "", help)
        }
    }
}

/// A variable that was filled in somewhere.
pub struct Variable {
    name: String,
    /// Its value, as it is and as it stands in quoted texts, and the pieces of it that would be told of
    /// if it were taken for a route or a template.
    values: Vec<Secret<String>>,
}

/// Shorter values are too common in words to be told from them, and no secrets.
const MIN_CONCEALED: usize = 4;

impl Variable {
    /// With its value.
    pub fn new(name: &str, value: &str) -> Variable {
        let escaped = value.escape_debug().to_string();
        let braced = value
            .split('{')
            .skip(1)
            .filter_map(|rest| rest.split('}').next());
        let pieces = braced.flat_map(|inner| inner.split(|c: char| !c.is_alphanumeric()));
        let values = [value.to_owned(), escaped];
        let values = values.into_iter().chain(pieces.map(str::to_owned));
        Variable {
            name: format!("${{{name}}}"),
            values: values.map(Secret::new).collect(),
        }
    }

    fn hide_in(&self, text: &mut String) {
        for value in self.values.iter().map(Secret::reveal) {
            if value.len() >= MIN_CONCEALED && text.contains(value.as_str()) {
                *text = text.replace(value.as_str(), &self.name);
            }
        }
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)?;
        match self.help.as_str() {
            "" => Ok(()),
            help => write!(f, ": {help}"),
        }
    }
}

/// The name among `known` that was probably meant by `written`.
pub fn nearest<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Below this likeness (Jaro-Winkler, 0 to 1) a suggestion puzzles more than it helps.
    const LIKE: f64 = 0.8;
    let written = written.to_lowercase();
    // One slip is meant whatever the likeness, which is hard on short names: `tll` for `ttl`.
    let likeness = |name: &str| match strsim::osa_distance(&written, &name.to_lowercase()) {
        0 | 1 => 1.0,
        _ => strsim::jaro_winkler(&written, &name.to_lowercase()),
    };
    let known = known.into_iter().map(|name| (likeness(name), name));
    let (like, best) = known.max_by(|(a, _), (b, _)| a.total_cmp(b))?;
    (like >= LIKE).then_some(best)
}

/// All problems as text for a person: line, caret, cause, remedy, in the order given.
/// `color` adds ANSI colours.
pub fn render(file_name: &str, text: &str, problems: &[Problem], color: bool) -> String {
    let renderer = if color {
        Renderer::styled()
    } else {
        Renderer::plain()
    };
    let masked = mask(text);
    let lines = Lines::of(&masked);
    let mut out = String::new();
    for problem in problems {
        out.push_str(&renderer.render(&report(file_name, &lines, problem)));
        out.push_str("\n\n");
    }
    out
}

/// A text by lines: each problem is shown with its own, and looks at no others.
struct Lines<'a> {
    text: &'a str,
    /// Where each begins.
    begins: Vec<usize>,
}

impl<'a> Lines<'a> {
    fn of(text: &'a str) -> Lines<'a> {
        let behind = text.match_indices('\n').map(|(at, _)| at + 1);
        let begins = [0].into_iter().chain(behind).collect();
        Lines { text, begins }
    }

    /// The line of a place in the text, its number from 1, and where it begins.
    fn at(&self, place: usize) -> (&'a str, usize, usize) {
        let number = self.begins.partition_point(|begin| *begin <= place);
        let begin = self.begins[number - 1];
        let end = self.begins.get(number).copied();
        (
            &self.text[begin..end.unwrap_or(self.text.len())],
            number,
            begin,
        )
    }
}

fn report<'a>(file_name: &'a str, lines: &Lines<'a>, problem: &'a Problem) -> Vec<Group<'a>> {
    let level = match problem.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let mut group = Group::with_title(level.primary_title(problem.message.as_str()));
    if let Some(span) = &problem.span {
        let label = Some(problem.label.as_str()).filter(|label| !label.is_empty());
        let span = clamp(lines.text, span);
        let (line, number, begin) = lines.at(span.start);
        let within = span.start - begin..span.end - begin;
        let mark = AnnotationKind::Primary.span(within).label(label);
        let snippet = Snippet::source(line).line_start(number).path(file_name);
        group = group.element(snippet.annotation(mark));
    }
    if !problem.help.is_empty() {
        group = group.element(Level::HELP.message(problem.help.as_str()));
    }
    vec![group]
}

/// A range that lies within the first line it touches and cuts no character.
fn clamp(text: &str, span: &Range<usize>) -> Range<usize> {
    let mut start = span.start.min(text.len());
    while !text.is_char_boundary(start) {
        start -= 1;
    }
    let line_end = text[start..]
        .find(['\n', '\r'])
        .map_or(text.len(), |at| start + at);
    let mut end = span.end.clamp(start, line_end);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    start..end
}

/// The text with written-out secrets overwritten by as many stars, since what is rendered ends up
/// in logs and screenshots. A `${VARIABLE}` stays readable.
fn mask(text: &str) -> String {
    text.split_inclusive('\n')
        .map(|line| mask_userinfo(&mask_secrets(line)))
        .collect()
}

/// Masks the quoted values of keys that are secrets, or were meant to be: what is wrong with a line
/// may be that very name.
fn mask_secrets(line: &str) -> String {
    let values = line.match_indices('=');
    let ranges = values.filter_map(|(at, _)| secret_value(line, at));
    ranges.fold(line.to_owned(), |masked, range| stars(&masked, range))
}

/// Where the value behind the `=` at this place stands, if it is a secret.
fn secret_value(line: &str, equals: usize) -> Option<Range<usize>> {
    const SECRETS: [&str; 5] = ["secret", "token", "seal", "seal_previous", "webhook"];
    const QUOTES: [char; 2] = ['"', '\''];
    let key = line[..equals].trim_end().trim_end_matches(QUOTES);
    let key = key
        .rsplit(|c: char| !(c.is_alphanumeric() || c == '_' || c == '-'))
        .next();
    let meant = nearest(key?, SECRETS)?;
    let rest = line[equals + 1..].trim_start();
    // Of `token` a list says where tokens are, and is no secret.
    if meant != "token" && rest.starts_with(['[', '{']) {
        let first = rest.find(QUOTES)?;
        let start = line.len() - rest.len() + first + 1;
        return Some(start..line.rfind(QUOTES).filter(|last| *last > start)?);
    }
    let quote = rest.chars().next().filter(|first| QUOTES.contains(first))?;
    let rest = rest.trim_start_matches(quote);
    let value = &rest[..rest.find(quote).unwrap_or(rest.trim_end().len())];
    let start = line.len() - rest.len();
    let names_a_variable =
        value.starts_with("${") && (!value.contains(":-") || value.ends_with(":-}"));
    (!names_a_variable).then_some(start..start + value.len())
}

/// Masks `user:password` of `scheme://user:password@host`.
fn mask_userinfo(line: &str) -> String {
    let range = line.find("://").map(|at| at + 3).and_then(|start| {
        let end = line[start..]
            .find(['"', '\''])
            .map_or(line.len(), |at| start + at);
        let length = line[start..end].rfind('@')?;
        Some(start..start + length)
    });
    match range {
        Some(range) => stars(line, range),
        None => line.to_owned(),
    }
}

/// As many bytes as before, so that spans still fit.
fn stars(line: &str, range: Range<usize>) -> String {
    format!(
        "{}{}{}",
        &line[..range.start],
        "*".repeat(range.len()),
        &line[range.end..]
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_shown_with_its_line_a_caret_the_cause_and_the_remedy() {
        let text = "namespace = \"a\"\nnamespce = 1\n";
        let problem = Problem::error(
            16..24,
            "`namespce` is unknown",
            "unknown key",
            "did you mean it?",
        );
        let shown = render("rules.toml", text, &[problem], false);
        assert!(shown.contains("error: `namespce` is unknown"), "{shown}");
        assert!(shown.contains("rules.toml:2:1"), "{shown}");
        assert!(shown.contains("^^^^^^^^ unknown key"), "{shown}");
        assert!(shown.contains("help: did you mean it?"), "{shown}");
    }

    #[test]
    fn any_span_can_be_shown_even_one_outside_the_text_or_inside_a_character() {
        for (start, end) in [(0, 0), (3, 4), (4, 100), (90, 100), (1, 9)] {
            let problem = Problem::warning(start..end, "m", "l", "h");
            assert!(render("f", "aß\nü\r\nx", &[problem], true).contains('m'));
        }
        let whole = Problem::of_file("too large", "cut it");
        assert!(render("f", "", &[whole], false).contains("too large"));
    }

    #[test]
    fn secrets_that_are_written_out_are_not_shown() {
        let text = "verify = { algorithm = \"HS256\", secret = \"hunter2\", x = 1 }\n\
                    url = \"redis://me:hunter2@host/\"\ntoken = 'hunter2'\n\"secret\" = \"hunter2\nsecret = \"${S}\"\n\
                    seal = \"hunter2=\"\nseal_previous = [ \"hunter2\", \"hunter2\" ]\n";
        let masked = mask(text);
        assert_eq!(masked.len(), text.len());
        assert!(!masked.contains("hunter2"), "{masked}");
        assert!(
            masked.contains("${S}") && masked.contains("@host/"),
            "{masked}"
        );
    }

    #[test]
    fn the_nearest_name_is_suggested_only_when_it_is_near() {
        assert_eq!(
            nearest("namespce", ["proxy", "namespace"]),
            Some("namespace")
        );
        assert_eq!(nearest("zzz", ["proxy", "namespace"]), None);
    }
}

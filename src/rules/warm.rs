//! Paths to ask for after a write, of which the write fills in pieces: `/api/v1/doctor/{response.data.id}?limit=10`.
//!
//! A path is only parsed here; who carries out the write fills it in.

use super::pattern::{MAX_PATTERN, Pattern, is_segment_char, well_formed};
use super::problem::Fault;
use super::template::{Part, Placeholder, Use};
use percent_encoding::percent_decode_str;
use std::fmt::{self, Display, Formatter};
use std::ops::Range;

/// Stands in for a value where a path is routed before there is one. No pattern holds it as a literal.
const ANY_VALUE: &str = "{}";

/// A path, perhaps with a query, that is asked for by GET.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WarmPath {
    text: String,
    /// What stands between the slashes. Empty only as the last one: the path ends with a slash then.
    steps: Vec<Vec<Part>>,
    /// What stands between the `&`; a literal first, which holds the whole name.
    pairs: Vec<Vec<Part>>,
    pattern: Pattern,
}

impl Display for WarmPath {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl WarmPath {
    /// Parses `/api/v1/doctor/{doctorId}?limit=10`; before it `GET` may stand. All faults are found, left to right.
    pub fn parse(text: &str) -> Result<WarmPath, Vec<Fault>> {
        let start = path_start(text).map_err(|fault| vec![fault])?;
        if text.len() > MAX_PATTERN {
            let message = format!("a path has at most {MAX_PATTERN} bytes");
            return Err(vec![Fault::new(0..text.len(), message, "too long", "")]);
        }
        let mut parser = Parser {
            text,
            faults: Vec::new(),
        };
        let question = outside_braces(text, start..text.len(), '?').next();
        let path_end = question.unwrap_or(text.len());
        let steps = match start + 1 == path_end {
            true => Vec::new(),
            false => parser.steps(start + 1..path_end),
        };
        let pairs = question.map_or_else(Vec::new, |at| parser.pairs(at + 1..text.len()));
        match (parser.faults.is_empty(), pattern(&steps)) {
            (true, Ok(pattern)) => Ok(WarmPath {
                text: text[start..].to_owned(),
                steps,
                pairs,
                pattern,
            }),
            (true, Err(fault)) => Err(vec![Fault {
                range: start..path_end,
                ..fault
            }]),
            (false, _) => Err(parser.faults),
        }
    }

    /// What stands between the slashes of the path, left to right; empty only as the last one.
    pub fn steps(&self) -> &[Vec<Part>] {
        &self.steps
    }

    /// What stands between the `&` of the query, left to right.
    pub fn pairs(&self) -> &[Vec<Part>] {
        &self.pairs
    }

    /// The names of its query parameters, decoded.
    pub fn query_names(&self) -> impl Iterator<Item = String> {
        self.pairs.iter().filter_map(|pair| match pair.first() {
            Some(Part::Literal(text)) => {
                let name = text.split('=').next().unwrap_or_default().replace('+', " ");
                Some(percent_decode_str(&name).decode_utf8_lossy().into_owned())
            }
            _ => None,
        })
    }

    /// Its placeholders, left to right.
    pub fn placeholders(&self) -> impl Iterator<Item = &Placeholder> {
        let parts = self.steps.iter().chain(&self.pairs).flatten();
        parts.filter_map(|part| match part {
            Part::Value(placeholder) => Some(placeholder),
            Part::Literal(_) => None,
        })
    }

    /// A pattern of all paths that it can come to.
    pub fn pattern(&self) -> &Pattern {
        &self.pattern
    }

    /// A path that is routed as this one is with values that are nobody's literals.
    pub fn usual(&self) -> String {
        let step = |parts: &Vec<Part>| match &parts[..] {
            [] => String::new(),
            [Part::Literal(text)] => text.clone(),
            _ => ANY_VALUE.to_owned(),
        };
        let steps: Vec<String> = self.steps.iter().map(step).collect();
        format!("/{}", steps.join("/"))
    }
}

/// Where the path begins: behind `GET`, if that is written.
fn path_start(text: &str) -> Result<usize, Fault> {
    let (method, path) = match text.split_once(' ') {
        Some((method, path)) if !method.starts_with('/') => (method, path.trim_start()),
        _ => ("GET", text),
    };
    if method != "GET" {
        let message = "only what is read by GET is asked for after a write";
        let help = "write the path alone: `/api/v1/doctor`";
        return Err(Fault::new(0..method.len(), message, "not GET", help));
    }
    let start = text.len() - path.len();
    if !path.starts_with('/') {
        let message = "a path begins with `/`";
        let help = "write it without scheme and host: `/api/v1/doctor`";
        return Err(Fault::new(start..text.len(), message, "no path", help));
    }
    Ok(start)
}

/// A pattern with a parameter in the place of each step that a value is part of.
fn pattern(steps: &[Vec<Part>]) -> Result<Pattern, Fault> {
    let step = |(at, parts): (usize, &Vec<Part>)| match &parts[..] {
        [] => String::new(),
        [Part::Literal(text)] => text.clone(),
        _ => format!("{{v{at}}}"),
    };
    let steps: Vec<String> = steps.iter().enumerate().map(step).collect();
    Pattern::parse(&format!("/{}", steps.join("/")))
}

/// Where a sign stands outside of braces.
fn outside_braces(text: &str, range: Range<usize>, sign: char) -> impl Iterator<Item = usize> {
    let mut in_braces = false;
    let signs = text[range.clone()].char_indices();
    signs.filter_map(move |(at, c)| {
        match c {
            '{' => in_braces = true,
            '}' => in_braces = false,
            _ => {}
        }
        (c == sign && !in_braces).then_some(range.start + at)
    })
}

fn split(text: &str, range: Range<usize>, sign: char) -> Vec<Range<usize>> {
    let mut pieces = Vec::new();
    let mut start = range.start;
    for at in outside_braces(text, range.clone(), sign) {
        pieces.push(start..at);
        start = at + 1;
    }
    pieces.push(start..range.end);
    pieces
}

struct Parser<'a> {
    text: &'a str,
    faults: Vec<Fault>,
}

impl Parser<'_> {
    fn fault(&mut self, range: Range<usize>, message: &str, label: &str, help: &str) {
        self.faults.push(Fault::new(range, message, label, help));
    }

    fn steps(&mut self, path: Range<usize>) -> Vec<Vec<Part>> {
        let pieces = split(self.text, path, '/');
        let last = pieces.len() - 1;
        let mut steps = Vec::new();
        for (nth, piece) in pieces.into_iter().enumerate() {
            if piece.is_empty() && nth < last {
                let message = "`//` matches no path";
                self.fault(
                    piece.clone(),
                    message,
                    "nothing between slashes",
                    "write one `/`",
                );
            }
            if is_dots(&self.text[piece.clone()]) {
                let help = "write the path that is meant";
                self.fault(piece.clone(), "this is no segment of a path", "here", help);
            }
            steps.push(self.parts(piece, is_segment_char));
        }
        steps
    }

    fn pairs(&mut self, query: Range<usize>) -> Vec<Vec<Part>> {
        let mut pairs = Vec::new();
        for piece in split(self.text, query, '&') {
            // Some parsers take a `;` for an `&`.
            let allowed = |c| (is_segment_char(c) && c != ';') || c == '/' || c == '?';
            let parts = self.parts(piece.clone(), allowed);
            let is_named = match parts.first() {
                Some(Part::Literal(text)) => {
                    !text.starts_with('=') && (text.contains('=') || parts.len() == 1)
                }
                Some(Part::Value(_)) | None => false,
            };
            if !is_named {
                let help = "write `name={…}`";
                self.fault(piece, "a parameter has no name of its own", "here", help);
            }
            pairs.push(parts);
        }
        pairs
    }

    /// Literals and placeholders in order.
    fn parts(&mut self, range: Range<usize>, allowed: impl Fn(char) -> bool) -> Vec<Part> {
        let mut parts = Vec::new();
        let mut at = range.start;
        while at < range.end {
            let left = &self.text[at..range.end];
            let length = match left.starts_with('{') {
                true => left.find('}').map_or(left.len(), |end| end + 1),
                false => left.find('{').unwrap_or(left.len()),
            };
            let piece = at..at + length;
            match left.starts_with('{') {
                true => parts.extend(self.placeholder(piece)),
                false => {
                    self.literal(piece.clone(), &allowed);
                    parts.push(Part::Literal(self.text[piece].to_owned()));
                }
            }
            at += length;
        }
        parts
    }

    fn placeholder(&mut self, range: Range<usize>) -> Option<Part> {
        match Placeholder::parse(&self.text[range.clone()], Use::Warm) {
            Ok(placeholder) => Some(Part::Value(placeholder)),
            Err(faults) => {
                self.faults.extend(faults.into_iter().map(|fault| Fault {
                    range: fault.range.start + range.start..fault.range.end + range.start,
                    ..fault
                }));
                None
            }
        }
    }

    fn literal(&mut self, range: Range<usize>, allowed: impl Fn(char) -> bool) {
        let text = &self.text[range.clone()];
        if let Some((at, bad)) = text.char_indices().find(|(_, c)| !allowed(*c)) {
            let help = match bad {
                '}' => "`{` is missing before it",
                '*' => "`*` is for drops; name one path",
                '#' => "leave out what follows it: no server sees it",
                _ => "write it percent-encoded, as it stands in a request",
            };
            let message = format!("`{}` cannot stand in a path", bad.escape_debug());
            let at = range.start + at;
            self.fault(at..at + bad.len_utf8(), &message, "here", help);
        } else if !well_formed(text.as_bytes()) {
            let help =
                "write two hexadecimal digits behind each `%`, and `%25` for the sign itself";
            self.fault(range, "this percent-encoding is broken", "here", help);
        }
    }
}

/// Whether a segment is one that browsers and servers resolve away, encoded or not (RFC 3986 §5.2.4).
pub fn is_dots(segment: &str) -> bool {
    let decoded = percent_decode_str(segment).decode_utf8_lossy();
    matches!(&*decoded, "." | "..")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> WarmPath {
        WarmPath::parse(text).unwrap_or_else(|faults| panic!("{text}: {faults:?}"))
    }

    #[test]
    fn a_path_knows_what_it_asks_for() {
        let path = parse("GET  /api/dr-{body.id | lower}/x%20y?limit=10&q={query.a}&b");
        assert_eq!(
            path.to_string(),
            "/api/dr-{body.id | lower}/x%20y?limit=10&q={query.a}&b"
        );
        assert_eq!(path.usual(), "/api/{}/x%20y");
        assert_eq!(path.pattern().text(), "/api/{v1}/x%20y");
        assert_eq!(path.query_names().collect::<Vec<_>>(), ["limit", "q", "b"]);
        assert_eq!(path.placeholders().count(), 2);
        assert_eq!(parse("/").steps().len(), 0);
        assert_eq!(parse("/a/").usual(), "/a/");
    }

    #[test]
    fn a_bad_path_is_refused_where_it_is_bad() {
        let cases = [
            ("api", 0, "begins with"),
            ("http://api/a", 0, "begins with"),
            ("POST /a", 0, "by GET"),
            ("get /a", 0, "by GET"),
            ("/a//b", 3, "`//`"),
            ("/a/../b", 3, "no segment"),
            ("/a/%2e%2E", 3, "no segment"),
            ("/a#b", 2, "`#`"),
            ("/a/*", 3, "`*`"),
            ("/a b", 2, "` `"),
            ("/a\r\nb", 2, "`\\r`"),
            ("/ä", 1, "`ä`"),
            ("/a%zz", 1, "broken"),
            ("/a/{b", 3, "not closed"),
            ("/a/b}", 4, "`}`"),
            ("/a/{}", 4, "nothing called"),
            ("/a/{claims}", 4, "says not which"),
            ("/a/{query}", 4, "not digests"),
            ("/a/{token}", 4, "not digests"),
            ("/a/{body}", 4, "not digests"),
            ("/a/{client_ip}", 4, "for limits"),
            ("/a/{id | hash}", 8, "not digests"),
            ("/a/{id | lowr}", 8, "no filter"),
            ("/a/{rest*}", 4, "nothing called"),
            ("/a?", 3, "no name"),
            ("/a?{id}=1", 3, "no name"),
            ("/a?x{id}=1", 3, "no name"),
            ("/a?=1", 3, "no name"),
            ("/a?x=1&&y=2", 7, "no name"),
            ("/a?x=1;y=2", 6, "`;`"),
        ];
        for (text, at, message) in cases {
            let faults = WarmPath::parse(text).expect_err(text);
            assert_eq!(faults[0].range.start, at, "{text}: {faults:?}");
            assert!(faults[0].message.contains(message), "{text}: {faults:?}");
        }
        let long = format!("/{}", "a".repeat(MAX_PATTERN));
        assert!(WarmPath::parse(&long).is_err());
    }
}

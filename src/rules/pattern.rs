//! `/path/{param}/…` and what a path holds under such a pattern.

use super::problem::Fault;
use percent_encoding::percent_decode_str;
use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

/// Longest pattern. No server accepts request lines much longer.
pub(super) const MAX_PATTERN: usize = 2048;

/// Names that mean something else in a template, so no path parameter may have them.
pub const RESERVED: [&str; 9] = [
    "query",
    "claims",
    "token",
    "body",
    "header",
    "cookie",
    "method",
    "response",
    "client_ip",
];

/// A parsed path pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    steps: Vec<Step>,
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What stands between two slashes of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Compared with the raw path, never decoded. Empty only as the last step of a pattern that
    /// ends with a slash.
    Literal(String),
    /// `{name}`: one or more bytes other than `/`.
    Param(String),
    /// `{name*}`: the remaining path, perhaps empty. Last.
    Rest(String),
}

impl Pattern {
    /// Parses `/api/doctor/{doctorId}`.
    pub fn parse(text: &str) -> Result<Pattern, Fault> {
        let whole = 0..text.len();
        let Some(body) = text.strip_prefix('/') else {
            return Err(Fault::new(
                whole,
                "a path begins with `/`",
                "no `/` at its start",
                "",
            ));
        };
        if text.len() > MAX_PATTERN {
            let message = format!("a path has at most {MAX_PATTERN} bytes");
            return Err(Fault::new(whole, message, "too long", ""));
        }
        let mut steps: Vec<Step> = Vec::new();
        let mut start = 1;
        for piece in body.split('/').filter(|_| !body.is_empty()) {
            let range = start..start + piece.len();
            start = range.end + 1;
            let last = range.end == text.len();
            let step = step(piece, last, range.clone())?;
            if step.name().is_some() && steps.iter().any(|other| other.name() == step.name()) {
                let help = "give each parameter a name of its own";
                return Err(Fault::new(
                    range,
                    "two parameters have this name",
                    "again",
                    help,
                ));
            }
            steps.push(step);
        }
        Ok(Pattern {
            text: text.to_owned(),
            steps,
        })
    }

    /// The pattern as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The steps, left to right; none for `/`.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The names of its parameters, left to right.
    pub fn params(&self) -> impl Iterator<Item = &str> {
        self.steps.iter().filter_map(Step::name)
    }
}

impl Pattern {
    /// Whether some path matches both. Case and a slash at the end are disregarded.
    pub fn overlaps(&self, other: &Pattern) -> bool {
        overlap(&self.steps, &other.steps)
    }
}

impl Pattern {
    /// Whether every path that matches `other` matches this pattern too. Case and a slash at the end
    /// are disregarded.
    pub fn covers(&self, other: &Pattern) -> bool {
        covers(&self.steps, &other.steps)
    }
}

fn covers(mine: &[Step], theirs: &[Step]) -> bool {
    match (mine, theirs) {
        ([Step::Rest(_)], _) | ([], []) => true,
        ([Step::Literal(text)], []) | ([], [Step::Literal(text)]) => text.is_empty(),
        ([Step::Literal(a), mine @ ..], [Step::Literal(b), theirs @ ..]) => {
            a.eq_ignore_ascii_case(b) && covers(mine, theirs)
        }
        ([Step::Param(_), mine @ ..], [Step::Literal(_) | Step::Param(_), theirs @ ..]) => {
            covers(mine, theirs)
        }
        _ => false,
    }
}

fn overlap(a: &[Step], b: &[Step]) -> bool {
    match (a, b) {
        ([Step::Rest(_)], _) | (_, [Step::Rest(_)]) => true,
        ([Step::Literal(text)], []) | ([], [Step::Literal(text)]) => text.is_empty(),
        ([], []) => true,
        ([], _) | (_, []) => false,
        ([Step::Literal(a), ..], [Step::Literal(b), ..]) if !a.eq_ignore_ascii_case(b) => false,
        ([_, a @ ..], [_, b @ ..]) => overlap(a, b),
    }
}

impl Step {
    /// The name of a parameter.
    pub fn name(&self) -> Option<&str> {
        match self {
            Step::Literal(_) => None,
            Step::Param(name) | Step::Rest(name) => Some(name),
        }
    }
}

fn step(piece: &str, last: bool, range: Range<usize>) -> Result<Step, Fault> {
    if piece.is_empty() && !last {
        let help = "write one `/`";
        return Err(Fault::new(
            range,
            "`//` matches no path",
            "nothing between slashes",
            help,
        ));
    }
    if let Some(inner) = piece
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'))
    {
        return parameter(inner, last, range);
    }
    literal(piece, range)
}

fn parameter(inner: &str, last: bool, range: Range<usize>) -> Result<Step, Fault> {
    let rest = inner.strip_suffix('*');
    let name = rest.unwrap_or(inner);
    if !is_name(name) {
        let help = "a parameter is named with letters, digits and `_`: `{doctorId}`";
        return Err(Fault::new(
            range,
            "this is not the name of a parameter",
            "here",
            help,
        ));
    }
    if RESERVED.contains(&name) {
        let message = format!("`{{{name}}}` has its own meaning in keys");
        return Err(Fault::new(
            range,
            message,
            "reserved",
            "choose another name",
        ));
    }
    match rest {
        Some(_) if !last => {
            let help = format!("end the pattern here, or write `{{{name}}}` for one segment");
            let message = "only the last segment can take the rest of the path";
            Err(Fault::new(range, message, "not last", help))
        }
        Some(name) => Ok(Step::Rest(name.to_owned())),
        None => Ok(Step::Param(name.to_owned())),
    }
}

/// Whether a character may stand in a segment of a path (RFC 3986 §3.3).
pub(super) fn is_segment_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-._~!$&'()+,;=:@%".contains(c)
}

fn literal(piece: &str, range: Range<usize>) -> Result<Step, Fault> {
    let Some((at, bad)) = piece.char_indices().find(|(_, c)| !is_segment_char(*c)) else {
        if let Some(name) = piece.strip_prefix(':') {
            let help = format!("write `{{{name}}}`");
            return Err(Fault::new(
                range,
                "parameters stand in braces",
                "a parameter?",
                help,
            ));
        }
        return Ok(Step::Literal(piece.to_owned()));
    };
    let help = match bad {
        '{' | '}' => "a parameter is a whole segment: `/{id}/`, not `/a-{id}/`",
        '*' => "`{rest*}` as the last segment takes the remaining path",
        '?' => "a pattern is a path; parameters after `?` are named by `query`",
        _ => "write it percent-encoded, as it stands in a request",
    };
    let at = range.start + at;
    let message = format!("`{bad}` cannot stand in a path");
    Err(Fault::new(at..at + bad.len_utf8(), message, "here", help))
}

/// A name as programmers write them.
pub fn is_name(text: &str) -> bool {
    let first = text
        .bytes()
        .next()
        .is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    first && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// The parameters of a path that matched a pattern.
#[derive(Clone, Debug)]
pub struct Captures<'t, 'p> {
    pattern: &'t Pattern,
    path: &'p str,
    /// One per parameter, in the pattern's order.
    ranges: Vec<Range<usize>>,
}

impl<'t, 'p> Captures<'t, 'p> {
    /// `ranges` are those of the pattern's parameters in `path`, left to right.
    pub(super) fn new(pattern: &'t Pattern, path: &'p str, ranges: Vec<Range<usize>>) -> Self {
        Captures {
            pattern,
            path,
            ranges,
        }
    }

    /// The parameter as it stands in the path.
    pub fn raw(&self, name: &str) -> Option<&'p str> {
        self.iter()
            .find(|(candidate, _)| *candidate == name)
            .map(|(_, raw)| raw)
    }

    /// The parameter, percent-decoded. `None` where there is none of this name, where what it holds is
    /// malformed or not UTF-8, and where decoding would make `a%2Fb` of the remaining path the same as
    /// `a/b`, which it is not to an origin.
    pub fn get(&self, name: &str) -> Option<Cow<'p, str>> {
        let raw = self.raw(name)?;
        if !well_formed(raw.as_bytes()) || (self.is_rest(name) && holds_encoded_slash(raw)) {
            return None;
        }
        percent_decode_str(raw).decode_utf8().ok()
    }

    /// Whether none of what they hold is malformed: see [`Captures::get`].
    pub fn are_readable(&self) -> bool {
        self.pattern.params().all(|name| self.get(name).is_some())
    }

    fn is_rest(&self, name: &str) -> bool {
        matches!(self.pattern.steps.last(), Some(Step::Rest(rest)) if rest == name)
    }

    /// Names and raw texts, left to right.
    pub fn iter(&self) -> impl Iterator<Item = (&'t str, &'p str)> {
        let raws = self.ranges.iter().map(|range| &self.path[range.clone()]);
        self.pattern.params().zip(raws)
    }
}

fn holds_encoded_slash(raw: &str) -> bool {
    let mut windows = raw.as_bytes().windows(3);
    windows.any(|escape| escape.eq_ignore_ascii_case(b"%2f"))
}

/// Whether every `%` is followed by two hexadecimal digits (RFC 3986 §2.1).
pub(super) fn well_formed(raw: &[u8]) -> bool {
    let hex = |at: usize| raw.get(at).is_some_and(u8::is_ascii_hexdigit);
    raw.iter()
        .enumerate()
        .all(|(at, byte)| *byte != b'%' || (hex(at + 1) && hex(at + 2)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_knows_its_steps_and_parameters() {
        let pattern = Pattern::parse("/api/{a}/x/{rest*}").expect("well-formed");
        assert_eq!(pattern.params().collect::<Vec<_>>(), ["a", "rest"]);
        assert_eq!(pattern.steps().len(), 4);
        assert!(Pattern::parse("/").expect("root").steps().is_empty());
    }

    #[test]
    fn a_bad_pattern_is_refused_where_it_is_bad() {
        let cases = [
            ("api", 0, "begins with"),
            ("/a//b", 3, "`//`"),
            ("/a/:id", 3, "braces"),
            ("/a/x{id}", 4, "`{`"),
            ("/a/*", 3, "`*`"),
            ("/a?b=1", 2, "`?`"),
            ("/a b", 2, "` `"),
            ("/ä", 1, "`ä`"),
            ("/{rest*}/b", 1, "last segment"),
            ("/{a}/{a}", 5, "this name"),
            ("/{a-b}", 1, "name of a parameter"),
            ("/{}", 1, "name of a parameter"),
            ("/{query}", 1, "own meaning"),
        ];
        for (text, at, message) in cases {
            let fault = Pattern::parse(text).expect_err(text);
            assert_eq!(fault.range.start, at, "{text}");
            assert!(fault.message.contains(message), "{text}: {}", fault.message);
        }
    }

    #[test]
    fn patterns_overlap_where_a_path_can_match_both() {
        let overlaps = |a, b| {
            let parse = |text| Pattern::parse(text).expect(text);
            parse(a).overlaps(&parse(b)) && parse(b).overlaps(&parse(a))
        };
        assert!(overlaps("/a/{x}", "/A/b/"));
        assert!(overlaps("/a/{r*}", "/a/b/c"));
        assert!(!overlaps("/a/{x}", "/a/b/c"));
        assert!(!overlaps("/a/b", "/a/c"));
    }

    #[test]
    fn a_pattern_covers_those_whose_every_path_it_matches() {
        let covers = |a, b| {
            let parse = |text| Pattern::parse(text).expect(text);
            parse(a).covers(&parse(b))
        };
        assert!(covers("/a/{x}", "/A/b/"));
        assert!(covers("/a/{x}", "/a/{y}"));
        assert!(covers("/a/{r*}", "/a/{x}/c"));
        assert!(!covers("/a/b", "/a/{x}"));
        assert!(!covers("/a/{x}", "/a/{r*}"));
        assert!(!covers("/a/{x}/c", "/a/b/{y}"));
    }

    #[test]
    fn a_parameter_is_decoded_or_not_there() {
        let pattern = Pattern::parse("/{a}/{b}/{c}").expect("well-formed");
        let path = "/x%20y/%zz/%FF";
        let captures = Captures::new(&pattern, path, vec![1..6, 7..10, 11..14]);
        assert_eq!(captures.get("a").as_deref(), Some("x y"));
        assert_eq!(captures.get("b"), None);
        assert_eq!(captures.get("c"), None);
        assert_eq!(captures.get("d"), None);
        assert_eq!(captures.raw("b"), Some("%zz"));
        assert_eq!(captures.iter().count(), 3);
    }
}

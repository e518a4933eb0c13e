//! The text of a template → [`Template`], or everything that is wrong with it.

use super::{Filter, Part, Placeholder, Segment, Source, Template};
use crate::rules::pattern::{RESERVED, is_name};
use crate::rules::problem::{Fault, nearest};
use hyper::header::HeaderName;
use std::ops::Range;

/// What a template is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// Names one key: no `*`, nothing of an answer.
    Key,
    /// Names what a write makes stale.
    Drop,
    /// Names whose requests are counted together: no `*`, nothing of an answer.
    Limit,
    /// Is a piece of a path that is asked for after a write: no digests.
    Warm,
}

/// The signs, beside letters and digits, that a literal may hold. Between two placeholders of one
/// segment at least one of them must stand, because rendering then escapes them in values.
pub const LITERAL_SIGNS: &str = "-_.~@+=";

/// Longest template: keys are short, and the store sees one per request.
const MAX_TEMPLATE: usize = 1024;

/// Whether a character may stand in a template outside of braces.
pub fn is_literal_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || LITERAL_SIGNS.contains(c)
}

impl Template {
    /// Parses `doctors:details:{doctorId | lower}`. All faults are found, left to right.
    pub fn parse(text: &str, purpose: Use) -> Result<Template, Vec<Fault>> {
        if text.len() > MAX_TEMPLATE {
            let message = format!("a template has at most {MAX_TEMPLATE} bytes");
            return Err(vec![Fault::new(0..text.len(), message, "too long", "")]);
        }
        let mut parser = Parser {
            text,
            purpose,
            faults: Vec::new(),
        };
        let mut ranges = segment_ranges(text);
        let wildcard =
            purpose == Use::Drop && ranges.last().is_some_and(|last| &text[last.clone()] == "*");
        if wildcard {
            ranges.pop();
        }
        let segments = ranges
            .into_iter()
            .map(|range| parser.segment(range))
            .collect();
        if parser.faults.is_empty() {
            Ok(Template { segments, wildcard })
        } else {
            Err(parser.faults)
        }
    }
}

impl Placeholder {
    /// Parses `{doctorId | lower}`, which begins with its brace. All faults are found, left to right.
    pub fn parse(text: &str, purpose: Use) -> Result<Placeholder, Vec<Fault>> {
        let mut parser = Parser {
            text,
            purpose,
            faults: Vec::new(),
        };
        match parser.braces(0, text.get(1..).unwrap_or_default()) {
            (_, Some(Part::Value(placeholder))) if parser.faults.is_empty() => Ok(placeholder),
            _ => Err(parser.faults),
        }
    }
}

/// What stands between the `:` outside of braces; at least one range.
fn segment_ranges(text: &str) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    let mut start = 0;
    let mut in_braces = false;
    for (at, c) in text.char_indices() {
        match c {
            '{' => in_braces = true,
            '}' => in_braces = false,
            ':' if !in_braces => {
                ranges.push(start..at);
                start = at + 1;
            }
            _ => {}
        }
    }
    ranges.push(start..text.len());
    ranges
}

struct Parser<'a> {
    text: &'a str,
    purpose: Use,
    faults: Vec<Fault>,
}

impl Parser<'_> {
    fn fault(&mut self, range: Range<usize>, message: &str, label: &str, help: &str) {
        self.faults.push(Fault::new(range, message, label, help));
    }

    fn segment(&mut self, range: Range<usize>) -> Segment {
        let mut parts = Vec::new();
        if range.is_empty() {
            let help = "write something between the `:`, or remove one";
            self.fault(range.clone(), "a segment is empty", "nothing here", help);
        }
        let mut at = range.start;
        while at < range.end {
            let left = &self.text[at..range.end];
            let (length, part) = match left.strip_prefix('{') {
                Some(inner) => self.braces(at, inner),
                None => self.literal(at, left),
            };
            self.separated(&parts, &part, at..at + length);
            parts.extend(part);
            at += length;
        }
        Segment { parts }
    }

    fn literal(&mut self, at: usize, left: &str) -> (usize, Option<Part>) {
        let length = left.find('{').unwrap_or(left.len());
        let bad = left[..length]
            .char_indices()
            .find(|(_, c)| !is_literal_char(*c));
        if let Some((offset, c)) = bad {
            let help = match (c, self.purpose) {
                ('*', Use::Drop) => "`*` is a whole segment, the last one: `doctors:list:*`",
                ('*', Use::Key) => "`*` is for drops; a key names one answer",
                ('*', Use::Limit) => "`*` is for drops; name what tells clients apart",
                ('*', Use::Warm) => "`*` is for drops; name one path",
                ('}', _) => "`{` is missing before it",
                _ => "letters, digits and - _ . ~ @ + = may stand outside of braces",
            };
            let start = at + offset;
            let message = format!("`{}` cannot stand here", c.escape_debug());
            self.fault(start..start + c.len_utf8(), &message, "here", help);
        }
        (length, Some(Part::Literal(left[..length].to_owned())))
    }

    /// `inner` begins behind the `{` at `at`.
    fn braces(&mut self, at: usize, inner: &str) -> (usize, Option<Part>) {
        let Some(end) = inner.find('}') else {
            let whole = at..at + 1 + inner.len();
            self.fault(
                whole,
                "`{` is not closed",
                "from here",
                "write `}` behind the name",
            );
            return (1 + inner.len(), None);
        };
        (
            end + 2,
            self.placeholder(at + 1, &inner[..end]).map(Part::Value),
        )
    }

    fn placeholder(&mut self, at: usize, inner: &str) -> Option<Placeholder> {
        let mut pieces = inner.split('|');
        let written = pieces.next().unwrap_or_default();
        let source = source(written.trim()).and_then(|source| self.fitting(source));
        let mut start = at + written.len() + 1;
        let mut filters = Vec::new();
        for piece in pieces {
            let range = start..start + piece.len();
            start = range.end + 1;
            filters.extend(self.filter(piece.trim(), range, &filters));
        }
        match source {
            Ok(source) => Some(Placeholder { source, filters }),
            Err((message, help)) => {
                self.fault(at..at + written.len(), &message, "here", &help);
                None
            }
        }
    }

    /// The source, if it is one for this purpose.
    fn fitting(&self, source: Source) -> Result<Source, (String, String)> {
        let (message, help) = match (&source, self.purpose) {
            (Source::Response(_), Use::Key) => (
                "a key cannot hold a piece of the answer",
                "a key is made before there is an answer; `{response.…}` is for drops",
            ),
            (Source::Response(_), Use::Limit) => (
                "requests are counted before there is an answer",
                "name something of the request; `{response.…}` is for drops",
            ),
            (Source::Query | Source::Body | Source::Token, Use::Warm) => (
                "a path holds values, not digests",
                "name one parameter or field, `{query.NAME}`, `{body.NAME}`",
            ),
            (Source::ClientIp, Use::Key | Use::Drop | Use::Warm) => (
                "`{client_ip}` is for limits: `per` in [[limit]]",
                "no answer is kept by where its client is; leave it out",
            ),
            (Source::Query | Source::Body, Use::Limit) => (
                "whole queries and bodies tell nobody apart",
                "name one parameter or field, `{query.NAME}`, `{body.NAME}`, or `{client_ip}`",
            ),
            _ => return Ok(source),
        };
        Err((message.to_owned(), help.to_owned()))
    }

    fn filter(&mut self, name: &str, range: Range<usize>, before: &[Filter]) -> Option<Filter> {
        const FILTERS: [Filter; 4] = [Filter::Lower, Filter::Trim, Filter::Squeeze, Filter::Hash];
        let Some(filter) = FILTERS.into_iter().find(|filter| filter.name() == name) else {
            let help = match nearest(name, FILTERS.map(Filter::name)) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => "there are lower, trim, squeeze and hash".to_owned(),
            };
            self.fault(
                range,
                &format!("there is no filter `{name}`"),
                "unknown filter",
                &help,
            );
            return None;
        };
        if (filter, self.purpose) == (Filter::Hash, Use::Warm) {
            let message = "a path holds values, not digests";
            self.fault(range, message, "here", "leave `hash` out");
            return None;
        }
        if before.contains(&Filter::Hash) {
            let help = "move `hash` to the end";
            self.fault(
                range,
                "nothing can be done with a digest",
                "behind `hash`",
                help,
            );
        }
        Some(filter)
    }

    /// Two values in one segment need a sign between them that no value can hold.
    fn separated(&mut self, before: &[Part], part: &Option<Part>, range: Range<usize>) {
        if !matches!(part, Some(Part::Value(_))) {
            return;
        }
        let bare = match before {
            [.., Part::Value(_)] => true,
            [.., Part::Value(_), Part::Literal(text)] => {
                !text.contains(|c| LITERAL_SIGNS.contains(c))
            }
            _ => false,
        };
        if bare {
            let message = "it cannot be told where one value ends and the other begins";
            let help = "put a `:` between them, or one of - _ . ~ @ + =";
            self.fault(range, message, "a second value", help);
        }
    }
}

/// What a placeholder names; or what is wrong, and the remedy.
fn source(name: &str) -> Result<Source, (String, String)> {
    let (head, tail) = name
        .split_once('.')
        .map_or((name, None), |(head, tail)| (head, Some(tail)));
    match (head, tail) {
        ("query", None) => Ok(Source::Query),
        ("token", None) => Ok(Source::Token),
        ("body", None) => Ok(Source::Body),
        ("method", None) => Ok(Source::Method),
        ("client_ip", None) => Ok(Source::ClientIp),
        ("claims" | "header" | "cookie" | "response", None) => Err((
            format!("`{{{head}}}` says not which"),
            format!("write `{{{head}.NAME}}`"),
        )),
        (_, Some(tail)) if tail.split('.').any(str::is_empty) => Err((
            format!("a name is missing in `{{{name}}}`"),
            "write one behind each `.`".to_owned(),
        )),
        ("query", Some(tail)) => Ok(Source::QueryName(tail.to_owned())),
        ("claims", Some(tail)) => Ok(Source::Claim(tail.to_owned())),
        ("cookie", Some(tail)) => Ok(Source::Cookie(tail.to_owned())),
        ("body", Some(tail)) => Ok(Source::BodyField(fields(tail))),
        ("response", Some(tail)) => Ok(Source::Response(fields(tail))),
        ("header", Some(tail)) => HeaderName::from_bytes(tail.as_bytes())
            .map(Source::Header)
            .map_err(|_| {
                (
                    format!("`{tail}` is not the name of a header"),
                    String::new(),
                )
            }),
        (_, None) if is_name(head) => Ok(Source::Path(head.to_owned())),
        _ => Err(unknown(name, head)),
    }
}

fn fields(path: &str) -> Vec<String> {
    path.split('.').map(str::to_owned).collect()
}

fn unknown(name: &str, head: &str) -> (String, String) {
    let help = match nearest(head, RESERVED) {
        Some(meant) => format!("did you mean `{{{}}}`?", name.replacen(head, meant, 1)),
        None => format!("a path parameter, or one of {}", RESERVED.join(", ")),
    };
    (format!("there is nothing called `{{{name}}}`"), help)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_parsed_is_written_out_the_same() {
        let texts = [
            "a",
            "doctors:list:{query}",
            "ai:query:{body.symptoms | trim | squeeze | lower | hash}",
            "p-{id}:{claims.role | lower}:{token}:{header.accept-language}:{cookie.lang}:{method}",
            "x:{query.page}-{query.limit}:{body}:{rest}",
        ];
        for text in texts {
            assert_eq!(
                Template::parse(text, Use::Key).expect(text).to_string(),
                text
            );
        }
        for text in ["*", "doctors:*", "a:{response.data.id}:*", "a:b"] {
            assert_eq!(
                Template::parse(text, Use::Drop).expect(text).to_string(),
                text
            );
        }
    }

    #[test]
    fn a_bad_template_is_refused_where_it_is_bad() {
        use Use::{Drop, Key};
        let cases = [
            ("", Key, 0..0, "empty"),
            ("a::b", Key, 2..2, "empty"),
            ("a:", Key, 2..2, "empty"),
            ("a:*", Key, 2..3, "`*`"),
            ("a:*:b", Drop, 2..3, "`*`"),
            ("a:b*", Drop, 3..4, "`*`"),
            ("a b", Key, 1..2, "` `"),
            ("a:\u{1}", Key, 2..3, "`\\u{1}`"),
            ("a:ä", Key, 2..4, "`ä`"),
            ("a:{b", Key, 2..4, "not closed"),
            ("a:b}", Key, 3..4, "`}`"),
            ("a:{}", Key, 3..3, "nothing called"),
            ("a:{claim.email}", Key, 3..14, "nothing called"),
            ("a:{claims}", Key, 3..9, "says not which"),
            ("a:{body..b}", Key, 3..10, "name is missing"),
            ("a:{header.a b}", Key, 3..13, "name of a header"),
            ("a:{b | upper}", Key, 6..12, "no filter"),
            ("a:{b|hash|lower}", Key, 10..15, "digest"),
            ("a:{b}{c}", Key, 5..8, "where one value ends"),
            ("a:{b}x{c}", Key, 6..9, "where one value ends"),
            ("a:{response.id}", Key, 3..14, "piece of the answer"),
        ];
        for (text, purpose, range, message) in cases {
            let faults = Template::parse(text, purpose).expect_err(text);
            assert_eq!(faults[0].range, range, "{text}");
            assert!(
                faults[0].message.contains(message),
                "{text}: {}",
                faults[0].message
            );
        }
    }

    #[test]
    fn all_faults_of_a_template_are_found_and_the_likely_meaning_suggested() {
        let faults = Template::parse("a b:{claim.email}::{c | lowr}", Use::Key).expect_err("bad");
        assert_eq!(faults.len(), 4);
        assert!(
            faults[1].help.contains("{claims.email}"),
            "{}",
            faults[1].help
        );
        assert!(faults[3].help.contains("lower"), "{}", faults[3].help);
    }
}

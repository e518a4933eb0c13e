//! An origin with one document, of which it sends ranges as RFC 9110 §14 says.

use super::world::{Cache, Lines, owned};
use crate::world::{Asked, Got, Reply};
use std::ops::RangeInclusive;

/// The document: each byte is another one.
pub const TEXT: &str = "0123456789ABCDEFGHIJ";

/// Fresh, with a strong tag.
pub const TAGGED: Lines<'static> = &[("cache-control", "max-age=3600"), ("etag", "\"a\"")];

/// The whole, or the one range that is asked for; the whole too where `If-Range` names another tag.
pub fn document(asked: &Asked, text: &str, lines: &[(String, String)]) -> Reply {
    let tag = lines.iter().find(|(name, _)| name == "etag");
    let is_same = asked
        .header("if-range")
        .is_none_or(|theirs| tag.is_some_and(|(_, ours)| ours == theirs));
    let described = |reply: Reply| {
        lines
            .iter()
            .fold(reply, |reply, (name, value)| reply.header(name, value))
    };
    match asked.header("range").filter(|_| is_same) {
        None => described(Reply::of(200, "text/plain", text)),
        Some(range) => {
            let span = span(range, text.len());
            described(part(text, span))
        }
    }
}

/// A 206 with these bytes of a text.
pub fn part(text: &str, span: RangeInclusive<usize>) -> Reply {
    let (first, last) = (*span.start(), *span.end());
    Reply::of(206, "text/plain", &text[span]).header(
        "content-range",
        &format!("bytes {first}-{last}/{}", text.len()),
    )
}

fn span(range: &str, length: usize) -> RangeInclusive<usize> {
    let number = |text: &str| text.parse::<usize>().expect("a number");
    let asked = range.strip_prefix("bytes=").expect("bytes");
    match asked.split_once('-').expect("a range") {
        ("", last) => length.saturating_sub(number(last))..=length - 1,
        (first, "") => number(first)..=length - 1,
        (first, last) => number(first)..=number(last).min(length - 1),
    }
}

/// A cache before [`TEXT`], every answer of which has these headers.
pub async fn cache(lines: Lines<'_>) -> Cache {
    let lines = owned(lines);
    Cache::before(move |asked, _| document(asked, TEXT, &lines)).await
}

impl Cache {
    /// Asks for a range of `/a`.
    pub async fn range(&self, range: &str) -> Got {
        self.get_with("/a", &[("range", range)]).await
    }

    /// Whether a range of `/a` is answered from what is kept; then it is the right one.
    pub async fn holds(&self, span: RangeInclusive<usize>) -> bool {
        let lines: Lines = &[
            ("range", &format!("bytes={}-{}", span.start(), span.end())),
            ("cache-control", "only-if-cached"),
        ];
        let got = self.get_with("/a", lines).await;
        if got.status == 504 {
            return false;
        }
        let (first, last) = (span.start(), span.end());
        let content_range = format!("bytes {first}-{last}/{}", TEXT.len());
        assert_eq!(
            (got.status, got.outcome(), got.text()),
            (206, "hit", TEXT[span.clone()].to_owned())
        );
        assert_eq!(got.header("content-range"), Some(&*content_range));
        true
    }
}

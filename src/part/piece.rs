//! One range of bytes, as it is asked for and as it is answered.

use crate::ranges::{self, Spec};
use hyper::HeaderMap;
use hyper::header::{
    CONTENT_RANGE, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, RANGE,
};
use std::ops::Range;

/// What a message with one `Content-Range` holds (RFC 9110 §14.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Which bytes; never none.
    pub span: Range<usize>,
    /// Of how many.
    pub whole: usize,
}

impl Piece {
    /// What a 206 with these headers says that it holds. `None` where it says nothing, several things
    /// (`multipart/byteranges` says so in its content), nothing that can be, or not of how much.
    pub fn of(headers: &HeaderMap) -> Option<Piece> {
        let mut lines = headers.get_all(CONTENT_RANGE).iter();
        match (lines.next(), lines.next()) {
            (Some(line), None) => Piece::read(line),
            _ => None,
        }
    }

    /// One line: `bytes 0-4/10`.
    pub(super) fn read(line: &HeaderValue) -> Option<Piece> {
        let (unit, said) = line.to_str().ok()?.trim().split_once(' ')?;
        let (range, whole) = said.split_once('/')?;
        let (first, last) = range.split_once('-')?;
        let (first, last, whole) = (number(first)?, number(last)?, number(whole)?);
        let is_valid = unit.eq_ignore_ascii_case("bytes") && first <= last && last < whole;
        is_valid.then(|| Piece {
            span: first..last + 1, // at most `whole`
            whole,
        })
    }
}

/// Digits and nothing else. What does not fit is longer than anything that is kept.
fn number(digits: &str) -> Option<usize> {
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| is_number)
}

/// A wish for one range.
#[derive(Clone, Debug)]
pub struct Single {
    spec: Spec,
    line: HeaderValue,
    if_range: Option<HeaderValue>,
}

impl Single {
    /// What a GET with these headers wants, if that is one range of bytes on no condition. To one with
    /// `If-Range` the origin need not say what the client knows already (RFC 9110 §15.3.7), and others
    /// do not.
    pub fn of(request: &HeaderMap) -> Option<Single> {
        let conditions = [IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_RANGE];
        if conditions.iter().any(|name| request.contains_key(name)) {
            return None;
        }
        let (spec, line) = ranges::single(request)?;
        Some(Single {
            spec,
            line: line.clone(),
            if_range: None,
        })
    }

    /// `span` of so many bytes, if the answer still has this tag.
    pub(super) fn rest(span: Range<usize>, whole: usize, tag: &HeaderValue) -> Single {
        let (first, last) = (span.start, span.end - 1); // never empty: see `Part::rest`
        let line = match span.end == whole {
            true => format!("bytes={first}-"),
            false => format!("bytes={first}-{last}"),
        };
        Single {
            spec: Spec::From(first as u64, Some(last as u64)),
            line: HeaderValue::try_from(line).expect("digits are visible ASCII"),
            if_range: Some(tag.clone()),
        }
    }

    /// Has a request wish for it.
    pub fn onto(&self, request: &mut HeaderMap) {
        request.insert(RANGE, self.line.clone());
        if let Some(if_range) = &self.if_range {
            request.insert(IF_RANGE, if_range.clone());
        }
    }

    /// Whether a piece is what was wished for, or its beginning: a server may send less (RFC 9110
    /// §15.3.7), but what else it sends was meant for somebody else.
    pub fn admits(&self, piece: &Piece) -> bool {
        let wished = self.spec.of(piece.whole);
        wished
            .is_some_and(|wished| wished.start == piece.span.start && piece.span.end <= wished.end)
    }

    /// Whether a piece is all of what was wished for.
    pub fn is(&self, piece: &Piece) -> bool {
        self.spec.of(piece.whole).as_ref() == Some(&piece.span)
    }
}

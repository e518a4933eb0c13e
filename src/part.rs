//! A kept part of an answer: RFC 9110 §15.3.7, RFC 9111 §3.3, §3.4.
//!
//! It stands where the whole would, as an entry of status 206. Its `Content-Range` lines say in order
//! which bytes of the whole its body holds, one span behind the other. It is bound otherwise than the
//! whole, so nothing that looks for a whole can take it for one.

mod piece; // one range, as it is asked for and as it is answered

pub use piece::{Piece, Single};

use crate::digest::{Digest, Digester};
use crate::entry::Entry;
use crate::headers;
use crate::ranges::{self, Wanted};
use bytes::{Bytes, BytesMut};
use hyper::HeaderMap;
use hyper::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderValue};
use std::ops::Range;
use std::sync::Arc;

/// Most spans of one answer that are kept: more come of readers that skip about in it, whom the
/// latest serves as well.
const MAX_SPANS: usize = 8;

/// What a part of the entry with this binding is bound to.
pub fn binding(whole: Digest) -> Digest {
    Digester::new("part").part(&whole.0).finish()
}

/// A kept part whose bytes are those that it says it has.
#[derive(Clone)]
pub struct Part {
    entry: Arc<Entry>,
    /// In order, apart from each other, none empty; together as long as the entry's body.
    spans: Vec<Range<usize>>,
    whole: usize,
}

/// What came of joining what was kept and what came anew.
pub struct Joined {
    spans: Vec<Range<usize>>,
    whole: usize,
    /// The bytes of the spans, one span behind the other.
    pub body: Bytes,
    /// They are all that there are, and of one state of the resource.
    pub is_whole: bool,
}

impl Part {
    /// Reads a kept entry as a part. `None` where it is none, or does not hold what it says.
    pub fn read(entry: Arc<Entry>) -> Option<Part> {
        if !entry.is_part() {
            return None;
        }
        let lines = entry.headers.get_all(CONTENT_RANGE).iter();
        let pieces: Vec<Piece> = lines.map(Piece::read).collect::<Option<_>>()?;
        let whole = pieces.first()?.whole;
        let apart = |pair: &[Piece]| pair[0].span.end < pair[1].span.start;
        let is_sound = pieces.len() <= MAX_SPANS
            && pieces.iter().all(|piece| piece.whole == whole)
            && pieces.windows(2).all(apart)
            && pieces.iter().map(|piece| piece.span.len()).sum::<usize>() == entry.body.len();
        is_sound.then(|| Part {
            spans: pieces.into_iter().map(|piece| piece.span).collect(),
            whole,
            entry,
        })
    }

    /// The entry that it is kept as.
    pub fn entry(&self) -> &Entry {
        &self.entry
    }

    /// How long the whole is, bytes.
    pub fn whole(&self) -> usize {
        self.whole
    }

    /// The content of the 206 to a GET with these headers, and its own: if it asks for one range, and
    /// all of that is held.
    pub fn answer(&self, request: &HeaderMap) -> Option<(Bytes, HeaderMap)> {
        let Wanted::Parts(wanted) = ranges::wanted(request, &self.entry.headers, self.whole) else {
            return None;
        };
        let [wanted] = &wanted[..] else {
            return None;
        };
        let bytes = self.bytes(wanted)?;
        let mut headers = headers::without_content(&self.entry.headers);
        let content_range = ranges::content_range(wanted, self.whole);
        headers.insert(CONTENT_RANGE, content_range);
        headers.insert(CONTENT_LENGTH, HeaderValue::from(bytes.len()));
        Some((bytes, headers))
    }

    /// What the origin is asked for so that the whole can be answered: all from the first byte that is
    /// missing to the last, on the condition that it is still the same. `None` where nothing is gained,
    /// or the origin cannot be asked so.
    pub fn rest(&self) -> Option<Single> {
        let tag = strong_tag(&self.entry.headers)?;
        let (first, last) = (self.spans.first()?, self.spans.last()?);
        let start = if first.start == 0 { first.end } else { 0 };
        let end = if last.end == self.whole {
            last.start
        } else {
            self.whole
        };
        let is_worth_it = start < end && (start, end) != (0, self.whole);
        is_worth_it.then(|| Single::rest(start..end, self.whole, tag))
    }

    /// Joins what is held and what came anew, if both say by the same strong validator that they are of
    /// one state of the resource (§3.4) and nothing belies it.
    pub fn joined(&self, piece: &Piece, bytes: &Bytes, headers: &HeaderMap) -> Option<Joined> {
        let ours = &self.entry.headers;
        let tag = strong_tag(headers)?;
        let coding = |headers: &HeaderMap| -> Vec<HeaderValue> {
            headers.get_all(CONTENT_ENCODING).iter().cloned().collect()
        };
        let is_same = strong_tag(ours) == Some(tag)
            && coding(ours) == coding(headers)
            && self.whole == piece.whole
            && piece.span.len() == bytes.len();
        if !is_same {
            return None;
        }
        let new = &piece.span;
        let mut runs = vec![(new.start, bytes.clone())];
        for held in &self.spans {
            let both = held.start.max(new.start)..held.end.min(new.end);
            if !both.is_empty() && self.bytes(&both)? != within(bytes, new, &both) {
                return None;
            }
            let before = held.start..held.end.min(new.start);
            let behind = held.start.max(new.end)..held.end;
            for apart in [before, behind] {
                if !apart.is_empty() {
                    runs.push((apart.start, self.bytes(&apart)?));
                }
            }
        }
        Some(Joined::of(runs, self.whole))
    }

    /// The headers of what is joined: what was said anew in the place of what had been said
    /// (RFC 9110 §15.3.7.3).
    pub fn headers_with(&self, anew: &HeaderMap) -> HeaderMap {
        headers::updated(&self.entry.headers, anew)
    }

    /// The bytes of a range that one span holds.
    fn bytes(&self, range: &Range<usize>) -> Option<Bytes> {
        let mut begins = 0;
        for span in &self.spans {
            if span.start <= range.start && range.end <= span.end {
                let held = begins..begins + span.len();
                return Some(within(&self.entry.body.slice(held), span, range));
            }
            begins += span.len();
        }
        None
    }
}

impl Joined {
    /// What came, and nothing else.
    pub fn alone(piece: &Piece, bytes: Bytes) -> Joined {
        Joined {
            spans: vec![piece.span.clone()],
            whole: piece.whole,
            body: bytes,
            is_whole: false,
        }
    }

    /// Whether it is no more than may be kept: so many bytes, in no more spans than
    /// are kept of one answer.
    pub fn fits(&self, max: usize) -> bool {
        self.body.len() <= max && self.spans.len() <= MAX_SPANS
    }

    /// Headers as they describe it: the length of a whole, or where the spans of a part lie.
    pub fn describe(&self, headers: &HeaderMap) -> HeaderMap {
        let mut described = headers::without_content(headers);
        if self.is_whole {
            described.insert(CONTENT_LENGTH, HeaderValue::from(self.whole));
            return described;
        }
        for span in &self.spans {
            described.append(CONTENT_RANGE, ranges::content_range(span, self.whole));
        }
        described
    }

    fn of(mut runs: Vec<(usize, Bytes)>, whole: usize) -> Joined {
        runs.sort_by_key(|(start, _)| *start);
        let mut spans: Vec<Range<usize>> = Vec::new();
        let mut body = BytesMut::new();
        for (start, bytes) in &runs {
            let end = start + bytes.len();
            match spans.last_mut() {
                Some(span) if span.end == *start => span.end = end,
                _ => spans.push(*start..end),
            }
            body.extend_from_slice(bytes);
        }
        let is_whole = matches!(&spans[..], [only] if *only == (0..whole));
        Joined {
            spans,
            whole,
            body: body.freeze(),
            is_whole,
        }
    }
}

/// `range` of what lies at `span` of the whole.
fn within(bytes: &Bytes, span: &Range<usize>, range: &Range<usize>) -> Bytes {
    bytes.slice(range.start - span.start..range.end - span.start)
}

/// The entity tag, where it is one, and strong (RFC 9110 §8.8.3).
fn strong_tag(headers: &HeaderMap) -> Option<&HeaderValue> {
    let mut lines = headers.get_all(ETAG).iter();
    let (tag, None) = (lines.next()?, lines.next()) else {
        return None;
    };
    let opaque = tag.as_bytes().strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    (!opaque.contains(&b'"')).then_some(tag)
}

#[cfg(test)]
mod tests;

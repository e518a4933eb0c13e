//! The trace that a request is part of (W3C Trace Context, level 1), passed on or begun. Its id is what a
//! request is found by: in our logs, and in the origin's.

mod span; // one piece of work, from its beginning to its end

pub use span::{Export, Facts, Finished, Span, Tracer, Work};

use crate::headers::{TRACEPARENT, TRACESTATE};
use crate::random;
use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};
use std::fmt;

/// What loggers look for in the place of a trace.
static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Length of version 00: `00-`, 32 digits, `-`, 16 digits, `-`, 2 digits.
const TRACEPARENT_LENGTH: usize = 55;

/// Bytes of the two ids of a trace.
const IDS: usize = 24;

/// The flag of a trace that whoever began it records.
const SAMPLED: u8 = 1;

/// The id of one piece of work of a trace.
pub type SpanId = [u8; 8];

/// A trace, and the piece of work in it that what is done next is part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trace {
    id: [u8; 16],
    span: SpanId,
    flags: u8,
    /// It begins here: no other knows of its `span`.
    is_begun: bool,
    /// Its spans are told of.
    is_recorded: bool,
    /// What is asked is asked for others too.
    is_for_all: bool,
}

impl Trace {
    /// The trace that these headers name in one well-formed `traceparent`; else one that begins here. It is
    /// marked as sampled: origins that follow their parent's decision would otherwise stop recording as soon as
    /// a sidecar stands before them.
    pub fn of(headers: &HeaderMap) -> Trace {
        let mut lines = headers.get_all(&TRACEPARENT).iter();
        match (lines.next(), lines.next()) {
            (Some(line), None) => read(line.as_bytes()).unwrap_or_else(Trace::begin),
            _ => Trace::begin(),
        }
    }

    /// Without a source of randomness there is none, and all that is told of it is zeros.
    fn begin() -> Trace {
        let drawn: [u8; IDS] = random::bytes().unwrap_or_default();
        let (mut id, mut span) = ([0; 16], SpanId::default());
        id.copy_from_slice(&drawn[..16]);
        span.copy_from_slice(&drawn[16..]);
        span[0] |= 1; // zero is no id
        Trace {
            id,
            span,
            flags: SAMPLED,
            is_begun: true,
            is_recorded: false,
            is_for_all: false,
        }
    }

    /// The piece of work that is done next is `span` of the same trace, and is told of.
    fn within(self, span: SpanId) -> Trace {
        Trace {
            span,
            is_recorded: true,
            ..self
        }
    }

    /// The same, for what is asked for others too: an origin may show the id of a request in its answer, and would
    /// show everybody that of whoever came first.
    pub fn for_all(self) -> Trace {
        Trace {
            is_for_all: true,
            ..self
        }
    }

    /// The id of the trace.
    pub fn id(&self) -> [u8; 16] {
        self.id
    }

    /// The piece of work that what is done next is part of.
    pub fn span(&self) -> SpanId {
        self.span
    }

    /// Whether others begin it by recording it, or we do.
    pub fn is_sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// Whether no other knows of it.
    pub fn is_begun(&self) -> bool {
        self.is_begun
    }

    fn sampled(self, is_sampled: bool) -> Trace {
        let flags = match is_sampled {
            true => self.flags | SAMPLED,
            false => self.flags & !SAMPLED,
        };
        Trace { flags, ..self }
    }

    /// Puts it on a request to the origin, in place of what stands there of a trace. `tracestate` belongs to a
    /// trace that goes on. A request that bears no id gets that of its trace, unless it is made for others too.
    pub fn onto(&self, headers: &mut HeaderMap) {
        if self.is_begun {
            headers.remove(&TRACESTATE);
        }
        let text = (self.id != [0; 16]).then(|| self.text());
        let Some(parent) = text.and_then(|text| HeaderValue::from_bytes(&text).ok()) else {
            headers.remove(&TRACEPARENT);
            return;
        };
        if let Ok(id) = HeaderValue::from_bytes(&parent.as_bytes()[3..35])
            && !self.is_for_all
            && !headers.contains_key(&REQUEST_ID)
        {
            headers.insert(REQUEST_ID.clone(), id);
        }
        headers.insert(TRACEPARENT.clone(), parent); // in place of all there are
    }

    /// Version 00: of later ones no more than that is understood.
    fn text(&self) -> [u8; TRACEPARENT_LENGTH] {
        let mut text = *b"00-________________________________-________________-__";
        write_hex(&self.id, &mut text[3..35]);
        write_hex(&self.span, &mut text[36..52]);
        write_hex(&[self.flags], &mut text[53..]);
        text
    }
}

/// The id of the trace: what a request is logged with.
impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt_hex(&self.id, f)
    }
}

/// A span's id, where there is one, for logs.
struct Shown(SpanId);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt_hex(&self.0, f)
    }
}

fn new_span() -> SpanId {
    let mut span: SpanId = random::bytes().unwrap_or_default();
    span[0] |= 1; // zero is no id
    span
}

fn fmt_hex(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut digits = [0; 32];
    let digits = &mut digits[..2 * bytes.len()];
    write_hex(bytes, digits);
    f.write_str(std::str::from_utf8(digits).unwrap_or_default())
}

/// Writes two digits for each byte.
fn write_hex(bytes: &[u8], digits: &mut [u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (byte, pair) in bytes.iter().zip(digits.chunks_exact_mut(2)) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
}

/// Reads two digits for each byte; `None` where one is none, or in upper case.
fn read_hex<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

/// Version 00 exactly, or a later version that begins like it.
fn read(value: &[u8]) -> Option<Trace> {
    let (known, rest) = value.split_at_checked(TRACEPARENT_LENGTH)?;
    let [version]: [u8; 1] = read_hex(&known[..2])?;
    let (id, span) = (read_hex(&known[3..35])?, read_hex(&known[36..52])?);
    let [flags] = read_hex(&known[53..])?;
    let is_well_formed = [2, 35, 52].into_iter().all(|dash| known[dash] == b'-')
        && id != [0; 16]
        && span != [0; 8]
        && version != 0xff
        && (rest.is_empty() || (version != 0 && rest[0] == b'-'));
    is_well_formed.then_some(Trace {
        id,
        span,
        flags,
        is_begun: false,
        is_recorded: false,
        is_for_all: false,
    })
}

#[cfg(test)]
mod tests;

//! `traceparent`: passed on, or begun (W3C Trace Context, level 1).

use crate::random;
use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};

static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
static TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// The header's name.
pub fn traceparent() -> &'static HeaderName {
    &TRACEPARENT
}

/// Length of version 00: `00-`, 32 digits, `-`, 16 digits, `-`, 2 digits.
const TRACEPARENT_LENGTH: usize = 55;

/// Leaves a well-formed `traceparent` as it is. Otherwise begins a trace, and removes `tracestate`,
/// which belongs to the trace that was not readable. Without a source of randomness none is begun.
pub fn ensure_traceparent(headers: &mut HeaderMap) {
    let mut lines = headers.get_all(&TRACEPARENT).iter();
    if let (Some(line), None) = (lines.next(), lines.next())
        && is_well_formed(line.as_bytes())
    {
        return;
    }
    headers.remove(&TRACESTATE);
    match begin() {
        Some(begun) => headers.insert(TRACEPARENT.clone(), begun), // in place of all there are
        None => headers.remove(&TRACEPARENT),
    };
}

/// Bytes of the two ids of a trace.
const IDS: usize = 24;

/// A new trace, marked as sampled: origins that follow their parent's decision would otherwise
/// stop recording as soon as a sidecar stands before them.
fn begin() -> Option<HeaderValue> {
    let mut ids = random::bytes::<IDS>()?;
    // Zero ids are invalid; a bit in each costs nothing.
    ids[0] |= 1;
    ids[16] |= 1;
    let mut text = *b"00-________________________________-________________-01";
    let (trace, parent) = ids.split_at(16);
    write_hex(trace, &mut text[3..35]);
    write_hex(parent, &mut text[36..52]);
    HeaderValue::from_bytes(&text).ok()
}

/// Writes two digits for each byte.
fn write_hex(bytes: &[u8], digits: &mut [u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (byte, pair) in bytes.iter().zip(digits.chunks_exact_mut(2)) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
}

/// Version 00 exactly, or a later version that begins like it.
fn is_well_formed(value: &[u8]) -> bool {
    let Some((known, rest)) = value.split_at_checked(TRACEPARENT_LENGTH) else {
        return false;
    };
    let [version, trace, parent, flags] =
        [&known[..2], &known[3..35], &known[36..52], &known[53..]];
    let is_hex = |part: &[u8]| part.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let is_zero = |part: &[u8]| part.iter().all(|b| *b == b'0');
    [version, trace, parent, flags].into_iter().all(is_hex)
        && [2, 35, 52].into_iter().all(|dash| known[dash] == b'-')
        && !is_zero(trace)
        && !is_zero(parent)
        && version != b"ff"
        && (rest.is_empty() || (version != b"00" && rest[0] == b'-'))
}

#[cfg(test)]
mod tests {
    use super::super::tests::headers;
    use super::*;

    const GIVEN: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

    #[test]
    fn a_trace_that_is_well_formed_goes_on() {
        let mut request = headers(&[("traceparent", GIVEN), ("tracestate", "a=b")]);
        ensure_traceparent(&mut request);
        assert_eq!(request["traceparent"], GIVEN);
        assert_eq!(request["tracestate"], "a=b");
        let later = "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00-more";
        assert!(is_well_formed(later.as_bytes()));
    }

    #[test]
    fn a_trace_that_is_not_is_begun_anew_without_its_state() {
        for bad in [
            "",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-00",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-00",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00-more",
            "00_4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7_00",
        ] {
            let mut request = headers(&[("traceparent", bad), ("tracestate", "a=b")]);
            ensure_traceparent(&mut request);
            let begun = &request["traceparent"];
            assert_ne!(begun, bad);
            assert!(is_well_formed(begun.as_bytes()), "{begun:?}");
            assert!(!request.contains_key("tracestate"));
        }
    }

    #[test]
    fn two_traces_are_none() {
        let mut request = headers(&[("traceparent", GIVEN), ("traceparent", GIVEN)]);
        ensure_traceparent(&mut request);
        assert_eq!(request.get_all("traceparent").iter().count(), 1);
        assert_ne!(request["traceparent"], GIVEN);
    }

    #[test]
    fn no_two_traces_begin_alike() {
        const SOME: usize = 100;
        let begun: std::collections::BTreeSet<_> = (0..SOME)
            .map(|_| {
                let begun = begin().expect("the kernel has randomness");
                assert!(is_well_formed(begun.as_bytes()), "{begun:?}");
                let text = begun.to_str().expect("hexadecimal").to_owned();
                (text[3..35].to_owned(), text[36..52].to_owned())
            })
            .collect();
        assert_eq!(begun.len(), SOME);
    }
}

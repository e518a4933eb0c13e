//! `traceparent`: passed on, or begun (W3C Trace Context, level 1).

use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};
use std::fmt::Write;

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
    headers.remove(&TRACEPARENT);
    headers.remove(&TRACESTATE);
    if let Some(begun) = begin() {
        headers.insert(TRACEPARENT.clone(), begun);
    }
}

/// A new trace, marked as sampled: origins that follow their parent's decision would otherwise
/// stop recording as soon as a sidecar stands before them.
fn begin() -> Option<HeaderValue> {
    let mut ids = [0; 24];
    getrandom::fill(&mut ids).ok()?;
    // Zero ids are invalid; a bit in each costs nothing.
    ids[0] |= 1;
    ids[16] |= 1;
    let mut text = String::with_capacity(TRACEPARENT_LENGTH);
    text.push_str("00-");
    for (position, byte) in ids.iter().enumerate() {
        let dash = if position == 16 { "-" } else { "" };
        write!(text, "{dash}{byte:02x}").ok()?;
    }
    text.push_str("-01");
    HeaderValue::from_str(&text).ok()
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
}

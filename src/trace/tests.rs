use super::*;
use std::collections::BTreeSet;

const GIVEN: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
    let lines = lines.iter().map(|(name, value)| {
        let name = HeaderName::from_static(name);
        (name, HeaderValue::from_static(value))
    });
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(name, value);
    }
    headers
}

/// What the origin is told of a client that says these.
fn told(lines: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut request = headers(lines);
    Trace::of(&request).onto(&mut request);
    request
}

#[test]
fn a_trace_that_is_well_formed_goes_on() {
    let told = told(&[("traceparent", GIVEN), ("tracestate", "a=b")]);
    assert_eq!(told["traceparent"], GIVEN);
    assert_eq!(told["tracestate"], "a=b");
}

#[test]
fn of_a_later_version_no_more_goes_on_than_is_understood() {
    let later = "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00-more";
    let told = told(&[("traceparent", later), ("tracestate", "a=b")]);
    assert_eq!(told["traceparent"], GIVEN);
    assert_eq!(told["tracestate"], "a=b");
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
        "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00more",
        "00_4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7_00",
    ] {
        let told = told(&[("traceparent", bad), ("tracestate", "a=b")]);
        let begun = &told["traceparent"];
        assert_ne!(begun, bad);
        assert!(read(begun.as_bytes()).is_some(), "{begun:?}");
        assert!(!told.contains_key("tracestate"));
    }
}

#[test]
fn two_traces_are_none() {
    let told = told(&[("traceparent", GIVEN), ("traceparent", GIVEN)]);
    assert_eq!(told.get_all("traceparent").iter().count(), 1);
    assert_ne!(told["traceparent"], GIVEN);
}

#[test]
fn a_request_without_an_id_gets_that_of_its_trace() {
    let id = |lines: &[(&'static str, &'static str)]| told(lines)["x-request-id"].clone();
    let trace = ("traceparent", GIVEN);
    assert_eq!(id(&[trace]), "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(id(&[trace, ("x-request-id", "their-own")]), "their-own");
}

#[test]
fn no_two_traces_begin_alike() {
    const SOME: usize = 100;
    let begun: BTreeSet<_> = (0..SOME)
        .map(|_| {
            let begun = Trace::begin();
            let read = read(&begun.text()).expect("well-formed");
            assert_eq!((read.id, read.span), (begun.id, begun.span));
            assert!(read.is_sampled());
            assert_eq!(
                begun.to_string().as_bytes(),
                &begun.text()[3..35],
                "logged as sent"
            );
            (read.id, read.span)
        })
        .collect();
    assert_eq!(begun.len(), SOME);
}

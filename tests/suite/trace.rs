//! The trace that a request is part of: what the origin is told of it, and what is logged with it.

mod logs; // lines that bear it
mod spans; // what was done, and as a part of what
#[cfg(feature = "otlp")]
mod otlp; // the same, as a collector is told of it

use crate::world::{Asked, Origin, REGISTER_RULES, Reply, Sidecar};

/// What a client that traces says, here and below.
const GIVEN: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const GIVEN_ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const GIVEN_SPAN: &str = "00f067aa0ba902b7";

/// A read that is kept, a write, and one that no rule is for.
const WAYS: [(&str, &str); 3] = [
    ("GET", "/api/thing/1"),
    ("PATCH", "/api/change/1"),
    ("GET", "/other"),
];

async fn origin() -> Origin {
    Origin::start(|_: Asked| async { Reply::json("{}") }).await
}

/// The ids of trace and span that the origin was told, and the flags.
fn told(asked: &Asked) -> [String; 3] {
    let lines = asked.headers.get_all("traceparent").iter();
    let lines: Vec<_> = lines.filter_map(|line| line.to_str().ok()).collect();
    let [line] = lines.as_slice() else {
        panic!("one trace: {lines:?}")
    };
    let parts: Vec<&str> = line.split('-').collect();
    let &["00", id, span, flags] = parts.as_slice() else {
        panic!("version 00: {line}")
    };
    assert_eq!((id.len(), span.len(), flags.len()), (32, 16, 2), "{line}");
    [id, span, flags].map(str::to_owned)
}

/// Whether the origin is asked for everybody.
fn is_fill(target: &str) -> bool {
    target == "/api/thing/1"
}

#[tokio::test]
async fn a_trace_goes_on_whichever_way_a_request_goes() {
    let origin = origin().await;
    for (method, target) in WAYS {
        for flags in ["00", "01"] {
            let sidecar = Sidecar::start(&origin, "memory:", REGISTER_RULES).await;
            let given = format!("00-{GIVEN_ID}-{GIVEN_SPAN}-{flags}");
            let headers = [("traceparent", &*given), ("tracestate", "vendor=1")];
            sidecar.ask(method, target, &headers, "").await;
            let asked = origin.last();
            // Nobody is told of spans of ours, so the origin's are part of the client's.
            assert_eq!(told(&asked), [GIVEN_ID, GIVEN_SPAN, flags], "{target}");
            let id = (!is_fill(target)).then_some(GIVEN_ID);
            assert_eq!(asked.header("x-request-id"), id, "{target}");
        }
    }
}

#[tokio::test]
async fn a_trace_begins_where_none_can_be_read() {
    let origin = origin().await;
    let endless = format!("{GIVEN}-{}", "a".repeat(500));
    let unknown = GIVEN.replacen("00", "ff", 1);
    let bad: [&[(&str, &str)]; 6] = [
        &[],
        &[("traceparent", "")],
        &[("traceparent", &GIVEN.to_uppercase())],
        &[("traceparent", GIVEN), ("traceparent", GIVEN)],
        &[("traceparent", &endless)],
        &[("traceparent", &unknown)],
    ];
    for (method, target) in WAYS {
        for headers in bad {
            let sidecar = Sidecar::start(&origin, "memory:", REGISTER_RULES).await;
            let headers = [headers, &[("tracestate", "vendor=1")]].concat();
            sidecar.ask(method, target, &headers, "").await;
            let asked = origin.last();
            let [id, _, flags] = told(&asked);
            assert_ne!(id, GIVEN_ID, "{target} {headers:?}");
            assert_eq!(flags, "01", "{target} {headers:?}");
            assert_eq!(asked.header("tracestate"), None, "{target} {headers:?}");
            let id = (!is_fill(target)).then_some(&*id);
            assert_eq!(asked.header("x-request-id"), id, "{target}");
        }
    }
}

#[tokio::test]
async fn of_a_later_version_the_origin_is_told_what_is_understood() {
    let origin = origin().await;
    let sidecar = Sidecar::start(&origin, "memory:", REGISTER_RULES).await;
    let later = format!("cc-{GIVEN_ID}-{GIVEN_SPAN}-01-what.else");
    for target in ["/api/thing/1", "/other"] {
        let headers = [("traceparent", &*later)];
        sidecar.get_with(target, &headers).await;
        let asked = origin.last();
        assert_eq!(told(&asked), [GIVEN_ID, GIVEN_SPAN, "01"], "{target}");
    }
}

#[tokio::test]
async fn what_a_client_says_of_its_own_goes_along_with_its_own_request_only() {
    let origin = origin().await;
    let sidecar = Sidecar::start(&origin, "memory:", REGISTER_RULES).await;
    let headers = [
        ("traceparent", GIVEN),
        ("tracestate", "vendor=1"),
        ("x-request-id", "theirs"),
    ];
    for (method, target) in WAYS {
        sidecar.ask(method, target, &headers, "").await;
        let asked = origin.last();
        let said = (asked.header("tracestate"), asked.header("x-request-id"));
        let expected = match is_fill(target) {
            true => (None, None), // it is made for others too
            false => (Some("vendor=1"), Some("theirs")),
        };
        assert_eq!(said, expected, "{target}");
    }
}

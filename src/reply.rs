//! Answers that are made here: kept entries as they are served, and errors.

use crate::body::Body;
use crate::entry::Entry;
use crate::freshness;
use crate::head::Head;
use crate::headers::Seen;
use crate::outcome::Detail;
use crate::part::Part;
use crate::ranges::{self, Wanted};
use crate::trace::Trace;
use bytes::Bytes;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Response, StatusCode};
use serde_json::json;

/// What a 304 does not say: it has no content to describe (RFC 9110 §15.4.5).
const DESCRIBES_CONTENT: [HeaderName; 4] = [
    header::CONTENT_TYPE,
    header::CONTENT_LENGTH,
    header::CONTENT_ENCODING,
    header::CONTENT_LANGUAGE,
];

/// A kept answer as this client gets it: as the origin sent it, with its age; 304 where the client
/// says that he has it; or the parts of it that he asks for. In that order: RFC 9110 §13.2.2.
pub fn kept(entry: &Entry, age: u64, client: &Head) -> Response<Body> {
    let mut response = Response::new(Body::full(entry.body.clone()));
    *response.status_mut() = entry.status;
    *response.headers_mut() = entry.headers.clone();
    response
        .headers_mut()
        .insert(header::AGE, HeaderValue::from(age));
    let mut response = conditional(response, client);
    let parts = &client.parts;
    let may_be_cut = client.seen.has(Seen::RANGE) && parts.method == Method::GET;
    if may_be_cut && response.status() == StatusCode::OK {
        cut(&mut response, &entry.body, &parts.headers);
    }
    response
}

/// What this client asks of a kept part, if that holds it: as [`kept`] cuts it from a whole.
pub fn of_part(part: &Part, age: u64, client: &Head) -> Option<Response<Body>> {
    let (bytes, headers) = part.answer(&client.parts.headers)?;
    let mut whole = Response::new(Body::empty());
    *whole.headers_mut() = part.entry().headers.clone();
    whole.headers_mut().remove(header::CONTENT_RANGE);
    let mut response = conditional(whole, client);
    if response.status() == StatusCode::OK {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        *response.headers_mut() = headers;
        *response.body_mut() = Body::full(bytes);
    }
    response
        .headers_mut()
        .insert(header::AGE, HeaderValue::from(age));
    Some(response)
}

/// Turns a 200 into a 304 where the client has it (RFC 9110 §13.1.2, §13.1.3).
pub fn conditional(mut response: Response<Body>, client: &Head) -> Response<Body> {
    let parts = &client.parts;
    if client.seen.has(Seen::CONDITION)
        && [Method::GET, Method::HEAD].contains(&parts.method)
        && response.status() == StatusCode::OK
        && freshness::not_modified(&parts.headers, response.headers())
    {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        *response.body_mut() = Body::empty();
        for name in DESCRIBES_CONTENT {
            response.headers_mut().remove(name);
        }
    }
    response
}

/// Turns a whole into what is asked for of it (RFC 9110 §14).
fn cut(response: &mut Response<Body>, body: &Bytes, client: &HeaderMap) {
    match ranges::wanted(client, response.headers(), body.len()) {
        Wanted::Whole => {}
        Wanted::Parts(parts) => {
            let part = ranges::part(body, &parts, response.headers_mut());
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            *response.body_mut() = Body::full(part);
        }
        Wanted::Nothing => {
            *response.status_mut() = StatusCode::RANGE_NOT_SATISFIABLE;
            *response.body_mut() = Body::empty();
            for name in DESCRIBES_CONTENT {
                response.headers_mut().remove(name);
            }
            let whole = ranges::unsatisfied(body.len());
            response.headers_mut().insert(header::CONTENT_RANGE, whole);
        }
    }
}

/// Marks what we say ourselves, in the origin's place.
#[derive(Clone, Copy, Debug)]
pub struct Ours;

/// An error of ours as short JSON.
pub fn error(status: StatusCode, error: &str, detail: Detail) -> Response<Body> {
    json(status, &json!({ "error": error, "detail": detail.word() }))
}

/// Something that we say ourselves, and that nobody is to keep.
pub fn json(status: StatusCode, document: &serde_json::Value) -> Response<Body> {
    let mut response = json_text(Bytes::from(document.to_string()));
    *response.status_mut() = status;
    response.extensions_mut().insert(Ours);
    response
}

/// The same of a document that was written already, with 200.
pub fn json_text(text: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::full(text));
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// What a client is told who wants a kept answer or none (RFC 9111 §5.2.1.7).
pub fn nothing_kept() -> Response<Body> {
    let text = "nothing is kept that this request would take";
    error(StatusCode::GATEWAY_TIMEOUT, text, Detail::OnlyIfCached)
}

/// Seconds after which a refused write may be tried again: the store is probed twice as often.
const RETRY_AFTER: u64 = 1;

/// What a client is told of a write that would go unseen by the fleet.
pub fn try_later() -> Response<Body> {
    let text = "the cache cannot be told of this write now; it was not sent";
    let mut response = error(StatusCode::SERVICE_UNAVAILABLE, text, Detail::StoreDown);
    response
        .headers_mut()
        .insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER));
    response
}

/// What a client is told whose request is one too many.
pub fn too_many(retry_after: u64) -> Response<Body> {
    let text = "too many requests";
    let mut response = error(StatusCode::TOO_MANY_REQUESTS, text, Detail::Limited);
    response
        .headers_mut()
        .insert(header::RETRY_AFTER, HeaderValue::from(retry_after));
    response
}

/// What a client is told when the origin did not answer, with the id by which the failure stands in the log:
/// what he complains of can be looked up.
pub fn origin_failed(detail: Detail, trace: &Trace) -> Response<Body> {
    let (status, text) = match detail {
        Detail::OriginTimeout => (
            StatusCode::GATEWAY_TIMEOUT,
            "the origin did not answer in time",
        ),
        Detail::OriginBusy => (
            StatusCode::SERVICE_UNAVAILABLE,
            "too many requests are at the origin already",
        ),
        Detail::OriginUnreachable => (StatusCode::BAD_GATEWAY, "the origin cannot be reached"),
        Detail::ClientGone => (StatusCode::BAD_REQUEST, "the request body broke off"),
        Detail::ClientSlow => (
            StatusCode::REQUEST_TIMEOUT,
            "the request's body took too long",
        ),
        Detail::RequestTooLarge => (
            StatusCode::PAYLOAD_TOO_LARGE,
            "the request's body is too large",
        ),
        _ => (
            StatusCode::BAD_GATEWAY,
            "the origin broke off or its answer cannot be read",
        ),
    };
    let document = json!({ "error": text, "detail": detail.word(), "trace_id": trace.to_string() });
    let mut response = json(status, &document);
    if status.is_client_error() {
        response
            .headers_mut()
            .insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

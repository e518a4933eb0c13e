//! Where a request and its answer end: written anew from what the body is, and refused where an
//! answer leaves it in doubt (RFC 9112 §6.3).

use crate::body::Body;
use crate::headers;
use hyper::body::Body as HttpBody;
use hyper::header::{self, HeaderValue};
use hyper::{Request, Response, StatusCode, Version};

/// Writes the framing of a request: by length where it is known, else in chunks, whatever the
/// method. (hyper would leave out the unmeasured body of a GET.)
pub(super) fn frame(request: &mut Request<Body>) {
    *request.version_mut() = Version::HTTP_11;
    let length = request.body().size_hint().exact();
    let is_empty = request.body().is_end_stream();
    let headers = request.headers_mut();
    headers.remove(header::TRANSFER_ENCODING);
    match length {
        // A POST of nothing keeps saying so; a GET does not begin to.
        Some(0) if is_empty && !headers.contains_key(header::CONTENT_LENGTH) => {}
        Some(length) => drop(headers.insert(header::CONTENT_LENGTH, length.into())),
        None => {
            headers.remove(header::CONTENT_LENGTH);
            let chunked = HeaderValue::from_static("chunked");
            headers.insert(header::TRANSFER_ENCODING, chunked);
        }
    }
}

/// Whether an answer's head leaves no doubt about where the answer ends: one length or one plain
/// `chunked`, never both, and no protocol that the request did not offer. Other transfer codings would
/// have to be asked for with `TE`, which we never send.
pub(super) fn is_plain<B>(answer: &Response<B>, offered: Option<&HeaderValue>) -> bool {
    let fields = answer.headers();
    let lengths = fields.get_all(header::CONTENT_LENGTH);
    let codings = fields.get_all(header::TRANSFER_ENCODING);
    let is_switch = answer.status() == StatusCode::SWITCHING_PROTOCOLS;
    (!is_switch || headers::answers_switch(answer.headers(), offered))
        && lengths.iter().count() + codings.iter().count() <= 1
        && lengths.iter().all(is_decimal)
        && codings
            .iter()
            .all(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked"))
}

/// Whether an answer has neither a length nor chunks, and yet a body.
pub(super) fn ends_with_connection<B: HttpBody>(answer: &Response<B>) -> bool {
    let framed = [header::CONTENT_LENGTH, header::TRANSFER_ENCODING];
    let headers = answer.headers();
    !answer.body().is_end_stream() && !framed.iter().any(|name| headers.contains_key(name))
}

fn is_decimal(value: &HeaderValue) -> bool {
    !value.is_empty() && value.as_bytes().iter().all(u8::is_ascii_digit)
}

/// Makes an answer ours to pass on: in our own version of HTTP (RFC 9110 §6.2), and, if it has no
/// body by its status, without a word of one (§8.6).
pub(super) fn tidy<B>(answer: &mut Response<B>) {
    *answer.version_mut() = Version::HTTP_11;
    if answer.status() == StatusCode::NO_CONTENT {
        let headers = answer.headers_mut();
        headers.remove(header::CONTENT_LENGTH);
        headers.remove(header::TRANSFER_ENCODING);
    }
}

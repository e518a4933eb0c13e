//! What browsers and tools export (HTTP Archive 1.2).
//!
//! Bodies stand there as they were shown, not as they were sent: what says otherwise of them in the headers
//! of an answer is left out.

use super::{Answered, Exchange, MAX_EXCHANGES, Parsed, date, origin_form};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::http::Uri;
use hyper::{HeaderMap, Method};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use std::io::{BufReader, Read};

/// What describes a body as it was sent.
const AS_SENT: [HeaderName; 3] = [
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
];

#[derive(Deserialize)]
struct Har {
    log: Log,
}

#[derive(Deserialize)]
struct Log {
    entries: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    started_date_time: String,
    #[serde(default)]
    time: Option<f64>,
    request: Request,
    response: Response,
    /// Browsers say so of what they did not ask for.
    #[serde(rename = "_fromCache", default)]
    from_cache: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    method: String,
    url: String,
    #[serde(default)]
    headers: Vec<Named>,
    #[serde(default)]
    post_data: Option<PostData>,
}

#[derive(Deserialize)]
struct Response {
    status: i64,
    #[serde(default)]
    headers: Vec<Named>,
    #[serde(default)]
    content: Content,
}

#[derive(Deserialize)]
struct Named {
    name: String,
    #[serde(default)]
    value: Option<String>,
}

#[derive(Deserialize)]
struct PostData {
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    params: Vec<Named>,
}

#[derive(Deserialize, Default)]
struct Content {
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    encoding: Option<String>,
    #[serde(default)]
    size: Option<i64>,
}

/// Reads an export. Entries that are none are counted; what never left the browser is left out.
pub(super) fn read(file: impl Read) -> Parsed {
    let mut text = Vec::new();
    let read = BufReader::new(file).read_to_end(&mut text);
    read.map_err(|error| format!("it cannot be read: {error}"))?;
    let json = text.strip_prefix(super::BYTE_ORDER_MARK).unwrap_or(&text);
    let har: Har = serde_json::from_slice(json).map_err(|error| {
        format!(
            "line {}: {}: this is no HAR file (log.entries) and no recording: export it again, or record \
             with `sidecache record`",
            error.line(),
            kind(&error)
        )
    })?;
    let (mut exchanges, mut skipped) = (Vec::new(), 0);
    for entry in har.log.entries.into_iter().take(MAX_EXCHANGES) {
        match serde_json::from_value(entry).ok().map(exchange) {
            Some(Some(Asked::Origin(exchange))) => exchanges.push(*exchange),
            Some(Some(Asked::Nobody)) => {}
            Some(None) | None => skipped += 1,
        }
    }
    Ok((exchanges, skipped))
}

/// What is wrong, without the text that it is wrong in: that may be anything.
fn kind(error: &serde_json::Error) -> &'static str {
    match error.classify() {
        serde_json::error::Category::Eof => "it ends too soon",
        serde_json::error::Category::Data => "something is missing or is of another kind",
        serde_json::error::Category::Syntax | serde_json::error::Category::Io => "it is not JSON",
    }
}

enum Asked {
    Origin(Box<Exchange>),
    /// The browser had it, or it was no HTTP.
    Nobody,
}

fn exchange(entry: Entry) -> Option<Asked> {
    let Entry { request, .. } = &entry;
    let is_http = request.url.starts_with("http://") || request.url.starts_with("https://");
    if entry.from_cache.is_some() || !is_http {
        return Some(Asked::Nobody);
    }
    let url: &str = request.url.split('#').next()?;
    let uri: Uri = url.parse().ok()?;
    let mut headers = headers(&request.headers);
    if !headers.contains_key(header::HOST) {
        let host = uri.authority().map(|authority| authority.as_str())?;
        headers.insert(header::HOST, HeaderValue::from_str(host).ok()?);
    }
    let took_ms = entry.time.filter(|time| *time >= 0.0);
    Some(Asked::Origin(Box::new(Exchange {
        at_ms: date::rfc3339(&entry.started_date_time)?,
        took_ms: took_ms.map(|time| time.round() as u64),
        method: Method::from_bytes(request.method.as_bytes()).ok()?,
        target: origin_form(url)?.to_owned(),
        body: request.post_data.as_ref().map(sent).unwrap_or_default(),
        headers,
        answer: answered(entry.response),
    })))
}

/// Nothing where the request was given up, which is written as status 0.
fn answered(response: Response) -> Option<Answered> {
    let status = u16::try_from(response.status).ok();
    let status = status.filter(|status| (100..=599).contains(status))?;
    let mut headers = headers(&response.headers);
    for name in AS_SENT {
        headers.remove(name);
    }
    Some(Answered {
        status,
        headers,
        body: shown(response.content),
    })
}

/// The pseudo headers of HTTP/2 are none of HTTP.
fn headers(named: &[Named]) -> HeaderMap {
    let pair = |named: &Named| {
        let name = HeaderName::from_bytes(named.name.as_bytes()).ok()?;
        let value = named.value.as_deref().unwrap_or_default();
        Some((name, HeaderValue::from_bytes(value.as_bytes()).ok()?))
    };
    let mut headers = HeaderMap::with_capacity(named.len());
    for (name, value) in named.iter().filter_map(pair) {
        headers.append(name, value);
    }
    headers
}

/// A form's fields stand apart in some exports.
fn sent(post: &PostData) -> Bytes {
    if let Some(text) = post.text.as_ref().filter(|text| !text.is_empty()) {
        return Bytes::from(text.clone());
    }
    let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let pair = |named: &Named| {
        let value = named.value.as_deref().unwrap_or_default();
        format!("{}={}", encoded(&named.name), encoded(value))
    };
    let pairs: Vec<String> = post.params.iter().map(pair).collect();
    Bytes::from(pairs.join("&"))
}

/// Nothing where the export leaves the body out.
fn shown(content: Content) -> Option<Bytes> {
    match (content.text, content.encoding.as_deref()) {
        (Some(text), Some("base64")) => STANDARD.decode(text).ok().map(Bytes::from),
        (Some(text), _) => Some(Bytes::from(text)),
        (None, _) => (content.size == Some(0)).then(Bytes::new),
    }
}

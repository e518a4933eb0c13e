//! Lines of a server's log, in the Common or Combined Log Format, which Apache, nginx and morgan write.
//!
//! A line may end with how long the answer took, in seconds with a fraction, as nginx's `$request_time` has
//! it. Whole numbers at the end may be anything, and are taken for nothing.

use super::{Answered, Exchange, MAX_EXCHANGES, Parsed, date, origin_form};
use bytes::Bytes;
use hyper::{HeaderMap, Method};
use std::io::{BufRead, Read};

/// Longest line that is looked at: servers refuse targets much shorter than that.
const MAX_LINE: u64 = 64 * 1024;

/// What every line is to look like.
const FORMS: &str = "a log has lines like `1.2.3.4 - - [10/Oct/2026:13:55:36 +0000] \"GET /path HTTP/1.1\" 200 \
                     2326`, with more behind that or not; other traffic is a HAR file or a recording of \
                     `sidecache record`";

/// Reads a log. Lines that are none are counted.
pub(super) fn read(mut log: impl BufRead) -> Parsed {
    let (mut exchanges, mut skipped) = (Vec::new(), 0);
    let mut line = Vec::new();
    let mut first_wrong = None;
    for number in 1.. {
        line.clear();
        let read = log.by_ref().take(MAX_LINE).read_until(b'\n', &mut line);
        let read = read.map_err(|error| format!("line {number} cannot be read: {error}"))?;
        if read == 0 || exchanges.len() == MAX_EXCHANGES {
            break;
        }
        let text = String::from_utf8_lossy(&line);
        match exchange(text.trim()) {
            _ if text.trim().is_empty() => {}
            Some(exchange) => exchanges.push(exchange),
            None => {
                skipped += 1;
                first_wrong.get_or_insert(number);
            }
        }
    }
    match first_wrong {
        Some(number) if exchanges.is_empty() => {
            Err(format!("line {number} is none of a server's log: {FORMS}"))
        }
        _ => Ok((exchanges, skipped)),
    }
}

/// `host ident user [date] "request" status bytes …`
fn exchange(line: &str) -> Option<Exchange> {
    let (_, rest) = line.split_once('[')?;
    let (date, rest) = rest.split_once(']')?;
    let (request, rest) = quoted(rest.trim_start())?;
    let mut words = request.split(' ');
    let (method, target) = (words.next()?, words.next()?);
    let method = Method::from_bytes(method.as_bytes()).ok();
    let method = method.filter(|method| method.as_str().bytes().all(|b| b.is_ascii_uppercase()))?;
    let status: u16 = rest.split_whitespace().next()?.parse().ok()?;
    let answer = (100..=599).contains(&status).then(|| Answered {
        status,
        headers: HeaderMap::new(),
        body: None,
    });
    let took_ms = rest.split_whitespace().last().and_then(took);
    let ended = date::common_log(date)?;
    Some(Exchange {
        at_ms: ended.saturating_sub(took_ms.unwrap_or(0)), // a line is written at the end
        took_ms,
        method,
        target: origin_form(target)?.to_owned(),
        headers: HeaderMap::new(),
        body: Bytes::new(),
        answer,
    })
}

/// What stands between quotes at the beginning, and the rest; an escaped quote ends nothing.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let inner = text.strip_prefix('"')?;
    let mut is_escaped = false;
    let end = inner.find(|letter| {
        let ends = letter == '"' && !is_escaped;
        is_escaped = letter == '\\' && !is_escaped;
        ends
    })?;
    Some((&inner[..end], &inner[end + 1..]))
}

/// Milliseconds, of `0.025`, `rt=0.025` or `"0.025"`.
fn took(word: &str) -> Option<u64> {
    let word = word.rsplit('=').next()?.trim_matches('"');
    let is_seconds = word.contains('.') && word.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let seconds: f64 = word.parse().ok().filter(|_| is_seconds)?;
    Some((seconds * 1000.0).round() as u64)
}

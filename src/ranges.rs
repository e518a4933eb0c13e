//! Parts of a kept whole: RFC 9110 §14.
//!
//! What is malformed, or asks for more than the whole, gets the whole: a range is a wish that a
//! server may always ignore (§14.2).

use crate::digest::Digester;
use crate::headers;
use bytes::{Bytes, BytesMut};
use hyper::HeaderMap;
use hyper::header::{
    CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, DATE, ETAG, HeaderValue, IF_RANGE, LAST_MODIFIED,
    RANGE,
};
use std::ops::Range;
use std::time::Duration;

/// Most parts that are answered one by one; more are asked for by nobody but to cost us work (§17.15).
const MAX_PARTS: usize = 16;

/// A date tells two states of a resource apart if it lies so much before the answer was made: else
/// there may have been another change in the same second (§8.8.2.2).
const STRONG_AFTER: Duration = Duration::from_secs(1);

/// What of a whole body a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// All of it.
    Whole,
    /// These parts of it, in the order in which they were asked for: at least one, none empty.
    Parts(Vec<Range<usize>>),
    /// Only what lies behind its end: 416.
    Nothing,
}

/// What a GET asks of a whole body of `length` bytes that came with these headers.
pub fn wanted(request: &HeaderMap, kept: &HeaderMap, length: usize) -> Wanted {
    let Some((specs, _)) = asked(request) else {
        return Wanted::Whole;
    };
    if !still_holds(request, kept) {
        return Wanted::Whole;
    }
    let parts: Vec<_> = specs.iter().filter_map(|spec| spec.of(length)).collect();
    let asked: usize = parts.iter().map(Range::len).sum();
    match parts.len() {
        0 => Wanted::Nothing,
        parts if parts > MAX_PARTS || asked > length => Wanted::Whole,
        _ => Wanted::Parts(parts),
    }
}

/// What a request asks for, as its line says it, if that is one range of bytes.
pub fn single(request: &HeaderMap) -> Option<(Spec, &HeaderValue)> {
    let (specs, line) = asked(request)?;
    let [only] = specs[..] else {
        return None;
    };
    Some((only, line))
}

/// The body of a 206 and, in `headers`, what describes it: one part as it is, several as
/// `multipart/byteranges` (§15.3.7).
pub fn part(body: &Bytes, parts: &[Range<usize>], headers: &mut HeaderMap) -> Bytes {
    *headers = headers::without_content(headers);
    let cut = match parts {
        [only] => {
            headers.insert(CONTENT_RANGE, content_range(only, body.len()));
            body.slice(only.clone())
        }
        several => {
            let boundary = boundary(body);
            let cut = multipart(body, several, headers.get(CONTENT_TYPE), &boundary);
            let multipart = format!("multipart/byteranges; boundary={boundary}");
            let multipart = HeaderValue::try_from(multipart).expect("a boundary is hexadecimal");
            headers.insert(CONTENT_TYPE, multipart);
            cut
        }
    };
    headers.insert(CONTENT_LENGTH, HeaderValue::from(cut.len()));
    cut
}

/// `Content-Range` of a 416: how long the whole is.
pub fn unsatisfied(length: usize) -> HeaderValue {
    HeaderValue::try_from(format!("bytes */{length}")).expect("digits are visible ASCII")
}

/// One range as it was asked for.
#[derive(Clone, Copy, Debug)]
pub enum Spec {
    /// From here, to there (inclusive) or to the end.
    From(u64, Option<u64>),
    /// So many bytes from the end.
    Last(u64),
}

impl Spec {
    /// What it is of so many bytes; `None` where it lies behind their end.
    pub fn of(&self, length: usize) -> Option<Range<usize>> {
        let whole = length as u64;
        let (from, to) = match *self {
            Spec::From(from, last) => {
                let to = last.map_or(whole, |last| last.saturating_add(1).min(whole));
                (from, to)
            }
            Spec::Last(count) => (whole.saturating_sub(count), whole),
        };
        (from < to).then_some(from as usize..to as usize) // both at most `length`
    }
}

/// The ranges of a request and the one line that they stand in.
fn asked(request: &HeaderMap) -> Option<(Vec<Spec>, &HeaderValue)> {
    let mut lines = request.get_all(RANGE).iter();
    let (line, None) = (lines.next()?, lines.next()) else {
        return None;
    };
    Some((specs(line.to_str().ok()?)?, line))
}

/// The ranges of `bytes=…` (§14.1.2); `None` for other units and what is malformed.
fn specs(line: &str) -> Option<Vec<Spec>> {
    let (unit, set) = line.trim().split_once('=')?;
    if !unit.eq_ignore_ascii_case("bytes") {
        return None;
    }
    let members = set.split(',').map(|spec| spec.trim_matches([' ', '\t']));
    let specs: Vec<&str> = members.filter(|spec| !spec.is_empty()).collect();
    if specs.is_empty() {
        return None;
    }
    specs.into_iter().map(spec).collect()
}

fn spec(text: &str) -> Option<Spec> {
    let (first, last) = text.split_once('-')?;
    match (first, last) {
        ("", last) => Some(Spec::Last(position(last)?)),
        (first, "") => Some(Spec::From(position(first)?, None)),
        (first, last) => {
            let (first, last) = (position(first)?, position(last)?);
            (first <= last).then_some(Spec::From(first, Some(last)))
        }
    }
}

/// Digits; more than fit are further than any body reaches.
fn position(digits: &str) -> Option<u64> {
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().unwrap_or(u64::MAX))
}

/// Whether the part that the client has is of the answer that is kept (§13.1.5). Tags are compared
/// strongly, dates exactly, and a date counts only if it is a strong validator.
fn still_holds(request: &HeaderMap, kept: &HeaderMap) -> bool {
    let mut lines = request.get_all(IF_RANGE).iter();
    let Some(theirs) = lines.next() else {
        return true;
    };
    if lines.next().is_some() {
        return false;
    }
    let theirs = theirs.as_bytes().trim_ascii();
    if theirs.starts_with(b"\"") {
        return kept.get(ETAG).is_some_and(|ours| ours.as_bytes() == theirs);
    }
    let date = |name| httpdate::parse_http_date(kept.get(name)?.to_str().ok()?).ok();
    let (Some(changed), Some(made)) = (date(LAST_MODIFIED), date(DATE)) else {
        return false;
    };
    let theirs = std::str::from_utf8(theirs).ok();
    theirs.and_then(|text| httpdate::parse_http_date(text).ok()) == Some(changed)
        && made
            .duration_since(changed)
            .is_ok_and(|since| since >= STRONG_AFTER)
}

/// `Content-Range` of a part, which is not empty, of so many bytes.
pub fn content_range(part: &Range<usize>, length: usize) -> HeaderValue {
    let text = format!("bytes {}-{}/{length}", part.start, part.end - 1);
    HeaderValue::try_from(text).expect("digits are visible ASCII")
}

/// A line that stands nowhere in the body, short of somebody finding a preimage.
fn boundary(body: &Bytes) -> String {
    Digester::new("boundary").part(body).finish().to_string()
}

fn multipart(
    body: &Bytes,
    parts: &[Range<usize>],
    content_type: Option<&HeaderValue>,
    boundary: &str,
) -> Bytes {
    let mut whole = BytesMut::new();
    for part in parts {
        whole.extend_from_slice(format!("--{boundary}\r\n").as_bytes());
        if let Some(content_type) = content_type {
            whole.extend_from_slice(b"Content-Type: ");
            whole.extend_from_slice(content_type.as_bytes());
            whole.extend_from_slice(b"\r\n");
        }
        whole.extend_from_slice(b"Content-Range: ");
        whole.extend_from_slice(content_range(part, body.len()).as_bytes());
        whole.extend_from_slice(b"\r\n\r\n");
        whole.extend_from_slice(&body[part.clone()]);
        whole.extend_from_slice(b"\r\n");
    }
    whole.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    whole.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderName;

    fn headers(lines: &[(HeaderName, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, line) in lines {
            let value = HeaderValue::from_str(line).expect("a valid value");
            headers.append(name.clone(), value);
        }
        headers
    }

    fn of_ten(range: &str) -> Wanted {
        wanted(&headers(&[(RANGE, range)]), &HeaderMap::new(), 10)
    }

    fn parts<const N: usize>(parts: [(usize, usize); N]) -> Wanted {
        Wanted::Parts(parts.map(|(from, to)| from..to).to_vec())
    }

    #[test]
    fn ranges_are_read_as_the_rfc_writes_them() {
        let rows = [
            ("bytes=0-4", parts([(0, 5)])),
            ("Bytes=5-", parts([(5, 10)])),
            ("bytes=-3", parts([(7, 10)])),
            ("bytes=-100", parts([(0, 10)])),
            ("bytes=5-100", parts([(5, 10)])),
            ("bytes=9-99999999999999999999999999", parts([(9, 10)])),
            ("bytes=0-1, 4-5 ,,8-", parts([(0, 2), (4, 6), (8, 10)])),
            ("bytes=8-9,0-1", parts([(8, 10), (0, 2)])),
            ("bytes=0-1,20-30", parts([(0, 2)])),
            ("bytes=10-", Wanted::Nothing),
            ("bytes=-0", Wanted::Nothing),
            ("bytes=20-30,40-", Wanted::Nothing),
        ];
        for (range, expected) in rows {
            assert_eq!(of_ten(range), expected, "{range}");
        }
    }

    #[test]
    fn what_is_malformed_or_more_than_the_whole_gets_the_whole() {
        let many = format!("bytes={}", vec!["0-0"; MAX_PARTS + 1].join(","));
        let rows = [
            "bytes=4-2",
            "bytes=",
            "bytes=,",
            "bytes",
            "bytes=a-",
            "bytes=-",
            "bytes=1",
            "bytes=+1-2",
            "bytes=1-2-3",
            "lines=0-1",
            "bytes=0-9,0-0",
            "bytes=0-,0-",
            &many,
        ];
        for range in rows {
            assert_eq!(of_ten(range), Wanted::Whole, "{range}");
        }
        let twice = headers(&[(RANGE, "bytes=0-1"), (RANGE, "bytes=0-1")]);
        assert_eq!(wanted(&twice, &HeaderMap::new(), 10), Wanted::Whole);
        assert_eq!(
            wanted(&HeaderMap::new(), &HeaderMap::new(), 10),
            Wanted::Whole
        );
    }

    #[test]
    fn nothing_can_be_cut_from_an_empty_body() {
        let request = headers(&[(RANGE, "bytes=0-")]);
        assert_eq!(wanted(&request, &HeaderMap::new(), 0), Wanted::Nothing);
    }

    #[test]
    fn a_part_is_given_only_of_the_answer_that_the_client_began() {
        let (day, later) = (
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:38 GMT",
        );
        let kept = headers(&[(ETAG, "\"a\""), (LAST_MODIFIED, day), (DATE, later)]);
        let given = |if_range: &str| {
            let request = headers(&[(RANGE, "bytes=0-1"), (IF_RANGE, if_range)]);
            wanted(&request, &kept, 10) == parts([(0, 2)])
        };
        assert!(given("\"a\"") && given(day));
        for other in ["\"b\"", "W/\"a\"", "a", later, "yesterday", ""] {
            assert!(!given(other), "{other}");
        }
        let weak = headers(&[(ETAG, "W/\"a\""), (LAST_MODIFIED, day), (DATE, day)]);
        for theirs in ["W/\"a\"", "\"a\"", day] {
            let request = headers(&[(RANGE, "bytes=0-1"), (IF_RANGE, theirs)]);
            assert_eq!(wanted(&request, &weak, 10), Wanted::Whole, "{theirs}");
        }
    }

    #[test]
    fn one_part_stands_alone_and_several_are_set_apart() {
        let body = Bytes::from_static(b"0123456789");
        let mut one = headers(&[(CONTENT_TYPE, "text/plain"), (CONTENT_LENGTH, "10")]);
        assert_eq!(part(&body, std::slice::from_ref(&(2..5)), &mut one), "234");
        assert_eq!(one[CONTENT_RANGE], "bytes 2-4/10");
        assert_eq!(
            (&one[CONTENT_LENGTH], &one[CONTENT_TYPE]),
            (
                &HeaderValue::from(3),
                &HeaderValue::from_static("text/plain")
            )
        );

        let mut two = headers(&[(CONTENT_TYPE, "text/plain")]);
        let cut = part(&body, &[0..1, 8..10], &mut two);
        let boundary = boundary(&body);
        let expected = format!(
            "--{boundary}\r\nContent-Type: text/plain\r\nContent-Range: bytes 0-0/10\r\n\r\n0\r\n\
             --{boundary}\r\nContent-Type: text/plain\r\nContent-Range: bytes 8-9/10\r\n\r\n89\r\n--{boundary}--\r\n"
        );
        assert_eq!(cut, expected);
        assert_eq!(
            two[CONTENT_TYPE],
            format!("multipart/byteranges; boundary={boundary}")
        );
        assert!(!two.contains_key(CONTENT_RANGE));
        assert_eq!(two[CONTENT_LENGTH], HeaderValue::from(expected.len()));
        assert_eq!(unsatisfied(10), "bytes */10");
    }
}

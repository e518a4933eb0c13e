//! Cookies, read as an Express origin reads them: by the rules of the `cookie` package.
//!
//! What the origin takes for a cookie's value is what shapes its answer, so this reading follows
//! that package even where RFC 6265 would say something else.

use hyper::HeaderMap;
use hyper::header::COOKIE;

/// One `name=value` of a `Cookie` header.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Pair<'h> {
    /// The pair byte for byte as the client sent it, without white space around it: what a fill
    /// carries when it may carry this cookie and no other.
    pub raw: &'h [u8],
    name: &'h [u8],
    value: &'h [u8],
}

impl Pair<'_> {
    /// The value as the origin sees it: surrounding double quotes removed, percent-decoded where
    /// that succeeds. Bytes above 127 are single characters, as they are to Node.
    pub fn value(&self) -> String {
        let text = super::latin1(unquoted(self.value));
        decode_uri_component(&text).unwrap_or(text)
    }
}

/// The value of the first cookie of this name, see [`Pair::value`]. Names are compared exactly.
pub fn get(headers: &HeaderMap, name: &str) -> Option<String> {
    find(headers, name).map(|pair| pair.value())
}

/// The first cookie of this name. Several `Cookie` lines are one list, in their order.
pub fn find<'h>(headers: &'h HeaderMap, name: &str) -> Option<Pair<'h>> {
    headers
        .get_all(COOKIE)
        .iter()
        .flat_map(|line| line.as_bytes().split(|&byte| byte == b';'))
        .filter_map(pair)
        .find(|pair| pair.name == name.as_bytes())
}

/// A piece between semicolons; without `=` it is no cookie.
fn pair(piece: &[u8]) -> Option<Pair<'_>> {
    let raw = super::trimmed(piece);
    let equals = raw.iter().position(|&byte| byte == b'=')?;
    Some(Pair {
        raw,
        name: super::trimmed(&raw[..equals]),
        value: super::trimmed(&raw[equals + 1..]),
    })
}

/// A lone `"` is both the first and the last character, and the package makes it the empty value.
fn unquoted(value: &[u8]) -> &[u8] {
    match value {
        [b'"'] => &[],
        [b'"', inner @ .., b'"'] => inner,
        _ => value,
    }
}

/// JavaScript's `decodeURIComponent`; `None` where that throws: a malformed escape, or escapes in a
/// row that are not UTF-8.
fn decode_uri_component(text: &str) -> Option<String> {
    let mut decoded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        decoded.push_str(&rest[..at]);
        let (bytes, after) = escapes(&rest[at..])?;
        decoded.push_str(std::str::from_utf8(&bytes).ok()?);
        rest = after;
    }
    decoded.push_str(rest);
    Some(decoded)
}

/// The bytes of the unbroken run of escapes that `text` starts with, and what follows it.
fn escapes(mut text: &str) -> Option<(Vec<u8>, &str)> {
    let mut bytes = Vec::new();
    while let Some(escape) = text.strip_prefix('%') {
        let digits = escape.get(..2)?;
        // from_str_radix would take `+f` for a number.
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        text = &escape[2..];
    }
    Some((bytes, text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    fn headers(lines: &[&[u8]]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(
                COOKIE,
                HeaderValue::from_bytes(line).expect("a valid value"),
            );
        }
        headers
    }

    fn read(line: &[u8], name: &str) -> Option<String> {
        get(&headers(&[line]), name)
    }

    #[test]
    fn a_cookie_is_read_as_the_cookie_package_reads_it() {
        // Each expectation was observed on version 0.7.2 of the package, which Express 5 uses.
        let rows: &[(&[u8], Option<&str>)] = &[
            (b"a=1", Some("1")),
            (b"x=0; a=1; y=2", Some("1")),
            (b"a = 1 ", Some("1")),
            (b"a=1=2", Some("1=2")),
            (b"a=1;a=2", Some("1")),
            (b"a=; a=2", Some("")),
            (b"a; b=1", None),
            (b"a", None),
            (b"A=1", None),
            (b"x; a=1", Some("1")),
            (b";;a=1;;", Some("1")),
            (b"a=\"1\"", Some("1")),
            (b"a=\"1", Some("\"1")),
            (b"a=\"", Some("")),
            (b"a=\"\"", Some("")),
            (b"a=\"x;y\"", Some("\"x")),
            (b"a=%41%20b", Some("A b")),
            (b"a=%C3%A9", Some("\u{e9}")),
            (b"a=%C3x%A9", Some("%C3x%A9")),
            (b"a=%41%zz", Some("%41%zz")),
            (b"a=%4", Some("%4")),
            (b"a=%+f", Some("%+f")),
            (b"a=%22q%22", Some("\"q\"")),
            (b"a=%ED%A0%80", Some("%ED%A0%80")),
            (b"a=b+c", Some("b+c")),
            (b"a=\xc3\xa9", Some("\u{c3}\u{a9}")),
            (b"%61=1", None),
        ];
        for (line, expected) in rows {
            assert_eq!(
                read(line, "a").as_deref(),
                *expected,
                "{}",
                super::super::latin1(line)
            );
        }
    }

    #[test]
    fn several_cookie_lines_are_one_list() {
        let headers = headers(&[b"x=1", b"a=first", b"a=second"]);
        assert_eq!(get(&headers, "a").as_deref(), Some("first"));
        assert_eq!(get(&headers, "b"), None);
    }

    #[test]
    fn the_raw_pair_is_what_the_client_sent() {
        let headers = headers(&[b"x=1;  accessToken=\"%41\xff\" ; y=2"]);
        let pair = find(&headers, "accessToken").expect("present");
        assert_eq!(pair.raw, b"accessToken=\"%41\xff\"");
        assert_eq!(pair.value(), "A\u{ff}");
    }
}

//! The members of `Cache-Control`, as both requests and answers write them (RFC 9111 §5.2).

use hyper::HeaderMap;
use hyper::header::HeaderName;
use std::borrow::Cow;

/// The largest number of seconds that is told apart; larger ones count as this (RFC 9111 §1.2.2).
pub const MAX_SECONDS: u64 = 1 << 31;

/// One member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Directive<'h> {
    /// In lower case.
    pub name: String,
    /// Behind the `=`, without quotes.
    pub value: Option<Cow<'h, [u8]>>,
}

/// The members of all lines of a field, in order; `Err` in the place of each line or member that
/// cannot be read.
pub(super) fn directives<'h>(
    headers: &'h HeaderMap,
    name: &HeaderName,
) -> impl Iterator<Item = Result<Directive<'h>, Unreadable>> {
    let lines = headers.get_all(name).into_iter();
    lines.flat_map(|line| match members(line.as_bytes()) {
        Some(members) => members.into_iter().map(directive).collect(),
        None => vec![Err(Unreadable)],
    })
}

/// Something that is no directive. What it meant cannot be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unreadable;

impl Directive<'_> {
    /// Delta-seconds (RFC 9111 §1.2.2). What is no number counts as 0: an answer whose freshness
    /// cannot be read is best taken for stale (§4.2.1).
    pub fn seconds(&self) -> u64 {
        let digits = self.value.as_deref().unwrap_or_default();
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
            return 0;
        }
        // All digits: the only way to fail is to be too large.
        let text = std::str::from_utf8(digits).unwrap_or_default();
        text.parse().unwrap_or(MAX_SECONDS).min(MAX_SECONDS)
    }

    /// The header names that a qualified form lists; what is no name is left out.
    pub fn fields(&self) -> Vec<HeaderName> {
        let listed = self.value.as_deref().unwrap_or_default();
        let names = listed.split(|&byte| byte == b',').map(<[u8]>::trim_ascii);
        names
            .filter_map(|name| HeaderName::from_bytes(name).ok())
            .collect()
    }
}

/// The members of a list (RFC 9110 §5.6.1), empty ones left out; a comma within quotes does not
/// separate. `None` where a quote is never closed.
fn members(line: &[u8]) -> Option<Vec<&[u8]>> {
    let mut members = Vec::new();
    let (mut start, mut quoted, mut escaped) = (0, false, false);
    for (at, byte) in line.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' if !quoted => {
                members.push(line[start..at].trim_ascii());
                start = at + 1;
            }
            _ => {}
        }
    }
    members.push(line[start..].trim_ascii());
    members.retain(|member| !member.is_empty());
    (!quoted).then_some(members)
}

/// `token [ "=" ( token / quoted-string ) ]`, without white space around the `=`.
fn directive(member: &[u8]) -> Result<Directive<'_>, Unreadable> {
    let (name, value) = match member.iter().position(|&byte| byte == b'=') {
        Some(equals) => (&member[..equals], Some(&member[equals + 1..])),
        None => (member, None),
    };
    let name = token(name)
        .and_then(|name| std::str::from_utf8(name).ok())
        .ok_or(Unreadable)?;
    let value = value.map(|value| unquoted(value).or(token(value).map(Cow::Borrowed)));
    match value {
        Some(None) => Err(Unreadable),
        value => Ok(Directive {
            name: name.to_ascii_lowercase(),
            value: value.flatten(),
        }),
    }
}

/// What stands within a quoted-string (RFC 9110 §5.6.4), if the text is one.
fn unquoted(text: &[u8]) -> Option<Cow<'_, [u8]>> {
    let inner = text.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    if !inner.iter().any(|byte| matches!(byte, b'\\' | b'"')) {
        return Some(Cow::Borrowed(inner));
    }
    let mut plain = Vec::with_capacity(inner.len());
    let mut bytes = inner.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => return None, // it ended before
            b'\\' => plain.push(*bytes.next()?),
            byte => plain.push(*byte),
        }
    }
    Some(Cow::Owned(plain))
}

/// RFC 9110 §5.6.2.
fn token(bytes: &[u8]) -> Option<&[u8]> {
    let tchar = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    (!bytes.is_empty() && bytes.iter().all(tchar)).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::{CACHE_CONTROL, HeaderValue};

    fn one(line: &'static str) -> Result<Directive<'static>, Unreadable> {
        let found = members(line.as_bytes()).expect("closed quotes");
        assert_eq!(found.len(), 1, "{line}");
        directive(found[0])
    }

    #[test]
    fn seconds_are_digits_and_nothing_else() {
        let rows = [
            ("max-age=3600", 3600),
            ("MAX-AGE=003600", 3600),
            ("max-age=\"3600\"", 3600),
            ("max-age=2147483648", MAX_SECONDS),
            ("max-age=99999999999999999999999", MAX_SECONDS),
            ("max-age", 0),
            ("max-age=\"\"", 0),
            ("max-age='3600'", 0),
            ("max-age=-1", 0),
            ("max-age=+1", 0),
            ("max-age=3600.0", 0),
            ("max-age=a100", 0),
            ("max-age=100a", 0),
        ];
        for (line, expected) in rows {
            let directive = one(line).expect(line);
            assert_eq!(
                (&*directive.name, directive.seconds()),
                ("max-age", expected),
                "{line}"
            );
        }
    }

    #[test]
    fn quotes_hold_commas_and_escapes() {
        let directive = one(r#"no-cache="a, \b,x y, c""#).expect("readable");
        assert_eq!(
            directive.fields(),
            ["a", "b", "c"].map(HeaderName::from_static)
        );
        assert_eq!(
            one("extension=\"max-age=1\"").expect("readable").name,
            "extension"
        );
    }

    #[test]
    fn each_flaw_is_told_in_its_place() {
        let mut headers = HeaderMap::new();
        for line in ["max-age = 1, public", "a=\"b", ", ,"] {
            headers.append(CACHE_CONTROL, HeaderValue::from_static(line));
        }
        let found: Vec<_> = directives(&headers, &CACHE_CONTROL)
            .map(|found| found.map(|directive| directive.name))
            .collect();
        assert_eq!(
            found,
            [Err(Unreadable), Ok("public".to_owned()), Err(Unreadable)]
        );
        for flawed in ["=60", "max-age=", "no store", "a=\"b\"c", "public; b"] {
            assert_eq!(one(flawed), Err(Unreadable), "{flawed}");
        }
    }
}

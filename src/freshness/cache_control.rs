//! Reads the `Cache-Control` of an answer, RFC 9111 §5.2.

use hyper::HeaderMap;
use hyper::header::CACHE_CONTROL;

/// What an origin says about keeping. The qualified forms (`private="x"`) count as unqualified,
/// which RFC 9111 §5.2.2.7 allows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct CacheControl {
    /// Also set where a line cannot be read. It may have said so, and obeying costs no more than
    /// hits.
    pub no_store: bool,
    pub no_cache: bool,
    pub private: bool,
}

impl CacheControl {
    /// All lines together; without any, nothing is said.
    pub fn read(headers: &HeaderMap) -> CacheControl {
        let mut said = CacheControl::default();
        for line in headers.get_all(CACHE_CONTROL) {
            said.hear(line.as_bytes());
        }
        said
    }

    fn hear(&mut self, line: &[u8]) {
        let Some(members) = members(line) else {
            self.no_store = true;
            return;
        };
        for member in members {
            match directive(member).map(<[u8]>::to_ascii_lowercase).as_deref() {
                None | Some(b"no-store") => self.no_store = true,
                Some(b"no-cache") => self.no_cache = true,
                Some(b"private") => self.private = true,
                Some(_) => {} // freshness is the rule's to say, not the origin's
            }
        }
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

/// The name in `token [ "=" ( token / quoted-string ) ]`; `None` where it is anything else.
fn directive(member: &[u8]) -> Option<&[u8]> {
    let Some(equals) = member.iter().position(|&byte| byte == b'=') else {
        return token(member).then_some(member);
    };
    let (name, value) = (&member[..equals], &member[equals + 1..]);
    let quoted = value.len() >= 2 && value.starts_with(b"\"") && value.ends_with(b"\"");
    (token(name) && (quoted || token(value))).then_some(name)
}

/// RFC 9110 §5.6.2.
fn token(bytes: &[u8]) -> bool {
    let tchar = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !bytes.is_empty() && bytes.iter().all(tchar)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    fn read(lines: &[&[u8]]) -> CacheControl {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(
                CACHE_CONTROL,
                HeaderValue::from_bytes(line).expect("a valid value"),
            );
        }
        CacheControl::read(&headers)
    }

    const NOTHING: CacheControl = CacheControl {
        no_store: false,
        no_cache: false,
        private: false,
    };
    const NO_STORE: CacheControl = CacheControl {
        no_store: true,
        ..NOTHING
    };
    const NO_CACHE: CacheControl = CacheControl {
        no_cache: true,
        ..NOTHING
    };
    const PRIVATE: CacheControl = CacheControl {
        private: true,
        ..NOTHING
    };

    #[test]
    fn directives_are_heard_in_any_case_and_order_among_lists_and_lines() {
        let rows: &[(&[&[u8]], CacheControl)] = &[
            (&[], NOTHING),
            (&[b""], NOTHING),
            (&[b"public, max-age=60, stale-if-error=\"5\""], NOTHING),
            (&[b"No-Store"], NO_STORE),
            (&[b"max-age=0,no-store"], NO_STORE),
            (&[b", ,\tprivate ,"], PRIVATE),
            (
                &[b"no-cache", b"private"],
                CacheControl {
                    private: true,
                    ..NO_CACHE
                },
            ),
            (&[b"private=\"set-cookie, x\""], PRIVATE),
            (&[b"no-cache=\"a\\\"b\""], NO_CACHE),
            (&[b"no-store=1"], NO_STORE),
        ];
        for (lines, expected) in rows {
            assert_eq!(read(lines), *expected, "{lines:?}");
        }
    }

    #[test]
    fn words_within_quotes_and_longer_words_are_not_directives() {
        assert_eq!(read(&[b"ext=\"a, no-store, b\""]), NOTHING);
        assert_eq!(read(&[b"no-stored, xprivate, no-cache-please"]), NOTHING);
    }

    #[test]
    fn what_cannot_be_read_counts_as_no_store() {
        let bad: [&[u8]; 7] = [
            b"public; max-age=60",
            b"ext=\"never closed, public",
            b"max-age = 60",
            b"=60",
            b"max-age=",
            b"no store",
            b"publi\xe9",
        ];
        for line in bad {
            assert_eq!(read(&[b"public", line]), NO_STORE, "{line:?}");
        }
    }
}

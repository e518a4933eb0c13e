//! What an answer varies by, and the codings a client accepts in one normal spelling.

use super::members;
use hyper::HeaderMap;
use hyper::header::{self, HeaderName, HeaderValue};

/// The codings in play, in the order in which they are written. Others that a client may accept
/// are left out, so that a client cannot make variants by inventing names.
const CODINGS: [&str; 4] = ["br", "deflate", "gzip", "zstd"];

/// What an answer says it was selected by (RFC 9110 §12.5.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Vary {
    /// By things that no header shows, or by something we cannot read.
    Star,
    /// By these request headers: sorted, each once, perhaps none.
    Names(Vec<HeaderName>),
}

impl Vary {
    /// Reads all `Vary` lines of an answer. A name that is not one makes it [`Vary::Star`].
    pub fn of(headers: &HeaderMap) -> Vary {
        let lines = headers.get_all(header::VARY);
        if lines.iter().any(|line| line.to_str().is_err()) {
            return Vary::Star;
        }
        let names: Result<Vec<HeaderName>, ()> = members(headers, &header::VARY)
            .map(|member| match member {
                "*" => Err(()), // also a valid token, hence told apart here
                name => HeaderName::from_bytes(name.as_bytes()).map_err(drop),
            })
            .collect();
        let Ok(mut names) = names else {
            return Vary::Star;
        };
        names.sort_by(|a, b| a.as_str().cmp(b.as_str()));
        names.dedup();
        Vary::Names(names)
    }
}

/// A field's lines as one list without white space around its commas: what differs in nothing else
/// selects the same variant (RFC 9111 §4.1). Nothing within quotes is touched.
pub fn normal_list(headers: &HeaderMap, name: &HeaderName) -> Vec<u8> {
    let mut list = Vec::new();
    for (nth, line) in headers.get_all(name).iter().enumerate() {
        if nth > 0 {
            list.push(b',');
        }
        let (mut quoted, mut escaped) = (false, false);
        let is_separator = |byte: &u8| match byte {
            _ if escaped => {
                escaped = false;
                false
            }
            b'\\' if quoted => {
                escaped = true;
                false
            }
            b'"' => {
                quoted = !quoted;
                false
            }
            byte => *byte == b',' && !quoted,
        };
        let members = line.as_bytes().split(is_separator);
        let trimmed: Vec<&[u8]> = members.map(<[u8]>::trim_ascii).collect();
        list.extend(trimmed.join(&b","[..]));
    }
    if *name == header::ACCEPT_LANGUAGE {
        list.make_ascii_lowercase(); // language tags have no case (RFC 9110 §8.5.1)
    }
    list
}

/// The headers of a request as variants see them: `Accept-Encoding` normalised.
pub fn offers(mut headers: HeaderMap) -> HeaderMap {
    let codings = normal_accept_encoding(&headers);
    headers.remove(header::ACCEPT_ENCODING);
    headers.extend(codings.map(|codings| (header::ACCEPT_ENCODING, codings)));
    headers
}

/// `Accept-Encoding` in its one normal spelling: the codings in play that are accepted with a weight
/// above zero, sorted and joined (RFC 9110 §12.5.3). `None` where only `identity` remains; it is
/// always acceptable to us, so it is never written.
pub fn normal_accept_encoding(headers: &HeaderMap) -> Option<HeaderValue> {
    let offers: Vec<(String, bool)> = members(headers, &header::ACCEPT_ENCODING)
        .map(offer)
        .collect();
    let accepts = |coding: &str| {
        let mut named = offers.iter().filter(|(name, _)| name == coding).peekable();
        match named.peek() {
            Some(_) => named.all(|(_, wanted)| *wanted),
            None => offers.iter().any(|(name, wanted)| name == "*" && *wanted),
        }
    };
    let accepted: Vec<&str> = CODINGS
        .into_iter()
        .filter(|coding| accepts(coding))
        .collect();
    HeaderValue::from_str(&accepted.join(", "))
        .ok()
        .filter(|value| !value.is_empty())
}

/// One member: the coding in lower case, and whether its weight is above zero.
fn offer(member: &str) -> (String, bool) {
    let mut parts = member.split(';').map(str::trim);
    let name = parts.next().unwrap_or_default().to_ascii_lowercase();
    let name = match name.as_str() {
        "x-gzip" => "gzip".to_owned(), // RFC 9110 §8.4.1.3: equivalent
        _ => name,
    };
    (name, parts.all(is_wanted))
}

/// Whether a parameter leaves its coding acceptable. A weight that is none refuses it: identity
/// then serves, which every client understands.
fn is_wanted(parameter: &str) -> bool {
    let Some((name, weight)) = parameter.split_once('=') else {
        return false;
    };
    let digits = weight.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let weight = weight.parse::<f32>().unwrap_or(0.0);
    name.trim_end().eq_ignore_ascii_case("q") && digits && weight > 0.0 && weight <= 1.0
}

#[cfg(test)]
mod tests {
    use super::super::tests::headers;
    use super::*;

    fn normal(value: &'static str) -> Option<String> {
        let value = normal_accept_encoding(&headers(&[("accept-encoding", value)]))?;
        Some(value.to_str().expect("ASCII").to_owned())
    }

    #[test]
    fn equal_preferences_have_one_spelling() {
        for spelling in [
            "gzip, br",
            "br;q=0.5,gzip",
            "GZIP , Br;Q=1.0",
            "x-gzip, br, made-up",
        ] {
            assert_eq!(normal(spelling).as_deref(), Some("br, gzip"), "{spelling}");
        }
    }

    #[test]
    fn a_weight_of_zero_or_nonsense_refuses_a_coding() {
        assert_eq!(normal("gzip;q=0, br").as_deref(), Some("br"));
        assert_eq!(normal("gzip;q=0.000"), None);
        assert_eq!(normal("gzip;q=nan, br;q=-1, zstd;q=2, deflate;q"), None);
        assert_eq!(normal("gzip, gzip;q=0"), None);
    }

    #[test]
    fn a_star_accepts_what_is_not_named() {
        assert_eq!(normal("*").as_deref(), Some("br, deflate, gzip, zstd"));
        assert_eq!(normal("*, br;q=0").as_deref(), Some("deflate, gzip, zstd"));
        assert_eq!(normal("gzip, *;q=0").as_deref(), Some("gzip"));
    }

    #[test]
    fn identity_is_never_written() {
        assert_eq!(normal("identity"), None);
        assert_eq!(normal(""), None);
        assert_eq!(normal("identity;q=0, gzip").as_deref(), Some("gzip"));
        assert_eq!(normal_accept_encoding(&headers(&[])), None);
    }

    #[test]
    fn lists_that_differ_in_lines_and_white_space_alone_are_one() {
        let list = |lines: &[&'static str]| {
            let lines: Vec<_> = lines.iter().map(|line| ("foo", *line)).collect();
            let list = normal_list(&headers(&lines), &HeaderName::from_static("foo"));
            String::from_utf8(list).expect("ASCII")
        };
        for lines in [&["1, 2"][..], &["1,2"], &["1", "2"], &[" 1 ,\t2 "]] {
            assert_eq!(list(lines), "1,2", "{lines:?}");
        }
        for other in [&["1,2,"][..], &["2,1"], &["1 2"], &["1", "2", ""]] {
            assert_ne!(list(other), "1,2", "{other:?}");
        }
        assert_eq!(list(&["a=\"1, 2\" , b"]), "a=\"1, 2\",b");
        assert_eq!(list(&["\"\\\", 1\" , 2"]), "\"\\\", 1\",2");
    }

    #[test]
    fn vary_is_a_sorted_set_of_names() {
        let answer = headers(&[("vary", "Origin, accept-encoding"), ("vary", "ORIGIN,")]);
        let names = [header::ACCEPT_ENCODING, header::ORIGIN];
        assert_eq!(Vary::of(&answer), Vary::Names(names.to_vec()));
        assert_eq!(Vary::of(&headers(&[])), Vary::Names(vec![]));
    }

    #[test]
    fn a_vary_that_cannot_be_read_is_a_star() {
        for value in [&b"*"[..], b"origin, *", b"a b", b"origin\xff"] {
            let mut answer = headers(&[("vary", "accept-encoding")]);
            let value = HeaderValue::from_bytes(value).expect("a field value");
            answer.append(header::VARY, value);
            assert_eq!(Vary::of(&answer), Vary::Star);
        }
    }
}

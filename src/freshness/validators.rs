//! May a kept answer be given as 304? RFC 9110 §13.1.2, §13.1.3.

use super::date::dated;
use hyper::HeaderMap;
use hyper::header::{
    DATE, ETAG, HeaderName, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED,
};

/// Whether a request says that the client has this very answer: by `If-None-Match`, or without one
/// by `If-Modified-Since` (§13.2.2). For GET and HEAD, and for kept answers that are 2xx: RFC 9110
/// §13.2.1 asks no condition of others.
///
/// What cannot be read does not match: the full answer is never wrong.
pub fn not_modified(request: &HeaderMap, kept: &HeaderMap) -> bool {
    if request.contains_key(IF_NONE_MATCH) {
        return is_named(request, kept.get(ETAG));
    }
    let Some(theirs) = dated(request, &IF_MODIFIED_SINCE) else {
        return false;
    };
    match dated(kept, &LAST_MODIFIED) {
        Some(changed) => changed <= theirs,
        // It may have changed until the second in which it was made (RFC 9111 §4.3.2).
        None => dated(kept, &DATE).is_some_and(|made| made < theirs),
    }
}

/// Asks the origin for an answer only if the kept one no longer holds (RFC 9111 §4.3.1). False where
/// that one has nothing to ask by.
pub fn condition(kept: &HeaderMap, request: &mut HeaderMap) -> bool {
    let mut ask = |of: HeaderName, by: HeaderName| {
        let value = kept.get(of).filter(|value| !value.is_empty()).cloned();
        value.map(|value| request.insert(by, value)).is_some()
    };
    let by_tag = ask(ETAG, IF_NONE_MATCH);
    let by_date = dated(kept, &LAST_MODIFIED).is_some() && ask(LAST_MODIFIED, IF_MODIFIED_SINCE);
    by_tag || by_date
}

/// Whether a 304 with these headers is about the kept answer: one that names another tag is about
/// another answer, and may not freshen this one (RFC 9111 §4.3.4).
pub fn is_about(not_modified: &HeaderMap, kept: &HeaderMap) -> bool {
    let tag = |headers: &HeaderMap| {
        let tag = headers.get(ETAG).map(HeaderValue::as_bytes);
        tag.map(|tag| tag.strip_prefix(b"W/").unwrap_or(tag).to_vec())
    };
    match (tag(not_modified), tag(kept)) {
        (Some(theirs), Some(ours)) => theirs == ours,
        _ => true,
    }
}

/// Tags are compared weakly.
fn is_named(request: &HeaderMap, etag: Option<&HeaderValue>) -> bool {
    let mut lines = request.get_all(IF_NONE_MATCH).iter();
    if let (Some(only), None) = (lines.next(), lines.next())
        && only.as_bytes().trim_ascii() == b"*"
    {
        return true;
    }
    let Some(ours) = etag.and_then(|value| sole_tag(value.as_bytes())) else {
        return false;
    };
    request
        .get_all(IF_NONE_MATCH)
        .iter()
        .any(|line| names(line.as_bytes(), ours))
}

/// The opaque part, with its quotes, of a value that is one entity tag and nothing else.
fn sole_tag(value: &[u8]) -> Option<&[u8]> {
    let (opaque, rest) = first_tag(value.trim_ascii())?;
    rest.is_empty().then_some(opaque)
}

/// Whether a list of entity tags has this one. The list is read up to its first flaw.
fn names(line: &[u8], ours: &[u8]) -> bool {
    let mut rest = after_commas(line);
    while let Some((opaque, behind)) = first_tag(rest) {
        if opaque == ours {
            return true;
        }
        let next = after_commas(behind);
        if !behind[..behind.len() - next.len()].contains(&b',') {
            return false; // two tags that nothing separates
        }
        rest = next;
    }
    false
}

/// A tag may hold commas, so a list is read tag by tag and never split.
fn first_tag(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let text = text.strip_prefix(b"W/").unwrap_or(text);
    let inner = text.strip_prefix(b"\"")?;
    let end = inner.iter().position(|&byte| byte == b'"')?;
    Some(text.split_at(end + 2)) // both quotes
}

/// Without leading white space and commas: members of a list may be empty (RFC 9110 §5.6.1).
fn after_commas(text: &[u8]) -> &[u8] {
    let skipped = text
        .iter()
        .take_while(|byte| matches!(byte, b' ' | b'\t' | b','))
        .count();
    &text[skipped..]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(lines: &[&str], etag: Option<&str>) -> bool {
        let mut request = HeaderMap::new();
        for line in lines {
            request.append(
                IF_NONE_MATCH,
                HeaderValue::from_str(line).expect("a valid value"),
            );
        }
        let mut kept = HeaderMap::new();
        if let Some(text) = etag {
            kept.insert(ETAG, HeaderValue::from_str(text).expect("a valid value"));
        }
        not_modified(&request, &kept)
    }

    #[test]
    fn a_date_counts_only_where_no_tag_is_asked_for() {
        let line = |name, text| (name, HeaderValue::from_static(text));
        let (day, later) = (
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:38 GMT",
        );
        let kept = HeaderMap::from_iter([line(LAST_MODIFIED, day), line(ETAG, "\"a\"")]);
        let since = |text| HeaderMap::from_iter([line(IF_MODIFIED_SINCE, text)]);
        assert!(not_modified(&since(day), &kept) && not_modified(&since(later), &kept));
        assert!(!not_modified(
            &since("Sun, 06 Nov 1994 08:49:36 GMT"),
            &kept
        ));
        assert!(!not_modified(&since("yesterday"), &kept));
        assert!(!not_modified(&since(later), &HeaderMap::new()));
        let undated = HeaderMap::from_iter([line(DATE, day)]);
        assert!(not_modified(&since(later), &undated) && !not_modified(&since(day), &undated));
        let both =
            HeaderMap::from_iter([line(IF_NONE_MATCH, "\"b\""), line(IF_MODIFIED_SINCE, later)]);
        assert!(!not_modified(&both, &kept));
    }

    #[test]
    fn the_origin_is_asked_by_what_was_kept_and_answers_about_that() {
        let line = |name, text| (name, HeaderValue::from_static(text));
        let day = "Sun, 06 Nov 1994 08:49:37 GMT";
        let kept = HeaderMap::from_iter([line(ETAG, "W/\"a\""), line(LAST_MODIFIED, day)]);
        let mut request = HeaderMap::from_iter([line(IF_NONE_MATCH, "\"theirs\"")]);
        assert!(condition(&kept, &mut request));
        assert_eq!(request[IF_NONE_MATCH], "W/\"a\"");
        assert_eq!(request[IF_MODIFIED_SINCE], day);
        let unusable = HeaderMap::from_iter([line(ETAG, ""), line(LAST_MODIFIED, "yesterday")]);
        assert!(!condition(&unusable, &mut HeaderMap::new()));
        let about = |tag| is_about(&HeaderMap::from_iter([line(ETAG, tag)]), &kept);
        assert!(about("\"a\"") && about("W/\"a\"") && !about("\"b\""));
        assert!(is_about(&HeaderMap::new(), &kept));
    }

    #[test]
    fn tags_are_compared_weakly() {
        for theirs in ["\"a\"", "W/\"a\""] {
            for ours in ["\"a\"", "W/\"a\""] {
                assert!(matches(&[theirs], Some(ours)), "{theirs} {ours}");
            }
            assert!(!matches(&[theirs], Some("\"A\"")));
            assert!(!matches(&[theirs], Some("\"ab\"")));
        }
    }

    #[test]
    fn lists_and_several_lines_are_read_through() {
        assert!(matches(&["\"x\", W/\"a\""], Some("\"a\"")));
        assert!(matches(&[" ,, \"x\"\t,\"a\" ,"], Some("\"a\"")));
        assert!(matches(&["\"x\"", "\"a\""], Some("\"a\"")));
        assert!(!matches(&["\"x\", \"y\""], Some("\"a\"")));
    }

    #[test]
    fn a_comma_within_a_tag_does_not_separate() {
        assert!(matches(&["\"a,b\""], Some("\"a,b\"")));
        assert!(!matches(&["\"x,\"a\",y\""], Some("\"a\"")));
        assert!(matches(&["\"\""], Some("W/\"\"")));
    }

    #[test]
    fn a_star_matches_whatever_is_kept_but_only_alone() {
        assert!(matches(&["*"], Some("\"a\"")));
        assert!(matches(&[" * "], None));
        assert!(!matches(&["*", "\"x\""], Some("\"a\"")));
        assert!(!matches(&["\"x\", *"], Some("\"a\"")));
        assert!(!matches(&["**"], Some("\"a\"")));
    }

    #[test]
    fn what_cannot_be_read_does_not_match() {
        for theirs in [
            "",
            "a",
            "\"a",
            "w/\"a\"",
            "W/ \"a\"",
            "'a'",
            "\"x\"\"a\"",
            "x, \"a\"",
        ] {
            assert!(!matches(&[theirs], Some("\"a\"")), "{theirs}");
        }
        for ours in ["a", "\"a", "\"a\"b", ""] {
            assert!(!matches(&["\"a\"", "a"], Some(ours)), "{ours}");
        }
        assert!(!matches(&["\"a\""], None));
        assert!(!matches(&[], Some("\"a\"")));
    }
}

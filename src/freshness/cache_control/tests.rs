use super::*;
use hyper::header::HeaderValue;

const CDN: HeaderName = HeaderName::from_static("cdn-cache-control");
const OURS: HeaderName = HeaderName::from_static("sidecache-cache-control");

fn headers(lines: &[(HeaderName, &[u8])]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, line) in lines {
        let value = HeaderValue::from_bytes(line).expect("a valid value");
        headers.append(name.clone(), value);
    }
    headers
}

fn read(lines: &[&[u8]]) -> CacheControl {
    let lines: Vec<_> = lines.iter().map(|line| (CACHE_CONTROL, *line)).collect();
    CacheControl::read(&headers(&lines))
}

fn nothing() -> CacheControl {
    CacheControl::default()
}

fn no_store() -> CacheControl {
    CacheControl {
        no_store: true,
        ..nothing()
    }
}

fn private() -> CacheControl {
    CacheControl {
        private: true,
        ..nothing()
    }
}

#[test]
fn directives_are_heard_in_any_case_and_order_among_lists_and_lines() {
    let rows: &[(&[&[u8]], CacheControl)] = &[
        (&[], nothing()),
        (&[b""], nothing()),
        (&[b"immutable, ext=\"5\""], nothing()),
        (&[b"No-Store"], no_store()),
        (&[b"no-store=1"], no_store()),
        (&[b", ,\tprivate ,"], private()),
        (&[b"private=\"set-cookie, x\""], private()),
        (
            &[b"no-cache", b"private"],
            CacheControl {
                no_cache: true,
                ..private()
            },
        ),
        (
            &[b"no-cache=\"a, b\""],
            CacheControl {
                no_cache_fields: ["a", "b"].map(HeaderName::from_static).to_vec(),
                ..nothing()
            },
        ),
        (
            &[b"public, Max-Age=60, S-MaxAge=\"30\", stale-if-error=5, stale-while-revalidate=7"],
            CacheControl {
                public: true,
                max_age: Some(60),
                s_maxage: Some(30),
                stale_if_error: Some(5),
                stale_while_revalidate: Some(7),
                ..nothing()
            },
        ),
        (
            &[b"must-revalidate, proxy-revalidate, must-understand"],
            CacheControl {
                must_revalidate: true,
                proxy_revalidate: true,
                must_understand: true,
                ..nothing()
            },
        ),
    ];
    for (lines, expected) in rows {
        assert_eq!(read(lines), *expected, "{lines:?}");
    }
}

#[test]
fn of_several_numbers_the_lowest_counts_and_what_is_no_number_is_0() {
    for lines in [
        &[&b"max-age=1800, max-age=1"[..]][..],
        &[b"max-age=1", b"max-age=1800"],
    ] {
        assert_eq!(read(lines).max_age, Some(1), "{lines:?}");
    }
    assert_eq!(read(&[b"max-age=1800, max-age=x"]).max_age, Some(0));
    assert_eq!(read(&[b"ext=\"max-age=3600\", max-age=1"]).max_age, Some(1));
}

#[test]
fn words_within_quotes_and_longer_words_are_not_directives() {
    assert_eq!(read(&[b"ext=\"a, no-store, b\""]), nothing());
    assert_eq!(read(&[b"no-stored, xprivate, no-cache-please"]), nothing());
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
        assert!(read(&[b"public", line]).no_store, "{line:?}");
    }
}

#[test]
fn a_targeted_field_stands_for_cache_control_if_it_can_be_read() {
    let of = |targeted: &'static [u8]| {
        let lines = [(CACHE_CONTROL, &b"no-store"[..]), (CDN, targeted)];
        CacheControl::of(&headers(&lines), &[OURS, CDN])
    };
    let ten = CacheControl {
        max_age: Some(10),
        is_targeted: true,
        ..nothing()
    };
    assert_eq!(of(b"max-age=10"), ten);
    assert_eq!(of(b"foobar, max-age=10;x=1"), ten);
    assert_eq!(of(b"max-age=99999999999").max_age, Some(MAX_SECONDS));
    assert_eq!(of(b"max-age=-1").max_age, Some(0));
    assert_eq!(of(b"max-age=\"10\", private").max_age, None);
    assert!(of(b"private").private);
    assert!(!of(b"private=?0").private);
    for unreadable in [
        &b"max-age=10, &&&&&"[..],
        b"MaX-aGe=10",
        b"max-age =10",
        b"",
    ] {
        assert_eq!(of(unreadable), no_store(), "{unreadable:?}");
    }
}

#[test]
fn the_first_target_of_ours_that_says_something_counts() {
    let lines = [(CDN, &b"max-age=1"[..]), (OURS, b"max-age=2")];
    let both = headers(&lines);
    assert_eq!(CacheControl::of(&both, &[OURS, CDN]).max_age, Some(2));
    assert_eq!(CacheControl::of(&both, &[CDN, OURS]).max_age, Some(1));
    assert_eq!(CacheControl::of(&both, &[]), nothing());
}

#[test]
fn stale_and_authorized_use_follow_the_directives() {
    for line in [
        "must-revalidate",
        "proxy-revalidate",
        "no-cache",
        "s-maxage=2",
    ] {
        assert!(!read(&[line.as_bytes()]).allows_stale(), "{line}");
    }
    assert!(read(&[b"max-age=2, public"]).allows_stale());
    for line in ["public", "must-revalidate", "s-maxage=2"] {
        assert!(read(&[line.as_bytes()]).allows_authorized(), "{line}");
    }
    assert!(!read(&[b"max-age=60, proxy-revalidate"]).allows_authorized());
}

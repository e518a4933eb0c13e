use super::*;
use hyper::StatusCode;
use hyper::header::{
    AGE, AUTHORIZATION, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_RANGE, HeaderValue,
};

const NOW: u64 = 1_790_000_000;
const DAY: u64 = 24 * 60 * 60 * 1000;
const GET: Whose = Whose {
    is_get: true,
    is_authorized: false,
    no_store: false,
};
const BY_ORIGIN: KeepRules<'static> = KeepRules {
    ttl: Ttl::Origin,
    statuses: None,
    shared: true,
    stale_while_revalidate: None,
    stale_if_error: None,
    targets: &[],
    ignore_origin_cache_control: false,
    max_entry: 1000,
    accept_encoding_keyed: false,
};
const FIXED: KeepRules<'static> = KeepRules {
    ttl: Ttl::Fixed(Duration::from_secs(60)),
    statuses: Some(&[200]),
    stale_while_revalidate: Some(Duration::from_secs(30)),
    ..BY_ORIGIN
};
const TAG: (HeaderName, &str) = (ETAG, "\"a\"");

fn judged(
    rules: &KeepRules<'_>,
    whose: Whose,
    status: u16,
    lines: &[(HeaderName, &str)],
) -> Result<Terms, Detail> {
    let mut headers = HeaderMap::new();
    for (name, line) in lines {
        let value = HeaderValue::from_str(line).expect("a valid value");
        headers.append(name.clone(), value);
    }
    let arrived = Arrived {
        status: StatusCode::from_u16(status).expect("a status"),
        headers: &headers,
        asked_at_s: NOW,
        arrived_at_s: NOW,
    };
    terms(rules, whose, &arrived)
}

fn said(lines: &[(HeaderName, &str)]) -> Result<Terms, Detail> {
    judged(&BY_ORIGIN, GET, 200, lines)
}

fn by(line: &str) -> [(HeaderName, &str); 1] {
    [(CACHE_CONTROL, line)]
}

#[test]
fn what_the_origin_calls_fresh_is_kept_so_long_and_as_long_again_for_who_takes_it_stale() {
    let terms = said(&[(CACHE_CONTROL, "max-age=100"), (AGE, "30")]).expect("kept");
    assert_eq!((terms.ttl, terms.initial_age), (70_000, 30));
    assert_eq!((terms.stale.since, terms.stale.kept), (0, 100_000));
    assert!(terms.stale.allowed);
    let strict = said(&by("max-age=100, must-revalidate")).expect("kept");
    assert_eq!((strict.stale.kept, strict.stale.allowed), (0, false));
    let endless = said(&by("max-age=999999999")).expect("kept");
    assert_eq!(endless.ttl, LONGEST_ORIGIN_TTL.as_millis() as u64);
}

#[test]
fn what_is_not_fresh_is_kept_only_to_be_validated() {
    for line in ["no-cache", "max-age=0", "no-cache, max-age=100"] {
        let terms = said(&[(CACHE_CONTROL, line), TAG]).expect("kept");
        assert_eq!((terms.ttl, terms.stale.kept), (0, DAY), "{line}");
    }
    for line in ["no-cache", "max-age=0", "public"] {
        assert_eq!(said(&by(line)), Err(Detail::NotFresh), "{line}");
    }
    assert_eq!(said(&[]), Err(Detail::NotFresh));
    assert_eq!(said(&[TAG]).expect("kept").ttl, 0);
    let late = said(&[(CACHE_CONTROL, "max-age=100"), (AGE, "130")]).expect("kept");
    assert_eq!((late.ttl, late.stale.since), (0, 30_000));
}

#[test]
fn a_status_that_says_nothing_of_itself_has_to_be_said_to_be_cacheable() {
    let kept = |status, line: &str| judged(&BY_ORIGIN, GET, status, &by(line)).is_ok();
    for status in [200, 299, 302, 307, 400, 403, 499, 500, 503, 599] {
        assert!(kept(status, "max-age=60"), "{status}");
    }
    assert_eq!(judged(&BY_ORIGIN, GET, 302, &[TAG]), Err(Detail::NotFresh));
    for status in [206, 304] {
        assert!(!kept(status, "max-age=60"), "{status}");
    }
}

#[test]
fn an_answer_to_a_credential_is_shared_only_where_the_origin_says_so() {
    let authorized = Whose {
        is_authorized: true,
        ..GET
    };
    let judge = |line: &str| judged(&BY_ORIGIN, authorized, 200, &by(line));
    assert_eq!(
        judge("max-age=60"),
        Err(Detail::Credential),
        "{AUTHORIZATION}"
    );
    for line in ["public", "must-revalidate", "s-maxage=60"] {
        assert!(judge(&format!("max-age=60, {line}")).is_ok(), "{line}");
    }
}

#[test]
fn requests_that_do_not_want_it_and_other_methods_without_a_word_are_not_kept() {
    let secretive = Whose {
        no_store: true,
        ..GET
    };
    let judge = |whose, lines: &[_]| judged(&BY_ORIGIN, whose, 200, lines);
    assert_eq!(
        judge(secretive, &by("max-age=60")),
        Err(Detail::RequestNoStore)
    );
    let post = Whose {
        is_get: false,
        ..GET
    };
    assert!(judge(post, &by("max-age=60")).is_ok());
    assert_eq!(judge(post, &[TAG]), Err(Detail::NotFresh));
}

#[test]
fn the_origin_or_the_rule_opens_the_windows_and_must_revalidate_shuts_both() {
    let windows = |rules, line: &str| {
        let stale = judged(rules, GET, 200, &by(line)).expect("kept").stale;
        (stale.while_revalidate, stale.if_error)
    };
    let line = "max-age=60, stale-while-revalidate=10, stale-if-error=20";
    assert_eq!(windows(&BY_ORIGIN, line), (10_000, 20_000));
    assert_eq!(
        windows(&FIXED, line),
        (30_000, 0),
        "a fixed rule speaks for itself"
    );
    for shut in ["must-revalidate", "proxy-revalidate", "s-maxage=60"] {
        let line = format!("{line}, {shut}");
        assert_eq!(windows(&BY_ORIGIN, &line), (0, 0), "{shut}");
        assert_eq!(windows(&FIXED, &line), (0, 0), "{shut}");
    }
}

#[test]
fn a_fixed_time_stands_for_the_origins() {
    let terms = judged(&FIXED, GET, 200, &[(CACHE_CONTROL, "max-age=0"), TAG]).expect("kept");
    assert_eq!((terms.ttl, terms.stale.kept), (60_000, 60_000));
    let bare = judged(&FIXED, GET, 200, &[]).expect("kept");
    assert_eq!((bare.ttl, bare.stale.kept), (60_000, 30_000));
    let no_cache = judged(&FIXED, GET, 200, &by("no-cache"));
    assert_eq!(no_cache, Err(Detail::NotKeepable));
}

#[test]
fn fields_that_want_validation_are_not_kept_with_the_rest() {
    let terms = said(&by("max-age=60, no-cache=\"x-a, x-b\"")).expect("kept");
    assert_eq!(terms.stripped, ["x-a", "x-b"]);
    assert_eq!(terms.ttl, 60_000);
}

#[test]
fn an_origin_is_believed_about_codings_and_ranges_where_its_words_are_obeyed() {
    let coded = [(CACHE_CONTROL, "max-age=60"), (CONTENT_ENCODING, "gzip")];
    assert!(said(&coded).is_ok());
    assert_eq!(judged(&FIXED, GET, 200, &coded), Err(Detail::NotKeepable));
    let ranged = [
        (CACHE_CONTROL, "max-age=60"),
        (CONTENT_RANGE, "bytes 0-1/9"),
    ];
    assert!(said(&ranged).is_ok());
    assert_eq!(judged(&FIXED, GET, 200, &ranged), Err(Detail::Range));
}

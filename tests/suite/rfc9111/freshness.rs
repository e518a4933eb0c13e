use super::world::{Cache, date, reused_or_not, row};

#[tokio::test]
async fn explicit_freshness_is_honoured_however_it_is_spelt() {
    let control = |line: &str, reused| row(200, &[("cache-control", line)], reused);
    reused_or_not(vec![
        control("max-age=3600", true),
        control("MaX-aGe=3600", true),
        control("max-age=003600", true),
        control("max-age=\"3600\"", true),
        control("max-age=99999999999", true),
        control("extension, max-age=3600", true),
        control("max-age=3600, extension=\"max-age=0\"", true),
        control("max-age='3600'", false),
        control("max-age=a100", false),
        control("max-age=-1", false),
        control("max-age = 1", false),
        control("max-age=0", false),
        control("max-age", false),
        control("max-age=1800, max-age=0", false),
        control("s-maxage=3600", true),
        control("s-maxage=3600, max-age=0", true),
        control("s-maxage=0, max-age=3600", false),
        control("", false),
    ])
    .await;
}

#[tokio::test]
async fn expires_counts_where_no_age_is_said_and_what_is_no_date_is_in_the_past() {
    let (now, later, before) = (date(0), date(3600), date(-3600));
    let rfc850 = httpdate::parse_http_date(&later).expect("a date");
    assert!(rfc850 > std::time::SystemTime::now());
    reused_or_not(vec![
        row(200, &[("expires", &later)], true),
        row(200, &[("expires", &later), ("date", &now)], true),
        row(200, &[("expires", &before)], false),
        row(200, &[("expires", "0")], false),
        row(200, &[("expires", "Thu, 99 Foo 2999 00:00:00 GMT")], false),
        row(200, &[("expires", "Thu, 18 Aug 2050 02:01:18")], false),
        row(200, &[("expires", "Thu, 18 Aug 2050 02:01:18 GMT")], true),
        row(200, &[("expires", "Thu Aug 18 02:01:18 2050")], true),
        row(
            200,
            &[("expires", &later), ("cache-control", "max-age=0")],
            false,
        ),
        row(
            200,
            &[("expires", &before), ("cache-control", "max-age=60")],
            true,
        ),
        row(200, &[("expires", &before), ("expires", &later)], false),
    ])
    .await;
}

#[tokio::test]
async fn an_age_makes_an_answer_older() {
    let aged = |age: &str, reused| {
        row(
            200,
            &[("cache-control", "max-age=3600"), ("age", age)],
            reused,
        )
    };
    let old = date(-7200);
    reused_or_not(vec![
        aged("0", true),
        aged("1800", true),
        aged("7200", false),
        aged("7200, 0", false),
        aged("0, 7200", true),
        aged("abc", true),
        row(
            200,
            &[("cache-control", "max-age=3600"), ("date", &old)],
            false,
        ),
    ])
    .await;
}

#[tokio::test]
async fn heuristics_are_for_those_statuses_that_allow_them_or_what_is_public() {
    let changed = date(-100_000);
    let mut rows = Vec::new();
    for status in [200, 203, 300, 301, 308, 404, 405, 410, 414, 501] {
        rows.push(row(status, &[("last-modified", &changed)], true));
    }
    for status in [201, 202, 302, 307, 403, 502, 503, 504, 599] {
        rows.push(row(status, &[("last-modified", &changed)], false));
        let public = [("last-modified", &*changed), ("cache-control", "public")];
        rows.push(row(status, &public, true));
    }
    rows.push(row(200, &[], false));
    rows.push(row(200, &[("etag", "\"a\"")], false));
    rows.push(row(200, &[("last-modified", "yesterday")], false));
    reused_or_not(rows).await;
}

#[tokio::test]
async fn a_hit_tells_its_age_and_keeps_its_date() {
    let made = date(-30);
    let cache = Cache::of(&[("cache-control", "max-age=3600"), ("date", &made)]).await;
    let miss = cache.get("/a").await;
    let hit = cache.get("/a").await;
    assert_eq!(hit.header("date"), Some(&*made));
    let age: u64 = hit
        .header("age")
        .and_then(|age| age.parse().ok())
        .expect("an age");
    assert!((30..60).contains(&age), "{age}");
    assert_eq!(miss.header("age"), None);
    let undated = Cache::of(&[("cache-control", "max-age=3600")]).await;
    assert!(undated.get("/a").await.header("date").is_some());
    assert!(undated.get("/a").await.header("date").is_some());
}

#[tokio::test]
async fn a_targeted_field_stands_above_cache_control_if_it_can_be_read() {
    let both = |targeted: &str, line: &str, reused| {
        let lines = [("cdn-cache-control", targeted), ("cache-control", line)];
        row(200, &lines, reused)
    };
    let later = date(3600);
    reused_or_not(vec![
        both("max-age=3600", "no-store", true),
        both("max-age=3600", "max-age=0", true),
        both("max-age=0", "max-age=3600", false),
        both("no-store", "max-age=3600", false),
        both("private", "max-age=3600", false),
        both("max-age=\"3600\"", "max-age=0", false),
        both("max-age=3600.0", "no-store", false),
        both("MAX-AGE=0", "max-age=3600", true),
        both("max-age=0, &", "max-age=3600", true),
        both("", "max-age=3600", true),
        row(
            200,
            &[("cdn-cache-control", "max-age=0"), ("expires", &later)],
            false,
        ),
        row(
            200,
            &[("cdn-cache-control", "foo"), ("expires", &later)],
            false,
        ),
    ])
    .await;
}

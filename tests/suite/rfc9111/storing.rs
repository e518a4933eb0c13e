use super::world::{Cache, Lines, reused_or_not, row};
use crate::world::Reply;

#[tokio::test]
async fn what_the_origin_forbids_is_not_kept() {
    let control = |line: &str, reused| row(200, &[("cache-control", line)], reused);
    reused_or_not(vec![
        control("no-store, max-age=3600", false),
        control("No-Store, max-age=3600", false),
        control("max-age=3600, private", false),
        control("max-age=3600, private=\"x-a\"", false),
        control("no-cache, max-age=3600", false),
        control("max-age=3600, public", true),
        control("max-age=3600, must-understand, no-store", true),
        control("max-age=3600; no-store", false),
        row(
            299,
            &[("cache-control", "max-age=3600, must-understand")],
            false,
        ),
        row(
            200,
            &[("cache-control", "max-age=3600"), ("set-cookie", "a=b")],
            false,
        ),
        row(
            200,
            &[("cache-control", "max-age=3600"), ("pragma", "no-cache")],
            true,
        ),
    ])
    .await;
}

#[tokio::test]
async fn explicit_freshness_makes_every_final_status_reusable() {
    let mut rows = Vec::new();
    for status in [
        200, 201, 202, 203, 299, 300, 301, 302, 303, 307, 308, 400, 403, 404, 405, 410, 414, 416,
        499, 500, 501, 502, 503, 504, 599,
    ] {
        rows.push(row(status, &[("cache-control", "max-age=3600")], true));
        rows.push(row(status, &[], false));
    }
    reused_or_not(rows).await;
}

#[tokio::test]
async fn an_answer_to_a_credential_is_reused_only_where_the_origin_says_so() {
    for (line, reused) in [
        ("max-age=3600", false),
        ("max-age=3600, public", true),
        ("max-age=3600, must-revalidate", true),
        ("max-age=3600, s-maxage=3600", true),
        ("max-age=3600, proxy-revalidate", false),
    ] {
        let cache = Cache::of(&[("cache-control", line)]).await;
        let mine = [("authorization", "Bearer mine")];
        assert_eq!(cache.get_with("/a", &mine).await.text(), "1", "{line}");
        assert_eq!(
            cache.origin.last().header("authorization"),
            Some("Bearer mine")
        );
        let other = cache
            .get_with("/a", &[("authorization", "Bearer other")])
            .await;
        assert_eq!(other.outcome() == "hit", reused, "{line}");
        let anyone = cache.get("/a").await;
        assert_eq!(anyone.text() == "1", reused, "{line}");
    }
}

#[tokio::test]
async fn an_answer_to_nobody_is_for_everybody_and_cookies_change_nothing() {
    let cache = Cache::of(&[("cache-control", "max-age=3600")]).await;
    let cookie = [("cookie", "a=1")];
    assert_eq!(cache.get_with("/a", &cookie).await.outcome(), "miss");
    assert_eq!(cache.origin.last().header("cookie"), Some("a=1"));
    for lines in [
        &cookie[..],
        &[("cookie", "a=2")],
        &[("authorization", "x")],
        &[],
    ] {
        assert_eq!(
            cache.get_with("/a", lines).await.outcome(),
            "hit",
            "{lines:?}"
        );
    }
}

#[tokio::test]
async fn fields_that_want_validation_are_stripped_and_the_rest_is_reused() {
    let cache = Cache::of(&[
        ("cache-control", "max-age=3600, no-cache=\"x-a, X-B\""),
        ("x-a", "1"),
        ("x-b", "2"),
        ("x-c", "3"),
    ])
    .await;
    assert_eq!(cache.get("/a").await.header("x-a"), Some("1"));
    let hit = cache.get("/a").await;
    assert_eq!(hit.outcome(), "hit");
    let seen = ["x-a", "x-b", "x-c"].map(|name| hit.header(name));
    assert_eq!(seen, [None, None, Some("3")]);
}

#[tokio::test]
async fn what_is_kept_is_what_came_in_its_order_and_unknown_fields_too() {
    let lines: Lines = &[
        ("cache-control", "max-age=3600"),
        ("test-header", "a, b"),
        ("test-header", "c"),
        ("content-foo", "x"),
        ("content-encoding", "gzip"),
        ("content-language", "en"),
        ("content-location", "/a"),
        ("www-authenticate", "Basic"),
        ("ratelimit-limit", "5"),
    ];
    let cache = Cache::of(lines).await;
    let miss = cache.get("/a").await;
    let hit = cache.get("/a").await;
    assert_eq!(hit.outcome(), "hit");
    for (name, _) in lines {
        let all = |got: &crate::world::Got| {
            let values = got.headers.get_all(*name).iter().cloned();
            values.collect::<Vec<_>>()
        };
        assert_eq!(all(&hit), all(&miss), "{name}");
    }
    assert_eq!(hit.headers.get_all("test-header").iter().count(), 2);
}

#[tokio::test]
async fn head_is_answered_from_what_get_got() {
    let cache = Cache::of(&[("cache-control", "max-age=3600")]).await;
    cache.get("/a").await;
    let head = cache.sidecar.ask("HEAD", "/a", &[], "").await;
    assert_eq!((head.outcome(), head.body.len()), ("hit", 0));
    assert_eq!(head.header("content-length"), Some("1"));
}

#[tokio::test]
async fn other_methods_are_not_kept_and_paths_and_queries_are_told_apart() {
    let cache = Cache::of(&[("cache-control", "max-age=3600")]).await;
    for _ in 0..2 {
        cache.sidecar.ask("POST", "/post", &[], "x").await;
    }
    assert_eq!(cache.asked_for("/post"), 2);
    for target in [
        "/a",
        "/a/",
        "/A",
        "/a?b",
        "/a?b=",
        "/a?b=1",
        "/a?B=1",
        "/a?b=1&c=2",
        "/a?c=2&b=1",
        "/",
    ] {
        assert_eq!(cache.get(target).await.outcome(), "miss", "{target}");
        assert_eq!(cache.get(target).await.outcome(), "hit", "{target}");
    }
}

#[tokio::test]
async fn a_broken_answer_and_one_without_end_are_not_kept() {
    let cache = Cache::before(|_, nth| {
        let reply = Reply::of(200, "text/event-stream", nth.to_string());
        reply.header("cache-control", "max-age=3600")
    })
    .await;
    assert_eq!(cache.get("/a").await.detail(), Some("not-keepable"));
    assert_eq!(cache.get("/a").await.text(), "2");
}

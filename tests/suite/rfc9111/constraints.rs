use super::world::{Cache, Lines, numbered, owned};
use crate::world::{Origin, Reply, Sidecar, eventually};

/// The Cache-Status of a request with these headers for an answer that is kept.
async fn gets(kept: Lines<'_>, request: Lines<'_>) -> String {
    let cache = Cache::of(kept).await;
    cache.get("/a").await;
    let got = cache.get_with("/a", request).await;
    match got.outcome() {
        "hit" | "stale" => assert_eq!(got.text(), "1"),
        "miss" => assert_eq!(got.text(), "2"),
        _ => assert_eq!(got.status, 504),
    }
    got.cache_status().to_owned()
}

#[tokio::test]
async fn what_a_request_demands_is_held_against_what_is_kept() {
    let fresh: Lines = &[("cache-control", "max-age=100"), ("age", "50")];
    let stale: Lines = &[("cache-control", "max-age=100"), ("age", "150")];
    let strict: Lines = &[
        ("cache-control", "max-age=100, must-revalidate"),
        ("age", "150"),
    ];
    let (hit, used) = (
        "sidecache; hit; ttl=49",
        "sidecache; hit; ttl=-50; detail=stale",
    );
    let (asks, replaces) = (
        "sidecache; fwd=request; stored",
        "sidecache; fwd=stale; stored",
    );
    let none = "sidecache; detail=only-if-cached";
    for (kept, line, expected) in [
        (fresh, "", hit),
        (fresh, "no-cache", asks),
        (fresh, "max-age=0", asks),
        (fresh, "max-age=40", asks),
        (fresh, "max-age=60", hit),
        (fresh, "min-fresh=60", asks),
        (fresh, "min-fresh=40", hit),
        (fresh, "only-if-cached", hit),
        (fresh, "no-cache, only-if-cached", none),
        (stale, "", replaces),
        (stale, "max-stale", used),
        (stale, "max-stale=100", used),
        (stale, "max-stale=40", replaces),
        (stale, "max-stale=100, max-age=10", replaces),
        (stale, "only-if-cached", none),
        (strict, "max-stale", "sidecache; fwd=miss; detail=not-fresh"),
    ] {
        let got = gets(kept, &[("cache-control", line)]).await;
        assert_eq!(a_moment_later(&got), expected, "{kept:?} {line}");
    }
    assert_eq!(gets(fresh, &[("pragma", "no-cache")]).await, asks);
    let both = [("pragma", "no-cache"), ("cache-control", "max-age=60")];
    assert_eq!(a_moment_later(&gets(fresh, &both).await), hit);
}

/// What is told in the very millisecond in which it was kept has its whole second still.
fn a_moment_later(told: &str) -> String {
    told.replace("ttl=50", "ttl=49")
}

#[tokio::test]
async fn nothing_kept_for_only_if_cached_is_504_and_the_origin_is_not_asked() {
    let cache = Cache::of(&[("cache-control", "max-age=100")]).await;
    let got = cache
        .get_with("/a", &[("cache-control", "only-if-cached")])
        .await;
    assert_eq!((got.status, cache.origin.count()), (504, 0));
}

#[tokio::test]
async fn the_answer_to_no_store_is_not_kept() {
    let cache = Cache::of(&[("cache-control", "max-age=100")]).await;
    let got = cache.get_with("/a", &[("cache-control", "no-store")]).await;
    assert_eq!(got.detail(), Some("request-no-store"));
    assert_eq!(cache.get("/a").await.text(), "2");
    assert_eq!(
        cache
            .get_with("/a", &[("cache-control", "no-store")])
            .await
            .text(),
        "2"
    );
}

#[tokio::test]
async fn a_stale_answer_is_served_while_one_request_fetches_it_anew() {
    let cache = Cache::before(|_, nth| {
        let age = if nth == 1 { "110" } else { "0" };
        let line = "max-age=100, stale-while-revalidate=60";
        numbered(200, nth, &owned(&[("cache-control", line), ("age", age)]))
    })
    .await;
    cache.get("/a").await;
    let stale = cache.get("/a").await;
    assert_eq!(stale.text(), "1");
    assert_eq!(
        stale.cache_status(),
        "sidecache; hit; ttl=-10; detail=stale"
    );
    eventually("it is fetched anew", async || {
        cache.get("/a").await.text() == "2"
    })
    .await;
    assert_eq!(cache.get("/a").await.outcome(), "hit");
    assert_eq!(cache.origin.count(), 2);
}

#[tokio::test]
async fn nothing_stale_is_served_past_its_window_or_where_that_is_forbidden() {
    for line in [
        "max-age=100, stale-while-revalidate=5",
        "max-age=100, stale-while-revalidate=60, must-revalidate",
        "max-age=100, stale-while-revalidate=60, proxy-revalidate",
        "s-maxage=100, stale-while-revalidate=60",
        "max-age=100, stale-while-revalidate=60, no-cache",
    ] {
        let cache = Cache::of(&[("cache-control", line), ("age", "110"), ("etag", "\"a\"")]).await;
        cache.get("/a").await;
        assert_eq!(cache.get("/a").await.text(), "2", "{line}");
    }
}

#[tokio::test]
async fn a_stale_answer_stands_in_for_an_error_within_its_window() {
    let rows = [
        ("max-age=100, stale-if-error=60", 503, true),
        ("max-age=100, stale-if-error=60", 500, true),
        ("max-age=100, stale-if-error=60", 502, true),
        ("max-age=100, stale-if-error=60", 404, false),
        ("max-age=100, stale-if-error=5", 503, false),
        ("max-age=100", 503, false),
        (
            "max-age=100, stale-if-error=60, must-revalidate",
            503,
            false,
        ),
        ("s-maxage=100, stale-if-error=60", 503, false),
    ];
    for (line, status, stands_in) in rows {
        let cache = Cache::before(move |_, nth| match nth {
            1 => numbered(200, 1, &owned(&[("cache-control", line), ("age", "110")])),
            nth => numbered(status, nth, &[]),
        })
        .await;
        cache.get("/a").await;
        for _ in 0..2 {
            let got = cache.get("/a").await;
            let expected = if stands_in {
                (200, Some("stale"))
            } else {
                (status, got.detail())
            };
            assert_eq!((got.status, got.detail()), expected, "{line} {status}");
            assert_eq!(got.text() == "1", stands_in);
        }
        assert!(cache.origin.count() > 2, "the origin is asked each time");
    }
}

/// An address at which nothing listens any more, and what was kept of it.
async fn gone(line: &'static str) -> Sidecar {
    let origin = Origin::start(move |_| async move {
        Reply::json("1")
            .header("cache-control", line)
            .header("age", "110")
            .header("etag", "\"a\"")
            .header("connection", "close")
    })
    .await;
    let sidecar = Cache::sidecar(&origin, |text| text).await;
    assert_eq!(sidecar.get("/a").await.status, 200);
    sidecar
}

#[tokio::test]
async fn an_origin_that_is_gone_is_stood_in_for_only_where_that_is_allowed() {
    for (line, status) in [
        ("max-age=100, stale-if-error=60", 200),
        ("max-age=100", 502),
        ("max-age=100, stale-if-error=60, must-revalidate", 502),
        ("max-age=100, stale-if-error=60, proxy-revalidate", 502),
        ("s-maxage=100, stale-if-error=60", 502),
        ("no-cache, stale-if-error=60", 502),
    ] {
        let sidecar = gone(line).await;
        eventually("the origin is gone", async || {
            sidecar.get("/b").await.status == 502
        })
        .await;
        assert_eq!(sidecar.get("/a").await.status, status, "{line}");
    }
}

#[tokio::test]
async fn nothing_stale_is_served_once_a_write_dropped_it() {
    let line = "max-age=100, stale-while-revalidate=60, stale-if-error=60";
    let cache = Cache::before(move |_, nth| match nth {
        1 => numbered(200, 1, &owned(&[("cache-control", line), ("age", "110")])),
        2 => numbered(204, 2, &[]),
        nth => numbered(503, nth, &[]),
    })
    .await;
    cache.get("/a").await;
    cache.sidecar.ask("DELETE", "/a", &[], "").await;
    let got = cache.get("/a").await;
    assert_eq!((got.status, got.text()), (503, "3".into()));
}

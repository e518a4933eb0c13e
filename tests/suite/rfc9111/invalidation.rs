use super::world::{Cache, numbered, owned};

/// A cache whose GETs are fresh; other methods are answered with `status` and these headers.
async fn cache(status: u16, lines: &[(&str, &str)]) -> Cache {
    let headers = owned(lines);
    Cache::before(move |asked, nth| match asked.method.as_str() {
        "GET" => numbered(200, nth, &owned(&[("cache-control", "max-age=3600")])),
        _ => numbered(status, nth, &headers),
    })
    .await
}

/// Whether what was kept at `path` outlives a request to `/a`.
async fn survives(cache: &Cache, method: &str, path: &str) -> bool {
    cache.get(path).await;
    assert_eq!(cache.get(path).await.outcome(), "hit");
    cache.sidecar.ask(method, "/a", &[], "x").await;
    cache.get(path).await.outcome() == "hit"
}

#[tokio::test]
async fn unsafe_methods_make_their_target_forgotten() {
    for method in ["POST", "PUT", "DELETE", "PATCH", "M-SEARCH", "FOO"] {
        for status in [200, 204, 303] {
            let cache = cache(status, &[]).await;
            assert!(!survives(&cache, method, "/a").await, "{method} {status}");
            assert!(
                !survives(&cache, method, "/a?b=1").await,
                "{method} {status}"
            );
            assert!(survives(&cache, method, "/b").await, "{method} {status}");
        }
    }
}

#[tokio::test]
async fn safe_methods_and_errors_make_nothing_forgotten() {
    for method in ["OPTIONS", "HEAD"] {
        assert!(
            survives(&cache(200, &[]).await, method, "/a").await,
            "{method}"
        );
    }
    for status in [400, 404, 500, 503] {
        for method in ["POST", "PUT", "DELETE", "M-SEARCH"] {
            let locations = [("location", "/b"), ("content-location", "/c")];
            let cache = cache(status, &locations).await;
            for path in ["/a", "/b", "/c"] {
                assert!(
                    survives(&cache, method, path).await,
                    "{method} {status} {path}"
                );
            }
        }
    }
}

#[tokio::test]
async fn location_and_content_location_are_forgotten_too_on_the_same_origin_only() {
    for name in ["location", "content-location"] {
        for (place, forgotten) in [
            ("/b", true),
            ("b", true),
            ("./b", true),
            ("http://api.test/b", true),
            ("http://other.test/b", false),
            ("/c", false),
        ] {
            for status in [201, 303] {
                let cache = cache(status, &[(name, place)]).await;
                let survived = survives(&cache, "POST", "/b").await;
                assert_eq!(survived, !forgotten, "{name}: {place} {status}");
            }
        }
    }
}

use super::world::{Cache, Lines, date, numbered, owned};
use crate::world::{Asked, Reply, eventually};

/// Answers 304 to a request with one of our conditions, else 200 with `lines`; a 304 says `newer`.
fn validating(lines: Lines<'_>, newer: Lines<'_>) -> impl Fn(&Asked, usize) -> Reply + use<> {
    let (lines, newer) = (owned(lines), owned(newer));
    move |asked, nth| {
        let conditions = ["if-none-match", "if-modified-since"];
        let is_conditional = conditions.iter().any(|name| asked.header(name).is_some());
        match is_conditional {
            true => {
                let mut reply = numbered(304, nth, &newer);
                reply.body.clear();
                reply.headers.remove(0); // a content-type only where the test says so
                reply
            }
            false => numbered(200, nth, &lines),
        }
    }
}

#[tokio::test]
async fn a_stale_answer_is_asked_for_by_its_validators_and_served_if_it_still_holds() {
    let changed = date(-3600);
    for (name, value, condition) in [
        ("etag", "\"a\"", "if-none-match"),
        ("etag", "W/\"a\"", "if-none-match"),
        ("last-modified", &*changed, "if-modified-since"),
    ] {
        let lines = [
            ("cache-control", "max-age=100"),
            ("age", "200"),
            (name, value),
        ];
        let fresh = [("cache-control", "max-age=1000")];
        let cache = Cache::before(validating(&lines, &fresh)).await;
        assert_eq!(cache.get("/a").await.text(), "1");
        let validated = cache.get("/a").await;
        assert_eq!((validated.status, validated.text()), (200, "1".into()));
        assert_eq!(
            validated.cache_status(),
            "sidecache; fwd=stale; fwd-status=304; detail=revalidated"
        );
        assert_eq!(cache.origin.last().header(condition), Some(value));
        let hit = cache.get("/a").await;
        assert_eq!((hit.outcome(), hit.text()), ("hit", "1".into()), "{name}");
        assert_eq!(hit.header("cache-control"), Some("max-age=1000"));
    }
}

#[tokio::test]
async fn no_cache_and_max_age_0_are_kept_and_validated_each_time() {
    for line in [
        "no-cache",
        "max-age=0",
        "no-cache, max-age=100",
        "max-age=0, must-revalidate",
    ] {
        let lines = [("cache-control", line), ("etag", "\"a\"")];
        let cache = Cache::before(validating(&lines, &lines)).await;
        for nth in 1..4 {
            assert_eq!(cache.get("/a").await.text(), "1", "{line}");
            assert_eq!(cache.origin.count(), nth, "{line}");
        }
    }
}

#[tokio::test]
async fn a_304_updates_what_is_kept_but_for_what_describes_the_body() {
    let later = date(100);
    let lines = [
        ("cache-control", "max-age=100"),
        ("age", "200"),
        ("etag", "\"a\""),
        ("x-kept", "1"),
        ("x-newer", "1"),
        ("x-newer", "2"),
        ("content-language", "en"),
    ];
    let newer = [
        ("cache-control", "max-age=1000"),
        ("expires", &*later),
        ("x-newer", "3"),
        ("content-type", "text/html"),
        ("content-location", "/b"),
        ("content-encoding", "gzip"),
        ("etag", "\"a\""),
    ];
    let cache = Cache::before(validating(&lines, &newer)).await;
    cache.get("/a").await;
    for outcome in ["revalidated", "hit"] {
        let got = cache.get("/a").await;
        assert!(
            got.cache_status().contains(outcome),
            "{}",
            got.cache_status()
        );
        assert_eq!(got.text(), "1");
        for (name, value) in [
            ("cache-control", Some("max-age=1000")),
            ("expires", Some(&*later)),
            ("x-kept", Some("1")),
            ("x-newer", Some("3")),
            ("content-type", Some("text/html")),
            ("content-location", Some("/b")),
            ("content-language", Some("en")),
            ("content-encoding", None),
            ("content-length", Some("1")),
        ] {
            assert_eq!(got.header(name), value, "{name} of a {outcome}");
        }
        assert_eq!(got.headers.get_all("x-newer").iter().count(), 1);
    }
}

#[tokio::test]
async fn a_304_about_another_answer_freshens_nothing() {
    let lines = [("cache-control", "max-age=0"), ("etag", "\"a\"")];
    let other = [("cache-control", "max-age=100"), ("etag", "\"b\"")];
    let cache = Cache::before(validating(&lines, &other)).await;
    assert_eq!(cache.get("/a").await.text(), "1");
    assert_eq!(
        cache.get("/a").await.text(),
        "3",
        "asked again, on no condition"
    );
}

#[tokio::test]
async fn an_answer_that_changed_replaces_what_was_kept() {
    let cache = Cache::before(|_, nth| {
        let tag = format!("\"{nth}\"");
        let age = if nth == 1 { "200" } else { "0" };
        let lines = [
            ("cache-control", "max-age=100"),
            ("age", age),
            ("etag", &*tag),
        ];
        numbered(200, nth, &owned(&lines))
    })
    .await;
    cache.get("/a").await;
    let replaced = cache.get("/a").await;
    assert_eq!(replaced.text(), "2");
    assert!(
        replaced
            .cache_status()
            .starts_with("sidecache; fwd=stale; stored")
    );
    assert_eq!(cache.get("/a").await.text(), "2");
}

#[tokio::test]
async fn a_condition_carries_what_the_answer_varies_by() {
    let lines = [
        ("cache-control", "max-age=0"),
        ("vary", "Foo"),
        ("etag", "\"a\""),
    ];
    let cache = Cache::before(validating(&lines, &lines)).await;
    let foo = [("foo", "1")];
    cache.get_with("/a", &foo).await;
    assert_eq!(cache.get_with("/a", &foo).await.text(), "1");
    let asked = cache.origin.last();
    assert_eq!(
        (asked.header("foo"), asked.header("if-none-match")),
        (Some("1"), Some("\"a\""))
    );
    cache.get_with("/a", &[("foo", "2")]).await;
    assert_eq!(
        cache.origin.last().header("if-none-match"),
        None,
        "another variant"
    );
}

#[tokio::test]
async fn a_clients_own_condition_is_answered_from_what_is_kept() {
    let changed = date(-3600);
    let lines = [
        ("cache-control", "max-age=100"),
        ("etag", "\"a\""),
        ("last-modified", &*changed),
    ];
    let cache = Cache::of(&lines).await;
    cache.get("/a").await;
    let since = |seconds| ("if-modified-since", date(seconds));
    let rows = [
        (("if-none-match", "\"a\"".to_owned()), 304),
        (("if-none-match", "W/\"a\"".to_owned()), 304),
        (("if-none-match", "\"x\", \"a\"".to_owned()), 304),
        (("if-none-match", "*".to_owned()), 304),
        (("if-none-match", "\"x\"".to_owned()), 200),
        (since(-3600), 304),
        (since(0), 304),
        (since(-7200), 200),
        (("if-modified-since", "yesterday".to_owned()), 200),
    ];
    for ((name, value), status) in rows {
        let got = cache.get_with("/a", &[(name, &value)]).await;
        assert_eq!(
            (got.status, got.outcome()),
            (status, "hit"),
            "{name}: {value}"
        );
        assert!(got.header("etag").is_some() && got.header("age").is_some());
    }
}

#[tokio::test]
async fn a_clients_own_condition_goes_along_where_nothing_is_kept() {
    let lines = [("cache-control", "max-age=100"), ("etag", "\"a\"")];
    let cache = Cache::before(validating(&lines, &lines)).await;
    for tag in ["\"a\"", "unquoted"] {
        let got = cache.get_with("/a", &[("if-none-match", tag)]).await;
        assert_eq!((got.status, got.detail()), (304, Some("status")));
        assert_eq!(cache.origin.last().header("if-none-match"), Some(tag));
    }
    assert_eq!(
        cache.get("/a").await.outcome(),
        "miss",
        "no 304 was kept as an answer"
    );
    let got = cache.get_with("/a", &[("if-none-match", "\"a\"")]).await;
    assert_eq!((got.status, got.outcome()), (304, "hit"));
}

#[tokio::test]
async fn a_clients_own_condition_is_answered_from_the_validated_answer() {
    let lines = [("cache-control", "max-age=0"), ("etag", "\"a\"")];
    let cache = Cache::before(validating(&lines, &lines)).await;
    cache.get("/a").await;
    let got = cache.get_with("/a", &[("if-none-match", "\"mine\"")]).await;
    assert_eq!((got.status, got.text()), (200, "1".into()));
    assert_eq!(cache.origin.last().header("if-none-match"), Some("\"a\""));
    let got = cache.get_with("/a", &[("if-none-match", "\"a\"")]).await;
    assert_eq!(got.status, 304);
}

#[tokio::test]
async fn what_a_write_dropped_is_not_validated_any_more() {
    let lines = [("cache-control", "max-age=0"), ("etag", "\"a\"")];
    let cache = Cache::before(validating(&lines, &lines)).await;
    cache.get("/a").await;
    cache.sidecar.ask("POST", "/a", &[], "x").await;
    cache.get("/a").await;
    assert_eq!(cache.origin.last().header("if-none-match"), None);
}

#[tokio::test]
async fn a_write_that_settles_while_an_answer_is_validated_ends_it() {
    let lines = [
        ("cache-control", "max-age=100"),
        ("age", "200"),
        ("etag", "\"a\""),
    ];
    let fresh = [("cache-control", "max-age=1000")];
    let inner = std::sync::Arc::new(validating(&lines, &fresh));
    let (release, released) = tokio::sync::watch::channel(false);
    let origin = crate::world::Origin::start(move |asked: Asked| {
        let mut released = released.clone();
        let holds = asked.header("if-none-match").is_some();
        let reply = inner(&asked, 1);
        async move {
            if holds {
                let _ = released.wait_for(|released| *released).await;
            }
            reply
        }
    })
    .await;
    let sidecar = Cache::sidecar(&origin, |text| text).await;
    sidecar.get("/a").await;
    let address = sidecar.address();
    let validated = tokio::spawn(crate::world::ask(address, "GET", "/a", &[], ""));
    eventually("the origin is asked", async || origin.count() == 2).await;
    sidecar.ask("POST", "/a", &[], "x").await;
    release.send_replace(true);
    assert_eq!(validated.await.expect("an answer").status, 200);
    let after = sidecar.get("/a").await;
    assert_eq!(after.outcome(), "miss", "{}", after.cache_status());
    assert_eq!(origin.last().header("if-none-match"), None);
}

#[tokio::test]
async fn those_who_wait_are_given_what_was_validated() {
    let lines = [("cache-control", "max-age=1"), ("etag", "\"a\"")];
    let fresh = [("cache-control", "max-age=1000")];
    let cache = Cache::before(validating(&lines, &fresh)).await;
    cache.get("/a").await;
    eventually("it is no longer fresh", async || {
        let if_cached = [("cache-control", "only-if-cached")];
        cache.get_with("/a", &if_cached).await.status == 504
    })
    .await;
    let address = cache.sidecar.address();
    let readers = (0..8).map(|_| tokio::spawn(crate::world::ask(address, "GET", "/a", &[], "")));
    for reader in readers.collect::<Vec<_>>() {
        let got = reader.await.expect("an answer");
        assert_eq!((got.status, got.text()), (200, "1".into()));
        let outcomes = ["revalidated", "collapsed", "hit"];
        assert!(outcomes.contains(&got.outcome()), "{}", got.cache_status());
    }
    assert_eq!(cache.origin.count(), 2);
}

use super::document::{TAGGED, TEXT, cache, document, part};
use super::world::{Cache, Lines, owned};
use crate::redis::RedisServer;
use crate::world::{Origin, Reply, Sidecar};

#[tokio::test]
async fn ranges_inside_a_kept_part_are_answered_from_it() {
    for lines in [TAGGED, &TAGGED[..1]] {
        let cache = cache(lines).await;
        let first = cache.range("bytes=10-").await;
        assert_eq!((first.status, &*first.text()), (206, "ABCDEFGHIJ"));
        assert_eq!(first.cache_status(), "sidecache; fwd=miss; stored");
        for (range, text, content_range) in [
            ("bytes=10-19", "ABCDEFGHIJ", "bytes 10-19/20"),
            ("bytes=12-13", "CD", "bytes 12-13/20"),
            ("bytes=18-", "IJ", "bytes 18-19/20"),
            ("bytes=18-99", "IJ", "bytes 18-19/20"),
            ("bytes=-1", "J", "bytes 19-19/20"),
            ("bytes=-10", "ABCDEFGHIJ", "bytes 10-19/20"),
        ] {
            let got = cache.range(range).await;
            assert_eq!((got.status, got.outcome()), (206, "hit"), "{range}");
            assert_eq!(got.text(), text, "{range}");
            assert_eq!(got.header("content-range"), Some(content_range));
            let length = text.len().to_string();
            assert_eq!(got.header("content-length"), Some(&*length));
            assert_eq!(got.header("content-type"), Some("text/plain"));
            assert_eq!(got.header("etag"), first.header("etag"));
            assert_eq!(got.header("date"), first.header("date"));
            assert!(got.header("age").is_some());
        }
        assert_eq!(cache.origin.count(), 1);
    }
}

#[tokio::test]
async fn what_a_kept_part_does_not_hold_is_asked_for() {
    let cache = cache(&TAGGED[..1]).await; // without a tag each part stands alone
    cache.range("bytes=5-9").await;
    for range in [
        "bytes=4-9",
        "bytes=5-10",
        "bytes=0-1",
        "bytes=9-",
        "bytes=-1",
    ] {
        cache.range("bytes=5-9").await;
        let before = cache.origin.count();
        let got = cache.range(range).await;
        assert_eq!(got.status, 206);
        assert_eq!(got.cache_status(), "sidecache; fwd=partial; stored");
        assert_eq!(cache.origin.count(), before + 1, "{range}");
        assert_eq!(cache.origin.last().header("range"), Some(range));
    }
}

#[tokio::test]
async fn a_part_answers_nobody_who_wants_the_whole() {
    let cache = cache(&TAGGED[..1]).await;
    for (nth, method) in ["HEAD", "GET"].into_iter().enumerate() {
        let path = format!("/{method}");
        let part = [("range", "bytes=0-19")];
        assert_eq!(cache.get_with(&path, &part).await.status, 206);
        assert_eq!(cache.get_with(&path, &part).await.outcome(), "hit");
        let only = [("cache-control", "only-if-cached")];
        let none = cache.sidecar.ask(method, &path, &only, "").await;
        assert_eq!(none.status, 504, "{method}");
        let whole = cache.sidecar.ask(method, &path, &[], "").await;
        assert_eq!((whole.status, whole.header("content-range")), (200, None));
        assert_eq!(whole.header("content-length"), Some("20"));
        assert_eq!(cache.origin.count(), 2 * (nth + 1));
    }
}

#[tokio::test]
async fn a_whole_takes_the_place_of_a_part_and_no_part_that_of_a_whole() {
    let cache = cache(TAGGED).await;
    cache.range("bytes=0-4").await;
    assert_eq!(cache.get("/a").await.text(), TEXT);
    let anew = [("range", "bytes=0-4"), ("cache-control", "no-cache")];
    let part = cache.get_with("/a", &anew).await;
    assert_eq!((part.status, part.detail()), (206, Some("range")));
    let whole = cache.get("/a").await;
    assert_eq!((whole.outcome(), &*whole.text()), ("hit", TEXT));
    assert!(cache.holds(7..=19).await);
}

#[tokio::test]
async fn conditions_come_before_the_range() {
    let cache = cache(TAGGED).await;
    cache.range("bytes=0-9").await;
    let rows: [(Lines, u16, &str); 4] = [
        (&[("if-range", "\"a\"")], 206, "hit"),
        (&[("if-none-match", "\"b\"")], 206, "hit"),
        (&[("if-none-match", "W/\"a\"")], 304, "hit"),
        (&[("if-range", "\"b\"")], 200, "bypass"),
    ];
    for (lines, status, outcome) in rows {
        let lines = [&[("range", "bytes=2-3")], lines].concat();
        let got = cache.get_with("/a", &lines).await;
        assert_eq!((got.status, got.outcome()), (status, outcome), "{lines:?}");
        assert_eq!(got.header("content-range").is_some(), status == 206);
    }
    assert_eq!(cache.origin.count(), 2);
    assert!(cache.holds(0..=9).await);
}

#[tokio::test]
async fn a_request_says_what_it_takes_of_a_part_and_whether_its_own_is_kept() {
    let cache = cache(&[("cache-control", "max-age=3600"), ("age", "100")]).await;
    let ask = async |path: &str, demand: &str| {
        let lines = [("range", "bytes=0-4"), ("cache-control", demand)];
        cache.get_with(path, &lines).await
    };
    assert_eq!(ask("/a", "no-store").await.status, 206);
    assert_eq!(ask("/a", "only-if-cached").await.status, 504);
    ask("/a", "max-age=3600").await;
    let hit = ask("/a", "max-age=200").await;
    let age: u64 = hit.header("age").expect("an age").parse().expect("seconds");
    assert!((100..=200).contains(&age), "{age}");
    for (demand, asks) in [("max-age=99", 1), ("min-fresh=3599", 1), ("no-cache", 1)] {
        let before = cache.origin.count();
        assert_eq!(ask("/a", demand).await.status, 206);
        assert_eq!(cache.origin.count(), before + asks, "{demand}");
    }
}

#[tokio::test]
async fn a_part_is_kept_no_longer_than_it_says_and_only_if_it_says() {
    let day = "Sun, 06 Nov 1994 08:49:37 GMT";
    let rows: [Lines; 8] = [
        &[("last-modified", day), ("etag", "\"a\"")],
        &[("cache-control", "public"), ("last-modified", day)],
        &[("cache-control", "max-age=0"), ("etag", "\"a\"")],
        &[("cache-control", "no-cache, max-age=9"), ("etag", "\"a\"")],
        &[("cache-control", "max-age=10"), ("age", "10")],
        &[("cache-control", "max-age=10, no-store")],
        &[("cache-control", "max-age=10, private")],
        &[("cache-control", "max-age=10"), ("set-cookie", "a=b")],
    ];
    for lines in rows {
        let cache = cache(lines).await;
        assert_eq!(cache.range("bytes=0-4").await.status, 206);
        assert!(!cache.holds(0..=4).await, "{lines:?}");
    }
}

#[tokio::test]
async fn a_part_for_one_credential_is_for_nobody_else() {
    for (lines, shared) in [("max-age=60", false), ("max-age=60, public", true)] {
        let cache = cache(&[("cache-control", lines)]).await;
        let mine = [("range", "bytes=0-4"), ("authorization", "Bearer mine")];
        cache.get_with("/a", &mine).await;
        assert_eq!(cache.holds(0..=4).await, shared, "{lines}");
    }
}

#[tokio::test]
async fn parts_are_of_one_variant() {
    let lines = [TAGGED, &[("vary", "x-a")]].concat();
    let cache = cache(&lines).await;
    for variant in ["1", "2"] {
        let mine = [("range", "bytes=0-4"), ("x-a", variant)];
        assert_eq!(cache.get_with("/a", &mine).await.outcome(), "miss");
        assert_eq!(cache.get_with("/a", &mine).await.outcome(), "hit");
    }
    assert!(!cache.holds(0..=4).await);
}

#[tokio::test]
async fn what_describes_one_message_is_not_said_of_another() {
    let lines = [
        TAGGED,
        &[
            ("content-digest", "sha-256=:AA==:"),
            ("repr-digest", "sha-256=:BB==:"),
        ],
    ];
    let cache = cache(&lines.concat()).await;
    cache.range("bytes=0-9").await;
    let part = cache.range("bytes=0-4").await;
    assert_eq!(part.header("content-digest"), None);
    assert_eq!(part.header("repr-digest"), Some("sha-256=:BB==:"));
    cache.get("/b").await;
    let cut = cache.get_with("/b", &[("range", "bytes=0-4")]).await;
    assert_eq!((cut.outcome(), cut.header("content-digest")), ("hit", None));
}

#[tokio::test]
async fn a_rule_that_fixes_a_time_keeps_no_part() {
    let origin = Origin::start(|asked| async move { document(&asked, TEXT, &owned(TAGGED)) }).await;
    let sidecar = Cache::sidecar(&origin, |text| {
        text.replace("ttl     = \"origin\"", "ttl = \"5m\"")
    })
    .await;
    let cache = Cache { origin, sidecar };
    for _ in 0..2 {
        let part = cache.range("bytes=0-4").await;
        assert_eq!((part.status, part.outcome()), (206, "bypass"));
        assert_eq!(part.detail(), Some("range"));
    }
}

async fn on(redis: &RedisServer, origin: &Origin) -> Sidecar {
    let store = format!("url = \"{}\"\ntimeout = \"20s\"", redis.url());
    Cache::sidecar(origin, |text| text.replace("url = \"memory:\"", &store)).await
}

#[tokio::test]
async fn a_hit_on_a_part_is_one_mget_and_any_sidecar_has_it() {
    let origin = Origin::start(|asked| async move { document(&asked, TEXT, &owned(TAGGED)) }).await;
    let redis = RedisServer::start();
    let (one, other) = (on(&redis, &origin).await, on(&redis, &origin).await);
    let range = [("range", "bytes=0-4")];
    one.get_with("/a", &range).await;
    for sidecar in [&one, &other] {
        let (mgets, gets) = (redis.calls("mget"), redis.calls("get"));
        assert_eq!(sidecar.get_with("/a", &range).await.outcome(), "hit");
        assert_eq!(redis.calls("mget"), mgets + 1);
        assert_eq!(redis.calls("get"), gets);
    }
    assert_eq!(other.get("/a").await.text(), TEXT);
    assert_eq!(
        one.get("/a").await.outcome(),
        "hit",
        "the whole took its place"
    );
    assert_eq!(origin.count(), 2);
}

#[tokio::test]
async fn a_damaged_part_is_a_miss() {
    let origin = Origin::start(|asked| async move { document(&asked, TEXT, &owned(TAGGED)) }).await;
    let redis = RedisServer::start();
    let cache = Cache {
        sidecar: on(&redis, &origin).await,
        origin,
    };
    cache.range("bytes=0-4").await;
    let key = "rfc9111:http:a";
    let keys = redis.say("KEYS *");
    let key = keys
        .split_whitespace()
        .find(|name| name.contains(key) && !name.contains('*'))
        .unwrap_or_else(|| panic!("the entry among {keys}"));
    assert!(cache.holds(0..=4).await);
    redis.ask(&[b"SETRANGE", key.as_bytes(), b"40", b"damage"]);
    assert!(!cache.holds(0..=4).await);
    assert_eq!(cache.get("/a").await.text(), TEXT);
    assert_eq!(cache.origin.last().header("range"), None);
}

#[tokio::test]
async fn a_range_fetch_that_brings_the_whole_keeps_the_whole() {
    let lines = owned(TAGGED);
    let cache = Cache::before(move |_, nth| match nth {
        1 => lines.iter().fold(
            Reply::of(200, "text/plain", TEXT),
            |reply, (name, value)| reply.header(name, value),
        ),
        _ => part(TEXT, 0..=0),
    })
    .await;
    assert_eq!(cache.range("bytes=0-4").await.status, 200);
    assert_eq!(cache.get("/a").await.outcome(), "hit");
    assert!(cache.holds(0..=4).await);
}

use super::document::{TAGGED, TEXT, cache, document, part};
use super::world::{Cache, Lines, owned};
use crate::world::{Origin, Reply};

/// A cache that asked for these ranges of `/a`, each of which came with lines of its own.
async fn after(asked: Vec<(&'static str, Vec<(&'static str, &'static str)>)>) -> Cache {
    let lines: Vec<_> = asked.iter().map(|(_, lines)| owned(lines)).collect();
    let cache = Cache::before(move |asked, nth| {
        let lines = lines.get(nth - 1).or(lines.last()).expect("lines");
        document(asked, TEXT, lines)
    })
    .await;
    for (range, _) in asked {
        // Whatever is kept of it, it is asked for.
        let anew = [("range", range), ("cache-control", "no-cache")];
        assert_eq!(cache.get_with("/a", &anew).await.status, 206);
    }
    cache
}

fn fresh(lines: &[(&'static str, &'static str)]) -> Vec<(&'static str, &'static str)> {
    [&[("cache-control", "max-age=3600")], lines].concat()
}

#[tokio::test]
async fn parts_with_one_strong_tag_are_joined() {
    let cache = cache(TAGGED).await;
    for range in ["bytes=0-4", "bytes=10-14", "bytes=5-9", "bytes=16-17"] {
        cache.range(range).await;
    }
    assert_eq!(cache.origin.count(), 4);
    for held in [0..=14, 4..=10, 9..=9, 16..=17, 14..=14] {
        assert!(cache.holds(held.clone()).await, "{held:?}");
    }
    for missing in [14..=16, 15..=15, 17..=18, 0..=19] {
        assert!(!cache.holds(missing.clone()).await, "{missing:?}");
    }
    cache.range("bytes=12-18").await; // over what is held, and a gap
    assert!(cache.holds(0..=18).await && !cache.holds(18..=19).await);
}

#[tokio::test]
async fn parts_that_are_all_there_is_are_the_whole() {
    let newer = fresh(&[("etag", "\"a\""), ("x-new", "1")]);
    let older = fresh(&[("etag", "\"a\""), ("x-old", "1"), ("x-new", "0")]);
    let cache = after(vec![("bytes=10-", older), ("bytes=0-11", newer)]).await;
    let whole = cache.get("/a").await;
    assert_eq!((whole.status, whole.outcome()), (200, "hit"));
    assert_eq!(whole.text(), TEXT);
    assert_eq!(whole.header("content-length"), Some("20"));
    assert_eq!(whole.header("content-range"), None);
    let said = [whole.header("x-old"), whole.header("x-new")];
    assert_eq!(said, [Some("1"), Some("1")], "what is newer replaces");
    assert_eq!(cache.sidecar.ask("HEAD", "/a", &[], "").await.status, 200);
    assert_eq!(cache.origin.count(), 2);
}

#[tokio::test]
async fn parts_of_which_that_is_not_certain_stand_alone() {
    let day = "Sun, 06 Nov 1994 08:49:37 GMT";
    let gzip = ("content-encoding", "gzip");
    let rows = [
        (fresh(&[]), fresh(&[])),
        (fresh(&[("etag", "\"a\"")]), fresh(&[("etag", "\"b\"")])),
        (fresh(&[("etag", "\"a\"")]), fresh(&[])),
        (fresh(&[]), fresh(&[("etag", "\"a\"")])),
        (fresh(&[("etag", "W/\"a\"")]), fresh(&[("etag", "W/\"a\"")])),
        (fresh(&[("etag", "W/\"a\"")]), fresh(&[("etag", "\"a\"")])),
        (fresh(&[("etag", "a")]), fresh(&[("etag", "a")])),
        (
            fresh(&[("last-modified", day)]),
            fresh(&[("last-modified", day)]),
        ),
        (
            fresh(&[("etag", "\"a\"")]),
            fresh(&[("etag", "\"a\""), gzip]),
        ),
    ];
    for (older, newer) in rows {
        let what = format!("{older:?}, {newer:?}");
        let cache = after(vec![("bytes=0-9", older), ("bytes=10-19", newer)]).await;
        assert!(cache.holds(10..=19).await, "{what}");
        assert!(
            !cache.holds(0..=9).await && !cache.holds(9..=10).await,
            "{what}"
        );
        assert_eq!(cache.get("/a").await.outcome(), "miss", "{what}");
    }
}

#[tokio::test]
async fn parts_that_belie_each_other_are_not_joined() {
    let other = "0123456789xBCDEFGHIJ";
    for (second, span) in [(other, 10..=19), (&TEXT[..19], 10..=18)] {
        let (lines, second) = (owned(TAGGED), second.to_owned());
        let cache = Cache::before(move |asked, nth| match nth {
            1 => document(asked, TEXT, &lines),
            _ => document(asked, &second, &lines),
        })
        .await;
        cache.range("bytes=0-10").await;
        let range = format!("bytes={}-{}", span.start(), span.end());
        let anew = cache.get_with("/a", &[("range", &range)]).await;
        assert_eq!((anew.status, anew.outcome()), (206, "miss"));
        assert!(!cache.holds(0..=10).await && !cache.holds(0..=1).await);
        assert_ne!(cache.get("/a").await.outcome(), "hit");
    }
}

#[tokio::test]
async fn a_whole_is_completed_by_asking_for_the_rest() {
    let rows: [(&[&str], &str); 5] = [
        (&["bytes=0-4"], "bytes=5-"),
        (&["bytes=-5"], "bytes=0-14"),
        (&["bytes=0-4", "bytes=15-"], "bytes=5-14"),
        (&["bytes=0-4", "bytes=10-14"], "bytes=5-"),
        (&["bytes=0-1", "bytes=4-5", "bytes=18-"], "bytes=2-17"),
    ];
    for method in ["GET", "HEAD"] {
        for (ranges, rest) in rows {
            let cache = cache(TAGGED).await;
            for range in ranges {
                cache.range(range).await;
            }
            let whole = cache.sidecar.ask(method, "/a", &[], "").await;
            assert_eq!(whole.status, 200);
            assert_eq!(whole.cache_status(), "sidecache; fwd=partial; stored");
            assert_eq!(whole.header("content-length"), Some("20"));
            assert_eq!(whole.header("content-range"), None);
            let last = cache.origin.last();
            assert_eq!(
                (last.method.as_str(), last.header("range")),
                ("GET", Some(rest))
            );
            assert_eq!(last.header("if-range"), Some("\"a\""));
            let kept = cache.get("/a").await;
            assert_eq!((kept.outcome(), &*kept.text()), ("hit", TEXT));
            assert_eq!(cache.origin.count(), ranges.len() + 1);
        }
    }
}

#[tokio::test]
async fn what_is_completed_is_as_fresh_as_the_rest_says() {
    let rows: [(Lines, bool); 4] = [
        (&[("cache-control", "max-age=60"), ("age", "50")], true),
        (&[("cache-control", "max-age=60"), ("age", "70")], false),
        (&[("cache-control", "no-store")], false),
        (
            &[("cache-control", "max-age=60"), ("set-cookie", "a=b")],
            false,
        ),
    ];
    for (lines, is_hit) in rows {
        let (first, rest) = (owned(TAGGED), owned(&[lines, &TAGGED[1..]].concat()));
        let cache = Cache::before(move |asked, nth| match nth {
            1 => document(asked, TEXT, &first),
            _ => document(asked, TEXT, &rest),
        })
        .await;
        cache.range("bytes=0-4").await;
        let whole = cache.get("/a").await;
        assert_eq!((whole.status, &*whole.text()), (200, TEXT));
        let cookie = lines.iter().find(|(name, _)| *name == "set-cookie");
        assert_eq!(whole.header("set-cookie"), cookie.map(|(_, value)| *value));
        let again = cache.get("/a").await;
        assert_eq!(again.outcome() == "hit", is_hit, "{lines:?}");
        // A second may pass meanwhile, not ten: it is counted from what the rest said.
        let age = again.header("age").and_then(|age| age.parse().ok());
        assert!(!is_hit || (50..60).contains(&age.unwrap_or(0)), "{lines:?}");
    }
}

#[tokio::test]
async fn an_answer_that_changed_is_the_new_one_alone() {
    let new = "a new text altogether";
    let cache = Cache::before(move |asked, nth| match nth {
        1 => document(asked, TEXT, &owned(TAGGED)),
        _ => document(asked, new, &owned(&fresh(&[("etag", "\"b\"")]))),
    })
    .await;
    cache.range("bytes=0-4").await;
    let whole = cache.get("/a").await;
    assert_eq!((whole.status, &*whole.text()), (200, new));
    let part = cache.range("bytes=0-4").await;
    assert_eq!((part.outcome(), &*part.text()), ("hit", "a new"));
    assert_eq!(cache.origin.count(), 2);
}

#[tokio::test]
async fn nothing_is_completed_that_cannot_be_or_is_not_wanted() {
    let rows: [(Lines, &str, Lines); 7] = [
        (&TAGGED[..1], "bytes=0-4", &[]),
        (&[TAGGED[0], ("etag", "W/\"a\"")], "bytes=0-4", &[]),
        (TAGGED, "bytes=5-6", &[]), // all but the middle is no rest
        (TAGGED, "bytes=0-19", &[]),
        (TAGGED, "bytes=0-4", &[("cache-control", "no-cache")]),
        (TAGGED, "bytes=0-4", &[("cache-control", "no-store")]),
        (TAGGED, "bytes=0-4", &[("if-none-match", "\"b\"")]),
    ];
    for (lines, range, demand) in rows {
        let cache = cache(lines).await;
        cache.range(range).await;
        let whole = cache.get_with("/a", demand).await;
        assert_eq!((whole.status, &*whole.text()), (200, TEXT));
        let last = cache.origin.last();
        assert_eq!(last.header("range"), None, "{lines:?} {range} {demand:?}");
        assert_eq!(last.header("if-range"), None);
    }
}

#[tokio::test]
async fn no_more_is_kept_than_max_entry_and_eight_spans() {
    let origin = Origin::start(|asked| async move { document(&asked, TEXT, &owned(TAGGED)) }).await;
    let sidecar = Cache::sidecar(&origin, |text| {
        text.replace("max_entry = \"4MiB\"", "max_entry = \"12B\"")
    })
    .await;
    let cache = Cache { origin, sidecar };
    cache.range("bytes=0-7").await;
    cache.range("bytes=8-9").await;
    assert!(cache.holds(0..=9).await);
    cache.range("bytes=10-15").await;
    assert!(cache.holds(10..=15).await && !cache.holds(0..=9).await);
    cache.range("bytes=0-12").await;
    assert!(!cache.holds(0..=12).await, "more than one entry may have");
    assert_eq!(cache.get("/a").await.text(), TEXT);
    assert_eq!(
        cache.origin.last().header("range"),
        None,
        "it would not be kept"
    );

    let cache = self::cache(TAGGED).await;
    for at in 0..8 {
        cache.range(&format!("bytes={0}-{0}", 2 * at)).await;
    }
    assert!(cache.holds(0..=0).await && cache.holds(14..=14).await);
    cache.range("bytes=16-16").await;
    assert!(cache.holds(16..=16).await && !cache.holds(0..=0).await);
}

#[tokio::test]
async fn a_rest_that_does_not_fit_is_not_used_and_the_whole_is_asked_for() {
    let lie = |range: &'static str, text: &str| {
        let headers = owned(TAGGED);
        let reply = Reply::of(206, "text/plain", text).header("content-range", range);
        headers
            .iter()
            .fold(reply, |reply, (name, value)| reply.header(name, value))
    };
    let tagged = |tag: Option<&str>| {
        let reply = part(TEXT, 5..=19).header("cache-control", "max-age=3600");
        tag.into_iter()
            .fold(reply, |reply, tag| reply.header("etag", tag))
    };
    let rows = [
        ("another tag", tagged(Some("\"b\""))),
        ("a weak tag", tagged(Some("W/\"a\""))),
        ("no tag", tagged(None)),
        ("less", lie("bytes 5-9/20", &TEXT[5..10])),
        ("more", lie("bytes 4-19/20", &TEXT[4..])),
        ("something else", lie("bytes 0-14/20", &TEXT[..15])),
        ("shorter than said", lie("bytes 5-19/20", &TEXT[5..15])),
        ("longer than said", lie("bytes 5-19/20", "56789ABCDEFGHIJK")),
        ("of another length", lie("bytes 5-19/21", &TEXT[5..])),
        ("of no length", lie("bytes 5-19/*", &TEXT[5..])),
        (
            "of what cannot be",
            lie("bytes 5-20/20", "56789ABCDEFGHIJK"),
        ),
        (
            "several ranges",
            lie("bytes 5-19/20", &TEXT[5..]).header("content-range", "bytes 0-1/20"),
        ),
        (
            "in parts",
            Reply::of(206, "multipart/byteranges; boundary=b", "--b--").header("etag", "\"a\""),
        ),
        (
            "nothing",
            Reply::of(416, "text/plain", "").header("content-range", "bytes */20"),
        ),
    ];
    for (what, rest) in rows {
        let cache = Cache::before(move |asked, _| match asked.header("if-range") {
            Some(_) => rest.clone(),
            None => document(asked, TEXT, &owned(TAGGED)),
        })
        .await;
        cache.range("bytes=0-4").await;
        for outcome in ["miss", "hit"] {
            let whole = cache.get("/a").await;
            assert_eq!((whole.status, whole.outcome()), (200, outcome), "{what}");
            assert_eq!(whole.text(), TEXT, "{what}");
        }
        let ranges: Vec<_> = cache.origin.asked();
        let ranges: Vec<_> = ranges.iter().map(|asked| asked.header("range")).collect();
        assert_eq!(
            ranges,
            [Some("bytes=0-4"), Some("bytes=5-"), None],
            "{what}"
        );
    }
}

use super::world::{Cache, Lines};
use crate::world::Reply;

const BODY: &str = "01234567890123456789";

async fn kept() -> Cache {
    let cache = Cache::before(|_, _| {
        Reply::of(200, "text/plain", BODY)
            .header("cache-control", "max-age=3600")
            .header("etag", "\"a\"")
    })
    .await;
    assert_eq!(cache.get("/a").await.text(), BODY);
    cache
}

#[tokio::test]
async fn parts_of_a_kept_whole_are_served_from_it() {
    let cache = kept().await;
    for (range, part, content_range) in [
        ("bytes=0-1", "01", "bytes 0-1/20"),
        ("bytes=15-", "56789", "bytes 15-19/20"),
        ("bytes=-3", "789", "bytes 17-19/20"),
        ("bytes=18-99", "89", "bytes 18-19/20"),
    ] {
        let got = cache.get_with("/a", &[("range", range)]).await;
        assert_eq!((got.status, got.outcome()), (206, "hit"), "{range}");
        assert_eq!(
            (&*got.text(), got.header("content-range")),
            (part, Some(content_range))
        );
        assert_eq!(got.header("etag"), Some("\"a\""));
    }
    let several = cache.get_with("/a", &[("range", "bytes=0-1,-1")]).await;
    assert_eq!(several.status, 206);
    let boundary = several
        .header("content-type")
        .and_then(|kind| kind.split_once("boundary="));
    let (_, boundary) = boundary.expect("a boundary");
    assert_eq!(several.text().matches(boundary).count(), 3);
    assert_eq!(cache.origin.count(), 1);
}

#[tokio::test]
async fn what_lies_behind_the_end_is_416_and_conditions_come_first() {
    let cache = kept().await;
    let rows: [(Lines, u16); 6] = [
        (&[("range", "bytes=20-")], 416),
        (&[("range", "bytes=0-1"), ("if-none-match", "\"a\"")], 304),
        (&[("range", "bytes=0-1"), ("if-range", "\"a\"")], 206),
        (&[("range", "bytes=0-1"), ("if-range", "\"b\"")], 200),
        (&[("range", "lines=0-1")], 200),
        (&[("range", "bytes=1-0")], 200),
    ];
    for (lines, status) in rows {
        assert_eq!(
            cache.get_with("/a", lines).await.status,
            status,
            "{lines:?}"
        );
    }
    let behind = cache.get_with("/a", &[("range", "bytes=20-")]).await;
    assert_eq!(behind.header("content-range"), Some("bytes */20"));
    let head = cache
        .sidecar
        .ask("HEAD", "/a", &[("range", "bytes=0-1")], "")
        .await;
    assert_eq!(head.status, 200);
    assert_eq!(cache.origin.count(), 1);
}

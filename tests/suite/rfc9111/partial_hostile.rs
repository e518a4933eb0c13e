use super::document::{TAGGED, TEXT, document, part};
use super::world::{Cache, owned};
use crate::world::{Origin, Reply};
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// A fresh reply with a strong tag: nothing but its range speaks against keeping it.
fn tagged(reply: Reply) -> Reply {
    let headers = owned(TAGGED);
    headers
        .iter()
        .fold(reply, |reply, (name, value)| reply.header(name, value))
}

fn lie(range: &str, text: &str) -> Reply {
    tagged(Reply::of(206, "text/plain", text).header("content-range", range))
}

#[tokio::test]
async fn a_206_that_is_not_what_was_asked_for_is_passed_on_and_never_kept() {
    let multipart = "multipart/byteranges; boundary=b";
    let rows = [
        ("shorter than said", lie("bytes 0-9/20", "01234")),
        ("longer than said", lie("bytes 0-4/20", "0123456789")),
        ("another range", tagged(part(TEXT, 10..=19))),
        ("a later range", tagged(part(TEXT, 1..=9))),
        ("more than asked for", tagged(part(TEXT, 0..=10))),
        ("of no length", lie("bytes 0-9/*", "0123456789")),
        ("beyond its length", lie("bytes 0-9/9", "0123456789")),
        ("backwards", lie("bytes 9-0/20", "0123456789")),
        ("unsatisfied", lie("bytes */20", "0123456789")),
        ("signed", lie("bytes +0-9/20", "0123456789")),
        ("negative", lie("bytes -0-9/20", "0123456789")),
        ("without a unit", lie("0-9/20", "0123456789")),
        ("of another unit", lie("lines 0-9/20", "0123456789")),
        (
            "too long for a number",
            lie("bytes 0-9/99999999999999999999999", "0123456789"),
        ),
        (
            "two lists in one",
            lie("bytes 0-9/20, bytes 0-9/20", "0123456789"),
        ),
        (
            "two lines",
            lie("bytes 0-9/20", "0123456789").header("content-range", "bytes 0-9/20"),
        ),
        (
            "no range at all",
            tagged(Reply::of(206, "text/plain", "0123456789")),
        ),
        (
            "in parts",
            tagged(Reply::of(
                206,
                multipart,
                "--b\r\nContent-Range: bytes 0-9/20\r\n\r\n0123456789\r\n--b--",
            )),
        ),
    ];
    for (what, reply) in rows {
        let (told, body) = (reply.clone(), reply.body.clone());
        let cache = Cache::before(move |asked, _| match asked.header("range") {
            Some(_) => told.clone(),
            None => document(asked, TEXT, &owned(TAGGED)),
        })
        .await;
        let got = cache.range("bytes=0-9").await;
        assert_eq!((got.status, &got.body), (206, &body), "{what}");
        assert_eq!(got.headers.get_all("content-range").iter().count(), {
            let lines = reply.headers.iter();
            lines.filter(|(name, _)| name == "content-range").count()
        });
        for range in ["bytes=0-9", "bytes=0-0", "bytes=10-19", "bytes=-1"] {
            let lines = [("range", range), ("cache-control", "only-if-cached")];
            let kept = cache.get_with("/a", &lines).await;
            assert_eq!(kept.status, 504, "{what}: {range}");
        }
        let whole = cache.get("/a").await;
        assert_eq!((whole.status, &*whole.text()), (200, TEXT), "{what}");
        assert_eq!(cache.origin.last().header("range"), None, "{what}");
    }
}

#[tokio::test]
async fn the_beginning_of_what_was_asked_for_is_kept_as_that() {
    let cache = Cache::before(|_, _| tagged(part(TEXT, 0..=4))).await;
    assert_eq!(cache.range("bytes=0-9").await.text(), "01234");
    assert!(cache.holds(0..=4).await && !cache.holds(0..=5).await);
}

#[tokio::test]
async fn a_206_that_nobody_asked_for_is_passed_on_and_never_kept() {
    for method in ["GET", "HEAD"] {
        let cache = Cache::before(|_, _| tagged(part(TEXT, 0..=19))).await;
        for _ in 0..2 {
            let got = cache.sidecar.ask(method, "/a", &[], "").await;
            assert_eq!((got.status, got.detail()), (206, Some("range")), "{method}");
        }
        assert!(!cache.holds(0..=19).await);
    }
}

#[tokio::test]
async fn what_else_is_said_to_a_range_is_not_kept_for_those_who_ask_for_all() {
    for status in [200, 400, 403, 404, 410, 416, 501] {
        for rest in [false, true] {
            let said = tagged(Reply::of(status, "text/plain", "x"));
            let said = said.header("content-range", "bytes */20");
            let cache = Cache::before(move |asked, nth| match asked.header("range") {
                Some(_) if nth > usize::from(rest) => said.clone(),
                _ => document(asked, TEXT, &owned(TAGGED)),
            })
            .await;
            if rest {
                assert_eq!(cache.range("bytes=0-4").await.status, 206);
            } else {
                let got = cache.range("bytes=0-4").await;
                assert_eq!((got.status, got.detail()), (status, Some("range")));
            }
            let whole = cache.get("/a").await;
            assert_eq!((whole.status, &*whole.text()), (200, TEXT), "{status}");
        }
    }
}

#[tokio::test]
async fn the_answer_to_if_range_is_not_kept_for_those_who_know_nothing_yet() {
    let cache = Cache::before(|_, _| {
        let terse = part(TEXT, 0..=4).header("cache-control", "max-age=3600");
        terse.header("etag", "\"a\"")
    })
    .await;
    let theirs = [("range", "bytes=0-4"), ("if-range", "\"a\"")];
    let got = cache.get_with("/a", &theirs).await;
    assert_eq!((got.status, got.outcome()), (206, "bypass"));
    assert!(!cache.holds(0..=4).await);
}

/// An origin that says the same to everybody, and then closes.
async fn closing(said: String) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut asked = [0; 4096];
            let _ = stream.read(&mut asked).await;
            let _ = stream.write_all(said.as_bytes()).await;
        }
    });
    address
}

#[tokio::test]
async fn a_206_that_breaks_off_or_ends_with_its_connection_is_not_kept() {
    let head = "HTTP/1.1 206 Partial Content\r\nCache-Control: max-age=3600\r\nETag: \"a\"\r\n\
                Content-Range: bytes 0-9/20\r\n";
    for (what, rest) in [
        ("sized", "Content-Length: 10\r\n\r\n01234"),
        (
            "chunked",
            "Transfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n",
        ),
        ("until it closes", "Connection: close\r\n\r\n0123456789"),
        (
            "with trailers",
            "Transfer-Encoding: chunked\r\nTrailer: x-a\r\n\r\na\r\n0123456789\r\n0\r\nx-a: 1\r\n\r\n",
        ),
        (
            "of less than said",
            "Transfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n0\r\n\r\n",
        ),
    ] {
        let address = closing(format!("{head}{rest}")).await;
        let stand_in = Origin::start(|_| async { Reply::of(500, "text/plain", "") }).await;
        let from = stand_in.address.to_string();
        let sidecar =
            Cache::sidecar(&stand_in, |text| text.replace(&from, &address.to_string())).await;
        let range =
            "GET /a HTTP/1.1\r\nHost: api.test\r\nRange: bytes=0-9\r\nConnection: close\r\n";
        let heard = crate::raw::talk(sidecar.address(), format!("{range}\r\n").as_bytes()).await;
        assert!(heard.starts_with("HTTP/1.1 206"), "{what}: {heard}");
        let again = format!("{range}Cache-Control: only-if-cached\r\n\r\n");
        let heard = crate::raw::talk(sidecar.address(), again.as_bytes()).await;
        assert!(heard.starts_with("HTTP/1.1 504"), "{what}: {heard}");
    }
}

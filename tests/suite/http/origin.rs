//! What an origin may say that makes no sense: its client hears of it, nobody keeps it, and the next
//! answer is not touched by it.

use super::sidecar;
use crate::raw::{head, talk};
use crate::redis::{RedisServer, eventually};
use crate::world::{self, Sidecar};
use std::net::SocketAddr;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

const RULES: &str = r#"
[[cache]]
name = "kept"
match = "GET /kept/{row}"
key = "kept:{row}"
query = []
ttl = "5m"
public = true
"#;

const CLEAN: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nclean";

/// An origin that says `bytes` to whoever asks for anything but `/clean`, and then perhaps closes.
async fn saying(bytes: &'static [u8], closes: bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            tokio::spawn(async move {
                while let Some(asked) = head(&mut stream).await {
                    let is_clean = asked.starts_with("GET /clean ");
                    let answer = if is_clean { CLEAN.as_bytes() } else { bytes };
                    let _ = stream.write_all(answer).await; // we may have closed
                    if closes && !is_clean {
                        return;
                    }
                }
            });
        }
    });
    address
}

async fn get(sidecar: &Sidecar, target: &str) -> String {
    let get = format!("GET {target} HTTP/1.1\r\nHost: api.test\r\nConnection: close\r\n\r\n");
    talk(sidecar.address(), get.as_bytes()).await
}

#[tokio::test]
async fn what_is_no_answer_is_told_as_such_and_leaves_no_trace() {
    let rows: [(&str, &[u8], bool, &str); 12] = [
        (
            "NUL in a value",
            b"HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 2\r\n\r\nok",
            false,
            "502",
        ),
        (
            "NUL in a name",
            b"HTTP/1.1 200 OK\r\nX\0: a\r\nContent-Length: 2\r\n\r\nok",
            false,
            "502",
        ),
        (
            "a bare CR in a value",
            b"HTTP/1.1 200 OK\r\nX: a\rb\r\nContent-Length: 2\r\n\r\nok",
            false,
            "502",
        ),
        (
            "a space before the colon",
            b"HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok",
            false,
            "502",
        ),
        (
            "the end in mid-head",
            b"HTTP/1.1 200 OK\r\nContent-Le",
            true,
            "502",
        ),
        ("the end before the head", b"", true, "502"),
        ("nothing, ever", b"", false, "504"),
        (
            "half a head, ever",
            b"HTTP/1.1 200 OK\r\nContent-Le",
            false,
            "504",
        ),
        ("another protocol", b"SSH-2.0-OpenSSH_9.2\r\n", false, "502"),
        ("HTTP/0.9", b"<html>", true, "502"),
        (
            "a status of four digits",
            b"HTTP/1.1 2000 OK\r\nContent-Length: 2\r\n\r\nok",
            false,
            "502",
        ),
        (
            "chunks in HTTP/1.0",
            b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            false,
            "502",
        ),
    ];
    for (row, bytes, closes, status) in rows {
        let origin = saying(bytes, closes).await;
        let settings = format!("origin_timeout = \"1s\"\n{RULES}");
        let sidecar = sidecar(origin, &settings).await;
        for target in ["/passed", "/kept/row"] {
            for _ in 0..2 {
                let heard = get(&sidecar, target).await;
                assert!(
                    heard.starts_with(&format!("HTTP/1.1 {status} ")),
                    "{row} {target}: {heard}"
                );
                assert!(!heard.contains("; hit"), "{row}: {heard}");
            }
            assert!(get(&sidecar, "/clean").await.ends_with("clean"), "{row}");
        }
    }
}

#[tokio::test]
async fn an_answer_to_another_question_is_passed_on_and_never_kept() {
    let rows: [(&str, &[u8], &str); 4] = [
        ("a part that nobody asked for", b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-1/9\r\nContent-Length: 2\r\n\r\nok", "206"),
        ("not modified, which nobody asked", b"HTTP/1.1 304 Not Modified\r\nETag: \"e\"\r\n\r\n", "304"),
        ("no content, with some", b"HTTP/1.1 204 No Content\r\nContent-Length: 6\r\n\r\nstolen", "204"),
        ("a range that nobody asked for", b"HTTP/1.1 416 Range Not Satisfiable\r\nContent-Range: bytes */9\r\nContent-Length: 0\r\n\r\n", "416"),
    ];
    for (row, bytes, status) in rows {
        let sidecar = sidecar(saying(bytes, false).await, RULES).await;
        for target in ["/passed", "/kept/row", "/kept/row"] {
            let heard = get(&sidecar, target).await;
            assert!(
                heard.starts_with(&format!("HTTP/1.1 {status} ")),
                "{row} {target}: {heard}"
            );
            assert!(
                !heard.contains("; hit") && !heard.contains("stolen"),
                "{row}: {heard}"
            );
            let clean = get(&sidecar, "/clean").await;
            assert!(clean.ends_with("clean"), "{row}: {clean}");
        }
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_seen_to_and_never_kept() {
    let rows: [(&str, &[u8]); 5] = [
        (
            "short of its length",
            b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok",
        ),
        (
            "no last chunk",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n",
        ),
        (
            "in mid-chunk",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nok",
        ),
        (
            "a chunk without its end",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nokay\r\n0\r\n\r\n",
        ),
        (
            "in the trailers",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX: ",
        ),
    ];
    for (row, bytes) in rows {
        let sidecar = sidecar(saying(bytes, true).await, RULES).await;
        for target in ["/passed", "/kept/row", "/kept/row"] {
            let heard = get(&sidecar, target).await;
            assert!(
                !heard.ends_with("0\r\n\r\n"),
                "{row} {target} looks whole: {heard}"
            );
            assert!(
                !heard.contains("content-length: 2\r\n"),
                "{row} {target} looks whole: {heard}"
            );
            assert!(!heard.contains("; hit"), "{row}: {heard}");
        }
        assert!(get(&sidecar, "/clean").await.ends_with("clean"), "{row}");
    }
}

#[tokio::test]
async fn a_write_whose_answer_breaks_off_drops_now_and_once_more_when_its_lease_ends() {
    let redis = RedisServer::start();
    let broken = b"HTTP/1.1 200 OK\r\nContent-Le";
    let head = world::head(saying(broken, true).await, &redis.url())
        .replace("origin_timeout = \"5s\"", "origin_timeout = \"1s\"")
        .replace("[store]", "[store]\nwrite_lease = \"4s\"");
    let rules = "[[cache]]\nname = \"clean\"\nmatch = \"GET /clean\"\nkey = \"clean\"\nquery = []\nttl = \"5m\"\npublic = true\n\
        [[invalidate]]\nname = \"change\"\non = \"POST /change\"\ndrop = [\"clean\"]\n";
    let sidecar = Sidecar::with_file(&format!("{head}{rules}")).await;
    let is_kept = async || sidecar.get("/clean").await.outcome() == "hit";
    eventually("it is kept", is_kept).await;
    let write = sidecar.ask("POST", "/change", &[], "").await;
    assert_eq!(write.status, 502);
    assert!(!is_kept().await, "it is dropped now");
    eventually("it is kept again", is_kept).await;
    eventually("it is dropped again", async || !is_kept().await).await;
    eventually("and kept for good", is_kept).await;
}

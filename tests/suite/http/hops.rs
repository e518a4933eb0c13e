//! How far a request goes, and from whom it comes.

use super::{connected, say, sidecar, until_closed};
use crate::raw::talk;
use crate::world::{Asked, Origin, Reply};

async fn hello() -> Origin {
    Origin::start(|_: Asked| async move { Reply::of(200, "text/plain", "hello") }).await
}

#[tokio::test]
async fn a_request_whose_hops_are_used_up_is_answered_here() {
    let origin = hello().await;
    let sidecar = sidecar(origin.address, "").await;
    for (method, left, status, forwarded) in [
        ("OPTIONS", "0", "200", None),
        ("TRACE", "0", "501", None),
        ("OPTIONS", "1", "200", Some("0")),
        ("TRACE", "7", "200", Some("6")),
        ("TRACE", "many", "200", Some("many")),
        ("GET", "0", "200", Some("0")),
    ] {
        let before = origin.count();
        let bytes = format!(
            "{method} /p HTTP/1.1\r\nHost: api.test\r\nCookie: secret\r\nMax-Forwards: {left}\r\nConnection: close\r\n\r\n"
        );
        let heard = talk(sidecar.address(), bytes.as_bytes()).await;
        assert!(
            heard.starts_with(&format!("HTTP/1.1 {status} ")),
            "{method} {left}: {heard}"
        );
        assert!(!heard.contains("secret"), "{heard}");
        assert_eq!(
            origin.count() - before,
            usize::from(forwarded.is_some()),
            "{method} {left}"
        );
        if forwarded.is_some() {
            assert_eq!(origin.last().header("max-forwards"), forwarded);
        }
    }
    let star =
        b"OPTIONS * HTTP/1.1\r\nHost: api.test\r\nMax-Forwards: 0\r\nConnection: close\r\n\r\n";
    let heard = talk(sidecar.address(), star).await;
    assert!(
        heard.starts_with("HTTP/1.1 200 ") && heard.contains("content-length: 0"),
        "{heard}"
    );
}

#[tokio::test]
async fn an_answer_to_head_has_a_length_and_no_body() {
    let origin = hello().await;
    let sidecar = sidecar(origin.address, "").await;
    let mut stream = connected(&sidecar).await;
    say(&mut stream, "HEAD /p HTTP/1.1\r\nHost: api.test\r\n\r\nHEAD /q HTTP/1.1\r\nHost: api.test\r\nConnection: close\r\n\r\n").await;
    let heard = until_closed(&mut stream).await;
    assert_eq!(heard.matches("HTTP/1.1 200 ").count(), 2, "{heard}");
    assert_eq!(heard.matches("content-length: 5\r\n").count(), 2, "{heard}");
    assert!(!heard.contains("hello"), "{heard}");
}

//! Raw bytes to the proxy: what is ambiguous is refused and the connection closed, what is unusual
//! reaches the origin written anew.

use crate::redis::PATIENCE;
use crate::world::{Asked, Origin, Reply, Sidecar};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

const RULES: &str = r#"
[[cache]]
name = "kept"
match = "GET /kept"
key = "kept"
query = []
ttl = "5m"
public = true

[[cache]]
name = "suggestion"
match = "POST /suggestion"
key = "ai:{body.symptoms}"
body = ["symptoms"]
ttl = "5m"
public = true

[[invalidate]]
name = "written"
on = "POST /write"
drop = ["ai:{body.symptoms}", "kept"]
"#;

/// A whole request that would be seen at the origin if anybody took it for one.
const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: api.test\r\nConnection: close\r\n\r\n";

/// Sends bytes and hears everything until the connection closes.
pub async fn talk(to: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(to).await.expect("somebody listens");
    let _ = stream.write_all(bytes).await; // who refuses early stops reading
    until_closed(&mut stream).await
}

/// Hears everything until the connection closes; a reset closes it too.
pub async fn until_closed(stream: &mut TcpStream) -> String {
    let mut heard = Vec::new();
    let _ = timeout(PATIENCE, stream.read_to_end(&mut heard))
        .await
        .unwrap_or_else(|_| panic!("still open after {}", String::from_utf8_lossy(&heard)));
    String::from_utf8_lossy(&heard).into_owned()
}

/// Hears until the text ends as wanted.
pub async fn until(stream: &mut TcpStream, end: &str) -> String {
    let mut heard = Vec::new();
    let hearing = async {
        while !String::from_utf8_lossy(&heard).ends_with(end) {
            let byte = stream.read_u8().await;
            let byte =
                byte.unwrap_or_else(|_| panic!("closed after {}", String::from_utf8_lossy(&heard)));
            heard.push(byte);
        }
    };
    timeout(PATIENCE, hearing).await.expect("an answer in time");
    String::from_utf8_lossy(&heard).into_owned()
}

async fn world() -> (Origin, Sidecar) {
    let origin = Origin::start(|asked: Asked| async move {
        match asked.target.as_str() {
            "/nothing" => Reply::of(204, "text/plain", ""),
            _ => Reply::of(200, "text/plain", "answer").header("etag", "\"e\""),
        }
    })
    .await;
    let sidecar = Sidecar::start(&origin, "memory:", RULES).await;
    (origin, sidecar)
}

/// How many answers there are in what a connection said.
fn answers(heard: &str) -> usize {
    heard.matches("HTTP/1.1 ").count()
}

/// Each of these is answered 400 and nothing else, and the origin hears of nothing.
async fn refused(rows: &[(&str, &[u8])]) {
    let (origin, sidecar) = world().await;
    let mut let_through = Vec::new();
    for (name, bytes) in rows {
        let before = origin.count();
        let whole = [*bytes, SMUGGLED.as_bytes()].concat();
        let heard = talk(sidecar.address(), &whole).await;
        let is_refused = heard.starts_with("HTTP/1.1 400 ") && answers(&heard) == 1;
        if !is_refused || origin.count() > before {
            let_through.push((name, heard));
        }
    }
    assert!(let_through.is_empty(), "{let_through:#?}");
}

#[tokio::test]
async fn a_length_that_parsers_read_differently_is_refused() {
    refused(&[
        ("two lengths", b"POST /p HTTP/1.1\r\nHost: api.test\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd"),
        ("two lengths in a list", b"POST /p HTTP/1.1\r\nHost: api.test\r\nContent-Length: 3, 4\r\n\r\nabcd"),
        ("the same length in a list", b"POST /p HTTP/1.1\r\nHost: api.test\r\nContent-Length: 3, 3\r\n\r\nabc"),
        ("a plus sign", b"POST /p HTTP/1.1\r\nHost: api.test\r\nContent-Length: +3\r\n\r\nabc"),
        ("a minus sign", b"POST /p HTTP/1.1\r\nHost: api.test\r\nContent-Length: -3\r\n\r\nabc"),
        ("a space within", b"POST /p HTTP/1.1\r\nHost: api.test\r\nContent-Length: 3 4\r\n\r\nabc"),
        ("hexadecimal", b"POST /p HTTP/1.1\r\nHost: api.test\r\nContent-Length: 0x3\r\n\r\nabc"),
        ("a fraction", b"POST /p HTTP/1.1\r\nHost: api.test\r\nContent-Length: 3.0\r\n\r\nabc"),
        ("empty", b"POST /p HTTP/1.1\r\nHost: api.test\r\nContent-Length:\r\n\r\nabc"),
        ("more than 64 bits", b"POST /p HTTP/1.1\r\nHost: api.test\r\nContent-Length: 99999999999999999999999\r\n\r\nabc"),
    ])
    .await;
}

#[tokio::test]
async fn a_message_that_ends_in_two_places_is_refused() {
    refused(&[
        ("both framings", b"POST /p HTTP/1.1\r\nHost: api.test\r\nContent-Length: 30\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"),
        ("both, the other way round", b"POST /p HTTP/1.1\r\nHost: api.test\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n3\r\nabc\r\n0\r\n\r\n"),
        ("one length, said twice", b"POST /p HTTP/1.1\r\nHost: api.test\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc"),
        ("a bare LF ends the request line", b"GET /p HTTP/1.1\nHost: api.test\r\n\r\n"),
        ("a bare LF ends a header", b"GET /p HTTP/1.1\r\nHost: api.test\nX-Y: 1\r\n\r\n"),
        ("a bare LF ends the head", b"GET /p HTTP/1.1\r\nHost: api.test\r\n\n"),
    ])
    .await;
}

#[tokio::test]
async fn a_transfer_coding_other_than_chunked_is_refused() {
    refused(&[
        ("misspelt", b"POST /p HTTP/1.1\r\nHost: api.test\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
        ("identity", b"POST /p HTTP/1.1\r\nHost: api.test\r\nTransfer-Encoding: identity\r\n\r\n"),
        ("chunked not last", b"POST /p HTTP/1.1\r\nHost: api.test\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n"),
        ("a coding under chunked", b"POST /p HTTP/1.1\r\nHost: api.test\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
        ("chunked twice in a list", b"POST /p HTTP/1.1\r\nHost: api.test\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"),
        ("chunked twice in lines", b"POST /p HTTP/1.1\r\nHost: api.test\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        ("identity in a line before", b"POST /p HTTP/1.1\r\nHost: api.test\r\nTransfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        ("a vertical tab", b"POST /p HTTP/1.1\r\nHost: api.test\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n"),
        ("quoted", b"POST /p HTTP/1.1\r\nHost: api.test\r\nTransfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n"),
        ("a parameter", b"POST /p HTTP/1.1\r\nHost: api.test\r\nTransfer-Encoding: chunked;a=b\r\n\r\n0\r\n\r\n"),
        ("empty", b"POST /p HTTP/1.1\r\nHost: api.test\r\nTransfer-Encoding:\r\n\r\n0\r\n\r\n"),
        ("in HTTP/1.0", b"POST /p HTTP/1.0\r\nHost: api.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        ("misspelt beside a length", b"POST /p HTTP/1.1\r\nHost: api.test\r\nContent-Length: 3\r\nTransfer-Encoding: xchunked\r\n\r\nabc"),
    ])
    .await;
}

#[tokio::test]
async fn a_head_that_is_not_clean_is_refused() {
    refused(&[
        (
            "a space before the colon",
            b"GET /p HTTP/1.1\r\nHost : api.test\r\n\r\n",
        ),
        (
            "a space before the colon of a length",
            b"POST /p HTTP/1.1\r\nHost: api.test\r\nContent-Length : 3\r\n\r\nabc",
        ),
        (
            "a space within a name",
            b"GET /p HTTP/1.1\r\nHost: api.test\r\nX Y: 1\r\n\r\n",
        ),
        (
            "an empty name",
            b"GET /p HTTP/1.1\r\nHost: api.test\r\n: 1\r\n\r\n",
        ),
        (
            "no colon",
            b"GET /p HTTP/1.1\r\nHost: api.test\r\nX-Y\r\n\r\n",
        ),
        (
            "a name with a parenthesis",
            b"GET /p HTTP/1.1\r\nHost: api.test\r\nX(Y: 1\r\n\r\n",
        ),
        (
            "a name beyond ASCII",
            b"GET /p HTTP/1.1\r\nHost: api.test\r\nX\xc3\xa9: 1\r\n\r\n",
        ),
        (
            "a folded line",
            b"GET /p HTTP/1.1\r\nHost: api.test\r\nX-Y: 1\r\n 2\r\n\r\n",
        ),
        (
            "a folded first line",
            b"GET /p HTTP/1.1\r\n X-Y: 1\r\nHost: api.test\r\n\r\n",
        ),
        (
            "NUL in a value",
            b"GET /p HTTP/1.1\r\nHost: api.test\r\nX-Y: a\0b\r\n\r\n",
        ),
        (
            "a bare CR in a value",
            b"GET /p HTTP/1.1\r\nHost: api.test\r\nX-Y: a\rb\r\n\r\n",
        ),
        (
            "a bare CR ends a line",
            b"GET /p HTTP/1.1\r\nHost: api.test\rX-Y: b\r\n\r\n",
        ),
        (
            "a control character in a value",
            b"GET /p HTTP/1.1\r\nHost: api.test\r\nX-Y: a\x01b\r\n\r\n",
        ),
        (
            "NUL in the target",
            b"GET /p\0 HTTP/1.1\r\nHost: api.test\r\n\r\n",
        ),
        (
            "a space in the target",
            b"GET /a b HTTP/1.1\r\nHost: api.test\r\n\r\n",
        ),
        (
            "a tab after the method",
            b"GET\t/p HTTP/1.1\r\nHost: api.test\r\n\r\n",
        ),
        ("no version", b"GET /p\r\nHost: api.test\r\n\r\n"),
        (
            "a version that is none",
            b"GET /p HTTP/1.x\r\nHost: api.test\r\n\r\n",
        ),
        ("HTTP/3.0", b"GET /p HTTP/3.0\r\nHost: api.test\r\n\r\n"),
        (
            "a lower-case version",
            b"GET /p http/1.1\r\nHost: api.test\r\n\r\n",
        ),
        (
            "a method with a bracket",
            b"G[T /p HTTP/1.1\r\nHost: api.test\r\n\r\n",
        ),
        (
            "a backslash for a slash",
            b"GET \\p HTTP/1.1\r\nHost: api.test\r\n\r\n",
        ),
        (
            "a relative target",
            b"GET p HTTP/1.1\r\nHost: api.test\r\n\r\n",
        ),
        (
            "bytes beyond ASCII in the target",
            b"GET /\xc3\xa9 HTTP/1.1\r\nHost: api.test\r\n\r\n",
        ),
        (
            "a name for a target",
            b"GET api.test:80 HTTP/1.1\r\nHost: api.test\r\n\r\n",
        ),
        (
            "a scheme that is not ours",
            b"GET ftp://api.test/p HTTP/1.1\r\nHost: api.test\r\n\r\n",
        ),
        (
            "a star for GET",
            b"GET * HTTP/1.1\r\nHost: api.test\r\n\r\n",
        ),
    ])
    .await;
}

#[tokio::test]
async fn a_host_that_is_not_exactly_one_is_refused() {
    refused(&[
        ("missing", b"GET /p HTTP/1.1\r\n\r\n"),
        ("empty", b"GET /p HTTP/1.1\r\nHost:\r\n\r\n"),
        (
            "twice the same",
            b"GET /p HTTP/1.1\r\nHost: api.test\r\nHost: api.test\r\n\r\n",
        ),
        (
            "two",
            b"GET /p HTTP/1.1\r\nHost: api.test\r\nHost: other.test\r\n\r\n",
        ),
        (
            "a list",
            b"GET /p HTTP/1.1\r\nHost: api.test, other.test\r\n\r\n",
        ),
        (
            "user information",
            b"GET /p HTTP/1.1\r\nHost: user@api.test\r\n\r\n",
        ),
        ("a path", b"GET /p HTTP/1.1\r\nHost: api.test/path\r\n\r\n"),
        ("a query", b"GET /p HTTP/1.1\r\nHost: api.test?x\r\n\r\n"),
        ("a fragment", b"GET /p HTTP/1.1\r\nHost: api.test#x\r\n\r\n"),
        ("a space", b"GET /p HTTP/1.1\r\nHost: api test\r\n\r\n"),
        (
            "a port that is none",
            b"GET /p HTTP/1.1\r\nHost: api.test:http\r\n\r\n",
        ),
        (
            "two ports",
            b"GET /p HTTP/1.1\r\nHost: api.test:80:80\r\n\r\n",
        ),
        (
            "a port too large",
            b"GET /p HTTP/1.1\r\nHost: api.test:65536\r\n\r\n",
        ),
        (
            "no name before the port",
            b"GET /p HTTP/1.1\r\nHost: :80\r\n\r\n",
        ),
        ("an open bracket", b"GET /p HTTP/1.1\r\nHost: [::1\r\n\r\n"),
        (
            "bytes beyond ASCII",
            b"GET /p HTTP/1.1\r\nHost: api.t\xc3\xa9st\r\n\r\n",
        ),
        (
            "missing beside an absolute target",
            b"GET http://api.test/p HTTP/1.1\r\n\r\n",
        ),
        (
            "user information in the target",
            b"GET http://user@api.test/p HTTP/1.1\r\nHost: api.test\r\n\r\n",
        ),
    ])
    .await;
}

#[tokio::test]
async fn connect_is_refused_and_nothing_behind_it_is_carried_out() {
    let (origin, sidecar) = world().await;
    let bytes = format!("CONNECT api.test:443 HTTP/1.1\r\nHost: api.test\r\n\r\n{SMUGGLED}");
    let heard = talk(sidecar.address(), bytes.as_bytes()).await;
    assert!(heard.starts_with("HTTP/1.1 501 "), "{heard}");
    assert_eq!((answers(&heard), origin.count()), (1, 0));
}

#[tokio::test]
async fn an_over_large_head_is_refused() {
    let (origin, sidecar) = world().await;
    let long = "x".repeat(600 * 1024);
    let many: String = (0..200).map(|n| format!("X-{n}: 1\r\n")).collect();
    let target = "x".repeat(70 * 1024);
    let method = "G".repeat(100);
    let rows = [
        (
            "a long method",
            format!("{method} /p HTTP/1.1\r\nHost: api.test\r\n\r\n"),
            "501",
        ),
        (
            "a long header",
            format!("GET /p HTTP/1.1\r\nHost: api.test\r\nX: {long}\r\n\r\n"),
            "431",
        ),
        (
            "many headers",
            format!("GET /p HTTP/1.1\r\nHost: api.test\r\n{many}\r\n"),
            "431",
        ),
        (
            "a long target",
            format!("GET /{target} HTTP/1.1\r\nHost: api.test\r\n\r\n"),
            "414",
        ),
    ];
    for (name, bytes, status) in rows {
        let heard = talk(sidecar.address(), bytes.as_bytes()).await;
        assert!(
            heard.starts_with(&format!("HTTP/1.1 {status} ")),
            "{name}: {heard}"
        );
        assert_eq!(origin.count(), 0, "{name}");
    }
}

/// What a row's origin saw, and what the client heard.
type Check = fn(&Asked, &str) -> bool;

/// Each of these reaches the origin once and is answered whole.
async fn forwarded(rows: &[(&str, &[u8], Check)]) {
    let (origin, sidecar) = world().await;
    let mut wrong = Vec::new();
    for (name, bytes, check) in rows {
        let before = origin.count();
        let heard = talk(sidecar.address(), bytes).await;
        let asked = origin.asked().split_off(before);
        if asked.len() != 1 || !heard.ends_with("answer") || !check(&asked[0], &heard) {
            wrong.push((name, asked, heard));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn what_is_unusual_is_written_anew() {
    forwarded(&[
        ("chunked in capitals, chunks with extensions", b"POST /p HTTP/1.1\r\nHost: api.test\r\nConnection: close\r\nTransfer-Encoding: CHUNKED\r\n\r\n3;a=b\r\nabc\r\n0\r\n\r\n",
            |asked, _| asked.body == "abc"),
        ("an absolute target counts before Host", b"GET http://other.test/p?q HTTP/1.1\r\nHost: api.test\r\nConnection: close\r\n\r\n",
            |asked, _| asked.target == "/p?q" && asked.header("host") == Some("other.test")),
        ("an absolute target without a path", b"GET http://api.test HTTP/1.1\r\nHost: api.test\r\nConnection: close\r\n\r\n",
            |asked, _| asked.target == "/"),
        ("a fragment is not part of a target", b"GET /p#x HTTP/1.1\r\nHost: api.test\r\nConnection: close\r\n\r\n",
            |asked, _| asked.target == "/p"),
        ("dots and doubled slashes stay as they are", b"GET //a/../b/./%2e%2f HTTP/1.1\r\nHost: api.test\r\nConnection: close\r\n\r\n",
            |asked, _| asked.target == "//a/../b/./%2e%2f"),
        ("a body on GET", b"GET /kept HTTP/1.1\r\nHost: api.test\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc",
            |asked, heard| asked.body == "abc" && heard.contains("detail=unkeyed-body")),
        ("a chunked body on GET", b"GET /kept HTTP/1.1\r\nHost: api.test\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
            |asked, heard| asked.body == "abc" && heard.contains("detail=unkeyed-body")),
        ("an empty line before the request", b"\r\nGET /p HTTP/1.1\r\nHost: api.test\r\nConnection: close\r\n\r\n",
            |asked, _| asked.target == "/p"),
        ("HTTP/1.0 without Host, closed after the answer", b"GET /p HTTP/1.0\r\n\r\n",
            |asked, heard| asked.target == "/p" && heard.starts_with("HTTP/1.0 200")),
        ("an upgrade is not passed on", b"GET /p HTTP/1.1\r\nHost: api.test\r\nConnection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n\r\n",
            |asked, _| ["upgrade", "http2-settings", "connection"].iter().all(|name| asked.header(name).is_none())),
        ("what Connection names goes no further", b"GET /p HTTP/1.1\r\nHost: api.test\r\nConnection: close, X-Foo\r\nX-Foo: 1\r\nKeep-Alive: 5\r\nProxy-Connection: keep-alive\r\nTE: trailers\r\nX-Bar: 2\r\n\r\n",
            |asked, _| ["x-foo", "keep-alive", "proxy-connection", "te"].iter().all(|name| asked.header(name).is_none()) && asked.header("x-bar") == Some("2")),
        ("repeated headers keep their order", b"GET /p HTTP/1.1\r\nHost: api.test\r\nConnection: close\r\nX-A: 1\r\nX-B: 0\r\nX-A: 2\r\nX-A: 3\r\n\r\n",
            |asked, _| asked.headers.get_all("x-a").iter().eq(["1", "2", "3"])),
        ("bytes beyond ASCII in a value", b"GET /p HTTP/1.1\r\nHost: api.test\r\nConnection: close\r\nX-A: \xc3\xa9\xff\r\n\r\n",
            |asked, _| asked.headers["x-a"].as_bytes() == b"\xc3\xa9\xff"),
        ("white space around a value", b"GET /p HTTP/1.1\r\nHost: api.test\r\nConnection: close\r\nX-A: \t 1 \t\r\n\r\n",
            |asked, _| asked.header("x-a") == Some("1")),
        ("a star for OPTIONS", b"OPTIONS * HTTP/1.1\r\nHost: api.test\r\nConnection: close\r\n\r\n",
            |asked, _| asked.target == "*"),
        ("a method of nobody's", b"BREW /p HTTP/1.1\r\nHost: api.test\r\nConnection: close\r\n\r\n",
            |asked, _| asked.method == "BREW"),
    ])
    .await;
}

#[tokio::test]
async fn a_request_body_that_breaks_ends_in_400_and_a_closed_connection() {
    let head =
        "Host: api.test\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunks = [
        ("no size", "\r\n{}\r\n0\r\n\r\n"),
        ("a size that is none", "xyz\r\n{}\r\n0\r\n\r\n"),
        ("a negative size", "-2\r\n{}\r\n0\r\n\r\n"),
        ("a size with a prefix", "0x2\r\n{}\r\n0\r\n\r\n"),
        (
            "a size of more than 64 bits",
            "fffffffffffffffff\r\n{}\r\n0\r\n\r\n",
        ),
        ("a bare LF after the size", "2\n{}\r\n0\r\n\r\n"),
        ("a bare LF in an extension", "2;a\n{}\r\n0\r\n\r\n"),
        ("no CRLF after the data", "2\r\n{}0\r\n\r\n"),
        ("a chunk longer than its size", "2\r\n{}}\r\n0\r\n\r\n"),
        ("a folded trailer", "2\r\n{}\r\n0\r\nX: 1\r\n y\r\n\r\n"),
    ];
    let (origin, sidecar) = world().await;
    let mut wrong = Vec::new();
    for path in ["/pass", "/write", "/suggestion"] {
        for (name, body) in chunks {
            let bytes = format!("POST {path} HTTP/1.1\r\n{head}{body}{SMUGGLED}");
            let heard = talk(sidecar.address(), bytes.as_bytes()).await;
            if !heard.starts_with("HTTP/1.1 400 ") || answers(&heard) != 1 {
                wrong.push((path, name, heard));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(
        origin
            .asked()
            .iter()
            .all(|asked| asked.target != "/smuggled")
    );
}

#[tokio::test]
async fn requests_in_one_packet_are_answered_in_their_order() {
    let (origin, sidecar) = world().await;
    let get =
        |target: &str, rest: &str| format!("GET {target} HTTP/1.1\r\nHost: api.test\r\n{rest}\r\n");
    let post = "POST /suggestion HTTP/1.1\r\nHost: api.test\r\nContent-Type: application/json\r\nContent-Length: 16\r\n\r\n{\"symptoms\":\"a\"}";
    let bytes = [
        get("/nothing", ""),
        post.to_owned(),
        get("/kept", ""),
        get("/kept", "If-None-Match: \"e\"\r\n"),
        get("/kept", "").replace("GET", "HEAD"),
        get("/last", "Connection: close\r\n"),
    ]
    .concat();
    let heard = talk(sidecar.address(), bytes.as_bytes()).await;
    let statuses: Vec<&str> = heard
        .match_indices("HTTP/1.1 ")
        .map(|(at, _)| &heard[at + 9..at + 12])
        .collect();
    assert_eq!(
        statuses,
        ["204", "200", "200", "304", "200", "200"],
        "{heard}"
    );
    assert_eq!(heard.matches("\r\n\r\nanswer").count(), 3, "{heard}");
    let targets: Vec<String> = origin
        .asked()
        .into_iter()
        .map(|asked| asked.target)
        .collect();
    assert_eq!(targets, ["/nothing", "/suggestion", "/kept", "/last"]);
}

#[tokio::test]
async fn an_old_client_keeps_its_connection_only_where_it_says_so() {
    let (origin, sidecar) = world().await;
    let mut stream = TcpStream::connect(sidecar.address())
        .await
        .expect("listens");
    let get = "GET /p HTTP/1.0\r\nHost: api.test\r\nConnection: keep-alive\r\n\r\n";
    stream.write_all(get.as_bytes()).await.expect("sent");
    let heard = until(&mut stream, "answer").await;
    assert!(
        heard.to_lowercase().contains("connection: keep-alive"),
        "{heard}"
    );
    stream
        .write_all(b"GET /q HTTP/1.0\r\nHost: api.test\r\n\r\n")
        .await
        .expect("sent");
    assert!(until_closed(&mut stream).await.ends_with("answer"));
    assert_eq!(origin.count(), 2);
}

#[tokio::test]
async fn who_expects_to_be_told_to_continue_is_told() {
    let (origin, sidecar) = world().await;
    for path in ["/pass", "/write", "/suggestion"] {
        let mut stream = TcpStream::connect(sidecar.address())
            .await
            .expect("listens");
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: api.test\r\nContent-Type: application/json\r\nContent-Length: 16\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.expect("sent");
        let told = until(&mut stream, "\r\n\r\n").await;
        assert!(told.starts_with("HTTP/1.1 100 "), "{path}: {told}");
        stream
            .write_all(b"{\"symptoms\":\"a\"}")
            .await
            .expect("sent");
        let heard = until_closed(&mut stream).await;
        assert!(
            heard.starts_with("HTTP/1.1 200 ") && heard.ends_with("answer"),
            "{path}: {heard}"
        );
        assert_eq!(origin.last().body, "{\"symptoms\":\"a\"}", "{path}");
    }
}

/// An origin that answers each bodiless request on a connection with the bytes written for its
/// target, and keeps the connection.
async fn raw_origin(script: fn(&str) -> &'static str) -> (SocketAddr, Heads) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let heads = Heads::default();
    let seen = heads.clone();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let seen = seen.clone();
            tokio::spawn(async move {
                while let Some(head) = head(&mut stream).await {
                    let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
                    seen.lock().expect("not poisoned").push(head);
                    let _ = stream.write_all(script(&target).as_bytes()).await;
                }
            });
        }
    });
    (address, heads)
}

type Heads = Arc<Mutex<Vec<String>>>;

/// The next head on a connection; `None` where it ends first.
pub async fn head(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        bytes.push(stream.read_u8().await.ok()?);
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// Asks for each target on a connection of its own.
async fn each(to: SocketAddr, targets: &[&str]) -> Vec<String> {
    let mut heard = Vec::new();
    for target in targets {
        let get = format!("GET {target} HTTP/1.1\r\nHost: api.test\r\nConnection: close\r\n\r\n");
        heard.push(talk(to, get.as_bytes()).await);
    }
    heard
}

#[tokio::test]
async fn bytes_that_an_origin_says_too_much_never_reach_the_next_answer() {
    let (origin, _) = raw_origin(|target| match target {
        "/surplus" => "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen",
        "/surplus-204" => "HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen",
        "/surplus-304" => "HTTP/1.1 304 Not Modified\r\nContent-Length: 6\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen",
        "/surplus-chunked" => "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen",
        "/both" => "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen",
        "/lengths" => "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 6\r\n\r\nstolen",
        "/sign" => "HTTP/1.1 200 OK\r\nContent-Length: +6\r\n\r\nstolen",
        "/chunk" => "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nstolen\r\n0\r\n\r\n",
        "/folded" => "HTTP/1.1 200 OK\r\nX: 1\r\n stolen\r\nContent-Length: 2\r\n\r\nok",
        "/switch" => "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nstolen",
        _ => "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nclean",
    })
    .await;
    let sidecar = Sidecar::with_file(&format!("{}{RULES}", head_of(origin))).await;
    let whole = [
        "/surplus",
        "/surplus-204",
        "/surplus-304",
        "/surplus-chunked",
    ];
    let broken = ["/both", "/lengths", "/sign", "/folded", "/switch"];
    for target in whole.iter().chain(&broken).chain(&["/chunk"]) {
        let heard = each(sidecar.address(), &[target, "/clean", "/clean"]).await;
        assert!(!heard.concat().contains("stolen"), "{target}: {heard:#?}");
        assert!(answers(&heard[0]) <= 1, "{target}: {heard:#?}");
        assert!(
            heard[1].ends_with("clean") && heard[2].ends_with("clean"),
            "{target}: {heard:#?}"
        );
        if broken.contains(target) {
            assert!(
                heard[0].starts_with("HTTP/1.1 502 "),
                "{target}: {heard:#?}"
            );
        }
    }
    let truncated = each(sidecar.address(), &["/chunk"]).await.concat();
    assert!(
        !truncated.ends_with("0\r\n\r\n"),
        "a truncated answer is seen as one: {truncated}"
    );
}

#[tokio::test]
async fn what_concerns_the_connection_to_the_origin_stays_there() {
    let (origin, heads) = raw_origin(|_| {
        "HTTP/1.1 200 OK\r\nX-A: 1\r\nConnection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nProxy-Connection: x\r\nUpgrade: h2c\r\nX-B: 0\r\nX-A: 2\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 2\r\n\r\nok"
    })
    .await;
    let sidecar = Sidecar::with_file(&format!("{}{RULES}", head_of(origin))).await;
    let heard = each(sidecar.address(), &["/pass", "/kept"]).await;
    for answer in heard {
        let answer = answer.to_lowercase();
        for name in ["x-hop:", "keep-alive:", "proxy-connection:", "upgrade:"] {
            assert!(!answer.contains(name), "{name} {answer}");
        }
        let at = |line: &str| {
            answer
                .find(line)
                .unwrap_or_else(|| panic!("{line} in {answer}"))
        };
        assert!(at("x-a: 1\r\n") < at("x-a: 2\r\n"));
        assert!(at("set-cookie: a=1\r\n") < at("set-cookie: b=2\r\n"));
    }
    let heads = heads.lock().expect("not poisoned").concat().to_lowercase();
    assert!(
        !heads.contains("connection:") && !heads.contains("transfer-encoding:"),
        "{heads}"
    );
}

#[tokio::test]
async fn trailers_pass_both_ways() {
    let (origin, _) = raw_origin(|_| {
        "HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 7\r\n\r\n"
    })
    .await;
    let sidecar = Sidecar::with_file(&format!("{}{RULES}", head_of(origin))).await;
    let get = b"GET /kept HTTP/1.1\r\nHost: api.test\r\nConnection: close\r\nTE: trailers\r\n\r\n";
    for _ in 0..2 {
        let heard = talk(sidecar.address(), get).await.to_lowercase();
        assert!(
            heard.ends_with("2\r\nok\r\n0\r\nx-sum: 7\r\n\r\n"),
            "{heard}"
        );
        assert!(!heard.contains("; hit"), "trailers are not kept: {heard}");
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let origin = listener.local_addr().expect("an address");
    let sidecar = Sidecar::with_file(&format!("{}{RULES}", head_of(origin))).await;
    let post = b"POST /p HTTP/1.1\r\nHost: api.test\r\nConnection: close\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 7\r\n\r\n";
    let client = tokio::spawn(async move { talk(sidecar.address(), post).await });
    let (mut asked, _) = listener.accept().await.expect("a connection");
    let sent = until(&mut asked, "0\r\nx-sum: 7\r\n\r\n").await;
    assert!(sent.contains("2\r\nok\r\n"), "{sent}");
    asked
        .write_all(b"HTTP/1.1 204 No Content\r\n\r\n")
        .await
        .expect("sent");
    assert!(client.await.expect("no panic").starts_with("HTTP/1.1 204"));
}

#[tokio::test]
async fn trailers_that_nobody_announced_are_left_out_and_the_body_is_whole() {
    let (origin, _) = raw_origin(
        |_| "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 7\r\n\r\n",
    )
    .await;
    let sidecar = Sidecar::with_file(&format!("{}{RULES}", head_of(origin))).await;
    for target in ["/p", "/kept"] {
        let get = format!(
            "GET {target} HTTP/1.1\r\nHost: api.test\r\nConnection: close\r\nTE: trailers\r\n\r\n"
        );
        let heard = talk(sidecar.address(), get.as_bytes()).await;
        assert!(heard.ends_with("2\r\nok\r\n0\r\n\r\n"), "{heard}");
        assert!(!heard.contains("; hit"), "not kept without them: {heard}");
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let origin = listener.local_addr().expect("an address");
    let sidecar = Sidecar::with_file(&format!("{}{RULES}", head_of(origin))).await;
    let post = b"POST /p HTTP/1.1\r\nHost: api.test\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 7\r\nContent-Length: 9\r\n\r\n";
    let client = tokio::spawn(async move { talk(sidecar.address(), post).await });
    let (mut asked, _) = listener.accept().await.expect("a connection");
    let sent = until(&mut asked, "2\r\nok\r\n0\r\n\r\n").await;
    assert!(!sent.contains("x-sum"), "{sent}");
    asked
        .write_all(b"HTTP/1.1 204 No Content\r\n\r\n")
        .await
        .expect("sent");
    assert!(client.await.expect("no panic").starts_with("HTTP/1.1 204"));
}

fn head_of(origin: SocketAddr) -> String {
    crate::world::head(origin, "memory:")
}

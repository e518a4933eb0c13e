//! Requests by which one caller could get an answer shaped by another, or one from before a write.

use crate::world::{Asked, Origin, Reply, Sidecar, eventually, head};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, Semaphore};

/// Reads count; what the origin saw of some headers is in the body.
async fn echo() -> Origin {
    let count = Arc::new(AtomicI64::new(0));
    Origin::start(move |asked: Asked| {
        let n = count.fetch_add(1, Ordering::SeqCst) + 1;
        async move {
            let saw = |name| asked.header(name).unwrap_or("-").to_owned();
            let text = serde_json::json!({
                "n": n, "target": asked.target, "proto": saw("x-forwarded-proto"),
                "prefix": saw("x-forwarded-prefix"), "evil": saw("x-evil"),
                "body": String::from_utf8_lossy(&asked.body),
            });
            let reply = Reply::json(text.to_string());
            let reply = match asked.header("x-location") {
                Some(location) => reply.header("location", location),
                None => reply,
            };
            match asked.target.starts_with("/vary") {
                true => reply.header("vary", "X-Forwarded-Proto, Host"),
                false => reply,
            }
        }
    })
    .await
}

/// Kept twice: a miss, then a hit.
async fn filled(sidecar: &Sidecar, target: &str, headers: &[(&str, &str)]) {
    sidecar.get_with(target, headers).await;
    let again = sidecar.get_with(target, headers).await;
    assert_eq!(again.outcome(), "hit", "{target}");
}

fn rule(name: &str, route: &str, key: &str, more: &str) -> String {
    format!(
        "[[cache]]\nname = \"{name}\"\nmatch = \"{route}\"\nkey = \"{key}\"\nttl = \"5m\"\nquery = []\npublic = true\n{more}\n"
    )
}

fn set(name: &str, on: &str, drop: &str) -> String {
    format!("[[invalidate]]\nname = \"{name}\"\non = \"{on}\"\ndrop = [\"{drop}\"]\n")
}

/// An origin that says exactly these bytes to each connection's first request, then, after
/// `until`, closes it.
async fn raw_origin(says: &'static [u8], until: Arc<Notify>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let until = until.clone();
            tokio::spawn(async move {
                let mut head = [0; 4096];
                let _ = stream.read(&mut head).await;
                let _ = stream.write_all(says).await;
                until.notified().await;
            });
        }
    });
    address
}

#[tokio::test]
async fn what_an_observed_rule_kept_is_never_served_once_the_rule_is_on() {
    let origin = echo().await;
    let file = |stage: &str| {
        let more = format!("stage = \"{stage}\"");
        format!(
            "{}{}",
            head(origin.address, "memory:"),
            rule("r", "GET /x/{id}", "x:{id}", &more)
        )
    };
    let sidecar = Sidecar::with_file(&file("observe")).await;
    let theirs = sidecar
        .get_with("/x/1?evil=1", &[("x-evil", "yes"), ("cookie", "a=b")])
        .await;
    assert!(
        theirs.text().contains("yes"),
        "the client's own request passes"
    );
    sidecar.reload(&file("on")).expect("good rules");
    let ours = sidecar.get("/x/1").await;
    assert_eq!(ours.outcome(), "miss");
    assert!(!ours.text().contains("yes"), "{}", ours.text());
}

#[tokio::test]
async fn a_drop_that_joins_or_filters_values_otherwise_than_the_key_forgets_more_and_not_less() {
    let origin = echo().await;
    let cases = [
        (
            "GET /k/{role}/{mail}",
            "k:{role}-{mail}",
            "k:SUPER_ADMIN-{body.mail}",
        ),
        ("GET /k/{role}/{mail}", "k:{role}-{mail}", "k:{body.both}"),
        (
            "GET /k/{role}/{mail}",
            "k:{role}:{mail | lower}",
            "k:{body.role}:{body.mail}",
        ),
        (
            "GET /k/{role}/{mail}",
            "k:{role}:{mail | hash}",
            "k:{body.role}:{body.mail}",
        ),
        ("GET /k/{role}/{mail}", "k:x.{role}:{mail}", "k:{body.x}:*"),
    ];
    for (route, key, drop) in cases {
        let rules = rule("r", route, key, "") + &set("s", "POST /change", drop);
        let sidecar = Sidecar::start(&origin, "memory:", &rules).await;
        filled(&sidecar, "/k/SUPER_ADMIN/Ann@x.org", &[]).await;
        let body = r#"{"role": "SUPER_ADMIN", "mail": "Ann@x.org", "both": "SUPER_ADMIN-Ann@x.org", "x": "x.SUPER_ADMIN"}"#;
        sidecar.ask("POST", "/change", &[], body).await;
        let read = sidecar.get("/k/SUPER_ADMIN/Ann@x.org").await;
        assert_eq!(read.outcome(), "miss", "{key} {drop}");
    }
}

#[tokio::test]
async fn a_number_that_parsers_print_differently_widens_the_drop() {
    let origin = echo().await;
    let rules = rule("r", "GET /n/{id}", "n:{id}", "") + &set("s", "POST /change", "n:{body.id}");
    let sidecar = Sidecar::start(&origin, "memory:", &rules).await;
    for (number, printed) in [
        ("12345678901234567890", "12345678901234567000"),
        ("0.000001", "0.000001"),
        ("1e21", "1e+21"),
        ("42.0", "42"),
        ("42", "42"),
    ] {
        let target = format!("/n/{printed}");
        filled(&sidecar, &target, &[]).await;
        let body = format!("{{\"id\": {number}}}");
        sidecar.ask("POST", "/change", &[], &body).await;
        assert_eq!(sidecar.get(&target).await.outcome(), "miss", "{number}");
    }
}

#[tokio::test]
async fn a_head_on_a_get_that_a_set_names_is_a_write() {
    let origin = echo().await;
    let rules = rule("r", "GET /x", "x:{query}", "") + &set("pay", "GET /pay/ipn", "x:*");
    let sidecar = Sidecar::start(&origin, "memory:", &rules).await;
    filled(&sidecar, "/x", &[]).await;
    let written = sidecar.ask("HEAD", "/pay/ipn", &[], "").await;
    assert_eq!(written.outcome(), "write");
    assert_eq!(sidecar.get("/x").await.outcome(), "miss");
}

#[tokio::test]
async fn a_write_that_outlives_its_rules_drops_what_the_present_ones_keep() {
    let gate = Arc::new(Semaphore::new(0));
    let value = Arc::new(AtomicI64::new(0));
    let (opened, shared) = (gate.clone(), value.clone());
    let origin = Origin::start(move |asked: Asked| {
        let (gate, value) = (opened.clone(), shared.clone());
        async move {
            if asked.method != "GET" {
                let _passed = gate.acquire().await.expect("open");
                value.fetch_add(1, Ordering::SeqCst);
            }
            Reply::json(format!("{{\"n\": {}}}", value.load(Ordering::SeqCst)))
        }
    })
    .await;
    let file = |drop: &str| {
        let rules = rule("r", "GET /x/{id}", "a:b:{id}", "") + &set("s", "POST /change", drop);
        let proxy =
            head(origin.address, "memory:").replace("[proxy]", "[proxy]\nauto_invalidate = false");
        format!("{proxy}{rules}")
    };
    let sidecar = Arc::new(Sidecar::with_file(&file("a:b:*")).await);
    let write = tokio::spawn({
        let sidecar = sidecar.clone();
        async move { sidecar.ask("POST", "/change", &[], "").await }
    });
    eventually("the origin has the write", async || origin.count() == 1).await;
    sidecar.reload(&file("a:*")).expect("good rules");
    assert_eq!(sidecar.get("/x/1").await.n(), 0);
    assert_eq!(sidecar.get("/x/1").await.outcome(), "hit");
    gate.add_permits(1);
    assert_eq!(write.await.expect("a write").status, 200);
    assert_eq!(sidecar.get("/x/1").await.n(), 1);
}

#[tokio::test]
async fn an_encoded_slash_in_the_rest_of_a_path_is_not_a_slash() {
    let origin = echo().await;
    let rules =
        rule("r", "GET /f/{rest*}", "f:{rest}", "") + &set("s", "POST /g/{rest*}", "f:{rest}");
    let sidecar = Sidecar::start(&origin, "memory:", &rules).await;
    let theirs = sidecar.get("/f/a%2Fb").await;
    assert_eq!(theirs.detail(), Some("unkeyed-path"));
    filled(&sidecar, "/f/a/b", &[]).await;
    assert!(sidecar.get("/f/a/b").await.text().contains("/f/a/b"));
    sidecar.ask("POST", "/g/a%2fb", &[], "").await;
    assert_eq!(sidecar.get("/f/a/b").await.outcome(), "miss");
}

#[tokio::test]
async fn header_bytes_that_are_not_utf_8_stay_apart_in_keys() {
    let origin = echo().await;
    let rules = rule("r", "GET /h", "h:{header.x-evil}", "");
    let sidecar = Sidecar::start(&origin, "memory:", &rules).await;
    let mut outcomes = Vec::new();
    for byte in [b"\xff", b"\xfe", b"\xff"] {
        let mut stream = TcpStream::connect(sidecar.address())
            .await
            .expect("a connection");
        let mut request =
            b"GET /h HTTP/1.1\r\nhost: api.test\r\nconnection: close\r\nx-evil: ".to_vec();
        request.extend_from_slice(byte);
        request.extend_from_slice(b"\r\n\r\n");
        stream.write_all(&request).await.expect("sent");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.expect("answered");
        outcomes.push(String::from_utf8_lossy(&answer).contains("sidecache; hit"));
    }
    assert_eq!(outcomes, [false, false, true]);
}

#[tokio::test]
async fn a_variant_is_made_from_what_the_origin_is_told_of_the_way() {
    let origin = echo().await;
    let rules = rule("v", "GET /vary", "v:{query}", "")
        + &rule("k", "GET /keyed", "k:{header.x-forwarded-proto}", "")
        + &rule("all", "GET /all", "all:{query}", "forward = \"all\"");
    let sidecar = Sidecar::start(&origin, "memory:", &rules).await;
    for target in ["/vary", "/keyed"] {
        // A stranger is told as http, whatever he says, so he fills and finds the answer for http.
        let theirs = sidecar
            .get_with(target, &[("x-forwarded-proto", "https")])
            .await;
        assert!(
            theirs.text().contains(r#""proto":"http""#),
            "{}",
            theirs.text()
        );
        assert_eq!(sidecar.get(target).await.outcome(), "hit", "{target}");
    }
    let theirs = sidecar
        .get_with("/all", &[("x-forwarded-prefix", "/evil")])
        .await;
    assert!(!theirs.text().contains("/evil"), "{}", theirs.text());
}

/// With `forward = "all"` the other headers of one client go along, but not who he is.
#[tokio::test]
async fn no_credential_goes_along_to_an_answer_for_everybody() {
    let origin = echo().await;
    let key = "all:{cookie.lang}";
    let rules = rule("all", "GET /all", key, "forward = \"all\"");
    let sidecar = Sidecar::start(&origin, "memory:", &rules).await;
    let ann = [
        ("authorization", "ann"),
        ("cookie", "sid=ann; lang=en"),
        ("x-evil", "yes"),
    ];
    filled(&sidecar, "/all", &ann).await;
    let asked = origin.last();
    let sent = ["authorization", "cookie", "x-evil"].map(|name| asked.header(name));
    assert_eq!(sent, [None, Some("lang=en"), Some("yes")]);
}

#[tokio::test]
async fn a_vary_by_host_does_not_send_two_hosts() {
    let origin = echo().await;
    let sidecar =
        Sidecar::start(&origin, "memory:", &rule("v", "GET /vary", "v:{query}", "")).await;
    for _ in 0..2 {
        sidecar.get_with("/vary", &[("host", "API.test")]).await;
    }
    let hosts = |asked: &Asked| asked.headers.get_all("host").iter().count();
    assert!(origin.asked().iter().all(|asked| hosts(asked) == 1));
}

#[tokio::test]
async fn an_answer_that_ends_with_its_connection_is_not_kept() {
    let close = Arc::new(Notify::new());
    let says = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{\"n\": 1}";
    let address = raw_origin(says, close.clone()).await;
    let file = head(address, "memory:") + &rule("r", "GET /x", "x:{query}", "");
    let sidecar = Sidecar::with_file(&file).await;
    for _ in 0..2 {
        close.notify_one();
        let got = sidecar.get("/x").await;
        assert_eq!(
            (got.outcome(), got.detail()),
            ("miss", Some("not-keepable"))
        );
    }
}

#[tokio::test]
async fn a_write_whose_answer_stalls_is_bumped_and_passed_on_all_the_same() {
    let close = Arc::new(Notify::new());
    let says = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"id\":";
    let address = raw_origin(says, close.clone()).await;
    let file = head(address, "memory:").replace("\"5s\"", "\"200ms\"")
        + &rule("r", "GET /x/{id}", "x:{id}", "")
        + &set("s", "POST /change", "x:{response.id}");
    let sidecar = Sidecar::with_file(&file).await;
    let mut stream = TcpStream::connect(sidecar.address())
        .await
        .expect("a connection");
    let request = b"POST /change HTTP/1.1\r\nhost: api.test\r\ncontent-length: 0\r\n\r\n";
    stream.write_all(request).await.expect("sent");
    let mut answer = Vec::new();
    while !answer.ends_with(b"{\"id\":") {
        let read = stream.read_buf(&mut answer);
        let read = tokio::time::timeout(crate::redis::PATIENCE, read).await;
        assert!(read.expect("in time").expect("an answer") > 0);
    }
    assert!(answer.starts_with(b"HTTP/1.1 200"));
    let metrics = sidecar.door("GET", "/metrics", "").await.text();
    assert!(
        metrics.contains("sidecache_invalidations_total{set=\"s\"} 1"),
        "{metrics}"
    );
}

#[tokio::test]
async fn a_large_answer_that_stalls_ends_with_its_client() {
    let says: &'static [u8] = {
        let mut bytes = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n200000\r\n".to_vec();
        bytes.extend(std::iter::repeat_n(b'x', 0x200000));
        bytes.leak()
    };
    let address = raw_origin(says, Arc::new(Notify::new())).await;
    let file = head(address, "memory:") + &rule("r", "GET /x", "x:{query}", "");
    let sidecar = Sidecar::with_file(&file).await;
    let mut stream = TcpStream::connect(sidecar.address())
        .await
        .expect("a connection");
    stream
        .write_all(b"GET /x HTTP/1.1\r\nhost: api.test\r\n\r\n")
        .await
        .expect("sent");
    let mut read = vec![0; 0x180000];
    stream.read_exact(&mut read).await.expect("an answer");
    drop(stream);
    eventually("the fill has ended", async || {
        let metrics = sidecar.door("GET", "/metrics", "").await.text();
        metrics.contains("sidecache_fills_in_flight 0")
            && sidecar.server.live().ground.tasks.is_empty()
    })
    .await;
}

#[tokio::test]
async fn a_location_is_resolved_and_its_host_compared_as_hosts_are() {
    let origin = echo().await;
    let sidecar = Sidecar::start(&origin, "memory:", &rule("r", "GET /x/{id}", "x:{id}", "")).await;
    for location in [
        "/x/5",
        "5",
        "./5",
        "../x/5",
        "http://API.test/x/5",
        "//api.test/x/5",
        "5#top",
    ] {
        filled(&sidecar, "/x/5", &[]).await;
        sidecar
            .ask("POST", "/x/", &[("x-location", location)], "")
            .await;
        assert_eq!(sidecar.get("/x/5").await.outcome(), "miss", "{location}");
    }
    filled(&sidecar, "/x/5", &[]).await;
    sidecar
        .ask("POST", "/y", &[("x-location", "http://other.test/x/5")], "")
        .await;
    assert_eq!(sidecar.get("/x/5").await.outcome(), "hit");
}

#[tokio::test]
async fn no_body_and_an_empty_object_do_not_share_an_answer() {
    let origin = echo().await;
    let rules = rule("fields", "POST /fields", "f:{body.a}", "body = [\"a\"]")
        + &rule("none", "POST /none", "n:{query}", "");
    let sidecar = Sidecar::start(&origin, "memory:", &rules).await;
    let json = [("content-type", "application/json")];
    for target in ["/fields", "/none"] {
        sidecar.ask("POST", target, &json, "{}").await;
        let bare = sidecar.ask("POST", target, &[], "").await;
        assert!(
            bare.text().contains(r#""body":"""#),
            "{target}: {}",
            bare.text()
        );
        let object = sidecar.ask("POST", target, &json, "{}").await;
        assert!(
            object.text().contains(r#""body":"{}""#),
            "{target}: {}",
            object.text()
        );
    }
}

#[tokio::test]
async fn a_method_in_a_list_of_overrides_counts() {
    let origin = echo().await;
    let rules = rule("r", "GET /x", "x:{query}", "") + &set("s", "DELETE /y/{id}", "x:*");
    let sidecar = Sidecar::start(&origin, "memory:", &rules).await;
    filled(&sidecar, "/x", &[]).await;
    let header = [("x-http-method-override", "DELETE, PATCH")];
    sidecar.ask("POST", "/y/1", &header, "").await;
    assert_eq!(sidecar.get("/x").await.outcome(), "miss");
}

#[tokio::test]
async fn answers_to_http_and_https_are_kept_apart_where_a_trusted_proxy_tells() {
    let origin = echo().await;
    let file = head(origin.address, "memory:")
        .replace("[proxy]", "[proxy]\ntrusted_proxies = [\"127.0.0.0/8\"]")
        + &rule("r", "GET /x", "x:{query}", "");
    let sidecar = Sidecar::with_file(&file).await;
    let secure = [("x-forwarded-proto", "https")];
    filled(&sidecar, "/x", &[]).await;
    let https = sidecar.get_with("/x", &secure).await;
    assert!(
        https.text().contains(r#""proto":"https""#),
        "{}",
        https.text()
    );
    assert_eq!(sidecar.get_with("/x", &secure).await.outcome(), "hit");
    assert!(sidecar.get("/x").await.text().contains(r#""proto":"http""#));
}

#[tokio::test]
async fn a_credential_that_a_trusted_proxy_puts_among_the_forwarding_headers_is_one() {
    let origin = echo().await;
    let public = "public = true\n";
    let everything = rule("r", "GET /x", "x:{query}", "forward = \"all\"\n").replace(public, "");
    let of_one = rule("own", "GET /own", "own:{token}", "").replace(public, "");
    let file = head(origin.address, "memory:")
        .replace("[proxy]", "[proxy]\ntrusted_proxies = [\"127.0.0.0/8\"]")
        + "\n[identity]\ntoken = \"header:x-forwarded-access-token\"\nscheme = \"raw\"\n"
        + &everything
        + &of_one;
    let sidecar = Sidecar::with_file(&file).await;
    let (one, other) = (
        [("x-forwarded-access-token", "one")],
        [("x-forwarded-access-token", "other")],
    );
    for token in [one, other] {
        let got = sidecar.get_with("/x", &token).await;
        assert_eq!(got.detail(), Some("credential"), "{}", got.cache_status());
    }
    filled(&sidecar, "/own", &one).await;
    assert_eq!(sidecar.get_with("/own", &one).await.outcome(), "hit");
    assert_eq!(sidecar.get_with("/own", &other).await.outcome(), "miss");
}

#[tokio::test]
async fn what_is_remembered_of_a_target_lets_in_nothing_that_its_rule_does_not() {
    let origin = echo().await;
    let rule = "[[cache]]\nname = \"r\"\nmatch = \"GET /x/{id}\"\nkey = \"x:{id}\"\nttl = \"5m\"\nquery = []\n";
    let sidecar = Sidecar::start(&origin, "memory:", rule).await;
    let target = "/x/1?a=1";
    filled(&sidecar, target, &[]).await;
    for method in ["GET", "HEAD"] {
        let got = sidecar.ask(method, target, &[], "").await;
        assert_eq!(got.outcome(), "hit", "{method}");
    }
    for (header, body, detail) in [
        (("authorization", "Bearer x"), "", "credential"),
        (("x-http-method-override", "HEAD"), "", "unkeyed-header"),
        (("x-original-url", "/y"), "", "unkeyed-header"),
        (("if-match", "\"x\""), "", "unkeyed-header"),
        (("host", "b.example"), "", "host"),
        (("accept", "*/*"), "body", "unkeyed-body"),
    ] {
        let got = sidecar.ask("GET", target, &[header], body).await;
        assert_eq!(got.detail(), Some(detail), "{header:?} {body}");
    }
    let before = origin.count();
    assert_eq!(
        sidecar.ask("POST", target, &[], "").await.outcome(),
        "write"
    );
    assert_eq!(origin.count(), before + 1);
}

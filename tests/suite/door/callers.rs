//! Whom the door lets in: nobody without its token, no page of another site, and nobody is locked out
//! by who guesses.

use super::{TOKEN, world};
use crate::raw::talk;
use crate::world::{Got, Sidecar, ask};

const EVERYTHING: &str = r#"{"drop": ["*"]}"#;

const JSON: (&str, &str) = ("content-type", "application/json");

async fn purge_as(sidecar: &Sidecar, headers: &[(&str, &str)]) -> Got {
    ask(sidecar.admin(), "POST", "/api/purge", headers, EVERYTHING).await
}

fn right() -> String {
    format!("Bearer {TOKEN}")
}

#[tokio::test]
async fn a_purge_wants_the_token_where_one_is_set() {
    let (_origin, sidecar) = world(true).await;
    sidecar.get("/kept/a").await;
    let right = right();
    let wrong = [
        ("nothing", vec![]),
        ("wrong", vec!["Bearer wrong"]),
        ("a beginning", vec![&right[..right.len() - 1]]),
        ("more", vec!["Bearer s3cret-token1"]),
        ("without Bearer", vec![TOKEN]),
        ("empty", vec!["Bearer "]),
        ("wrong and right", vec!["Bearer wrong", &right]),
        ("right and wrong", vec![&right, "Bearer wrong"]),
        ("right twice", vec![&right, &right]),
    ];
    for (name, lines) in wrong {
        let headers: Vec<_> = lines
            .into_iter()
            .map(|line| ("authorization", line))
            .collect();
        let got = purge_as(&sidecar, &headers).await;
        assert_eq!(got.status, 401, "{name}");
        assert_eq!(got.header("www-authenticate"), Some("Bearer"), "{name}");
        assert!(!got.text().contains(TOKEN));
    }
    assert_eq!(sidecar.get("/kept/a").await.outcome(), "hit");
    let got = purge_as(&sidecar, &[("authorization", &right)]).await;
    assert_eq!(got.status, 200, "{}", got.text());
    assert_eq!(sidecar.get("/kept/a").await.outcome(), "miss");
}

#[tokio::test]
async fn a_token_counts_nowhere_but_in_its_header() {
    let (_origin, sidecar) = world(true).await;
    sidecar.get("/kept/a").await;
    let cookie = format!("token={TOKEN}");
    let places: [(&str, &[(&str, &str)]); 4] = [
        (&format!("/api/purge?token={TOKEN}"), &[]),
        (&format!("/api/purge?access_token={TOKEN}"), &[]),
        ("/api/purge", &[("cookie", &cookie)]),
        ("/api/purge", &[("x-api-key", TOKEN)]),
    ];
    for (target, headers) in places {
        let got = ask(sidecar.admin(), "POST", target, headers, EVERYTHING).await;
        assert_eq!(got.status, 401, "{target} {headers:?}");
    }
    assert_eq!(sidecar.get("/kept/a").await.outcome(), "hit");
}

#[tokio::test]
async fn all_that_is_not_for_everybody_wants_the_token() {
    let (_origin, sidecar) = world(true).await;
    let right = right();
    for (method, target, body) in [
        ("GET", "/api/rules", ""),
        ("GET", "/api/audit", ""),
        ("POST", "/api/purge", EVERYTHING),
        ("POST", "/api/release", r#"{"rule": "kept"}"#),
    ] {
        let got = ask(sidecar.admin(), method, target, &[], body).await;
        assert_eq!(got.status, 401, "{target}");
        let headers = [("authorization", right.as_str())];
        let got = ask(sidecar.admin(), method, target, &headers, body).await;
        assert_eq!(got.status, 200, "{target}: {}", got.text());
    }
}

#[tokio::test]
async fn without_a_token_pages_of_other_sites_are_kept_out() {
    let (_origin, sidecar) = world(false).await;
    sidecar.get("/kept/a").await;
    let localhost = ("host", "localhost:9090");
    let kept_out: [&[(&str, &str)]; 18] = [
        &[localhost, JSON, ("origin", "http://evil.example")],
        &[localhost, JSON, ("origin", "null")],
        &[localhost, JSON, ("origin", "http://localhost:3000")],
        &[localhost, JSON, ("origin", "http://localhost")],
        &[
            localhost,
            JSON,
            ("origin", "http://localhost:9090"),
            ("origin", "null"),
        ],
        &[localhost, JSON, ("sec-fetch-site", "cross-site")],
        &[localhost, JSON, ("sec-fetch-site", "same-site")],
        &[
            localhost,
            JSON,
            ("sec-fetch-site", "same-origin"),
            ("origin", "null"),
        ],
        &[JSON, ("host", "evil.example")],
        &[
            JSON,
            ("host", "evil.example:9090"),
            ("origin", "http://evil.example:9090"),
        ],
        &[
            JSON,
            ("host", "evil.example:9090"),
            ("sec-fetch-site", "same-origin"),
        ],
        &[JSON, ("host", "localhost.evil.example")],
        &[JSON, ("host", "localhost.:9090")],
        &[JSON, ("host", "127.0.0.1.evil.example:9090")],
        &[JSON, ("host", "0.0.0.0:9090")],
        &[JSON, ("host", "[::]:9090")],
        &[JSON, ("host", "[::ffff:127.0.0.1]:9090")],
        &[JSON, ("host", "2130706433")],
    ];
    for headers in kept_out {
        let got = purge_as(&sidecar, headers).await;
        assert_eq!(got.status, 403, "{headers:?}");
        assert_eq!(got.header("access-control-allow-origin"), None);
    }
    assert_eq!(sidecar.get("/kept/a").await.outcome(), "hit");
    for host in [
        "localhost",
        "localhost:9090",
        "127.0.0.1:9090",
        "[::1]:9090",
    ] {
        let got = purge_as(&sidecar, &[JSON, ("host", host)]).await;
        assert_eq!(got.status, 200, "{host}");
    }
    assert_eq!(sidecar.get("/kept/a").await.outcome(), "miss");
}

#[tokio::test]
async fn without_a_token_a_form_is_known_by_its_origin_and_a_tool_by_having_none() {
    let (_origin, sidecar) = world(false).await;
    let host = ("host", "localhost");
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
    ] {
        sidecar.get("/kept/a").await;
        for page in [
            ("origin", "https://evil.example"),
            ("origin", "null"),
            ("sec-fetch-site", "cross-site"),
        ] {
            let headers = [host, page, ("content-type", kind)];
            assert_eq!(
                purge_as(&sidecar, &headers).await.status,
                403,
                "{headers:?}"
            );
        }
        assert_eq!(sidecar.get("/kept/a").await.outcome(), "hit");
        let tool = [host, ("content-type", kind)]; // curl -d
        assert_eq!(purge_as(&sidecar, &tool).await.status, 200, "{kind}");
        assert_eq!(sidecar.get("/kept/a").await.outcome(), "miss");
    }
    assert_eq!(purge_as(&sidecar, &[host]).await.status, 200);
}

#[tokio::test]
async fn a_page_of_the_door_itself_may_use_it() {
    let (_origin, sidecar) = world(false).await;
    let headers = [
        JSON,
        ("host", "localhost:9090"),
        ("origin", "http://localhost:9090"),
        ("sec-fetch-site", "same-origin"),
    ];
    assert_eq!(purge_as(&sidecar, &headers).await.status, 200);
}

#[tokio::test]
async fn a_page_of_another_site_is_kept_out_even_with_the_token() {
    let (_origin, sidecar) = world(true).await;
    let right = right();
    let with = ("authorization", right.as_str());
    for page in [
        ("origin", "http://evil.example"),
        ("origin", "null"),
        ("sec-fetch-site", "cross-site"),
    ] {
        assert_eq!(
            purge_as(&sidecar, &[with, page]).await.status,
            403,
            "{page:?}"
        );
    }
    let behind_tls = [
        with,
        ("host", "ops.clinic.example"),
        ("origin", "https://ops.clinic.example"),
    ];
    assert_eq!(purge_as(&sidecar, &behind_tls).await.status, 200);
}

#[tokio::test]
async fn the_host_of_an_absolute_target_counts_and_a_doubtful_one_is_refused() {
    let (_origin, sidecar) = world(false).await;
    sidecar.get("/kept/a").await;
    let rest = format!(
        "Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{EVERYTHING}",
        EVERYTHING.len()
    );
    let rows = [
        (
            "POST http://evil.example/api/purge HTTP/1.1\r\nHost: localhost",
            403,
        ),
        (
            "POST /api/purge HTTP/1.1\r\nHost: localhost\r\nHost: localhost",
            400,
        ),
        (
            "POST /api/purge HTTP/1.1\r\nHost: evil.example\r\nHost: localhost",
            400,
        ),
        ("POST /api/purge HTTP/1.1\r\nHost: user@localhost", 400),
        (
            "POST /api/purge HTTP/1.1\r\nHost: localhost, evil.example",
            400,
        ),
        ("POST /api/purge HTTP/1.1\r\nX-No: host", 400),
        ("POST /api/purge HTTP/1.0\r\nX-No: host", 403),
        ("POST /api/purge HTTP/1.1\r\nHost:", 400),
        (
            "POST ftp://localhost/api/purge HTTP/1.1\r\nHost: localhost",
            400,
        ),
    ];
    for (head, status) in rows {
        let heard = talk(sidecar.admin(), format!("{head}\r\n{rest}").as_bytes()).await;
        let line = heard.lines().next().unwrap_or_default();
        assert_eq!(
            line.split(' ').nth(1),
            Some(status.to_string().as_str()),
            "{head}: {heard}"
        );
    }
    assert_eq!(sidecar.get("/kept/a").await.outcome(), "hit");
    let absolute = "POST http://localhost/api/purge HTTP/1.1\r\nHost: evil.example";
    let heard = talk(sidecar.admin(), format!("{absolute}\r\n{rest}").as_bytes()).await;
    assert!(heard.starts_with("HTTP/1.1 200 "), "{heard}");
}

#[tokio::test]
async fn no_get_changes_anything_whatever_else_says_that_it_is_a_post() {
    let (_origin, sidecar) = world(true).await;
    sidecar.get("/kept/a").await;
    let right = right();
    let overrides: [(&str, &[(&str, &str)]); 4] = [
        ("/api/purge?_method=POST", &[]),
        ("/api/purge", &[("x-http-method-override", "POST")]),
        ("/api/purge", &[("x-http-method", "POST")]),
        ("/api/purge", &[("x-method-override", "POST")]),
    ];
    for method in ["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH"] {
        for (target, headers) in overrides {
            let with = [headers, &[JSON, ("authorization", &right)]].concat();
            let got = ask(sidecar.admin(), method, target, &with, EVERYTHING).await;
            assert_eq!(got.status, 405, "{method} {target} {headers:?}");
        }
    }
    assert_eq!(sidecar.get("/kept/a").await.outcome(), "hit");
}

#[tokio::test]
async fn whoever_guesses_is_told_to_wait_and_locks_nobody_out() {
    let (_origin, sidecar) = world(true).await;
    let mut statuses = Vec::new();
    for number in 0..30 {
        let guess = format!("Bearer guess-{number}");
        let got = purge_as(&sidecar, &[("authorization", &guess)]).await;
        statuses.push(got.status);
        if got.status == 429 {
            let wait = got.header("retry-after").expect("for how long");
            let wait: u64 = wait.parse().expect("seconds");
            assert!((1..=60).contains(&wait), "{wait}");
            assert_eq!(got.header("connection"), Some("close"));
        }
    }
    let (told_wrong, limited) = statuses.split_at(10);
    assert!(
        told_wrong.iter().all(|status| *status == 401),
        "{statuses:?}"
    );
    assert!(limited.iter().all(|status| *status == 429), "{statuses:?}");
    let right = right();
    let operator = purge_as(&sidecar, &[("authorization", &right)]).await;
    assert_eq!(
        operator.status, 200,
        "the operator calls from the same address"
    );
    for target in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(
            sidecar.door("GET", target, "").await.status,
            200,
            "{target}"
        );
    }
    let without = purge_as(&sidecar, &[]).await;
    assert_eq!(without.status, 401, "who shows none does not guess");
}

#[tokio::test]
async fn every_answer_is_nobodys_to_keep_nor_to_guess_at() {
    let (_origin, sidecar) = world(false).await;
    let rows = [
        ("GET", "/healthz", 200),
        ("GET", "/readyz", 200),
        ("GET", "/metrics", 200),
        ("GET", "/api/rules", 200),
        ("GET", "/api/audit", 200),
        ("GET", "/api/propose", 409),
        ("POST", "/api/propose", 405),
        ("POST", "/api/purge", 400),
        ("GET", "/api/purge", 405),
        ("GET", "/nothing", 404),
        ("TRACE", "/healthz", 405),
        ("OPTIONS", "/api/rules", 405),
    ];
    for (method, target, status) in rows {
        let got = sidecar.door(method, target, "").await;
        assert_eq!(got.status, status, "{method} {target}");
        assert_eq!(got.header("cache-control"), Some("no-store"), "{target}");
        assert_eq!(
            got.header("x-content-type-options"),
            Some("nosniff"),
            "{target}"
        );
        let is_cors =
            |name: &hyper::header::HeaderName| name.as_str().starts_with("access-control-");
        assert!(
            !got.headers.keys().any(is_cors),
            "{target}: {:?}",
            got.headers
        );
    }
}

#[tokio::test]
async fn a_huge_request_is_refused_before_it_is_read() {
    let (_origin, sidecar) = world(false).await;
    let head = "POST /api/purge HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
    let declared = format!("{head}Content-Length: 1000000000\r\n\r\n");
    let heard = talk(sidecar.admin(), declared.as_bytes()).await;
    assert!(heard.starts_with("HTTP/1.1 413 "), "{heard}");
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
    let endless = format!(
        "{head}Transfer-Encoding: chunked\r\n\r\n{}",
        chunk.repeat(5)
    );
    let heard = talk(sidecar.admin(), endless.as_bytes()).await;
    assert!(heard.starts_with("HTTP/1.1 413 "), "{heard}");
}

#[tokio::test]
async fn a_body_is_not_read_before_its_caller_is_let_in() {
    let (_origin, sidecar) = world(true).await;
    let begun = "POST /api/purge HTTP/1.1\r\nHost: localhost\r\nContent-Length: 200000\r\n\r\n{";
    let mut stream = tokio::net::TcpStream::connect(sidecar.admin())
        .await
        .expect("it listens");
    tokio::io::AsyncWriteExt::write_all(&mut stream, begun.as_bytes())
        .await
        .expect("sent");
    let heard = crate::raw::head(&mut stream).await.expect("an answer");
    assert!(heard.starts_with("HTTP/1.1 401 "), "{heard}");
}

#[tokio::test]
async fn a_socket_without_a_token_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().expect("a directory");
    let (bare, guarded) = (
        directory.path().join("bare"),
        directory.path().join("guarded"),
    );
    let origin = crate::world::Origin::start(|_| async { crate::world::Reply::json("{}") }).await;
    let mut servers = Vec::new();
    for (socket, token) in [(&bare, ""), (&guarded, "token = \"t\"\n")] {
        let listen = format!("[admin]\n{token}listen = \"unix:{}\"", socket.display());
        let file = crate::world::head(origin.address, "memory:").replacen(
            "[admin]\nlisten = \"127.0.0.1:0\"",
            &listen,
            1,
        );
        servers.push(Sidecar::with_file(&file).await);
    }
    let mode = |path| {
        std::fs::metadata(path)
            .expect("a socket")
            .permissions()
            .mode()
            & 0o777
    };
    assert_eq!(mode(&bare), 0o600);
    assert_ne!(mode(&guarded), 0o600, "that is left to the umask");
    let mut stream = tokio::net::UnixStream::connect(&bare)
        .await
        .expect("it listens");
    let rules = b"GET /api/rules HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    tokio::io::AsyncWriteExt::write_all(&mut stream, rules)
        .await
        .expect("sent");
    let mut heard = String::new();
    tokio::io::AsyncReadExt::read_to_string(&mut stream, &mut heard)
        .await
        .expect("an answer");
    assert!(heard.starts_with("HTTP/1.1 200 "), "{heard}");
}

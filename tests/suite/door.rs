//! The admin door: what it says to anybody, and what it does for those whom it lets in.

mod callers; // whom it lets in
mod asked; // what it is asked to do, and how it must not be asked
mod compiled; // what it says of the rules
mod dashboard; // its page
mod purge; // what a purge would drop

use crate::raw::talk;
use crate::world::{Asked, Origin, Reply, Sidecar, ask, head};

const RULES: &str = r#"
[identity]
token = ["header:authorization"]
scheme = "raw"

[[cache]]
name = "kept"
match = "GET /kept/{email}"
key = "kept:{email}"
query = []
ttl = "5m"
public = true

[[cache]]
name = "mine"
match = "GET /mine"
key = "mine:{token}"
query = []
ttl = "5m"

[[invalidate]]
name = "changed"
on = "POST /change"
drop = ["kept:*"]
"#;

const TOKEN: &str = "s3cret-token";

/// A sidecar whose door asks for [`TOKEN`], or for nothing.
async fn world(token: bool) -> (Origin, Sidecar) {
    let origin = Origin::start(|_: Asked| async { Reply::json(r#"{"n": 1}"#) }).await;
    let mut file = head(origin.address, "memory:") + RULES;
    if token {
        file = file.replacen("[admin]", &format!("[admin]\ntoken = \"{TOKEN}\""), 1);
    }
    (origin, Sidecar::with_file(&file).await)
}

#[tokio::test]
async fn anybody_may_ask_whether_it_is_alive_and_ready() {
    let (_origin, sidecar) = world(true).await;
    let alive = sidecar.door("GET", "/healthz", "").await;
    assert_eq!(
        (alive.status, alive.text().as_str()),
        (200, r#"{"status":"ok"}"#)
    );
    let ready = sidecar.door("GET", "/readyz", "").await;
    let said: serde_json::Value = serde_json::from_slice(&ready.body).expect("JSON");
    assert_eq!(ready.status, 200);
    assert_eq!(
        said,
        serde_json::json!({ "status": "ready", "store": "up", "invalidations_owed": 0 })
    );
    for got in [alive, ready] {
        assert_eq!(got.header("content-type"), Some("application/json"));
        assert_eq!(got.header("cache-control"), Some("no-store"));
    }
}

#[tokio::test]
async fn head_of_what_can_be_got_has_no_body() {
    let (_origin, sidecar) = world(true).await;
    for target in ["/healthz", "/readyz", "/metrics"] {
        let asked =
            format!("HEAD {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        let heard = talk(sidecar.admin(), asked.as_bytes()).await;
        assert!(heard.starts_with("HTTP/1.1 200 "), "{target}: {heard}");
        assert!(heard.ends_with("\r\n\r\n"), "{target}: {heard}");
        assert!(
            heard.to_lowercase().contains("content-length: "),
            "{target}: {heard}"
        );
    }
}

/// Traffic that touches every metric of the contract that this part builds.
async fn busy() -> (Origin, Sidecar) {
    let (origin, sidecar) = world(true).await;
    for _ in 0..2 {
        sidecar.get("/kept/ann@clinic.example").await;
        sidecar
            .get_with("/mine", &[("authorization", "credential-77")])
            .await;
        sidecar.get("/pass/bob@clinic.example?q=query-value").await;
    }
    sidecar
        .get_with("/mine", &[("cookie", "session=cookie-value")])
        .await;
    sidecar
        .ask("POST", "/change", &[], r#"{"name": "body-value"}"#)
        .await;
    (origin, sidecar)
}

#[tokio::test]
async fn metrics_are_open_metrics_line_by_line() {
    let (_origin, sidecar) = busy().await;
    let got = sidecar.door("GET", "/metrics", "").await;
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!((got.status, got.header("content-type")), (200, Some(kind)));
    let text = got.text();
    assert!(text.ends_with("# EOF\n"));
    let mut types = std::collections::HashMap::new();
    for line in text.trim_end_matches("# EOF\n").lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            let words: Vec<&str> = comment.splitn(3, ' ').collect();
            assert!(["HELP", "TYPE", "UNIT"].contains(&words[0]), "{line}");
            if words[0] == "TYPE" {
                assert_eq!(
                    types.insert(words[1].to_owned(), words[2].to_owned()),
                    None,
                    "{line}"
                );
            }
            continue;
        }
        let (name, labels, value) = sample(line);
        assert!(value.parse::<f64>().is_ok(), "{line}");
        assert!(
            types.keys().any(|family| name.starts_with(family.as_str())),
            "{line}"
        );
        assert!(
            labels.is_empty() || labels.split("\",").all(|label| label.contains("=\"")),
            "{line}"
        );
    }
}

/// `name{labels} value`
fn sample(line: &str) -> (&str, &str, &str) {
    let (series, value) = line
        .rsplit_once(' ')
        .unwrap_or_else(|| panic!("no value: {line}"));
    let (name, labels) = match series.split_once('{') {
        Some((name, labels)) => (name, labels.strip_suffix('}').expect("closed")),
        None => (series, ""),
    };
    assert!(
        name.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'),
        "{line}"
    );
    (name, labels, value)
}

#[tokio::test]
async fn metrics_have_the_names_and_labels_of_the_contract() {
    let (_origin, sidecar) = busy().await;
    let text = sidecar.door("GET", "/metrics", "").await.text();
    let lines = [
        r#"sidecache_requests_total{rule="kept",outcome="hit"} 1"#,
        r#"sidecache_requests_total{rule="kept",outcome="miss"} 1"#,
        r#"sidecache_requests_total{rule="mine",outcome="bypass"} 1"#,
        r#"sidecache_requests_total{rule="mine",outcome="hit"} 1"#,
        r#"sidecache_requests_total{rule="-",outcome="pass"} 2"#,
        r#"sidecache_requests_total{rule="-",outcome="write"} 1"#,
        r#"sidecache_request_duration_seconds_count{rule="kept",outcome="hit"} 1"#,
        r#"sidecache_origin_requests_total{rule="kept",status="200"} 1"#,
        r#"sidecache_origin_duration_seconds_count{rule="mine"} 2"#,
        r#"sidecache_invalidations_total{set="changed"} 1"#,
        "sidecache_invalidations_owed 0",
        "sidecache_store_up 1",
        "sidecache_store_duration_seconds_count 0",
        "sidecache_local_evictions_total 0",
        "sidecache_fills_in_flight 0",
        "sidecache_rules_reload_failures_total 0",
    ];
    for line in lines {
        assert!(
            text.lines().any(|present| present == line),
            "{line}\n{text}"
        );
    }
    for name in [
        "sidecache_local_bytes ",
        "sidecache_local_entries ",
        "sidecache_rules_loaded_timestamp_seconds ",
        "process_resident_memory_bytes ",
        "process_cpu_seconds_total ",
    ] {
        let value = text.lines().find_map(|line| line.strip_prefix(name));
        let value: f64 = value
            .unwrap_or_else(|| panic!("{name}"))
            .parse()
            .expect("a number");
        assert!(value >= 0.0 && value.is_finite(), "{name}");
    }
}

#[tokio::test]
async fn nothing_personal_stands_in_the_metrics() {
    let (_origin, sidecar) = busy().await;
    let wrong = [("authorization", "Bearer wrong-token-3b1c")];
    let audit = "/api/audit?token=query-token-77ab";
    assert_eq!(
        ask(sidecar.admin(), "GET", audit, &wrong, "").await.status,
        401
    );
    let text = sidecar.door("GET", "/metrics", "").await.text();
    assert!(
        text.contains("sidecache_admin_refused_total{status=\"401\"} 1"),
        "{text}"
    );
    for personal in [
        "wrong-token-3b1c",
        "query-token-77ab",
        "ann",
        "bob",
        "clinic",
        "credential-77",
        "cookie-value",
        "query-value",
        "body-value",
        "127.0.0.1",
        TOKEN,
    ] {
        assert!(!text.contains(personal), "{personal}");
    }
}

#[tokio::test]
async fn a_purge_that_is_not_understood_drops_nothing_and_says_why() {
    let (_origin, sidecar) = world(false).await;
    sidecar.get("/kept/a").await;
    let many = format!(r#"{{"drop": [{}"kept:*"]}}"#, r#""kept:*","#.repeat(1000));
    let bodies = [
        "",
        "null",
        "[]",
        "{}",
        "{\"drop\": \"kept:*\"}",
        "{\"drop\": [1]}",
        "{\"drop\": [\"kept:*\"]",
        r#"{"drop": ["kept:*"], "dry": true}"#,
        r#"{"drop": ["kept:*"], "drop": ["kept:*"]}"#,
        r#"{"drop": ["kept:*", "kept:[ab]"]}"#,
        r#"{"drop": ["kept:*", "ke*"]}"#,
        r#"{"drop": ["kept:*", ""]}"#,
        r#"{"drop": ["kept:*", "nobody:a"]}"#,
        r#"{"drop": ["test:kept:*"]}"#,
        &many,
    ];
    for body in bodies {
        let got = sidecar.door("POST", "/api/purge", body).await;
        assert_eq!(got.status, 400, "{body}: {}", got.text());
        let said: serde_json::Value = serde_json::from_slice(&got.body).expect("JSON");
        assert!(
            said["error"].as_str().is_some_and(|why| !why.is_empty()),
            "{body}"
        );
    }
    assert_eq!(sidecar.get("/kept/a").await.outcome(), "hit");
}

#[tokio::test]
async fn a_purge_says_what_it_really_dropped() {
    let (_origin, sidecar) = world(false).await;
    sidecar.get("/kept/a").await;
    let got = sidecar.purge(&["kept:a", "kept:a"]).await;
    assert_eq!(
        (got.status, got.text().as_str()),
        (200, r#"{"dropped":["kept:a"]}"#)
    );
    assert_eq!(sidecar.get("/kept/a").await.outcome(), "miss");
    let got = sidecar.purge(&["*"]).await;
    assert_eq!(got.text(), r#"{"dropped":["*"]}"#);
    let got = sidecar.purge(&[]).await;
    assert_eq!(
        (got.status, got.text().as_str()),
        (200, r#"{"dropped":[]}"#)
    );
}

#[tokio::test]
async fn another_method_is_told_the_right_one() {
    let (_origin, sidecar) = world(false).await;
    let rows = [
        ("POST", "/healthz", "GET, HEAD"),
        ("DELETE", "/readyz", "GET, HEAD"),
        ("PUT", "/metrics", "GET, HEAD"),
        ("GET", "/api/purge", "POST"),
        ("DELETE", "/api/purge", "POST"),
        ("HEAD", "/api/purge", "POST"),
        ("OPTIONS", "/api/purge", "POST"),
        ("GET", "/api/release", "POST"),
        ("POST", "/api/audit", "GET, HEAD"),
        ("POST", "/api/rules", "GET, HEAD"),
        ("OPTIONS", "/api/rules", "GET, HEAD"),
    ];
    for (method, target, allowed) in rows {
        let got = sidecar.door(method, target, "").await;
        assert_eq!(
            (got.status, got.header("allow")),
            (405, Some(allowed)),
            "{method} {target}"
        );
        assert_eq!(got.header("access-control-allow-origin"), None);
    }
}

#[tokio::test]
async fn what_is_not_there_is_404() {
    let (_origin, sidecar) = world(false).await;
    for target in [
        "/nothing",
        "/healthz/",
        "//healthz",
        "/HEALTHZ",
        "/api/purge/x",
        "/api",
        "/metrics/../healthz",
    ] {
        assert_eq!(
            sidecar.door("GET", target, "").await.status,
            404,
            "{target}"
        );
    }
}

#[tokio::test]
async fn a_draining_sidecar_is_alive_but_not_ready() {
    let (_origin, sidecar) = world(false).await;
    let address = sidecar.admin();
    let mut open = tokio::net::TcpStream::connect(address)
        .await
        .expect("listens");
    // A request that is under way when the drain begins: its head is not whole yet.
    tokio::io::AsyncWriteExt::write_all(&mut open, b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n")
        .await
        .expect("sent");
    let first = ask(address, "GET", "/readyz", &[("host", "localhost")], "").await;
    assert_eq!(first.status, 200);
    let Sidecar { server, .. } = sidecar;
    let drained = tokio::spawn(server.drain());
    crate::redis::eventually("no more connections are taken", async || {
        tokio::net::TcpStream::connect(address).await.is_err()
    })
    .await;
    tokio::io::AsyncWriteExt::write_all(&mut open, b"\r\n")
        .await
        .expect("sent");
    let heard = crate::raw::until_closed(&mut open).await;
    assert!(
        heard.starts_with("HTTP/1.1 503 ") && heard.contains("draining"),
        "{heard}"
    );
    assert!(drained.await.expect("no panic"));
}

#[tokio::test]
async fn a_door_cannot_lose_its_token_by_a_reload() {
    let (origin, sidecar) = world(true).await;
    let open = head(origin.address, "memory:") + RULES;
    let refused = sidecar.reload(&open).expect_err("it takes a restart");
    assert!(refused.contains("[admin] has changed"), "{refused}");
    let got = sidecar
        .door("POST", "/api/purge", r#"{"drop": ["*"]}"#)
        .await;
    assert_eq!(got.status, 401);
}

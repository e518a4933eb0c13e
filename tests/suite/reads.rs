//! Reads: what is kept is served, what is not keyed is not kept, and a fill is asked with what is
//! keyed.

use crate::redis::RedisServer;
use crate::world::{Asked, Got, Origin, REGISTER_RULES, Reply, Sidecar, ask, eventually, head};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::{Notify, Semaphore};

const RULES: &str = r#"
[[cache]]
name = "list"
match = "GET /api/list"
key = "things:list:{query}"
query = ["page", "tag"]
ttl = "5m"
public = true

[[cache]]
name = "thing"
match = "GET /api/thing/{id}"
key = "things:details:{id}"
query = []
ttl = "5m"
public = true
store_if = ["/n"]

[[cache]]
name = "undeclared"
match = "GET /api/undeclared"
key = "undeclared:{query.page}"
ttl = "5m"

[[cache]]
name = "search"
match = "POST /api/search"
key = "search:{body.text | trim | squeeze | lower | hash}"
body = ["text"]
query = []
ttl = "5m"
public = true

[[invalidate]]
name = "changed"
on = "POST /api/thing/{id}"
drop = ["things:details:{id}", "things:list:*", "search:*", "undeclared:*"]
"#;

/// Counts its answers: `{"n": 1}`, `{"n": 2}` …
async fn counting() -> Origin {
    let count = Arc::new(AtomicUsize::new(0));
    Origin::start(move |asked: Asked| {
        let n = count.fetch_add(1, Ordering::SeqCst) + 1;
        async move {
            Reply::json(format!("{{\"n\": {n}}}"))
                .header("etag", "\"e1\"")
                .header("x-saw", &asked.target)
        }
    })
    .await
}

#[tokio::test]
async fn a_miss_is_followed_by_hits_with_the_origins_bytes() {
    let origin = counting().await;
    let sidecar = Sidecar::start(&origin, "memory:", RULES).await;
    let first = sidecar.get("/api/list?page=1").await;
    assert_eq!((first.outcome(), first.status), ("miss", 200));
    assert_eq!(first.cache_status(), "sidecache; fwd=miss; stored");
    let second = sidecar.get("/API/List/?page=1").await;
    assert_eq!(second.outcome(), "hit");
    assert!(
        second.cache_status().starts_with("sidecache; hit; ttl="),
        "{}",
        second.cache_status()
    );
    assert_eq!(second.body, first.body);
    assert_eq!(second.header("etag"), first.header("etag"));
    assert_eq!(second.header("content-type"), Some("application/json"));
    assert_eq!(second.header("age"), Some("0"));
    assert_eq!(first.header("age"), None);
    assert_eq!(origin.count(), 1);
}

#[tokio::test]
async fn what_is_keyed_keeps_answers_apart_and_the_order_of_parameters_does_not() {
    let origin = counting().await;
    let sidecar = Sidecar::start(&origin, "memory:", RULES).await;
    let one = sidecar.get("/api/list?page=1&tag=a&tag=b").await;
    assert_eq!(
        sidecar.get("/api/list?tag=a&page=1&tag=b").await.n(),
        one.n()
    );
    assert_eq!(
        sidecar.get("/api/list?tag=%61&page=%31&tag=b").await.n(),
        one.n()
    );
    for other in [
        "tag=b&page=1&tag=a",
        "page=1&tag=a",
        "page=1&tag=a,b",
        "page=1&tag=A&tag=b",
        "page=1&tag=a&tag=b&page=1",
    ] {
        assert_ne!(
            sidecar.get(&format!("/api/list?{other}")).await.n(),
            one.n(),
            "{other}"
        );
    }
    assert_ne!(
        sidecar.get("/api/thing/a").await.n(),
        sidecar.get("/api/thing/A").await.n()
    );
    assert_eq!(
        sidecar.get("/api/thing/%61").await.n(),
        sidecar.get("/api/thing/a").await.n()
    );
}

#[tokio::test]
async fn what_the_rule_declares_irrelevant_does_not_reach_the_origin_on_a_fill() {
    let origin = counting().await;
    let sidecar = Sidecar::start(&origin, "memory:", RULES).await;
    let noise = [
        ("x-forwarded-host", "evil.example"),
        ("accept-language", "de"),
        ("authorization", "secret"),
        ("cookie", "a=b"),
    ];
    let first = sidecar.get_with("/api/list?utm=evil&page=2", &noise).await;
    assert_eq!(first.outcome(), "miss");
    let asked = origin.last();
    assert_eq!(asked.target, "/api/list?page=2");
    assert_eq!(asked.header("x-forwarded-host"), Some("api.test"));
    assert_eq!(asked.header("host"), Some("api.test"));
    for withheld in ["accept-language", "authorization", "cookie"] {
        assert_eq!(asked.header(withheld), None, "{withheld}");
    }
    assert_eq!(asked.header("via"), Some("1.1 sidecache"));
    assert!(asked.header("traceparent").is_some());
    assert_eq!(asked.header("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(sidecar.get("/api/list?page=2").await.n(), first.n());
}

#[tokio::test]
async fn what_is_not_keyed_passes_untouched() {
    let origin = counting().await;
    let sidecar = Sidecar::start(&origin, "memory:", RULES).await;
    type Headers<'h> = &'h [(&'h str, &'h str)];
    let bypasses: [(&str, &str, Headers, &str); 9] = [
        ("/api/undeclared?page=1&sort=x", "GET", &[], "unkeyed-query"),
        ("/api/list?page=1;tag=2", "GET", &[], "unkeyed-query"),
        ("/api/list?page=%zz", "GET", &[], "unkeyed-query"),
        ("/api/thing/%ff", "GET", &[], "unkeyed-path"),
        (
            "/api/undeclared",
            "GET",
            &[("authorization", "x")],
            "credential",
        ),
        (
            "/api/undeclared",
            "GET",
            &[("cookie", "session=1")],
            "credential",
        ),
        (
            "/api/list",
            "GET",
            &[("x-http-method-override", "GET")],
            "unkeyed-header",
        ),
        ("/api/list", "GET", &[("range", "bytes=0-1")], "range"),
        ("/api/list", "GET", &[("host", "other.test")], "host"),
    ];
    for (target, method, headers, detail) in bypasses {
        for _ in 0..2 {
            let got = sidecar.ask(method, target, headers, "").await;
            assert_eq!(
                (got.outcome(), got.detail()),
                ("bypass", Some(detail)),
                "{target} {headers:?}"
            );
            assert_eq!(origin.last().target, target);
        }
    }
    let fat = sidecar.ask("GET", "/api/list", &[], "{\"a\":1}").await;
    assert_eq!(fat.detail(), Some("unkeyed-body"));
    assert_eq!(&origin.last().body[..], b"{\"a\":1}");
    assert_eq!(
        sidecar.get("/elsewhere").await.cache_status(),
        "sidecache; fwd=bypass"
    );
}

#[tokio::test]
async fn a_body_is_keyed_by_what_shapes_the_answer() {
    let origin = counting().await;
    let sidecar = Sidecar::start(&origin, "memory:", RULES).await;
    let json = [("content-type", "application/json")];
    let search = async |body: &str| sidecar.ask("POST", "/api/search", &json, body).await;
    let first = search(r#"{"text": "Chest  pain ", "session": 1}"#).await;
    assert_eq!(first.outcome(), "miss");
    assert_eq!(&origin.last().body[..], br#"{"text":"Chest  pain "}"#);
    assert_eq!(
        search(r#"{"session": 2, "text": "chest pain"}"#).await.n(),
        first.n()
    );
    assert_ne!(search(r#"{"text": "chest pains"}"#).await.n(), first.n());
    assert_ne!(
        search(r#"{"text": 5}"#).await.n(),
        search(r#"{"text": "5"}"#).await.n()
    );
    let other = sidecar
        .ask(
            "POST",
            "/api/search",
            &[("content-type", "text/plain")],
            "chest pain",
        )
        .await;
    assert_eq!(other.detail(), Some("unkeyed-body"));
    let large = format!(r#"{{"text": "{}"}}"#, "x".repeat(70_000));
    let got = search(&large).await;
    assert_eq!(got.detail(), Some("body-too-large"));
    assert_eq!(origin.last().body.len(), large.len());
}

#[tokio::test]
async fn a_hundred_readers_of_a_cold_key_make_one_request() {
    let gate = Arc::new(Semaphore::new(0));
    let held = gate.clone();
    let origin = Origin::start(move |_| {
        let held = held.clone();
        async move {
            let _permit = held.acquire().await;
            Reply::json(r#"{"n": 7}"#)
        }
    })
    .await;
    let sidecar = Arc::new(Sidecar::start(&origin, "memory:", RULES).await);
    let readers: Vec<_> = (0..100)
        .map(|_| {
            let sidecar = sidecar.clone();
            tokio::spawn(async move { sidecar.get("/api/thing/1").await })
        })
        .collect();
    eventually("the origin is asked", async || origin.count() == 1).await;
    gate.add_permits(1);
    let mut outcomes = Vec::new();
    for reader in readers {
        let got: Got = reader.await.expect("an answer");
        assert_eq!(got.n(), 7);
        outcomes.push(got.outcome().to_owned());
    }
    assert_eq!(origin.count(), 1);
    assert_eq!(
        outcomes.iter().filter(|outcome| *outcome == "miss").count(),
        1,
        "{outcomes:?}"
    );
}

#[tokio::test]
async fn readers_of_an_answer_that_is_not_keepable_ask_for_themselves() {
    let count = Arc::new(AtomicUsize::new(0));
    let served = count.clone();
    let gate = Arc::new(Notify::new());
    let opened = gate.clone();
    let origin = Origin::start(move |_| {
        let first = served.fetch_add(1, Ordering::SeqCst) == 0;
        let opened = opened.clone();
        async move {
            if first {
                opened.notified().await;
            }
            Reply::json("{}") // no "n": store_if refuses it
        }
    })
    .await;
    let sidecar = Arc::new(Sidecar::start(&origin, "memory:", RULES).await);
    let readers: Vec<_> = (0..5)
        .map(|_| {
            let sidecar = sidecar.clone();
            tokio::spawn(async move { sidecar.get("/api/thing/1").await })
        })
        .collect();
    eventually("the leader asks", async || origin.count() == 1).await;
    gate.notify_one();
    for reader in readers {
        assert_eq!(reader.await.expect("an answer").status, 200);
    }
    assert_eq!(origin.count(), 5, "each asked for himself");
    assert_eq!(sidecar.get("/api/thing/1").await.outcome(), "miss");
}

#[tokio::test]
async fn what_the_origin_forbids_is_not_kept() {
    let origin = Origin::start(|asked: Asked| async move {
        let reply = Reply::json(r#"{"n": 1}"#);
        match asked.target.as_str() {
            "/api/thing/cookie" => reply
                .header("set-cookie", "a=1")
                .header("set-cookie", "b=2"),
            "/api/thing/no-store" => reply.header("cache-control", "no-store"),
            "/api/thing/private" => reply.header("cache-control", "private"),
            "/api/thing/star" => reply.header("vary", "*"),
            "/api/thing/large" => Reply::json(format!(r#"{{"n": "{}"}}"#, "x".repeat(1 << 20))),
            "/api/thing/error" => Reply::of(500, "application/json", r#"{"n": 1}"#),
            _ => Reply::json(r#"{"n": null}"#),
        }
    })
    .await;
    let sidecar = Sidecar::start(&origin, "memory:", RULES).await;
    let refused = [
        ("cookie", Some("set-cookie")),
        ("no-store", Some("origin-no-store")),
        ("private", Some("origin-private")),
        ("star", Some("vary-star")),
        ("large", Some("too-large")),
        ("error", Some("status")),
        ("empty", None), // store_if: known only after the head has gone
    ];
    for (id, detail) in refused {
        for _ in 0..2 {
            let got = sidecar.get(&format!("/api/thing/{id}")).await;
            assert_eq!((got.outcome(), got.detail()), ("miss", detail), "{id}");
        }
    }
    let cookies = sidecar.get("/api/thing/cookie").await;
    assert_eq!(cookies.headers.get_all("set-cookie").iter().count(), 2);
    assert_eq!(origin.count(), 2 * refused.len() + 1);
}

#[tokio::test]
async fn a_vary_is_learnt_and_costs_no_second_look() {
    let origin = Origin::start(|asked: Asked| async move {
        let who = asked.header("origin").unwrap_or("none").to_owned();
        Reply::json(format!(r#"{{"n": 1, "for": "{who}"}}"#)).header("vary", "Origin")
    })
    .await;
    let redis = RedisServer::start();
    let sidecar = Sidecar::start(&origin, &redis.url(), RULES).await;
    let a = [("origin", "https://a.example")];
    let b = [("origin", "https://b.example")];
    let first = sidecar.get_with("/api/thing/1", &a).await;
    assert!(
        first.text().contains("a.example"),
        "the withheld header was asked again with: {}",
        first.text()
    );
    assert_eq!(origin.count(), 2);
    assert!(
        sidecar
            .get_with("/api/thing/1", &b)
            .await
            .text()
            .contains("b.example")
    );
    assert!(sidecar.get("/api/thing/1").await.text().contains("none"));
    assert_eq!(origin.count(), 4);
    for (headers, who) in [(&a[..], "a.example"), (&b[..], "b.example"), (&[], "none")] {
        let got = sidecar.get_with("/api/thing/1", headers).await;
        assert_eq!(got.outcome(), "hit");
        assert!(got.text().contains(who));
    }
    // A sidecar that has never seen an answer knows from the store what they vary by.
    let other = Sidecar::start(&origin, &redis.url(), RULES).await;
    let got = other.get_with("/api/thing/1", &b).await;
    assert_eq!(got.outcome(), "hit");
    assert!(got.text().contains("b.example"));
    assert_eq!(origin.count(), 4);
}

#[tokio::test]
async fn head_and_if_none_match_are_answered_from_a_kept_get() {
    let origin = counting().await;
    let sidecar = Sidecar::start(&origin, "memory:", RULES).await;
    let filled = sidecar.ask("HEAD", "/api/thing/1", &[], "").await;
    assert_eq!(
        (filled.status, filled.outcome(), filled.body.len()),
        (200, "miss", 0)
    );
    assert_eq!(origin.last().method, "GET");
    eventually("the fill is kept", async || {
        sidecar.get("/api/thing/1").await.outcome() == "hit"
    })
    .await;
    let head = sidecar.ask("HEAD", "/api/thing/1", &[], "").await;
    assert_eq!(
        (
            head.outcome(),
            head.header("content-length"),
            head.body.len()
        ),
        ("hit", Some("8"), 0)
    );
    for matching in ["\"e1\"", "W/\"e1\"", "\"x\", \"e1\"", "*"] {
        let got = sidecar
            .get_with("/api/thing/1", &[("if-none-match", matching)])
            .await;
        assert_eq!(
            (got.status, got.outcome(), got.body.len()),
            (304, "hit", 0),
            "{matching}"
        );
        assert_eq!(got.header("etag"), Some("\"e1\""));
    }
    assert_eq!(
        sidecar
            .get_with("/api/thing/1", &[("if-none-match", "\"e2\"")])
            .await
            .status,
        200
    );
    let cold = sidecar
        .get_with("/api/thing/2", &[("if-none-match", "\"e1\"")])
        .await;
    assert_eq!(
        (cold.status, cold.outcome()),
        (304, "miss"),
        "the fill itself is not conditional"
    );
    assert_eq!(origin.last().header("if-none-match"), None);
}

#[tokio::test]
async fn an_entry_dies_with_its_ttl() {
    let origin = counting().await;
    let rules = RULES.replace("\"5m\"", "\"300ms\"");
    let sidecar = Sidecar::start(&origin, "memory:", &rules).await;
    let first = sidecar.get("/api/thing/1").await;
    eventually("the entry expires", async || {
        sidecar.get("/api/thing/1").await.n() > first.n()
    })
    .await;
}

#[tokio::test]
async fn an_observed_rule_serves_nothing_and_counts_what_it_would_have_done() {
    let origin = counting().await;
    let rules = RULES.replace(
        "name = \"thing\"\n",
        "name = \"thing\"\nstage = \"observe\"\n",
    );
    let sidecar = Sidecar::start(&origin, "memory:", &rules).await;
    for _ in 0..3 {
        let got = sidecar
            .get_with("/api/thing/1", &[("accept-language", "de")])
            .await;
        assert_eq!(got.detail(), Some("observe"));
        assert_eq!(
            origin.last().header("accept-language"),
            Some("de"),
            "the client's own request passes"
        );
    }
    assert_eq!(origin.count(), 3);
    let metrics = sidecar.door("GET", "/metrics", "").await.text();
    let counted = |outcome: &str, n: u32| {
        let line = format!("sidecache_requests_total{{rule=\"thing\",outcome=\"{outcome}\"}} {n}");
        assert!(metrics.contains(&line), "{line} in\n{metrics}");
    };
    counted("would-miss", 1);
    counted("would-hit", 2);
}

#[tokio::test]
async fn what_an_observed_rule_would_have_served_is_held_against_what_the_origin_answers() {
    let origin = Origin::register().await;
    let observed =
        REGISTER_RULES.replace("name = \"thing\"", "name = \"thing\"\nstage = \"observe\"");
    let sidecar = Sidecar::start(&origin, "memory:", &observed).await;
    let compared = async || {
        let told = sidecar.door("GET", "/api/stats", "").await;
        let told: serde_json::Value = serde_json::from_slice(&told.body).expect("JSON");
        let rule = &told["process"]["rules"]["thing"];
        let number = |value: &serde_json::Value| value.as_u64().expect("a number");
        let observed = &rule["observed"];
        [&rule["would_hit"], &observed["same"], &observed["differs"]].map(number)
    };
    for _ in 0..3 {
        assert_eq!(sidecar.get("/api/thing/1").await.n(), 0);
    }
    assert_eq!(compared().await, [2, 2, 0]);
    // A write that no set names.
    sidecar.ask("PATCH", "/api/forgotten/1", &[], "").await;
    assert_eq!(sidecar.get("/api/thing/1").await.n(), 1);
    assert_eq!(compared().await, [3, 2, 1]);
    // One that a set names.
    sidecar.ask("PATCH", "/api/change/1", &[], "").await;
    for _ in 0..2 {
        assert_eq!(sidecar.get("/api/thing/1").await.n(), 2);
    }
    assert_eq!(compared().await, [4, 3, 1]);
    // What has no body, or is about what the client has, says nothing.
    sidecar.ask("HEAD", "/api/thing/1", &[], "").await;
    assert_eq!(compared().await, [5, 3, 1]);
    let metrics = sidecar.door("GET", "/metrics", "").await.text();
    let counted = "sidecache_audit_total{rule=\"thing\",kind=\"observe\",result=\"differs\"} 1";
    assert!(metrics.contains(counted), "{metrics}");
}

#[tokio::test]
async fn an_origin_that_is_down_or_slow_is_told_in_short_json() {
    let gone = {
        let origin = counting().await;
        origin.address
    };
    let sidecar = Sidecar::with_file(&format!("{}{RULES}", head(gone, "memory:"))).await;
    for target in ["/api/thing/1", "/elsewhere"] {
        let got = sidecar.get(target).await;
        assert_eq!(
            (got.status, got.header("content-type")),
            (502, Some("application/json"))
        );
        assert!(got.text().contains("origin-unreachable"), "{}", got.text());
    }
    let silent = Origin::start(|_| std::future::pending()).await;
    let text = head(silent.address, "memory:")
        .replace("origin_timeout = \"5s\"", "origin_timeout = \"200ms\"");
    let sidecar = Sidecar::with_file(&format!("{text}{RULES}")).await;
    let got = sidecar.get("/api/thing/1").await;
    assert_eq!((got.status, got.detail()), (504, Some("origin-timeout")));
}

#[tokio::test]
async fn the_cache_survives_a_restart_of_the_sidecar_and_is_shared() {
    let origin = counting().await;
    let redis = RedisServer::start();
    let first = Sidecar::start(&origin, &redis.url(), RULES).await;
    let filled = first.get("/api/thing/1").await;
    assert_eq!(filled.outcome(), "miss");
    assert!(first.server.drain().await);
    let second = Sidecar::start(&origin, &redis.url(), RULES).await;
    let third = Sidecar::start(&origin, &redis.url(), RULES).await;
    for sidecar in [&second, &third] {
        let got = sidecar.get("/api/thing/1").await;
        assert_eq!((got.outcome(), got.n()), ("hit", filled.n()));
    }
    assert_eq!(origin.count(), 1);
}

#[tokio::test]
async fn hosts_that_are_not_declared_alike_are_kept_apart() {
    let origin = counting().await;
    let text = head(origin.address, "memory:").replace("hosts = [\"api.test\"]\n", "");
    let sidecar = Sidecar::with_file(&format!("{text}{RULES}")).await;
    let at = async |host: &str| {
        ask(
            sidecar.address(),
            "GET",
            "/api/thing/1",
            &[("host", host)],
            "",
        )
        .await
        .n()
    };
    let a = at("a.test").await;
    assert_eq!(at("A.test").await, a);
    for other in ["b.test", "a.test:81"] {
        assert_ne!(at(other).await, a, "{other}");
    }
}

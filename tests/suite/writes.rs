//! Writes: what they name is forgotten before they are answered, and what raced them is dead on
//! arrival.

use crate::redis::RedisServer;
use crate::world::{Asked, Origin, Reply, Sidecar, eventually};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use tokio::sync::Semaphore;

const RULES: &str = r#"
[[cache]]
name = "list"
match = "GET /api/list"
key = "things:list:{query}"
query = ["page"]
ttl = "5m"
public = true

[[cache]]
name = "thing"
match = "GET /api/thing/{id}"
key = "things:details:{id}"
query = []
ttl = "5m"
public = true

[[cache]]
name = "other"
match = "GET /api/other/{id}"
key = "others:details:{id}"
query = []
ttl = "5m"
public = true

[[invalidate]]
name = "by-path"
on = "PATCH /api/change/{id}"
drop = ["things:details:{id}", "things:list:*"]

[[invalidate]]
name = "by-body"
on = "POST /api/by-body"
drop = ["things:details:{body.thing.id}"]

[[invalidate]]
name = "by-answer"
on = "POST /api/by-answer"
drop = ["things:details:{response.data.thingId}"]

[[invalidate]]
name = "narrow"
on = "POST /api/narrow"
drop = ["things:list:*"]
commits = ["2xx"]

[[invalidate]]
name = "by-get"
on = "GET /api/pay"
drop = ["others:*"]
"#;

/// One register: reads give its value, any other method (and GET /api/pay) raises it.
async fn register() -> (Origin, Arc<AtomicI64>) {
    let value = Arc::new(AtomicI64::new(0));
    let shared = value.clone();
    let origin = Origin::start(move |asked: Asked| {
        let shared = shared.clone();
        async move {
            let status = asked
                .header("x-answer")
                .and_then(|status| status.parse().ok())
                .unwrap_or(200);
            if asked.method == "GET" && asked.target != "/api/pay" {
                return Reply::json(format!("{{\"n\": {}}}", shared.load(Ordering::SeqCst)));
            }
            let n = shared.fetch_add(1, Ordering::SeqCst) + 1;
            let reply = Reply::of(
                status,
                "application/json",
                format!(r#"{{"n": {n}, "data": {{"thingId": 5}}}}"#),
            );
            match asked.header("x-location") {
                Some(location) => reply.header("location", location),
                None => reply,
            }
        }
    })
    .await;
    (origin, value)
}

/// Fills the given targets and makes sure that they are kept.
async fn filled(sidecar: &Sidecar, targets: &[&str]) {
    for target in targets {
        sidecar.get(target).await;
        assert_eq!(sidecar.get(target).await.outcome(), "hit", "{target}");
    }
}

/// Which of the targets are fresh again: not answered from before the write.
async fn forgotten<'t>(sidecar: &Sidecar, targets: &[&'t str]) -> Vec<&'t str> {
    let mut forgotten = Vec::new();
    for target in targets {
        if sidecar.get(target).await.outcome() == "miss" {
            forgotten.push(*target);
        }
    }
    forgotten
}

const ALL: [&str; 5] = [
    "/api/list",
    "/api/list?page=2",
    "/api/thing/5",
    "/api/thing/6",
    "/api/other/5",
];

#[tokio::test]
async fn a_write_forgets_what_it_named_and_nothing_else() {
    let (origin, _) = register().await;
    let redis = RedisServer::start();
    for store in ["memory:".to_owned(), redis.url()] {
        let sidecar = Sidecar::start(&origin, &store, RULES).await;
        let json = [("content-type", "application/json")];
        let writes: [(&str, &str, &str, &[&str]); 9] = [
            (
                "PATCH",
                "/api/change/5",
                "",
                &["/api/list", "/api/list?page=2", "/api/thing/5"],
            ),
            (
                "PATCH",
                "/API/change/6/",
                "",
                &["/api/list", "/api/list?page=2", "/api/thing/6"],
            ),
            (
                "PATCH",
                "/api/change/%35",
                "",
                &["/api/list", "/api/list?page=2", "/api/thing/5"],
            ),
            (
                "POST",
                "/api/by-body",
                r#"{"thing": {"id": 6}}"#,
                &["/api/thing/6"],
            ),
            (
                "POST",
                "/api/by-body",
                r#"{"thing": {"id": "5"}}"#,
                &["/api/thing/5"],
            ),
            (
                "POST",
                "/api/by-body",
                r#"{"thing": {}}"#,
                &["/api/thing/5", "/api/thing/6"],
            ),
            ("POST", "/api/by-answer", "", &["/api/thing/5"]),
            ("GET", "/api/pay", "", &["/api/other/5"]),
            ("HEAD", "/api/pay", "", &["/api/other/5"]),
        ];
        for (method, target, body, named) in writes {
            filled(&sidecar, &ALL).await;
            let got = sidecar.ask(method, target, &json, body).await;
            assert_eq!(
                (got.status, got.outcome()),
                (200, "write"),
                "{method} {target}"
            );
            assert_eq!(
                forgotten(&sidecar, &ALL).await,
                named,
                "{method} {target} {body} on {store}"
            );
        }
    }
}

/// Bodies that JSON's grammar allows and of which an Express backend reads something else.
#[tokio::test]
async fn a_body_that_others_may_read_differently_drops_wider() {
    let (origin, _) = register().await;
    let sidecar = Sidecar::start(&origin, "memory:", RULES).await;
    let form = r#"{"thing": {"id": 6}, "y": "&thing[id]=5&z="}"#;
    let utf7 = r#"{"thing": {"id": "6+ACI-,+ACI-thing+ACI-:5"}}"#;
    for (content_type, body) in [
        ("application/x-www-form-urlencoded", form),
        ("application/json; charset=utf-7", utf7),
        ("text/plain", r#"{"thing": {"id": 6}}"#),
    ] {
        filled(&sidecar, &ALL).await;
        let headers = [("content-type", content_type)];
        sidecar.ask("POST", "/api/by-body", &headers, body).await;
        let dropped = forgotten(&sidecar, &ALL).await;
        assert_eq!(dropped, ["/api/thing/5", "/api/thing/6"], "{content_type}");
    }
}

#[tokio::test]
async fn an_unsafe_method_forgets_what_is_kept_for_its_path_without_any_set() {
    let (origin, _) = register().await;
    let sidecar = Sidecar::start(&origin, "memory:", RULES).await;
    filled(&sidecar, &ALL).await;
    assert_eq!(
        sidecar
            .ask("DELETE", "/api/thing/5", &[], "")
            .await
            .outcome(),
        "write"
    );
    assert_eq!(forgotten(&sidecar, &ALL).await, ["/api/thing/5"]);
    filled(&sidecar, &ALL).await;
    sidecar.ask("PUT", "/api/list?page=9", &[], "").await;
    assert_eq!(
        forgotten(&sidecar, &ALL).await,
        ["/api/list", "/api/list?page=2"]
    );
    filled(&sidecar, &ALL).await;
    let located = [("x-location", "/api/other/5"), ("x-answer", "201")];
    assert_eq!(
        sidecar.ask("POST", "/elsewhere", &located, "").await.status,
        201
    );
    assert_eq!(forgotten(&sidecar, &ALL).await, ["/api/other/5"]);
    filled(&sidecar, &ALL).await;
    let foreign = [
        ("x-location", "http://elsewhere.test/api/other/5"),
        ("x-answer", "201"),
    ];
    sidecar.ask("POST", "/elsewhere", &foreign, "").await;
    let overridden = [("x-http-method-override", "DELETE")];
    assert_eq!(
        sidecar
            .ask("GET", "/api/thing/6", &overridden, "")
            .await
            .outcome(),
        "write"
    );
    assert_eq!(forgotten(&sidecar, &ALL).await, ["/api/thing/6"]);
}

#[tokio::test]
async fn what_the_origin_refuses_forgets_nothing() {
    let (origin, _) = register().await;
    let sidecar = Sidecar::start(&origin, "memory:", RULES).await;
    filled(&sidecar, &ALL).await;
    for status in ["400", "401", "403", "404", "409", "422"] {
        let got = sidecar
            .ask("PATCH", "/api/change/5", &[("x-answer", status)], "")
            .await;
        assert_eq!(got.status.to_string(), status);
    }
    sidecar
        .ask("POST", "/api/narrow", &[("x-answer", "500")], "")
        .await;
    assert_eq!(forgotten(&sidecar, &ALL).await, Vec::<&str>::new());
    sidecar
        .ask("PATCH", "/api/change/5", &[("x-answer", "500")], "")
        .await;
    assert_eq!(
        forgotten(&sidecar, &ALL).await.len(),
        3,
        "a 500 may follow a commit"
    );
}

#[tokio::test]
async fn every_sidecar_of_the_fleet_reads_fresh_after_a_write_through_one() {
    let (origin, value) = register().await;
    let redis = RedisServer::start();
    let one = Sidecar::start(&origin, &redis.url(), RULES).await;
    let two = Sidecar::start(&origin, &redis.url(), RULES).await;
    for round in 1..=20 {
        let (writer, reader) = if round % 2 == 0 {
            (&one, &two)
        } else {
            (&two, &one)
        };
        filled(reader, &["/api/thing/5"]).await;
        writer.ask("PATCH", "/api/change/5", &[], "").await;
        assert_eq!(value.load(Ordering::SeqCst), round);
        assert_eq!(reader.get("/api/thing/5").await.n(), round);
    }
}

/// An origin whose reads wait at a gate after they have read their value.
async fn gated() -> (Origin, Arc<Semaphore>) {
    let gate = Arc::new(Semaphore::new(0));
    let held = gate.clone();
    let value = Arc::new(AtomicI64::new(0));
    let reads = Arc::new(AtomicUsize::new(0));
    let origin = Origin::start(move |asked: Asked| {
        let (held, value, reads) = (held.clone(), value.clone(), reads.clone());
        async move {
            if asked.method != "GET" {
                let n = value.fetch_add(1, Ordering::SeqCst) + 1;
                return Reply::json(format!("{{\"n\": {n}}}"));
            }
            let n = value.load(Ordering::SeqCst);
            if reads.fetch_add(1, Ordering::SeqCst) == 0 {
                let _permit = held.acquire().await;
            }
            Reply::json(format!("{{\"n\": {n}}}"))
        }
    })
    .await;
    (origin, gate)
}

#[tokio::test]
async fn a_fill_that_raced_a_write_is_dead_on_arrival_and_nobody_joins_it() {
    let redis = RedisServer::start();
    for store in ["memory:".to_owned(), redis.url()] {
        let (origin, gate) = gated().await;
        let sidecar = Arc::new(Sidecar::start(&origin, &store, RULES).await);
        let early = tokio::spawn({
            let sidecar = sidecar.clone();
            async move { sidecar.get("/api/thing/5").await }
        });
        eventually("the fill has read at the origin", async || {
            origin.count() == 1
        })
        .await;
        sidecar.ask("PATCH", "/api/change/5", &[], "").await;
        let late = sidecar.get("/api/thing/5").await;
        assert_eq!(
            late.n(),
            1,
            "a reader after the write does not join the flight from before it"
        );
        gate.add_permits(1);
        assert_eq!(
            early.await.expect("an answer").n(),
            0,
            "the reader before the write may see the old value"
        );
        for _ in 0..3 {
            assert_eq!(
                sidecar.get("/api/thing/5").await.n(),
                1,
                "the overtaken fill is never served"
            );
        }
    }
}

#[tokio::test]
async fn a_write_whose_client_left_bumps_all_the_same() {
    let gate = Arc::new(Semaphore::new(0));
    let held = gate.clone();
    let value = Arc::new(AtomicI64::new(0));
    let origin = Origin::start(move |asked: Asked| {
        let (held, value) = (held.clone(), value.clone());
        async move {
            if asked.method != "GET" {
                let _permit = held.acquire().await;
                value.fetch_add(1, Ordering::SeqCst);
            }
            Reply::json(format!("{{\"n\": {}}}", value.load(Ordering::SeqCst)))
        }
    })
    .await;
    let sidecar = Arc::new(Sidecar::start(&origin, "memory:", RULES).await);
    filled(&sidecar, &["/api/thing/5"]).await;
    let client = tokio::spawn({
        let sidecar = sidecar.clone();
        async move { sidecar.ask("PATCH", "/api/change/5", &[], "").await }
    });
    eventually("the origin has the write", async || origin.count() == 2).await;
    client.abort();
    assert!(client.await.is_err_and(|error| error.is_cancelled()));
    gate.add_permits(1);
    eventually("the node is dropped", async || {
        sidecar.get("/api/thing/5").await.n() == 1
    })
    .await;
}

#[tokio::test]
async fn a_write_that_was_never_answered_is_taken_for_done() {
    let origin = Origin::start(|asked: Asked| async move {
        if asked.method != "GET" {
            std::future::pending::<()>().await;
        }
        Reply::json(r#"{"n": 1}"#)
    })
    .await;
    let text = crate::world::head(origin.address, "memory:")
        .replace("origin_timeout = \"5s\"", "origin_timeout = \"200ms\"");
    let sidecar = Sidecar::with_file(&format!("{text}{RULES}")).await;
    filled(&sidecar, &ALL).await;
    let got = sidecar.ask("PATCH", "/api/change/5", &[], "").await;
    assert_eq!((got.status, got.detail()), (504, Some("origin-timeout")));
    assert_eq!(
        forgotten(&sidecar, &ALL).await,
        ["/api/list", "/api/list?page=2", "/api/thing/5"]
    );
}

#[tokio::test]
async fn a_body_read_for_a_drop_reaches_the_origin_byte_for_byte() {
    let (origin, _) = register().await;
    let sidecar = Sidecar::start(&origin, "memory:", RULES).await;
    filled(&sidecar, &ALL).await;
    let odd = "{ \"thing\" :\t{\"id\":5 , \"id\" : 6},\r\n \"sum\": 1e2 }";
    sidecar
        .ask(
            "POST",
            "/api/by-body",
            &[("content-type", "application/json"), ("x-signature", "s")],
            odd,
        )
        .await;
    let asked = origin.last();
    assert_eq!(&asked.body[..], odd.as_bytes());
    assert_eq!(asked.header("x-signature"), Some("s"));
    assert_eq!(forgotten(&sidecar, &ALL).await, ["/api/thing/6"]);
    filled(&sidecar, &ALL).await;
    let large = format!(
        r#"{{"pad": "{}", "thing": {{"id": 5}}}}"#,
        "x".repeat(100_000)
    );
    sidecar
        .ask(
            "POST",
            "/api/by-body",
            &[("content-type", "application/json")],
            &large,
        )
        .await;
    assert_eq!(
        origin
            .asked()
            .iter()
            .rev()
            .find(|asked| asked.method == "POST")
            .expect("a write")
            .body
            .len(),
        large.len()
    );
    assert_eq!(
        forgotten(&sidecar, &ALL).await,
        ["/api/thing/5", "/api/thing/6"],
        "too large to read: widened"
    );
}

#[tokio::test]
async fn a_purge_drops_by_hand_and_says_what() {
    let (origin, _) = register().await;
    let redis = RedisServer::start();
    for store in ["memory:".to_owned(), redis.url()] {
        let sidecar = Sidecar::start(&origin, &store, RULES).await;
        filled(&sidecar, &ALL).await;
        let got = sidecar.purge(&["things:list:*"]).await;
        assert_eq!(
            (got.status, got.text().as_str()),
            (200, r#"{"dropped":["things:list:*"]}"#)
        );
        assert_eq!(
            forgotten(&sidecar, &ALL).await,
            ["/api/list", "/api/list?page=2"]
        );
        filled(&sidecar, &ALL).await;
        let deep = sidecar.purge(&["things:list:0123"]).await;
        assert_eq!(
            deep.text(),
            r#"{"dropped":["things:list:*"]}"#,
            "the nearest tracked node above"
        );
        filled(&sidecar, &ALL).await;
        assert_eq!(
            sidecar.purge(&["things:details:6"]).await.text(),
            r#"{"dropped":["things:details:6"]}"#
        );
        assert_eq!(forgotten(&sidecar, &ALL).await, ["/api/thing/6"]);
        filled(&sidecar, &ALL).await;
        assert_eq!(sidecar.purge(&["*"]).await.text(), r#"{"dropped":["*"]}"#);
        assert_eq!(forgotten(&sidecar, &ALL).await, ALL);
        filled(&sidecar, &ALL).await;
        for bad in ["thinks:*", "things:*:1", "things", ""] {
            assert_eq!(sidecar.purge(&["things:*", bad]).await.status, 400, "{bad}");
        }
        assert_eq!(
            sidecar
                .door("POST", "/api/purge", r#"{"drop": [], "flush": true}"#)
                .await
                .status,
            400
        );
        assert_eq!(
            forgotten(&sidecar, &ALL).await,
            Vec::<&str>::new(),
            "one bad pattern and nothing is dropped"
        );
    }
}

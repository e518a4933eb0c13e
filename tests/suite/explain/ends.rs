//! What keeps a request that may use its rule from what is kept, and what ends an entry.

use super::{case, file, origin};
use crate::redis::{RedisServer, eventually};
use crate::world::{Asked, Origin, Reply, Sidecar};
use serde_json::json;

#[tokio::test]
async fn a_range_is_told_as_it_is_answered_whether_or_not_the_whole_is_kept() {
    let origin = origin().await;
    let sidecar = Sidecar::with_file(&file(origin.address)).await;
    let asked = || case("GET", "/list?page=1").with("range", "bytes=0-3");
    let told = asked().told(&sidecar).await;
    assert_eq!(told["reasons"][0]["detail"], "range", "{told:#}");
    let summary = told["summary"].as_str().expect("a text");
    assert!(summary.contains("answered from the whole if that is kept"));
    assert!(
        told["fill"].is_null() && told["kept_if"].is_null(),
        "{told:#}"
    );
    for _ in 0..2 {
        let got = asked().sent(&sidecar).await;
        assert_eq!((got.outcome(), got.detail()), ("bypass", Some("range")));
        assert_eq!(origin.last().header("range"), Some("bytes=0-3"), "as it is");
    }
    // As the remedy says.
    sidecar.get("/list?page=1").await;
    let got = asked().sent(&sidecar).await;
    assert_eq!((got.outcome(), got.status), ("hit", 206));
    let part = case("GET", "/parts").with("range", "bytes=0-3");
    let told = part.told(&sidecar).await;
    assert!(told["reasons"].is_null(), "{told:#}");
    let sent = told["fill"]["headers"].as_array().expect("headers");
    assert!(sent.contains(&json!("range")), "{told:#}");
    part.sent(&sidecar).await;
    assert_eq!(part.sent(&sidecar).await.outcome(), "hit");
}

#[tokio::test]
async fn a_method_that_is_a_read_on_a_path_is_not_told_to_drop_what_is_kept_for_it() {
    let origin = origin().await;
    let sidecar = Sidecar::with_file(&file(origin.address)).await;
    let advice = || case("POST", "/advice").json(r#"{"symptoms": "cough"}"#);
    let told = advice().told(&sidecar).await;
    let of_path = json!(["PUT, PATCH or DELETE of its own path"]);
    assert_eq!(told["dropped_by"][0]["on"], of_path, "{told:#}");
    advice().sent(&sidecar).await;
    assert_eq!(advice().sent(&sidecar).await.outcome(), "hit");
    for method in ["PUT", "PATCH", "DELETE"] {
        case(method, "/advice").json("{}").sent(&sidecar).await;
        assert_eq!(advice().sent(&sidecar).await.outcome(), "miss", "{method}");
    }
    // Where every method reads, or none drops, only time ends it.
    let note = "no [[invalidate]] set names it: only time ends it";
    let text = file(origin.address).replacen("[proxy]", "[proxy]\nauto_invalidate = false", 1);
    sidecar.reload(&text).expect("sound rules");
    let told = advice().told(&sidecar).await;
    assert!(told["dropped_by"].is_null(), "{told:#}");
    assert!(told["notes"].to_string().contains(note), "{told:#}");
    let methods = r#"match = ["POST /advice", "PUT /advice", "PATCH /advice", "DELETE /advice"]"#;
    let all = file(origin.address).replace(r#"match = "POST /advice""#, methods);
    sidecar.reload(&all).expect("sound rules");
    let told = advice().told(&sidecar).await;
    assert!(told["dropped_by"].is_null(), "{told:#}");
    assert!(told["notes"].to_string().contains(note), "{told:#}");
}

#[tokio::test]
async fn a_store_that_is_down_is_told_as_it_is_answered() {
    let origin = origin().await;
    let mut redis = RedisServer::start();
    let text = file(origin.address).replace("memory:", &redis.url());
    let sidecar = Sidecar::with_file(&text).await;
    sidecar.get("/list?page=1").await;
    let told = case("GET", "/list?page=1").told(&sidecar).await;
    assert!(told["reasons"].is_null(), "{told:#}");
    redis.kill();
    eventually("the store is down", async || {
        case("GET", "/list?page=1").sent(&sidecar).await.detail() == Some("store-down")
            && !sidecar.server.live().ground.store.up()
    })
    .await;
    for (case, details) in [
        (case("GET", "/list?page=1"), vec!["store-down"]),
        (case("GET", "/seen"), vec!["store-down", "observe"]),
        (
            case("GET", "/parts").with("range", "bytes=0-3"),
            vec!["range", "store-down"],
        ),
    ] {
        let told = case.told(&sidecar).await;
        let reasons = told["reasons"].as_array().expect("reasons");
        let words: Vec<_> = reasons.iter().map(|one| &one["detail"]).collect();
        assert_eq!(words, details, "{told:#}");
        assert_eq!(case.sent(&sidecar).await.detail(), Some(details[0]));
        assert!(
            told["kept_if"].is_null() || details.contains(&"observe"),
            "{told:#}"
        );
    }
}

#[tokio::test]
async fn a_rule_that_observes_and_one_in_quarantine_say_which_line_and_what_ends_it() {
    let origin = Origin::start(|asked: Asked| async move {
        Reply::json(format!(
            r#"{{"data": {:?}}}"#,
            asked.header("authorization").is_some()
        ))
    })
    .await;
    let text = file(origin.address) + "[audit]\nleak = 1.0\n";
    let sidecar = Sidecar::with_file(&text).await;
    let line = |needle: &str| text.lines().position(|line| line == needle).expect(needle) + 1;
    let seen = case("GET", "/seen").told(&sidecar).await;
    let reason = &seen["reasons"][0];
    assert_eq!(reason["detail"], "observe", "{seen:#}");
    assert_eq!(reason["line"], line("stage = \"observe\""), "{seen:#}");
    assert!(
        reason["remedy"].to_string().contains("stage = "),
        "{seen:#}"
    );
    let list = || case("GET", "/list").with("authorization", "x");
    list().sent(&sidecar).await;
    eventually("the leak is found", async || {
        list().sent(&sidecar).await.detail() == Some("quarantined")
    })
    .await;
    let told = list().told(&sidecar).await;
    assert_eq!(told["verdict"], "quarantined", "{told:#}");
    let reason = &told["reasons"][0];
    assert_eq!(reason["detail"], "quarantined", "{told:#}");
    assert_eq!(
        reason["line"],
        line("public = true"),
        "the first rule: {told:#}"
    );
    assert!(
        reason["remedy"].to_string().contains("POST /api/release"),
        "{told:#}"
    );
}

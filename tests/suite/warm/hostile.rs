use super::*;
use serde_json::{Value, json};

/// Has an answer name `id`, and waits until it is known what came of it.
async fn create(sidecar: &Sidecar, id: &Value) {
    let body = json!({ "id": id }).to_string();
    let headers = [("content-type", "application/json")];
    let got = sidecar.ask("POST", "/api/create", &headers, &body).await;
    assert_eq!(got.status, 200);
}

#[tokio::test]
async fn no_value_leads_to_another_path() {
    let (desk, redis) = (Desk::open().await, RedisServer::start());
    let sidecar = Sidecar::start(&desk.origin, &redis.url(), RULES).await;
    let hostile = [
        ("me/../1", "me%2F..%2F1"),
        ("../../admin", "..%2F..%2Fadmin"),
        ("1?limit=10", "1%3Flimit%3D10"),
        ("1#x", "1%23x"),
        ("1;a=b", "1%3Ba%3Db"),
        ("1\r\nX-Injected: 1", "1%0D%0AX-Injected%3A%201"),
        (
            "1 HTTP/1.1\r\n\r\nGET /admin",
            "1%20HTTP%2F1.1%0D%0A%0D%0AGET%20%2Fadmin",
        ),
        ("%2e%2e", "%252e%252e"),
        ("http://evil.test/", "http%3A%2F%2Fevil.test%2F"),
        ("\u{202e}ä", "%E2%80%AE%C3%A4"),
    ];
    for (times, (id, encoded)) in hostile.iter().enumerate() {
        create(&sidecar, &json!(id)).await;
        warmed(&sidecar, "created", "kept", times as u64 + 1).await;
        assert_eq!(desk.origin.last().target, format!("/api/thing/{encoded}"));
        assert_eq!(desk.origin.last().header("x-injected"), None);
        let read = sidecar.get(&format!("/api/thing/{encoded}")).await;
        assert_eq!(
            read.outcome(),
            "hit",
            "it is that thing's answer, and no other's"
        );
    }
    assert_eq!(desk.read().len(), hostile.len());
}

#[tokio::test]
async fn what_is_not_known_or_not_everybodys_is_not_asked_for() {
    let (desk, redis) = (Desk::open().await, RedisServer::start());
    let sidecar = Sidecar::start(&desk.origin, &redis.url(), RULES).await;
    let unknown = [
        json!(null),
        json!(""),
        json!(".."),
        json!("."),
        json!([1]),
        json!(0.5),
    ];
    for (times, id) in unknown.iter().enumerate() {
        create(&sidecar, id).await;
        warmed(&sidecar, "created", "unresolved", times as u64 + 1).await;
    }
    create(&sidecar, &json!("new")).await;
    warmed(&sidecar, "created", "unfit", 1).await;
    create(&sidecar, &json!("NEW")).await;
    warmed(&sidecar, "created", "unfit", 2).await;
    assert_eq!(desk.read(), Vec::<String>::new());
    create(&sidecar, &json!(1)).await;
    warmed(&sidecar, "created", "kept", 1).await;
    assert_eq!(desk.read(), [THING]);
}

use super::*;
use crate::raw::until;
use crate::world::head;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

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

#[tokio::test]
async fn a_write_is_answered_before_the_body_of_its_answer_is_there_that_names_what_to_ask_for() {
    let (listener, redis) = (
        TcpListener::bind("127.0.0.1:0").await.expect("a port"),
        RedisServer::start(),
    );
    let address = listener.local_addr().expect("an address");
    let sidecar = Sidecar::with_file(&format!("{}{RULES}", head(address, &redis.url()))).await;
    let mut client = TcpStream::connect(sidecar.address())
        .await
        .expect("listens");
    let request = b"POST /api/create HTTP/1.1\r\nHost: api.test\r\nContent-Length: 0\r\n\r\n";
    client.write_all(request).await.expect("sent");
    let (mut origin, _) = listener.accept().await.expect("a request");
    until(&mut origin, "\r\n\r\n").await;
    let body = r#"{"data": {"id": 1}}"#;
    let answer = "HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: ";
    let answer = format!("{answer}{}\r\n\r\n{}", body.len(), &body[..9]);
    origin.write_all(answer.as_bytes()).await.expect("heard");
    let heard = until(&mut client, &body[..9]).await;
    assert!(heard.starts_with("HTTP/1.1 201 "), "{heard}");
    warmed(&sidecar, "created", "unresolved", 1).await;
    origin
        .write_all(&body.as_bytes()[9..])
        .await
        .expect("heard");
    assert_eq!(until(&mut client, "}}").await, body[9..]);
}

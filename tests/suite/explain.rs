//! What is told of a request is what becomes of it.

mod ends; // what keeps it from what is kept
mod who; // who is served the same

use crate::process::{command, output, stderr, stdout, written};
use crate::world::{Asked, Got, Origin, Reply, Sidecar, head};
use jsonwebtoken::{EncodingKey, Header};
use serde_json::{Value, json};
use std::net::SocketAddr;

const SECRET: &str = "a secret of thirty-two bytes, or more";

const RULES: &str = r#"
[identity]
token = ["header:authorization", "cookie:accessToken"]
scheme = "either"
verify = { algorithm = "HS256", secret = "a secret of thirty-two bytes, or more" }

[[cache]]
name = "list"
match = "GET /list"
key = "list:{query}"
ttl = "5m"
public = true
query = ["page", "limit"]

[[cache]]
name = "item"
match = "GET /item/{id}"
key = "item:{id}"
ttl = "5m"
public = true

[[cache]]
name = "varied"
match = "GET /varied"
key = "varied"
query = []
ttl = "5m"
public = true

[[cache]]
name = "plain"
match = "GET /plain"
key = "plain"
query = []
ttl = "5m"

[[cache]]
name = "mine"
match = "GET /mine"
key = "mine:{claims.email}"
query = []
ttl = "1m"

[[cache]]
name = "staff"
match = "GET /staff"
key = "staff:{claims.email}"
query = []
roles = ["ADMIN"]
ttl = "1m"

[[cache]]
name = "advice"
match = "POST /advice"
key = "advice:{body.symptoms | hash}"
query = []
ttl = "1h"
public = true

[[cache]]
name = "seen"
match = "GET /seen"
key = "seen"
query = []
ttl = "1m"
public = true
stage = "observe"

[[cache]]
name = "parts"
match = "GET /parts"
key = "parts"
query = []
ttl = "origin"
public = true

[[cache]]
name = "off"
match = "GET /off"
key = "off"
query = []
ttl = "1m"
public = true
stage = "off"

[[invalidate]]
name = "item-changed"
on = "PATCH /item/{id}"
drop = ["item:{id}", "list:*"]

[[invalidate]]
name = "item-named"
on = "POST /item"
drop = ["item:{body.id}"]
"#;

async fn origin() -> Origin {
    Origin::start(|asked: Asked| async move {
        let reply = Reply::json(r#"{"data": [1]}"#);
        match asked.target.as_str() {
            "/varied" => reply.header("vary", "Cookie, Accept-Language"),
            "/parts" => part(&asked).header("cache-control", "max-age=60"),
            _ => reply,
        }
    })
    .await
}

/// The first four bytes of ten to whoever asks for them.
fn part(asked: &Asked) -> Reply {
    let reply = match asked.header("range") {
        Some("bytes=0-3") => {
            Reply::of(206, "text/plain", "0123").header("content-range", "bytes 0-3/10")
        }
        _ => Reply::of(200, "text/plain", "0123456789"),
    };
    reply.header("etag", "\"1\"")
}

fn file(origin: SocketAddr) -> String {
    head(origin, "memory:").replacen("[proxy]", "[proxy]\nmax_keyed_body = \"64B\"", 1) + RULES
}

fn token(claims: &Value) -> String {
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    jsonwebtoken::encode(&Header::default(), claims, &key).expect("signs")
}

fn bearer(claims: &Value) -> String {
    format!("Bearer {}", token(claims))
}

struct Case {
    method: &'static str,
    target: &'static str,
    headers: Vec<(&'static str, String)>,
    body: &'static str,
}

fn case(method: &'static str, target: &'static str) -> Case {
    Case {
        method,
        target,
        headers: Vec::new(),
        body: "",
    }
}

impl Case {
    fn with(mut self, name: &'static str, value: impl Into<String>) -> Case {
        self.headers.push((name, value.into()));
        self
    }

    fn json(self, body: &'static str) -> Case {
        let mut case = self.with("content-type", "application/json");
        case.body = body;
        case
    }

    async fn sent(&self, sidecar: &Sidecar) -> Got {
        let headers: Vec<(&str, &str)> = self.headers.iter().map(|(n, v)| (*n, &**v)).collect();
        sidecar
            .ask(self.method, self.target, &headers, self.body)
            .await
    }

    /// As the door tells it, of the same `Host`.
    async fn told(&self, sidecar: &Sidecar) -> Value {
        let mut headers: serde_json::Map<String, Value> = serde_json::Map::new();
        headers.insert("host".into(), "api.test".into());
        for (name, value) in &self.headers {
            headers.insert((*name).into(), value.clone().into());
        }
        let mut question = json!({"method": self.method, "url": self.target, "headers": headers});
        if !self.body.is_empty() {
            question["body"] = self.body.into();
        }
        let told = sidecar
            .door("POST", "/api/explain", &question.to_string())
            .await;
        assert_eq!(told.status, 200, "{}", told.text());
        serde_json::from_slice(&told.body).expect("JSON")
    }
}

fn cases() -> Vec<Case> {
    let ann = json!({"email": "ann@clinic.example", "role": "PATIENT", "exp": 4_000_000_000_u64});
    let boss = json!({"email": "boss@clinic.example", "role": "ADMIN", "exp": 4_000_000_000_u64});
    let late = json!({"email": "ann@clinic.example", "exp": 1});
    let nameless = json!({"role": "ADMIN", "exp": 4_000_000_000_u64});
    vec![
        case("GET", "/list?page=1&utm=2"),
        case("HEAD", "/list?page=1"),
        case("GET", "/list?page=1;limit=2"),
        case("GET", "/item/42"),
        case("GET", "/item/42?x=1"),
        case("GET", "/item/%ff"),
        case("GET", "/item/42").with("authorization", bearer(&ann)),
        case("GET", "/item/42").with("if-match", "\"a\""),
        case("GET", "/item/42").with("x-http-method-override", "GET"),
        case("GET", "/item/42").with("x-http-method-override", "PATCH"),
        case("GET", "/item/42").with("x-original-url", "/mine"),
        case("GET", "/item/42").json("{}"),
        case("GET", "/plain"),
        case("GET", "/plain").with("authorization", "x"),
        case("GET", "/plain").with("cookie", "accessToken=x"),
        case("GET", "/plain").with("cookie", "other=x"),
        case("GET", "/mine"),
        case("GET", "/mine").with("authorization", bearer(&ann)),
        case("GET", "/mine").with("authorization", bearer(&late)),
        case("GET", "/mine").with("authorization", bearer(&nameless)),
        case("GET", "/mine").with("authorization", "Bearer a.b.c"),
        case("GET", "/mine")
            .with("authorization", bearer(&ann))
            .with("cookie", format!("accessToken={}", token(&boss))),
        case("GET", "/staff").with("authorization", bearer(&ann)),
        case("GET", "/staff").with("authorization", bearer(&boss)),
        case("POST", "/advice").json(r#"{"symptoms": "cough"}"#),
        case("POST", "/advice").json(r#"{"symptoms": "cough", "age": 7}"#),
        case("POST", "/advice").json("no JSON"),
        case("POST", "/advice"),
        case("POST", "/advice").json(
            r#"{"symptoms": "a cough that goes on for longer than sixty-four bytes let it"}"#,
        ),
        case("GET", "/seen"),
        case("GET", "/seen").with("range", "bytes=0-3"),
        case("GET", "/list?page=7").with("range", "bytes=0-3"),
        case("HEAD", "/list?page=7").with("range", "bytes=0-3"),
        case("GET", "/list?page=7").with("range", "bytes=0-3"),
        case("GET", "/parts").with("range", "bytes=0-1,5-6"),
        case("GET", "/parts").with("range", "bytes=0-3"),
        case("GET", "/parts").with("range", "bytes=0-3"),
        case("GET", "/off"),
        case("GET", "/nowhere"),
        case("PATCH", "/item/42").json("{}"),
        case("POST", "/item").json("{}"),
        case("POST", "/list"),
        case("POST", "/nowhere"),
        case("DELETE", "/off"),
        case("OPTIONS", "/list"),
        case("TRACE", "/list").with("max-forwards", "0"),
        case("OPTIONS", "/list").with("max-forwards", "0"),
    ]
}

/// What the proxy's `Cache-Status` says of what was told.
fn agrees(told: &Value, got: &Got) -> bool {
    let first = told["reasons"][0]["detail"].as_str();
    match told["verdict"].as_str().expect("a verdict") {
        "cacheable" => match got.outcome() {
            "hit" => got.detail().is_none(),
            "miss" => got.detail() == first,
            // Answered from the whole, if that is kept.
            _ => got.detail() == Some("range") && first == Some("range"),
        },
        "observed" => got.detail() == Some("observe") && first == Some("observe"),
        "bypass" => got.outcome() == "bypass" && got.detail() == first && first.is_some(),
        "pass" => got.outcome() == "bypass" && got.detail().is_none(),
        "write" => match told["drops"].is_null() {
            true => got.outcome() == "bypass" && got.detail().is_none(),
            false => got.outcome() == "write",
        },
        "refused" => got.status >= 400,
        other => panic!("{other} is no verdict"),
    }
}

#[tokio::test]
async fn what_is_told_of_a_request_is_what_becomes_of_it() {
    let origin = origin().await;
    let sidecar = Sidecar::with_file(&file(origin.address)).await;
    let mut verdicts = std::collections::BTreeMap::<String, usize>::new();
    let mut details = std::collections::BTreeSet::new();
    for case in cases() {
        let before = origin.count();
        let told = case.told(&sidecar).await;
        assert_eq!(origin.count(), before, "nobody is asked");
        let got = case.sent(&sidecar).await;
        let said = (case.method, case.target, got.cache_status(), got.status);
        assert!(agrees(&told, &got), "{said:?}\n{told:#}");
        *verdicts.entry(told["verdict"].to_string()).or_default() += 1;
        details.extend(
            told["reasons"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|one| one["detail"].to_string()),
        );
    }
    assert_eq!(verdicts.len(), 6, "all but quarantines: {verdicts:?}");
    assert_eq!(
        details.len(),
        11,
        "each reason that a request can give: {details:?}"
    );
}

#[tokio::test]
async fn all_reasons_are_told_at_once_each_with_its_line() {
    let origin = origin().await;
    let text = file(origin.address);
    let sidecar = Sidecar::with_file(&text).await;
    let told = case("GET", "/item/42?x=1&y=2")
        .with("if-match", "\"a\"")
        .told(&sidecar)
        .await;
    let line = |needle: &str| text.lines().position(|line| line == needle).expect(needle) + 1;
    let reasons = told["reasons"].as_array().expect("reasons");
    let words: Vec<&str> = reasons
        .iter()
        .filter_map(|one| one["detail"].as_str())
        .collect();
    assert_eq!(words, ["unkeyed-header", "unkeyed-query"], "{told:#}");
    assert!(
        reasons[0]["why"]
            .as_str()
            .expect("a text")
            .contains("`if-match`"),
        "{told:#}"
    );
    assert!(
        reasons[1]["why"]
            .as_str()
            .expect("a text")
            .contains("`x` and `y`"),
        "{told:#}"
    );
    // `query` is not written, so it is the table where it belongs.
    let table = text
        .lines()
        .position(|line| line == "name = \"item\"")
        .expect("the rule");
    assert_eq!(reasons[1]["line"], table, "{told:#}");
    assert_eq!(told["rule"]["line"], table);
    let foreign = case("GET", "/plain")
        .with("authorization", "x")
        .told(&sidecar)
        .await;
    assert_eq!(
        foreign["reasons"][0]["line"],
        line("name = \"plain\"") - 1,
        "{foreign:#}"
    );
}

#[tokio::test]
async fn an_entry_is_told_with_its_key_its_nodes_and_the_writes_that_drop_it() {
    let origin = origin().await;
    let sidecar = Sidecar::with_file(&file(origin.address)).await;
    let item = case("GET", "/item/42").told(&sidecar).await;
    assert_eq!(
        item["key"]["parts"][1],
        json!({"template": "{id}", "value": "42"}),
        "{item:#}"
    );
    assert_eq!(
        item["key"]["nodes"],
        json!(["*", "item:*", "item:42"]),
        "{item:#}"
    );
    assert_eq!(item["dropped_by"][0]["set"], "item-changed");
    assert_eq!(item["dropped_by"][0]["when"], "{id} is 42");
    assert_eq!(item["dropped_by"][2]["set"], Value::Null, "its own path");
    let list = case("GET", "/list?page=2&utm=x&limit=5")
        .told(&sidecar)
        .await;
    assert_eq!(
        list["key"]["parts"][1]["of"],
        json!(["limit=5", "page=2"]),
        "{list:#}"
    );
    assert_eq!(list["fill"]["request"], "GET /list?page=2&limit=5");
    let note = list["notes"].to_string();
    assert!(note.contains("`utm` is ignored"), "{list:#}");
    // The key that is told is the one that the store has.
    case("GET", "/item/42").sent(&sidecar).await;
    let write = case("PATCH", "/item/42").json("{}").told(&sidecar).await;
    assert_eq!(write["drops"][0]["nodes"], json!(["item:42"]), "{write:#}");
    let purged = sidecar.purge(&["item:42"]).await;
    assert!(purged.text().contains("item:42"), "{}", purged.text());
    // Where the write does not say which, all fall.
    let created = case("POST", "/item").json("{}").told(&sidecar).await;
    assert_eq!(
        created["drops"][0]["nodes"],
        json!(["item:*"]),
        "{created:#}"
    );
}

#[tokio::test]
async fn a_rule_that_was_just_missed_is_named() {
    let origin = origin().await;
    let sidecar = Sidecar::with_file(&file(origin.address)).await;
    let cases = [
        (case("GET", "/lists"), "most like it is `list`"),
        (case("GET", "/off"), "stage is \"off\""),
        (case("GET", "/advice"), "for POST alone"),
        (case("PUT", "/nowhere"), ""),
        (case("DELETE", "/off"), ""),
    ];
    for (case, part) in cases {
        let told = case.told(&sidecar).await;
        let notes = told["notes"].as_array().cloned().unwrap_or_default();
        let text: Vec<&str> = notes.iter().filter_map(Value::as_str).collect();
        match part {
            "" => assert!(text.is_empty(), "{told:#}"),
            part => assert!(text.iter().any(|note| note.contains(part)), "{told:#}"),
        }
    }
}

#[tokio::test]
async fn a_question_that_cannot_be_read_is_refused_with_what_is_wrong() {
    let origin = origin().await;
    let sidecar = Sidecar::with_file(&file(origin.address)).await;
    let cases = [
        (r#"{"url": "/list", "colour": 1}"#, "colour"),
        (r#"{"method": "GET"}"#, "url"),
        (r#"{"url": "list"}"#, "slash"),
        (r#"{"url": "/list", "method": "G T"}"#, "method"),
        (r#"{"url": "/list", "headers": {"a b": "1"}}"#, "a b"),
        (
            r#"{"url": "/list", "headers": {"authorization": "s3cret\n"}}"#,
            "",
        ),
    ];
    for (question, part) in cases {
        let told = sidecar.door("POST", "/api/explain", question).await;
        let expected = if part.is_empty() { 200 } else { 400 };
        assert_eq!(told.status, expected, "{question}: {}", told.text());
        assert!(told.text().contains(part), "{question}: {}", told.text());
        assert!(!told.text().contains("s3cret"), "{}", told.text());
    }
}

#[test]
fn the_command_explains_without_a_running_sidecar() {
    let directory = tempfile::tempdir().expect("a directory");
    let nobody = "127.0.0.1:1".parse().expect("an address");
    let path = written(directory.path(), &file(nobody));
    let explain = |arguments: &[&str]| {
        let mut command = command();
        output(
            command
                .arg("explain")
                .args(arguments)
                .arg("--rules")
                .arg(&path),
        )
    };
    let told = explain(&[
        "get",
        "http://api.example/item/42?x=1#top",
        "-H",
        "X-Extra: 1",
    ]);
    assert_eq!(told.status.code(), Some(0), "{}", stderr(&told));
    let text = stdout(&told);
    for part in [
        "GET /item/42?x=1\n",
        "bypass: ",
        "item  GET /item/{id}",
        "rules.toml:",
        "unkeyed-query: ",
        "`x`",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    let told = explain(&["GET", "/list?page=1&a=1", "-H", "Range: bytes=0-3"]);
    let text = stdout(&told);
    for part in ["because     range: ", "shared by   everybody"] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    let write = explain(&[
        "POST",
        "/advice",
        "-d",
        r#"{"symptoms": "cough"}"#,
        "--json",
    ]);
    let told: Value = serde_json::from_str(&stdout(&write)).expect("JSON");
    assert_eq!(told["verdict"], "cacheable", "{told:#}");
    assert_eq!(told["assumed"][1], "Content-Type: application/json");
    let bad = [
        (&["GET", "list"][..], "slash"),
        (&["GET", "/list", "-H", "nocolon"], "colon"),
        (&["GET", "/list", "-d", "@/nowhere/file"], "/nowhere/file"),
    ];
    for (arguments, part) in bad {
        let told = explain(arguments);
        assert_eq!(told.status.code(), Some(1), "{arguments:?}");
        assert!(stderr(&told).contains(part), "{}", stderr(&told));
    }
}

#[tokio::test]
async fn what_answers_vary_by_is_told_but_for_credentials() {
    let origin = origin().await;
    let sidecar = Sidecar::with_file(&file(origin.address)).await;
    let varied = || {
        case("GET", "/varied")
            .with("cookie", "accessToken=s3cret-of-ann")
            .with("accept-language", "de")
    };
    varied().sent(&sidecar).await;
    let told = varied().told(&sidecar).await;
    let variants = told["key"]["variants"].to_string();
    assert!(variants.contains("accept-language: de"), "{told:#}");
    assert!(
        variants.contains("cookie: (what it says is not shown)"),
        "{told:#}"
    );
    assert!(!told.to_string().contains("s3cret"), "{told:#}");
}

#[tokio::test]
async fn more_headers_than_any_server_takes_are_no_question() {
    let origin = origin().await;
    let sidecar = Sidecar::with_file(&file(origin.address)).await;
    let headers: serde_json::Map<String, Value> = (0..25_000)
        .map(|n| (format!("{n:x}"), Value::from("")))
        .collect();
    let question = json!({ "url": "/list", "headers": headers }).to_string();
    assert!(question.len() < 256 * 1024, "the door reads it");
    let told = sidecar.door("POST", "/api/explain", &question).await;
    assert_eq!(told.status, 400);
    assert!(told.text().contains("headers"), "{}", told.text());
}

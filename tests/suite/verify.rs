//! Hits held against the origin: what is stale is found and dropped, and the line that is missing is named.

use crate::redis::{RedisServer, eventually};
use crate::world::{Asked, Got, Origin, Reply, Sidecar, head};
use serde_json::{Value as Json, json};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use tokio::sync::Semaphore;

const RULES: &str = r#"
[[cache]]
name = "doctor-list"
match = "GET /doctor"
key = "doctors:list:{query}"
query = ["page"]
ttl = "5m"
public = true

[[cache]]
name = "doctor-details"
match = "GET /doctor/{id}"
key = "doctors:details:{id}"
query = []
ttl = "5m"
public = true

[[cache]]
name = "board"
match = "GET /board"
key = "board:all"
query = []
ttl = "5m"
public = true

[[cache]]
name = "pod"
match = "GET /pod"
key = "pod:all"
query = []
ttl = "5m"
public = true

[[invalidate]]
name = "doctor-changed"
on = "PATCH /doctor/{id}"
drop = ["doctors:details:{id}", "doctors:list:*"]
"#;

const JSON: &[(&str, &str)] = &[("content-type", "application/json")];

/// Two doctors with reviews. A PATCH is carried out at once and answered when there is leave to, as `/held` is. Which pod
/// answers is a matter of the connection.
struct Clinic {
    origin: Origin,
    leave: Arc<Semaphore>,
}

impl Clinic {
    async fn start() -> Clinic {
        let reviews = Arc::new(Mutex::new([0_u64; 2]));
        let (asked, leave) = (Arc::new(AtomicU64::new(0)), Arc::new(Semaphore::new(0)));
        let waiting = leave.clone();
        let origin = Origin::start(move |request: Asked| {
            let (reviews, waiting) = (reviews.clone(), waiting.clone());
            let n = asked.fetch_add(1, SeqCst);
            async move {
                let reviewed = |doctor: usize| {
                    let mut reviews = reviews.lock().expect("not poisoned");
                    reviews[doctor] += 1;
                    reviews[doctor]
                };
                let all = *reviews.lock().expect("not poisoned");
                let item =
                    |doctor: usize| json!({ "id": doctor.to_string(), "reviews": all[doctor] });
                let json = |json: Json| Reply::json(json.to_string());
                match (request.method.as_str(), request.target.as_str()) {
                    ("POST", "/review") => {
                        let body: Json = serde_json::from_slice(&request.body).expect("JSON");
                        let doctor = body["doctorId"].as_str().expect("an id");
                        json(json!({ "reviews": reviewed(doctor.parse().expect("a number")) }))
                    }
                    ("PATCH", "/doctor/1") => {
                        reviewed(1);
                        let _ = waiting.acquire().await; // ends when it is closed
                        json(json!({}))
                    }
                    ("POST", "/rename") => {
                        reviewed(1);
                        let _ = waiting.acquire().await;
                        json(json!({})).header("location", "/doctor/1")
                    }
                    ("GET", "/doctor/0") => json(item(0)),
                    ("GET", "/doctor/1") => json(item(1)),
                    ("GET", "/pod") => json(json!({ "pod": request.connection % 2 })),
                    ("GET", "/held") => {
                        let leave = waiting.acquire().await;
                        leave.expect("it is open").forget();
                        json(json!({}))
                    }
                    ("GET", "/board") => json(json!({ "at": n, "title": "a board" })),
                    ("GET", _) => json(json!({ "data": [item(0), item(1)] })),
                    _ => json(json!({ "token": n })),
                }
            }
        })
        .await;
        Clinic { origin, leave }
    }
}

fn file(clinic: &Clinic, redis: &RedisServer, verify: &str, rules: &str) -> String {
    let head = head(clinic.origin.address, &redis.url());
    let patient = head.replace("[store]", "[store]\ntimeout = \"20s\"");
    format!("{patient}[audit]\nverify = {verify}\n{RULES}{rules}")
}

async fn sidecar(clinic: &Clinic, redis: &RedisServer, verify: &str) -> Sidecar {
    Sidecar::with_file(&file(clinic, redis, verify, "")).await
}

/// How often verifying hits of a rule came to this.
async fn came_to(sidecar: &Sidecar, rule: &str, result: &str) -> u64 {
    let metrics = sidecar.door("GET", "/metrics", "").await.text();
    let line =
        format!("sidecache_audit_total{{rule=\"{rule}\",kind=\"verify\",result=\"{result}\"}} ");
    let count = metrics.lines().find_map(|text| text.strip_prefix(&line));
    count.map_or(0, |count| count.parse().expect("a number"))
}

/// Asks until one more hit has come to this.
async fn until_it_came_to(sidecar: &Sidecar, target: &str, (rule, result): (&str, &str)) {
    let before = came_to(sidecar, rule, result).await;
    eventually(&format!("{target} is found {result}"), async || {
        sidecar.get(target).await;
        came_to(sidecar, rule, result).await > before
    })
    .await;
}

async fn audit(sidecar: &Sidecar) -> Json {
    let got = sidecar.door("GET", "/api/audit", "").await;
    serde_json::from_slice(&got.body).expect("JSON")
}

fn finding<'a>(audit: &'a Json, kind: &str, rule: &str) -> Option<&'a Json> {
    let mut findings = audit["findings"].as_array()?.iter();
    findings.find(|finding| finding["kind"] == kind && finding["rule"] == rule)
}

async fn review(sidecar: &Sidecar, doctor: usize) -> Got {
    let body = json!({ "doctorId": doctor.to_string(), "rating": 5 }).to_string();
    let got = sidecar.ask("POST", "/review", JSON, &body).await;
    assert_eq!(got.status, 200);
    got
}

#[tokio::test]
async fn a_write_that_no_set_names_is_named_by_what_it_made_stale_and_not_a_login_before_it() {
    let (clinic, redis) = (Clinic::start().await, RedisServer::start());
    let one = sidecar(&clinic, &redis, "1.0").await;
    let two = sidecar(&clinic, &redis, "1.0").await;
    let (list, details) = ("doctor-list", "doctor-details");
    for round in 0..4 {
        let (reviewed, other) = (round % 2, 1 - round % 2);
        let pages = [
            "/doctor".to_owned(),
            format!("/doctor/{reviewed}"),
            format!("/doctor/{other}"),
        ];
        for page in &pages {
            two.get(page).await;
        }
        one.ask("POST", "/login", JSON, "{}").await;
        until_it_came_to(&two, "/doctor", (list, "same")).await;
        until_it_came_to(&two, &pages[1], (details, "same")).await;
        // Who tells of a write tells only what stands in keys that it knows itself.
        for page in &pages[1..] {
            until_it_came_to(&one, page, (details, "same")).await;
        }
        review(&one, reviewed).await;
        until_it_came_to(&two, "/doctor", (list, "stale")).await;
        until_it_came_to(&two, &pages[1], (details, "stale")).await;
        until_it_came_to(&two, &pages[2], (details, "same")).await;
    }
    let mut found = Json::Null;
    eventually("the missing lines are named", async || {
        found = audit(&two).await;
        finding(&found, "stale", list).is_some() && finding(&found, "stale", details).is_some()
    })
    .await;
    let of = |rule: &str| finding(&found, "stale", rule).expect("it was found");
    assert_eq!(of(list)["write"], "POST /review", "{found:#}");
    assert_eq!(of(list)["drop"], "doctors:list:*");
    assert!(
        of(list)["evidence"]["stale"].as_u64() >= Some(3),
        "{found:#}"
    );
    assert_eq!(
        of(details)["drop"],
        "doctors:details:{body.doctorId}",
        "{found:#}"
    );
    assert_eq!(of(details)["evidence"]["fresh_all_the_same"], 0);
    let advice = of(list)["advice"].as_str().expect("a text").to_owned();
    assert!(!found.to_string().contains("login"), "{found:#}");
    eventually("any door tells it", async || {
        let told = audit(&one).await;
        let drop = |rule: &str| Some(finding(&told, "stale", rule)?["drop"].clone());
        drop(list) == Some(json!("doctors:list:*")) && drop(details).is_some()
    })
    .await;
    for sidecar in [&one, &two] {
        let renewed = file(&clinic, &redis, "1.0", &format!("{advice}\n"));
        sidecar
            .reload(&renewed)
            .expect("what is advised can be used");
        sidecar.get("/doctor").await;
    }
    review(&one, 0).await;
    assert_eq!(two.get("/doctor").await.outcome(), "miss");
    until_it_came_to(&two, "/doctor", (list, "same")).await;
    assert_eq!(audit(&two).await["findings"], json!([]));
}

#[tokio::test]
async fn what_never_says_the_same_twice_is_told_apart_from_what_is_stale() {
    let (clinic, redis) = (Clinic::start().await, RedisServer::start());
    let sidecar = sidecar(&clinic, &redis, "1.0").await;
    sidecar.get("/board").await;
    for _ in 0..3 {
        until_it_came_to(&sidecar, "/board", ("board", "restless")).await;
    }
    let found = audit(&sidecar).await;
    let restless = finding(&found, "restless", "board").expect("it is said");
    assert_eq!(restless["evidence"]["at"], json!(["/at"]), "{found:#}");
    assert_eq!(came_to(&sidecar, "board", "stale").await, 0);
    assert_eq!(sidecar.get("/board").await.outcome(), "hit", "it stays");
}

#[tokio::test]
async fn what_differs_by_the_connection_is_not_stale() {
    let (clinic, redis) = (Clinic::start().await, RedisServer::start());
    let sidecar = sidecar(&clinic, &redis, "1.0").await;
    sidecar.get("/pod").await;
    let asked = clinic.origin.count();
    let (held, ()) = tokio::join!(sidecar.get("/held"), async {
        eventually("it is held", async || clinic.origin.count() > asked).await;
        // By the second connection, which leads to the other pod, and then by a third.
        assert_eq!(sidecar.get("/pod").await.outcome(), "hit");
        eventually("the pods are seen to differ", async || {
            assert_eq!(came_to(&sidecar, "pod", "stale").await, 0);
            came_to(&sidecar, "pod", "restless").await == 1
        })
        .await;
        clinic.leave.add_permits(1);
    });
    assert_eq!(held.status, 200);
    let connections = clinic.origin.asked().into_iter();
    let connections: Vec<u64> = connections.map(|asked| asked.connection).collect();
    assert_eq!(connections, [0, 0, 1, 2]);
}

#[tokio::test]
async fn a_write_that_is_under_way_through_another_sidecar_is_no_finding() {
    let (clinic, redis) = (Clinic::start().await, RedisServer::start());
    let one = Arc::new(sidecar(&clinic, &redis, "1.0").await);
    let two = sidecar(&clinic, &redis, "1.0").await;
    two.get("/doctor/1").await;
    let writer = one.clone();
    let writing = tokio::spawn(async move { writer.ask("PATCH", "/doctor/1", JSON, "{}").await });
    eventually("the write is carried out", async || {
        clinic
            .origin
            .asked()
            .iter()
            .any(|asked| asked.method == "PATCH")
    })
    .await;
    until_it_came_to(&two, "/doctor/1", ("doctor-details", "overtaken")).await;
    until_it_came_to(&one, "/doctor/1", ("doctor-details", "overtaken")).await;
    clinic.leave.close();
    assert_eq!(writing.await.expect("it ends").status, 200);
    assert_eq!(two.get("/doctor/1").await.outcome(), "miss");
    for sidecar in [&*one, &two] {
        assert_eq!(came_to(sidecar, "doctor-details", "stale").await, 0);
        assert_eq!(audit(sidecar).await["findings"], json!([]));
    }
}

#[tokio::test]
async fn a_write_whose_answer_alone_says_what_it_drops_is_no_finding() {
    let (clinic, redis) = (Clinic::start().await, RedisServer::start());
    let sidecar = Arc::new(sidecar(&clinic, &redis, "1.0").await);
    sidecar.get("/doctor/1").await;
    let before = clinic.origin.count();
    let writer = sidecar.clone();
    let writing = tokio::spawn(async move { writer.ask("POST", "/rename", JSON, "{}").await });
    eventually("the write is carried out", async || {
        clinic.origin.count() > before
    })
    .await;
    assert_eq!(sidecar.get("/doctor/1").await.outcome(), "hit");
    eventually("the hit is verified", async || {
        clinic.origin.count() >= before + 3
    })
    .await;
    clinic.leave.close();
    assert_eq!(writing.await.expect("it ends").status, 200);
    eventually("it is overtaken", async || {
        came_to(&sidecar, "doctor-details", "overtaken").await == 1
    })
    .await;
    assert_eq!(came_to(&sidecar, "doctor-details", "stale").await, 0);
}

#[tokio::test]
async fn what_is_read_of_a_write_is_sent_on_byte_for_byte() {
    let (clinic, redis) = (Clinic::start().await, RedisServer::start());
    let sidecar = sidecar(&clinic, &redis, "1.0").await;
    let long = format!("{{\"a\": \"{}\"}}", "x".repeat(1 << 20));
    let form = "--b\r\ncontent-disposition: form-data; name=\"a\"\r\n\r\n1\r\n--b--\r\n";
    for (kind, body) in [
        (
            "application/json",
            "{ \"a\" :\t1e0,\r\n \"\\u00e4\": [ ] }\n",
        ),
        ("application/json", "{ this is no JSON"),
        ("application/json", &long),
        ("multipart/form-data; boundary=b", form),
        ("application/json", ""),
    ] {
        let sent = [("content-type", kind)];
        let got = sidecar.ask("POST", "/login", &sent, body).await;
        assert_eq!(
            (got.status, clinic.origin.last().body.as_ref()),
            (200, body.as_bytes())
        );
        let n = clinic.origin.count() - 1;
        assert_eq!(got.text(), format!("{{\"token\":{n}}}"));
    }
}

#[tokio::test]
async fn nobody_is_asked_anything_where_nothing_is_verified() {
    let (clinic, redis) = (Clinic::start().await, RedisServer::start());
    let sidecar = sidecar(&clinic, &redis, "0").await;
    sidecar.get("/doctor").await;
    review(&sidecar, 0).await;
    for _ in 0..200 {
        assert_eq!(sidecar.get("/doctor").await.outcome(), "hit");
    }
    assert_eq!(clinic.origin.count(), 2);
    assert_eq!(audit(&sidecar).await, json!({ "findings": [] }));
}

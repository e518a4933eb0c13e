use super::Ended;
use crate::process::{command, gather};
use crate::redis::eventually;
use crate::world::{Asked, Origin, Reply};
use hyper::{HeaderMap, Method, header};
use serde_json::{Value as Json, json};
use sidecache::traffic::recording::Recorder;
use sidecache::traffic::{Answered, Exchange};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use tokio::sync::Semaphore;

const RULES: &str = r#"namespace = "shop"
[proxy]
listen = "127.0.0.1:0"
origin = "http://127.0.0.1:1"
hosts = ["shop.test"]

[[cache]]
name = "list"
match = "GET /items"
key = "items:list"
query = []
ttl = "1m"
public = true

[[cache]]
name = "item"
match = "GET /items/{id}"
key = "items:one:{id}"
query = []
ttl = "1m"
public = true

[[cache]]
name = "news"
match = "GET /news"
key = "news:{query}"
ttl = "1m"
public = true

[[invalidate]]
name = "pinged"
on = "POST /ping"
drop = ["news:*"]
"#;

/// A shop whose answers are restless: each says how many were asked before it, and lists are in another order each
/// time. Items have other ids than when its traffic was recorded.
#[derive(Default)]
struct Shop {
    prices: BTreeMap<u64, u64>,
    asked: u64,
    /// A price that the shop goes on to write when it has answered: for so many reads the old one is seen.
    later: Option<(u64, u64, u64)>,
}

impl Shop {
    fn opened() -> Shop {
        Shop {
            prices: BTreeMap::from([(1, 10), (2, 20), (3, 30)]),
            ..Shop::default()
        }
    }

    fn answer(&mut self, asked: &Asked) -> Reply {
        self.asked += 1;
        let body: Json = serde_json::from_slice(&asked.body).unwrap_or_default();
        let path = asked.target.split('?').next().unwrap_or_default();
        let one = path.strip_prefix("/items/").and_then(|id| id.parse().ok());
        match (asked.method.as_str(), path, one) {
            ("GET", "/news", _) => Reply::json(r#"{"news": []}"#),
            ("GET", "/items", _) => self.list(),
            ("GET", _, Some(id)) => self.item(id),
            ("POST", "/items", _) => {
                let id = 100 + self.prices.len() as u64;
                self.prices
                    .insert(id, body["price"].as_u64().expect("a price"));
                Reply::json(json!({ "id": id }).to_string())
            }
            ("PUT", "/prices", _) => self.price(&body),
            ("PUT", "/later", _) => {
                let number = |name: &str| body[name].as_u64().expect("a number");
                self.later = Some((number("itemId"), number("price"), number("reads")));
                Reply::json("{}")
            }
            ("POST", "/ping", _) | ("DELETE", "/ping", _) => Reply::json("{}"),
            _ => Reply::of(404, "application/json", "{}"),
        }
    }

    fn list(&mut self) -> Reply {
        let items = self
            .prices
            .iter()
            .map(|(id, price)| json!({"id": id, "price": price}));
        let mut items: Vec<Json> = items.collect();
        let by = self.asked as usize % items.len();
        items.rotate_left(by);
        Reply::json(json!({"asked": self.asked, "items": items}).to_string())
    }

    fn item(&mut self, id: u64) -> Reply {
        if let Some((of, price, reads)) = self.later.take_if(|later| later.0 == id) {
            match reads {
                0 => drop(self.prices.insert(of, price)),
                _ => self.later = Some((of, price, reads - 1)),
            }
        }
        match self.prices.get(&id) {
            Some(price) => {
                Reply::json(json!({"asked": self.asked, "id": id, "price": price}).to_string())
            }
            None => Reply::of(404, "application/json", "{}"),
        }
    }

    fn price(&mut self, body: &Json) -> Reply {
        let id = body["itemId"].as_u64().expect("an id");
        match self.prices.get_mut(&id) {
            Some(price) => {
                *price = body["price"].as_u64().expect("a price");
                Reply::json("{}")
            }
            None => Reply::of(409, "application/json", "{}"),
        }
    }
}

async fn shop() -> Origin {
    let shop = Arc::new(Mutex::new(Shop::opened()));
    Origin::start(move |asked: Asked| {
        let shop = shop.clone();
        async move { shop.lock().expect("not poisoned").answer(&asked) }
    })
    .await
}

fn exchange(at_ms: u64, line: &str, body: Json, status: u16, answer: Json) -> Exchange {
    let (method, target) = line.split_once(' ').expect("a method and a path");
    let mut headers = HeaderMap::new();
    let json = "application/json".parse().expect("a value");
    headers.insert(header::CONTENT_TYPE, json);
    Exchange {
        at_ms,
        took_ms: None,
        method: Method::from_bytes(method.as_bytes()).expect("a method"),
        target: target.to_owned(),
        headers: if body.is_null() {
            HeaderMap::new()
        } else {
            headers
        },
        body: if body.is_null() {
            "".into()
        } else {
            body.to_string().into()
        },
        answer: Some(Answered {
            status,
            headers: HeaderMap::new(),
            body: Some(answer.to_string().into()),
        }),
    }
}

/// A directory with rules and traffic.
fn recorded(exchanges: &[(&str, Json, u16, Json)]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::write(directory.path().join("rules.toml"), RULES).expect("a file");
    let mut recorder = Recorder::create(&directory.path().join("traffic")).expect("a recording");
    for (at, (line, body, status, answer)) in (1..).zip(exchanges.iter().cloned()) {
        let one = exchange(at, line, body, status, answer);
        recorder.write(&one).expect("it is written");
    }
    recorder.flush().expect("it is written");
    directory
}

fn read(line: &str) -> (&str, Json, u16, Json) {
    (line, Json::Null, 200, json!({}))
}

fn learn(directory: &Path, origin: &str, more: &[&str]) -> Command {
    let mut command = command();
    command.current_dir(directory);
    command.args([
        "learn",
        "--origin",
        origin,
        "--traffic",
        "traffic",
        "--settle",
        "0ms",
    ]);
    command.args(more);
    command
}

async fn ended(mut command: Command) -> Ended {
    let ran = tokio::task::spawn_blocking(move || command.output()).await;
    Ended::of(&ran.expect("no panic").expect("the command starts"))
}

async fn told(directory: &Path, origin: &Origin) -> Json {
    let origin = format!("http://{}", origin.address);
    let ended = ended(learn(directory, &origin, &["--json"])).await;
    serde_json::from_str(&ended.out).unwrap_or_else(|_| panic!("{}{}", ended.out, ended.err))
}

fn missing(told: &Json) -> Vec<[&str; 3]> {
    let missing = told["missing"].as_array().expect("a list");
    missing
        .iter()
        .map(|one| ["write", "rule", "drop"].map(|name| one[name].as_str().expect("a text")))
        .collect()
}

#[tokio::test]
async fn restless_answers_are_no_findings_and_what_changed_among_them_is() {
    let origin = shop().await;
    let directory = recorded(&[
        read("GET /items"),
        read("GET /items/1"),
        read("GET /items/2"),
        read("GET /news"),
        ("POST /ping", json!({}), 200, json!({})),
        (
            "PUT /prices",
            json!({"itemId": 2, "price": 21}),
            200,
            json!({}),
        ),
        (
            "PUT /prices",
            json!({"itemId": 1, "price": 11}),
            200,
            json!({}),
        ),
    ]);
    let told = told(directory.path(), &origin).await;
    assert_eq!(
        missing(&told),
        [
            ["PUT /prices", "list", "items:list"],
            ["PUT /prices", "item", "items:one:{body.itemId}"],
        ]
    );
    assert_eq!(told["missing"][0]["at"], json!(["/items/*/price"]));
    let restless = told["rules"].as_array().expect("rules").iter();
    let restless: Vec<&Json> = restless.map(|rule| &rule["restless"]).collect();
    assert_eq!(
        restless,
        [&json!(["/asked", "/items"]), &json!(["/asked"]), &json!([])]
    );
    let useless = json!([{"set": "pinged", "drop": "news:*", "dropped": 1}]);
    assert_eq!(told["useless"], useless);
    assert!(
        origin
            .asked()
            .iter()
            .all(|one| one.header("host") == Some("shop.test"))
    );
}

#[tokio::test]
async fn what_the_origin_makes_anew_is_carried_into_what_comes_later() {
    let origin = shop().await;
    let directory = recorded(&[
        read("GET /items/1"),
        ("POST /items", json!({"price": 5}), 200, json!({"id": 17})),
        read("GET /items/17"),
        (
            "PUT /prices",
            json!({"itemId": 17, "price": 6}),
            200,
            json!({}),
        ),
        (
            "PUT /prices",
            json!({"itemId": 1, "price": 11}),
            200,
            json!({}),
        ),
    ]);
    let told = told(directory.path(), &origin).await;
    assert_eq!(
        missing(&told),
        [["PUT /prices", "item", "items:one:{body.itemId}"]]
    );
    let asked = origin.asked();
    assert!(
        asked.iter().any(|one| one.target == "/items/103"),
        "the new item"
    );
    let priced = asked
        .iter()
        .find(|one| one.target == "/prices")
        .expect("a write");
    let body: Json = serde_json::from_slice(&priced.body).expect("JSON");
    assert_eq!(body, json!({"itemId": 103, "price": 6}));
}

#[tokio::test]
async fn a_write_that_goes_otherwise_than_recorded_is_not_measured_and_one_that_acts_later_is() {
    let origin = shop().await;
    let directory = recorded(&[
        read("GET /items/1"),
        (
            "PUT /prices",
            json!({"itemId": 9, "price": 6}),
            200,
            json!({}),
        ),
        (
            "PUT /later",
            json!({"itemId": 1, "price": 12, "reads": 2}),
            200,
            json!({}),
        ),
        ("POST /refused", json!({}), 404, json!({})),
    ]);
    let url = format!("http://{}", origin.address);
    let ended = ended(learn(directory.path(), &url, &["--out", "sets.toml"])).await;
    assert_eq!(ended.status, Some(1), "{}{}", ended.out, ended.err);
    for line in [
        "PUT /prices    ?",
        "PUT /later     ✗1/1",
        "POST /refused  ?",
        "  PUT /prices: it was answered 409, and 200 when it was recorded: was its data another then?",
        "  POST /refused: it was recorded to be refused (404), and was again",
        "  PUT /later → item: drop \"items:one:*\"",
        "  -  list: no recorded request",
    ] {
        assert!(
            ended.out.lines().any(|one| one == line),
            "{line}\n{}",
            ended.out
        );
    }
    let sets = std::fs::read_to_string(directory.path().join("sets.toml")).expect("it is written");
    let set = "[[invalidate]]\nname = \"put-later\" # new\non   = [\"PUT /later\"]\ndrop = [\n  \"items:one:*\", # new: \
               item: 1 of 1 answers changed: /price\n]\n";
    assert!(sets.contains(set), "{sets}");
    assert!(sets.contains("name = \"pinged\" # not measured"), "{sets}");
}

#[tokio::test]
async fn what_changes_between_two_answers_of_one_moment_is_looked_at_again() {
    let origin = shop().await;
    let later = |price: u64| {
        (
            "PUT /later",
            json!({"itemId": 1, "price": price, "reads": 1}),
            200,
            json!({}),
        )
    };
    let directory = recorded(&[read("GET /items/1"), later(12), later(13)]);
    let told = told(directory.path(), &origin).await;
    let cell = &told["writes"][0]["rules"]["item"];
    assert_eq!(
        (&cell["asked"], &cell["changed"]),
        (&json!(2), &json!(2)),
        "{told:#}"
    );
    assert_eq!(
        told["rules"][0]["restless"],
        json!(["/asked"]),
        "and not /price"
    );
}

#[tokio::test]
async fn nothing_is_written_where_it_is_not_said_or_not_known_what() {
    let directory = recorded(&[read("GET /items")]);
    let elsewhere = learn(directory.path(), "http://192.0.2.1:5000", &[]);
    ended(elsewhere).await.fails("say so with --yes");
    let reads_alone = learn(directory.path(), "http://127.0.0.1:1", &[]);
    ended(reads_alone)
        .await
        .fails("the traffic holds no writes");
}

#[tokio::test]
async fn no_file_is_overwritten_and_none_is_left_where_nothing_was_measured() {
    let origin = shop().await;
    let directory = recorded(&[
        read("GET /items/1"),
        ("POST /ping", json!({}), 200, json!({})),
    ]);
    let url = format!("http://{}", origin.address);
    let run =
        async |url: &str, out: &str| ended(learn(directory.path(), url, &["--out", out])).await;
    for there in ["rules.toml", "./traffic"] {
        let before = std::fs::read(directory.path().join(there)).expect("a file");
        run(&url, there).await.fails("is not overwritten");
        let after = std::fs::read(directory.path().join(there)).expect("a file");
        assert!(before == after, "{there} was written");
    }
    run(&url, "nowhere/sets.toml").await.fails("cannot be made");
    assert!(
        origin.asked().is_empty(),
        "refused before anything is asked"
    );
    run("http://127.0.0.1:1", "sets.toml")
        .await
        .fails("nothing answers");
    assert!(!directory.path().join("sets.toml").exists());
}

#[tokio::test]
async fn of_an_access_log_only_writes_without_a_body_are_made() {
    let origin = shop().await;
    let directory = recorded(&[]);
    let line = |request: &str, status: u16| {
        format!("192.0.2.7 - - [23/Nov/2026:16:00:00 +0000] \"{request} HTTP/1.1\" {status} 12\n")
    };
    let log = line("GET /items", 200) + &line("POST /items", 200) + &line("DELETE /ping", 200);
    std::fs::write(directory.path().join("traffic"), log).expect("a file");
    let url = format!("http://{}", origin.address);
    let ended = ended(learn(directory.path(), &url, &[])).await.succeeds();
    assert!(
        ended
            .err
            .contains("an access log holds neither bodies nor credentials"),
        "{}",
        ended.err
    );
    let told = "POST /items: its body was not recorded";
    assert!(ended.out.contains(told), "{}", ended.out);
    assert!(ended.out.contains("DELETE /ping  ·"), "{}", ended.out);
    assert!(origin.asked().iter().all(|one| one.method != Method::POST));
}

#[tokio::test]
async fn what_was_measured_before_an_interruption_is_told() {
    let (gate, is_held) = (
        Arc::new(Semaphore::new(1)),
        Arc::new(AtomicBool::new(false)),
    );
    let shop = Arc::new(Mutex::new(Shop::opened()));
    let (passes, held) = (gate.clone(), is_held.clone());
    let origin = Origin::start(move |asked: Asked| {
        let (shop, passes, held) = (shop.clone(), passes.clone(), held.clone());
        async move {
            if asked.method != Method::GET {
                held.store(passes.available_permits() == 0, SeqCst);
                passes.acquire().await.expect("it stays open").forget();
            }
            shop.lock().expect("not poisoned").answer(&asked)
        }
    })
    .await;
    let directory = recorded(&[
        read("GET /items/1"),
        (
            "PUT /prices",
            json!({"itemId": 1, "price": 6}),
            200,
            json!({}),
        ),
        ("POST /ping", json!({}), 200, json!({})),
    ]);
    let url = format!("http://{}", origin.address);
    let mut command = learn(directory.path(), &url, &[]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut running = command.spawn().expect("the command starts");
    let said = gather(running.stderr.take().expect("piped"));
    eventually("the second write waits", async || is_held.load(SeqCst)).await;
    let pid = running.id().to_string();
    let interrupted = Command::new("kill").args(["-INT", &pid]).status();
    assert!(interrupted.expect("kill is there").success());
    let output = tokio::task::spawn_blocking(move || running.wait_with_output()).await;
    let ended = Ended::of(&output.expect("no panic").expect("it ran"));
    assert_eq!(ended.status, Some(1), "{}", ended.out);
    assert!(ended.out.contains("PUT /prices  ✗1/1"), "{}", ended.out);
    assert!(!ended.out.contains("POST /ping  "), "{}", ended.out);
    eventually("it says so", async || {
        said.lock()
            .expect("not poisoned")
            .contains("measured by then; `POST /ping` was under way: the origin may have done it")
    })
    .await;
}

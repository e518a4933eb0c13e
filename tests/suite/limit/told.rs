//! What is said of limits.

use super::{KEPT, behind_a_proxy, hello, is_limited, limit};
use crate::process::{command, output, stdout, written};
use crate::world::{Asked, Got, Origin, Reply, Sidecar, head};
use serde_json::{Value, json};

const SEVERAL: &str = r#"
[[limit]]
name = "burst"
match = "GET /x"
max = 2
window = "90s"

[[limit]]
name = "day"
match = "GET /{rest*}"
per = "everybody"
max = 100
window = "1d"
"#;

/// The members of a list, over all its lines.
fn members(got: &Got, name: &str) -> Vec<String> {
    let lines = got.headers.get_all(name).iter();
    let lines = lines.filter_map(|line| line.to_str().ok());
    let members = lines.flat_map(|line| line.split(", "));
    members.map(str::to_owned).collect()
}

/// The seconds of a member such as `"burst";r=1;t=60`, which begins so.
fn seconds(member: &str, begins: &str) -> u64 {
    let rest = member.strip_prefix(begins);
    let rest = rest.unwrap_or_else(|| panic!("{member} does not begin with {begins}"));
    rest.parse().expect("seconds")
}

#[tokio::test]
async fn every_answer_tells_of_all_limits_that_match() {
    let origin = hello().await;
    let sidecar = Sidecar::start(&origin, "memory:", SEVERAL).await;
    for used in 1..=2 {
        let got = sidecar.get("/x").await;
        let policy = [r#""burst";q=2;w=90"#, r#""day";q=100;w=86400"#];
        assert_eq!(members(&got, "ratelimit-policy"), policy);
        let left = members(&got, "ratelimit");
        let burst = seconds(&left[0], &format!("\"burst\";r={};t=", 2 - used));
        let day = seconds(&left[1], &format!("\"day\";r={};t=", 100 - used));
        assert!((1..=90).contains(&burst) && day > 86_000, "{left:?}");
        assert_eq!((got.header("retry-after"), left.len()), (None, 2));
    }
    let refused = sidecar.get("/x").await;
    assert!(is_limited(&refused));
    let left = members(&refused, "ratelimit");
    let burst = seconds(&left[0], "\"burst\";r=0;t=");
    seconds(&left[1], "\"day\";r=98;t="); // not counted by the other
    let retry_after = refused.header("retry-after").map(str::to_owned);
    assert_eq!(retry_after, Some(burst.to_string()));
    let other = sidecar.get("/y").await;
    assert_eq!(members(&other, "ratelimit-policy").len(), 1);
    let post = sidecar.ask("POST", "/x", &[], "").await;
    assert!(post.header("ratelimit").is_none());
}

#[tokio::test]
async fn what_the_origin_says_of_limits_of_its_own_stands_beside_ours() {
    let origin = Origin::start(|_: Asked| async {
        Reply::json("{}").header("ratelimit", "\"theirs\";r=7;t=9")
    })
    .await;
    let sidecar = Sidecar::start(&origin, "memory:", SEVERAL).await;
    let left = members(&sidecar.get("/y").await, "ratelimit");
    assert!(left[0].starts_with("\"theirs\"") && left[1].starts_with("\"day\""));
}

#[tokio::test]
async fn a_limited_request_has_an_outcome_of_its_own() {
    let origin = hello().await;
    let rules = limit("all", "\"GET /{rest*}\"", "everybody", 1);
    let sidecar = Sidecar::start(&origin, "memory:", &format!("{KEPT}{rules}")).await;
    for _ in 0..4 {
        sidecar.get("/thing/1").await;
    }
    let metrics = sidecar.door("GET", "/metrics", "").await.text();
    let line = "sidecache_requests_total{rule=\"-\",outcome=\"limited\"} 3\n";
    assert!(metrics.contains(line), "{metrics}");
    let stats = sidecar.door("GET", "/api/stats", "").await.text();
    let stats: Value = serde_json::from_str(&stats).expect("JSON");
    let all = json!({ "allowed": 1, "limited": 3, "unenforced": 0 });
    assert_eq!(stats["process"]["limits"]["all"], all);
}

#[tokio::test]
async fn the_door_shows_limits_and_explains_by_which_a_request_is_counted() {
    let origin = hello().await;
    let rules = limit("change", "\"POST /change/{id}\"", "{id}", 3);
    let sidecar = behind_a_proxy(&origin, "memory:", &format!("{KEPT}{rules}")).await;
    let shown = sidecar.door("GET", "/api/rules", "").await.text();
    let shown: Value = serde_json::from_str(&shown).expect("JSON");
    let limit = json!([{
        "name": "change",
        "match": ["POST /change/{id}"],
        "per": "{id}",
        "max": 3,
        "window": "1h",
    }]);
    assert_eq!(shown["limits"], limit);
    let explain = async |method: &str, url: &str| {
        let question = json!({ "method": method, "url": url }).to_string();
        let told = sidecar.door("POST", "/api/explain", &question).await.text();
        serde_json::from_str::<Value>(&told).expect("JSON")
    };
    let told = explain("POST", "/change/1").await;
    assert_eq!(told["verdict"], "write");
    assert_eq!(told["limits"][0]["name"], "change");
    assert_eq!(explain("GET", "/thing/1").await.get("limits"), None);
    assert_eq!(
        sidecar
            .ask("POST", "/change/1", &[], "")
            .await
            .header("ratelimit")
            .map(|left| left.starts_with("\"change\";r=2")),
        Some(true)
    );
}

#[tokio::test]
async fn the_command_explains_it_with_its_line() {
    let origin = hello().await;
    let file = head(origin.address, "memory:") + SEVERAL;
    let line = 1 + file
        .lines()
        .position(|line| line == "[[limit]]")
        .expect("a limit");
    let home = tempfile::tempdir().expect("a directory");
    let rules = written(home.path(), &file);
    let mut explain = command();
    explain.args(["explain", "GET", "/x", "--rules"]).arg(rules);
    let told = stdout(&output(&mut explain));
    assert!(told.contains("burst  2 in 90s per {client_ip}"), "{told}");
    assert!(told.contains(&format!(":{line}\n")), "{told}");
    assert!(told.contains("day  100 in 1d per everybody"), "{told}");
}

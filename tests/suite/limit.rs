//! Limits: so many requests in a window, and the next is refused before anything is done for it.

mod fleet; // sidecars that count together, and a Redis that goes away
mod told; // what is said of limits: headers, metrics, the door, the commands
mod who; // whose requests are counted together

use crate::raw::talk;
use crate::redis::{RedisServer, eventually};
use crate::world::{Asked, Got, Origin, Reply, Sidecar, head};

/// A limit with a window that does not end within a test.
fn limit(name: &str, routes: &str, per: &str, max: u64) -> String {
    format!(
        "[[limit]]\nname = \"{name}\"\nmatch = [{routes}]\nper = \"{per}\"\nmax = {max}\nwindow = \"1h\"\n"
    )
}

/// An answer that is kept, and a write that drops it.
const KEPT: &str = r#"
[[cache]]
name = "thing"
match = "GET /thing/{id}"
key = "things:{id}"
query = []
ttl = "5m"
public = true

[[invalidate]]
name = "changed"
on = "POST /change/{id}"
drop = ["things:{id}"]
"#;

async fn hello() -> Origin {
    Origin::start(|_: Asked| async { Reply::json(r#"{"hello": 1}"#) }).await
}

/// A sidecar that believes what a client of this machine says of its way.
async fn behind_a_proxy(origin: &Origin, store: &str, rules: &str) -> Sidecar {
    let file = head(origin.address, store)
        .replace("[store]", "[store]\ntimeout = \"20s\"")
        .replace("[proxy]", "[proxy]\ntrusted_proxies = [\"127.0.0.0/8\"]");
    Sidecar::with_file(&format!("{file}{rules}")).await
}

/// Puts other rules in force below the same head.
fn reload(sidecar: &Sidecar, origin: &Origin, store: &str, rules: &str) {
    let file = head(origin.address, store).replace("[store]", "[store]\ntimeout = \"20s\"");
    sidecar.reload(&format!("{file}{rules}")).expect("reloads");
}

/// The value of one of the metrics of a limit.
async fn counted(sidecar: &Sidecar, limit: &str, result: &str) -> Option<u64> {
    let line = format!("sidecache_limit_total{{limit=\"{limit}\",result=\"{result}\"}} ");
    let text = sidecar.door("GET", "/metrics", "").await.text();
    let value = text.lines().find_map(|found| found.strip_prefix(&line))?;
    value.parse().ok()
}

fn is_limited(got: &Got) -> bool {
    got.status == 429 && got.cache_status() == "sidecache; detail=limited"
}

#[tokio::test]
async fn so_many_requests_are_let_through_and_the_next_never_reaches_the_origin() {
    let redis = RedisServer::start();
    for store in ["memory:", &redis.url()] {
        let origin = hello().await;
        let rules = limit("login", "\"POST /login\"", "{client_ip}", 3);
        let sidecar = Sidecar::start(&origin, store, &rules).await;
        for _ in 0..3 {
            assert_eq!(sidecar.ask("POST", "/login", &[], "x").await.status, 200);
        }
        for path in ["/login", "/LOGIN/", "/login?again"] {
            let refused = sidecar.ask("POST", path, &[], "x").await;
            assert!(is_limited(&refused), "{path}: {}", refused.cache_status());
            assert_eq!(refused.header("cache-control"), Some("no-store"));
            assert!(refused.text().contains("\"detail\":\"limited\""));
        }
        assert_eq!(origin.count(), 3);
        for (method, path) in [("GET", "/login"), ("OPTIONS", "/login"), ("POST", "/other")] {
            assert_eq!(sidecar.ask(method, path, &[], "").await.status, 200);
        }
        assert_eq!(counted(&sidecar, "login", "allowed").await, Some(3));
        assert_eq!(counted(&sidecar, "login", "limited").await, Some(3));
        assert_eq!(counted(&sidecar, "login", "unenforced").await, Some(0));
    }
}

#[tokio::test]
async fn a_method_that_a_header_puts_in_place_of_another_is_counted_as_both() {
    let origin = hello().await;
    let rules = limit("login", "\"POST /login\", \"GET /page\"", "{client_ip}", 1);
    let sidecar = Sidecar::start(&origin, "memory:", &rules).await;
    let as_post = [("x-http-method-override", "POST")];
    assert_eq!(sidecar.get_with("/login", &as_post).await.status, 200);
    assert!(is_limited(&sidecar.ask("POST", "/login", &[], "").await));
    assert!(is_limited(&sidecar.ask("HEAD", "/page", &[], "").await));
    assert_eq!(sidecar.get("/login").await.status, 200);
}

#[tokio::test]
async fn hits_are_counted_and_nothing_that_is_kept_tells_of_limits() {
    let redis = RedisServer::start();
    for store in ["memory:", &redis.url()] {
        let origin = hello().await;
        let sidecar = Sidecar::start(&origin, store, KEPT).await;
        eventually("it is kept", async || {
            sidecar.get("/thing/1").await.outcome() == "hit"
        })
        .await;
        let asked = origin.count();
        let rules = limit("things", "\"GET /thing/{id}\"", "{client_ip}", 3);
        reload(&sidecar, &origin, store, &format!("{KEPT}{rules}"));
        for left in ["\"things\";r=2;", "\"things\";r=1;", "\"things\";r=0;"] {
            let hit = sidecar.get("/thing/1").await;
            assert_eq!(hit.outcome(), "hit", "{left}");
            let told: Vec<_> = hit.headers.get_all("ratelimit").iter().collect();
            let told: Vec<_> = told.iter().filter_map(|one| one.to_str().ok()).collect();
            assert!(told.len() == 1 && told[0].starts_with(left), "{told:?}");
        }
        for target in ["/thing/1", "/thing/2"] {
            assert!(is_limited(&sidecar.get(target).await));
        }
        reload(&sidecar, &origin, store, KEPT);
        let unlimited = sidecar.get("/thing/1").await;
        let told = unlimited.header("ratelimit");
        assert_eq!((unlimited.outcome(), told), ("hit", None));
        assert_eq!(origin.count(), asked);
        assert_eq!(sidecar.get("/thing/2").await.outcome(), "miss");
    }
}

#[tokio::test]
async fn an_answer_that_is_kept_from_a_counted_request_tells_of_limits_to_nobody_else() {
    let redis = RedisServer::start();
    for store in ["memory:", &redis.url()] {
        let origin = hello().await;
        let rules = limit("things", "\"GET /thing/{id}\"", "{header.x-key}", 100);
        let sidecar = Sidecar::start(&origin, store, &format!("{KEPT}{rules}")).await;
        eventually("it is kept", async || {
            let own = [("x-key", "one")];
            sidecar.get_with("/thing/1", &own).await.outcome() == "hit"
        })
        .await;
        let other = sidecar.get_with("/thing/1", &[("x-key", "other")]).await;
        assert_eq!(other.outcome(), "hit");
        assert_eq!(other.headers.get_all("ratelimit").iter().count(), 1);
        let left = other.header("ratelimit").unwrap_or_default();
        assert!(left.starts_with("\"things\";r=99;"), "{left}");
    }
}

#[tokio::test]
async fn a_write_that_is_one_too_many_is_not_sent_and_drops_nothing() {
    let redis = RedisServer::start();
    let origin = hello().await;
    let rules = limit("writes", "\"POST /change/{id}\"", "{id}", 1);
    let sidecar = Sidecar::start(&origin, &redis.url(), &format!("{KEPT}{rules}")).await;
    let change = async |id: &str| {
        let target = format!("/change/{id}");
        sidecar.ask("POST", &target, &[], "{}").await
    };
    assert_eq!(change("1").await.outcome(), "write");
    sidecar.get("/thing/1").await;
    eventually("it is kept", async || {
        sidecar.get("/thing/1").await.outcome() == "hit"
    })
    .await;
    let asked = origin.count();
    assert!(is_limited(&change("1").await));
    assert_eq!(sidecar.get("/thing/1").await.outcome(), "hit");
    assert_eq!(origin.count(), asked);
    assert_eq!(change("2").await.outcome(), "write");
}

#[tokio::test]
async fn an_upload_that_is_one_too_many_is_answered_before_it_has_come() {
    let origin = hello().await;
    let rules = limit("uploads", "\"POST /upload\"", "{client_ip}", 1);
    let sidecar = Sidecar::start(&origin, "memory:", &rules).await;
    assert_eq!(sidecar.ask("POST", "/upload", &[], "x").await.status, 200);
    let head = "POST /upload HTTP/1.1\r\nHost: api.test\r\n";
    for rest in [
        "Content-Length: 100000000\r\n\r\nthe beginning",
        "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        "Content-Length: 5\r\nExpect: 100-continue\r\n\r\n",
    ] {
        let heard = talk(sidecar.address(), format!("{head}{rest}").as_bytes()).await;
        assert!(heard.starts_with("HTTP/1.1 429 "), "{rest:?}: {heard}");
        assert!(
            heard.ends_with("\"limited\",\"error\":\"too many requests\"}"),
            "{heard}"
        );
    }
    assert_eq!(origin.count(), 1);
}

#[tokio::test]
async fn a_reload_changes_what_a_window_that_has_begun_lets_through() {
    let redis = RedisServer::start();
    for store in ["memory:", &redis.url()] {
        let origin = hello().await;
        let rules = |max| limit("all", "\"GET /{rest*}\"", "{client_ip}", max);
        let sidecar = Sidecar::start(&origin, store, &rules(2)).await;
        let reload = |max| reload(&sidecar, &origin, store, &rules(max));
        for expected in [200, 200, 429] {
            assert_eq!(sidecar.get("/a").await.status, expected);
        }
        reload(3);
        for expected in [200, 429] {
            assert_eq!(sidecar.get("/b").await.status, expected);
        }
        reload(1);
        assert_eq!(sidecar.get("/a").await.status, 429);
        reload(5);
        assert_eq!(
            sidecar
                .get("/a")
                .await
                .header("ratelimit")
                .map(|told| told.starts_with("\"all\";r=1;")),
            Some(true)
        );
    }
}

//! Alerts of whole sidecars: what fires, who is told, and what is never told. Steps are made here, not by the
//! clock.

use crate::redis::eventually;
use crate::world::{Asked, Origin, Reply, Sidecar, head};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

const SECRET: &str = "hook-token-4c1f9a";

const RULE: &str = r#"
[[cache]]
name = "list"
match = "GET /list/{id}"
key = "list:{id}"
query = []
ttl = "5m"
public = true
"#;

/// Steps in a window, and some: the clock may put in one of its own.
const WINDOW_STEPS: usize = 4;

fn thresholds(webhook: &str) -> String {
    format!(
        "[alerts]\nhit_rate_below = 0.5\nmin_requests = 5\nwindow = \"30s\"\nwebhook = \"{webhook}\"\n"
    )
}

/// A backend that can be told to forbid keeping.
struct Backend {
    origin: Origin,
    forbids: Arc<AtomicBool>,
}

impl Backend {
    async fn start() -> Backend {
        let forbids = Arc::<AtomicBool>::default();
        let says = forbids.clone();
        let origin = Origin::start(move |_: Asked| {
            let says = says.clone();
            async move {
                let reply = Reply::json(r#"{"data": [1]}"#);
                match says.load(SeqCst) {
                    true => reply.header("cache-control", "no-store"),
                    false => reply,
                }
            }
        })
        .await;
        Backend { origin, forbids }
    }

    async fn sidecar(&self, alerts: &str) -> Sidecar {
        Sidecar::with_file(&self.file(alerts)).await
    }

    fn file(&self, alerts: &str) -> String {
        head(self.origin.address, "memory:") + RULE + alerts
    }

    /// From now on nothing is kept, nor what was kept before.
    async fn forbid(&self, sidecar: &Sidecar) {
        self.forbids.store(true, SeqCst);
        assert_eq!(sidecar.purge(&["list:*"]).await.status, 200);
    }
}

/// A receiver that answers its attempts with these, and then takes everything.
async fn receiver(answers: &'static [u16]) -> Origin {
    let attempts = Arc::<AtomicUsize>::default();
    Origin::start(move |_: Asked| {
        let attempt = attempts.fetch_add(1, SeqCst);
        let status = answers.get(attempt).copied().unwrap_or(204);
        async move { Reply::of(status, "text/plain", "").header("location", "/elsewhere") }
    })
    .await
}

fn url(receiver: &Origin) -> String {
    format!("http://{}/hook/{SECRET}?key={SECRET}", receiver.address)
}

/// What a receiver was told, with what it answered nothing of.
fn told(receiver: &Origin) -> Vec<Value> {
    let asked = receiver.asked().into_iter();
    let parsed = |asked: Asked| serde_json::from_slice(&asked.body).expect("JSON");
    asked.map(parsed).collect()
}

fn states(told: &[Value]) -> Vec<&str> {
    let states = told
        .iter()
        .map(|one| one["state"].as_str().expect("a state"));
    states.collect()
}

/// Some requests, then a step.
async fn step(sidecar: &Sidecar) {
    for id in ["1", "2", "1", "2", "1", "2", "1", "2"] {
        assert_eq!(sidecar.get(&format!("/list/{id}")).await.status, 200);
    }
    sidecar.server.step().await;
}

async fn until(sidecar: &Sidecar, what: &str, is_firing: bool) {
    eventually(what, async || {
        step(sidecar).await;
        firing(sidecar).await.is_empty() != is_firing
    })
    .await;
}

async fn firing(sidecar: &Sidecar) -> Vec<Value> {
    let told = sidecar.door("GET", "/api/stats", "").await;
    let told: Value = serde_json::from_slice(&told.body).expect("JSON");
    told["process"]["alerts"]
        .as_array()
        .expect("alerts")
        .clone()
}

async fn metric(sidecar: &Sidecar, name: &str) -> Option<String> {
    let text = sidecar.door("GET", "/metrics", "").await.text();
    let mut lines = text.lines();
    let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
    Some(value.to_owned())
}

const ALERT: &str = "sidecache_alert{rule=\"list\",kind=\"hit-rate\"}";

#[tokio::test]
async fn a_hit_rate_that_falls_is_told_everywhere_until_it_has_recovered() {
    let (backend, receiver) = (Backend::start().await, receiver(&[]).await);
    let sidecar = backend.sidecar(&thresholds(&url(&receiver))).await;
    for _ in 0..WINDOW_STEPS {
        step(&sidecar).await;
    }
    assert_eq!(metric(&sidecar, ALERT).await.as_deref(), Some("0"));
    assert_eq!(firing(&sidecar).await, Vec::<Value>::new());
    backend.forbid(&sidecar).await;
    until(&sidecar, "it fires", true).await;
    assert_eq!(metric(&sidecar, ALERT).await.as_deref(), Some("1"));
    let shown = &firing(&sidecar).await[0];
    assert_eq!(
        (&shown["rule"], &shown["kind"]),
        (&"list".into(), &"hit-rate".into())
    );
    assert!(shown["value"].as_f64().expect("a share") < 0.5, "{shown}");
    eventually("the receiver is told", async || receiver.count() == 1).await;
    backend.forbids.store(false, SeqCst);
    until(&sidecar, "it ends", false).await;
    assert_eq!(metric(&sidecar, ALERT).await.as_deref(), Some("0"));
    eventually("the receiver is told again", async || receiver.count() == 2).await;
    let told = told(&receiver);
    assert_eq!(states(&told), ["firing", "resolved"]);
    assert_eq!(
        (&told[0]["threshold"], &told[0]["window"]),
        (&json!(0.5), &json!("30s"))
    );
    assert!(told[0]["value"].as_f64() < Some(0.5), "{told:?}");
    assert!(told[1]["value"].as_f64() >= Some(0.55), "{told:?}");
    assert!(told[0]["at"].as_u64() <= told[1]["at"].as_u64(), "{told:?}");
    let asked = receiver.last();
    assert_eq!(
        (asked.method.as_str(), asked.target.contains(SECRET)),
        ("POST", true)
    );
    assert_eq!(asked.header("content-type"), Some("application/json"));
}

#[tokio::test]
async fn a_receiver_that_fails_twice_is_told_once_and_in_order() {
    let (backend, receiver) = (Backend::start().await, receiver(&[500, 503]).await);
    let sidecar = backend.sidecar(&thresholds(&url(&receiver))).await;
    backend.forbid(&sidecar).await;
    until(&sidecar, "it fires", true).await;
    backend.forbids.store(false, SeqCst);
    until(&sidecar, "it ends", false).await;
    eventually("all is told", async || receiver.count() == 4).await;
    let told = told(&receiver);
    assert_eq!(states(&told), ["firing", "firing", "firing", "resolved"]);
    assert!(
        told[0] == told[1] && told[1] == told[2],
        "one alert, sent again"
    );
    let name = |result| format!("sidecache_alert_webhook_total{{result=\"{result}\"}}");
    let counted = async |result| metric(&sidecar, &name(result)).await;
    eventually("it is counted", async || {
        counted("delivered").await.as_deref() == Some("2")
    })
    .await;
    assert_eq!(counted("failed").await.as_deref(), Some("2"));
    assert_eq!(counted("dropped").await, None);
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_a_refusal_is_final() {
    let (backend, receiver) = (Backend::start().await, receiver(&[307, 404]).await);
    let sidecar = backend.sidecar(&thresholds(&url(&receiver))).await;
    backend.forbid(&sidecar).await;
    until(&sidecar, "it fires", true).await;
    backend.forbids.store(false, SeqCst);
    until(&sidecar, "it ends", false).await;
    let dropped = "sidecache_alert_webhook_total{result=\"dropped\"}";
    eventually("both are dropped", async || {
        metric(&sidecar, dropped).await.as_deref() == Some("2")
    })
    .await;
    assert_eq!(states(&told(&receiver)), ["firing", "resolved"]);
    assert!(
        receiver
            .asked()
            .iter()
            .all(|asked| asked.target.starts_with("/hook/"))
    );
}

#[tokio::test]
async fn a_receiver_that_hangs_holds_up_no_request_and_no_other_alert_of_ours() {
    let (backend, silent) = (Backend::start().await, silent().await);
    let webhook = format!("http://{}/{SECRET}", silent.local_addr().expect("bound"));
    let sidecar = backend.sidecar(&thresholds(&webhook)).await;
    backend.forbid(&sidecar).await;
    until(&sidecar, "it fires", true).await;
    backend.forbids.store(false, SeqCst);
    until(&sidecar, "it ends", false).await;
    assert_eq!(metric(&sidecar, ALERT).await.as_deref(), Some("0"));
    assert!(sidecar.server.drain().await, "nor the end");
}

/// A listener that takes connections, as its kernel does, and says nothing.
async fn silent() -> tokio::net::TcpListener {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    listener.expect("a free port")
}

#[tokio::test]
async fn a_reload_ends_what_is_no_longer_watched_and_its_series() {
    let (backend, receiver) = (Backend::start().await, receiver(&[]).await);
    let alerts = thresholds(&url(&receiver));
    let sidecar = backend.sidecar(&alerts).await;
    backend.forbid(&sidecar).await;
    until(&sidecar, "it fires", true).await;
    let gone = alerts.replace("hit_rate_below = 0.5\n", "");
    sidecar.reload(&backend.file(&gone)).expect("in force");
    step(&sidecar).await;
    assert_eq!(firing(&sidecar).await, Vec::<Value>::new());
    assert_eq!(metric(&sidecar, ALERT).await, None);
    eventually("the receiver is told", async || receiver.count() == 2).await;
    let told = told(&receiver);
    assert_eq!(states(&told), ["firing", "resolved"]);
    assert_eq!(told[1]["value"], Value::Null, "nothing left to judge it by");
    sidecar.reload(&backend.file(&alerts)).expect("in force");
    until(&sidecar, "it fires again", true).await;
    let observed = backend
        .file(&alerts)
        .replace("public = true", "public = true\nstage = \"observe\"");
    sidecar.reload(&observed).expect("in force");
    sidecar.server.step().await;
    assert_eq!(
        firing(&sidecar).await,
        Vec::<Value>::new(),
        "it answers nobody"
    );
}

#[tokio::test]
async fn the_way_to_the_webhook_is_shown_to_nobody() {
    let (backend, receiver) = (Backend::start().await, receiver(&[]).await);
    let alerts = thresholds(&url(&receiver));
    let sidecar = backend.sidecar(&alerts).await;
    let shown = sidecar.door("GET", "/api/rules", "").await.text();
    assert!(
        shown.contains(&format!("\"http://{}/***\"", receiver.address)),
        "{shown}"
    );
    assert!(!shown.contains(SECRET), "{shown}");
    let wrong = alerts.replace("http://", "ftp://");
    let refused = sidecar
        .reload(&backend.file(&wrong))
        .expect_err("no webhook");
    assert!(
        refused.contains("webhook") && !refused.contains(SECRET),
        "{refused}"
    );
    let told = sidecar.door("POST", "/api/reload", "").await;
    assert_eq!((told.status, told.text().contains(SECRET)), (422, false));
    let stats = sidecar.door("GET", "/api/stats", "").await.text();
    assert!(!stats.contains(SECRET));
}

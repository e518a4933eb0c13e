use super::{Process, rules};
use crate::redis::eventually;
use crate::world::{self, Asked, Origin, Reply};

const SECRET: &str = "hook-token-4c1f9a";

/// Steps come by the clock here, so this takes as long as two of them.
#[tokio::test]
async fn an_alert_is_logged_and_its_webhook_is_not() {
    let origin =
        Origin::start(|_: Asked| async { Reply::json("{}").header("cache-control", "no-store") })
            .await;
    let failing = Origin::start(|_: Asked| async { Reply::of(500, "text/plain", "no") }).await;
    let alerts = "[alerts]\nhit_rate_below = 0.5\nmin_requests = 1\nwindow = \"10s\"\nwebhook = \"${HOOK}\"\n";
    let hook = format!("http://{}/{SECRET}?key={SECRET}", failing.address);
    let text = rules(origin.address, "memory:", "5m") + alerts;
    let environment = [("HOOK", hook.as_str()), ("SIDECACHE_LOG", "trace")];
    let mut sidecar = Process::start_with(&text, &environment);
    eventually("it fires", async || {
        assert_eq!(sidecar.get("/kept").await.status, 200);
        sidecar
            .logged()
            .contains("alert: the hit rate of `kept` is 0.0 %")
    })
    .await;
    sidecar.logs("the webhook has not taken an alert").await;
    sidecar
        .logs(&format!("http://{}/***: it answers 500", failing.address))
        .await;
    let rules = world::ask(
        sidecar.door(),
        "GET",
        "/api/rules",
        &[("host", "localhost")],
        "",
    )
    .await;
    assert!(rules.text().contains("/***") && !rules.text().contains(SECRET));
    sidecar.signal("-TERM");
    assert_eq!(sidecar.ended().await.code(), Some(0));
    sidecar.logs("the webhook was not told of an alert").await;
    let logged = sidecar.logged();
    assert!(!logged.contains(SECRET), "{logged}");
    assert!(failing.count() >= 2, "once more at the end");
}

//! Writes whose sidecar cannot finish, or cannot tell the fleet.

use crate::redis::{RedisServer, eventually};
use crate::world::{Origin, REGISTER_RULES, Sidecar, head};

#[tokio::test]
async fn a_write_costs_the_store_two_round_trips_and_a_hit_one() {
    let origin = Origin::register().await;
    let redis = RedisServer::start();
    let sidecar = Sidecar::start(&origin, &redis.url(), REGISTER_RULES).await;
    let names = ["mget", "get", "evalsha", "eval", "set", "unlink"];
    let counted = || names.map(|name| redis.calls(name));
    sidecar.get("/api/thing/1").await;
    sidecar.ask("PATCH", "/api/change/1", &[], "").await; // teaches Redis the scripts
    redis.say("CONFIG RESETSTAT");
    assert_eq!(sidecar.get("/api/thing/1").await.outcome(), "miss");
    let [mget, _, evalsha, eval, set, _] = counted();
    assert_eq!(
        [mget, evalsha, eval, set],
        [2, 1, 0, 3],
        "the script reads all nodes at once and sets the one that was dropped, then come claim and answer"
    );
    redis.say("CONFIG RESETSTAT");
    assert_eq!(sidecar.get("/api/thing/1").await.outcome(), "hit");
    assert_eq!(counted(), [1, 0, 0, 0, 0, 0]);
    redis.say("CONFIG RESETSTAT");
    assert_eq!(
        sidecar
            .ask("PATCH", "/api/change/1", &[], "")
            .await
            .outcome(),
        "write"
    );
    let [mget, get, evalsha, eval, set, _] = counted();
    assert_eq!(
        [mget, get, evalsha, eval, set],
        [0, 2, 2, 0, 0],
        "the scripts read the root"
    );
}

#[tokio::test]
async fn while_the_store_is_down_a_write_is_refused_where_the_file_says_so() {
    let origin = Origin::register().await;
    let mut redis = RedisServer::start();
    let text = format!(
        "{}on_down = \"refuse\"\n{REGISTER_RULES}",
        head(origin.address, &redis.url())
    );
    let sidecar = Sidecar::with_file(&text).await;
    assert_eq!(sidecar.get("/api/thing/1").await.n(), 0);
    redis.kill();
    eventually("the store is known to be down", async || {
        sidecar
            .door("GET", "/readyz", "")
            .await
            .text()
            .contains("down")
    })
    .await;
    let refused = sidecar.ask("PATCH", "/api/change/1", &[], "").await;
    assert_eq!(
        (refused.status, refused.header("retry-after")),
        (503, Some("1"))
    );
    assert_eq!(refused.detail(), Some("store-down"));
    assert_eq!(sidecar.get("/api/thing/1").await.n(), 0, "it was not sent");
    assert_eq!(
        sidecar.ask("POST", "/elsewhere", &[], "").await.status,
        200,
        "nothing kept hangs on it"
    );
    redis.restart();
    eventually("writes are taken again", async || {
        sidecar.ask("PATCH", "/api/change/1", &[], "").await.status == 200
    })
    .await;
}

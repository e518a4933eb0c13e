//! Two releases of the rules share one Redis, or one process: neither ever answers with what the
//! other's writes made stale, and a fleet that goes by one file drops nothing more for it.

mod format; // two releases that write entries differently
mod mixed; // two rules files, a write through each, a read through the other
mod reload; // requests under way with the rules from before
mod steady; // one layout: nothing is dropped that a write does not name

use crate::redis::{RedisServer, eventually};
use crate::world::{Asked, Got, Origin, REGISTER_RULES, Reply, Sidecar, head};

/// The root of the namespace that the tests' rules are in.
const ROOT: &str = "test:*";

/// Whatever a drop names: [`REGISTER_RULES`] with another drop, one that does not track the key.
fn dropping(drop: &str) -> String {
    REGISTER_RULES.replace(
        r#"drop = ["things:details:{id}"]"#,
        &format!("drop = [\"{drop}\"]"),
    )
}

/// Reads until the answer is kept, and tells it.
async fn cached(sidecar: &Sidecar, target: &str) -> i64 {
    sidecar.get(target).await;
    let kept = sidecar.get(target).await;
    assert_eq!(kept.outcome(), "hit", "{}", kept.cache_status());
    kept.n()
}

fn root(redis: &RedisServer) -> String {
    redis.say(&format!("GET {ROOT}"))
}

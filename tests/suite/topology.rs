//! Every way in which a Redis may stand there: one that loses what it had told, several of which one is the
//! primary, many that share the keys; and the ways to it.

mod changed; // a server that is not the one that it was
mod cluster; // many that share the keys
mod sentinel; // several of which one is the primary
mod tls; // certificates, users, sockets
mod traffic; // readers and a writer while it happens

use crate::redis::RedisServer;
use crate::world::{Asked, Origin, Reply, Sidecar, eventually, head};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// The path of a thing that [`Origin::register`] and [`numbers`] answer for.
const THING: &str = "/api/thing/1";

/// Reads until the answer is a hit.
async fn hits(sidecar: &Sidecar, target: &str) {
    eventually("a hit", async || {
        sidecar.get(target).await.outcome() == "hit"
    })
    .await;
}

/// Raises the origin's number, and says what it is then.
async fn changed(sidecar: &Sidecar) -> i64 {
    let answer = sidecar.ask("PATCH", "/api/change/1", &[], "").await;
    assert_eq!(answer.status, 200);
    answer.n()
}

/// An origin with a number for each thing: `GET` reads it, any other method raises it.
async fn numbers() -> Origin {
    let numbers: Arc<Mutex<HashMap<String, i64>>> = Arc::default();
    Origin::start(move |asked: Asked| {
        let numbers = numbers.clone();
        async move {
            let thing = asked.target.rsplit('/').next().unwrap_or_default();
            let mut numbers = numbers.lock().expect("not poisoned");
            let number = numbers.entry(thing.to_owned()).or_default();
            *number += i64::from(asked.method != "GET");
            Reply::json(format!("{{\"n\": {number}}}"))
        }
    })
    .await
}

/// A sidecar that goes on without its store soon, and refuses writes that it could not tell it of: so that
/// nobody is told of a write that others cannot know of.
async fn strict(origin: &Origin, store: &str, rules: &str) -> Sidecar {
    let text = head(origin.address, store);
    let strict = "[store]\non_down = \"refuse\"\ntimeout = \"1s\"";
    let text = text.replace("[store]", strict);
    Sidecar::with_file(&format!("{text}{rules}")).await
}

/// Whether anything stands under a name.
fn stands(redis: &RedisServer, name: &str) -> bool {
    redis.say(&format!("EXISTS {name}")) == "1"
}

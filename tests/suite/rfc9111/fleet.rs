use super::world::{Cache, numbered, owned};
use crate::redis::RedisServer;
use crate::world::{Asked, Origin, Sidecar, eventually};

/// A fresh answer for each, which varies by the header that the path names; one that is stale but can
/// be validated under `/stale`.
async fn origin() -> Origin {
    Origin::start(|asked: Asked| async move {
        let vary = asked.target.trim_start_matches('/').to_owned();
        let conditional = asked.header("if-none-match").is_some();
        let lines: &[(&str, &str)] = match (&*vary, conditional) {
            ("stale", false) => &[
                ("cache-control", "max-age=100"),
                ("age", "200"),
                ("etag", "\"a\""),
            ],
            ("stale", true) => &[("cache-control", "max-age=1000"), ("etag", "\"a\"")],
            _ => &[("cache-control", "max-age=100"), ("vary", &*vary)],
        };
        let mut reply = numbered(if conditional { 304 } else { 200 }, 1, &owned(lines));
        if conditional {
            reply.body.clear();
        }
        reply
    })
    .await
}

async fn sidecar(origin: &Origin, redis: &RedisServer) -> Sidecar {
    let store = format!("url = \"{}\"\ntimeout = \"20s\"", redis.url());
    Cache::sidecar(origin, |text| text.replace("url = \"memory:\"", &store)).await
}

#[tokio::test]
async fn what_one_sidecar_learns_to_vary_by_another_finds_beside_the_key() {
    let (origin, redis) = (origin().await, RedisServer::start());
    let (one, other) = (
        sidecar(&origin, &redis).await,
        sidecar(&origin, &redis).await,
    );
    for path in ["/x-a", "/x-b"] {
        let name = &path[1..];
        let mine = [(name, "1")];
        assert_eq!(one.get_with(path, &mine).await.outcome(), "miss");
        assert_eq!(other.get_with(path, &mine).await.outcome(), "hit", "{path}");
        assert_eq!(other.get_with(path, &[(name, "2")]).await.outcome(), "miss");
    }
}

#[tokio::test]
async fn a_hit_is_one_command_also_where_the_vary_of_its_path_had_to_be_learnt() {
    let (origin, redis) = (origin().await, RedisServer::start());
    let (one, other) = (
        sidecar(&origin, &redis).await,
        sidecar(&origin, &redis).await,
    );
    let mine = [("x-a", "1")];
    one.get_with("/x-a", &mine).await;
    other.get_with("/x-a", &mine).await;
    for sidecar in [&one, &other] {
        let before = redis.calls("mget");
        assert_eq!(sidecar.get_with("/x-a", &mine).await.outcome(), "hit");
        assert_eq!(redis.calls("mget"), before + 1);
    }
}

#[tokio::test]
async fn what_one_sidecar_kept_another_validates_and_both_serve_renewed() {
    let (origin, redis) = (origin().await, RedisServer::start());
    let (one, other) = (
        sidecar(&origin, &redis).await,
        sidecar(&origin, &redis).await,
    );
    one.get("/stale").await;
    assert_eq!(other.get("/stale").await.outcome(), "revalidated");
    for sidecar in [&one, &other] {
        eventually("the renewed answer is served", async || {
            sidecar.get("/stale").await.outcome() == "hit"
        })
        .await;
    }
    assert_eq!(origin.count(), 2);
}

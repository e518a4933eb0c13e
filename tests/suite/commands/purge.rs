use super::{RULES, World};

#[tokio::test]
async fn what_was_really_dropped_is_printed() {
    let world = World::start().await;
    world.sidecar.get("/kept/a").await;
    world.sidecar.get("/kept/b").await;
    let ended = world.run(&["purge", "kept:a"]).await.succeeds();
    assert_eq!(
        (ended.out.as_str(), ended.err.as_str()),
        ("dropped kept:a\n", "")
    );
    assert_eq!(world.sidecar.get("/kept/a").await.outcome(), "miss");
    assert_eq!(world.sidecar.get("/kept/b").await.outcome(), "hit");
    let ended = world.run(&["purge", "kept:b:*", "*"]).await;
    ended.fails("names no key that a rule makes");
    assert_eq!(
        world.sidecar.get("/kept/b").await.outcome(),
        "hit",
        "all or nothing"
    );
    assert_eq!(
        world.run(&["purge", "kept:*", "*"]).await.succeeds().out,
        "dropped *\ndropped kept:*\n"
    );
    assert_eq!(world.sidecar.get("/kept/b").await.outcome(), "miss");
}

#[tokio::test]
async fn what_would_be_dropped_is_printed_and_nothing_is() {
    let world = World::start().await;
    world.sidecar.get("/kept/a").await;
    let ended = world.run(&["purge", "--dry-run", "kept:a"]).await;
    assert_eq!(ended.succeeds().out, "would drop kept:a\n");
    assert_eq!(world.sidecar.get("/kept/a").await.outcome(), "hit");
    let ended = world.run(&["purge", "--dry-run", "nothing:a"]).await;
    ended.fails("names no key that a rule makes");
}

#[tokio::test]
async fn what_is_owed_is_no_success() {
    let redis = crate::redis::RedisServer::absent(&[]);
    let world = World::on(&redis.url(), RULES).await;
    let ended = world.run(&["purge", "kept:a"]).await;
    ended.fails("owed kept:a");
    ended.fails("the store could not be told");
    assert_eq!(ended.out, "");
}

#[tokio::test]
async fn a_purge_of_nothing_is_a_mistake() {
    let world = World::start().await;
    assert_eq!(world.run(&["purge"]).await.status, Some(2));
    world
        .run(&["purge", "kep*"])
        .await
        .fails("is not a pattern");
}

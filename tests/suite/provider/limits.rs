use super::*;

#[tokio::test]
async fn a_spent_quota_costs_no_read_a_round_trip_and_loses_no_write() {
    let world = World::of(2).await;
    let [here, there] = &world.sidecars[..] else {
        panic!("two sidecars");
    };
    kept(here, "/value/a").await;
    assert_eq!(kept(there, "/value/a").await, 0);
    world.provider.spend(true);
    assert_eq!(world.raise(0).await, 1, "a write goes on");
    is(here, "quota").await;
    assert_eq!(owed(here).await, 2, "both nodes");
    assert_eq!(there.get("/value/a").await.n(), 1);
    is(there, "quota").await;
    let sent = world.provider.sent("MGET");
    for sidecar in [here, there].repeat(20) {
        let got = sidecar.get("/value/a").await;
        assert_eq!((got.n(), got.detail()), (1, Some("store-down")));
    }
    assert_eq!(world.provider.sent("MGET"), sent, "nobody asks in vain");
    world.provider.spend(false);
    eventually("what is owed is paid", async || owed(here).await == 0).await;
    is(here, "up").await;
    is(there, "up").await;
    assert_eq!(there.get("/value/a").await.n(), 1);
    assert_eq!(kept(there, "/value/a").await, 1);
    assert_eq!(kept(here, "/value/a").await, 1);
}

#[tokio::test]
async fn a_spent_quota_refuses_writes_where_an_outage_does() {
    let world = World::with(1, "on_down = \"refuse\"").await;
    let here = &world.sidecars[0];
    kept(here, "/value/a").await;
    world.provider.spend(true);
    let asked = world.origin.count();
    for _ in 0..3 {
        let refused = here.ask("POST", "/raise/a", &[], "").await;
        assert_eq!(refused.status, 503, "also the first, which finds it out");
    }
    assert_eq!(world.origin.count(), asked, "the origin hears of none");
    assert_eq!(here.get("/value/a").await.n(), 0, "reads go on");
}

#[tokio::test]
async fn a_full_store_serves_what_it_keeps_and_forgets_what_is_written() {
    let world = World::of(2).await;
    let [here, there] = &world.sidecars[..] else {
        panic!("two sidecars");
    };
    for target in ["/value/a", "/value/b"] {
        kept(here, target).await;
        kept(there, target).await;
    }
    world.redis.say("CONFIG SET maxmemory 1");
    for id in 0..3 {
        assert_eq!(here.get(&format!("/value/new-{id}")).await.n(), 0);
    }
    is(here, "capacity").await;
    assert_eq!(here.get("/value/b").await.outcome(), "hit");
    assert_eq!(world.raise(0).await, 1);
    assert_eq!(
        there.get("/value/a").await.n(),
        1,
        "what was written is gone"
    );
    assert_eq!(
        there.get("/value/b").await.outcome(),
        "hit",
        "and nothing else"
    );
    assert_eq!(owed(here).await, 0);
    world.redis.say("CONFIG SET maxmemory 0");
    kept(here, "/value/a").await;
    is(here, "up").await;
    assert_eq!(kept(there, "/value/a").await, 1);
}

#[tokio::test]
async fn a_value_that_is_too_large_is_sent_once_and_kept_by_this_process_alone() {
    let world = World::of(1).await;
    let here = &world.sidecars[0];
    world.provider.limit_size(Some(16_384));
    for id in 0..10 {
        let target = format!("/large/{id}");
        assert_eq!(here.get(&target).await.body.len(), LARGE);
        // Its node is in Redis, its body in memory.
        kept(here, &target).await;
    }
    is(here, "size").await;
    assert_eq!(
        world.provider.refused(),
        1,
        "one answers for all of its size"
    );
    kept(here, "/value/a").await;
    assert_ne!(world.redis.say("EXISTS test:values:a"), "(nil)");
    assert_eq!(world.raise(0).await, 1);
    assert_eq!(here.get("/large/a").await.n(), 1);
    assert_eq!(here.get("/value/a").await.n(), 1);
}

#[tokio::test]
async fn a_store_that_refuses_writes_is_left_alone_until_it_was_told_of_them() {
    let world = World::of(2).await;
    let [here, there] = &world.sidecars[..] else {
        panic!("two sidecars");
    };
    kept(here, "/value/a").await;
    kept(there, "/value/a").await;
    world.redis.say("CONFIG SET min-replicas-to-write 1");
    assert_eq!(world.raise(0).await, 1);
    is(here, "readonly").await;
    assert_eq!(owed(here).await, 2);
    assert_eq!(here.get("/value/a").await.n(), 1);
    world.redis.say("CONFIG SET min-replicas-to-write 0");
    is(here, "up").await;
    assert_eq!(owed(here).await, 0);
    assert_eq!(there.get("/value/a").await.n(), 1);
}

#[tokio::test]
async fn no_command_that_providers_lack_is_needed() {
    let lacking = [
        "CLIENT",
        "HELLO",
        "INFO",
        "CONFIG",
        "COMMAND",
        "SCRIPT",
        "OBJECT",
        "FUNCTION",
        "HSET",
        "SUBSCRIBE",
        "PUBLISH",
    ];
    let world = World::of(0).await;
    world.provider.lack(&lacking);
    let sidecar = async || {
        let sidecar = Sidecar::start(&world.origin, &world.provider.url(), RULES).await;
        is(&sidecar, "up").await;
        sidecar
    };
    let (here, there) = (sidecar().await, sidecar().await);
    kept(&here, "/value/a").await;
    assert_eq!(kept(&there, "/value/a").await, 0);
    world.redis.say("SCRIPT FLUSH"); // as a provider does that moves a database
    let raised = here.ask("POST", "/raise/a", &[], "").await;
    assert_eq!(raised.status, 200);
    assert_eq!(there.get("/value/a").await.n(), 1);
    assert_eq!(kept(&here, "/value/a").await, 1);
    let stats = here.door("GET", "/api/stats", "").await;
    assert_eq!(stats.status, 200, "{}", stats.text());
    is(&here, "up").await;
}

use super::{RULES, TOKEN, World, run_with};
use crate::redis::RedisServer;
use crate::world::{Asked, Origin, Reply, Sidecar, head};
use serde_json::{Value as Json, json};

const KEY: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

async fn inspected(world: &World, key: &str) -> Json {
    let ended = world.run(&["inspect", key, "--json"]).await;
    let told: Json = serde_json::from_str(&ended.out).expect(&ended.err);
    told["kept"].clone()
}

#[tokio::test]
async fn a_kept_answer_is_shown_with_what_it_is_worth() {
    let redis = RedisServer::start();
    let world = World::on(&redis.url(), RULES).await;
    world.sidecar.get("/kept/a").await;
    let kept = inspected(&world, "kept:a").await;
    let facts = [
        ("rule", json!("kept")),
        ("state", json!("fresh")),
        ("status", json!(200)),
        ("ttl_s", json!(300)),
        ("compressed", json!(true)),
        ("variant", json!(null)),
        ("is_part", json!(false)),
    ];
    for (name, value) in facts {
        assert_eq!(kept[name], value, "{name} of {kept}");
    }
    let size = |name: &str| kept[name].as_u64().expect("a number");
    assert!(size("stored_bytes") < size("body_bytes"), "{kept}");
    assert!((295..=300).contains(&size("ttl_left_s")), "{kept}");
    assert_eq!(kept["stale"]["if_error_s"], 60);
    let headers = kept["headers"].as_array().expect("a list");
    assert!(headers.contains(&json!(["etag", "\"1\""])), "{kept}");
    let nodes: Vec<&str> = kept["nodes"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|node| node["name"].as_str())
        .collect();
    assert_eq!(nodes, ["*", "kept:*", "kept:a!"]);
    assert!(
        kept["nodes"]
            .as_array()
            .expect("a list")
            .iter()
            .all(|node| node["state"] == "holds")
    );
    assert!(kept.get("body").is_none(), "only where it is asked for");
}

#[tokio::test]
async fn an_answer_that_a_write_dropped_is_shown_with_the_node_that_fell() {
    let redis = RedisServer::start();
    for store in ["memory:".to_owned(), redis.url()] {
        let world = World::on(&store, RULES).await;
        world.sidecar.get("/kept/a").await;
        world.sidecar.ask("POST", "/change/a", &[], "").await;
        let kept = inspected(&world, "kept:a").await;
        assert_eq!(kept["state"], "dropped", "{kept}");
        assert_eq!(kept["nodes"][0]["state"], "holds", "{kept}");
        assert_eq!(kept["nodes"][1]["state"], "holds", "{kept}");
        assert_eq!(
            kept["nodes"][2],
            json!({"name": "kept:a!", "state": "absent"})
        );
    }
}

#[tokio::test]
async fn people_get_lines_and_the_body_only_where_they_ask_for_it() {
    let world = World::start().await;
    let got = world.sidecar.get("/kept/a").await;
    let plain = world.run(&["inspect", "kept:a"]).await.succeeds().out;
    for part in [
        "rule      kept\n",
        "state     fresh: the next request",
        "node      kept:a!  holds",
        "status    200\n",
        "header    etag: \"1\"\n",
    ] {
        assert!(plain.contains(part), "{part} is not in {plain}");
    }
    assert!(!plain.contains("\"says\""), "{plain}");
    let with_body = world
        .run(&["inspect", "kept:a", "--body"])
        .await
        .succeeds()
        .out;
    assert!(
        with_body.ends_with(&format!("\n\n{}", got.text())),
        "{with_body}"
    );
}

#[tokio::test]
async fn a_sealed_answer_is_found_by_its_plain_key() {
    let redis = RedisServer::start();
    let url = format!("{}\"\nseal = \"{KEY}", redis.url());
    let world = World::on(&url, RULES).await;
    world.sidecar.get("/kept/ann@clinic.example").await;
    let kept = inspected(&world, "kept:ann@clinic.example").await;
    assert_eq!(kept["state"], "fresh", "{kept}");
    assert_eq!(kept["compressed"], true, "{kept}");
    assert!(
        kept["nodes"]
            .as_array()
            .expect("a list")
            .iter()
            .all(|node| node["state"] == "holds"),
        "{kept}"
    );
}

#[tokio::test]
async fn a_variant_is_named_by_its_digest() {
    let redis = RedisServer::start();
    let rules = RULES.replace("ttl = \"5m\"", "ttl = \"5m\"\nvary = [\"x-ward\"]");
    let world = World::on(&redis.url(), &rules).await;
    world.sidecar.get_with("/kept/a", &[("x-ward", "7")]).await;
    world
        .run(&["inspect", "kept:a"])
        .await
        .fails("have variants of it");
    let names = redis.say("KEYS test:kept:a#*");
    let entry = names.lines().find(|name| !name.contains('!')); // the others are claims
    let name = entry.and_then(|name| name.strip_prefix("test:"));
    let name = name.expect("one variant").to_owned();
    let kept = inspected(&world, &name).await;
    assert_eq!(
        (&kept["state"], &kept["vary"]),
        (&json!("fresh"), &json!(["x-ward"])),
        "{kept}"
    );
    assert_eq!(kept["variant"], name.split_once('#').expect("a digest").1);
}

#[tokio::test]
async fn an_answer_of_other_rules_is_told_from_one_of_these() {
    let redis = RedisServer::start();
    let world = World::on(&redis.url(), RULES).await;
    world.sidecar.get("/kept/a").await;
    let other = World::on(
        &redis.url(),
        &RULES.replace("public = true", "public = true\nstore_if = [\"/of\"]"),
    )
    .await;
    let kept = inspected(&other, "kept:a").await;
    assert_eq!(kept["state"], "other-rules", "{kept}");
}

#[tokio::test]
async fn a_key_that_no_rule_makes_is_refused_with_what_to_write() {
    let world = World::start().await;
    world
        .run(&["inspect", "nobody:a"])
        .await
        .fails("is no key that a rule makes");
    world
        .run(&["inspect", "test:kept:a"])
        .await
        .fails("leave the namespace out, `kept:a`");
    world
        .run(&["inspect", "kept:*"])
        .await
        .fails("one key is wanted");
    world
        .run(&["inspect", "kept:a#../x"])
        .await
        .fails("one key is wanted");
    world
        .run(&["inspect", "kept:a"])
        .await
        .fails("nothing is kept under this key, which is one of `kept`");
    let absent = RedisServer::absent(&[]);
    let down = World::on(&absent.url(), RULES).await;
    down.run(&["inspect", "kept:a"])
        .await
        .fails("the store cannot be asked now");
}

/// A request goes by what is known to vary now, not by what was when the answer was kept.
#[tokio::test]
async fn an_answer_from_before_the_vary_was_learnt_is_no_fresh_one() {
    let origin = Origin::start(|asked: Asked| async move {
        match asked.target.ends_with("/b") {
            true => Reply::json("{}").header("vary", "x-ward"),
            false => Reply::json("{}"),
        }
    })
    .await;
    let token = format!("[admin]\ntoken = \"{TOKEN}\"");
    let file = head(origin.address, "memory:").replacen("[admin]", &token, 1) + RULES;
    let world = World {
        sidecar: Sidecar::with_file(&file).await,
        _origin: origin,
    };
    world.sidecar.get("/kept/a").await;
    assert_eq!(inspected(&world, "kept:a").await["state"], "fresh");
    world.sidecar.get("/kept/b").await;
    let kept = inspected(&world, "kept:a").await;
    assert_eq!(kept["state"], "other-rules", "{kept}");
    assert_eq!(world.sidecar.get("/kept/a").await.outcome(), "miss");
}

#[tokio::test]
async fn what_keeps_requests_from_a_fresh_answer_is_said() {
    let redis = RedisServer::start();
    let world = World::on(&redis.url(), RULES).await;
    world.sidecar.get("/kept/a").await;
    let kept = inspected(&world, "kept:a").await;
    assert_eq!(kept["notes"], json!([]), "{kept}");
    for stage in ["observe", "off"] {
        let staged = format!("public = true\nstage = \"{stage}\"");
        let rules = RULES.replace("public = true", &staged);
        let other = World::on(&redis.url(), &rules).await;
        let shown = other.run(&["inspect", "kept:a"]).await.succeeds().out;
        let said = format!("but       its rule has stage = \"{stage}\"");
        assert!(shown.contains(&said), "{shown}");
    }
}

#[tokio::test]
async fn a_door_without_a_token_shows_no_bodies() {
    let origin = Origin::start(|_: Asked| async { Reply::json("{}") }).await;
    let sidecar = Sidecar::with_file(&(head(origin.address, "memory:") + RULES)).await;
    sidecar.get("/kept/a").await;
    let door = format!("http://{}", sidecar.admin());
    let inspect = ["inspect", "kept:a", "--admin", &door];
    run_with(&inspect, &[]).await.succeeds();
    let with_body = [&inspect[..], &["--body"]].concat();
    run_with(&with_body, &[]).await.fails("set [admin] token");
}

use super::{TOKEN, World};
use crate::process::command;
use crate::redis::eventually;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

const RULES: &str = r#"
[[cache]]
name = "list"
match = "GET /list"
key = "list"
query = []
ttl = "5m"
public = true

[[cache]]
name = "seen"
match = "GET /seen"
key = "seen"
query = []
ttl = "5m"
public = true
stage = "observe"
"#;

async fn world() -> World {
    let world = World::on("memory:", RULES).await;
    for target in ["/list", "/list", "/list", "/list", "/seen", "/seen"] {
        world.sidecar.get(target).await;
    }
    world
}

#[tokio::test]
async fn each_rule_is_a_line_and_the_store_is_told_of_below() {
    let world = world().await;
    let told = world.run(&["stats"]).await.succeeds();
    let line = |name: &str| {
        let line = told.out.lines().find(|line| line.starts_with(name));
        line.unwrap_or_else(|| panic!("{name} is not in\n{}", told.out))
            .to_owned()
    };
    let cells = line("list ");
    let cells: Vec<&str> = cells
        .split("  ")
        .map(str::trim)
        .filter(|cell| !cell.is_empty())
        .collect();
    assert_eq!(
        cells[..6],
        ["list", "4", "3", "75.0 %", "75.0 %", "0"],
        "{}",
        told.out
    );
    for part in [
        "HOUR (here)",
        "commands sent today",
        "observed: 1 would have been hits, 1 misses",
        "hit rate 75.0 %, 3 requests spared",
        "store: memory up",
    ] {
        assert!(told.out.contains(part), "{part} is not in\n{}", told.out);
    }
    let own = world.run(&["stats", "--process"]).await.succeeds();
    assert!(
        own.out.contains("this process: hit rate 75.0 %"),
        "{}",
        own.out
    );
}

#[tokio::test]
async fn the_doors_own_answer_is_printed_for_programs() {
    let world = world().await;
    let told = world.run(&["stats", "--json"]).await.succeeds();
    let told: Value = serde_json::from_str(&told.out).expect("JSON");
    assert_eq!(told["process"]["rules"]["list"]["hits"], 3);
    assert_eq!(told["fleet"]["rules"]["seen"]["would_hit"], 1);
}

#[tokio::test]
async fn a_watch_goes_on_until_it_is_ended() {
    let world = world().await;
    let door = world.door();
    let mut command = crate::process::command();
    command
        .args(["stats", "--watch", "--json", "--admin", &door])
        .env("SIDECACHE_ADMIN_TOKEN", super::TOKEN)
        .stdout(std::process::Stdio::piped());
    let mut child = command.spawn().expect("the command starts");
    let out = child.stdout.take().expect("piped");
    let lines = tokio::task::spawn_blocking(move || {
        let lines = std::io::BufRead::lines(std::io::BufReader::new(out));
        lines
            .take(2)
            .map(|line| line.expect("text"))
            .collect::<Vec<String>>()
    });
    let lines = lines.await.expect("no panic");
    child.kill().expect("it runs still");
    child.wait().expect("it ends");
    let at = |line: &String| serde_json::from_str::<Value>(line).expect("JSON")["at"].as_u64();
    assert!(at(&lines[0]) < at(&lines[1]), "{lines:?}");
}

#[tokio::test]
async fn a_watch_that_nobody_reads_any_more_ends() {
    let world = world().await;
    let mut watch = command()
        .args(["stats", "--watch", "--json", "--admin", &world.door()])
        .env("SIDECACHE_ADMIN_TOKEN", TOKEN)
        .stdout(Stdio::piped())
        .spawn()
        .expect("the command starts");
    let out = watch.stdout.take().expect("piped");
    let first = tokio::task::spawn_blocking(|| BufReader::new(out).lines().next()).await;
    assert!(first.expect("no panic").is_some_and(|line| line.is_ok()));
    let mut status = None;
    eventually("it ends", async || {
        status = watch.try_wait().expect("it is ours");
        status.is_some()
    })
    .await;
    assert!(status.expect("just seen").success());
}

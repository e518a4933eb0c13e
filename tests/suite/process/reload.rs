use super::{Process, rule, rules};
use crate::redis::eventually;
use crate::world::{self, Asked, Origin, Reply};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

const FAILURES: &str = "sidecache_rules_reload_failures_total";

async fn hello() -> Origin {
    Origin::start(|_: Asked| async { Reply::json("{}") }).await
}

/// The rules with one more, `GET /more`.
fn with_more(text: &str) -> String {
    let more = rule("5m")
        .replace("\"kept\"", "\"more\"")
        .replace("/kept", "/more")
        .replace("things", "more")
        .replace("changed", "more-changed");
    format!("{text}{more}")
}

#[tokio::test]
async fn a_new_rule_is_in_force_after_a_hangup() {
    let origin = hello().await;
    let text = rules(origin.address, "memory:", "5m");
    let process = Process::start(&text);
    process.get("/kept").await;
    assert!(process.get("/more").await.outcome().contains("bypass"));
    process.write_rules(&with_more(&text));
    process.signal("-HUP");
    process.logs("the rules were reloaded").await;
    assert_eq!(process.get("/more").await.outcome(), "miss");
    assert_eq!(process.get("/more").await.outcome(), "hit");
    assert_eq!(
        process.get("/kept").await.outcome(),
        "miss",
        "what was kept under other rules is not used"
    );
    assert_eq!(process.get("/kept").await.outcome(), "hit");
    assert!(process.metrics().await.contains(&format!("{FAILURES} 0")));
}

#[tokio::test]
async fn a_bad_file_leaves_the_old_rules_and_is_loud() {
    let origin = hello().await;
    let text = rules(origin.address, "memory:", "5m");
    let process = Process::start(&text);
    process.get("/kept").await;
    let bad = [
        (text.replace("ttl =", "tll ="), "did you mean"),
        (text[..text.len() / 2].to_owned(), "rules.toml"),
        (String::new(), "namespace"),
    ];
    for (number, (text, said)) in bad.iter().enumerate() {
        process.write_rules(text);
        process.signal("-HUP");
        let counted = format!("{FAILURES} {}", number + 1);
        eventually(&counted, async || {
            process.metrics().await.contains(&counted)
        })
        .await;
        process.logs("the rules were not reloaded").await;
        process.logs(said).await;
        assert_eq!(process.get("/kept").await.outcome(), "hit");
    }
    std::fs::remove_file(&process.rules).expect("it was there");
    process.signal("-HUP");
    process.logs("cannot be read").await;
    assert_eq!(process.get("/kept").await.outcome(), "hit");
    process.write_rules(&with_more(&text));
    process.signal("-HUP");
    process.logs("the rules were reloaded").await;
    assert_eq!(process.get("/more").await.outcome(), "miss");
}

#[tokio::test]
async fn what_takes_a_restart_is_refused_by_its_name() {
    let origin = hello().await;
    let text = rules(origin.address, "memory:", "5m");
    let process = Process::start(&text);
    let changes = [
        (
            "namespace = \"test\"",
            "namespace = \"other\"",
            "namespace has changed",
        ),
        (
            "listen = \"127.0.0.1:0\"",
            "listen = \"127.0.0.1:1\"",
            "[proxy] listen has changed",
        ),
        ("memory:", "redis://127.0.0.1:1", "[store] has changed"),
    ];
    for (number, (from, to, said)) in changes.into_iter().enumerate() {
        process.write_rules(&with_more(&text.replacen(from, to, 1)));
        process.signal("-HUP");
        process.logs(said).await;
        let counted = format!("{FAILURES} {}", number + 1);
        assert!(process.metrics().await.contains(&counted));
        assert!(process.get("/more").await.outcome().contains("bypass"));
    }
    assert!(process.logged().contains("takes a restart"));
}

#[tokio::test]
async fn no_request_is_lost_while_rules_are_reloaded_again_and_again() {
    let origin = hello().await;
    let text = rules(origin.address, "memory:", "5m");
    let process = Process::start(&text);
    let done = Arc::new(AtomicBool::new(false));
    let load: Vec<_> = (0..4)
        .map(|_| {
            let (proxy, done) = (process.proxy(), done.clone());
            tokio::spawn(async move {
                let mut statuses = Vec::new();
                while !done.load(SeqCst) {
                    for (method, target) in
                        [("GET", "/kept"), ("GET", "/pass"), ("POST", "/change")]
                    {
                        statuses.push(world::ask(proxy, method, target, &[], "").await.status);
                    }
                }
                statuses
            })
        })
        .collect();
    let reloads = || process.logged().matches("the rules were reloaded").count();
    for number in 1..=20 {
        let text = if number % 2 == 0 {
            text.clone()
        } else {
            with_more(&text)
        };
        process.write_rules(&text);
        process.signal("-HUP");
        eventually("it is reloaded", async || reloads() >= number).await;
    }
    done.store(true, SeqCst);
    for statuses in load {
        let statuses = statuses.await.expect("every request is answered");
        assert!(
            !statuses.is_empty() && statuses.iter().all(|status| *status == 200),
            "{statuses:?}"
        );
    }
    assert!(process.metrics().await.contains(&format!("{FAILURES} 0")));
}

use super::*;
use crate::process::Process;
use crate::world;

/// How many lines of the log say that.
fn lines(process: &Process, words: &str) -> usize {
    let logged = process.logged();
    logged.lines().filter(|line| line.contains(words)).count()
}

async fn says(process: &Process, word: &str) {
    eventually(&format!("the store is {word}"), async || {
        let ready = world::ask(process.door(), "GET", "/readyz", &[], "").await;
        ready.text().contains(&format!("\"store\":\"{word}\""))
    })
    .await;
}

#[tokio::test]
async fn the_log_has_one_line_where_a_limit_begins_and_one_where_it_ends() {
    let redis = RedisServer::start_with(&["--maxmemory-policy", "noeviction"]);
    let provider = Provider::before(redis.port()).await;
    let origin = register().await;
    let head = world::head(origin.address, &provider.url());
    let process = Process::start(&format!("{head}{RULES}"));
    says(&process, "up").await;
    redis.say("CONFIG SET maxmemory 1");
    for id in 0..50 {
        assert_eq!(process.get(&format!("/value/{id}")).await.status, 200);
    }
    says(&process, "capacity").await;
    assert_eq!(lines(&process, "the store is full"), 1);
    redis.say("CONFIG SET maxmemory 0");
    eventually("it is kept", async || {
        process.get("/value/0").await.outcome() == "hit"
    })
    .await;
    says(&process, "up").await;
    provider.spend(true);
    for id in 0..50 {
        let got = process.get(&format!("/value/{id}")).await;
        assert_eq!((got.status, got.n()), (200, 0));
    }
    says(&process, "quota").await;
    process.logs("store cannot be used").await;
    provider.spend(false);
    says(&process, "up").await;
    process.logs("was=quota").await;
    for (words, times) in [
        ("the store is full", 1),
        ("allowance is spent", 1),
        ("was=capacity", 1),
        ("was=quota", 1),
        ("store cannot be used", 1),
    ] {
        assert_eq!(
            lines(&process, words),
            times,
            "{words}\n{}",
            process.logged()
        );
    }
    redis.say("CONFIG SET min-replicas-to-write 1");
    let raised = world::ask(process.proxy(), "POST", "/raise/a", &[], "").await;
    assert_eq!(raised.status, 200);
    process.logs("the store refuses writes").await;
    redis.say("CONFIG SET min-replicas-to-write 0");
    says(&process, "up").await;
    provider.limit_size(Some(16_384));
    assert_eq!(process.get("/large/a").await.status, 200);
    process.logs("the store refuses large values").await;
}

#[test]
fn the_address_of_the_rest_interface_is_explained() {
    let directory = tempfile::tempdir().expect("a directory");
    let address = "127.0.0.1:1".parse().expect("an address");
    let head = world::head(address, "https://eu1-calm-cat-30000.upstash.io");
    let rules = crate::process::written(directory.path(), &format!("{head}{RULES}"));
    let mut check = crate::process::command();
    let output = crate::process::output(check.arg("check").arg(rules));
    let said = crate::process::stderr(&output);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        said.contains("REST") && said.contains("rediss://"),
        "{said}"
    );
}

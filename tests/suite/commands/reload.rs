use super::{RULES, run_with};
use crate::process::Process;
use crate::world::{Asked, Origin, Reply, head};

#[tokio::test]
async fn rules_are_reloaded_by_the_door_as_by_a_signal() {
    let origin = Origin::start(|_: Asked| async { Reply::json("{}") }).await;
    let file = head(origin.address, "memory:") + RULES;
    let process = Process::start(&file);
    let url = format!("http://{}", process.door());
    let reload = async || run_with(&["reload", "--admin", &url], &[]).await;
    assert_eq!(reload().await.succeeds().out, "reloaded: 1 rule, 1 set\n");

    process.get("/kept/a").await;
    process.write_rules(&file.replace("ttl =", "tll ="));
    let ended = reload().await;
    ended.fails("did you mean `ttl`?");
    ended.fails("rules.toml:");
    assert_eq!(
        process.get("/kept/a").await.outcome(),
        "hit",
        "the old rules stay"
    );

    process.write_rules(&file.replacen("namespace = \"test\"", "namespace = \"other\"", 1));
    reload()
        .await
        .fails("namespace has changed, which takes a restart");

    let more = RULES.replace("kept", "more").replace("chang", "more-chang");
    let text = format!(
        "{file}{more}\n[[cache]]\nname = \"b\"\nmatch = \"GET /b\"\nkey = \"b\"\nttl = \"1s\"\nquery = []\n"
    );
    process.write_rules(&text);
    let ended = reload().await.succeeds();
    assert_eq!(ended.out, "reloaded: 3 rules, 2 sets\n");
    assert!(
        ended.err.contains("warning: no set ever drops `b`"),
        "{}",
        ended.err
    );
    let line = text.lines().position(|line| line == "name = \"b\"");
    let line = format!("(line {})", line.expect("the rule") + 1);
    assert!(ended.err.contains(&line), "{line}: {}", ended.err);
    assert_eq!(process.get("/more/a").await.outcome(), "miss");
}

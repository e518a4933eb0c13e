use super::{RULES, TOKEN, World, run_with};
use crate::world::{Asked, Origin, Reply, Sidecar, head};
use tokio::net::TcpListener;

const PURGE: [&str; 2] = ["purge", "kept:*"];

async fn purge_at(url: &str, environment: &[(&str, &str)]) -> super::Ended {
    run_with(&["purge", "kept:*", "--admin", url], environment).await
}

#[tokio::test]
async fn a_door_is_found_by_the_rules_file_and_its_token_with_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let socket = directory.path().join("door.sock");
    let origin = Origin::start(|_: Asked| async { Reply::json("{}") }).await;
    let admin = format!(
        "[admin]\nlisten = \"unix:{}\"\ntoken = \"{TOKEN}\"",
        socket.display()
    );
    let file =
        head(origin.address, "memory:").replacen("[admin]\nlisten = \"127.0.0.1:0\"", &admin, 1)
            + RULES;
    let rules = directory.path().join("here.toml");
    std::fs::write(&rules, &file).expect("a rules file");
    let _sidecar = Sidecar::with_file(&file).await;
    let rules = rules.to_str().expect("a path");
    let by_option = [&PURGE[..], &["--rules", rules]].concat();
    assert_eq!(
        run_with(&by_option, &[]).await.succeeds().out,
        "dropped kept:*\n"
    );
    let by_variable = run_with(&PURGE, &[("SIDECACHE_RULES", rules)]).await;
    by_variable.succeeds();
    let at = format!("unix:{}", socket.display());
    purge_at(&at, &[("SIDECACHE_ADMIN_TOKEN", TOKEN)])
        .await
        .succeeds();
}

#[tokio::test]
async fn a_missing_or_wrong_token_is_told_with_its_remedy_and_never_shown() {
    let world = World::start().await;
    let missing = purge_at(&world.door(), &[]).await;
    missing.fails("set SIDECACHE_ADMIN_TOKEN");
    let wrong = [("SIDECACHE_ADMIN_TOKEN", "wr0ng-token")];
    for _ in 0..10 {
        purge_at(&world.door(), &wrong)
            .await
            .fails("has another token");
    }
    let ended = purge_at(&world.door(), &wrong).await;
    ended.fails("too many wrong tokens");
    assert!(!ended.err.contains("wr0ng-token"), "{}", ended.err);
    world.run(&PURGE).await.succeeds();
}

#[tokio::test]
async fn a_token_is_not_taken_from_an_argument() {
    let ended = run_with(&["purge", "a:*", "--token", "x"], &[]).await;
    assert_eq!(ended.status, Some(2), "{}", ended.err);
}

#[tokio::test]
async fn what_is_no_door_is_told_from_one_that_is_not_there() {
    let gone = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = gone.local_addr().expect("an address");
    drop(gone);
    purge_at(&format!("http://{address}"), &[])
        .await
        .fails("nothing answers at");
    let origin = Origin::start(|_: Asked| async { Reply::of(200, "text/html", "<html>") }).await;
    let url = format!("http://{}", origin.address);
    purge_at(&url, &[]).await.fails("is no admin door");
    let other = Origin::start(|_: Asked| async { Reply::of(404, "application/json", "{}") }).await;
    let url = format!("http://{}", other.address);
    purge_at(&url, &[]).await.fails("of this release?");
}

#[tokio::test]
async fn no_token_goes_to_another_machine_in_the_clear() {
    let set = [("SIDECACHE_ADMIN_TOKEN", TOKEN)];
    let ended = purge_at("http://192.0.2.1:9090", &set).await;
    ended.fails("use https://");
    let ended = purge_at("https://localhost:1", &set).await;
    ended.fails("nothing answers at https://localhost:1");
    purge_at("ftp://localhost", &set)
        .await
        .fails("--admin is not the address");
}

#[tokio::test]
async fn a_file_that_does_not_say_where_the_door_is_says_so() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("rules.toml");
    let told = async |text: &str, said: &str| {
        std::fs::write(&path, text).expect("a rules file");
        let rules = path.to_str().expect("a path");
        run_with(&[&PURGE[..], &["--rules", rules]].concat(), &[])
            .await
            .fails(said);
    };
    told("namespace = \"a\"", "has no [admin] table").await;
    told(
        "[admin]\nlisten = \"127.0.0.1:0\"",
        "leaves the port to the system",
    )
    .await;
    told("[admin]\nlisten = \"here\"", "rules.toml:2:11").await;
    let unset = "[admin]\nlisten = \"127.0.0.1:1\"\ntoken = \"${UNSET}\"";
    told(
        unset,
        "SIDECACHE_ADMIN_TOKEN with the door's token does as well",
    )
    .await;
    run_with(&PURGE, &[])
        .await
        .fails("rules.toml cannot be read");
}

/// Whoever listens at another address would have it.
#[tokio::test]
async fn the_token_of_a_rules_file_goes_to_no_other_door() {
    let world = World::start().await;
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("rules.toml");
    let (rules, door) = (path.to_str().expect("a path"), world.door());
    let elsewhere = [&PURGE[..], &["--rules", rules, "--admin", &door]].concat();
    for token in [TOKEN, "${UNSET}"] {
        let text = format!("[admin]\nlisten = \"127.0.0.1:1\"\ntoken = \"{token}\"");
        std::fs::write(&path, text).expect("a rules file");
        run_with(&elsewhere, &[]).await.fails("wants its token");
    }
    let own = format!(
        "[admin]\nlisten = \"{}\"\ntoken = \"{TOKEN}\"",
        world.sidecar.admin()
    );
    std::fs::write(&path, own).expect("a rules file");
    run_with(&elsewhere, &[]).await.succeeds();
}

#[tokio::test]
async fn what_answers_json_without_an_error_is_told_to_be_no_door() {
    let origin = Origin::start(|_: Asked| async {
        Reply::of(404, "application/json", r#"{"message": "Route not found"}"#)
    })
    .await;
    let door = format!("http://{}", origin.address);
    for command in ["stats", "reload"] {
        let ended = run_with(&[command, "--admin", &door], &[]).await;
        ended.fails("answers as no admin door does, 404");
        ended.fails("[admin] listen says where the door is");
    }
}

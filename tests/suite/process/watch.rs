//! A file that changes is read again by itself.

use super::{Process, rule, rules};
use crate::redis::eventually;
use crate::world::{Asked, Origin, Reply};
use std::path::Path;

const FAILURES: &str = "sidecache_rules_reload_failures_total";

async fn hello() -> Origin {
    Origin::start(|_: Asked| async { Reply::json("{}") }).await
}

fn with_more(text: &str) -> String {
    let more = rule("5m")
        .replace("\"kept\"", "\"more\"")
        .replace("/kept", "/more")
        .replace("things", "more")
        .replace("changed", "more-changed");
    format!("{text}{more}")
}

/// How often it said that it has reloaded, and that it could not.
fn told(process: &Process) -> (usize, usize) {
    let logged = process.logged();
    let count = |text: &str| logged.matches(text).count();
    (
        count("the rules were reloaded"),
        count("the rules were not reloaded"),
    )
}

async fn becomes(process: &Process, reloaded: usize, failed: usize) {
    let what = format!("{reloaded} reloads and {failed} failures");
    eventually(&what, async || told(process) == (reloaded, failed)).await;
}

#[tokio::test]
async fn a_changed_file_is_in_force_without_a_signal() {
    let origin = hello().await;
    let text = rules(origin.address, "memory:", "5m");
    let process = Process::start(&text);
    process.write_rules(&with_more(&text));
    becomes(&process, 1, 0).await;
    assert_eq!(process.get("/more").await.outcome(), "miss");
    // As editors do it: another file under the old name.
    let beside = process.rules.with_extension("new");
    std::fs::write(&beside, &text).expect("a file");
    std::fs::rename(&beside, &process.rules).expect("renamed");
    becomes(&process, 2, 0).await;
    assert!(process.get("/more").await.outcome().contains("bypass"));
}

#[tokio::test]
async fn a_bad_file_is_told_and_leaves_the_old_rules() {
    let origin = hello().await;
    let text = rules(origin.address, "memory:", "5m");
    let process = Process::start(&text);
    process.get("/kept").await;
    process.write_rules(&text.replace("ttl =", "tll ="));
    becomes(&process, 0, 1).await;
    assert!(process.metrics().await.contains(&format!("{FAILURES} 1")));
    assert_eq!(process.get("/kept").await.outcome(), "hit");
    process.write_rules(&with_more(&text));
    becomes(&process, 1, 1).await;
    std::fs::remove_file(&process.rules).expect("it was there");
    becomes(&process, 1, 2).await;
    assert!(process.logged().contains("cannot be read"));
    process.write_rules(&text);
    becomes(&process, 2, 2).await;
    assert!(process.metrics().await.contains(&format!("{FAILURES} 2")));
}

/// A rules file below a link that is turned from one directory to the next, as Kubernetes mounts a
/// ConfigMap.
#[tokio::test]
async fn a_link_that_is_turned_to_another_directory_is_a_change() {
    let origin = hello().await;
    let text = rules(origin.address, "memory:", "5m");
    let mount = tempfile::tempdir().expect("a directory");
    let at = |name: &str| mount.path().join(name);
    let version = |name: &str, text: &str| {
        std::fs::create_dir(at(name)).expect("a directory");
        std::fs::write(at(name).join("rules.toml"), text).expect("a file");
        std::os::unix::fs::symlink(name, at("..data_tmp")).expect("a link");
        std::fs::rename(at("..data_tmp"), at("..data")).expect("turned");
    };
    version("..one", &text);
    std::os::unix::fs::symlink(Path::new("..data/rules.toml"), at("rules.toml")).expect("a link");
    let process = Process::start_at(&at("rules.toml"));
    version("..two", &with_more(&text));
    std::fs::remove_dir_all(at("..one")).expect("removed");
    becomes(&process, 1, 0).await;
    assert_eq!(process.get("/more").await.outcome(), "miss");
}

#[tokio::test]
async fn a_key_that_the_rules_name_is_read_again_when_it_changes() {
    let origin = hello().await;
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("issuer.pem");
    let key = || rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).expect("a key");
    let put = |text: &str| std::fs::write(&file, text).expect("a file");
    put(&key().public_key_pem());
    let identity = format!(
        "[identity]\ntoken = \"header:authorization\"\n\
         verify = {{ algorithm = \"EdDSA\", public_key = \"{}\" }}\n",
        file.display()
    );
    let process = Process::start(&(rules(origin.address, "memory:", "5m") + &identity));
    put("-----BEGIN NOTHING-----");
    becomes(&process, 0, 1).await;
    put(&key().public_key_pem());
    becomes(&process, 1, 1).await;
}

#[tokio::test]
async fn a_pipe_in_the_place_of_the_file_is_not_waited_for_and_the_process_can_be_ended() {
    let origin = hello().await;
    let mut process = Process::start(&rules(origin.address, "memory:", "5m"));
    std::fs::remove_file(&process.rules).expect("it was there");
    let made = std::process::Command::new("mkfifo")
        .arg(&process.rules)
        .status();
    assert!(made.expect("mkfifo is there").success());
    becomes(&process, 0, 1).await;
    assert!(process.logged().contains("no regular file"));
    process.signal("-HUP");
    becomes(&process, 0, 2).await;
    process.signal("-TERM");
    assert!(process.ended().await.success());
}

use crate::process::Process;
use crate::redis::{RedisServer, eventually};
use crate::world::{self, Origin, REGISTER_RULES};

#[tokio::test]
async fn on_a_full_disk_writes_go_on_what_is_owed_is_remembered_and_the_log_says_so() {
    let (origin, mut redis) = (Origin::register().await, RedisServer::absent(&[]));
    let disk = tempfile::tempdir().expect("a directory");
    let journal = disk.path().join("journal").display().to_string();
    let head = world::head(origin.address, &redis.url());
    let head = head.replace("[store]", &format!("[store]\njournal = \"{journal}\""));
    // One page: it is full with the first hundred nodes.
    let mount = format!(
        "mount -t tmpfs -o size=4k none {} && exec \"$@\"",
        disk.path().display()
    );
    let launcher = [&["unshare"], super::as_root(), &["sh", "-c", &mount, "sh"]].concat();
    let process = Process::start_by(&launcher, &format!("{head}{REGISTER_RULES}"));
    let change = async |id: usize| {
        let target = format!("/api/change/{id}");
        let got = world::ask(process.proxy(), "PATCH", &target, &[], "").await;
        assert_eq!(got.status, 200);
    };
    for id in 0..150 {
        change(id).await;
    }
    let complaint = "the journal cannot be written";
    process.logs(complaint).await;
    assert_eq!(process.logged().matches(complaint).count(), 1, "said once");
    let owed = process.metric("sidecache_invalidations_owed ").await;
    assert!(owed >= 150.0, "{owed}");
    redis.restart();
    eventually("it is paid", async || {
        process.metric("sidecache_invalidations_owed ").await == 0.0
    })
    .await;
    process.logs("the journal is whole again").await;
    assert_eq!(process.get("/api/thing/1").await.n(), 150);
}

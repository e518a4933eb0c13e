//! Two sidecars, two rules files, one Redis.

use super::*;

const THING: &str = "/api/thing/1";

/// A rule for something else, to which nothing of the other file belongs.
const OTHER: &str = r#"
[[cache]]
name = "other"
match = "GET /api/other/{id}"
key = "others:{id}"
query = []
ttl = "5m"
public = true
"#;

fn set(name: &str, on: &str, rest: &str) -> String {
    format!("\n[[invalidate]]\nname = \"{name}\"\non = \"{on}\"\n{rest}\n")
}

/// Two files and a write that at least one of them names for [`THING`].
struct Mixed {
    what: &'static str,
    old: String,
    new: String,
    write: (&'static str, &'static str, &'static str),
}

impl Mixed {
    fn new(what: &'static str, old: &str, new: &str) -> Mixed {
        Mixed {
            what,
            old: old.to_owned(),
            new: new.to_owned(),
            write: ("PATCH", "/api/change/1", ""),
        }
    }

    fn by(mut self, method: &'static str, target: &'static str, body: &'static str) -> Mixed {
        self.write = (method, target, body);
        self
    }
}

fn mixtures() -> Vec<Mixed> {
    let other_dropped = set(
        "changed",
        "PATCH /api/change/{id}",
        "drop = [\"others:{id}\"]",
    );
    let both = set(
        "changed",
        "PATCH /api/change/{id}",
        "drop = [\"others:{id}\", \"things:details:{id}\"]",
    );
    let thing = REGISTER_RULES
        .split("[[invalidate]]")
        .next()
        .expect("a rule");
    let paged = thing
        .replace("details:{id}", "details:{id}:{query}")
        .replace("query = []", "query = [\"page\"]")
        + &set("elsewhere", "POST /api/elsewhere", "drop = [\"things:*\"]");
    let asking = r#"
[[cache]]
name = "asking"
match = "POST /api/ask"
key = "asking:{body}"
body = ["q"]
ttl = "5m"
public = true
"#;
    let strict = asking
        .replace("body = [\"q\"]\n", "")
        .replace("{body}", "{body.q}");
    let asked = set("asked", "POST /api/ask", "drop = [\"things:details:{id}\"]");
    let asked = asked.replace("{id}", "1");
    vec![
        Mixed::new(
            "another depth",
            &dropping("things:details:*"),
            REGISTER_RULES,
        ),
        Mixed::new("the top alone", &dropping("things:*"), REGISTER_RULES),
        Mixed::new(
            "one more drop for the same write",
            &format!("{thing}{OTHER}{other_dropped}"),
            &format!("{thing}{OTHER}{both}"),
        ),
        Mixed::new(
            "a rule and a set that the old file lacks",
            OTHER,
            REGISTER_RULES,
        ),
        Mixed::new(
            "a write that counts only in one",
            &format!("{REGISTER_RULES}commits = [\"3xx\"]\n"),
            REGISTER_RULES,
        ),
        Mixed::new("a set that the old file lacks", thing, REGISTER_RULES),
        Mixed::new("another key", &paged, REGISTER_RULES),
        Mixed::new(
            "a request that is a read in one",
            &format!("{thing}{strict}"),
            &format!("{thing}{asked}"),
        )
        .by("POST", "/api/ask", r#"{"q": 1, "unkeyed": 2}"#),
    ]
}

async fn started(origin: &Origin, redis: &RedisServer, rules: &str) -> Sidecar {
    Sidecar::start(origin, &redis.url(), rules).await
}

#[tokio::test]
async fn a_write_through_a_sidecar_with_other_rules_leaves_no_old_answer() {
    for mixed in mixtures() {
        let origin = Origin::register().await;
        let redis = RedisServer::start();
        let old = started(&origin, &redis, &mixed.old).await;
        let new = started(&origin, &redis, &mixed.new).await;
        let (method, target, body) = mixed.write;
        for (nth, writer) in [&old, &new, &old, &new].into_iter().enumerate() {
            new.get(THING).await;
            old.get(THING).await;
            let before = cached(&new, THING).await;
            let headers = [("content-type", "application/json")];
            let written = writer.ask(method, target, &headers, body).await;
            assert_eq!(written.status, 200);
            let read = new.get(THING).await;
            assert_eq!(read.n(), before + 1, "{}, write {nth}", mixed.what);
        }
    }
}

#[tokio::test]
async fn a_file_that_invalidates_nothing_by_itself_heeds_others_too() {
    let origin = Origin::register().await;
    let redis = RedisServer::start();
    let passive =
        head(origin.address, &redis.url()).replace("[proxy]", "[proxy]\nauto_invalidate = false");
    let old = Sidecar::with_file(&format!("{passive}{OTHER}")).await;
    let new = started(&origin, &redis, REGISTER_RULES).await;
    assert_eq!(cached(&new, THING).await, 0);
    assert_eq!(
        old.ask("PATCH", "/api/change/1", &[], "").await.outcome(),
        "bypass"
    );
    assert_eq!(new.get(THING).await.n(), 1);
}

#[tokio::test]
async fn what_was_dropped_in_the_old_rules_only_is_not_revived_by_the_new() {
    let origin = Origin::register().await;
    let redis = RedisServer::start();
    let unnamed = REGISTER_RULES
        .split("[[invalidate]]")
        .next()
        .expect("a rule");
    let old = started(&origin, &redis, unnamed).await;
    let new = started(&origin, &redis, REGISTER_RULES).await;
    assert_eq!(cached(&old, THING).await, 0);
    // Nothing of the new rules has been kept yet: the old sidecar cannot know of them.
    old.ask("PATCH", "/api/change/1", &[], "").await;
    assert_eq!(
        old.get(THING).await.outcome(),
        "hit",
        "its rules do not name it"
    );
    assert_eq!(new.get(THING).await.n(), 1, "the new ones do");
}

#[tokio::test]
async fn what_one_keeps_under_other_conditions_the_other_never_serves() {
    let conditions = [
        ("ttl = \"5m\"", "ttl = \"5m\"\nstore_if = [\"/n\"]"),
        ("public = true", "public = true\nstatuses = [200, 404]"),
        (
            "[[invalidate]]",
            "[identity]\ntoken = \"header:x-token\"\n\n[[invalidate]]",
        ),
    ];
    for (plain, changed) in conditions {
        let rules = REGISTER_RULES.replace(plain, changed);
        let origin = Origin::register().await;
        let redis = RedisServer::start();
        let old = started(&origin, &redis, REGISTER_RULES).await;
        let new = started(&origin, &redis, &rules).await;
        cached(&old, THING).await;
        let count = origin.count();
        assert_eq!(new.get(THING).await.outcome(), "miss", "{changed}");
        assert_eq!(origin.count(), count + 1);
        cached(&new, THING).await;
        assert_eq!(old.get(THING).await.n(), 0, "{changed}");
    }
}

#[tokio::test]
async fn a_purge_through_either_drops_what_the_other_keeps_and_says_so() {
    let origin = Origin::register().await;
    let redis = RedisServer::start();
    let old = started(&origin, &redis, &dropping("things:details:*")).await;
    let new = started(&origin, &redis, REGISTER_RULES).await;
    cached(&new, THING).await;
    let purged = old.purge(&["things:details:*"]).await;
    assert_eq!(purged.text(), r#"{"dropped":["things:details:*","*"]}"#);
    assert_eq!(new.get(THING).await.outcome(), "miss");
    let purged = new.purge(&["things:details:1"]).await;
    assert_eq!(
        purged.text(),
        r#"{"dropped":["things:details:1"]}"#,
        "only the new one keeps anything now"
    );
}

#[tokio::test]
async fn a_drop_that_was_owed_over_an_outage_drops_what_other_rules_keep() {
    let origin = Origin::register().await;
    let redis = RedisServer::start();
    let rules = dropping("things:details:*");
    let old = Sidecar::impatient(&origin, &redis.url(), &rules).await;
    let new = started(&origin, &redis, REGISTER_RULES).await;
    assert_eq!(cached(&new, THING).await, 0);
    redis.stop();
    assert_eq!(old.ask("PATCH", "/api/change/1", &[], "").await.status, 200);
    let ready = async || old.door("GET", "/readyz", "").await.text();
    assert!(ready().await.contains(r#""invalidations_owed":1"#));
    redis.cont();
    eventually("the debt is paid", async || {
        ready().await.contains(r#""invalidations_owed":0"#)
    })
    .await;
    assert_eq!(new.get(THING).await.n(), 1);
}

#[tokio::test]
async fn an_entry_of_a_format_to_come_is_a_miss() {
    let origin = Origin::register().await;
    let redis = RedisServer::start();
    let (one, other) = (
        started(&origin, &redis, REGISTER_RULES).await,
        started(&origin, &redis, REGISTER_RULES).await,
    );
    cached(&one, THING).await;
    redis.ask(&[b"SETRANGE", b"test:things:details:1", b"0", &[9]]);
    let read: Got = other.get(THING).await;
    assert_eq!((read.outcome(), read.n()), ("miss", 0));
    assert_eq!(other.get(THING).await.outcome(), "hit", "kept anew");
}

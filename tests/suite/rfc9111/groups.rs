use super::world::{Cache, numbered, owned};
use crate::local_ttl::hears;
use crate::redis::RedisServer;
use crate::world::{Asked, Got, Origin, Reply, Sidecar, eventually};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use tokio::sync::Notify;

/// Says what it was asked to say: GETs to what they belong, writes what is to be forgotten.
fn speaking(asked: &Asked, nth: usize) -> Reply {
    let said = asked.header("x-groups");
    if asked.method != "GET" {
        let status = asked.header("x-status").unwrap_or("200");
        let reply = numbered(status.parse().expect("a status"), nth, &[]);
        return reply.header("cache-group-invalidation", said.unwrap_or_default());
    }
    let reply = numbered(200, nth, &owned(&[("cache-control", "max-age=3600")]));
    match said {
        Some(groups) => reply.header("cache-groups", groups),
        None => reply,
    }
}

async fn cache() -> Cache {
    Cache::before(speaking).await
}

async fn fill(cache: &Cache, path: &str, groups: &str) -> Got {
    cache.get_with(path, &[("x-groups", groups)]).await
}

async fn is_kept(cache: &Cache, path: &str) -> bool {
    cache.get(path).await.outcome() == "hit"
}

async fn write(cache: &Cache, method: &str, status: &str, groups: &str) {
    let said = [("x-status", status), ("x-groups", groups)];
    let written = cache.sidecar.ask(method, "/w", &said, "").await;
    assert_eq!(written.status.to_string(), status);
}

#[tokio::test]
async fn what_shares_a_named_group_is_forgotten_and_nothing_else() {
    let kept = [
        ("/a", r#""x", "y""#),
        ("/b", r#""y";p=1, "z";q"#),
        ("/c", r#""X""#),
        ("/d", ""),
        ("/e", r#""""#),
    ];
    let cases = [
        (r#""x""#, [false, true, true, true, true]),
        (r#""y""#, [false, false, true, true, true]),
        (r#""z", "X""#, [true, false, false, true, true]),
        (
            r#""x";because="of", "none""#,
            [false, true, true, true, true],
        ),
        (r#""""#, [true, true, true, true, false]),
        ("", [true; 5]),
    ];
    for (named, left) in cases {
        let cache = cache().await;
        for (path, groups) in kept {
            fill(&cache, path, groups).await;
            assert!(is_kept(&cache, path).await, "{path}");
        }
        write(&cache, "POST", "200", named).await;
        for ((path, _), left) in kept.iter().zip(left) {
            assert_eq!(is_kept(&cache, path).await, left, "{named}: {path}");
        }
    }
}

#[tokio::test]
async fn a_group_falls_by_any_unsafe_method_that_was_not_refused_and_by_no_safe_one() {
    let cache = cache().await;
    for (method, status, forgotten) in [
        ("POST", "200", true),
        ("PUT", "303", true),
        ("DELETE", "202", true),
        ("FOO", "500", true),
        ("PATCH", "404", false),
        ("OPTIONS", "200", false),
    ] {
        let path = format!("/{method}");
        fill(&cache, &path, r#""x""#).await;
        assert!(is_kept(&cache, &path).await);
        write(&cache, method, status, r#""x""#).await;
        let is_kept = is_kept(&cache, &path).await;
        assert_eq!(is_kept, !forgotten, "{method} {status}");
    }
}

#[tokio::test]
async fn what_a_get_says_is_to_be_forgotten_is_not() {
    let lines = [
        ("cache-control", "max-age=3600"),
        ("cache-groups", "\"x\""),
        ("cache-group-invalidation", "\"x\""),
    ];
    let cache = Cache::of(&lines).await;
    cache.get("/a").await;
    cache.get("/b").await;
    assert!(is_kept(&cache, "/a").await && is_kept(&cache, "/b").await);
}

#[tokio::test]
async fn an_answer_of_as_many_groups_as_the_rfc_asks_for_is_kept_and_of_more_is_not() {
    let cache = cache().await;
    let groups = |count: usize| {
        let names: Vec<String> = (0..count).map(|n| format!("\"{n:032}\"")).collect();
        names.join(",")
    };
    fill(&cache, "/a", &groups(32)).await;
    assert!(is_kept(&cache, "/a").await);
    write(&cache, "POST", "200", &groups(32)).await;
    assert!(!is_kept(&cache, "/a").await);
    for _ in 0..2 {
        let got = fill(&cache, "/b", &groups(33)).await;
        assert_eq!(
            (got.outcome(), got.detail()),
            ("miss", Some("not-keepable"))
        );
    }
}

#[tokio::test]
async fn groups_that_cannot_be_read_keep_an_answer_from_being_kept_and_drop_everything() {
    let cache = cache().await;
    for unreadable in ["x", "1", r#"("x")"#, r#""x"#, r#""x""y""#, r#""x","#] {
        for _ in 0..2 {
            let got = fill(&cache, "/a", unreadable).await;
            assert_eq!(got.detail(), Some("not-keepable"), "{unreadable}");
        }
        cache.get("/b").await;
        assert!(is_kept(&cache, "/b").await);
        write(&cache, "POST", "200", unreadable).await;
        assert!(!is_kept(&cache, "/b").await, "{unreadable}");
    }
}

#[tokio::test]
async fn groups_mean_nothing_where_the_file_says_so() {
    let origin = cache().await.origin;
    let off = |text: String| text.replace("[proxy]", "[proxy]\nauto_invalidate = false");
    let sidecar = Cache::sidecar(&origin, off).await;
    let cache = Cache { origin, sidecar };
    for groups in [r#""x""#, "unreadable"] {
        fill(&cache, "/a", groups).await;
        write(&cache, "POST", "200", groups).await;
        assert!(is_kept(&cache, "/a").await, "{groups}");
    }
}

#[tokio::test]
async fn what_still_holds_belongs_to_its_groups_also_where_they_are_not_shown() {
    let cache = Cache::before(|asked, nth| {
        let lines: &[(&str, &str)] = match (asked.method.as_str(), asked.header("if-none-match")) {
            ("GET", None) => &[
                ("cache-control", "max-age=10"),
                ("age", "20"),
                ("etag", "\"e\""),
                ("cache-groups", "\"x\""),
            ],
            ("GET", Some(_)) => &[("cache-control", "max-age=3600"), ("etag", "\"e\"")],
            _ => &[("cache-group-invalidation", "\"x\"")],
        };
        let status = if asked.header("if-none-match").is_some() {
            304
        } else {
            200
        };
        let mut reply = numbered(status, nth, &owned(lines));
        if status == 304 {
            reply.body.clear();
        }
        reply
    })
    .await;
    let stripping = |text: String| {
        assert!(text.contains("strip   = []"));
        text.replace("strip   = []", "strip = [\"cache-groups\"]")
    };
    let sidecar = Cache::sidecar(&cache.origin, stripping).await;
    for (sidecar, shown) in [(&cache.sidecar, Some("\"x\"")), (&sidecar, None)] {
        sidecar.get("/a").await;
        assert_eq!(sidecar.get("/a").await.outcome(), "revalidated");
        let hit = sidecar.get("/a").await;
        assert_eq!((hit.outcome(), hit.header("cache-groups")), ("hit", shown));
        sidecar.ask("POST", "/w", &[], "").await;
        assert_eq!(sidecar.get("/a").await.outcome(), "miss");
    }
}

/// An origin whose first answer to `/slow` waits to be let go, and is from before it waited.
async fn slow() -> (Origin, Arc<Notify>, Arc<Notify>) {
    let (asked_for, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (told, gate) = (asked_for.clone(), go.clone());
    let (value, turn) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let origin = Origin::start(move |asked: Asked| {
        let (told, gate) = (told.clone(), gate.clone());
        let (value, turn) = (value.clone(), turn.clone());
        async move {
            if asked.method != "GET" {
                let n = value.fetch_add(1, SeqCst) + 1;
                return numbered(200, n, &[]).header("cache-group-invalidation", "\"x\"");
            }
            let n = value.load(SeqCst);
            if asked.target == "/slow" && turn.fetch_add(1, SeqCst) == 0 {
                told.notify_one();
                gate.notified().await;
            }
            let lines = [("cache-control", "max-age=3600"), ("cache-groups", "\"x\"")];
            numbered(200, n, &owned(&lines))
        }
    })
    .await;
    (origin, asked_for, go)
}

/// 32 bytes, base64.
const SEAL: &str = "seal = \"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\"";

async fn sidecar(origin: &Origin, redis: &RedisServer, more: &str) -> Sidecar {
    let store = format!("url = \"{}\"\ntimeout = \"20s\"\n{more}", redis.url());
    Cache::sidecar(origin, |text| text.replace("url = \"memory:\"", &store)).await
}

/// The race: the group is dropped after the origin was asked and before it said that the answer belongs
/// to it. Nobody who came after the write gets that answer, be it by waiting for it or from the store.
async fn race(reader: &Sidecar, writer: &Sidecar, asked_for: &Notify, go: &Notify, knows: bool) {
    if knows {
        reader.get("/other").await; // the group has a version, which the write drops
    }
    let early = async { reader.get("/slow").await.text() };
    let late = async {
        asked_for.notified().await;
        writer.ask("POST", "/w", &[], "").await;
        let during = reader.get("/slow").await.text();
        go.notify_one();
        during
    };
    let (early, during) = tokio::join!(early, late);
    assert_eq!((&*early, &*during), ("0", "1"));
    for sidecar in [reader, writer] {
        assert_eq!(sidecar.get("/slow").await.text(), "1");
    }
}

#[tokio::test]
async fn an_answer_whose_group_was_dropped_while_it_was_fetched_is_nobodys_who_came_later() {
    for knows in [false, true] {
        let (origin, asked_for, go) = slow().await;
        let alone = Cache::sidecar(&origin, |text| text).await;
        race(&alone, &alone, &asked_for, &go, knows).await;
        let (origin, asked_for, go) = slow().await;
        let redis = RedisServer::start();
        let (one, other) = (
            sidecar(&origin, &redis, "").await,
            sidecar(&origin, &redis, "").await,
        );
        race(&one, &other, &asked_for, &go, knows).await;
    }
}

#[tokio::test]
async fn a_group_is_forgotten_through_all_sidecars_and_hits_cost_what_they_should() {
    for seal in ["", SEAL] {
        forgotten_through_all(seal).await;
    }
}

async fn forgotten_through_all(seal: &str) {
    let cache = cache().await;
    let redis = RedisServer::start();
    let (one, other) = (
        sidecar(&cache.origin, &redis, seal).await,
        sidecar(&cache.origin, &redis, seal).await,
    );
    let said = |groups| [("x-groups", groups)];
    one.get_with("/grouped", &said(r#""x", "y""#)).await;
    one.get("/plain").await;
    for (sidecar, path, commands) in [
        (&one, "/plain", 1),
        (&other, "/plain", 1),
        (&one, "/grouped", 1),
        (&other, "/grouped", 2), // which groups it has is seen once it is there
        (&other, "/grouped", 1),
    ] {
        let before = redis.calls("mget");
        assert_eq!(sidecar.get(path).await.outcome(), "hit");
        assert_eq!(redis.calls("mget") - before, commands, "{path}");
    }
    for (group, through, asked_first) in [(r#""y""#, &other, &one), (r#""x""#, &one, &other)] {
        through.ask("POST", "/w", &said(group), "").await;
        let again = said(r#""x", "y""#);
        assert_eq!(
            asked_first.get_with("/grouped", &again).await.outcome(),
            "miss"
        );
        assert_eq!(through.get("/grouped").await.outcome(), "hit");
    }
    assert_eq!(other.get("/plain").await.outcome(), "hit");
}

const RULES: &str = r#"
[[cache]]
name = "thing"
match = "GET /thing/{id}"
key = "things:{id}"
query = []
ttl = "5m"
local_ttl = "60s"
public = true

[[cache]]
name = "asked"
match = "POST /ask"
key = "asked:{body.q}"
body = ["q"]
ttl = "5m"
public = true
"#;

/// Things of one group, whose name any POST says.
async fn things() -> Origin {
    let value = Arc::new(AtomicUsize::new(0));
    Origin::start(move |asked: Asked| {
        let value = value.clone();
        async move {
            if asked.method == "GET" {
                return Reply::json(format!("{{\"n\": {}}}", value.load(SeqCst)))
                    .header("cache-groups", "\"things\"");
            }
            let n = value.fetch_add(1, SeqCst) + 1;
            Reply::json(format!("{{\"n\": {n}}}")).header("cache-group-invalidation", "\"things\"")
        }
    })
    .await
}

#[tokio::test]
async fn what_is_answered_from_memory_unasked_hears_of_groups_too() {
    let (origin, redis) = (things().await, RedisServer::start());
    let (one, other) = (
        Sidecar::start(&origin, &redis.url(), RULES).await,
        Sidecar::start(&origin, &redis.url(), RULES).await,
    );
    for sidecar in [&one, &other] {
        hears(sidecar, true).await;
        eventually("a hit asks Redis nothing", async || {
            let before = redis.calls("mget");
            let is_hit = sidecar.get("/thing/1").await.outcome() == "hit";
            is_hit && redis.calls("mget") == before
        })
        .await;
    }
    let n = one.ask("POST", "/elsewhere", &[], "").await.n();
    assert_eq!(
        one.get("/thing/1").await.n(),
        n,
        "who wrote is exact at once"
    );
    eventually("the other has heard", async || {
        other.get("/thing/1").await.n() == n
    })
    .await;
}

#[tokio::test]
async fn a_post_that_a_rule_reads_by_drops_what_its_answer_names_before_it_is_passed_on() {
    let origin = things().await;
    let sidecar = Sidecar::start(&origin, "memory:", RULES).await;
    for (kind, body, outcome) in [
        ("application/json", r#"{"q": 1}"#, "miss"),
        ("text/plain", "q", "bypass"),
    ] {
        sidecar.get("/thing/1").await;
        assert_eq!(sidecar.get("/thing/1").await.outcome(), "hit");
        let kind = [("content-type", kind)];
        let got = sidecar.ask("POST", "/ask", &kind, body).await;
        assert_eq!(got.outcome(), outcome);
        assert_eq!(sidecar.get("/thing/1").await.n(), got.n());
    }
}

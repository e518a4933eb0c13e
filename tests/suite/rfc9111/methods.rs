use super::world::{Cache, numbered, owned};
use crate::world::{Asked, Got, Origin, Sidecar};

const RULES: &str = r#"
[[cache]]
name = "asked"
match = "POST /ask/{how}"
key = "asked:{how}:{body}"
ttl = "origin"
forward = "all"
public = true
"#;

/// Answers as the path says.
async fn origin() -> Origin {
    let counts = std::sync::atomic::AtomicUsize::new(0);
    let counts = std::sync::Arc::new(counts);
    Origin::start(move |asked: Asked| {
        let counts = counts.clone();
        async move {
            let nth = counts.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            let day_ago = super::world::date(-86_400);
            let soon = super::world::date(3600);
            let lines: &[(&str, &str)] = match asked.target.trim_start_matches("/ask/") {
                "max-age" => &[("cache-control", "max-age=60")],
                "s-maxage" => &[("cache-control", "s-maxage=60")],
                "expires" => &[("expires", &*soon)],
                "nothing" => &[],
                "public" => &[("cache-control", "public")],
                "heuristic" => &[("last-modified", &*day_ago)],
                "tagged" => &[("etag", "\"a\""), ("cache-control", "no-cache")],
                _ => &[("cache-control", "max-age=60, no-store")],
            };
            numbered(200, nth, &owned(lines))
        }
    })
    .await
}

async fn post(sidecar: &Sidecar, target: &str, body: &str) -> Got {
    let json = [("content-type", "application/json")];
    sidecar.ask("POST", target, &json, body).await
}

/// RFC 9110 §9.3.3: cacheable only with explicit freshness.
#[tokio::test]
async fn an_answer_to_post_is_kept_where_a_rule_asks_for_it_and_its_freshness_is_explicit() {
    let origin = origin().await;
    let sidecar = Sidecar::start(&origin, "memory:", RULES).await;
    for (how, is_kept) in [
        ("max-age", true),
        ("s-maxage", true),
        ("expires", true),
        ("nothing", false),
        ("public", false),
        ("heuristic", false),
        ("tagged", false),
        ("no-store", false),
    ] {
        let target = format!("/ask/{how}");
        let first = post(&sidecar, &target, r#"{"q": 1}"#).await;
        assert_eq!(first.outcome(), "miss");
        let second = post(&sidecar, &target, r#"{"q": 1}"#).await;
        let is_hit = second.outcome() == "hit" && second.body == first.body;
        assert_eq!(is_hit, is_kept, "{how}: {}", second.cache_status());
        let other = post(&sidecar, &target, r#"{"q": 2}"#).await;
        assert_eq!(other.outcome(), "miss", "another body is another question");
    }
}

/// RFC 9110 §9.3.3 would allow it. Another write may have been acknowledged between this one's commit
/// and the answer to it, and nothing would show that the answer is from before.
#[tokio::test]
async fn the_answer_to_a_post_is_never_served_for_a_get_of_its_content_location() {
    let lines = [
        ("cache-control", "max-age=3600"),
        ("content-location", "/a"),
    ];
    let cache = Cache::of(&lines).await;
    cache.get("/a").await;
    assert_eq!(cache.get("/a").await.outcome(), "hit");
    assert_eq!(cache.sidecar.ask("POST", "/a", &[], "x").await.text(), "2");
    let got = cache.get("/a").await;
    assert_eq!((got.outcome(), &*got.text()), ("miss", "3"));
}

/// RFC 9111 §4.3.5 is about answers to HEAD. The origin is never asked so for what is kept: a HEAD that
/// wants better than that has it validated or fetched by GET, which freshens it or replaces it.
#[tokio::test]
async fn a_head_for_what_a_rule_keeps_reaches_the_origin_as_a_get() {
    let lines = [("cache-control", "max-age=3600"), ("etag", "\"e\"")];
    let kept = owned(&lines);
    let cache = Cache::before(move |asked, nth| match asked.header("if-none-match") {
        Some("\"e\"") if asked.target == "/holds" => {
            let mut reply = numbered(304, nth, &kept).header("x-anew", "1");
            reply.body.clear();
            reply
        }
        _ => numbered(200, nth, &kept),
    })
    .await;
    let no_cache = [("cache-control", "no-cache")];
    for (path, outcome, text) in [("/holds", "revalidated", "1"), ("/changed", "miss", "2")] {
        assert_eq!(cache.get(path).await.text(), "1");
        let head = cache.sidecar.ask("HEAD", path, &no_cache, "").await;
        assert_eq!((head.outcome(), head.body.len()), (outcome, 0), "{path}");
        let hit = cache.get(path).await;
        assert_eq!((hit.outcome(), &*hit.text()), ("hit", text), "{path}");
        let is_freshened = hit.header("x-anew") == Some("1");
        assert_eq!(is_freshened, path == "/holds");
    }
    let asked = cache.origin.asked();
    assert!(asked.iter().all(|asked| asked.method == "GET"));
}

/// Where a rule may not be used, its key is not known, or another's: what is kept stays as it is.
#[tokio::test]
async fn a_head_that_passes_by_what_is_kept_changes_nothing_about_it() {
    let cache = Cache::before(|asked, nth| {
        let lines = [
            ("cache-control", "max-age=3600"),
            ("etag", &*format!("\"{nth}\"")),
        ];
        let mut reply = numbered(200, nth, &owned(&lines));
        if asked.method == "HEAD" {
            reply.body.clear();
        }
        reply
    })
    .await;
    cache.get("/a").await;
    let rerouted = [("x-original-url", "/b")];
    let head = cache.sidecar.ask("HEAD", "/a", &rerouted, "").await;
    assert_eq!(head.outcome(), "bypass");
    assert_eq!(cache.origin.last().method, "HEAD");
    let hit = cache.get("/a").await;
    assert_eq!((hit.outcome(), hit.header("etag")), ("hit", Some("\"1\"")));
}

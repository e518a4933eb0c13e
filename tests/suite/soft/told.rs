use super::*;
use crate::world::{Asked, Reply};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU16, Ordering::SeqCst};

/// A register whose answers bear a header, and whose `GET` is answered with a status of one's choice.
async fn register(header: (&'static str, &'static str)) -> (Origin, Arc<AtomicU16>) {
    let (value, status) = (Arc::new(AtomicI64::new(0)), Arc::new(AtomicU16::new(200)));
    let now = status.clone();
    let origin = Origin::start(move |asked: Asked| {
        let is_read = asked.method == "GET";
        let n = value.fetch_add(i64::from(!is_read), SeqCst) + i64::from(!is_read);
        let status = if is_read { now.load(SeqCst) } else { 200 };
        async move {
            let text = format!("{{\"n\": {n}}}");
            Reply::of(status, "application/json", text).header(header.0, header.1)
        }
    })
    .await;
    (origin, status)
}

async fn in_memory(origin: &Origin, rules: &str) -> Sidecar {
    let sidecar = Sidecar::start(origin, "memory:", rules).await;
    kept(&sidecar).await;
    sidecar
}

async fn is_new_at_once(sidecar: &Sidecar, n: i64) {
    let got = sidecar.get(THING).await;
    assert_eq!((got.status, got.n(), got.outcome()), (200, n, "miss"));
}

#[tokio::test]
async fn nothing_is_served_after_a_soft_drop_that_its_origin_forbids_to_serve_stale() {
    let by_origin = rules(LONG).replace("\"5m\"", "\"origin\"");
    for line in [
        "max-age=60, must-revalidate",
        "s-maxage=60",
        "max-age=60, proxy-revalidate",
    ] {
        for rules in [&by_origin, &rules(LONG)] {
            let (origin, _) = register(("cache-control", line)).await;
            let sidecar = in_memory(&origin, rules).await;
            let n = write(&sidecar, "count").await;
            is_new_at_once(&sidecar, n).await;
        }
    }
}

#[tokio::test]
async fn where_the_origin_decides_its_own_window_counts_and_what_the_client_asks() {
    let rules = rules(LONG)
        .replace("\"5m\"", "\"origin\"")
        .replace("stale_while_revalidate = \"10m\"\n", "");
    let line = "max-age=60, stale-while-revalidate=600";
    let (origin, _) = register(("cache-control", line)).await;
    let sidecar = in_memory(&origin, &rules).await;
    for line in ["max-age=600", "no-cache", "max-stale=600, max-age=600"] {
        let n = write(&sidecar, "count").await;
        let got = sidecar.get_with(THING, &[("cache-control", line)]).await;
        assert_eq!((got.n(), got.outcome()), (n, "miss"), "{line}");
        let got = kept(&sidecar).await;
        assert_eq!(got.n(), n);
    }
    let n = write(&sidecar, "count").await;
    let got = sidecar.get(THING).await;
    assert_eq!((got.n(), got.outcome()), (n - 1, "stale"));
}

#[tokio::test]
async fn what_was_softly_dropped_is_not_validated() {
    let (origin, _) = register(("etag", "\"always\"")).await;
    let sidecar = in_memory(&origin, &rules(LONG)).await;
    let n = write(&sidecar, "count").await;
    newer(&sidecar, n).await;
    let short = in_memory(&origin, &rules("0s")).await;
    let n = write(&short, "count").await;
    is_new_at_once(&short, n).await;
    let asked = origin.asked();
    assert!(
        asked
            .iter()
            .all(|asked| asked.header("if-none-match").is_none())
    );
}

#[tokio::test]
async fn what_was_softly_dropped_does_not_stand_in_for_an_error() {
    let if_error = rules("0s").replace("public", "stale_if_error = \"10m\"\npublic");
    let (origin, status) = register(("x-a", "b")).await;
    let sidecar = in_memory(&origin, &if_error).await;
    write(&sidecar, "count").await;
    status.store(503, SeqCst);
    assert_eq!(sidecar.get(THING).await.status, 503);
}

#[tokio::test]
async fn of_two_sets_the_one_that_drops_for_good_has_its_way() {
    let both = rules(LONG).replace("PATCH /api/change/{id}", "PATCH /api/count/{id}");
    let origin = Origin::register().await;
    let sidecar = in_memory(&origin, &both).await;
    let n = write(&sidecar, "count").await;
    is_new_at_once(&sidecar, n).await;
    let wider = both.replace(
        "drop = [\"things:{id}\"]\nsoft",
        "drop = [\"things:*\"]\nsoft",
    );
    assert_ne!(wider, both);
    let sidecar = in_memory(&origin, &wider).await;
    let n = write(&sidecar, "count").await;
    is_new_at_once(&sidecar, n).await;
}

#[tokio::test]
async fn a_write_to_the_path_itself_is_left_to_the_set_that_is_soft() {
    let own = rules(LONG).replace("/api/count/", "/api/thing/");
    let origin = Origin::register().await;
    let sidecar = in_memory(&origin, &own).await;
    let n = sidecar.ask("PATCH", THING, &[], "").await.n();
    let got = sidecar.get(THING).await;
    assert_eq!((got.n(), got.outcome()), (n - 1, "stale"));
    newer(&sidecar, n).await;
    let n = sidecar.ask("DELETE", THING, &[], "").await.n();
    is_new_at_once(&sidecar, n).await; // no set names it
}

#[tokio::test]
async fn who_is_known_by_an_unverified_token_is_served_nothing_after_a_soft_drop() {
    let personal = rules(LONG)
        .replace("public = true\n", "")
        .replace("key = \"things:{id}\"", "key = \"things:{id}:{token}\"")
        .replace("drop = [\"things:{id}\"]", "drop = [\"things:{id}:*\"]")
        + "[identity]\ntoken = [\"header:authorization\"]\n";
    let origin = Origin::register().await;
    let sidecar = Sidecar::start(&origin, "memory:", &personal).await;
    let mine = [("authorization", "abc")];
    sidecar.get_with(THING, &mine).await;
    assert_eq!(sidecar.get_with(THING, &mine).await.outcome(), "hit");
    let n = write(&sidecar, "count").await;
    let got = sidecar.get_with(THING, &mine).await;
    assert_eq!((got.n(), got.outcome()), (n, "miss"));
}

#[tokio::test]
async fn beside_sidecars_with_other_rules_a_soft_drop_is_a_drop() {
    let pair = Pair::start(LONG).await;
    let other = rules(LONG).replace("soft = true\n", "");
    let three = Sidecar::start(&pair.origin, &pair.redis.url(), &other).await;
    kept(&three).await;
    let n = write(&pair.one, "count").await;
    for sidecar in [&three, &pair.two, &pair.one] {
        assert_eq!(sidecar.get(THING).await.n(), n);
    }
}

#[tokio::test]
async fn a_refresh_that_fails_leaves_the_old_answer_to_its_window_and_no_longer() {
    let (origin, status) = register(("x-a", "b")).await;
    let sidecar = in_memory(&origin, &rules("400ms")).await;
    write(&sidecar, "count").await;
    status.store(503, SeqCst);
    eventually("the origin's error is passed on", async || {
        let got = sidecar.get(THING).await;
        assert!(got.status == 503 || got.outcome() == "stale");
        got.status == 503
    })
    .await;
}

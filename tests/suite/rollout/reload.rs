//! In one process: requests under way finish with the rules that they began with.

use super::*;
use crate::local_ttl::{THING, from_memory, hears};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::SeqCst};
use tokio::sync::Semaphore;

/// [`Origin::register`] whose slow requests wait for leave: after a read has its answer, before a write
/// commits.
async fn slow_register() -> (Origin, Arc<Semaphore>) {
    let (value, leave) = (Arc::new(AtomicI64::new(0)), Arc::new(Semaphore::new(0)));
    let given = leave.clone();
    let origin = Origin::start(move |asked: Asked| {
        let (value, leave) = (value.clone(), given.clone());
        async move {
            let is_slow = asked.target.ends_with("/slow");
            let read = value.load(SeqCst);
            if is_slow {
                let _leave = leave.acquire().await.expect("never closed");
            }
            if asked.method != "GET" {
                value.fetch_add(1, SeqCst);
                return Reply::json("{}");
            }
            Reply::json(format!("{{\"n\": {read}}}"))
        }
    })
    .await;
    (origin, leave)
}

async fn in_both_places(check: impl AsyncFn(&str)) {
    check("memory:").await;
    let redis = RedisServer::start();
    check(&redis.url()).await;
}

#[tokio::test]
async fn a_write_that_outlives_its_rules_drops_what_the_new_ones_keep() {
    in_both_places(async |url| {
        let (origin, leave) = slow_register().await;
        let sidecar = Sidecar::start(&origin, url, &dropping("things:details:*")).await;
        cached(&sidecar, "/api/thing/slower").await;
        for target in ["/api/change/slow", "/api/unnamed/slow"] {
            let asked = origin.count();
            let address = sidecar.address();
            let write =
                tokio::spawn(
                    async move { crate::world::ask(address, "PATCH", target, &[], "").await },
                );
            eventually("the write is at the origin", async || {
                origin.count() > asked
            })
            .await;
            let rules = match target.contains("unnamed") {
                true => dropping("things:details:*"),
                false => dropping("things:details:{id}\", \"things:*"),
            };
            let file = head(origin.address, url).replace("[store]", "[store]\ntimeout = \"20s\"");
            sidecar.reload(&format!("{file}{rules}")).expect("reloads");
            let before = cached(&sidecar, "/api/thing/1").await;
            leave.add_permits(1);
            assert_eq!(write.await.expect("no panic").status, 200);
            assert_eq!(
                sidecar.get("/api/thing/1").await.n(),
                before + 1,
                "{target} {url}"
            );
            leave.forget_permits(1);
        }
    })
    .await;
}

#[tokio::test]
async fn a_fill_that_outlives_its_rules_keeps_nothing_for_the_new_ones() {
    in_both_places(async |url| {
        let (origin, leave) = slow_register().await;
        let unnamed = REGISTER_RULES
            .split("[[invalidate]]")
            .next()
            .expect("a rule");
        let sidecar = Sidecar::start(&origin, url, unnamed).await;
        let address = sidecar.address();
        let fill = tokio::spawn(async move {
            crate::world::ask(address, "GET", "/api/thing/slow", &[], "").await
        });
        eventually("the fill is at the origin", async || origin.count() > 0).await;
        let file = head(origin.address, url).replace("[store]", "[store]\ntimeout = \"20s\"");
        sidecar
            .reload(&format!("{file}{REGISTER_RULES}"))
            .expect("reloads");
        sidecar.ask("PATCH", "/api/change/1", &[], "").await;
        leave.add_permits(9);
        assert_eq!(fill.await.expect("no panic").n(), 0);
        assert_eq!(sidecar.get("/api/thing/slow").await.n(), 1, "{url}");
    })
    .await;
}

#[tokio::test]
async fn what_was_kept_before_its_drops_were_known_is_not_served_once_they_are() {
    in_both_places(async |url| {
        let origin = Origin::register().await;
        let often = |rules: &str| rules.replace("public", "local_ttl = \"1m\"\npublic");
        let before = often(&dropping("things:details:9"));
        let sidecar = Sidecar::start(&origin, url, &before).await;
        let targets = ["/api/thing/1", "/api/thing/2", "/api/thing/3"];
        for target in targets {
            cached(&sidecar, target).await;
        }
        sidecar.ask("PATCH", "/api/change/2", &[], "").await;
        for target in targets {
            cached(&sidecar, target).await; // these rules know of no reason why not
        }
        let file = head(origin.address, url).replace("[store]", "[store]\ntimeout = \"20s\"");
        let after = often(REGISTER_RULES);
        sidecar.reload(&format!("{file}{after}")).expect("reloads");
        for target in targets {
            let got = sidecar.get(target).await;
            assert_eq!((got.outcome(), got.n()), ("miss", 1), "{target} {url}");
        }
    })
    .await;
}

/// Also where it would be asked of nobody: this process itself saw that its versions are the present ones,
/// as the rules from before see them.
#[tokio::test]
async fn nor_from_a_memory_that_vouches_for_it() {
    // The hits of a rule that fetches ahead of time, if ever, take another way to the same memory.
    for more in ["", "refresh_ahead = 0.001\n"] {
        let (origin, redis) = (Origin::register().await, RedisServer::start());
        let url = &redis.url();
        let local = |rules: &str| {
            let settings = format!("local_ttl = \"1m\"\n{more}public");
            rules.replace("public", &settings)
        };
        // The same nodes by other rules, to which the write that follows is none.
        let before = local(&REGISTER_RULES.replace("PATCH", "DELETE"));
        let sidecar = Sidecar::start(&origin, url, &before).await;
        hears(&sidecar, true).await;
        from_memory(&sidecar, &redis).await;
        sidecar.ask("PATCH", "/api/change/1", &[], "").await;
        let kept = from_memory(&sidecar, &redis).await;
        assert_eq!(kept.n(), 0, "these rules know of no reason why not");
        let file = head(origin.address, url).replace("[store]", "[store]\ntimeout = \"20s\"");
        let after = local(REGISTER_RULES);
        sidecar.reload(&format!("{file}{after}")).expect("reloads");
        sidecar.get("/api/thing/2").await; // teaches what answers vary by, or each hit would ask for that
        let got = sidecar.get(THING).await;
        assert_eq!((got.outcome(), got.n()), ("miss", 1), "{more}");
    }
}

#[tokio::test]
async fn a_reload_that_changes_no_layout_keeps_everything() {
    in_both_places(async |url| {
        let origin = Origin::register().await;
        let sidecar = Sidecar::start(&origin, url, REGISTER_RULES).await;
        cached(&sidecar, "/api/thing/1").await;
        let file = head(origin.address, url).replace("[store]", "[store]\ntimeout = \"20s\"");
        let longer = REGISTER_RULES.replace("5m", "6m");
        sidecar.reload(&format!("{file}{longer}")).expect("reloads");
        sidecar.ask("PATCH", "/api/change/2", &[], "").await;
        assert_eq!(sidecar.get("/api/thing/1").await.outcome(), "hit");
    })
    .await;
}

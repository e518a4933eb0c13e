use super::document::{TAGGED, TEXT, cache, document};
use super::world::{Cache, Lines, owned};
use crate::world::{Asked, Origin, Reply, eventually};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use tokio::sync::Semaphore;

#[tokio::test]
async fn a_write_parts_what_was_before_it_from_what_comes_after() {
    let cache = cache(TAGGED).await; // an origin that forgets to change its tag
    cache.range("bytes=0-9").await;
    assert!(cache.holds(0..=9).await);
    cache.sidecar.ask("POST", "/a", &[], "x").await;
    assert!(!cache.holds(0..=9).await);
    cache.range("bytes=10-").await;
    assert!(cache.holds(10..=19).await && !cache.holds(0..=9).await);
    cache.sidecar.ask("POST", "/a", &[], "x").await;
    cache.get("/a").await;
    assert_eq!(cache.origin.last().header("range"), None);
}

/// An origin that has changed by the time a write is answered, and whose tag has not. It holds back
/// what it says of the range that begins with the tenth byte until it is let go.
async fn held_back() -> (Cache, Arc<Semaphore>) {
    let (gate, written) = (
        Arc::new(Semaphore::new(0)),
        Arc::new(AtomicBool::new(false)),
    );
    let waits = gate.clone();
    let origin = Origin::start(move |asked: Asked| {
        let (gate, written) = (waits.clone(), written.clone());
        async move {
            if asked.method == "POST" {
                written.store(true, SeqCst);
                return Reply::of(200, "text/plain", "done");
            }
            let text = match written.load(SeqCst) {
                false => TEXT.to_owned(),
                true => TEXT.to_lowercase(),
            };
            let reply = document(&asked, &text, &owned(TAGGED));
            if asked.header("range") == Some("bytes=10-") {
                gate.acquire().await.expect("never closed").forget();
            }
            reply
        }
    })
    .await;
    let sidecar = Cache::sidecar(&origin, |text| text).await;
    (Cache { origin, sidecar }, gate)
}

#[tokio::test]
async fn what_a_write_overtook_is_joined_to_nothing() {
    let completing: Lines = &[];
    let ranging: Lines = &[("range", "bytes=10-")];
    for lines in [completing, ranging] {
        let (cache, gate) = held_back().await;
        cache.range("bytes=0-9").await;
        let write = async {
            eventually("the rest is asked for", async || cache.origin.count() == 2).await;
            cache.sidecar.ask("POST", "/a", &[], "x").await;
            // After it: nothing of what was kept or is on its way.
            let first = cache.range("bytes=0-9").await;
            assert_eq!(first.outcome(), "miss");
            gate.add_permits(1);
        };
        let (overtaken, ()) = tokio::join!(cache.get_with("/a", lines), write);
        assert!(overtaken.text().ends_with("ABCDEFGHIJ"), "it began before");
        gate.add_permits(1);
        let whole = cache.get("/a").await;
        assert_eq!(whole.text(), TEXT.to_lowercase(), "{lines:?}");
        let part = cache.range("bytes=10-").await;
        assert_eq!(part.text(), "abcdefghij");
    }
}

#[tokio::test]
async fn a_part_never_takes_the_place_of_a_whole_that_came_meanwhile() {
    let (cache, gate) = held_back().await;
    let whole = async {
        eventually("the range is asked for", async || cache.origin.count() == 1).await;
        assert_eq!(cache.get("/a").await.text(), TEXT);
        gate.add_permits(1);
    };
    let (part, ()) = tokio::join!(cache.range("bytes=10-"), whole);
    assert_eq!(part.text(), "ABCDEFGHIJ");
    assert_eq!(cache.get("/a").await.outcome(), "hit");
    assert_eq!(cache.origin.count(), 2);
}

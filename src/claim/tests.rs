use super::*;
use crate::digest::Digest;
use crate::metrics::Metrics;
use crate::rules::settings::{
    Compress, Failover, LocalSettings, OnDown, StoreSettings, StoreTls, StoreUrl,
};
use crate::store::{Opening, Root};
use bytes::Bytes;
use hyper::{HeaderMap, StatusCode};
use std::sync::Arc;

const BINDING: Digest = Digest([1; 16]);

fn memory() -> Store {
    let settings = StoreSettings {
        url: StoreUrl::Memory,
        timeout: Duration::from_secs(1),
        max_entry: 1024,
        compress: Compress::Lz4,
        seal: None,
        tls: StoreTls::default(),
        write_lease: Duration::from_secs(35),
        on_down: OnDown::Forward,
        failover: Failover::Drop,
        journal: None,
        budget: None,
    };
    let opening = Opening {
        settings: &settings,
        local: &LocalSettings { max: 1024 },
        node_ttl: Duration::from_secs(60),
        namespace: "ns",
        root: Root::new("ns:*".into(), Digest([0; 16])),
        channel: "ns:!drops".into(),
        clock: Default::default(),
        metrics: Arc::new(Metrics::new()),
    };
    Store::open(opening).expect("memory opens")
}

fn claim(tasks: &TaskTracker) -> Claim {
    Claim {
        store: memory(),
        tasks: tasks.clone(),
        lock: lock_name("ns:a", BINDING, &[[2; 16]]),
        renewal: None,
    }
}

fn entry(ttl: Duration) -> Entry {
    Entry {
        binding: BINDING,
        versions: vec![[2; 16]],
        groups: Vec::new(),
        kept_at: 0,
        ttl: ttl.as_millis() as u64,
        stale: Default::default(),
        initial_age: 0,
        took: 0,
        status: StatusCode::OK,
        headers: HeaderMap::new(),
        body: Bytes::new(),
    }
}

/// What a claim has the store told, and whether it is still renewed, after `ending` it.
async fn told(ending: impl AsyncFnOnce(Claim)) -> (usize, bool) {
    let tasks = TaskTracker::new();
    let claim = claim(&tasks).renewed();
    let renewal = claim.renewal.as_ref().map(JoinHandle::abort_handle);
    ending(claim).await;
    let told = tasks.len(); // they have not had a chance to run yet
    tokio::task::yield_now().await;
    (told, renewal.is_some_and(|renewal| !renewal.is_finished()))
}

#[tokio::test]
async fn a_claim_that_is_dropped_is_released_and_renewed_no_more() {
    assert_eq!(told(async |claim| drop(claim)).await, (1, false));
}

#[tokio::test]
async fn a_claim_whose_answer_is_kept_lingers_and_is_not_released_beside_that() {
    let kept = told(async |claim| claim.kept("ns:a", &entry(LIFE), &[[2; 16]]).await).await;
    assert_eq!(kept, (0, false));
}

#[tokio::test]
async fn a_claim_whose_answer_is_kept_elsewhere_is_released() {
    let variant =
        told(async |claim| claim.kept("ns:a#variant", &entry(LIFE), &[[2; 16]]).await).await;
    assert_eq!(variant, (1, false));
    let wider = Entry {
        binding: Digest([9; 16]),
        ..entry(LIFE)
    };
    let headers_more = told(async |claim| claim.kept("ns:a", &wider, &[[2; 16]]).await).await;
    assert_eq!(headers_more, (1, false));
}

#[tokio::test]
async fn a_claim_whose_answer_is_not_keepable_says_so_and_is_not_released_beside_that() {
    assert_eq!(told(async |claim| claim.restless()).await, (1, false));
}

#[tokio::test]
async fn a_claim_that_was_not_had_is_not_released() {
    let lost = async |mut claim: Claim| drop(claim.settle());
    assert_eq!(told(lost).await, (0, false));
}

#[test]
fn a_claim_has_a_name_that_nothing_else_has() {
    let name = |key, binding, versions: &[Version]| lock_name(key, Digest([binding; 16]), versions);
    let names = [
        name("ns:a", 1, &[[2; 16]]),
        name("ns:a", 1, &[[3; 16]]),
        name("ns:a", 1, &[[2; 16], [3; 16]]),
        name("ns:a", 4, &[[2; 16]]),
        name("ns:a#5", 1, &[[2; 16]]),
    ];
    for (at, one) in names.iter().enumerate() {
        assert!(names[at + 1..].iter().all(|other| other != one), "{one}");
        let (_, digest) = one.rsplit_once('!').expect("a mark");
        // `ns:a!` and `ns:a!!` are an exact node and its intents, `ns:!vary:…` is a marker.
        assert!(digest.len() == 32 && digest.bytes().all(|byte| byte.is_ascii_hexdigit()));
    }
}

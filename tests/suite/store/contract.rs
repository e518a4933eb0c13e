//! Promises of every store: each is checked of memory, of Redis, and of Redis with sealed values.

use super::*;
use sidecache::store::{Bumped, Window};

/// Runs one check against all of them.
async fn everywhere(check: impl AsyncFn(&Store)) {
    let memory = open_with(&settings(StoreUrl::Memory), Arc::new(Metrics::new()));
    assert!(memory.connected().await && memory.up());
    check(&memory).await;
    let redis = RedisServer::start();
    let store = connected(&redis).await;
    check(&store).await;
    store.close().await;
    let redis = RedisServer::start();
    let store = sealed(&redis).await;
    check(&store).await;
    store.close().await;
}

#[tokio::test]
async fn an_empty_store_finds_nothing() {
    everywhere(async |store| {
        let look = store
            .look(with_marker(&nodes(), "clinic:marker"))
            .await
            .expect("up");
        assert!(look.entry.is_none() && look.marker.is_none());
        assert_eq!(look.versions, [None, None]);
    })
    .await;
}

#[tokio::test]
async fn what_was_kept_under_a_snapshot_is_found_with_it() {
    everywhere(async |store| {
        let kept = fill(store, "body").await;
        for _ in 0..3 {
            let look = look(store).await;
            assert_eq!(look.entry.as_deref(), Some(&*kept));
            assert_eq!(served(&look).as_deref(), Some(&b"body"[..]));
        }
    })
    .await;
}

#[tokio::test]
async fn snapshots_agree_until_a_node_is_dropped() {
    everywhere(async |store| {
        let first = store.snapshot(&nodes()).await.expect("up");
        assert_ne!(first[0], first[1]);
        assert_eq!(store.snapshot(&nodes()).await.expect("up"), first);
        assert_eq!(store.bump(&nodes()[1..]).await, Bumped::Done);
        let second = store.snapshot(&nodes()).await.expect("up");
        assert_eq!(second[0], first[0]);
        assert_ne!(second[1], first[1]);
    })
    .await;
}

#[tokio::test]
async fn concurrent_snapshots_agree() {
    everywhere(async |store| {
        let tasks: Vec<_> = (0..32)
            .map(|_| {
                let store = store.clone();
                tokio::spawn(async move { store.snapshot(&nodes()).await.expect("up") })
            })
            .collect();
        let mut found = Vec::new();
        for task in tasks {
            found.push(task.await.expect("no panic"));
        }
        found.dedup();
        assert_eq!(found.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_dropped_node_makes_the_entry_a_miss_also_after_it_is_created_again() {
    everywhere(async |store| {
        fill(store, "old").await;
        assert!(served(&look(store).await).is_some());
        assert_eq!(store.bump(&nodes()[..1]).await, Bumped::Done);
        assert_eq!(look(store).await.versions[0], None);
        assert_eq!(served(&look(store).await), None);
        store.snapshot(&nodes()).await.expect("up");
        assert_eq!(served(&look(store).await), None);
        fill(store, "new").await;
        assert_eq!(served(&look(store).await).as_deref(), Some(&b"new"[..]));
    })
    .await;
}

#[tokio::test]
async fn a_fill_that_raced_a_write_is_dead_on_arrival() {
    everywhere(async |store| {
        let snapshot = store.snapshot(&nodes()).await.expect("up");
        assert_eq!(store.bump(&nodes()).await, Bumped::Done);
        store
            .keep(KEY, entry(snapshot, "before the write"))
            .await
            .expect("up");
        assert_eq!(served(&look(store).await), None);
        store.snapshot(&nodes()).await.expect("up");
        assert_eq!(served(&look(store).await), None);
    })
    .await;
}

#[tokio::test]
async fn a_marker_is_read_along() {
    everywhere(async |store| {
        store
            .put_marker("clinic:marker", Bytes::from_static(b"origin"))
            .await
            .expect("up");
        for _ in 0..2 {
            let look = store
                .look(with_marker(&nodes(), "clinic:marker"))
                .await
                .expect("up");
            assert_eq!(look.marker.as_deref(), Some(&b"origin"[..]));
            fill(store, "body").await;
        }
    })
    .await;
}

#[tokio::test]
async fn every_bump_counts_a_generation_and_an_empty_one_does_no_harm() {
    everywhere(async |store| {
        let before = store.generation();
        assert_eq!(store.bump(&nodes()).await, Bumped::Done);
        assert_eq!(store.bump(&[]).await, Bumped::Done);
        assert_eq!(store.generation(), before + 2);
        assert_eq!((store.owed(), store.up()), (0, true));
    })
    .await;
}

#[tokio::test]
async fn an_entry_of_no_lifetime_is_not_kept() {
    everywhere(async |store| {
        let versions = store.snapshot(&nodes()).await.expect("up");
        let entry = Entry {
            ttl: 0,
            ..Entry::clone(&entry(versions, "body"))
        };
        store.keep(KEY, Arc::new(entry)).await.expect("up");
        assert!(look(store).await.entry.is_none());
    })
    .await;
}

#[tokio::test]
async fn a_request_is_counted_by_all_of_its_windows_or_by_none() {
    everywhere(async |store| {
        let window = |name: &str, max, seconds| Window {
            name: format!("clinic:rate-limit:{name}"),
            max,
            length: Duration::from_secs(seconds),
        };
        let count = async |windows: &[Window]| {
            let counted = store.count(windows).await.expect("up");
            let used: Vec<u64> = counted.counts.iter().map(|count| count.used).collect();
            let lasts = counted.counts.iter().zip(windows);
            assert!(lasts.clone().all(|(count, window)| {
                let begun = window.length - Duration::from_secs(30);
                (begun..=window.length).contains(&count.left)
            }));
            (counted.fits, used)
        };
        let both = [window("own", 2, 60), window("shared", 3, 3600)];
        assert_eq!(count(&both).await, (true, vec![1, 1]));
        assert_eq!(count(&both).await, (true, vec![2, 2]));
        assert_eq!(count(&both).await, (false, vec![2, 2]));
        let other = [window("shared", 3, 3600), window("other", 2, 60)];
        assert_eq!(count(&other).await, (true, vec![3, 1]));
        assert_eq!(count(&other).await, (false, vec![3, 1]));
        assert_eq!(
            count(&[window("new", 1, 60), both[1].clone()]).await,
            (false, vec![0, 3])
        );
        let longer = [window("own", 4, 60), window("shared", 4, 120)];
        assert_eq!(count(&longer).await, (true, vec![3, 4]));
    })
    .await;
}

//! The root: who may use what lives under it, and who drops it.

use super::*;
use crate::redis::eventually;
use sidecache::store::{Bump, Bumped, Leased, MAX_LAYOUTS};

const ROOT: &str = "clinic:*";
const LEASE: Duration = Duration::from_secs(60);

/// The root and one node more, which only the layout of that number has.
fn under(layout: u8) -> Vec<String> {
    vec![ROOT.to_owned(), format!("clinic:node:{layout}")]
}

/// The same store as rules of two layouts use it, in memory and in Redis.
async fn both(check: impl AsyncFn(&Store, &Store)) {
    let memory = open_with(&settings(StoreUrl::Memory), Arc::new(Metrics::new()));
    check(&memory.under(root(1)), &memory.under(root(2))).await;
    let redis = RedisServer::start();
    let store = connected(&redis).await;
    check(&store.under(root(1)), &store.under(root(2))).await;
}

async fn kept(store: &Store, layout: u8) {
    let versions = store.snapshot(&under(layout)).await.expect("up");
    store.keep(KEY, entry(versions, "body")).await.expect("up");
    assert!(usable(store, layout).await);
}

async fn usable(store: &Store, layout: u8) -> bool {
    let nodes = under(layout);
    let look = store.look(sought(&nodes)).await.expect("up");
    served(&look).is_some()
}

#[tokio::test]
async fn the_root_is_absent_to_a_layout_until_it_is_entered_and_no_entry_changes_layout() {
    both(async |one, two| {
        let nodes = [ROOT.to_owned()];
        let first = one.snapshot(&nodes).await.expect("up");
        one.keep(KEY, entry(first.clone(), "body"))
            .await
            .expect("up");
        let look = async |store: &Store| store.look(sought(&nodes)).await.expect("up");
        assert_eq!(look(two).await.versions, [None]);
        let second = two.snapshot(&nodes).await.expect("up");
        assert_eq!(look(two).await.versions, [Some(second[0])]);
        assert!(
            served(&look(two).await).is_none(),
            "kept under another layout"
        );
        assert_ne!(first, second);
        assert_eq!(
            one.snapshot(&nodes).await.expect("up"),
            first,
            "its token stays"
        );
        assert!(served(&look(one).await).is_some());
    })
    .await;
}

#[tokio::test]
async fn a_bump_drops_the_root_only_where_others_are_entered() {
    both(async |one, two| {
        kept(one, 1).await;
        assert_eq!(one.bump(&["clinic:node:7".into()]).await, Bumped::Done);
        assert_eq!(one.bump_others().await, Bumped::Done);
        assert!(usable(one, 1).await);
        assert_eq!(
            two.bump(&["clinic:node:2".into()]).await,
            Bumped::Everything
        );
        assert!(!usable(one, 1).await);
        kept(one, 1).await;
        assert_eq!(two.bump_others().await, Bumped::Everything);
        assert!(!usable(one, 1).await);
        assert_eq!(two.bump_others().await, Bumped::Done, "nobody is left");
        assert_eq!(two.bump(&[ROOT.to_owned()]).await, Bumped::Done);
    })
    .await;
}

#[tokio::test]
async fn settling_drops_what_others_keep_if_it_drops_anything() {
    let redis = RedisServer::start();
    let one = connected(&redis).await;
    let two = one.under(root(2));
    let nodes = ["clinic:node:2".to_owned()];
    for unknown in [false, true] {
        kept(&one, 1).await;
        let lease = two.lease(&nodes, LEASE).await;
        assert!(matches!(lease, Leased::Granted(_)));
        assert_eq!(
            two.settle(lease, Bump::default(), false).await,
            Bumped::Done,
            "refused"
        );
        assert!(usable(&one, 1).await);
        let lease = two.lease(&nodes, LEASE).await;
        assert_eq!(
            two.settle(lease, Bump::hard(nodes.clone()), unknown).await,
            Bumped::Everything
        );
        assert!(!usable(&one, 1).await);
    }
    kept(&one, 1).await;
    let before = redis.say(&format!("GET {ROOT}"));
    let lease = one.lease(&under(1)[1..], LEASE).await;
    assert_eq!(
        one.settle(lease, Bump::hard(&under(1)[1..]), false).await,
        Bumped::Done
    );
    assert_eq!(redis.say(&format!("GET {ROOT}")), before);
}

#[tokio::test]
async fn a_write_whose_sidecar_dies_ends_what_others_keep_too() {
    let redis = RedisServer::start();
    let one = connected(&redis).await;
    let two = one.under(root(2));
    let nodes = ["clinic:node:2".to_owned()];
    kept(&one, 1).await;
    let refused = two.lease(&nodes, LEASE).await;
    assert_eq!(
        two.settle(refused, Bump::default(), false).await,
        Bumped::Done
    );
    let life = redis.say(&format!("PTTL {ROOT}"));
    assert!(life.parse::<u128>().expect("a number") > LEASE.as_millis());
    let killed = two.lease(&nodes, Duration::from_millis(400)).await;
    assert!(matches!(killed, Leased::Granted(_)) && usable(&one, 1).await);
    eventually("Redis deletes the root by itself", async || {
        !usable(&one, 1).await
    })
    .await;
    // In a fleet of one layout the root has no part in it.
    redis.say("FLUSHALL");
    kept(&one, 1).await;
    let alone = one.lease(&under(1)[1..], LEASE).await;
    assert!(matches!(alone, Leased::Granted(_)));
    assert_eq!(redis.say(&format!("EXISTS {ROOT}!")), "0");
}

#[tokio::test]
async fn a_write_without_a_lease_drops_what_others_keep() {
    let redis = RedisServer::start();
    let one = connected(&redis).await;
    let two = one.under(root(2));
    for leased in [Leased::Refused, Leased::Needless] {
        kept(&one, 1).await;
        let nodes = ["clinic:node:2".to_owned()];
        assert_eq!(
            two.settle(leased, Bump::hard(nodes.clone()), false).await,
            Bumped::Everything
        );
        assert!(!usable(&one, 1).await);
    }
}

#[tokio::test]
async fn what_is_owed_is_paid_with_the_root_where_others_are_entered() {
    let redis = RedisServer::start();
    let (one, payer) = (connected(&redis).await, connected(&redis).await);
    let two = payer.under(root(2));
    for shared in [true, false] {
        if shared {
            kept(&one, 1).await;
        } else {
            kept(&two, 2).await;
        }
        let before = redis.say(&format!("GET {ROOT}"));
        let owed = two
            .settle(Leased::Down, Bump::hard(["clinic:node:7".into()]), false)
            .await;
        assert_eq!((owed, two.owed(), two.up()), (Bumped::Owed, 1, false));
        eventually("it is paid", async || two.up()).await;
        assert_eq!(redis.say(&format!("GET {ROOT}")) == before, !shared);
        redis.say("FLUSHALL");
    }
}

#[tokio::test]
async fn a_root_that_cannot_be_dropped_is_owed() {
    let redis = RedisServer::start();
    let (one, payer) = (connected(&redis).await, connected(&redis).await);
    let two = payer.under(root(2));
    for named in [&["clinic:node:2".to_owned()][..], &[]] {
        kept(&one, 1).await;
        redis.say("ACL SETUSER default -unlink");
        let bumped = match named {
            [] => two.bump_others().await,
            named => two.bump(named).await,
        };
        assert_eq!((bumped, two.owed(), two.up()), (Bumped::Owed, 1, false));
        redis.say("ACL SETUSER default +unlink");
        eventually("it is paid", async || two.up()).await;
        assert!(!usable(&one, 1).await);
    }
}

#[tokio::test]
async fn entering_keeps_the_lifetime_and_a_full_register_begins_anew() {
    let redis = RedisServer::start();
    let store = connected(&redis).await;
    let nodes = [ROOT.to_owned()];
    let first = store.under(root(0)).snapshot(&nodes).await.expect("up");
    redis.say(&format!("PEXPIRE {ROOT} 5000000"));
    for layout in 1..MAX_LAYOUTS as u8 {
        store
            .under(root(layout))
            .snapshot(&nodes)
            .await
            .expect("up");
    }
    let left = redis.say(&format!("PTTL {ROOT}"));
    assert!((4_000_000..=5_000_000).contains(&left.parse::<u64>().expect("a number")));
    assert_eq!(redis.say(&format!("STRLEN {ROOT}")), "1040");
    let again = store.under(root(0)).snapshot(&nodes).await.expect("up");
    assert_eq!(again, first);
    store.under(root(200)).snapshot(&nodes).await.expect("up");
    assert_eq!(redis.say(&format!("STRLEN {ROOT}")), "32");
    let again = store.under(root(0)).snapshot(&nodes).await.expect("up");
    assert_ne!(again, first);
}

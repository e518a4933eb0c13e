use super::*;
use std::time::Duration;
use tokio::time::Instant;

/// So heavy, until then.
#[derive(Clone, Debug, PartialEq)]
struct Heavy(usize, Option<Instant>);

impl Held for Heavy {
    fn weight(&self) -> usize {
        self.0
    }

    fn has_ended(&self, now: &Reading) -> bool {
        self.1.is_some_and(|end| now.monotonic() >= end)
    }
}

fn heavy(bytes: usize) -> Heavy {
    Heavy(bytes, None)
}

fn tier(max: usize) -> Tier<Heavy> {
    Tier::new(max, Arc::new(Metrics::new()))
}

#[test]
fn the_tier_never_outgrows_its_bytes_and_counts_what_it_evicts() {
    let metrics = Arc::new(Metrics::new());
    let tier = Tier::new(1 << 20, metrics.clone());
    for number in 0..1000 {
        tier.put(&number.to_string(), heavy(10_000));
    }
    assert!(tier.weight() <= 1 << 20);
    let text = metrics.encode();
    assert!(text.contains(&format!("sidecache_local_bytes {}\n", tier.weight())));
    assert!(text.contains(&format!("sidecache_local_entries {}\n", tier.0.len())));
    let evicted = 1000 - tier.0.len();
    assert!(text.contains(&format!("sidecache_local_evictions_total {evicted}\n")));
}

#[test]
fn a_tier_takes_an_item_of_half_its_size_and_none_above_it() {
    let tier = tier(64 << 20);
    tier.put("fits", heavy(7 << 20));
    assert!(tier.get("fits").is_some());
    tier.put("fits", heavy(65 << 20));
    assert_eq!(tier.get("fits"), None);
    tier.put("gone", heavy(1));
    tier.remove("gone");
    assert_eq!(tier.get("gone"), None);
}

#[test]
fn a_tier_of_no_bytes_keeps_nothing() {
    let tier = tier(0);
    tier.put("key", heavy(1));
    assert_eq!(tier.get("key"), None);
}

#[test]
fn what_is_asked_for_again_stays_though_ten_times_the_tier_is_asked_for_once() {
    const MAX: usize = 16 << 20;
    const BYTES: usize = 2000;
    let tier = tier(MAX);
    let hot: Vec<String> = (0..MAX / BYTES / 2).map(|n| format!("hot:{n}")).collect();
    for key in hot.iter().chain(&hot) {
        if tier.get(key).is_none() {
            tier.put(key, heavy(BYTES));
        }
    }
    for number in 0..10 * MAX / BYTES {
        tier.put(&format!("once:{number}"), heavy(BYTES));
    }
    let stayed = hot.iter().filter(|key| tier.get(key).is_some()).count();
    assert_eq!(stayed, hot.len());
}

#[test]
fn a_lookup_allocates_nothing() {
    let tier = tier(1 << 20);
    tier.put("key", heavy(1));
    let looked = allocation_counter::measure(|| {
        assert!(tier.get("key").is_some());
        assert!(tier.get("none").is_none());
    });
    assert_eq!(looked.count_total, 0);
}

#[test]
fn the_tables_of_a_tier_take_no_more_than_is_counted_for_them() {
    let tier = tier(1 << 30);
    for number in 0..30_000 {
        tier.put(&format!("key:{number:08}"), heavy(0));
        let counted = tier.0.len() * SLOT_BYTES;
        let used = tier.0.memory_used();
        // What is reserved before there is anything does not count.
        let taken = used.entries + used.map;
        assert!(taken <= counted.max(64 << 10), "{taken} of {counted}");
    }
}

#[test]
fn an_item_counts_as_the_allocator_rounds_it_and_with_the_gaps_beside_it() {
    assert_eq!(taken(2000), 2250);
    assert_eq!(taken(65_536), 65_536 / 8 * 9);
    assert_eq!(taken(100_000), 114_688 / 8 * 9);
    assert_eq!(taken(1 << 20), (1 << 20) / 8 * 9);
    assert_eq!(taken(7 << 20), (7 << 20) + MAX_SLACK);
    assert_eq!(taken(usize::MAX), usize::MAX);
}

#[tokio::test(start_paused = true)]
async fn what_has_ended_is_swept_away_within_two_rounds_and_nothing_else_is() {
    let tier = tier(64 << 20);
    let clock = Clock::default();
    let _sweeper = tokio::spawn(tier.sweep(clock));
    let end = Instant::now() + Duration::from_secs(45);
    for number in 0..5000 {
        tier.put(&format!("ends:{number}"), Heavy(1000, Some(end)));
        tier.put(&format!("stays:{number}"), heavy(1000));
    }
    let before = tier.weight();
    tokio::time::sleep_until(end).await;
    assert_eq!(tier.weight(), before, "not before its end");
    tokio::time::sleep(2 * sweep::ROUND).await;
    assert_eq!(tier.0.len(), 5000);
    assert!((0..5000).all(|number| tier.get(&format!("stays:{number}")).is_some()));
    assert!(
        tier.weight() < before * 11 / 20,
        "{} of {before}",
        tier.weight()
    );
}

#[tokio::test(start_paused = true)]
async fn a_sweep_looks_at_few_at_a_time() {
    let tier = tier(64 << 20);
    for number in 0..10_000 {
        tier.put(&number.to_string(), Heavy(1000, Some(Instant::now())));
    }
    let _sweeper = tokio::spawn(tier.sweep(Clock::default()));
    let end = Instant::now() + 2 * sweep::ROUND;
    let mut left = tier.0.len();
    while left > 0 {
        assert!(Instant::now() < end, "{left} are left");
        tokio::time::sleep(Duration::from_millis(100)).await;
        let now_left = tier.0.len();
        assert!(left - now_left <= 1024, "{left} became {now_left}");
        left = now_left;
    }
}

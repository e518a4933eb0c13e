//! The local tier: decoded bodies in this process's memory, before Redis. It never says that an
//! entry is usable: its versions are asked of Redis, or [`known`](super::known).

use super::tier::{Held, LINGER, Tier};
use crate::clock::{Clock, Reading};
use crate::digest::Digest;
use crate::entry::{Entry, Version};
use crate::metrics::Metrics;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Entries by store key.
pub struct Local(Tier<Kept>);

/// An entry, under which layout its versions were the present ones, and when it ends whatever becomes of
/// the clock of Unix time.
#[derive(Clone)]
struct Kept {
    entry: Arc<Entry>,
    layout: Digest,
    ends: Instant,
}

impl Held for Kept {
    fn weight(&self) -> usize {
        self.entry.weight()
    }

    fn has_ended(&self, now: &Reading) -> bool {
        self.entry.expired(now.unix_ms()) || now.monotonic() >= self.ends
    }
}

impl Local {
    /// An empty tier of at most `max` bytes.
    pub fn new(max: usize, metrics: Arc<Metrics>) -> Local {
        Local(Tier::new(max, metrics))
    }

    /// The entry kept under `key`, unless its freshness is over at `now` on either clock: then a sidecar
    /// elsewhere may have kept a newer one in Redis. Setting the clock of Unix time back lengthens no
    /// lifetime, and a suspension, in which the other clock stands still, counts.
    pub fn get(&self, key: &str, now: &Reading) -> Option<Arc<Entry>> {
        self.kept(key, now).map(|kept| kept.entry)
    }

    /// The same, if it was kept under this layout. Of others' entries nothing may be believed that Redis
    /// is not asked for: what they see as the root's version, nobody else does.
    pub fn get_own(&self, key: &str, layout: &Digest, now: &Reading) -> Option<Arc<Entry>> {
        let own = self.kept(key, now).filter(|kept| kept.layout == *layout);
        own.map(|kept| kept.entry)
    }

    fn kept(&self, key: &str, now: &Reading) -> Option<Kept> {
        let kept = self.0.get(key)?;
        if kept.has_ended(now) {
            self.0.remove_if(key, |kept| kept.has_ended(now));
            return None;
        }
        Some(kept)
    }

    /// Keeps an entry that came at `now`. One that ends later than a clock can show is not kept, nor a
    /// part: in Redis another sidecar may have put the whole in its place.
    pub fn put(&self, key: &str, entry: Arc<Entry>, layout: &Digest, now: &Reading) {
        let left = entry
            .kept_at
            .saturating_add(entry.ttl)
            .saturating_sub(now.unix_ms());
        let left = Duration::from_millis(left.min(entry.ttl));
        match now.monotonic().checked_add(left) {
            Some(ends) if !entry.is_part() => {
                let layout = *layout;
                self.0.put(
                    key,
                    Kept {
                        entry,
                        layout,
                        ends,
                    },
                );
            }
            _ => self.0.remove(key),
        }
    }

    /// An entry was found to be dropped: it lingers for those who ask while another is fetched, and ends
    /// then.
    pub fn end_soon(&self, key: &str, entry: &Arc<Entry>, now: &Reading) {
        let Some(ends) = now.monotonic().checked_add(LINGER) else {
            return; // at the end of the clock
        };
        let kept = self.0.get(key);
        let is_long = |kept: &Kept| Arc::ptr_eq(&kept.entry, entry) && kept.ends > ends;
        if let Some(kept) = kept.filter(is_long) {
            self.0.replace(key, Kept { ends, ..kept });
        }
    }

    /// Forgets an entry in whose place there is a newer one in Redis, unless another has taken its place.
    pub fn forget(&self, key: &str, entry: &Arc<Entry>) {
        self.0
            .remove_if(key, |kept| Arc::ptr_eq(&kept.entry, entry));
    }

    /// See [`Tier::sweep`].
    pub fn sweep(&self, clock: Clock) -> impl Future<Output = ()> + Send + use<> {
        self.0.sweep(clock)
    }
}

/// Whether the entry was kept under exactly these versions, all present.
pub fn matches(entry: &Entry, versions: &[Option<Version>]) -> bool {
    entry.versions.len() == versions.len() && begins_with(entry, versions)
}

/// Whether these versions, all present, are the first of those that the entry was kept under.
pub fn begins_with(entry: &Entry, versions: &[Option<Version>]) -> bool {
    entry.versions.len() >= versions.len()
        && entry
            .versions
            .iter()
            .zip(versions)
            .all(|(kept, now)| Some(*kept) == *now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, simulated};
    use crate::rules::settings::Compress;
    use bytes::Bytes;
    use hyper::header::HeaderValue;
    use hyper::{HeaderMap, StatusCode};

    const LAYOUT: Digest = Digest([1; 16]);

    fn entry(kept_at: u64, ttl: u64) -> Arc<Entry> {
        Arc::new(Entry {
            binding: Digest([7; 16]),
            versions: Vec::new(),
            groups: Vec::new(),
            kept_at,
            ttl,
            stale: Default::default(),
            initial_age: 0,
            took: 0,
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            body: Bytes::new(),
        })
    }

    fn tier() -> (Local, simulated::Clock, Clock) {
        let local = Local::new(1 << 20, Arc::new(Metrics::new()));
        let machine = simulated::Clock::right();
        (local, machine.clone(), machine.into())
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_is_set_back_lengthens_no_lifetime() {
        let (local, machine, clock) = tier();
        let now = clock.reading();
        local.put("key", entry(now.unix_ms() - 2000, 5000), &LAYOUT, &now);
        machine.set_ahead_ms(-30_000);
        tokio::time::advance(Duration::from_millis(2999)).await;
        assert!(local.get("key", &clock.reading()).is_some());
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(local.get("key", &clock.reading()).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn an_entry_that_claims_to_come_from_the_future_lives_for_its_ttl_at_most() {
        let (local, _, clock) = tier();
        let now = clock.reading();
        local.put("key", entry(now.unix_ms() + 30_000, 5000), &LAYOUT, &now);
        tokio::time::advance(Duration::from_millis(5000)).await;
        assert!(local.get("key", &clock.reading()).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_suspension_counts_although_the_monotonic_clock_stood_still() {
        let (local, machine, clock) = tier();
        let now = clock.reading();
        local.put("key", entry(now.unix_ms(), 5000), &LAYOUT, &now);
        machine.set_ahead_ms(5000);
        assert!(local.get("key", &clock.reading()).is_none());
        machine.set_ahead_ms(0);
        assert!(local.get("key", &clock.reading()).is_none(), "for good");
    }

    #[tokio::test(start_paused = true)]
    async fn an_entry_is_forgotten_unless_another_took_its_place() {
        let (local, _, clock) = tier();
        let now = clock.reading();
        let [old, new] = [(); 2].map(|()| entry(now.unix_ms(), 5000));
        local.put("key", new.clone(), &LAYOUT, &now);
        local.forget("key", &old);
        assert!(local.get("key", &now).is_some());
        local.forget("key", &new);
        assert!(local.get("key", &now).is_none());
        assert_eq!(local.0.weight(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn an_entry_is_the_own_one_of_the_layout_that_it_was_kept_under_last() {
        let (local, _, clock) = tier();
        let (now, other) = (clock.reading(), Digest([2; 16]));
        local.put("key", entry(now.unix_ms(), 5000), &LAYOUT, &now);
        assert!(local.get_own("key", &LAYOUT, &now).is_some());
        assert!(local.get_own("key", &other, &now).is_none());
        assert!(local.get("key", &now).is_some(), "its body is the same");
        local.put("key", entry(now.unix_ms(), 5000), &other, &now);
        assert!(local.get_own("key", &LAYOUT, &now).is_none());
        assert!(local.get_own("key", &other, &now).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_dropped_entry_lingers_and_gives_its_memory_back_long_before_its_end() {
        let (local, _, clock) = tier();
        let _sweeper = tokio::spawn(local.sweep(clock.clone()));
        let now = clock.reading();
        let [kept, other] = [(); 2].map(|()| entry(now.unix_ms(), 3_600_000));
        local.put("key", kept.clone(), &LAYOUT, &now);
        local.end_soon("key", &other, &now);
        tokio::time::sleep(LINGER).await;
        local.end_soon("key", &kept, &clock.reading());
        tokio::time::sleep(LINGER - Duration::from_millis(1)).await;
        local.end_soon("key", &kept, &clock.reading()); // lengthens nothing
        assert!(local.get("key", &clock.reading()).is_some());
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(local.0.weight(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn what_nobody_asks_for_gives_its_memory_back_after_its_end() {
        let (local, _, clock) = tier();
        let _sweeper = tokio::spawn(local.sweep(clock.clone()));
        let now = clock.reading();
        local.put("key", entry(now.unix_ms(), 5000), &LAYOUT, &now);
        assert!(local.0.weight() > 0);
        tokio::time::sleep(Duration::from_secs(65)).await;
        assert_eq!(local.0.weight(), 0);
    }

    /// An entry as it comes from Redis or from a fill, with the headers of many a JSON backend.
    fn usual(body: usize) -> Entry {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("content-type", "application/json; charset=utf-8"),
            ("etag", "W/\"7d2-9f1c0dHkq4aBc3xYzPqRsTuVwXy\""),
            ("date", "Sun, 22 Nov 2026 12:00:00 GMT"),
            ("vary", "Origin, Accept-Encoding"),
            ("x-powered-by", "Express"),
            ("x-content-type-options", "nosniff"),
            ("access-control-allow-origin", "https://clinic.example"),
            ("access-control-allow-credentials", "true"),
        ] {
            headers.append(name, HeaderValue::from_static(value));
        }
        let entry = Entry {
            versions: vec![[1; 16]; 3],
            headers,
            body: vec![b'x'; body].into(),
            ..Arc::unwrap_or_clone(entry(Clock::default().now_ms(), 60_000))
        };
        let encoded = entry.encode(Compress::None);
        Entry::decode(&encoded).expect("decodes")
    }

    /// What the tier says that it holds, and what the allocator says, with so many of these.
    fn held(count: usize, body: usize) -> (u64, u64) {
        let local = Local::new(1 << 30, Arc::new(Metrics::new()));
        let now = Clock::default().reading();
        let allocated = allocation_counter::measure(|| {
            for number in 0..count {
                let entry = Arc::new(usual(body));
                drop((entry.headers.clone(), entry.body.clone())); // it was served
                let key = format!("clinic:v3:doctors:list:city=Berlin&page={number:08}");
                local.put(&key, entry, &LAYOUT, &now);
            }
        });
        let held = u64::try_from(allocated.bytes_current).expect("nothing was freed before");
        (local.0.weight(), held)
    }

    #[tokio::test]
    async fn what_the_tier_says_that_it_holds_is_what_the_allocator_gave() {
        for (count, body) in [(4000, 200), (4000, 2048), (40, 100_000), (4, 1 << 20)] {
            let (weight, allocated) = held(count, body);
            assert!(weight >= allocated, "{body}: {weight} for {allocated}");
            assert!(
                weight <= allocated / 20 * 27,
                "{body}: {weight} for {allocated}"
            );
        }
    }
}

//! Bytes that nobody would write, from clients and from the origin: mutations of valid messages,
//! through real sockets. Nothing panics, nothing hangs, memory stays flat, and no byte of one message is ever taken
//! for part of another. `SIDECACHE_FUZZ_SECONDS` makes it longer, `SIDECACHE_FUZZ_SEED`
//! draws other damage.

mod from_clients;
mod from_the_origin;
mod mutate;
mod strict;

use crate::chaos::Dice;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

/// In CI; two such runs stand side by side.
const USUAL_SECONDS: u64 = 20;

/// In CI always the same: what is new is found by longer runs, whose seeds are chosen.
const USUAL_SEED: u64 = 1;

/// What a run may add to this process's memory once it is warm: connections and pools come and go
/// with the draws, what leaks grows with the cases.
const MAX_GROWTH: usize = 48 << 20;

/// Cases after which the process is warm.
const WARM_AFTER: u64 = 300;

/// A run: its seed, how far it is, and what may not happen in it.
struct Run {
    seed: u64,
    until: Instant,
    cases: u64,
    panics: Arc<AtomicUsize>,
    warm_bytes: usize,
}

impl Run {
    fn begin(name: &str) -> Run {
        let number = |variable: &str| {
            std::env::var(variable)
                .ok()
                .and_then(|text| text.parse().ok())
        };
        let seed = number("SIDECACHE_FUZZ_SEED").unwrap_or(USUAL_SEED);
        let seconds = number("SIDECACHE_FUZZ_SECONDS").unwrap_or(USUAL_SECONDS);
        println!("{name}: SIDECACHE_FUZZ_SEED={seed}, {seconds} s");
        let panics = Arc::new(AtomicUsize::new(0));
        let (counted, usual) = (panics.clone(), std::panic::take_hook());
        std::panic::set_hook(Box::new(move |panic| {
            counted.fetch_add(1, SeqCst);
            usual(panic);
        }));
        Run {
            seed,
            until: Instant::now() + Duration::from_secs(seconds),
            cases: 0,
            panics,
            warm_bytes: 0,
        }
    }

    /// The draws of the next case; `None` where the time is over.
    fn next(&mut self) -> Option<Dice> {
        assert_eq!(self.panics.load(SeqCst), 0, "a panic, after {self}");
        if self.cases == WARM_AFTER {
            self.warm_bytes = resident_bytes();
        }
        self.cases += 1;
        (Instant::now() < self.until).then(|| Dice::new(self.seed, self.cases))
    }

    fn end(self) {
        println!("{self}");
        assert!(self.cases > WARM_AFTER, "too few to tell anything: {self}");
        let grown = resident_bytes().saturating_sub(self.warm_bytes);
        assert!(
            grown < MAX_GROWTH,
            "{} KiB more than when warm, after {self}",
            grown >> 10
        );
    }
}

impl std::fmt::Display for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "case {} of SIDECACHE_FUZZ_SEED={}",
            self.cases, self.seed
        )
    }
}

/// What this process holds of the machine's memory.
fn resident_bytes() -> usize {
    const PAGE: usize = 4096;
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages = statm
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse::<usize>().ok());
    pages.expect("a number of pages") * PAGE
}

//! Frees what has ended. Nobody need ask for it, and nothing is written down when it is kept: all that
//! a tier holds is looked at in turn, a little at a time.

use super::{Held, Items};
use crate::clock::Clock;
use std::sync::Arc;
use std::time::Duration;

/// How long it takes to come round, as nearly as the clock allows. What has ended is gone after two
/// rounds at most. A million items come to a thousandth of a core.
pub(super) const ROUND: Duration = Duration::from_secs(30);

/// How many are looked at before others have their turn: some 50 µs.
const STEP: usize = 1024;

/// Never returns. The tier is held for as long as this is.
pub(super) async fn run<Value: Held>(items: Arc<Items<Value>>, clock: Clock) {
    loop {
        round(&items, &clock).await;
    }
}

/// Looks at each item once, in steps spread over the whole of [`ROUND`]. Each is locked for itself.
async fn round<Value: Held>(items: &Items<Value>, clock: &Clock) {
    let steps = items.len() / STEP + 1;
    let pause = ROUND / u32::try_from(steps).unwrap_or(u32::MAX);
    let mut all = items.iter();
    loop {
        tokio::time::sleep(pause).await;
        let now = clock.reading();
        let mut looked_at = 0;
        for (key, value) in all.by_ref().take(STEP) {
            looked_at += 1;
            if value.has_ended(&now) {
                items.remove_if(&key, |value| value.has_ended(&now));
            }
        }
        if looked_at < STEP {
            return;
        }
    }
}

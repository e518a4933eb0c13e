//! Counters with an end.

use super::{Connection, milliseconds, number};
use crate::store::fault::{Fault, Kind};
use crate::store::{Count, Counted, Window, scripts};
use std::time::Duration;

impl Connection {
    /// See [`crate::store::Store::count`]. Nothing but the script needs the counters in one place: they can be
    /// asked one by one, in order, where a request that goes over one may be counted by those before it.
    pub async fn count(&self, names: Vec<String>, windows: &[Window]) -> Result<Counted, Fault> {
        let numbers = windows.iter().flat_map(|window| {
            let max = i64::try_from(window.max).unwrap_or(i64::MAX);
            [max, milliseconds(window.length)].map(number)
        });
        let told: Vec<i64> = self.run(&scripts::COUNT, names, numbers.collect()).await?;
        counted(&told, windows.len())
            .ok_or_else(|| Fault::new(Kind::Protocol, "the script answered no counts"))
    }
}

fn counted(told: &[i64], windows: usize) -> Option<Counted> {
    let (fits, counts) = told.split_first()?;
    let positive = |number: i64| u64::try_from(number).unwrap_or(0);
    let counts: Vec<Count> = counts
        .chunks_exact(2)
        .map(|pair| Count {
            used: positive(pair[0]),
            left: Duration::from_millis(positive(pair[1])),
        })
        .collect();
    let is_whole = counts.len() == windows;
    is_whole.then_some(Counted {
        fits: *fits == 1,
        counts,
    })
}

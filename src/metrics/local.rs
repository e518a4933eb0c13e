//! What the memory tier holds, asked of it when somebody wants to know.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::gauge::ConstGauge;
use std::fmt;
use std::sync::{PoisonError, RwLock};

/// Bytes and entries.
type Holds = Box<dyn Fn() -> (u64, usize) + Send + Sync>;

/// The tier there is, if there is one.
#[derive(Default)]
pub(super) struct Local(RwLock<Option<Holds>>);

impl Local {
    /// Bytes and entries; nothing where there is no tier.
    pub(super) fn holds(&self) -> (u64, usize) {
        let holds = self.0.read().unwrap_or_else(PoisonError::into_inner);
        holds.as_ref().map_or((0, 0), |holds| holds())
    }

    /// Asks this one from now on.
    pub(super) fn set(&self, holds: Holds) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(holds);
    }
}

impl fmt::Debug for Local {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Local")
    }
}

impl Collector for Local {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let (bytes, entries) = self.holds();
        let mut gauge = |name, help, held: u64| {
            let gauge = ConstGauge::new(i64::try_from(held).unwrap_or(i64::MAX));
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)
        };
        gauge("local_bytes", "Weight of the memory tier.", bytes)?;
        gauge(
            "local_entries",
            "Entries in the memory tier.",
            entries as u64,
        )
    }
}

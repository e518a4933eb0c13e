//! What is shown of a budget, where there is one.

use super::{Billed, Metrics};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::gauge::ConstGauge;
use std::fmt;
use std::sync::{Mutex, PoisonError};

/// Used, forecast, level.
#[derive(Debug, Default)]
pub(super) struct Budget(Mutex<Option<[u64; 3]>>);

const NAMES: [(&str, &str); 3] = [
    (
        "budget_commands_used",
        "Commands that the fleet has spent in this period.",
    ),
    (
        "budget_commands_forecast",
        "Commands that it will have spent at the end of this period, at the present rate.",
    ),
    (
        "budget_level",
        "What is given up: 0 nothing, 1 local_ttl goes up, 2 only what is asked for again is kept there, 3 the store is not read.",
    ),
];

impl Budget {
    /// From now on.
    pub(super) fn set(&self, shown: Option<[u64; 3]>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = shown;
    }
}

impl Collector for Budget {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let shown = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for ((name, help), value) in NAMES.into_iter().zip(shown.into_iter().flatten()) {
            let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        Ok(())
    }
}

impl Metrics {
    /// What the fleet has spent of a budget, what it will have, and the level of what is given up; nothing is shown
    /// where there is none.
    pub fn budget(&self, shown: Option<[u64; 3]>) {
        self.budget.set(shown);
    }

    /// What a provider bills of them so far.
    pub fn billed(&self) -> Billed {
        self.commands.billed()
    }
}

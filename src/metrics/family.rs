//! Writes samples that were summed just now, in the form in which the registry writes its own.

use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use std::fmt;

/// One metric under several labels, left out, name and all, where there is no sample. The encoder
/// appends `_total` to the names of counters.
pub(super) fn family<'s, const LABELS: usize, T>(
    encoder: &mut DescriptorEncoder<'_>,
    (name, help, kind): (&str, &str, MetricType),
    samples: impl IntoIterator<Item = ([(&'s str, &'s str); LABELS], T)>,
    write: impl Fn(&T, &mut MetricEncoder<'_>) -> fmt::Result,
) -> fmt::Result {
    let mut samples = samples.into_iter().peekable();
    if samples.peek().is_none() {
        return Ok(());
    }
    let mut metric = encoder.encode_descriptor(name, help, None, kind)?;
    for (labels, sample) in samples {
        write(&sample, &mut metric.encode_family(&labels)?)?;
    }
    Ok(())
}

/// How often something happened.
pub(super) fn count(count: &u64, encoder: &mut MetricEncoder<'_>) -> fmt::Result {
    encoder.encode_counter::<NoLabelSet, _, u64>(count, None)
}

//! Spans on their way to a collector of them (OTLP over HTTP), where one is named and this build can: it takes
//! the feature `otlp`, which the usual build leaves out for its size.

#[cfg(feature = "otlp")]
mod collector; // where they go, and which do
#[cfg(feature = "otlp")]
mod post; // how they get there

use crate::trace::Export;
use std::sync::Arc;

/// The variables of the OpenTelemetry specification that name a collector.
const ENDPOINTS: [&str; 2] = [
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
];

/// What takes spans to the collector that the environment names; none where it names none. Whatever is wrong
/// with it is said in the log: requests are answered all the same.
///
/// Must be called within a Tokio runtime.
pub fn exporter() -> Option<Arc<dyn Export>> {
    let is_named = |name: &str| std::env::var(name).is_ok_and(|value| !value.is_empty());
    let variable = ENDPOINTS.into_iter().find(|name| is_named(name))?;
    let is_off = std::env::var("OTEL_SDK_DISABLED").is_ok_and(|value| value == "true");
    (!is_off).then(|| to(variable))?
}

#[cfg(not(feature = "otlp"))]
fn to(variable: &str) -> Option<Arc<dyn Export>> {
    tracing::warn!(
        "{variable} is set, but this build sends no spans: build it with `cargo build --release --features otlp`"
    );
    None
}

#[cfg(feature = "otlp")]
fn to(variable: &str) -> Option<Arc<dyn Export>> {
    match collector::Collector::of_environment() {
        Ok(collector) => Some(Arc::new(collector)),
        Err(_) => {
            // Not what was found wrong: that quotes the address, which may hold a credential.
            tracing::error!(
                "no spans are sent: {variable} is to be `http://host:4318` or `https://host`, and all \
                 other OTEL_EXPORTER_OTLP_… as the specification of OpenTelemetry has them"
            );
            None
        }
    }
}

//! What is counted for as long as it lasts.

use prometheus_client::metrics::gauge::Gauge;

/// One fill in flight, for as long as it lives.
#[must_use = "the fill counts as ended when this is dropped"]
pub struct Filling(pub(super) Gauge);

impl Drop for Filling {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// One client's connection, for as long as it lives.
#[must_use = "the connection counts as closed when this is dropped"]
pub struct Connected(pub(super) Gauge);

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.dec();
    }
}

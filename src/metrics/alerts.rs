//! What somebody should look at, and whether anybody could be told.

use super::Names;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::{counter::Counter, family::Family, gauge::Gauge};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Alerted {
    rule: String,
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Told {
    result: &'static str,
}

/// Of alerts. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct AlertMetrics {
    alerts: Family<Alerted, Gauge>,
    told: Family<Told, Counter>,
}

impl AlertMetrics {
    pub(super) fn register(&self, names: &mut Names<'_>) {
        names.add("alert", "Whether somebody should look", &self.alerts);
        names.add(
            "alert_webhook",
            "Attempts to tell the webhook, and alerts that it was never told",
            &self.told,
        );
    }

    /// Whether an alert is firing now. There is one series for each that is watched.
    pub fn watched(&self, rule: &str, kind: &'static str, is_firing: bool) {
        let rule = rule.to_owned();
        let gauge = self.alerts.get_or_create(&Alerted { rule, kind });
        gauge.set(i64::from(is_firing));
    }

    /// An alert that is no longer watched.
    pub fn unwatched(&self, rule: &str, kind: &'static str) {
        let rule = rule.to_owned();
        self.alerts.remove(&Alerted { rule, kind });
    }

    /// What came of telling the webhook: `delivered`, `failed` (it may be tried again) or `dropped`.
    pub fn told(&self, result: &'static str) {
        self.told.get_or_create(&Told { result }).inc();
    }
}

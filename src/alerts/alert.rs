//! What is told, and its words. The names are a contract: whoever is called reads them.

use serde::Serialize;
use std::fmt;

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Too few of a rule's answers were kept ones. Values are shares.
    HitRate,
    /// Hits of a rule are slow. Values are milliseconds.
    P99,
    /// A rule passes everything. Values are seconds, as in all that follow.
    Quarantined,
    /// The store cannot be used.
    StoreDown,
    /// The store has not been told what to drop.
    Owed,
}

impl Kind {
    /// The word.
    pub fn word(self) -> &'static str {
        match self {
            Kind::HitRate => "hit-rate",
            Kind::P99 => "p99",
            Kind::Quarantined => "quarantined",
            Kind::StoreDown => "store-down",
            Kind::Owed => "owed",
        }
    }

    /// Whether it is judged by what came within a window.
    pub fn has_window(self) -> bool {
        matches!(self, Kind::HitRate | Kind::P99)
    }
}

/// Whether it began or ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It began.
    Firing,
    /// It has ended.
    Resolved,
}

/// What a log, a page and a webhook are told.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Alert {
    /// The rule's name, `-` where it is about none.
    pub rule: String,
    /// What is wrong.
    pub kind: Kind,
    /// Whether it began or ended.
    pub state: State,
    /// By the unit of its kind. `None` where it ended because there is nothing left to judge it by.
    pub value: Option<f64>,
    /// What the value was held against.
    pub threshold: f64,
    /// Over which it was judged, as rules files have it.
    pub window: Option<String>,
    /// When it began or ended, in milliseconds of Unix time.
    pub at: u64,
}

impl Alert {
    /// Whether another one is about the same thing.
    pub fn is_about(&self, other: &Alert) -> bool {
        (&self.rule, self.kind) == (&other.rule, other.kind)
    }

    /// Writes it into the log.
    pub(super) fn log(&self) {
        let (rule, kind) = (&self.rule, self.kind.word());
        match self.state {
            State::Firing => tracing::warn!(rule, kind, "alert: {self}"),
            State::Resolved => tracing::info!(rule, kind, "alert resolved: {self}"),
        }
    }

    fn firing(&self, f: &mut fmt::Formatter<'_>, value: f64) -> fmt::Result {
        let (rule, threshold) = (&self.rule, self.threshold);
        let window = self.window.as_deref().unwrap_or_default();
        match self.kind {
            Kind::HitRate => {
                let (value, threshold) = (value * 100.0, threshold * 100.0);
                write!(f, "the hit rate of `{rule}` is {value:.1} %, ")?;
                write!(f, "below {threshold:.1} %, over {window}")
            }
            Kind::P99 => {
                write!(
                    f,
                    "the 99th percentile of hits of `{rule}` is {value:.1} ms, "
                )?;
                write!(f, "above {threshold:.1} ms, over {window}")
            }
            Kind::Quarantined => write!(
                f,
                "`{rule}` is in quarantine and passes everything: see `sidecache audit`"
            ),
            Kind::StoreDown => write!(
                f,
                "the store has been down for {value:.0} s: requests go to the origin"
            ),
            Kind::Owed => write!(
                f,
                "invalidations have been owed to the store for {value:.0} s: \
                 other sidecars may answer from before the writes"
            ),
        }
    }

    fn resolved(&self, f: &mut fmt::Formatter<'_>, value: f64) -> fmt::Result {
        let rule = &self.rule;
        match self.kind {
            Kind::HitRate => write!(f, "the hit rate of `{rule}` is {:.1} %", value * 100.0),
            Kind::P99 => {
                write!(
                    f,
                    "the 99th percentile of hits of `{rule}` is {value:.1} ms"
                )
            }
            Kind::Quarantined => write!(f, "`{rule}` is in quarantine no longer"),
            Kind::StoreDown => write!(f, "the store is up"),
            Kind::Owed => write!(f, "nothing is owed to the store"),
        }
    }
}

impl fmt::Display for Alert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.state, self.value) {
            (State::Firing, value) => self.firing(f, value.unwrap_or_default()),
            (State::Resolved, Some(value)) => self.resolved(f, value),
            (State::Resolved, None) => {
                let (rule, kind) = (&self.rule, self.kind.word());
                write!(
                    f,
                    "{kind} of `{rule}`: there is nothing left to judge it by"
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn alert(kind: Kind, state: State, value: Option<f64>) -> Alert {
        Alert {
            rule: "list".to_owned(),
            kind,
            state,
            value,
            threshold: 0.5,
            window: kind.has_window().then(|| "10m".to_owned()),
            at: 5,
        }
    }

    #[test]
    fn a_receiver_gets_the_words_of_the_contract() {
        let fired = serde_json::to_value(alert(Kind::HitRate, State::Firing, Some(0.25)));
        let wanted = json!({
            "rule": "list", "kind": "hit-rate", "state": "firing", "value": 0.25,
            "threshold": 0.5, "window": "10m", "at": 5,
        });
        assert_eq!(fired.expect("JSON"), wanted);
        let kinds = [
            Kind::HitRate,
            Kind::P99,
            Kind::Quarantined,
            Kind::StoreDown,
            Kind::Owed,
        ];
        for kind in kinds {
            let written = serde_json::to_value(kind).expect("JSON");
            assert_eq!(written, kind.word(), "the metric has the same word");
        }
    }

    #[test]
    fn a_log_line_says_how_much_and_of_what() {
        let cases = [
            (
                Kind::HitRate,
                State::Firing,
                "is 25.0 %, below 50.0 %, over 10m",
            ),
            (Kind::HitRate, State::Resolved, "`list` is 25.0 %"),
            (
                Kind::P99,
                State::Firing,
                "is 0.2 ms, above 0.5 ms, over 10m",
            ),
            (Kind::Quarantined, State::Firing, "sidecache audit"),
            (Kind::StoreDown, State::Firing, "down for 0 s"),
            (Kind::Owed, State::Resolved, "nothing is owed"),
        ];
        for (kind, state, part) in cases {
            let text = alert(kind, state, Some(0.25)).to_string();
            assert!(text.contains(part), "{text}");
        }
        let unknown = alert(Kind::P99, State::Resolved, None).to_string();
        assert!(unknown.contains("nothing left to judge"), "{unknown}");
    }
}
